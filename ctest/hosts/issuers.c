/*
 * Servers whose certificate's file holds the leaf alone, and that tell libssl of its issuer
 * in some other way, after they loaded it.
 *
 *     issuers IMAGE PKI alone|preloaded WAY SPOOL
 *
 * Preloaded a client must receive "staple" by a file, and the agent must be told of both:
 * what is left in the spool ends with the issuer. The ways are at the end; one that the
 * image does not have is passed over.
 */
#define _GNU_SOURCE
#include "material.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct x509_store_st X509_STORE;

enum {
    PEM_FILE = 1,
    CTRL_EXTRA_CHAIN_CERT = 14,
    CTRL_MODE = 33,
    MODE_NO_AUTO_CHAIN = 8,
    CTRL_CHAIN_CERT = 89,
    CTRL_BUILD_CHAIN = 105,
    CTRL_CHAIN_STORE = 107,
    ADD_REFERENCE = 1,
    /* SSL_BUILD_CHAIN_FLAG_: errors are no failure, and leave the queue. */
    WITHOUT_ROOT = 0x2,
    IGNORE_ERRORS = 0x18,
    LOOK_IS_DUE = 1100,
    LOOKS = 8
};

static const struct host *the_host;
static char issuer_file[4096], hashed_directory[4096];
static X509 *issuer, *root;
static unsigned char issuer_der[8192];
static int issuer_length;

/* How many files in the spool end with the issuer; all are gone afterwards. */
static int spooled_whole(void)
{
    static unsigned char bytes[1 << 17];
    int count = 0;
    char path[8192];
    DIR *directory = opendir(the_host->more[1]);
    if (!directory) {
        broken(the_host->more[1]);
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", the_host->more[1], entry->d_name);
        FILE *file = fopen(path, "rb");
        if (!file) {
            broken(path);
        }
        int length = (int)fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        count += length > issuer_length
                 && memcmp(bytes + length - issuer_length, issuer_der, (size_t)issuer_length) == 0;
        if (unlink(path) != 0) {
            broken(path);
        }
    }
    closedir(directory);
    return count;
}

static void check_told(const char *label, int expected)
{
    int count = spooled_whole();
    expected = the_host->preloaded ? expected : 0;
    check(count == expected, label, "%d with their issuer, not %d", count, expected);
}

/* The leaf of NAME.crt alone. */
static void load_leaf(SSL_CTX *ctx, const char *name, const char *key_name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.crt", the_host->pki, name);
    if (L.SSL_CTX_use_certificate_chain_file(ctx, path) != 1) {
        broken(path);
    }
    snprintf(path, sizeof(path), "%s/%s.key", the_host->pki, key_name);
    if (L.SSL_CTX_use_PrivateKey_file(ctx, path, PEM_FILE) != 1) {
        broken(path);
    }
}

#define FUNCTION(type, name) ((type)host_function_if_any(the_host, name))
typedef int (*of_context)(SSL_CTX *);
typedef int (*of_context_and_path)(SSL_CTX *, const char *);

static X509_STORE *store_with_issuer(void)
{
    X509_STORE *store = FUNCTION(X509_STORE * (*)(void), "X509_STORE_new")();
    if (FUNCTION(int (*)(X509_STORE *, X509 *), "X509_STORE_add_cert")(store, issuer) != 1) {
        broken("X509_STORE_add_cert");
    }
    return store;
}

static int add_to_store(SSL_CTX *ctx)
{
    X509_STORE *store
        = FUNCTION(X509_STORE * (*)(const SSL_CTX *), "SSL_CTX_get_cert_store")(ctx);
    int (*add)(X509_STORE *, X509 *)
        = FUNCTION(int (*)(X509_STORE *, X509 *), "X509_STORE_add_cert");
    return add(store, issuer) == 1 && add(store, root) == 1;
}

static int by_locations(SSL_CTX *ctx)
{
    return L.SSL_CTX_load_verify_locations(ctx, issuer_file, NULL);
}

static int by_directory(SSL_CTX *ctx)
{
    return L.SSL_CTX_load_verify_locations(ctx, NULL, hashed_directory);
}

/* -1: the image has no such function. */
static int by_path(SSL_CTX *ctx, const char *name, const char *path)
{
    of_context_and_path load = FUNCTION(of_context_and_path, name);
    return load ? load(ctx, path) : -1;
}

static int by_verify_file(SSL_CTX *ctx)
{
    return by_path(ctx, "SSL_CTX_load_verify_file", issuer_file);
}

static int by_verify_dir(SSL_CTX *ctx)
{
    return by_path(ctx, "SSL_CTX_load_verify_dir", hashed_directory);
}

static int by_verify_store(SSL_CTX *ctx)
{
    return by_path(ctx, "SSL_CTX_load_verify_store", issuer_file);
}

static int by_default(SSL_CTX *ctx, const char *name)
{
    of_context load = FUNCTION(of_context, name);
    return load ? load(ctx) : -1;
}

static int by_default_paths(SSL_CTX *ctx)
{
    return by_default(ctx, "SSL_CTX_set_default_verify_paths");
}

static int by_default_file(SSL_CTX *ctx)
{
    return by_default(ctx, "SSL_CTX_set_default_verify_file");
}

static int by_default_dir(SSL_CTX *ctx)
{
    return by_default(ctx, "SSL_CTX_set_default_verify_dir");
}

static int by_cert_store(SSL_CTX *ctx)
{
    FUNCTION(void (*)(SSL_CTX *, X509_STORE *), "SSL_CTX_set_cert_store")
    (ctx, store_with_issuer());
    return 1;
}

static int by_cert_store_1(SSL_CTX *ctx)
{
    void (*set)(SSL_CTX *, X509_STORE *)
        = FUNCTION(void (*)(SSL_CTX *, X509_STORE *), "SSL_CTX_set1_cert_store");
    if (!set) {
        return -1;
    }
    X509_STORE *store = store_with_issuer();
    set(ctx, store);
    FUNCTION(void (*)(X509_STORE *), "X509_STORE_free")(store);
    return 1;
}

static int by_chain_store(SSL_CTX *ctx)
{
    if (libssl_version() < 0x010101) {
        /* It does not say which store this is. */
        return -1;
    }
    return (int)L.SSL_CTX_ctrl(ctx, CTRL_CHAIN_STORE, 0, store_with_issuer());
}

static int by_building(SSL_CTX *ctx)
{
    int added = add_to_store(ctx);
    return added != 1
               ? added
               : L.SSL_CTX_ctrl(ctx, CTRL_BUILD_CHAIN, WITHOUT_ROOT | IGNORE_ERRORS, NULL) > 0;
}

static int by_chain(SSL_CTX *ctx)
{
    return (int)L.SSL_CTX_ctrl(ctx, CTRL_CHAIN_CERT, ADD_REFERENCE, issuer);
}

static void check_staple(const char *label, SSL_CTX *ctx, const char *expected)
{
    struct pair pair = {new_context(TLS1_2), ctx};
    check_text(label, pair_staple(&pair), the_host->preloaded ? expected : "none");
    L.SSL_CTX_free(pair.client);
}

/* Tells of the issuer after the leaf; whether the image can. */
static int told(SSL_CTX *ctx, int (*way)(SSL_CTX *))
{
    int done = way(ctx);
    if (done == 0) {
        broken(the_host->more[0]);
    }
    return done == 1;
}

static void hold(int (*way)(SSL_CTX *))
{
    SSL_CTX *ctx = new_context(TLS1_2);
    load_leaf(ctx, "with-responder", "server");
    check_told("before the issuer is known", 0);
    if (!told(ctx, way)) {
        printf("pass\tnot in this image\n");
        return;
    }
    check_told("the agent", way == add_to_store ? 0 : 1);
    L.SSL_CTX_free(ctx);
    ctx = new_context(TLS1_2);
    load_leaf(ctx, "server", "server");
    told(ctx, way);
    /* Found in the handshake; a store of 1.0.2 lets nobody look into its memory. */
    int hidden = way == add_to_store && libssl_version() < 0x010100;
    check_staple("from a file", ctx, hidden ? "none" : "staple");
    L.SSL_CTX_free(ctx);
}

/* Certificates for two kinds of keys, then the CA. */
static void two_kinds(void)
{
    SSL_CTX *ctx = new_context(TLS1_2);
    load_leaf(ctx, "rsa", "rsa");
    load_leaf(ctx, "with-responder", "server");
    check_told("two kinds of keys, before the issuer is known", 0);
    if (by_locations(ctx) != 1) {
        broken(issuer_file);
    }
    check_told("two kinds of keys", 2);
    L.SSL_CTX_free(ctx);
}

/* A connection with a certificate of its own, whose chain is told before its handshake. */
static void of_a_connection(void)
{
    char path[4096];
    SSL_CTX *ctx = new_context(TLS1_2);
    SSL *ssl = L.SSL_new(ctx);
    int (*use_certificate)(SSL *, const char *, int)
        = FUNCTION(int (*)(SSL *, const char *, int), "SSL_use_certificate_file");
    L.SSL_set_accept_state(ssl);
    snprintf(path, sizeof(path), "%s/with-responder.crt", the_host->pki);
    if (use_certificate(ssl, path, PEM_FILE) != 1) {
        broken(path);
    }
    check_told("of a connection, before the issuer is known", 0);
    if (L.SSL_ctrl(ssl, CTRL_CHAIN_CERT, ADD_REFERENCE, issuer) != 1) {
        broken("a connection's chain");
    }
    check_told("of a connection", 1);
    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
}

/*
 * libssl takes the context's store for a chain only where the program gave no chain of its
 * own and did not forbid it; nor is the issuer looked for there in any other handshake.
 */
static void not_for_chains(void)
{
    /* A store of 1.0.2 lets nobody look into its memory, whatever the program allowed. */
    if (libssl_version() < 0x010100) {
        printf("pass\tnot in this image\n");
        return;
    }
    static const char *const labels[]
        = {"the store's CA, with SSL_MODE_NO_AUTO_CHAIN", "the store's CA, beside an extra chain"};
    for (int i = 0; i < 2; i++) {
        SSL_CTX *ctx = new_context(TLS1_2);
        load_leaf(ctx, "server", "server");
        long done = i == 0 ? L.SSL_CTX_ctrl(ctx, CTRL_MODE, MODE_NO_AUTO_CHAIN, NULL)
                           : L.SSL_CTX_ctrl(ctx, CTRL_EXTRA_CHAIN_CERT, 0,
                                            certificate_read(the_host, "other.crt"));
        if (done == 0 || add_to_store(ctx) != 1) {
            broken(labels[i]);
        }
        check_staple(labels[i], ctx, "none");
        L.SSL_CTX_free(ctx);
    }
}

/* The driver's environment names files relative to the directory that this starts in. */
static void relative_names(void)
{
    SSL_CTX *ctx = new_context(TLS1_2);
    if (chdir("/") != 0) {
        broken("chdir");
    }
    load_leaf(ctx, "server", "server");
    check_staple("files that the environment names by a relative path", ctx, "staple");
    L.SSL_CTX_free(ctx);
}

static void put_beside(const struct blob *blob)
{
    FILE *file = fopen("beside.new", "wb");
    if (!file || fwrite(blob->bytes, 1, (size_t)blob->length, file) != (size_t)blob->length
        || fclose(file) != 0 || rename("beside.new", "beside.pem.ocsp") != 0) {
        broken("beside.pem.ocsp");
    }
}

/* A response beside the certificate is renewed after the program has gone elsewhere. */
static void relative_path(void)
{
    SSL_CTX *ctx = new_context(TLS1_2);
    if (chdir(the_host->pki) != 0) {
        broken("chdir");
    }
    put_beside(&responses[EXPIRED]);
    if (L.SSL_CTX_use_certificate_chain_file(ctx, "beside.pem") != 1
        || L.SSL_CTX_use_PrivateKey_file(ctx, "server.key", PEM_FILE) != 1) {
        broken("beside.pem");
    }
    check_staple("an expired response beside it", ctx, "none");
    put_beside(&responses[STAPLE]);
    if (chdir("/") != 0) {
        broken("chdir");
    }
    const char *got = "none";
    struct pair pair = {new_context(TLS1_2), ctx};
    for (int look = 0; look < LOOKS && strcmp(got, "none") == 0; look++) {
        poll(NULL, 0, LOOK_IS_DUE);
        pair_staple(&pair);
        got = pair_staple(&pair);
    }
    check_text("the response beside it is renewed", got, the_host->expected);
    pair_free(&pair);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        int (*way)(SSL_CTX *);
    } ways[] = {
        {"load_verify_locations", by_locations}, {"directory", by_directory},
        {"load_verify_file", by_verify_file},    {"load_verify_dir", by_verify_dir},
        {"load_verify_store", by_verify_store},  {"default_verify_paths", by_default_paths},
        {"default_verify_file", by_default_file}, {"default_verify_dir", by_default_dir},
        {"set_cert_store", by_cert_store},       {"set1_cert_store", by_cert_store_1},
        {"chain_cert_store", by_chain_store},    {"build_cert_chain", by_building},
        {"chain", by_chain},                     {"X509_STORE_add_cert", add_to_store},
    };
    struct host host = host_begin(count, arguments);
    the_host = &host;
    if (host.more_count != 2) {
        broken("the arguments");
    }
    snprintf(issuer_file, sizeof(issuer_file), "%s/intermediate.crt", host.pki);
    snprintf(hashed_directory, sizeof(hashed_directory), "%s/hashed", host.pki);
    host_open(&host);
    issuer = certificate_read(&host, "intermediate.crt");
    root = certificate_read(&host, "ca.crt");
    unsigned char *end = issuer_der;
    issuer_length = ((int (*)(X509 *, unsigned char **))host_function(&host, "i2d_X509"))(
        issuer, &end);
    spooled_whole();
    if (strcmp(host.more[0], "relative_names") == 0) {
        relative_names();
        return 0;
    }
    if (strcmp(host.more[0], "relative_path") == 0) {
        relative_path();
        return 0;
    }
    if (strcmp(host.more[0], "not_for_chains") == 0) {
        not_for_chains();
        return 0;
    }
    if (strcmp(host.more[0], "connection") == 0) {
        of_a_connection();
        return 0;
    }
    if (strcmp(host.more[0], "two_kinds") == 0) {
        two_kinds();
        return 0;
    }
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        if (strcmp(ways[i].name, host.more[0]) == 0) {
            hold(ways[i].way);
            return 0;
        }
    }
    broken("no such way");
}
