/*
 * A program that keeps libcrypto's default library context unusable, by the null provider,
 * and works in a context of its own, as OpenSSL recommends for programs that must not use
 * the default one by mistake.
 *
 *     null_provider IMAGE PKI alone|preloaded CERTIFICATE RESPONSE
 *
 * Below 3.0 there is one context only, and the program is like any other.
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <string.h>

static SSL_CTX *(*new_in)(void *, const char *, const SSL_METHOD *);
static void *own_context;

static SSL_CTX *new_in_own_context(const SSL_METHOD *method)
{
    return new_in(own_context, NULL, method);
}

static void *function(const struct host *host, const char *name)
{
    void *found = host->preloaded ? dlsym(RTLD_DEFAULT, name) : NULL;
    return found ? found : dlsym(dlopen(host->image, RTLD_NOW | RTLD_LOCAL), name);
}

static void leave_default_context(const struct host *host)
{
    void *(*new_context)(void), *(*load)(void *, const char *);
    *(void **)&new_context = function(host, "OSSL_LIB_CTX_new");
    *(void **)&load = function(host, "OSSL_PROVIDER_load");
    *(void **)&new_in = function(host, "SSL_CTX_new_ex");
    own_context = new_context();
    if (!own_context || !load(NULL, "null") || !load(own_context, "default")) {
        broken("the null provider");
    }
    L.SSL_CTX_new = new_in_own_context;
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    host_open(&host);
    if (libssl_version() >= 0x030000) {
        leave_default_context(&host);
    }
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3; protocol++) {
        if (!speaks(protocol)) {
            continue;
        }
        struct pair pair = {client_context(protocol), server_context(protocol, host.more[0])};
        if (strcmp(host.more[0], "alone") == 0) {
            /* It comes without its chain. */
            L.SSL_CTX_set_verify(pair.client, 0, NULL);
        }
        check_text(protocol_name(protocol), pair_staple(&pair),
                   host.preloaded ? host.more[1] : "none");
        pair_free(&pair);
    }
    peers_unload();
    return 0;
}
