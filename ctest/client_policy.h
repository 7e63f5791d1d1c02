/* What the two halves of client_policy share. */
#ifndef CTEST_CLIENT_POLICY_H
#define CTEST_CLIENT_POLICY_H

#include "peers.h"

/* A client's and a server's context, and what the server's callback staples. */
struct pair {
    SSL_CTX *client, *server;
    struct script answers;
};

/* The server presents "server" and the like; what is NULL to staple nothing. */
void pair_new(struct pair *pair, enum protocol protocol, const char *certificate,
              const struct blob *what);
void pair_free(struct pair *pair);

/* Changes what the server staples. */
void pair_staple(struct pair *pair, const struct blob *what);

/*
 * Shakes hands. The text is "done", or the first entry of the client's error queue and
 * the alert that the server received. It is valid until the next call.
 */
const char *shake_hands(struct peers *peers);

/* What becomes of sessions, and then of one that threads share. */
void session_facts(enum protocol protocol);
void shared_session_fact(enum protocol protocol);

#endif
