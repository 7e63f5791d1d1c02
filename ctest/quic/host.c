/*
 * A QUIC client and server of OpenSSL (3.5 and later) in one process, over UDP on the
 * loopback, compiled against the headers of the image and linked to it.
 *
 *     host PKI CASE
 *
 * CASE: callback (the server's program staples), revoked (it staples that), automatic (the
 * server's program does nothing), unasked (nor does the client's), refused (the client's
 * callback accepts nothing). Prints facts (facts.h); what they must be stands in `run`.
 */
#define _GNU_SOURCE
#include "../facts.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Seconds that a handshake may take; far more than a busy machine needs. */
enum { LIMIT = 60 };

static const unsigned char protocols[] = "\x04test";
static const char *directory;

/* What a status callback does and what it saw. */
struct script {
    int answer;
    const char *sets; /* the response's file, for a server */
    int calls;
    char saw[32];
    char set[32];
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
        ERR_print_errors_fp(stderr);
        broken(what);
    }
}

static size_t load(const char *name, unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path_to(name), "rb");
    must(file != NULL, name);
    size_t length = fread(bytes, 1, size, file);
    fclose(file);
    must(length > 0, name);
    return length;
}

/* The response that an SSL holds, in words. */
static const char *held(SSL *ssl, unsigned char **pointer)
{
    static const char *const names[] = {"staple.der", "revoked.der"};
    unsigned char *response = NULL, known[8192];
    long length = SSL_get_tlsext_status_ocsp_resp(ssl, &response);
    *pointer = response;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (length > 0 && (size_t)length == load(names[i], known, sizeof(known))
            && memcmp(known, response, (size_t)length) == 0) {
            return names[i];
        }
    }
    return length == -1 && response == NULL ? "none" : "something else";
}

static int server_callback(SSL *ssl, void *arg)
{
    struct script *script = arg;
    unsigned char bytes[8192], *pointer;
    size_t length = load(script->sets, bytes, sizeof(bytes));
    unsigned char *copy = OPENSSL_memdup(bytes, length);
    must(copy != NULL, "memory");
    script->calls++;
    long set = SSL_set_tlsext_status_ocsp_resp(ssl, copy, (int)length);
    const char *saw = held(ssl, &pointer);
    snprintf(script->set, sizeof(script->set), "%ld, %s held", set, saw);
    return script->answer;
}

static int client_callback(SSL *ssl, void *arg)
{
    struct script *script = arg;
    unsigned char *pointer;
    script->calls++;
    snprintf(script->saw, sizeof(script->saw), "%s", held(ssl, &pointer));
    return script->answer;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length,
                           const unsigned char *offered, unsigned int size, void *arg)
{
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)out, length, protocols,
                                 sizeof(protocols) - 1, offered, size)
                   == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int udp_socket(struct sockaddr_in *address)
{
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof(*address)) == 0
             && getsockname(fd, (struct sockaddr *)address, &size) == 0, "a socket");
    return fd;
}

static SSL_CTX *server_context(struct script *script)
{
    SSL_CTX *ctx = SSL_CTX_new(OSSL_QUIC_server_method());
    must(ctx && SSL_CTX_use_certificate_chain_file(ctx, path_to("server.pem"))
             && SSL_CTX_use_PrivateKey_file(ctx, path_to("server.key"), SSL_FILETYPE_PEM),
         "the server's context");
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (script->sets) {
        SSL_CTX_set_tlsext_status_cb(ctx, server_callback);
        SSL_CTX_set_tlsext_status_arg(ctx, script);
    }
    return ctx;
}

static SSL_CTX *client_context(struct script *script, int asks)
{
    SSL_CTX *ctx = SSL_CTX_new(OSSL_QUIC_client_method());
    must(ctx && SSL_CTX_load_verify_locations(ctx, path_to("ca.pem"), NULL),
         "the client's context");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (asks) {
        SSL_CTX_set_tlsext_status_cb(ctx, client_callback);
        SSL_CTX_set_tlsext_status_arg(ctx, script);
    }
    return ctx;
}

/* A listener on the context, and a client's connection to it that has not begun. */
static SSL *listen_on(SSL_CTX *ctx, int fd)
{
    SSL *listener = SSL_new_listener(ctx, 0);
    must(listener && SSL_set_fd(listener, fd) && SSL_set_blocking_mode(listener, 0)
             && SSL_listen(listener), "the listener");
    return listener;
}

static SSL *connect_to(SSL_CTX *ctx, int fd, const struct sockaddr_in *peer, int asks)
{
    SSL *ssl = SSL_new(ctx);
    BIO_ADDR *address = BIO_ADDR_new();
    must(ssl && address && SSL_set_fd(ssl, fd) && SSL_set_blocking_mode(ssl, 0)
             && BIO_ADDR_rawmake(address, AF_INET, &peer->sin_addr, sizeof(peer->sin_addr),
                                 peer->sin_port)
             && SSL_set1_initial_peer_addr(ssl, address)
             && SSL_set_alpn_protos(ssl, protocols, sizeof(protocols) - 1) == 0
             && SSL_set_tlsext_host_name(ssl, "server.test"), "the client's connection");
    BIO_ADDR_free(address);
    if (asks) {
        must(SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp) == 1, "status type");
        fact("type", "%ld", SSL_get_tlsext_status_type(ssl));
    }
    return ssl;
}

/* Until one of the sockets has something to read, or a timer of the two runs out. */
static void wait_for(SSL *one, SSL *other, struct pollfd *sockets)
{
    int wait = 1000;
    SSL *both[] = {one, other};
    for (int i = 0; i < 2; i++) {
        struct timeval left;
        int infinite = 1;
        must(SSL_get_event_timeout(both[i], &left, &infinite), "a timeout");
        long milliseconds = left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
        if (!infinite && milliseconds < wait) {
            wait = (int)milliseconds;
        }
    }
    poll(sockets, 2, wait);
}

/* The client's handshake; the connection that the server accepted goes to *accepted. */
static const char *shake(SSL *client, SSL *listener, struct pollfd *sockets, SSL **accepted)
{
    time_t end = time(NULL) + LIMIT;
    int done = 0;
    while (time(NULL) < end) {
        SSL_handle_events(listener);
        if (!*accepted) {
            *accepted = SSL_accept_connection(listener, SSL_ACCEPT_CONNECTION_NO_BLOCK);
        }
        if (*accepted) {
            SSL_handle_events(*accepted);
        }
        done = SSL_do_handshake(client);
        if (done == 1 && *accepted && SSL_is_init_finished(*accepted)) {
            return "done";
        }
        int why = SSL_get_error(client, done);
        if (done != 1 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            return "refused";
        }
        wait_for(client, listener, sockets);
    }
    return "not finished";
}

int main(int count, char **arguments)
{
    struct script server_script = {.answer = SSL_TLSEXT_ERR_OK};
    struct script client_script = {.answer = 1, .saw = "-"};
    if (count != 3) {
        fprintf(stderr, "usage: host PKI callback|revoked|automatic|unasked|refused\n");
        return 2;
    }
    directory = arguments[1];
    const char *what = arguments[2];
    int asks = strcmp(what, "unasked") != 0;
    if (strcmp(what, "callback") == 0 || strcmp(what, "refused") == 0) {
        server_script.sets = "staple.der";
    } else if (strcmp(what, "revoked") == 0) {
        server_script.sets = "revoked.der";
    }
    if (strcmp(what, "refused") == 0) {
        client_script.answer = 0;
    }
    facts_prefix(what);

    struct sockaddr_in at_server, at_client;
    struct pollfd sockets[2] = {{.fd = udp_socket(&at_server), .events = POLLIN},
                                {.fd = udp_socket(&at_client), .events = POLLIN}};
    SSL_CTX *server_ctx = server_context(&server_script);
    SSL_CTX *client_ctx = client_context(&client_script, asks);
    SSL *listener = listen_on(server_ctx, sockets[0].fd), *accepted = NULL;
    SSL *client = connect_to(client_ctx, sockets[1].fd, &at_server, asks);
    fact("handshake", "%s", shake(client, listener, sockets, &accepted));
    fact("server's callback", "%d calls, %s", server_script.calls, server_script.set);
    fact("client's callback", "%d calls, saw %s", client_script.calls, client_script.saw);
    unsigned char *first, *second;
    const char *received = held(client, &first);
    fact("received", "%s", received);
    received = held(client, &second);
    fact("received again", "%s", received);
    fact("pointer", "%s", !first && !second ? "NULL" : first == second ? "stable" : "another");
    SSL_free(client);
    SSL_free(accepted);
    SSL_free(listener);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    close(sockets[0].fd);
    close(sockets[1].fd);
    return 0;
}
