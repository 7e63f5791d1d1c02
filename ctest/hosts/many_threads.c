/*
 * Threads: 32 that make the process's first contexts at once, one with the smallest stack
 * that handshakes run on, 4 with contexts that the shim has not seen made, and a
 * profiler's signal a thousand times a second.
 *
 *     many_threads IMAGE PKI alone|preloaded SHIM
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { THREADS = 32, SMALL_STACK = 64 * 1024, TICK = 1000, TICKS = 200 };

enum { UNSEEN_THREADS = 4, UNSEEN = 5000 };

static const struct host *the_host;
static pthread_barrier_t start;
static atomic_int good, ticks, disturbed;

static void *first_contexts(void *arg)
{
    struct pair pair;
    pthread_barrier_wait(&start);
    pair_new(&pair, TLS1_2);
    good += strcmp(pair_staple(&pair), the_host->expected) == 0;
    pair_free(&pair);
    return arg;
}

static void create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*body)(void *))
{
    if (pthread_create(thread, attributes, body, NULL) != 0) {
        broken("pthread_create");
    }
}

static const char *all_at_once(const struct host *host)
{
    static char text[64];
    pthread_t threads[THREADS];
    host_open(host);
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        create(&threads[i], NULL, first_contexts);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    snprintf(text, sizeof(text), "%d of %d", good, THREADS);
    return text;
}

static void *handshakes(void *arg)
{
    struct pair pair;
    for (enum protocol protocol = TLS1_2; protocol <= DTLS1_2; protocol++) {
        if (speaks(protocol)) {
            pair_new(&pair, protocol);
            if (strcmp(pair_staple(&pair), the_host->expected) != 0) {
                return NULL;
            }
            pair_free(&pair);
        }
    }
    good = 1;
    return arg;
}

static const char *small_stack(const struct host *host)
{
    pthread_t thread;
    pthread_attr_t attributes;
    host_open(host);
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, SMALL_STACK) != 0) {
        broken("pthread_attr_setstacksize");
    }
    create(&thread, &attributes, handshakes);
    pthread_join(thread, NULL);
    return good ? "all stapled" : "not all";
}

static void profiled(int signal)
{
    (void)signal;
    /* As profilers do: it must not show. */
    int before = errno;
    ticks++;
    errno = before;
}

static const char *profiler(const struct host *host)
{
    struct sigaction action = {.sa_handler = profiled};
    struct itimerval each = {{0, TICK}, {0, TICK}};
    struct pair pair;
    host_open(host);
    sigaction(SIGPROF, &action, NULL);
    setitimer(ITIMER_PROF, &each, NULL);
    while (ticks < TICKS) {
        pair_new(&pair, TLS1_2);
        if (strcmp(pair_staple(&pair), host->expected) != 0) {
            disturbed++;
        }
        pair_free(&pair);
    }
    return disturbed ? "disturbed" : "undisturbed";
}

/* Each context is made behind the shim's back, and is this thread's own. */
static void *sets_callbacks(void *arg)
{
    SSL_CTX *(*unseen)(const SSL_METHOD *);
    *(void **)&unseen =
        dlsym(dlopen(the_host->image, RTLD_NOW | RTLD_LOCAL), "SSL_CTX_new");
    for (int i = 0; i < UNSEEN; i++) {
        SSL_CTX *ctx = unseen(L.TLS_method ? L.TLS_method() : L.TLSv1_2_method());
        disturbed += ctx_set_status_cb(ctx, scripted_callback) != 1;
        L.SSL_CTX_free(ctx);
    }
    return arg;
}

static const char *unseen_contexts(const struct host *host)
{
    static char text[64];
    pthread_t threads[UNSEEN_THREADS];
    host_open(host);
    /* The shim is opened late; by name nothing is left to the libssl if it refuses. */
    libssl_open(host->image, host->more[0], ROUTE_NAMED);
    for (int i = 0; i < UNSEEN_THREADS; i++) {
        create(&threads[i], NULL, sets_callbacks);
    }
    for (int i = 0; i < UNSEEN_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    snprintf(text, sizeof(text), "%d failed", disturbed);
    return text;
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    the_host = &host;
    char all[64];
    snprintf(all, sizeof(all), "%d of %d", THREADS, THREADS);
    check_text("32 threads make the first contexts at once", child_says(all_at_once, &host),
               all);
    check_text("a thread with a stack of 64 KiB", child_says(small_stack, &host),
               "all stapled");
    if (!host.preloaded) {
        check_text("4 threads set callbacks on contexts made unseen",
                   child_says(unseen_contexts, &host), "0 failed");
    }
    check_text("SIGPROF at 1 kHz", child_says(profiler, &host), "undisturbed");
    peers_unload();
    return 0;
}
