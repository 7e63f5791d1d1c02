/* A TLS client that insists on a good staple.
 *
 *     client HOST PORT CA.pem
 *
 * Prints what the server sends. Exit status: 0 if the server's certificate and its staple
 * are good, 1 if the handshake was refused (the message says why), 2 if it could not be
 * tried.
 *
 *     cc -o client client.c $(pkg-config --cflags --libs staplegun)
 */
#include <stdio.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <staplegun.h>

/* Seconds by which the clocks of client and responder may differ. */
#define CLOCK_SKEW 300

/* Whether the certID is the one of this certificate, in the hash that the responder
 * chose. Serial numbers alone are unique for one issuer only. */
static int is_about(const OCSP_CERTID *id, X509 *leaf, X509 *issuer)
{
    ASN1_OBJECT *algorithm = NULL;
    const EVP_MD *digest;
    OCSP_CERTID *wanted;
    int same;

    if (OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, (OCSP_CERTID *)id) != 1)
        return 0;
    digest = EVP_get_digestbyobj(algorithm);
    wanted = digest != NULL ? OCSP_cert_to_id(digest, leaf, issuer) : NULL;
    same = wanted != NULL && OCSP_id_cmp(id, wanted) == 0;
    OCSP_CERTID_free(wanted);
    return same;
}

/* What is wrong with the single response about the leaf, or NULL. */
static const char *judge_status(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    int at;

    for (at = 0; at < OCSP_resp_count(basic); at++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, at);
        ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
        int status;

        if (!is_about(OCSP_SINGLERESP_get0_id(single), leaf, issuer))
            continue;
        status = OCSP_single_get0_status(single, NULL, NULL, &this_update, &next_update);
        if (status == V_OCSP_CERTSTATUS_REVOKED)
            return "the certificate is revoked";
        if (status != V_OCSP_CERTSTATUS_GOOD)
            return "the responder does not know the certificate";
        /* Without nextUpdate a response would be good for ever. */
        if (next_update == NULL)
            return "the response does not say how long it is valid";
        if (OCSP_check_validity(this_update, next_update, CLOCK_SKEW, -1) != 1)
            return "the response is expired or not yet valid";
        return NULL;
    }
    return "the response is about another certificate";
}

/* What is wrong with the response, or NULL. The chain is the server's, verified. */
static const char *judge(const unsigned char *der, long length, STACK_OF(X509) *chain,
                         X509_STORE *store)
{
    const unsigned char *next = der;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &next, length);
    OCSP_BASICRESP *basic = NULL;
    const char *fault = NULL;

    if (response == NULL || next != der + length)
        fault = "the response is not an OCSP response";
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        fault = OCSP_response_status_str(OCSP_response_status(response));
    else if ((basic = OCSP_response_get1_basic(response)) == NULL)
        fault = "the response is of an unknown type";
    else if (OCSP_basic_verify(basic, chain, store, 0) != 1)
        fault = "the response is not signed by the issuer or its responder";
    else
        fault = judge_status(basic, sk_X509_value(chain, 0), sk_X509_value(chain, 1));
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return fault;
}

/* Called in each full handshake, also when the server stapled nothing. The server's
 * chain is verified by then. */
static int check_staple(SSL *ssl, void *arg)
{
    unsigned char *der;
    long length = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    const char *fault;

    (void)arg;
    if (length < 0)
        fault = "the server stapled no response";
    else if (sk_X509_num(chain) < 2)
        fault = "the server's certificate has no issuer";
    else
        fault = judge(der, length, chain, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)));
    if (fault == NULL)
        return 1;
    fprintf(stderr, "client: %s\n", fault);
    return 0;
}

static SSL_CTX *make_context(const char *ca)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL
        || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1
        || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1
        || SSL_CTX_set_tlsext_status_cb(ctx, check_staple) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

/* A connection that will ask for a staple and for this host, or NULL. */
static BIO *make_connection(SSL_CTX *ctx, const char *host, const char *port)
{
    BIO *connection = BIO_new_ssl_connect(ctx);
    SSL *ssl = NULL;

    if (connection == NULL)
        return NULL;
    BIO_get_ssl(connection, &ssl);
    BIO_set_conn_hostname(connection, host);
    BIO_set_conn_port(connection, port);
    /* An address is compared with the certificate's addresses; it is no server name. */
    if (ssl == NULL
        || (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1
            && (SSL_set1_host(ssl, host) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1))
        || SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp) != 1) {
        BIO_free_all(connection);
        return NULL;
    }
    /* What set1_ip_asc says of a host name is no error of ours. */
    ERR_clear_error();
    return connection;
}

/* Shakes hands and prints what the server sends; the exit status. */
static int talk(BIO *connection)
{
    SSL *ssl = NULL;
    char text[512];
    int length;

    if (BIO_do_connect(BIO_find_type(connection, BIO_TYPE_CONNECT)) != 1) {
        fprintf(stderr, "client: no connection\n");
        ERR_print_errors_fp(stderr);
        return 2;
    }
    if (BIO_do_handshake(connection) != 1) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    BIO_get_ssl(connection, &ssl);
    printf("%s, the staple is good\n", SSL_get_version(ssl));
    while ((length = BIO_read(connection, text, (int)sizeof(text))) > 0)
        fwrite(text, 1, (size_t)length, stdout);
    return fflush(stdout) == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx;
    BIO *connection;
    int status = 2;

    if (argc != 4) {
        fprintf(stderr, "usage: client HOST PORT CA.pem\n");
        return 2;
    }
    ctx = make_context(argv[3]);
    connection = ctx != NULL ? make_connection(ctx, argv[1], argv[2]) : NULL;
    if (connection != NULL) {
        status = talk(connection);
    } else {
        fprintf(stderr, "client: %s cannot be used, or %s is no host\n", argv[3], argv[1]);
        ERR_print_errors_fp(stderr);
    }
    BIO_free_all(connection);
    SSL_CTX_free(ctx);
    return status;
}
