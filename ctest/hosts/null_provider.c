/*
 * A program that keeps libcrypto's default library context unusable, by the null provider,
 * and works in a context of its own, as OpenSSL recommends for programs that must not use
 * the default one by mistake.
 *
 *     null_provider IMAGE PKI alone|preloaded CERTIFICATE RESPONSE [CERTIFICATE RESPONSE]
 *
 * With a second certificate it frees its context, and presents that in another one. Below
 * 3.0 there is one context only, and the program is like any other.
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

static void make_own_context(const struct host *host)
{
    void *(*new_context)(void), *(*load)(void *, const char *);
    *(void **)&new_context = function(host, "OSSL_LIB_CTX_new");
    *(void **)&load = function(host, "OSSL_PROVIDER_load");
    own_context = new_context();
    if (!own_context || !load(NULL, "null") || !load(own_context, "default")) {
        broken("the null provider");
    }
}

static void leave_default_context(const struct host *host)
{
    *(void **)&new_in = function(host, "SSL_CTX_new_ex");
    make_own_context(host);
    L.SSL_CTX_new = new_in_own_context;
}

static void renew_own_context(const struct host *host)
{
    void (*free_context)(void *);
    *(void **)&free_context = function(host, "OSSL_LIB_CTX_free");
    free_context(own_context);
    make_own_context(host);
}

static void present(const struct host *host, const char *certificate, const char *response)
{
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3; protocol++) {
        if (!speaks(protocol)) {
            continue;
        }
        struct pair pair = {client_context(protocol), server_context(protocol, certificate)};
        if (strncmp(certificate, "alone", 5) == 0) {
            /* It comes without its chain. */
            L.SSL_CTX_set_verify(pair.client, 0, NULL);
        }
        check_text(protocol_name(protocol), pair_staple(&pair),
                   host->preloaded ? response : "none");
        pair_free(&pair);
    }
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    host_open(&host);
    if (libssl_version() >= 0x030000) {
        leave_default_context(&host);
    }
    present(&host, host.more[0], host.more[1]);
    if (host.more_count == 4) {
        if (libssl_version() >= 0x030000) {
            renew_own_context(&host);
        }
        present(&host, host.more[2], host.more[3]);
    }
    peers_unload();
    return 0;
}
