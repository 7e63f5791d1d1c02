/*
 * SSLs whose program set a response, over which ours was stapled: one that turns from a server into
 * a client, and one whose list the program has borrowed.
 *
 *     turned IMAGE PKI alone|preloaded
 *
 * The driver names a response for the server's certificate, "staple". Where it has disabled the
 * library, only this is held: a getter without a place for its answer fails.
 */
#define _GNU_SOURCE
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CTRL_GET_RESPONSE = 70, CTRL_GET_LIST = 142 };

static int no_answer(SSL *ssl, void *arg)
{
    (void)ssl;
    (void)arg;
    return ANSWER_NOACK;
}

/* A client's: what it sees, in words. */
static int sees(SSL *ssl, void *text)
{
    describe_response(ssl, text, 64);
    return 1;
}

static void staple_over_own(const struct host *host, struct peers *peers, struct pair *pair)
{
    peers_new(peers, pair->client, pair->server);
    set_status_type(peers->client, TYPE_OCSP);
    set_response(peers->server, copy_of(&responses[SECOND]), responses[SECOND].length);
    check_text("the handshake", peers_handshake(peers), "done");
    char text[64];
    describe_response(peers->client, text, sizeof(text));
    check_text("over the program's own response", text, host->expected);
}

/* What a client received is what it is shown, whatever was set on it before. */
static void becomes_a_client(const struct host *host, struct pair *pair, enum protocol protocol)
{
    char seen[64] = "nothing", text[64];
    struct script provides = {.act = act_set, .set = &responses[STAPLE]};
    SSL_CTX *client = client_context(protocol), *server = server_context(protocol, "server");
    struct peers first, second = {.client_alert = -1, .server_alert = -1};

    ctx_set_status_cb(client, sees);
    ctx_set_status_arg(client, seen);
    ctx_set_status_cb(server, scripted_callback);
    ctx_set_status_arg(server, &provides);
    staple_over_own(host, &first, pair);
    L.SSL_clear(first.server);
    L.SSL_set_session(first.server, NULL);
    L.SSL_set_SSL_CTX(first.server, client);
    second.client = first.server;
    second.server = L.SSL_new(server);
    peers_connect(&second);
    set_status_type(second.client, TYPE_OCSP);
    check_text("as a client", peers_handshake(&second), "done");
    check_text("its callback sees", seen, "staple");
    describe_response(second.client, text, sizeof(text));
    check_text("it has", text, "staple");
    L.SSL_free(second.server);
    peers_free(&first);
    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
}

/* What was borrowed from an SSL stays with it. */
static void lends_its_list(struct pair *pair)
{
    struct peers peers;
    void *before = NULL, *after = NULL;
    char text[64];

    peers_new(&peers, pair->client, pair->server);
    set_status_type(peers.client, TYPE_OCSP);
    set_response(peers.server, copy_of(&responses[SECOND]), responses[SECOND].length);
    long count = L.SSL_ctrl(peers.server, CTRL_GET_LIST, 0, &before);
    if (count == 1) {
        check_text("with a borrowed list", peers_handshake(&peers), "done");
        count = L.SSL_ctrl(peers.server, CTRL_GET_LIST, 0, &after);
        check(count == 1 && after == before, "the borrowed list", "%ld responses, %s", count,
              after == before ? "the same" : "another list");
        describe_response(peers.server, text, sizeof(text));
        check_text("the server has", text, "second");
    }
    peers_free(&peers);
}

/* libssl alone writes to NULL. */
static void has_no_place_for_an_answer(const struct pair *pair)
{
    SSL *ssl = L.SSL_new(pair->server);
    long answer = L.SSL_ctrl(ssl, CTRL_GET_RESPONSE, 0, NULL);
    check(answer == -1, "a response into NULL", "%ld", answer);
    L.SSL_free(ssl);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    host_open(&host);
    if (getenv("STAPLEGUN_DISABLE")) {
        struct pair pair;
        pair_new(&pair, TLS1_2);
        has_no_place_for_an_answer(&pair);
        pair_free(&pair);
        return 0;
    }
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3 && speaks(protocol); protocol++) {
        struct pair pair;
        pair_new(&pair, protocol);
        ctx_set_status_cb(pair.server, no_answer);
        becomes_a_client(&host, &pair, protocol);
        lends_its_list(&pair);
        pair_free(&pair);
    }
    return 0;
}
