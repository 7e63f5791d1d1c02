/*
 * Certificates and keys as objects, for hosts that load them from memory: read from the
 * driver's files beforehand, by the libcrypto of the image.
 */
#ifndef HOSTS_MATERIAL_H
#define HOSTS_MATERIAL_H

#include "host.h"

typedef struct x509_st X509;
typedef struct evp_pkey_st EVP_PKEY;

/* What a server presents. The issuer is NULL where the driver has none of it. */
struct material {
    X509 *leaf, *issuer;
    EVP_PKEY *key;
};

/* NAME.crt and KEY.key, and the intermediate that signed them. */
struct material material_read(const struct host *host, const char *name, const char *key);

/* One certificate of the driver's, by its file's name. A new object at each call. */
X509 *certificate_read(const struct host *host, const char *file);

/* A copy that nobody else has a reference to. */
X509 *certificate_copy(const struct host *host, X509 *certificate);
void certificate_free(const struct host *host, X509 *certificate);

/* Loads leaf and key from memory, and the issuer as a chain if there is one. */
void load_into_context(const struct host *host, SSL_CTX *ctx, const struct material *material);

/* The same into one connection; 1 if it went well, for a certificate callback. */
int load_into_connection(const struct host *host, SSL *ssl, const struct material *material);

/* Calls back for each connection's certificate: SSL_CTX_set_cert_cb. */
void set_certificate_callback(const struct host *host, SSL_CTX *ctx,
                              int (*callback)(SSL *, void *), void *arg);

/* Calls back when a client has named a server, and names one. */
void set_servername_callback(SSL_CTX *ctx, int (*callback)(SSL *, int *, void *));
void name_server(SSL *client, const char *name);

/* As pair_staple, with a client that names a server. */
const char *staple_by_name(const struct pair *pair);

#endif
