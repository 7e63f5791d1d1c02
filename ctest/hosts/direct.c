/* A handshake by ordinary calls. See direct.h. */
#define _GNU_SOURCE
#include "direct.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* No header fits all versions; what some lack is weak. */
#define WEAK __attribute__((weak))
typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct bio_st BIO;
WEAK const void *TLS_method(void);
WEAK const void *TLSv1_2_method(void);
WEAK int SSL_library_init(void);
WEAK int OPENSSL_init_ssl(unsigned long long, const void *);
SSL_CTX *SSL_CTX_new(const void *);
void SSL_CTX_free(SSL_CTX *);
long SSL_CTX_ctrl(SSL_CTX *, int, long, void *);
long SSL_CTX_callback_ctrl(SSL_CTX *, int, void (*)(void));
int SSL_CTX_use_certificate_chain_file(SSL_CTX *, const char *);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *, const char *, int);
SSL *SSL_new(SSL_CTX *);
void SSL_free(SSL *);
long SSL_ctrl(SSL *, int, long, void *);
void SSL_set_bio(SSL *, BIO *, BIO *);
void SSL_set_connect_state(SSL *);
void SSL_set_accept_state(SSL *);
int SSL_do_handshake(SSL *);
int BIO_new_bio_pair(BIO **, size_t, BIO **, size_t);

enum { PEM_FILE = 1, ROUNDS = 20, ECDH_AUTO = 94, SET_TYPE = 65, SET_CB = 63, GET_RESPONSE = 70 };

/* A callback of the program's, in code that may be unloaded later; it answers NOACK. */
static int program_callback(SSL *ssl, void *argument)
{
    (void)ssl;
    (void)argument;
    return 3;
}

static int is_the_staple(const char *pki, const unsigned char *response, long length)
{
    char path[4096];
    static unsigned char bytes[65536];
    snprintf(path, sizeof(path), "%s/staple.der", pki);
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
    if (file) {
        fclose(file);
    }
    return size == (size_t)length && memcmp(bytes, response, size) == 0;
}

static const char *received(const char *pki, SSL *client)
{
    unsigned char *response = NULL;
    long length = SSL_ctrl(client, GET_RESPONSE, 0, &response);
    if (length <= 0) {
        return "none";
    }
    return is_the_staple(pki, response, length) ? "staple" : "other";
}

static const char *shake_hands(const char *pki, SSL *client, SSL *server)
{
    BIO *clients, *servers;
    if (!client || !server || BIO_new_bio_pair(&clients, 65536, &servers, 65536) != 1) {
        return "no connection";
    }
    SSL_set_bio(client, clients, clients);
    SSL_set_bio(server, servers, servers);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    SSL_ctrl(client, SET_TYPE, 1, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        int one = SSL_do_handshake(client), two = SSL_do_handshake(server);
        if (one == 1 && two == 1) {
            return received(pki, client);
        }
    }
    return "failed";
}

static const char *with_contexts(const char *pki, SSL_CTX *client_ctx, SSL_CTX *server_ctx)
{
    char certificate[4096], key[4096];
    if (!client_ctx || !server_ctx) {
        return "no context";
    }
    snprintf(certificate, sizeof(certificate), "%s/server.pem", pki);
    snprintf(key, sizeof(key), "%s/server.key", pki);
    if (SSL_CTX_use_certificate_chain_file(server_ctx, certificate) != 1
        || SSL_CTX_use_PrivateKey_file(server_ctx, key, PEM_FILE) != 1) {
        return "no certificate";
    }
    if (!TLS_method) {
        SSL_CTX_ctrl(server_ctx, ECDH_AUTO, 1, NULL);
    }
    SSL_CTX_callback_ctrl(server_ctx, SET_CB, (void (*)(void))program_callback);
    SSL *client = SSL_new(client_ctx), *server = SSL_new(server_ctx);
    const char *result = shake_hands(pki, client, server);
    SSL_free(client);
    SSL_free(server);
    return result;
}

const char *direct_staple(const char *pki)
{
    if (SSL_library_init) {
        SSL_library_init();
    }
    if (OPENSSL_init_ssl && OPENSSL_init_ssl(0, NULL) != 1) {
        return "no initialisation";
    }
    const void *method = TLS_method ? TLS_method() : TLSv1_2_method();
    SSL_CTX *client = SSL_CTX_new(method), *server = SSL_CTX_new(method);
    const char *result = with_contexts(pki, client, server);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return result;
}
