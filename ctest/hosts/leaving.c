/*
 * Which certificates are left in the spool, and when.
 *
 *     leaving IMAGE PKI alone|preloaded CASE STORE
 *
 * STORE is that of STAPLEGUN_DIR. The cases are at the end. Alone nothing is ever left.
 */
#define _GNU_SOURCE
#include "material.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Of STAPLEGUN_WAIT, where the driver sets it. */
    WAIT_SECONDS = 3
};

static const struct host *the_host;
static struct material named, another;
/* The file of the first of them, with its chain. */
static char file[4096], key[4096], spool[4096];

/* The files in the spool, which are gone afterwards. */
static int spooled(void)
{
    int count = 0;
    char path[8192];
    DIR *directory = opendir(spool);
    if (!directory) {
        broken(spool);
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        count++;
        snprintf(path, sizeof(path), "%s/%s", spool, entry->d_name);
        if (unlink(path) != 0) {
            broken(path);
        }
    }
    closedir(directory);
    return count;
}

static void check_spooled(const char *label, int expected)
{
    int count = spooled();
    expected = the_host->preloaded ? expected : 0;
    check(count == expected, label, "%d files in the spool, not %d", count, expected);
}

/* From memory the chain comes after the leaf, so that there may be a file before and after. */
static void check_is_left(const char *label)
{
    int count = spooled();
    check(the_host->preloaded ? count == 1 || count == 2 : count == 0, label,
          "%d files in the spool", count);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void load_file(SSL_CTX *ctx)
{
    if (L.SSL_CTX_use_certificate_chain_file(ctx, file) != 1
        || L.SSL_CTX_use_PrivateKey_file(ctx, key, 1) != 1) {
        broken(file);
    }
}

static void load_memory(const struct material *material)
{
    SSL_CTX *ctx = new_context(TLS1_2);
    load_into_context(the_host, ctx, material);
    L.SSL_CTX_free(ctx);
}

/* Where a server's contexts are made when a client first names them. */
static SSL_CTX *named_context;

static int by_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert, (void)arg;
    if (!named_context) {
        named_context = new_context(TLS1_2);
        load_file(named_context);
    }
    L.SSL_set_SSL_CTX(ssl, named_context);
    return 0;
}

static int by_connection(SSL *ssl, void *arg)
{
    (void)arg;
    return load_into_connection(the_host, ssl, &named);
}

/* A server, whose own certificate was left. */
static struct pair server(void)
{
    struct pair pair = {new_context(TLS1_2), server_context(TLS1_2, "other")};
    spooled();
    return pair;
}

static struct pair server_by_name(void)
{
    struct pair pair = server();
    set_servername_callback(pair.server, by_name);
    return pair;
}

/* A load into a context may come in a handshake: it spends no time. */
static void lazily(void)
{
    struct pair pair = server_by_name();
    double before = seconds();
    check_text("a context that is made in a handshake, staple", staple_by_name(&pair), "none");
    double took = seconds() - before;
    check(took < WAIT_SECONDS, "a context that is made in a handshake, time", "%.3f s", took);
    check_spooled("a context that is made in a handshake", 1);
    pair_free(&pair);
}

/* Nobody waits once there are connections. */
static void after_first(void)
{
    struct pair pair = server();
    L.SSL_free(L.SSL_new(pair.server));
    double before = seconds();
    load_file(pair.server);
    double took = seconds() - before;
    check(took < WAIT_SECONDS, "a load after the first connection, time", "%.3f s", took);
    check_spooled("a load after the first connection", 1);
    pair_free(&pair);
}

/* What a connection chooses is left when the next one is made. */
static void next_connection(int expected)
{
    static const char label[] = "a certificate that is chosen in a handshake";
    struct pair chosen = server(), *pair = &chosen;
    set_certificate_callback(the_host, pair->server, by_connection, NULL);
    static const char *const turns[] = {"in it", "the next connection", "the one after"};
    char text[256];
    for (int turn = 0; turn < 3; turn++) {
        SSL *ssl = NULL;
        if (turn == 0) {
            staple_by_name(pair);
        } else {
            ssl = L.SSL_new(pair->server);
        }
        snprintf(text, sizeof(text), "%s, %s", label, turns[turn]);
        check_spooled(text, turn == 1 ? expected : 0);
        if (ssl) {
            L.SSL_free(ssl);
        }
    }
    /* Once per leaf. */
    staple_by_name(pair);
    staple_by_name(pair);
    snprintf(text, sizeof(text), "%s, again", label);
    check_spooled(text, 0);
    pair_free(pair);
}

static void after_certificate(void)
{
    next_connection(1);
}

/* The server of a handshake in another thread, as far as its status callback has come. */
static struct peers other_peers;
static atomic_int other_thread;

static int staple_junk(SSL *ssl, void *arg)
{
    (void)arg;
    set_response(ssl, copy_of(&responses[OTHER]), responses[OTHER].length);
    if (ssl == other_peers.server) {
        atomic_store(&other_thread, (int)syscall(SYS_gettid));
    }
    return ANSWER_OK;
}

static void *shake_hands(void *arg)
{
    (void)arg;
    peers_handshake(&other_peers);
    return NULL;
}

/* Waits until the other thread has come to its callback, and waits for the lock behind it. */
static void other_thread_waits(void)
{
    for (double until = seconds() + CHILD_LIMIT; seconds() < until; sched_yield()) {
        char path[64], state = 0;
        snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&other_thread));
        FILE *file = atomic_load(&other_thread) ? fopen(path, "r") : NULL;
        int found = file ? fscanf(file, "%*d (%*[^)]) %c", &state) : 0;
        if (file) {
            fclose(file);
        }
        if (found == 1 && state == 'S') {
            return;
        }
    }
    broken("the other thread");
}

/* The next SSL is made while a handshake with the same certificate searches its issuer. */
static void meanwhile(void)
{
    int (*lock)(void *) = (int (*)(void *))host_function_if_any(the_host, "X509_STORE_lock");
    int (*unlock)(void *) = (int (*)(void *))host_function_if_any(the_host, "X509_STORE_unlock");
    void *(*store_of)(const SSL_CTX *)
        = (void *(*)(const SSL_CTX *))host_function(the_host, "SSL_CTX_get_cert_store");
    check(!lock == !unlock, "a store can be locked or not", "only one of the functions");
    if (!lock) {
        return;
    }
    /* Only the store can tell the issuer. */
    struct pair pair = {new_context(TLS1_2), new_context(TLS1_2)};
    spooled();
    named.issuer = NULL;
    set_certificate_callback(the_host, pair.server, by_connection, NULL);
    ctx_set_status_cb(pair.server, staple_junk);
    struct peers first;
    peers_new(&first, pair.client, pair.server);
    peers_new(&other_peers, pair.client, pair.server);
    set_status_type(first.client, TYPE_OCSP);
    set_status_type(other_peers.client, TYPE_OCSP);
    check_text("a handshake", peers_handshake(&first), "done");
    lock(store_of(pair.server));
    pthread_t thread;
    if (pthread_create(&thread, NULL, shake_hands, NULL) != 0) {
        broken("pthread_create");
    }
    other_thread_waits();
    L.SSL_free(L.SSL_new(pair.server));
    unlock(store_of(pair.server));
    pthread_join(thread, NULL);
    L.SSL_free(L.SSL_new(pair.server));
    check_spooled("what another thread was at work on", 1);
    peers_free(&first);
    peers_free(&other_peers);
    pair_free(&pair);
}

/* Without a map nobody is known to read the spool, and a chroot may have hidden it. */
static void without_map(void)
{
    next_connection(0);
    static char text[1 << 16];
    FILE *file = fopen(getenv("STAPLEGUN_LOG"), "r");
    if (file) {
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
    }
    check(!the_host->preloaded || strstr(text, "'staplegun add FILE'"), "what the log says", "%s",
          text);
}

static const char *in_child(const struct host *host)
{
    (void)host;
    load_memory(&named);
    check_spooled("in a child, what its parent left", 0);
    load_memory(&another);
    check_is_left("in a child, another");
    load_memory(&another);
    check_spooled("in a child, another once more", 0);
    return "done";
}

static void from_memory(void)
{
    SSL_CTX *ctx = server_context(TLS1_2, "other");
    spooled();
    load_memory(&named);
    check_is_left("from memory");
    load_memory(&named);
    check_spooled("from memory, once more", 0);
    check_text("a child that loads", child_says(in_child, the_host), "done");
    L.SSL_CTX_free(ctx);
}

/* The certificate of a client. */
static void of_client(void)
{
    const SSL_METHOD *(*method)(void)
        = (const SSL_METHOD *(*)(void))host_function_if_any(the_host, "TLS_client_method");
    if (!method) {
        method = (const SSL_METHOD *(*)(void))host_function(the_host, "TLSv1_2_client_method");
    }
    SSL_CTX *ctx = L.SSL_CTX_new(method());
    double before = seconds();
    load_file(ctx);
    double took = seconds() - before;
    check(took < WAIT_SECONDS, "a client's certificate, time", "%.3f s", took);
    check_spooled("a client's certificate", 0);
    L.SSL_CTX_free(ctx);

    /* Of a method for both: the connection tells. */
    int (*use_certificate)(SSL *, const char *, int)
        = (int (*)(SSL *, const char *, int))host_function(the_host, "SSL_use_certificate_file");
    ctx = new_context(TLS1_2);
    SSL *ssl = L.SSL_new(ctx);
    L.SSL_set_connect_state(ssl);
    if (use_certificate(ssl, file, 1) != 1) {
        broken(file);
    }
    check_spooled("the certificate of a client's connection", 0);
    L.SSL_set_accept_state(ssl);
    if (use_certificate(ssl, file, 1) != 1) {
        broken(file);
    }
    check_is_left("the same of a server's connection");
    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
}

/* A load by path, in a program that is started by whoever the driver says. */
static void once(void)
{
    SSL_CTX *ctx = new_context(TLS1_2);
    load_file(ctx);
    check_spooled("a load by path", 1);
    L.SSL_CTX_free(ctx);
}

/* The agent is installed while the server runs, or the disk was full. */
static void once_it_can(void)
{
    SSL_CTX *ctx = new_context(TLS1_2);
    if (rmdir(spool) != 0) {
        broken(spool);
    }
    load_file(ctx);
    if (mkdir(spool, 0755) != 0) {
        broken(spool);
    }
    check_spooled("while there was no spool", 0);
    struct pair pair = {new_context(TLS1_2), ctx};
    pair_staple(&pair);
    check_spooled("a handshake tries nothing again", 0);
    load_file(ctx);
    check_spooled("once there is a spool", 1);
    load_file(ctx);
    check_spooled("once it was left", 0);
    pair_free(&pair);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"lazily", lazily},           {"after-certificate", after_certificate},
        {"without-map", without_map}, {"meanwhile", meanwhile},
        {"from-memory", from_memory}, {"of-client", of_client},
        {"once-it-can", once_it_can}, {"after-first", after_first},
        {"once", once},
    };
    struct host host = host_begin(count, arguments);
    the_host = &host;
    if (host.more_count != 2) {
        broken("the arguments");
    }
    snprintf(spool, sizeof(spool), "%s/spool", host.more[1]);
    snprintf(file, sizeof(file), "%s/with-responder.pem", host.pki);
    snprintf(key, sizeof(key), "%s/server.key", host.pki);
    spooled();
    host_open(&host);
    named = material_read(&host, "with-responder", "server");
    another = material_read(&host, "with-responder-2", "server");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (strcmp(cases[i].name, host.more[0]) == 0) {
            cases[i].run();
            return 0;
        }
    }
    broken("no such case");
}
