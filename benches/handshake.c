/*
 * Handshakes over memory BIOs, for counting instructions and time.
 *
 *     handshake CERT KEY COUNT tls1.2|tls1.3 [--ask] [--native RESPONSE] [--child MORE]
 *
 * --ask: the client sends status_request. --native: the server staples the file by a
 * callback of its own. --child: after COUNT handshakes a forked child makes MORE, which
 * must bring a response as the parent's did. Prints the number of handshakes that brought
 * a response, and the nanoseconds of processor time that all took.
 *
 * Every handshake draws the same random numbers, so that two runs differ only by what
 * is measured: those of a signature alone make a difference of thousands of instructions.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#define _GNU_SOURCE
#include "ends.h"

#include <openssl/rand.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned long drawn;

/* No random numbers at all, but the same ones again: xorshift. */
static int draw(unsigned char *bytes, int length)
{
    for (int at = 0; at < length; at++) {
        drawn ^= drawn << 13;
        drawn ^= drawn >> 7;
        drawn ^= drawn << 17;
        bytes[at] = drawn >> 24;
    }
    return 1;
}

static int has_random(void)
{
    return 1;
}

static const RAND_METHOD same_again = {.bytes = draw, .pseudorand = draw, .status = has_random};

static int handshakes(SSL_CTX *client, SSL_CTX *server, int count, int ask)
{
    int stapled = 0;
    for (int at = 0; at < count; at++) {
        drawn = 0x9e3779b97f4a7c15;
        stapled += handshake(client, server, ask);
    }
    return stapled;
}

static long long processor_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int count, char **words)
{
    if (count < 5) {
        fprintf(stderr, "usage: handshake CERT KEY COUNT tls1.2|tls1.3 [--ask] "
                        "[--native RESPONSE] [--child MORE]\n");
        return 2;
    }
    int ask = 0, more = -1, wanted = atoi(words[3]);
    check(RAND_set_rand_method(&same_again), "RAND_set_rand_method");
    SSL_CTX *server = server_context(words[1], words[2], words[4]);
    SSL_CTX *client = client_context();
    for (int at = 5; at < count; at++) {
        if (strcmp(words[at], "--ask") == 0) {
            ask = 1;
        } else if (strcmp(words[at], "--native") == 0 && at + 1 < count) {
            staple_natively(server, words[++at]);
        } else if (strcmp(words[at], "--child") == 0 && at + 1 < count) {
            more = atoi(words[++at]);
        }
    }
    long long start = processor_time();
    int stapled = handshakes(client, server, wanted, ask);
    long long spent = processor_time() - start;
    if (more >= 0) {
        pid_t child = fork();
        check(child >= 0, "fork");
        if (child == 0) {
            _exit(handshakes(client, server, more, ask) != (stapled > 0 ? more : 0));
        }
        int status;
        check(waitpid(child, &status, 0) == child && status == 0, "the child's handshake");
    }
    printf("%d %lld\n", stapled, spent);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
