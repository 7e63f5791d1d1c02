/*
 * A load of full TLS 1.3 handshakes, one after another, over the loopback.
 *
 *     load PORT COUNT [postgres]
 *
 * Each connection sends status_request, ends by close_notify and waits for the server to
 * close; with "postgres" it asks for TLS as PostgreSQL's clients do. Prints how many
 * handshakes brought a response. Any that fails ends it with status 1.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(int done, const char *what)
{
    if (!done) {
        perror(what);
        ERR_print_errors_fp(stderr);
        exit(1);
    }
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = 20};
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(s >= 0, "socket");
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    check(connect(s, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    return s;
}

/* SSLRequest: its length, then 1234.5679; "S" is yes. */
static void ask_postgres_for_tls(int s)
{
    static const unsigned char request[8] = {0, 0, 0, 8, 4, 210, 22, 47};
    char answer;
    check(write(s, request, sizeof request) == sizeof request, "SSLRequest");
    check(read(s, &answer, 1) == 1 && answer == 'S', "the answer to SSLRequest");
}

int main(int count, char **words)
{
    if (count != 3 && !(count == 4 && strcmp(words[3], "postgres") == 0)) {
        fprintf(stderr, "usage: load PORT COUNT [postgres]\n");
        return 2;
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    check(ctx != NULL, "SSL_CTX_new");
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
    int wanted = atoi(words[2]), stapled = 0;
    for (int at = 0; at < wanted; at++) {
        int s = connect_to(atoi(words[1]));
        if (count == 4) {
            ask_postgres_for_tls(s);
        }
        SSL *ssl = SSL_new(ctx);
        check(ssl != NULL, "SSL_new");
        SSL_set_fd(ssl, s);
        check(SSL_connect(ssl) == 1, "SSL_connect");
        const unsigned char *response;
        stapled += SSL_get_tlsext_status_ocsp_resp(ssl, &response) > 0;
        char rest[256];
        SSL_shutdown(ssl);
        while (SSL_read(ssl, rest, sizeof rest) > 0) {
        }
        while (read(s, rest, sizeof rest) > 0) {
        }
        ERR_clear_error();
        SSL_free(ssl);
        close(s);
    }
    printf("%d\n", stapled);
    SSL_CTX_free(ctx);
    return 0;
}
