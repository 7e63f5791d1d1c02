/*
 * A client of one image against a server of another, older one: from 3.6 on a server sends
 * no response that does not decode or is about another certificate, so that only an older
 * one shows what a newer client makes of them.
 *
 *     client_policy_cross CLIENT SERVER PKI preloaded|linked|SHIM macro|named
 *
 * Prints facts (facts.h); what they must be under each policy stands in
 * client_policy_cross.tsv.
 */
#include "facts.h"
#include "peers.h"

#include <stdio.h>
#include <string.h>

enum { SSL_ERROR_WANTS_READ = 2, BUFFER = 65536, ROUNDS = 50 };
enum progress { DONE, WAITS, FAILED };

/* One end of the connection, and the functions of its image. */
struct end {
    struct libssl functions;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *network; /* the other half of the SSL's BIO pair */
    int alert;    /* the last one received */
    unsigned long error;
    enum progress progress;
};

static struct end client, server;

static void use(const struct end *end)
{
    L = end->functions;
}

static void end_open(struct end *end, const char *image, char **arguments)
{
    int named = strcmp(arguments[1], "named") == 0;
    libssl_open(image, arguments[0], named ? ROUTE_NAMED : ROUTE_MACRO);
    end->functions = L;
}

/* Makes the SSL of a context that was just made, while its image is in use. */
static void end_new(struct end *end, SSL_CTX *ctx)
{
    BIO *own;
    end->ctx = ctx;
    end->ssl = L.SSL_new(ctx);
    end->alert = -1;
    end->error = 0;
    end->progress = WAITS;
    if (!end->ssl || L.BIO_new_bio_pair(&own, BUFFER, &end->network, BUFFER) != 1) {
        broken("SSL_new");
    }
    L.SSL_set_ex_data(end->ssl, 0, &end->alert);
    L.SSL_set_bio(end->ssl, own, own);
}

static void end_free(struct end *end)
{
    use(end);
    L.SSL_free(end->ssl);
    L.BIO_free(end->network);
    L.SSL_CTX_free(end->ctx);
}

/* Lets one end work, and carries what it sends to the other one. */
static void step(struct end *end, const struct end *to)
{
    static char bytes[BUFFER];
    use(end);
    if (end->progress == WAITS) {
        L.ERR_clear_error();
        int result = L.SSL_do_handshake(end->ssl);
        int waits = result != 1 && L.SSL_get_error(end->ssl, result) == SSL_ERROR_WANTS_READ;
        end->progress = result == 1 ? DONE : waits ? WAITS : FAILED;
        end->error = end->progress == FAILED ? L.ERR_peek_error() : 0;
    } else {
        /* An alert may still come. */
        L.SSL_read(end->ssl, bytes, 1);
    }
    int length = L.BIO_read(end->network, bytes, sizeof(bytes));
    use(to);
    if (length > 0 && L.BIO_write(to->network, bytes, length) != length) {
        broken("BIO_write");
    }
}

static void handshake_fact(enum protocol protocol, const char *label, enum response what)
{
    struct script answers = {.answer = ANSWER_OK, .act = act_set, .set = &responses[what]};
    use(&client);
    end_new(&client, client_context(protocol));
    L.SSL_set_connect_state(client.ssl);
    use(&server);
    end_new(&server, server_context(protocol, "server"));
    ctx_set_status_cb(server.ctx, scripted_callback);
    ctx_set_status_arg(server.ctx, &answers);
    L.SSL_set_accept_state(server.ssl);
    for (int round = 0; round < ROUNDS; round++) {
        step(&client, &server);
        step(&server, &client);
    }
    use(&client);
    const char *reason = L.ERR_reason_error_string(client.error);
    if (client.progress == DONE) {
        fact(label, "done");
    } else if (client.progress == FAILED) {
        fact(label, "%s, alert %d", reason ? reason : "no reason", server.alert);
    } else {
        fact(label, "stalled");
    }
    end_free(&client);
    end_free(&server);
}

int main(int count, char **arguments)
{
    static const enum response all[] = {STAPLE, REVOKED, EXPIRED, OTHER, FOREIGN, JUNK, TRY_LATER};
    if (count != 6) {
        fprintf(stderr, "usage: client_policy_cross CLIENT SERVER PKI SHIM macro|named\n");
        return 2;
    }
    end_open(&server, arguments[2], arguments + 4);
    end_open(&client, arguments[1], arguments + 4);
    peers_load(arguments[3]);
    printf("# %s\n", libssl_version_text());
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3; protocol++) {
        use(&client);
        if (!speaks(protocol)) {
            continue;
        }
        facts_prefix(protocol_name(protocol));
        for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
            handshake_fact(protocol, responses[all[i]].name, all[i]);
        }
    }
    peers_unload();
    return 0;
}
