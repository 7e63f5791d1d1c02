/* A TLS server that staples a response file.
 *
 *     server CHAIN.pem KEY.pem [RESPONSE.der]
 *
 * Listens on a port of 127.0.0.1 that the kernel chooses and prints it. Each client gets
 * one line. Without RESPONSE nothing is stapled. Runs until it is ended by a signal.
 *
 *     cc -o server server.c $(pkg-config --cflags --libs staplegun)
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>

#include <staplegun.h>

/* No sensible response is longer; a longer file is a mistake. */
#define MAX_RESPONSE 65536
/* Seconds that a client may be silent. */
#define PATIENCE 10

/* The response, as it goes to clients. */
struct response {
    unsigned char der[MAX_RESPONSE];
    int length;
};

/* Reads the file and wants one successful OCSPResponse in it, so that a mistake is
 * told now and not by clients. Whether it is still fresh is the client's to judge.
 * Returns 1, or 0 with a message. */
static int read_response(const char *path, struct response *response)
{
    unsigned char bytes[MAX_RESPONSE + 1];
    const unsigned char *next = bytes;
    OCSP_RESPONSE *decoded;
    size_t length;
    FILE *file = fopen(path, "rb");
    int good;

    if (file == NULL) {
        fprintf(stderr, "server: %s: %s\n", path, strerror(errno));
        return 0;
    }
    length = fread(bytes, 1, sizeof(bytes), file);
    if (ferror(file) || length > MAX_RESPONSE) {
        fprintf(stderr, "server: %s: %s\n", path,
                ferror(file) ? "cannot be read" : "too long for an OCSP response");
        fclose(file);
        return 0;
    }
    fclose(file);
    decoded = d2i_OCSP_RESPONSE(NULL, &next, (long)length);
    good = decoded != NULL && next == bytes + length
        && OCSP_response_status(decoded) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
    OCSP_RESPONSE_free(decoded);
    if (!good) {
        fprintf(stderr, "server: %s: not a successful OCSP response in DER\n", path);
        return 0;
    }
    memcpy(response->der, bytes, length);
    response->length = (int)length;
    return 1;
}

/* Called in each full handshake of a client that asks. libssl takes the copy over. */
static int staple(SSL *ssl, void *arg)
{
    const struct response *response = arg;
    unsigned char *copy = OPENSSL_memdup(response->der, (size_t)response->length);

    if (copy == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, response->length) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_context(const char *chain, const char *key, struct response *response)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL
        || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1
        || SSL_CTX_use_certificate_chain_file(ctx, chain) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1
        || SSL_CTX_check_private_key(ctx) != 1
        || (response != NULL
            && (SSL_CTX_set_tlsext_status_cb(ctx, staple) != 1
                || SSL_CTX_set_tlsext_status_arg(ctx, response) != 1))) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* Returns a listening socket, or -1 with errno set; *port is what the kernel chose. */
static int listen_on_loopback(unsigned *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0
        || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(listener, SOMAXCONN) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        return -1;
    *port = ntohs(address.sin_port);
    return listener;
}

static void serve(SSL_CTX *ctx, int client)
{
    static const char line[] = "hello\n";
    struct timeval patience = { .tv_sec = PATIENCE };
    SSL *ssl = SSL_new(ctx);

    ERR_clear_error();
    if (ssl == NULL
        || setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0
        || setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0
        || SSL_set_fd(ssl, client) != 1
        || SSL_accept(ssl) != 1
        || SSL_write(ssl, line, (int)(sizeof(line) - 1)) <= 0) {
        fprintf(stderr, "server: a client was not served\n");
        ERR_print_errors_fp(stderr);
    } else {
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(client);
}

int main(int argc, char **argv)
{
    static struct response response;
    SSL_CTX *ctx;
    unsigned port;
    int listener;

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: server CHAIN.pem KEY.pem [RESPONSE.der]\n");
        return 2;
    }
    if (argc == 4 && !read_response(argv[3], &response))
        return 2;
    /* A client that goes away must not end the server. */
    signal(SIGPIPE, SIG_IGN);
    ctx = make_context(argv[1], argv[2], argc == 4 ? &response : NULL);
    if (ctx == NULL) {
        fprintf(stderr, "server: %s and %s cannot be used\n", argv[1], argv[2]);
        ERR_print_errors_fp(stderr);
        return 2;
    }
    listener = listen_on_loopback(&port);
    if (listener < 0) {
        perror("server: cannot listen on 127.0.0.1");
        SSL_CTX_free(ctx);
        return 2;
    }
    printf("%u\n", port);
    fflush(stdout);
    for (;;) {
        int client = accept(listener, NULL, NULL);

        if (client >= 0)
            serve(ctx, client);
        else if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    perror("server: accept");
    close(listener);
    SSL_CTX_free(ctx);
    return 2;
}
