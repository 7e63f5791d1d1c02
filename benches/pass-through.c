/*
 * Calls of SSL_ctrl and SSL_CTX_ctrl that have nothing to do with stapling, for counting
 * instructions.
 *
 *     pass-through COUNT ssl|ctx COMMAND [--second LIBSSL]
 *
 * --second: LIBSSL is opened, and the shim that is preloaded has seen a context of it
 * first.
 */
#include <dlfcn.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int done, const char *what)
{
    if (!done) {
        fprintf(stderr, "pass-through: %s failed\n", what);
        exit(1);
    }
}

/* SSL_CTX_new is the shim's here: it hands a method on to the libssl that owns it. */
static void make_context_of(const char *path)
{
    void *libssl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    check(libssl != NULL, "opening the second libssl");
    const SSL_METHOD *(*method)(void);
    *(void **)&method = dlsym(libssl, "TLS_method");
    check(method != NULL, "finding TLS_method");
    check(SSL_CTX_new(method()) != NULL, "the second libssl's SSL_CTX_new");
}

int main(int count, char **words)
{
    if (count != 4 && !(count == 6 && strcmp(words[4], "--second") == 0)) {
        fprintf(stderr, "usage: pass-through COUNT ssl|ctx COMMAND [--second LIBSSL]\n");
        return 2;
    }
    if (count == 6) {
        make_context_of(words[5]);
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    check(ctx != NULL, "SSL_CTX_new");
    SSL *ssl = SSL_new(ctx);
    check(ssl != NULL, "SSL_new");
    long calls = atol(words[1]);
    int command = atoi(words[3]);
    if (strcmp(words[2], "ssl") == 0) {
        for (long at = 0; at < calls; at++) {
            SSL_ctrl(ssl, command, 0, NULL);
        }
    } else {
        for (long at = 0; at < calls; at++) {
            SSL_CTX_ctrl(ctx, command, 0, NULL);
        }
    }
    return 0;
}
