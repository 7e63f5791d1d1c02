/* Certificates and keys as objects. See material.h. */
#define _GNU_SOURCE
#include "material.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CTRL_SERVERNAME_CALLBACK = 53,
    CTRL_SERVERNAME = 55,
    CTRL_CHAIN_CERT = 89,
    ADD_REFERENCE = 1,
    HOST_NAME = 0
};

static BIO *text_of(const struct host *host, const char *name, const char *ending)
{
    static char text[1 << 16];
    char path[4096];
    BIO *(*memory)(const void *, int)
        = (BIO * (*)(const void *, int)) host_function(host, "BIO_new_mem_buf");
    snprintf(path, sizeof(path), "%s/%s%s", host->pki, name, ending);
    FILE *file = fopen(path, "rb");
    if (!file) {
        broken(path);
    }
    int length = (int)fread(text, 1, sizeof(text), file);
    fclose(file);
    return memory(text, length);
}

X509 *certificate_read(const struct host *host, const char *file)
{
    X509 *(*read)(BIO *, void *, void *, void *)
        = (X509 * (*)(BIO *, void *, void *, void *)) host_function(host, "PEM_read_bio_X509");
    BIO *text = text_of(host, file, "");
    X509 *found = read(text, NULL, NULL, NULL);
    L.BIO_free(text);
    if (!found) {
        broken(file);
    }
    return found;
}

struct material material_read(const struct host *host, const char *name, const char *key)
{
    EVP_PKEY *(*read)(BIO *, void *, void *, void *)
        = (EVP_PKEY * (*)(BIO *, void *, void *, void *))
            host_function(host, "PEM_read_bio_PrivateKey");
    char file[256];
    snprintf(file, sizeof(file), "%s.crt", name);
    struct material material = {.leaf = certificate_read(host, file),
                                .issuer = certificate_read(host, "intermediate.crt")};
    BIO *text = text_of(host, key, ".key");
    material.key = read(text, NULL, NULL, NULL);
    L.BIO_free(text);
    if (!material.key) {
        broken(key);
    }
    return material;
}

X509 *certificate_copy(const struct host *host, X509 *certificate)
{
    int (*encode)(X509 *, unsigned char **)
        = (int (*)(X509 *, unsigned char **))host_function(host, "i2d_X509");
    X509 *(*decode)(X509 **, const unsigned char **, long)
        = (X509 * (*)(X509 **, const unsigned char **, long)) host_function(host, "d2i_X509");
    static unsigned char der[1 << 16];
    unsigned char *end = der;
    const unsigned char *start = der;
    int length = encode(certificate, &end);
    X509 *copy = decode(NULL, &start, length);
    if (!copy) {
        broken("d2i_X509");
    }
    return copy;
}

void certificate_free(const struct host *host, X509 *certificate)
{
    ((void (*)(X509 *))host_function(host, "X509_free"))(certificate);
}

void load_into_context(const struct host *host, SSL_CTX *ctx, const struct material *material)
{
    int (*use_certificate)(SSL_CTX *, X509 *)
        = (int (*)(SSL_CTX *, X509 *))host_function(host, "SSL_CTX_use_certificate");
    int (*use_key)(SSL_CTX *, EVP_PKEY *)
        = (int (*)(SSL_CTX *, EVP_PKEY *))host_function(host, "SSL_CTX_use_PrivateKey");
    if (use_certificate(ctx, material->leaf) != 1 || use_key(ctx, material->key) != 1
        || (material->issuer
            && L.SSL_CTX_ctrl(ctx, CTRL_CHAIN_CERT, ADD_REFERENCE, material->issuer) != 1)) {
        broken("loading from memory");
    }
}

int load_into_connection(const struct host *host, SSL *ssl, const struct material *material)
{
    int (*use_certificate)(SSL *, X509 *)
        = (int (*)(SSL *, X509 *))host_function(host, "SSL_use_certificate");
    int (*use_key)(SSL *, EVP_PKEY *)
        = (int (*)(SSL *, EVP_PKEY *))host_function(host, "SSL_use_PrivateKey");
    return use_certificate(ssl, material->leaf) == 1 && use_key(ssl, material->key) == 1
           && (!material->issuer
               || L.SSL_ctrl(ssl, CTRL_CHAIN_CERT, ADD_REFERENCE, material->issuer) == 1);
}

void set_certificate_callback(const struct host *host, SSL_CTX *ctx,
                              int (*callback)(SSL *, void *), void *arg)
{
    void (*set)(SSL_CTX *, int (*)(SSL *, void *), void *)
        = (void (*)(SSL_CTX *, int (*)(SSL *, void *), void *))
            host_function(host, "SSL_CTX_set_cert_cb");
    set(ctx, callback, arg);
}

void set_servername_callback(SSL_CTX *ctx, int (*callback)(SSL *, int *, void *))
{
    if (L.SSL_CTX_callback_ctrl(ctx, CTRL_SERVERNAME_CALLBACK, (any_function)callback) != 1) {
        broken("SSL_CTX_set_tlsext_servername_callback");
    }
}

void name_server(SSL *client, const char *name)
{
    if (L.SSL_ctrl(client, CTRL_SERVERNAME, HOST_NAME, (void *)(uintptr_t)name) != 1) {
        broken("SSL_set_tlsext_host_name");
    }
}

const char *staple_by_name(const struct pair *pair)
{
    static _Thread_local char text[64];
    struct peers peers;
    peers_new(&peers, pair->client, pair->server);
    name_server(peers.client, "server.test");
    set_status_type(peers.client, TYPE_OCSP);
    const char *ended = peers_handshake(&peers);
    if (strcmp(ended, "done") == 0) {
        describe_response(peers.client, text, sizeof(text));
    } else {
        snprintf(text, sizeof(text), "%s", ended);
    }
    peers_free(&peers);
    return text;
}
