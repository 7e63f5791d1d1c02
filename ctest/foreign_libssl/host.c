/*
 * A program on BoringSSL or AWS-LC, compiled against its headers and linked to its libssl:
 * there the family are real functions, with another libssl's semantics, and the shim must
 * leave them as they are.
 *
 *     host PKI
 *
 * Prints facts (facts.h); what they must be, with and without the shim, stands in
 * expected.tsv.
 */
#define _GNU_SOURCE
#include "../facts.h"

#include <dlfcn.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

static const char *directory;
static unsigned char staple[65536];
static size_t staple_length;

/* What a status callback does and what it saw. */
struct script {
    int answer, calls;
    int sets; /* whether it hands a response over */
    int set;  /* what that returned */
    char saw[32];
};

static const char *path_to(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void must(int good, const char *what)
{
    if (!good) {
        broken(what);
    }
}

static const char *described(const unsigned char *response, size_t length)
{
    if (length == staple_length && memcmp(response, staple, length) == 0) {
        return "staple";
    }
    return length == 0 ? "none" : "something else";
}

static int callback(SSL *ssl, void *arg)
{
    struct script *script = arg;
    const unsigned char *response = NULL;
    size_t length = SSL_get_tlsext_status_ocsp_resp(ssl, &response);
    script->calls++;
    snprintf(script->saw, sizeof(script->saw), "%s", described(response, length));
    if (script->sets) {
        /* It takes the buffer over. */
        unsigned char *copy = OPENSSL_memdup(staple, staple_length);
        must(copy != NULL, "memory");
        script->set = SSL_set_tlsext_status_ocsp_resp(ssl, copy, staple_length);
    }
    return script->answer;
}

static SSL_CTX *context(int version, int with_certificate)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    must(ctx != NULL, "SSL_CTX_new");
    must(SSL_CTX_set_min_proto_version(ctx, version)
             && SSL_CTX_set_max_proto_version(ctx, version), "a protocol");
    if (with_certificate) {
        must(SSL_CTX_use_certificate_chain_file(ctx, path_to("server.pem"))
                 && SSL_CTX_use_PrivateKey_file(ctx, path_to("server.key"), SSL_FILETYPE_PEM),
             "the server's certificate");
    } else {
        must(SSL_CTX_load_verify_locations(ctx, path_to("ca.pem"), NULL), "the root");
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    return ctx;
}

static SSL *connected(SSL_CTX *ctx, BIO *bio)
{
    SSL *ssl = SSL_new(ctx);
    must(ssl != NULL, "SSL_new");
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

/* A handshake; "done", "client refuses", "server refuses" or "stalled". */
static const char *shake(SSL *client, SSL *server)
{
    int at_client = 0, at_server = 0;
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int round = 0; round < 20 && !(at_client == 1 && at_server == 1); round++) {
        at_client = SSL_do_handshake(client);
        if (at_client != 1 && SSL_get_error(client, at_client) != SSL_ERROR_WANT_READ) {
            return "client refuses";
        }
        at_server = SSL_do_handshake(server);
        if (at_server != 1 && SSL_get_error(server, at_server) != SSL_ERROR_WANT_READ) {
            return "server refuses";
        }
    }
    return at_client == 1 && at_server == 1 ? "done" : "stalled";
}

static SSL_SESSION *last_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(last_session);
    last_session = session;
    return 1;
}

/* One handshake by a client and a server context, and what both saw. */
static void handshake(const char *label, SSL_CTX *for_client, SSL_CTX *for_server, int asks,
                      SSL_SESSION *session, struct script *script)
{
    BIO *one, *other;
    must(BIO_new_bio_pair(&one, 0, &other, 0), "BIOs");
    SSL *client = connected(for_client, one), *server = connected(for_server, other);
    facts_prefix(label);
    if (asks) {
        fact("set type", "%d", SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp));
    }
    fact("type", "%d", SSL_get_tlsext_status_type(client));
    if (session) {
        fact("set session", "%d", SSL_set_session(client, session));
    }
    const char *how = shake(client, server);
    const unsigned char *response = NULL;
    size_t length = SSL_get_tlsext_status_ocsp_resp(client, &response);
    fact("handshake", "%s, %s received%s", how, described(response, length),
         SSL_session_reused(client) ? ", resumed" : "");
    const unsigned char *again = NULL;
    SSL_get_tlsext_status_ocsp_resp(client, &again);
    fact("pointer", "%s", again == response ? "stable" : "another");
    if (script) {
        fact("callback", "%d calls, %s there, set %d", script->calls, script->saw, script->set);
    }
    char byte = 0;
    SSL_write(server, &byte, 1); /* TLS 1.3 sends tickets with the first data */
    SSL_read(client, &byte, 1);
    ERR_clear_error();
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(server);
}

static void with_callbacks(const char *protocol, int version)
{
    static const struct {
        const char *label;
        int at_client, answer, sets, asks;
    } cases[] = {
        {"server OK", 0, SSL_TLSEXT_ERR_OK, 1, 1},
        {"server OK, unasked", 0, SSL_TLSEXT_ERR_OK, 1, 0},
        {"server OK, nothing set", 0, SSL_TLSEXT_ERR_OK, 0, 1},
        {"server NOACK", 0, SSL_TLSEXT_ERR_NOACK, 1, 1},
        {"server FATAL", 0, SSL_TLSEXT_ERR_ALERT_FATAL, 1, 1},
        {"client accepts", 1, 1, 0, 1},
        {"client refuses", 1, 0, 0, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char label[64];
        struct script script = {.answer = cases[i].answer, .sets = cases[i].sets, .set = -1};
        SSL_CTX *client = context(version, 0), *server = context(version, 1);
        SSL_CTX *its = cases[i].at_client ? client : server;
        snprintf(label, sizeof(label), "%s.%s", protocol, cases[i].label);
        facts_prefix(label);
        fact("set callback", "%d", SSL_CTX_set_tlsext_status_cb(its, callback));
        fact("set argument", "%d", SSL_CTX_set_tlsext_status_arg(its, &script));
        if (cases[i].at_client) {
            must(SSL_CTX_set_ocsp_response(server, staple, staple_length), "a response");
        }
        handshake(label, client, server, cases[i].asks, NULL, &script);
        SSL_CTX_free(client);
        SSL_CTX_free(server);
    }
}

/* Neither a callback nor a response: what the shim would do on OpenSSL must not happen. */
static void without_callback(const char *protocol, int version)
{
    char label[64];
    SSL_CTX *client = context(version, 0), *server = context(version, 1);
    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client, keep_session);
    SSL_CTX_set_session_id_context(server, (const unsigned char *)"t", 1);
    snprintf(label, sizeof(label), "%s.plain", protocol);
    handshake(label, client, server, 0, NULL, NULL);
    must(last_session != NULL, "no session");
    snprintf(label, sizeof(label), "%s.resumed", protocol);
    handshake(label, client, server, 0, last_session, NULL);
    SSL_SESSION_free(last_session);
    last_session = NULL;
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

/* The functions that load certificates, all of which the shim watches. */
static void loaders(void)
{
    SSL_CTX *ctx = context(TLS1_3_VERSION, 1);
    X509 *leaf = SSL_CTX_get0_certificate(ctx);
    SSL *ssl = SSL_new(ctx);
    unsigned char *der = NULL;
    int length = i2d_X509(leaf, &der);
    must(ssl && length > 0, "a certificate");
    X509_up_ref(leaf); /* the context is about to let go of it */
    facts_prefix("loaders");
    fact("context, X509", "%d", SSL_CTX_use_certificate(ctx, leaf));
    fact("context, DER", "%d", SSL_CTX_use_certificate_ASN1(ctx, (size_t)length, der));
    fact("context, file", "%d",
         SSL_CTX_use_certificate_file(ctx, path_to("server.crt"), SSL_FILETYPE_PEM));
    fact("context, no file", "%d",
         SSL_CTX_use_certificate_chain_file(ctx, path_to("nothing.pem")));
    ERR_clear_error();
    fact("connection, X509", "%d", SSL_use_certificate(ssl, leaf));
    fact("connection, DER", "%d", SSL_use_certificate_ASN1(ssl, der, (size_t)length));
    fact("connection, file", "%d",
         SSL_use_certificate_file(ssl, path_to("server.crt"), SSL_FILETYPE_PEM));
    fact("errors left", "%lu", (unsigned long)ERR_peek_error());
    OPENSSL_free(der);
    X509_free(leaf);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

/* Functions that only OpenSSL has as commands: the shim exports them, and they fail. */
static void lacking(void)
{
    SSL_CTX *ctx = context(TLS1_3_VERSION, 0);
    SSL *ssl = SSL_new(ctx);
    long (*set_type)(SSL_CTX *, int);
    long (*control)(SSL *, int, long, void *);
    *(void **)&set_type = dlsym(RTLD_DEFAULT, "SSL_CTX_set_tlsext_status_type");
    *(void **)&control = dlsym(RTLD_DEFAULT, "SSL_ctrl");
    facts_prefix("lacking");
    if (set_type && control) {
        fact("type of context", "%ld", set_type(ctx, TLSEXT_STATUSTYPE_ocsp));
        fact("control", "%ld", control(ssl, 65, TLSEXT_STATUSTYPE_ocsp, NULL));
    } else {
        fact("type of context", "-");
        fact("control", "-");
    }
    fact("type after it", "%d", SSL_get_tlsext_status_type(ssl));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

#ifdef OPENSSL_IS_AWSLC
static void getters(void)
{
    SSL_CTX *ctx = context(TLS1_3_VERSION, 0);
    int (*found)(SSL *, void *) = NULL;
    facts_prefix("getters");
    fact("none", "%d", SSL_CTX_get_tlsext_status_cb(ctx, &found));
    SSL_CTX_set_tlsext_status_cb(ctx, callback);
    fact("set", "%d", SSL_CTX_get_tlsext_status_cb(ctx, &found));
    fact("callback", "%s", found == callback ? "the program's" : "another");
    SSL_CTX_free(ctx);
}
#endif

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: host PKI\n");
        return 2;
    }
    directory = arguments[1];
    FILE *file = fopen(path_to("staple.der"), "rb");
    must(file != NULL, path_to("staple.der"));
    staple_length = fread(staple, 1, sizeof(staple), file);
    fclose(file);
    must(staple_length > 0, "staple.der is empty");
    with_callbacks("tls1.2", TLS1_2_VERSION);
    with_callbacks("tls1.3", TLS1_3_VERSION);
    without_callback("tls1.2", TLS1_2_VERSION);
    without_callback("tls1.3", TLS1_3_VERSION);
    loaders();
    lacking();
#ifdef OPENSSL_IS_AWSLC
    getters();
#endif
    return 0;
}
