/*
 * fork for each connection, fork while threads are inside the library, vfork and exec.
 *
 *     forks IMAGE PKI alone|preloaded PROGRAM-TO-RUN
 */
#define _GNU_SOURCE
#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 20, THREADS = 4 };

static struct pair pair;
static atomic_int stop, busy;

static const char *in_child(const struct host *host)
{
    (void)host;
    return pair_staple(&pair);
}

/* How many children were as expected before one was not. */
static int children_with(const struct host *host)
{
    int good = 0;
    while (good < CHILDREN && strcmp(child_says(in_child, host), host->expected) == 0) {
        good++;
    }
    return good;
}

/*
 * Calls of which the shim does most and libssl little: what libssl locks in a handshake
 * may stay locked in a forked child for good, with or without a shim.
 */
static void *inside(void *arg)
{
    SSL_CTX *ctx = client_context(TLS1_2);
    SSL *ssl = L.SSL_new(ctx);
    busy++;
    while (!stop) {
        unsigned char *response;
        void *argument;
        set_response(ssl, copy_of(&responses[STAPLE]), responses[STAPLE].length);
        get_response(ssl, &response);
        ctx_set_status_cb(ctx, scripted_callback);
        ctx_set_status_arg(ctx, ctx);
        ctx_get_status_arg(ctx, &argument);
        ctx_set_status_type(ctx, TYPE_OCSP);
    }
    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
    return arg;
}

static int while_threads_run(const struct host *host)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, inside, NULL) != 0) {
            broken("pthread_create");
        }
    }
    while (busy < THREADS) {
    }
    int good = children_with(host);
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    return good;
}

static int run(const char *program)
{
    int status;
    pid_t child = vfork();
    if (child == 0) {
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    host_open(&host);
    pair_new(&pair, TLS1_2);
    int good = children_with(&host);
    check(good == CHILDREN, "fork for each connection", "%d of %d", good, CHILDREN);
    good = while_threads_run(&host);
    check(good == CHILDREN, "fork while threads run", "%d of %d", good, CHILDREN);
    int status = run(host.more[0]);
    check(status == 0, "vfork and exec", "status %d", status);
    check_text("after it in the parent", pair_staple(&pair), host.expected);
    pair_free(&pair);
    peers_unload();
    return 0;
}
