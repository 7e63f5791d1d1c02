/*
 * SSLs that shake hands again, where what was stapled the first time is not theirs to send the
 * second: the program answers for what it had set by itself, or presents another certificate.
 * And one whose response was set without the library's knowledge.
 *
 *     again IMAGE PKI alone|preloaded [around]
 *
 * The driver names a response for the certificate "server": "staple". There is none for "other".
 * For "around" it has the library staple nothing.
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { CTRL_SET_RESPONSE = 71 };

static int sends_what_is_set(SSL *ssl, void *arg)
{
    (void)ssl;
    (void)arg;
    return ANSWER_OK;
}

static void check_staple(enum protocol protocol, const char *what, struct peers *peers,
                         const char *expected)
{
    char label[128], text[64];
    set_status_type(peers->client, TYPE_OCSP);
    snprintf(label, sizeof(label), "%s, %s, the handshake", protocol_name(protocol), what);
    check_text(label, peers_handshake(peers), "done");
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
    ctx_set_status_cb(pair.server, sends_what_is_set);
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
    ctx_set_status_cb(others, sends_what_is_set);
    peers_new(&peers, pair.client, pair.server);
    check_staple(protocol, "the first certificate", &peers, host->expected);
    begin_again(&peers);
    L.SSL_set_SSL_CTX(peers.server, others);
    check_staple(protocol, "another certificate", &peers, "none");
    peers_free(&peers);
    pair_free(&pair);
    L.SSL_CTX_free(others);
}

/* A server's that does not staple for it is the program's, also where it has gone around. */
static void set_around(const struct host *host, enum protocol protocol)
{
    long (*control)(SSL *, int, long, void *);
    struct pair pair;
    struct peers peers;
    void *image = dlopen(host->image, RTLD_NOW | RTLD_LOCAL);
    void *found = image ? dlsym(image, "SSL_ctrl") : NULL;
    if (!found) {
        broken("the image's own SSL_ctrl");
    }
    memcpy(&control, &found, sizeof(control));
    pair_new(&pair, protocol);
    ctx_set_status_cb(pair.server, sends_what_is_set);
    peers_new(&peers, pair.client, pair.server);
    long set = control(peers.server, CTRL_SET_RESPONSE, responses[SECOND].length,
                       copy_of(&responses[SECOND]));
    check(set == 1, "set around the library", "%ld", set);
    check_staple(protocol, "set around the library", &peers, "second");
    peers_free(&peers);
    pair_free(&pair);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    host_open(&host);
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3 && speaks(protocol); protocol++) {
        if (host.more_count == 1) {
            set_around(&host, protocol);
            continue;
        }
        for_its_own(&host, protocol);
        with_another_certificate(&host, protocol);
    }
    return 0;
}
