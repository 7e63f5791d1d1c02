/*
 * What the hostile hosts share. Each is started as
 *
 *     PROGRAM IMAGE PKI alone|preloaded [MORE...]
 *
 * and prints one line for each check: "pass<TAB>LABEL" or "fail<TAB>LABEL: what was
 * found". Alone, the same program shows that the libssl stands by itself what is done to
 * it, and receives no staple; preloaded, it must receive one.
 */
#ifndef HOSTS_HOST_H
#define HOSTS_HOST_H

#ifdef __cplusplus
extern "C" {
#define _Noreturn [[noreturn]]
#endif

#include "../facts.h"
#include "../libssl.h"
#include "../peers.h"

/* Seconds after which a child counts as stuck. */
enum { CHILD_LIMIT = 60 };

/* The arguments, and what follows them. */
struct host {
    const char *image, *pki;
    int preloaded;
    /* What a handshake should receive: "none" alone. */
    const char *expected;
    char **more;
    int more_count;
};

/* Reads the arguments, and what the driver minted. The libssl is not opened yet. */
struct host host_begin(int count, char **arguments);

/* Opens the image as a plugin would: locally, the shim's functions first. */
void host_open(const struct host *host);

/*
 * A function that libssl.h does not list: the shim's, the image's or its libcrypto's. Where
 * there is none, the first ends the process, and the second returns NULL.
 */
any_function host_function(const struct host *host, const char *name);
any_function host_function_if_any(const struct host *host, const char *name);

__attribute__((format(printf, 3, 4))) void check(int good, const char *label,
                                                 const char *format, ...);

/* check that two texts are equal. */
void check_text(const char *label, const char *found, const char *expected);

/* A client's context that asks for a staple and a server's, with the driver's "server". */
struct pair {
    SSL_CTX *client, *server;
};

void pair_new(struct pair *pair, enum protocol protocol);
void pair_free(struct pair *pair);

/* One handshake: which response the client received ("none"), or how it ended. */
const char *pair_staple(const struct pair *pair);

/*
 * Runs body in a forked child: what it returns, or "signal NUMBER" or "exit STATUS" if
 * it did not return.
 */
const char *child_says(const char *(*body)(const struct host *), const struct host *host);

#ifdef __cplusplus
}
#endif
#endif
