/*
 * Resumption under a client policy: no certificate and no response is shown in it, so
 * only the session of a handshake that was checked may be offered (CVE-2024-0853).
 */
#define _GNU_SOURCE
#include "client_policy.h"
#include "facts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, OPTION_NO_TICKET = 0x4000 };

/* A handshake of which the session is kept, whether it was completed or not. */
static SSL_SESSION *first_session(struct pair *pair, int status_type)
{
    struct peers peers;
    peers_new(&peers, pair->client, pair->server);
    if (status_type) {
        set_status_type(peers.client, status_type);
    }
    shake_hands(&peers);
    peers_read(&peers);
    SSL_SESSION *session = L.SSL_get1_session(peers.client);
    peers_free(&peers);
    return session;
}

/* A handshake that offers the session: "resumed", or "full, " and what came of it. */
static const char *second_handshake(struct pair *pair, SSL_SESSION *session,
                                    SSL_SESSION *instead_of)
{
    static _Thread_local char text[200];
    struct peers peers;
    peers_new(&peers, pair->client, pair->server);
    if (instead_of) {
        L.SSL_set_session(peers.client, instead_of);
    }
    int set = session ? L.SSL_set_session(peers.client, session) : 1;
    const char *outcome = shake_hands(&peers);
    if (set != 1) {
        snprintf(text, sizeof(text), "SSL_set_session returned %d", set);
    } else if (strcmp(outcome, "done") == 0 && resumed(peers.client)) {
        snprintf(text, sizeof(text), "resumed");
    } else {
        snprintf(text, sizeof(text), "full, %s", outcome);
    }
    peers_free(&peers);
    return text;
}

static void free_session(SSL_SESSION *session)
{
    if (session) {
        L.SSL_SESSION_free(session);
    }
}

/* As a program does that keeps sessions in a file or copies them. */
static SSL_SESSION *written_and_read(SSL_SESSION *session)
{
    int length = L.i2d_SSL_SESSION(session, NULL);
    unsigned char *der = length > 0 ? malloc((size_t)length) : NULL, *end = der;
    if (!der) {
        broken("i2d_SSL_SESSION");
    }
    L.i2d_SSL_SESSION(session, &end);
    const unsigned char *at = der;
    SSL_SESSION *copy = L.d2i_SSL_SESSION(NULL, &at, length);
    free(der);
    if (!copy) {
        broken("d2i_SSL_SESSION");
    }
    return copy;
}

/* The server staples one thing to the first handshake and another to the second. */
static void resumption_fact(enum protocol protocol, const char *label, const struct blob *first,
                            const struct blob *second)
{
    struct pair pair;
    pair_new(&pair, protocol, "server", first);
    SSL_SESSION *session = first_session(&pair, 0);
    pair_staple(&pair, second);
    fact(label, "%s", second_handshake(&pair, session, NULL));
    free_session(session);
    pair_free(&pair);
}

/* Sessions that nobody checked: written out and read again, or never asked for. */
static void unmarked_facts(enum protocol protocol)
{
    struct pair pair;
    pair_new(&pair, protocol, "server", &responses[STAPLE]);
    SSL_SESSION *checked = first_session(&pair, 0);
    SSL_SESSION *copy = written_and_read(checked);
    SSL_SESSION *unasked = first_session(&pair, TYPE_NONE);
    fact("session.written_out", "%s", second_handshake(&pair, copy, NULL));
    fact("session.unasked", "%s", second_handshake(&pair, unasked, NULL));
    fact("session.unasked_set_last", "%s", second_handshake(&pair, unasked, checked));
    fact("session.checked_set_last", "%s", second_handshake(&pair, checked, unasked));
    pair_staple(&pair, &responses[REVOKED]);
    fact("session.written_out_then_revoked", "%s", second_handshake(&pair, copy, NULL));
    fact("session.unasked_then_revoked", "%s", second_handshake(&pair, unasked, NULL));
    free_session(copy);
    free_session(unasked);
    free_session(checked);
    pair_free(&pair);
}

void session_facts(enum protocol protocol)
{
    struct pair pair;
    resumption_fact(protocol, "session.good", &responses[STAPLE], &responses[STAPLE]);
    resumption_fact(protocol, "session.good_then_revoked", &responses[STAPLE],
                    &responses[REVOKED]);
    resumption_fact(protocol, "session.none", NULL, NULL);
    resumption_fact(protocol, "session.refused", &responses[REVOKED], &responses[REVOKED]);
    resumption_fact(protocol, "session.refused_then_good", &responses[REVOKED],
                    &responses[STAPLE]);

    /* The server remembers the session, instead of the client its ticket. */
    pair_new(&pair, protocol, "server", &responses[STAPLE]);
    add_option(pair.server, OPTION_NO_TICKET);
    SSL_SESSION *session = first_session(&pair, 0);
    fact("session.by_id", "%s", second_handshake(&pair, session, NULL));
    free_session(session);
    pair_free(&pair);

    unmarked_facts(protocol);
}

static struct pair shared_pair;
static SSL_SESSION *shared_session;
static atomic_int count_resumed;
static pthread_barrier_t start;

static void *resume_shared(void *arg)
{
    pthread_barrier_wait(&start);
    const char *outcome = second_handshake(&shared_pair, shared_session, NULL);
    count_resumed += strcmp(outcome, "resumed") == 0;
    return arg;
}

void shared_session_fact(enum protocol protocol)
{
    pthread_t threads[THREADS];
    pair_new(&shared_pair, protocol, "server", &responses[STAPLE]);
    shared_session = first_session(&shared_pair, 0);
    count_resumed = 0;
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, resume_shared, NULL) != 0) {
            broken("pthread_create");
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&start);
    fact("session.shared_by_threads", "%d resumed", count_resumed);
    free_session(shared_session);
    pair_free(&shared_pair);
}
