/*
 * Servers whose connections present certificates that belong to a library context of the
 * program's own (OpenSSL 3.0 and later), while their SSL_CTX belongs to the default one.
 *
 *     own_library IMAGE PKI alone|preloaded freed|no-digest
 *
 * freed: the program frees its library context while the SSL_CTX lives on. no-digest: it
 * takes from it what would hash the certificate, once libssl has taken that.
 */
#define _GNU_SOURCE
#include "material.h"

#include <stdio.h>
#include <string.h>

#define FUNCTION(type, name) ((type)host_function(the_host, name))

static const struct host *the_host;
static struct material server;
static unsigned char der[1 << 16];
static int der_length, with_issuer, hashes = 1;
static void *library;

/* A new X509 in the program's library context, with the key from the default one. */
static int choose(SSL *ssl, void *arg)
{
    (void)arg;
    const unsigned char *at = der;
    struct material chosen = {.key = server.key, .issuer = with_issuer ? server.issuer : NULL};
    chosen.leaf = FUNCTION(X509 * (*)(void *, const char *), "X509_new_ex")(library, NULL);
    if (!chosen.leaf
        || !FUNCTION(X509 * (*)(X509 **, const unsigned char **, long), "d2i_X509")(
            &chosen.leaf, &at, der_length)) {
        broken("a certificate of a library context");
    }
    int done = load_into_connection(the_host, ssl, &chosen);
    certificate_free(the_host, chosen.leaf);
    if (!hashes
        && FUNCTION(int (*)(void *, const char *), "EVP_set_default_properties")(
               library, "provider=none")
               != 1) {
        broken("EVP_set_default_properties");
    }
    return done;
}

static struct pair server_that_chooses(void)
{
    struct pair pair = {new_context(TLS1_2), new_context(TLS1_2)};
    set_certificate_callback(the_host, pair.server, choose, NULL);
    return pair;
}

static void freed(void)
{
    char path[4096];
    struct pair pair = server_that_chooses();
    for (int turn = 0; turn < 2; turn++) {
        check_text("before the issuer is known", pair_staple(&pair), "none");
    }
    FUNCTION(void (*)(void *), "OSSL_LIB_CTX_free")(library);
    snprintf(path, sizeof(path), "%s/intermediate.crt", the_host->pki);
    if (L.SSL_CTX_load_verify_locations(pair.server, path, NULL) != 1) {
        broken(path);
    }
    library = FUNCTION(void *(*)(void), "OSSL_LIB_CTX_new")();
    check_text("once it is, in another library context", pair_staple(&pair),
               the_host->expected);
    pair_free(&pair);
    FUNCTION(void (*)(void *), "OSSL_LIB_CTX_free")(library);
}

/* An entry that is left on the queue is an error of the handshake. */
static void no_digest(void)
{
    struct pair pair = server_that_chooses();
    with_issuer = 1;
    check_text("a certificate that can be hashed", pair_staple(&pair), the_host->expected);
    hashes = 0;
    check_text("a certificate that cannot be hashed", pair_staple(&pair), "none");
    check(L.ERR_peek_error() == 0, "the error queue afterwards", "%lx", L.ERR_peek_error());
    pair_free(&pair);
    FUNCTION(void (*)(void *), "OSSL_LIB_CTX_free")(library);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    the_host = &host;
    if (host.more_count != 1) {
        broken("the arguments");
    }
    host_open(&host);
    if (libssl_version() < 0x030000) {
        printf("pass\tnot in this image\n");
        peers_unload();
        return 0;
    }
    server = material_read(&host, "server", "server");
    unsigned char *end = der;
    der_length = FUNCTION(int (*)(X509 *, unsigned char **), "i2d_X509")(server.leaf, &end);
    library = FUNCTION(void *(*)(void), "OSSL_LIB_CTX_new")();
    if (der_length <= 0 || !library) {
        broken("a library context");
    }
    if (strcmp(host.more[0], "freed") == 0) {
        freed();
    } else {
        no_digest();
    }
    certificate_free(&host, server.leaf);
    certificate_free(&host, server.issuer);
    FUNCTION(void (*)(EVP_PKEY *), "EVP_PKEY_free")(server.key);
    peers_unload();
    return 0;
}
