/*
 * A certificate that a callback gives to its connections is held by their context, so that
 * it is not hashed in each handshake: also where that makes no SSL itself, because a
 * client's name led to it, and where the SSLs of others come between. It is freed with it.
 * And it costs no memory for each connection.
 *
 *     held IMAGE PKI alone|preloaded
 */
#define _GNU_SOURCE
#include "material.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>

enum {
    /* More than a context ever holds. */
    CONNECTIONS = 20,
    /* What libssl itself has for a chain of its own is less than that. */
    MORE = 8192,
    /* CRYPTO_EX_INDEX_X509 of 1.1.0 and later. */
    CLASS_X509 = 3
};

typedef void (*when_freed)(void *object, void *value, void *all, int index, long argl, void *argp);

static const struct host *the_host;
static struct material chosen;
static SSL_CTX *named_context;
static int index_of_ours, freed;

static void note_freed(void *object, void *value, void *all, int index, long argl, void *argp)
{
    (void)object, (void)all, (void)index, (void)argl, (void)argp;
    freed += value == &freed;
}

static void watch_certificates(const struct host *host)
{
    int (*of_class)(int, long, void *, void *, void *, when_freed)
        = (int (*)(int, long, void *, void *, void *, when_freed))host_function_if_any(
            host, "CRYPTO_get_ex_new_index");
    int (*of_x509)(long, void *, void *, void *, when_freed)
        = (int (*)(long, void *, void *, void *, when_freed))host_function_if_any(
            host, "X509_get_ex_new_index");
    index_of_ours = of_x509 ? of_x509(0, NULL, NULL, NULL, note_freed)
                            : of_class(CLASS_X509, 0, NULL, NULL, NULL, note_freed);
}

static int choose(SSL *ssl, void *arg)
{
    (void)arg;
    return load_into_connection(the_host, ssl, &chosen);
}

static int by_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert, (void)arg;
    L.SSL_set_SSL_CTX(ssl, named_context);
    return 0;
}

/* What is left of the certificate once the program has no use for it, and when the context
   has none either. */
static void check_held(const char *label, SSL_CTX *ctx)
{
    char text[128];
    int expected = the_host->preloaded ? 0 : 1;
    freed = 0;
    certificate_free(the_host, chosen.leaf);
    snprintf(text, sizeof(text), "%s: given up by the program", label);
    check(freed == expected, text, "freed %d times, not %d", freed, expected);
    L.SSL_CTX_free(ctx);
    snprintf(text, sizeof(text), "%s: its context is freed", label);
    check(freed == 1, text, "freed %d times", freed);
}

static void choose_another(const struct material *server)
{
    int (*mark)(X509 *, int, void *)
        = (int (*)(X509 *, int, void *))host_function(the_host, "X509_set_ex_data");
    chosen = *server;
    chosen.leaf = certificate_copy(the_host, server->leaf);
    if (mark(chosen.leaf, index_of_ours, &freed) != 1) {
        broken("X509_set_ex_data");
    }
}

/* musl does not tell what is allocated. */
#ifdef __GLIBC__
/* What so many connections have on the heap that stay open, each. */
static long open_connections(struct pair *pair)
{
    struct peers open[CONNECTIONS];
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < CONNECTIONS; i++) {
        peers_new(&open[i], pair->client, pair->server);
        set_status_type(open[i].client, TYPE_OCSP);
        check_text("a connection that stays open", peers_handshake(&open[i]), "done");
    }
    long spent = (long)(mallinfo2().uordblks - before);
    for (int i = 0; i < CONNECTIONS; i++) {
        peers_free(&open[i]);
    }
    return spent / CONNECTIONS;
}

/* A certificate of its own costs a connection no memory of ours. */
static void check_memory(const struct material *server)
{
    struct pair pair = {new_context(TLS1_2), server_context(TLS1_2, "server")};
    open_connections(&pair);
    long of_context = open_connections(&pair);
    L.SSL_CTX_free(pair.server);
    chosen = *server;
    pair.server = server_context(TLS1_2, "other");
    set_certificate_callback(the_host, pair.server, choose, NULL);
    open_connections(&pair);
    long own = open_connections(&pair);
    check(own < of_context + MORE, "the memory of a connection",
          "%ld bytes, and %ld with the context's certificate", own, of_context);
    pair_free(&pair);
}
#endif

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    the_host = &host;
    host_open(&host);
    watch_certificates(&host);
    struct material server = material_read(&host, "server", "server");
    struct pair pair = {new_context(TLS1_2), server_context(TLS1_2, "other")};

    /* Each handshake is followed by a client's SSL. */
    choose_another(&server);
    SSL_CTX *own = server_context(TLS1_2, "other");
    set_certificate_callback(&host, own, choose, NULL);
    for (int i = 0; i < CONNECTIONS; i++) {
        pair_staple(&(struct pair){pair.client, own});
        L.SSL_free(L.SSL_new(pair.client));
    }
    check_held("beside a client", own);

    choose_another(&server);
    named_context = server_context(TLS1_2, "other");
    set_certificate_callback(&host, named_context, choose, NULL);
    set_servername_callback(pair.server, by_name);
    for (int i = 0; i < CONNECTIONS; i++) {
        staple_by_name(&pair);
    }
    check_held("by a name", named_context);

    pair_free(&pair);
#ifdef __GLIBC__
    check_memory(&server);
#endif
    return 0;
}
