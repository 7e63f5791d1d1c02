/*
 * Handshakes over memory BIOs, for counting instructions and time.
 *
 *     handshake CERT KEY COUNT tls1.2|tls1.3 [--ask] [--native RESPONSE]
 *
 * --ask: the client sends status_request. --native: the server staples the file by a
 * callback of its own, which allocates and copies: the least that stapling can cost.
 * Prints the number of handshakes that brought a response.
 *
 * Every handshake draws the same random numbers, so that two runs differ only by what
 * is measured: those of a signature alone make a difference of thousands of instructions.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char native[65536];
static long native_length;

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

static void check(int done, const char *what)
{
    if (!done) {
        fprintf(stderr, "handshake: %s failed\n", what);
        exit(1);
    }
}

/*
 * Takes the status callback from the client's context behind the shim's back: both ends
 * live in this process, and only the server's callback is to be counted.
 */
static void no_callback(SSL_CTX *client)
{
    void *libssl = dlopen("libssl.so.3", RTLD_LAZY | RTLD_NOLOAD);
    check(libssl != NULL, "finding libssl.so.3");
    long (*real)(SSL_CTX *, int, void (*)(void));
    *(void **)&real = dlsym(libssl, "SSL_CTX_callback_ctrl");
    check(real(client, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, NULL), "clearing the callback");
    dlclose(libssl);
}

int main(int count, char **words)
{
    if (count < 5) {
        fprintf(stderr, "usage: handshake CERT KEY COUNT tls1.2|tls1.3 [--ask] [--native RESPONSE]\n");
        return 2;
    }
    int ask = 0, handshakes = atoi(words[3]), stapled = 0;
    int version = strcmp(words[4], "tls1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    check(RAND_set_rand_method(&same_again), "RAND_set_rand_method");
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    check(server != NULL && client != NULL, "SSL_CTX_new");
    check(SSL_CTX_use_certificate_chain_file(server, words[1]), "loading the certificate");
    check(SSL_CTX_use_PrivateKey_file(server, words[2], SSL_FILETYPE_PEM), "loading the key");
    SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(server, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(server, 0);
    SSL_CTX_set_max_proto_version(server, version);
    no_callback(client);
    for (int at = 5; at < count; at++) {
        if (strcmp(words[at], "--ask") == 0) {
            ask = 1;
        } else if (strcmp(words[at], "--native") == 0 && at + 1 < count) {
            FILE *file = fopen(words[++at], "rb");
            check(file != NULL, "opening the response");
            native_length = fread(native, 1, sizeof native, file);
            fclose(file);
            SSL_CTX_set_tlsext_status_cb(server, staple);
        }
    }
    for (int at = 0; at < handshakes; at++) {
        drawn = 0x9e3779b97f4a7c15;
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
        if (ask) {
            stapled += SSL_get_tlsext_status_ocsp_resp(c, &response) > 0;
        }
        SSL_free(s);
        SSL_free(c);
    }
    printf("%d\n", stapled);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
