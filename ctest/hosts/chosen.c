/*
 * Servers that choose a certificate for each connection, by a certificate callback that
 * gives it to the SSL.
 *
 *     chosen IMAGE PKI alone|preloaded same|fresh RESPONSE
 *
 * same: one X509 for all connections. fresh: a new one for each, freed at once. RESPONSE is
 * what a client must receive when preloaded.
 */
#define _GNU_SOURCE
#include "material.h"

#include <stdio.h>
#include <string.h>

enum { HANDSHAKES = 6 };

static const struct host *the_host;
static struct material server;
static int fresh;

static int choose(SSL *ssl, void *arg)
{
    (void)arg;
    struct material chosen = server;
    if (fresh) {
        chosen.leaf = certificate_copy(the_host, server.leaf);
    }
    int done = load_into_connection(the_host, ssl, &chosen);
    if (fresh) {
        certificate_free(the_host, chosen.leaf);
    }
    return done;
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    the_host = &host;
    if (host.more_count != 2) {
        broken("the arguments");
    }
    fresh = strcmp(host.more[0], "fresh") == 0;
    host_open(&host);
    server = material_read(&host, "server", "server");
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3; protocol++) {
        if (!speaks(protocol)) {
            continue;
        }
        /* 1.0.2 offers what its context's certificate can do. */
        struct pair pair = {client_context(protocol), server_context(protocol, "other")};
        set_certificate_callback(&host, pair.server, choose, NULL);
        for (int i = 0; i < HANDSHAKES; i++) {
            char label[64];
            snprintf(label, sizeof(label), "%s, connection %d", protocol_name(protocol), i + 1);
            check_text(label, pair_staple(&pair), host.preloaded ? host.more[1] : "none");
        }
        pair_free(&pair);
    }
    return 0;
}
