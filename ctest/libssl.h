/*
 * The libssl under test, opened by its path: one binary runs on every version.
 *
 * No OpenSSL header is used, because no header fits all versions. Functions are found by
 * name, in the shim first (if there is one), then in the image. The status_request
 * family can be reached by two routes: through the control functions, as OpenSSL's
 * macros do, or by the names that the shim exports.
 */
#ifndef CTEST_LIBSSL_H
#define CTEST_LIBSSL_H

#include <stddef.h>
#include <stdint.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
typedef struct ssl_session_st SSL_SESSION;
typedef struct bio_st BIO;
typedef struct stack_st STACK;

typedef int (*status_cb)(SSL *, void *);
typedef void (*any_function)(void);

/* Present in every version, in libssl or its libcrypto. */
#define REQUIRED_FUNCTIONS(F)                                                              \
    F(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *))                                        \
    F(void, SSL_CTX_free, (SSL_CTX *))                                                     \
    F(long, SSL_CTX_ctrl, (SSL_CTX *, int, long, void *))                                  \
    F(long, SSL_CTX_callback_ctrl, (SSL_CTX *, int, any_function))                         \
    F(int, SSL_CTX_use_certificate_chain_file, (SSL_CTX *, const char *))                  \
    F(int, SSL_CTX_use_PrivateKey_file, (SSL_CTX *, const char *, int))                    \
    F(int, SSL_CTX_load_verify_locations, (SSL_CTX *, const char *, const char *))         \
    F(void, SSL_CTX_set_verify, (SSL_CTX *, int, any_function))                            \
    F(void, SSL_CTX_set_cert_verify_callback, (SSL_CTX *, int (*)(void *, void *), void *)) \
    F(void, SSL_CTX_set_info_callback, (SSL_CTX *, void (*)(const SSL *, int, int)))       \
    F(SSL *, SSL_new, (SSL_CTX *))                                                         \
    F(SSL *, SSL_dup, (SSL *))                                                             \
    F(int, SSL_clear, (SSL *))                                                             \
    F(void, SSL_free, (SSL *))                                                             \
    F(long, SSL_ctrl, (SSL *, int, long, void *))                                          \
    F(SSL_CTX *, SSL_set_SSL_CTX, (SSL *, SSL_CTX *))                                      \
    F(int, SSL_set_ex_data, (SSL *, int, void *))                                          \
    F(void *, SSL_get_ex_data, (const SSL *, int))                                         \
    F(void, SSL_set_bio, (SSL *, BIO *, BIO *))                                            \
    F(void, SSL_set_connect_state, (SSL *))                                                \
    F(void, SSL_set_accept_state, (SSL *))                                                 \
    F(int, SSL_do_handshake, (SSL *))                                                      \
    F(int, SSL_get_error, (const SSL *, int))                                              \
    F(int, SSL_read, (SSL *, void *, int))                                                 \
    F(int, SSL_renegotiate, (SSL *))                                                       \
    F(void, SSL_set_shutdown, (SSL *, int))                                                \
    F(SSL_SESSION *, SSL_get1_session, (SSL *))                                            \
    F(int, SSL_set_session, (SSL *, SSL_SESSION *))                                        \
    F(void, SSL_SESSION_free, (SSL_SESSION *))                                             \
    F(int, i2d_SSL_SESSION, (SSL_SESSION *, unsigned char **))                             \
    F(SSL_SESSION *, d2i_SSL_SESSION, (SSL_SESSION **, const unsigned char **, long))      \
    F(const char *, SSL_get_version, (const SSL *))                                        \
    F(int, BIO_new_bio_pair, (BIO **, size_t, BIO **, size_t))                             \
    F(int, BIO_read, (BIO *, void *, int))                                                 \
    F(int, BIO_write, (BIO *, const void *, int))                                          \
    F(int, BIO_free, (BIO *))                                                              \
    F(unsigned long, ERR_get_error, (void))                                                \
    F(unsigned long, ERR_peek_error, (void))                                               \
    F(void, ERR_clear_error, (void))                                                       \
    F(const char *, ERR_reason_error_string, (unsigned long))                              \
    F(void *, d2i_X509_EXTENSIONS, (void **, const unsigned char **, long))                \
    F(int, i2d_X509_EXTENSIONS, (void *, unsigned char **))                                \
    F(void *, d2i_OCSP_RESPID, (void **, const unsigned char **, long))                    \
    F(int, i2d_OCSP_RESPID, (void *, unsigned char **))                                    \
    F(void, OCSP_RESPID_free, (void *))                                                    \
    F(void, X509_EXTENSION_free, (void *))                                                 \
    F(void *, d2i_OCSP_RESPONSE, (void **, const unsigned char **, long))                  \
    F(int, i2d_OCSP_RESPONSE, (void *, unsigned char **))                                  \
    F(void, OCSP_RESPONSE_free, (void *))

/* Absent in some versions: NULL there. */
#define OPTIONAL_FUNCTIONS(F)                                                              \
    F(int, SSL_library_init, (void))                                                       \
    F(int, OPENSSL_init_ssl, (uint64_t, const void *))                                     \
    F(const SSL_METHOD *, TLS_method, (void))                                              \
    F(const SSL_METHOD *, DTLS_method, (void))                                             \
    F(const SSL_METHOD *, TLSv1_2_method, (void))                                          \
    F(const SSL_METHOD *, DTLSv1_2_method, (void))                                         \
    F(uint64_t, SSL_CTX_set_options, (SSL_CTX *, uint64_t))                                \
    F(int, SSL_session_reused, (const SSL *))                                              \
    F(const char *, OpenSSL_version, (int))                                                \
    F(const char *, SSLeay_version, (int))                                                 \
    F(int, CRYPTO_num_locks, (void))                                                       \
    F(void, CRYPTO_set_locking_callback, (void (*)(int, int, const char *, int)))          \
    F(void *, CRYPTO_malloc, (size_t, const char *, int))                                  \
    F(void, CRYPTO_free, (void *, const char *, int))                                      \
    F(STACK *, OPENSSL_sk_new_null, (void))                                                \
    F(int, OPENSSL_sk_push, (STACK *, const void *))                                       \
    F(int, OPENSSL_sk_num, (const STACK *))                                                \
    F(void *, OPENSSL_sk_value, (const STACK *, int))                                      \
    F(void, OPENSSL_sk_pop_free, (STACK *, void (*)(void *)))                              \
    F(STACK *, sk_new_null, (void))                                                        \
    F(int, sk_push, (STACK *, const void *))                                               \
    F(int, sk_num, (const STACK *))                                                        \
    F(void *, sk_value, (const STACK *, int))                                              \
    F(void, sk_pop_free, (STACK *, void (*)(void *)))

/* The family by name. Only the shim has it. */
#define NAMED_FUNCTIONS(F)                                                                 \
    F(long, SSL_CTX_set_tlsext_status_cb, (SSL_CTX *, status_cb))                          \
    F(long, SSL_CTX_get_tlsext_status_cb, (SSL_CTX *, status_cb *))                        \
    F(long, SSL_CTX_set_tlsext_status_arg, (SSL_CTX *, void *))                            \
    F(long, SSL_CTX_get_tlsext_status_arg, (SSL_CTX *, void **))                           \
    F(long, SSL_CTX_set_tlsext_status_type, (SSL_CTX *, int))                              \
    F(long, SSL_CTX_get_tlsext_status_type, (SSL_CTX *))                                   \
    F(long, SSL_set_tlsext_status_type, (SSL *, int))                                      \
    F(long, SSL_get_tlsext_status_type, (SSL *))                                           \
    F(long, SSL_get_tlsext_status_exts, (SSL *, STACK **))                                 \
    F(long, SSL_set_tlsext_status_exts, (SSL *, STACK *))                                  \
    F(long, SSL_get_tlsext_status_ids, (SSL *, STACK **))                                  \
    F(long, SSL_set_tlsext_status_ids, (SSL *, STACK *))                                   \
    F(long, SSL_get_tlsext_status_ocsp_resp, (SSL *, unsigned char **))                    \
    F(long, SSL_set_tlsext_status_ocsp_resp, (SSL *, unsigned char *, int))                \
    F(long, SSL_get0_tlsext_status_ocsp_resp_ex, (SSL *, STACK **))                        \
    F(long, SSL_set0_tlsext_status_ocsp_resp_ex, (SSL *, STACK *))

#define DECLARE_FUNCTION(result, name, arguments) result(*name) arguments;

struct libssl {
    REQUIRED_FUNCTIONS(DECLARE_FUNCTION)
    OPTIONAL_FUNCTIONS(DECLARE_FUNCTION)
    NAMED_FUNCTIONS(DECLARE_FUNCTION)
};

/* The functions in use. Filled by libssl_open. */
extern struct libssl L;

/* How the status_request family is called. */
enum route {
    ROUTE_MACRO, /* SSL_ctrl and its kin, with the numbers of OpenSSL's macros */
    ROUTE_NAMED  /* the shim's functions */
};

/* Where the shim is, besides a path: in the process since its start. */
#define SHIM_PRELOADED "preloaded"
#define SHIM_LINKED "linked"

/*
 * Opens the image and fills L. shim is NULL (the image alone), SHIM_PRELOADED,
 * SHIM_LINKED or a path to open. The image is opened with RTLD_LOCAL, as plugins and
 * interpreters do; if the shim is linked then with RTLD_GLOBAL, as libssl is when it is
 * linked behind the shim. Ends the process with a message if anything is missing.
 *
 * May be called again with another image: keep a copy of L and put it back to change.
 */
void libssl_open(const char *image, const char *shim, enum route route);

/* Whether there is no shim: then some facts would be undefined behaviour. */
int libssl_is_alone(void);

/* "OpenSSL 3.0.19 27 Jan 2026" and the like. */
const char *libssl_version_text(void);

/* The version as 0xMMmmpp: 0x010002, 0x010101, 0x030600. */
unsigned libssl_version(void);

/* Memory of the image's libcrypto, for buffers that libssl takes over. */
void *libssl_malloc(size_t size);
void libssl_free(void *memory);

/* Stacks under the names of either age. */
STACK *stack_new(void);
void stack_push(STACK *stack, void *item);
int stack_count(const STACK *stack);
void *stack_item(const STACK *stack, int index);
void stack_free(STACK *stack, void (*free_item)(void *));

/* The family, by the route that libssl_open was given. */
long ctx_set_status_cb(SSL_CTX *ctx, status_cb callback);
long ctx_get_status_cb(SSL_CTX *ctx, status_cb *callback);
long ctx_set_status_arg(SSL_CTX *ctx, void *arg);
long ctx_get_status_arg(SSL_CTX *ctx, void **arg);
long ctx_set_status_type(SSL_CTX *ctx, int type);
long ctx_get_status_type(SSL_CTX *ctx);
long set_status_type(SSL *ssl, int type);
long get_status_type(SSL *ssl);
long get_status_exts(SSL *ssl, STACK **extensions);
long set_status_exts(SSL *ssl, STACK *extensions);
long get_status_ids(SSL *ssl, STACK **ids);
long set_status_ids(SSL *ssl, STACK *ids);
long get_response(SSL *ssl, unsigned char **response);
long set_response(SSL *ssl, unsigned char *response, int length);
long get0_responses(SSL *ssl, STACK **responses);
long set0_responses(SSL *ssl, STACK *responses);

#endif
