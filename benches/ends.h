/*
 * Both ends of handshakes in one process, over memory BIOs: what handshake.c and
 * threads.c have in common.
 */
#ifndef BENCHES_ENDS_H
#define BENCHES_ENDS_H

#include <dlfcn.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char native[65536];
static long native_length;

static void check(int done, const char *what)
{
    if (!done) {
        fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

/* Allocates and copies: the least that stapling can cost. */
static int staple(SSL *ssl, void *arg)
{
    (void)arg;
    unsigned char *copy = OPENSSL_malloc(native_length);
    if (copy == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    memcpy(copy, native, native_length);
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, native_length);
    return SSL_TLSEXT_ERR_OK;
}

/* The server staples the response in a file by a callback of its own. */
static void staple_natively(SSL_CTX *server, const char *path)
{
    FILE *file = fopen(path, "rb");
    check(file != NULL, "opening the response");
    native_length = fread(native, 1, sizeof native, file);
    fclose(file);
    SSL_CTX_set_tlsext_status_cb(server, staple);
}

static SSL_CTX *server_without_certificate(const char *version)
{
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());
    check(server != NULL, "SSL_CTX_new");
    SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(server, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(server, 0);
    int only = strcmp(version, "tls1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX_set_min_proto_version(server, only);
    SSL_CTX_set_max_proto_version(server, only);
    return server;
}

static SSL_CTX *server_context(const char *chain, const char *key, const char *version)
{
    SSL_CTX *server = server_without_certificate(version);
    check(SSL_CTX_use_certificate_chain_file(server, chain), "loading the certificate");
    check(SSL_CTX_use_PrivateKey_file(server, key, SSL_FILETYPE_PEM), "loading the key");
    return server;
}

/*
 * A client that is none of the shim's business: its callback is taken off behind the
 * shim's back, since only the server's is to be counted.
 */
static SSL_CTX *client_context(void)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    check(client != NULL, "SSL_CTX_new");
    void *libssl = dlopen("libssl.so.3", RTLD_LAZY | RTLD_NOLOAD);
    check(libssl != NULL, "finding libssl.so.3");
    long (*real)(SSL_CTX *, int, void (*)(void));
    *(void **)&real = dlsym(libssl, "SSL_CTX_callback_ctrl");
    check(real(client, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, NULL), "clearing the callback");
    dlclose(libssl);
    return client;
}

/*
 * One handshake; whether it brought a response. The client asks for one if `ask`. The
 * server's end goes to `kept`, or is freed if that is NULL.
 */
static int handshake_kept(SSL_CTX *client, SSL_CTX *server, int ask, SSL **kept)
{
    SSL *s = SSL_new(server), *c = SSL_new(client);
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    check(s != NULL && c != NULL && up != NULL && down != NULL, "making the ends");
    BIO_up_ref(up);
    BIO_up_ref(down);
    SSL_set_bio(s, up, down);
    SSL_set_bio(c, down, up);
    SSL_set_accept_state(s);
    SSL_set_connect_state(c);
    if (ask) {
        SSL_set_tlsext_status_type(c, TLSEXT_STATUSTYPE_ocsp);
    }
    int done = 0;
    for (int turn = 0; turn < 10 && !done; turn++) {
        int one = SSL_do_handshake(c), other = SSL_do_handshake(s);
        done = one == 1 && other == 1;
    }
    check(done, "the handshake");
    const unsigned char *response;
    int stapled = ask && SSL_get_tlsext_status_ocsp_resp(c, &response) > 0;
    if (kept != NULL) {
        *kept = s;
    } else {
        SSL_free(s);
    }
    SSL_free(c);
    return stapled;
}

static int handshake(SSL_CTX *client, SSL_CTX *server, int ask)
{
    return handshake_kept(client, server, ask, NULL);
}

#endif
