/*
 * errno, OpenSSL's error queue and dlerror after each interposed call, with something
 * standing in each before. The driver compares what is printed with and without the shim.
 *
 *     quiet IMAGE PKI alone|preloaded
 *
 * Prints facts (../facts.h) instead of checks.
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ERRNO_BEFORE = 4242, LIBRARY_USER = 128, REASON = 77 };

static void (*new_error)(void);
static void (*set_error)(int, int, const char *, ...);
static void (*put_error)(int, int, int, const char *, int);

static void find_error_functions(const struct host *host)
{
    void *handle = dlopen(host->image, RTLD_NOW | RTLD_LOCAL);
    *(void **)&new_error = dlsym(handle, "ERR_new");
    *(void **)&set_error = dlsym(handle, "ERR_set_error");
    *(void **)&put_error = dlsym(handle, "ERR_put_error");
    dlerror();
}

/* What the program has in hand when it calls. */
static void before(int with_error)
{
    L.ERR_clear_error();
    if (with_error && put_error) {
        put_error(LIBRARY_USER, 0, REASON, "program", 1);
    } else if (with_error) {
        new_error();
        set_error(LIBRARY_USER, REASON, NULL);
    }
    errno = ERRNO_BEFORE;
}

static void after(const char *call, int with_error, long result)
{
    char queue[256] = "";
    int now = errno;
    unsigned long code;
    while ((code = L.ERR_get_error()) != 0) {
        size_t used = strlen(queue);
        snprintf(queue + used, sizeof(queue) - used, " %lx", code);
    }
    char label[128];
    snprintf(label, sizeof(label), "%s%s", call, with_error ? ", an error queued" : "");
    fact(label, "%ld, errno %d, errors%s", result, now, *queue ? queue : " none");
}

/* A call, with an empty queue and with an error in it. */
#define CALL(label, call)                                                                  \
    for (int with_error = 0; with_error <= 1; with_error++) {                              \
        before(with_error);                                                                \
        long result = (long)(call);                                                        \
        after(label, with_error, result);                                                  \
    }

static int answer_nothing(SSL *ssl, void *argument)
{
    (void)ssl;
    (void)argument;
    return ANSWER_NOACK;
}

static SSL_CTX *fresh(void)
{
    return L.SSL_CTX_new(L.TLS_method ? L.TLS_method() : L.TLSv1_2_method());
}

static void contexts(const struct host *host)
{
    char chain[4096], absent[4096];
    status_cb callback;
    void *argument;
    SSL_CTX *made[2];
    snprintf(chain, sizeof(chain), "%s/server.pem", host->pki);
    snprintf(absent, sizeof(absent), "%s/absent.pem", host->pki);
    CALL("SSL_CTX_new", (made[with_error] = fresh()) != NULL)
    SSL_CTX *ctx = made[0];
    CALL("SSL_CTX_new without a method", L.SSL_CTX_new(NULL) != NULL)
    CALL("chain file", L.SSL_CTX_use_certificate_chain_file(ctx, chain))
    CALL("absent chain file", L.SSL_CTX_use_certificate_chain_file(ctx, absent))
    CALL("set callback", ctx_set_status_cb(ctx, answer_nothing))
    CALL("get callback", ctx_get_status_cb(ctx, &callback))
    CALL("set argument", ctx_set_status_arg(ctx, ctx))
    CALL("get argument", ctx_get_status_arg(ctx, &argument))
    CALL("set type of context", ctx_set_status_type(ctx, TYPE_OCSP))
    CALL("get type of context", ctx_get_status_type(ctx))
    CALL("another command", L.SSL_CTX_ctrl(ctx, 33, 0, NULL))
    CALL("free", (L.SSL_CTX_free(made[with_error]), 0))
}

static void connections(void)
{
    SSL_CTX *ctx = fresh();
    SSL *ssl = L.SSL_new(ctx);
    unsigned char *response;
    STACK *stack;
    CALL("set type", set_status_type(ssl, TYPE_OCSP))
    CALL("get type", get_status_type(ssl))
    CALL("get no response", get_response(ssl, &response))
    CALL("set response", set_response(ssl, copy_of(&responses[STAPLE]),
                                      responses[STAPLE].length))
    CALL("get response", get_response(ssl, &response))
    CALL("get extensions", get_status_exts(ssl, &stack))
    CALL("get ids", get_status_ids(ssl, &stack))
    CALL("another command", L.SSL_ctrl(ssl, 33, 0, NULL))
    CALL("free of an SSL", with_error ? (L.SSL_free(ssl), 0) : 0)
    L.SSL_CTX_free(ctx);
}

static void handshakes(void)
{
    struct pair pair;
    struct peers peers;
    pair_new(&pair, TLS1_2);
    peers_new(&peers, pair.client, pair.server);
    set_status_type(peers.client, TYPE_OCSP);
    /* The queue is the handshake's own: it must be empty before each step. */
    for (int step = 0; step < 6; step++) {
        SSL *side = step % 2 ? peers.server : peers.client;
        char label[32];
        snprintf(label, sizeof(label), "step %d", step);
        before(0);
        long result = L.SSL_do_handshake(side);
        after(label, 0, result);
    }
    peers_free(&peers);
    pair_free(&pair);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    host_open(&host);
    find_error_functions(&host);
    facts_prefix("context");
    contexts(&host);
    facts_prefix("connection");
    connections();
    facts_prefix("handshake");
    handshakes();
    fact("dlerror", "%s", dlerror() ? "a message" : "none");
    peers_unload();
    return 0;
}
