/*
 * A server that loads its certificate anew while threads shake hands, the same file again and
 * renewed ones: nobody goes unstapled meanwhile.
 *
 *     reloading IMAGE PKI alone|preloaded anew|in-place NAME...
 *
 * OpenSSL forbids to change an SSL_CTX while another thread makes an SSL from it. So either
 * a new one takes the place of the old one, as most servers do it, or a lock keeps the two
 * apart, and handshakes go on without it. A response for each certificate NAME is named by
 * the driver.
 */
#define _GNU_SOURCE
#include "host.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, LOADS = 60 };

static SSL_CTX *client, *server;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int over, shaken, unstapled, failed;

static void *shakes_hands(void *arg)
{
    while (!over) {
        struct peers peers;
        char got[64];
        pthread_mutex_lock(&lock);
        peers_new(&peers, client, server);
        pthread_mutex_unlock(&lock);
        set_status_type(peers.client, TYPE_OCSP);
        failed += strcmp(peers_handshake(&peers), "done") != 0;
        describe_response(peers.client, got, sizeof(got));
        unstapled += strcmp(got, "none") == 0;
        shaken++;
        peers_free(&peers);
    }
    return arg;
}

/* In the place of what is there. */
static void load(const struct host *host, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.pem", host->pki, name);
    pthread_mutex_lock(&lock);
    if (L.SSL_CTX_use_certificate_chain_file(server, path) != 1) {
        broken(path);
    }
    pthread_mutex_unlock(&lock);
}

static void load_anew(const char *name)
{
    SSL_CTX *after = server_context(TLS1_2, name);
    pthread_mutex_lock(&lock);
    SSL_CTX *before = server;
    server = after;
    pthread_mutex_unlock(&lock);
    L.SSL_CTX_free(before);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    pthread_t threads[THREADS];
    if (host.more_count < 2) {
        broken("the arguments");
    }
    int in_place = strcmp(host.more[0], "in-place") == 0;
    char **names = host.more + 1;
    host_open(&host);
    client = client_context(TLS1_2);
    server = server_context(TLS1_2, names[0]);
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, shakes_hands, NULL) != 0) {
            broken("pthread_create");
        }
    }
    for (int turn = 0; turn < LOADS; turn++) {
        /* The same a few times, then the next one. */
        const char *name = names[turn * (host.more_count - 1) / LOADS];
        if (in_place) {
            load(&host, name);
        } else {
            load_anew(name);
        }
        for (int before = shaken; shaken <= before + THREADS;) {
            sched_yield();
        }
    }
    over = 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    check(failed == 0, "handshakes while the server loads anew", "%d of %d failed", failed, shaken);
    check(unstapled == (host.preloaded ? 0 : shaken), "their staples", "%d of %d without",
          unstapled, shaken);
    L.SSL_CTX_free(server);
    L.SSL_CTX_free(client);
    return 0;
}
