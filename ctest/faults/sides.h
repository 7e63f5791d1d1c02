/*
 * Both sides of a scene: a client that asks, a server that may answer, and the facts that
 * their handshake gives.
 */
#ifndef FAULTS_SIDES_H
#define FAULTS_SIDES_H

#include "../libssl.h"
#include "../peers.h"

struct sides {
    SSL_CTX *client, *server;
    struct script asks, answers;
};

/* Where the minted files are, the image, and whether faults are for handshakes only. */
void sides_begin(const char *pki, const char *image, int in_handshakes_only);

/* A function that not every libssl has, by way of the shim if that has it. */
void *any_function_named(const char *name);
#define FUNCTION(result, name, arguments) result(*name) arguments = any_function_named(#name)

/* The image's own function, past the shim. */
void *function_of_image(const char *name);

/* The path of a minted file, until the next call. */
const char *path_of(const char *name);

/* A client with a callback, and a server with this certificate and none. */
void sides_new(struct sides *sides, enum protocol protocol, const char *certificate);

/* Gives the server a callback that answers so, with this response if any. */
void sides_answer(struct sides *sides, int answer, const struct blob *response);
void sides_free(struct sides *sides);

/* Where faults are for handshakes only: from now on they are there, or not. */
void sides_arm(int armed);

/* Has the client ask, which is a fact of that name. */
void ask(struct peers *peers, const char *label);

/* Whether the response that the server's callback set was taken. */
void print_set_in_callback(void);

/* A handshake, with its facts printed or not. */
const char *shake_hands(struct peers *peers);
void print_end(struct sides *sides, struct peers *peers, const char *ended);
void connect_and_print(struct sides *sides);

#endif
