/*
 * What a program's status callback answers stands where there is a response of ours, and what the
 * program has set is what it answers for: also on an SSL that shakes hands again, for which ours
 * was stapled before, or that presents another certificate by then.
 *
 *     answers IMAGE PKI alone|preloaded [off|repair]
 *
 * The driver names a response for the certificate "server": "staple". There is none for "other".
 * For "off" it has the library staple nothing, for "repair" replace what clients would reject.
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { CTRL_SET_RESPONSE = 71 };

/* A server's callback, which answers what it is told. */
static int answers(SSL *ssl, void *answer)
{
    (void)ssl;
    return *(const int *)answer;
}

static const int ok = ANSWER_OK, noack = ANSWER_NOACK, fatal = ANSWER_FATAL;

static void let_answer(SSL_CTX *ctx, const int *answer)
{
    ctx_set_status_cb(ctx, answers);
    ctx_set_status_arg(ctx, (void *)(uintptr_t)answer);
}

static void check_ends(enum protocol protocol, const char *what, struct peers *peers,
                       const char *expected)
{
    char label[128];
    set_status_type(peers->client, TYPE_OCSP);
    snprintf(label, sizeof(label), "%s, %s, the handshake", protocol_name(protocol), what);
    check_text(label, peers_handshake(peers), expected);
}

static void check_staple(enum protocol protocol, const char *what, struct peers *peers,
                         const char *expected)
{
    char label[128], text[64];
    check_ends(protocol, what, peers, "done");
    describe_response(peers->client, text, sizeof(text));
    snprintf(label, sizeof(label), "%s, %s, the staple", protocol_name(protocol), what);
    check_text(label, text, expected);
}

static void begin_again(struct peers *peers)
{
    L.SSL_clear(peers->client);
    L.SSL_clear(peers->server);
    L.SSL_set_session(peers->client, NULL);
    peers_connect(peers);
}

/* A handshake that the program refuses ends, and where it has no answer ours goes out. */
static void by_itself(const struct host *host, enum protocol protocol, const int *answer)
{
    struct pair pair;
    struct peers peers;
    pair_new(&pair, protocol);
    let_answer(pair.server, answer);
    peers_new(&peers, pair.client, pair.server);
    if (answer == &fatal) {
        check_ends(protocol, "a fatal answer", &peers, "failed");
    } else {
        check_staple(protocol, "no answer", &peers, host->expected);
    }
    peers_free(&peers);
    pair_free(&pair);
}

/* What the program set is in libssl again when its callback, which came later, says OK. */
static void for_its_own(const struct host *host, enum protocol protocol)
{
    struct pair pair;
    struct peers peers;
    pair_new(&pair, protocol);
    peers_new(&peers, pair.client, pair.server);
    set_response(peers.server, copy_of(&responses[SECOND]), responses[SECOND].length);
    check_staple(protocol, "without a callback", &peers, host->expected);
    begin_again(&peers);
    let_answer(pair.server, &ok);
    check_staple(protocol, "with what it has set", &peers, "second");
    peers_free(&peers);
    pair_free(&pair);
}

/* The staple of one certificate does not go out with another. */
static void with_another_certificate(const struct host *host, enum protocol protocol)
{
    struct pair pair;
    struct peers peers;
    SSL_CTX *others = server_context(protocol, "other");
    pair_new(&pair, protocol);
    let_answer(others, &ok);
    peers_new(&peers, pair.client, pair.server);
    check_staple(protocol, "the first certificate", &peers, host->expected);
    begin_again(&peers);
    L.SSL_set_SSL_CTX(peers.server, others);
    check_staple(protocol, "another certificate", &peers, "none");
    peers_free(&peers);
    pair_free(&pair);
    L.SSL_CTX_free(others);
}

/* What is found out about one response of the program's holds for no other. */
static void is_repaired(const struct host *host, enum protocol protocol)
{
    static const enum response own[] = {SECOND, CORRUPT, SECOND, CORRUPT};
    struct pair pair;
    pair_new(&pair, protocol);
    let_answer(pair.server, &ok);
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
        const struct blob *response = &responses[own[i]];
        struct peers peers;
        peers_new(&peers, pair.client, pair.server);
        set_response(peers.server, copy_of(response), response->length);
        int is_replaced = host->preloaded && own[i] == CORRUPT;
        check_staple(protocol, response->name, &peers, is_replaced ? "staple" : response->name);
        peers_free(&peers);
    }
    pair_free(&pair);
}

/* A list that the program asks for after a handshake is of what it has set itself. */
static void is_shown_its_own(const struct host *host, enum protocol protocol)
{
    struct pair pair;
    struct peers peers;
    STACK *list = NULL;
    pair_new(&pair, protocol);
    peers_new(&peers, pair.client, pair.server);
    set_response(peers.server, copy_of(&responses[SECOND]), responses[SECOND].length);
    check_staple(protocol, "without a callback", &peers, host->expected);
    long count = get0_responses(peers.server, &list);
    check(count == 1, "the program's list after a handshake", "%ld", count);
    unsigned char *der = NULL;
    int length = count == 1 ? L.i2d_OCSP_RESPONSE(stack_item(list, 0), &der) : 0;
    check(length == responses[SECOND].length && memcmp(der, responses[SECOND].bytes, length) == 0,
          "what is in it", "another response");
    libssl_free(der);
    peers_free(&peers);
    pair_free(&pair);
}

/* A server's that does not staple for it is the program's, also where it has gone around. */
static void set_around(const struct host *host, enum protocol protocol)
{
    long (*control)(SSL *, int, long, void *);
    struct pair pair;
    struct peers peers;
    char text[64];
    void *image = dlopen(host->image, RTLD_NOW | RTLD_LOCAL);
    void *found = image ? dlsym(image, "SSL_ctrl") : NULL;
    if (!found) {
        broken("the image's own SSL_ctrl");
    }
    memcpy(&control, &found, sizeof(control));
    pair_new(&pair, protocol);
    let_answer(pair.server, &ok);
    peers_new(&peers, pair.client, pair.server);
    long set = control(peers.server, CTRL_SET_RESPONSE, responses[SECOND].length,
                       copy_of(&responses[SECOND]));
    check(set == 1, "set around the library", "%ld", set);
    describe_response(peers.server, text, sizeof(text));
    check_text("the server has", text, "second");
    check_staple(protocol, "set around the library", &peers, "second");
    peers_free(&peers);
    pair_free(&pair);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    host_open(&host);
    int repairs = host.more_count == 1 && strcmp(host.more[0], "repair") == 0;
    if (host.more_count == 1 && !repairs) {
        host.expected = "none";
    }
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3 && speaks(protocol); protocol++) {
        if (repairs) {
            is_repaired(&host, protocol);
            continue;
        }
        by_itself(&host, protocol, &fatal);
        by_itself(&host, protocol, &noack);
        if (host.more_count == 1) {
            set_around(&host, protocol);
            continue;
        }
        for_its_own(&host, protocol);
        if (libssl_version() >= 0x030600) {
            is_shown_its_own(&host, protocol);
        }
        with_another_certificate(&host, protocol);
    }
    return 0;
}
