/*
 * Handshakes over memory BIOs, for counting instructions and time.
 *
 *     handshake CERT KEY COUNT tls1.2|tls1.3 [--ask] [--native RESPONSE] [--child MORE]
 *               [--still] [--present same|fresh|hashed] [--open]
 *
 * --ask: the client sends status_request. --native: the server staples the file by a
 * callback of its own. --child: after COUNT handshakes a forked child makes MORE, which
 * must bring a response as the parent's did. --still: time(2) stands, so that nothing falls
 * due by how long a run takes. --present: the certificate is chosen for each
 * connection, by a callback that gives it to the SSL: always the same X509, or a fresh one,
 * or a fresh one whose SHA-256 the program asks for first. --open: the servers' ends stay
 * open until all handshakes are over. Prints the number of handshakes that brought a
 * response, the nanoseconds of processor time that all took, and, after --open, the bytes
 * of the heap for each connection that is open.
 *
 * Every handshake draws the same random numbers, so that two runs differ only by what
 * is measured: those of a signature alone make a difference of thousands of instructions.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#define _GNU_SOURCE
#include "ends.h"

#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
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

/* What is presented for each connection. */
static struct {
    X509 *same;
    EVP_PKEY *key;
    unsigned char *der;
    int length, fresh, hashed;
} own;

/* The server's certificate callback. Its name is what the count of instructions goes by. */
__attribute__((noinline)) static int present(SSL *ssl, void *arg)
{
    (void)arg;
    X509 *certificate = own.same;
    if (own.fresh) {
        const unsigned char *at = own.der;
        certificate = d2i_X509(NULL, &at, own.length);
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length;
    int done = certificate != NULL
               && (!own.hashed || X509_digest(certificate, EVP_sha256(), digest, &length))
               && SSL_use_certificate(ssl, certificate) && SSL_use_PrivateKey(ssl, own.key);
    if (own.fresh) {
        X509_free(certificate);
    }
    return done;
}

/* A context that has no certificate itself. */
static void present_for_each(SSL_CTX **server, const char *manner, const char *version)
{
    X509 *loaded = SSL_CTX_get0_certificate(*server);
    own.key = SSL_CTX_get0_privatekey(*server);
    own.length = i2d_X509(loaded, &own.der);
    check(own.length > 0 && EVP_PKEY_up_ref(own.key), "reading the certificate");
    /* An X509 that no context has ever had. */
    const unsigned char *at = own.der;
    own.same = d2i_X509(NULL, &at, own.length);
    check(own.same != NULL, "copying the certificate");
    own.hashed = strcmp(manner, "hashed") == 0;
    own.fresh = own.hashed || strcmp(manner, "fresh") == 0;
    SSL_CTX_free(*server);
    *server = server_without_certificate(version);
    SSL_CTX_set_cert_cb(*server, present, NULL);
}

/* Keeps the servers' ends: the bytes of the heap for each. */
static long open_handshakes(SSL_CTX *client, SSL_CTX *server, int count, int ask, int *stapled)
{
    SSL **open = calloc(count, sizeof *open);
    check(open != NULL, "calloc");
    size_t before = mallinfo2().uordblks;
    for (int at = 0; at < count; at++) {
        drawn = 0x9e3779b97f4a7c15;
        *stapled += handshake_kept(client, server, ask, &open[at]);
    }
    long spent = mallinfo2().uordblks - before;
    for (int at = 0; at < count; at++) {
        SSL_free(open[at]);
    }
    free(open);
    return spent / count;
}

/* The time that the shim and libssl see, if it is to stand. */
static time_t still;

time_t time(time_t *into)
{
    struct timespec now = {.tv_sec = still};
    if (still == 0) {
        clock_gettime(CLOCK_REALTIME, &now);
    }
    if (into != NULL) {
        *into = now.tv_sec;
    }
    return now.tv_sec;
}

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
                        "[--native RESPONSE] [--child MORE] [--still] "
                        "[--present same|fresh|hashed] [--open]\n");
        return 2;
    }
    int ask = 0, open = 0, more = -1, wanted = atoi(words[3]);
    const char *presents = NULL, *staples = NULL;
    check(RAND_set_rand_method(&same_again), "RAND_set_rand_method");
    SSL_CTX *server = server_context(words[1], words[2], words[4]);
    SSL_CTX *client = client_context();
    for (int at = 5; at < count; at++) {
        if (strcmp(words[at], "--ask") == 0) {
            ask = 1;
        } else if (strcmp(words[at], "--native") == 0 && at + 1 < count) {
            staples = words[++at];
        } else if (strcmp(words[at], "--child") == 0 && at + 1 < count) {
            more = atoi(words[++at]);
        } else if (strcmp(words[at], "--present") == 0 && at + 1 < count) {
            presents = words[++at];
        } else if (strcmp(words[at], "--still") == 0) {
            still = time(NULL);
        } else if (strcmp(words[at], "--open") == 0) {
            open = 1;
        }
    }
    if (presents) {
        present_for_each(&server, presents, words[4]);
    }
    if (staples) {
        staple_natively(server, staples);
    }
    int stapled = 0;
    long bytes = 0;
    if (open) {
        /* What is made once is no connection's. */
        handshakes(client, server, 2, ask);
        bytes = open_handshakes(client, server, wanted, ask, &stapled);
        wanted = 0;
    }
    long long start = processor_time();
    stapled += handshakes(client, server, wanted, ask);
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
    printf("%d %lld %ld\n", stapled, spent, bytes);
    X509_free(own.same);
    EVP_PKEY_free(own.key);
    OPENSSL_free(own.der);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
