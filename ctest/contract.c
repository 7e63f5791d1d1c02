/*
 * The contract of the status_request family as facts, one line each: run it against a
 * libssl alone and through the shim, and compare.
 *
 *     contract IMAGE PKI [SHIM [macro|named]]
 *
 * IMAGE is a path to libssl, PKI a directory made by ctest/mint, SHIM "preloaded",
 * "linked" or a path to open. The first line is the version; then come facts (facts.h).
 * What they must be stands in contract.tsv, where a libssl alone departs in
 * differences.tsv.
 */
#include "contract.h"
#include "facts.h"

#include <stdio.h>
#include <string.h>

int main(int count, char **arguments)
{
    static const enum protocol protocols[] = {TLS1_2, TLS1_3, DTLS1_2};
    if (count < 3 || count > 5
        || (count == 5 && strcmp(arguments[4], "macro") && strcmp(arguments[4], "named"))) {
        fprintf(stderr, "usage: contract IMAGE PKI [preloaded|linked|SHIM [macro|named]]\n");
        return 2;
    }
    int named = count == 5 && strcmp(arguments[4], "named") == 0;
    libssl_open(arguments[1], count > 3 ? arguments[3] : NULL,
                named ? ROUTE_NAMED : ROUTE_MACRO);
    peers_load(arguments[2]);
    printf("# %s\n", libssl_version_text());
    fflush(stdout);

    older_ssl_facts();
    context_facts();
    ssl_facts();
    buffer_facts();
    bad_argument_facts();
    stack_facts();
    for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
        if (!speaks(protocols[i])) {
            continue;
        }
        facts_prefix(protocol_name(protocols[i]));
        server_facts(protocols[i]);
        client_facts(protocols[i]);
        sni_facts(protocols[i]);
        resumption_facts(protocols[i]);
        repeated_facts(protocols[i]);
        chain_facts(protocols[i]);
    }
    peers_unload();
    return 0;
}
