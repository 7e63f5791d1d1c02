/*
 * Many threads at once: each makes its first contexts and shakes hands on them, then all
 * shake hands on contexts that they share, and last a forked child does.
 *
 *     threads IMAGE PKI [preloaded|linked|SHIM macro|named]
 *
 * Prints facts (facts.h); what they must be stands in threads.tsv. The server's callback
 * staples the response "staple", or what THREADS_OWN names.
 */
#define _GNU_SOURCE
#include "facts.h"
#include "locks.h"
#include "peers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, HANDSHAKES = 25 };

static pthread_barrier_t start;
static atomic_int done, staples;
/* What the server's callback staples. */
static enum response own = STAPLE;
static SSL_CTX *shared_client, *shared_server;

static int answer(SSL *ssl, void *arg)
{
    (void)arg;
    set_response(ssl, copy_of(&responses[own]), responses[own].length);
    return ANSWER_OK;
}

static int judge(SSL *ssl, void *arg)
{
    char text[64];
    (void)arg;
    describe_response(ssl, text, sizeof(text));
    staples += strcmp(text, "staple") == 0;
    return 1;
}

static void make_contexts(SSL_CTX **client, SSL_CTX **server)
{
    *client = client_context(TLS1_2);
    *server = server_context(TLS1_2, "server");
    ctx_set_status_cb(*client, judge);
    ctx_set_status_cb(*server, answer);
    ctx_set_status_type(*client, TYPE_OCSP);
}

static void shake_hands(SSL_CTX *client, SSL_CTX *server)
{
    for (int i = 0; i < HANDSHAKES; i++) {
        struct peers peers;
        peers_new(&peers, client, server);
        set_status_type(peers.client, TYPE_OCSP);
        done += strcmp(peers_handshake(&peers), "done") == 0;
        peers_free(&peers);
    }
}

static void *with_own(void *arg)
{
    SSL_CTX *client, *server;
    pthread_barrier_wait(&start);
    make_contexts(&client, &server);
    shake_hands(client, server);
    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
    return arg;
}

static void *with_shared(void *arg)
{
    pthread_barrier_wait(&start);
    shake_hands(shared_client, shared_server);
    return arg;
}

static void all_threads(const char *label, void *(*body)(void *))
{
    pthread_t threads[THREADS];
    done = staples = 0;
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, body, NULL) != 0) {
            broken("pthread_create");
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&start);
    fact(label, "%d done, %d staples", done, staples);
}

static void in_child(char *text, size_t size)
{
    done = staples = 0;
    shake_hands(shared_client, shared_server);
    snprintf(text, size, "%d done, %d staples", done, staples);
}

int main(int count, char **arguments)
{
    if (count != 3 && count != 5) {
        fprintf(stderr, "usage: threads IMAGE PKI [preloaded|linked|SHIM macro|named]\n");
        return 2;
    }
    int named = count == 5 && strcmp(arguments[4], "named") == 0;
    libssl_open(arguments[1], count == 5 ? arguments[3] : NULL,
                named ? ROUTE_NAMED : ROUTE_MACRO);
    peers_load(arguments[2]);
    const char *name = getenv("THREADS_OWN");
    for (int i = 0; name && i < RESPONSES; i++) {
        own = strcmp(responses[i].name, name) == 0 ? (enum response)i : own;
    }
    set_up_old_locks();
    all_threads("own_contexts", with_own);
    make_contexts(&shared_client, &shared_server);
    all_threads("shared_contexts", with_shared);
    fact_in_child("forked_child", in_child);
    L.SSL_CTX_free(shared_client);
    L.SSL_CTX_free(shared_server);
    peers_unload();
    return 0;
}
