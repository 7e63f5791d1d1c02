/*
 * What programs do late: load a certificate within the handshake, or once more into a
 * context that has had a thousand; set a callback or responses on a connection that was
 * stapled for, or may be; look at a connection that asked for nothing.
 *
 *     late IMAGE PKI alone|preloaded within|outside|often|after|jump|type [SPOOL|RESPONSE]
 */
#define _GNU_SOURCE
#include "host.h"

#include <dirent.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PEM_FILE = 1,
    CTRL_CHAIN_CERT = 89,
    CTRL_GET_CHAIN_CERTS = 115,
    ADD_REFERENCE = 1,
    /* Loads of a certificate that does not change, and by which the heap has settled. */
    LOADS = 3000,
    SETTLED = 1000,
    /* Bytes that the heap may grow by after that. */
    GROWTH = 1 << 16,
    /* Of STAPLEGUN_WAIT, which the driver sets for "within". */
    WAIT_SECONDS = 3
};

static const struct host *the_host;

/* The driver's certificate that names a responder, and the key that goes with it. */
static char certificate[4096], key[4096];

/* The files in the spool; with remove they are gone afterwards. */
static int spooled(int remove)
{
    int count = 0;
    char path[4096];
    DIR *directory = opendir(the_host->more[1]);
    if (!directory) {
        broken(the_host->more[1]);
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        count++;
        snprintf(path, sizeof(path), "%s/%s", the_host->more[1], entry->d_name);
        if (remove && unlink(path) != 0) {
            broken(path);
        }
    }
    closedir(directory);
    return count;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The certificate callback: another certificate, by two calls that the shim looks at. */
static int loads_another(SSL *ssl, void *chain)
{
    int (*use_certificate)(SSL *, const char *, int) =
        (int (*)(SSL *, const char *, int))host_function(the_host, "SSL_use_certificate_file");
    int (*use_key)(SSL *, const char *, int) =
        (int (*)(SSL *, const char *, int))host_function(the_host, "SSL_use_PrivateKey_file");
    return use_certificate(ssl, certificate, PEM_FILE) == 1
           && L.SSL_ctrl(ssl, CTRL_CHAIN_CERT, ADD_REFERENCE, stack_item(chain, 0)) == 1
           && use_key(ssl, key, PEM_FILE) == 1;
}

static void within(void)
{
    struct pair pair;
    STACK *chain = NULL;
    void (*set_callback)(SSL_CTX *, int (*)(SSL *, void *), void *) =
        (void (*)(SSL_CTX *, int (*)(SSL *, void *), void *))host_function(the_host, "SSL_CTX_set_cert_cb");
    pair_new(&pair, TLS1_2);
    /* The context's own certificate. */
    spooled(1);
    if (L.SSL_CTX_ctrl(pair.server, CTRL_GET_CHAIN_CERTS, 0, &chain) != 1 || !chain) {
        broken("the server's chain");
    }
    set_callback(pair.server, loads_another, chain);
    double before = seconds();
    check_text("a certificate callback that loads, staple", pair_staple(&pair), "none");
    double took = seconds() - before;
    check(took < WAIT_SECONDS, "a certificate callback that loads, time", "%.3f s", took);
    int count = spooled(1);
    check(count == 0, "a certificate callback that loads, spool", "%d files", count);
    pair_free(&pair);
}

/* That there is something to be left, and that the spool takes it. */
static void outside(void)
{
    SSL_CTX *ctx = server_context(TLS1_2, "server");
    spooled(1);
    if (L.SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1) {
        broken(certificate);
    }
    int count = spooled(1);
    check(count == the_host->preloaded, "the same certificate, loaded before", "%d files",
          count);
    L.SSL_CTX_free(ctx);
}

/* What is allocated; musl does not tell, but what is resident grows with it. */
static size_t in_use(void)
{
#ifdef __GLIBC__
    return mallinfo2().uordblks;
#else
    size_t all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%zu %zu", &all, &resident) != 2) {
        broken("/proc/self/statm");
    }
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
#endif
}

static void often(void)
{
    struct pair pair;
    char path[4096];
    snprintf(path, sizeof(path), "%s/server.pem", the_host->pki);
    pair_new(&pair, TLS1_2);
    check_text("after one load", pair_staple(&pair), the_host->more[1]);
    size_t settled = 0;
    for (int i = 1; i < LOADS; i++) {
        if (L.SSL_CTX_use_certificate_chain_file(pair.server, path) != 1) {
            broken(path);
        }
        if (i == SETTLED) {
            settled = in_use();
        }
    }
    size_t after = in_use();
    check(after < settled + GROWTH, "the memory of 2000 loads", "%zu bytes more",
          after - settled);
    check_text("after 3000 loads", pair_staple(&pair), the_host->more[1]);
    pair_free(&pair);
}

/* A callback where there was none, on an SSL that was stapled for. */
static void callback_after(enum protocol protocol)
{
    struct script script = {.answer = ANSWER_NOACK, .saw = "nothing"};
    struct pair pair;
    struct peers peers;
    char label[64], got[64];

    pair_new(&pair, protocol);
    peers_new(&peers, pair.client, pair.server);
    for (int turn = 0; turn < 2; turn++) {
        if (turn == 1) {
            ctx_set_status_cb(pair.server, scripted_callback);
            ctx_set_status_arg(pair.server, &script);
            L.SSL_clear(peers.client);
            L.SSL_clear(peers.server);
            L.SSL_set_session(peers.client, NULL);
            peers_connect(&peers);
        }
        set_status_type(peers.client, TYPE_OCSP);
        const char *ended = peers_handshake(&peers);
        snprintf(label, sizeof(label), "%s, handshake %d", protocol_name(protocol), turn + 1);
        check_text(label, ended, "done");
        describe_response(peers.client, got, sizeof(got));
        snprintf(label, sizeof(label), "%s, staple %d", protocol_name(protocol), turn + 1);
        check_text(label, got, the_host->expected);
    }
    snprintf(label, sizeof(label), "%s, what a later callback sees", protocol_name(protocol));
    check_text(label, script.saw, "none");
    peers_free(&peers);
    pair_free(&pair);
}

/*
 * The responses that a program set on a server's SSL without a callback are there. As a
 * list they are its answer: with NOACK none goes out, ours neither, with OK they do.
 */
static void responses_after(void)
{
    struct script script = {.answer = ANSWER_NOACK, .saw = "nothing"};
    struct pair pair;
    struct peers peers;
    char got[64];
    STACK *mine = stack_new(), *found = NULL;
    const unsigned char *at = responses[SECOND].bytes;
    stack_push(mine, L.d2i_OCSP_RESPONSE(NULL, &at, responses[SECOND].length));
    pair_new(&pair, TLS1_2);
    peers_new(&peers, pair.client, pair.server);
    long set = set0_responses(peers.server, mine), count = get0_responses(peers.server, &found);
    check(set == 1 && count == 1 && found == mine, "the program's responses",
          "set %ld, get %ld, %s", set, count, found ? "others" : "none");
    ctx_set_status_cb(pair.server, scripted_callback);
    ctx_set_status_arg(pair.server, &script);
    for (int turn = 0; turn < 2; turn++) {
        if (turn == 1) {
            script.answer = ANSWER_OK;
            L.SSL_clear(peers.client);
            L.SSL_clear(peers.server);
            L.SSL_set_session(peers.client, NULL);
            peers_connect(&peers);
        }
        set_status_type(peers.client, TYPE_OCSP);
        check_text("a handshake with a list", peers_handshake(&peers), "done");
        describe_response(peers.client, got, sizeof(got));
        check_text(turn == 0 ? "a list and NOACK" : "a list and OK", got,
                   turn == 0 ? "none" : "second");
    }
    peers_free(&peers);
    pair_free(&pair);
}

static void after(void)
{
    for (enum protocol protocol = TLS1_2; protocol <= DTLS1_2; protocol++) {
        if (speaks(protocol)) {
            callback_after(protocol);
        }
    }
    if (libssl_version() >= 0x030600) {
        responses_after();
    }
}

static jmp_buf out_of_the_loader;

/* AddressSanitizer's, where it is there: what libssl has in hand is lost by the jump. */
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

static int no_password(char *into, int size, int writes, void *arg)
{
    (void)into, (void)size, (void)writes, (void)arg;
    longjmp(out_of_the_loader, 1);
}

/* A program leaves a loader by longjmp, out of the callback that asks for a password. */
static void jump(void)
{
    static const char locked[] = "-----BEGIN CERTIFICATE-----\n"
                                 "Proc-Type: 4,ENCRYPTED\n"
                                 "DEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n"
                                 "\n"
                                 "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8=\n"
                                 "-----END CERTIFICATE-----\n";
    char path[4096];
    snprintf(path, sizeof(path), "%s/locked.pem", the_host->pki);
    FILE *file = fopen(path, "wb");
    if (!file || fputs(locked, file) == EOF || fclose(file) != 0) {
        broken(path);
    }
    SSL_CTX *ctx = new_context(TLS1_2);
    void (*set_callback)(SSL_CTX *, int (*)(char *, int, int, void *)) =
        (void (*)(SSL_CTX *, int (*)(char *, int, int, void *)))host_function(
            the_host, "SSL_CTX_set_default_passwd_cb");
    set_callback(ctx, no_password);
    static volatile int jumped;
    if (__lsan_disable) {
        __lsan_disable();
    }
    if (setjmp(out_of_the_loader) == 0) {
        L.SSL_CTX_use_certificate_chain_file(ctx, path);
    } else {
        jumped = 1;
    }
    if (__lsan_enable) {
        __lsan_enable();
    }
    check(jumped, "a jump out of a loader", "the callback was not called");
    struct pair pair;
    pair_new(&pair, TLS1_2);
    check_text("a certificate that is loaded afterwards", pair_staple(&pair),
               the_host->expected);
    pair_free(&pair);
    L.SSL_CTX_free(ctx);
}

/* What the program has asked for, whatever the shim asks for on its own. */
static void type(void)
{
    SSL_CTX *ctx = client_context(TLS1_2);
    SSL *ssl = L.SSL_new(ctx);
    /* 1.0.2 alone has no getter: 0. */
    int has_getter = libssl_version() >= 0x010100 || the_host->preloaded;
    long found = get_status_type(ssl);
    check(found == (has_getter ? TYPE_NONE : 0), "the type of a fresh SSL", "%ld", found);
    set_status_type(ssl, TYPE_OCSP);
    found = get_status_type(ssl);
    check(found == (has_getter ? TYPE_OCSP : 0), "the type that was set", "%ld", found);
    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(void);
        int words;
    } cases[] = {{"within", within, 2}, {"outside", outside, 2}, {"often", often, 2},
                 {"after", after, 1},   {"jump", jump, 1},       {"type", type, 1}};
    struct host host = host_begin(count, arguments);
    int ran = 0;
    the_host = &host;
    snprintf(certificate, sizeof(certificate), "%s/with-responder.crt", host.pki);
    snprintf(key, sizeof(key), "%s/server.key", host.pki);
    host_open(&host);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (host.more_count == cases[i].words && strcmp(host.more[0], cases[i].name) == 0) {
            cases[i].run();
            ran++;
        }
    }
    if (ran != 1) {
        broken("the arguments");
    }
    peers_unload();
    return 0;
}
