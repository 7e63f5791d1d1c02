/* staplegun.h: the status_request family of OpenSSL as real functions.
 *
 * Generated from src/abi/status.rs; do not edit.
 *
 * Link with -lstaplegun -lssl -lcrypto, in this order. The header can be included
 * alone, before or after OpenSSL's own headers. There the same names are macros;
 * whichever way a call is written, it reaches libstaplegun.
 */

#ifndef STAPLEGUN_H
#define STAPLEGUN_H

/* OpenSSL's macros of the same names would hide the functions. */
#undef SSL_CTX_set_tlsext_status_cb
#undef SSL_CTX_get_tlsext_status_cb
#undef SSL_CTX_set_tlsext_status_arg
#undef SSL_CTX_get_tlsext_status_arg
#undef SSL_CTX_set_tlsext_status_type
#undef SSL_CTX_get_tlsext_status_type
#undef SSL_set_tlsext_status_type
#undef SSL_get_tlsext_status_type
#undef SSL_set_tlsext_status_exts
#undef SSL_get_tlsext_status_exts
#undef SSL_set_tlsext_status_ids
#undef SSL_get_tlsext_status_ids
#undef SSL_set_tlsext_status_ocsp_resp
#undef SSL_get_tlsext_status_ocsp_resp
#undef SSL_set0_tlsext_status_ocsp_resp_ex
#undef SSL_get0_tlsext_status_ocsp_resp_ex

/* The numbers of the manual page, for those who do without OpenSSL's headers. */
#ifndef TLSEXT_STATUSTYPE_ocsp
#define TLSEXT_STATUSTYPE_ocsp 1
#endif
#ifndef SSL_TLSEXT_ERR_OK
#define SSL_TLSEXT_ERR_OK 0
#define SSL_TLSEXT_ERR_ALERT_WARNING 1
#define SSL_TLSEXT_ERR_ALERT_FATAL 2
#define SSL_TLSEXT_ERR_NOACK 3
#endif

struct ssl_st;
struct ssl_ctx_st;
struct stack_st_X509_EXTENSION;
struct stack_st_OCSP_RESPID;
struct stack_st_OCSP_RESPONSE;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Sets the callback that a server answers a status_request with, or that a
 client judges the server's response by. NULL unsets it.

 A server's callback returns SSL_TLSEXT_ERR_OK (0) to have the response sent
 that was set, SSL_TLSEXT_ERR_NOACK (3) to send none, and
 SSL_TLSEXT_ERR_ALERT_FATAL (2) to end the handshake. A client's returns a
 positive number to accept, 0 to refuse, a negative one on error.

 Returns 1, or 0 on error.

 `ctx` must be NULL or a valid SSL_CTX.
 */
long SSL_CTX_set_tlsext_status_cb(struct ssl_ctx_st *ctx,
                                  int (*callback)(struct ssl_st *ssl, void *arg));

/*
 Stores the callback of `ctx` in `*callback`: the program's, or NULL.

 Returns 1, or 0 on error.

 `ctx` must be NULL or a valid SSL_CTX, `callback` NULL or writable.
 */
long SSL_CTX_get_tlsext_status_cb(struct ssl_ctx_st *ctx,
                                  int (**callback)(struct ssl_st *ssl, void *arg));

/*
 Sets the argument that the callback of `ctx` is called with.

 Returns 1, or 0 on error.

 `ctx` must be NULL or a valid SSL_CTX.
 */
long SSL_CTX_set_tlsext_status_arg(struct ssl_ctx_st *ctx, void *arg);

/*
 Stores the callback's argument in `*arg`.

 Returns 1, or 0 on error.

 `ctx` must be NULL or a valid SSL_CTX, `arg` NULL or writable.
 */
long SSL_CTX_get_tlsext_status_arg(struct ssl_ctx_st *ctx, void **arg);

/*
 Sets the status type that new SSLs of `ctx` start with: TLSEXT_STATUSTYPE_ocsp
 (1) to ask for a response, or -1 for none. Another type is refused and
 changes nothing.

 Returns 1, or 0 on error.

 `ctx` must be NULL or a valid SSL_CTX.
 */
long SSL_CTX_set_tlsext_status_type(struct ssl_ctx_st *ctx, int status_type);

/*
 Returns the status type that new SSLs of `ctx` start with: 1, or -1 for none
 and on error.

 `ctx` must be NULL or a valid SSL_CTX.
 */
long SSL_CTX_get_tlsext_status_type(struct ssl_ctx_st *ctx);

/*
 Has a client ask for a response, with TLSEXT_STATUSTYPE_ocsp (1), or not ask,
 with -1. To be called before the handshake. Another type is refused and
 changes nothing.

 Returns 1, or 0 on error.

 `ssl` must be NULL or a valid SSL.
 */
long SSL_set_tlsext_status_type(struct ssl_st *ssl, int status_type);

/*
 Returns the status type of `ssl`: 1, or -1 for none and on error.

 `ssl` must be NULL or a valid SSL.
 */
long SSL_get_tlsext_status_type(struct ssl_st *ssl);

/*
 Sets the extensions of a client's status_request. The stack passes to `ssl`; one
 set before is not freed.

 Returns 1, or 0 on error.

 `ssl` must be NULL or a valid SSL.
 */
long SSL_set_tlsext_status_exts(struct ssl_st *ssl,
                                struct stack_st_X509_EXTENSION *exts);

/*
 Stores the extensions of the status_request in `*exts`: a client's own, or
 those that a server received. They stay with `ssl`.

 Returns 1, or 0 on error.

 `ssl` must be NULL or a valid SSL, `exts` NULL or writable.
 */
long SSL_get_tlsext_status_exts(struct ssl_st *ssl,
                                struct stack_st_X509_EXTENSION **exts);

/*
 Sets the responders that a client trusts. The stack passes to `ssl`; one set
 before is not freed.

 Returns 1, or 0 on error.

 `ssl` must be NULL or a valid SSL.
 */
long SSL_set_tlsext_status_ids(struct ssl_st *ssl, struct stack_st_OCSP_RESPID *ids);

/*
 Stores the responders that the client trusts in `*ids`: a client's own, or
 those that a server received. They stay with `ssl`.

 Returns 1, or 0 on error.

 `ssl` must be NULL or a valid SSL, `ids` NULL or writable.
 */
long SSL_get_tlsext_status_ids(struct ssl_st *ssl, struct stack_st_OCSP_RESPID **ids);

/*
 Sets the response (DER) that a server sends, which must come from
 OPENSSL_malloc and then belongs to `ssl`. (NULL, 0) clears; so does a block of
 no length, which is freed. A negative length, or NULL with a length, is refused
 and changes nothing.

 Returns 1, or 0 on error, and then `resp` stays the caller's.

 `ssl` must be NULL or a valid SSL; `resp` must be NULL or such a block of `len`
 bytes.
 */
long SSL_set_tlsext_status_ocsp_resp(struct ssl_st *ssl, unsigned char *resp, int len);

/*
 Stores the response (DER) in `*resp`: what a client received, or what was set
 on a server. It stays with `ssl`, at the same address until the next response
 is set or received or `ssl` is freed.

 Returns its length in bytes, or -1, with NULL in `*resp`, if there is none.

 `ssl` must be NULL or a valid SSL, `resp` NULL or writable.
 */
long SSL_get_tlsext_status_ocsp_resp(struct ssl_st *ssl, unsigned char **resp);

/*
 Sets the responses for the whole chain, which a TLS 1.3 server sends. The stack
 and its elements pass to `ssl`. Needs OpenSSL 3.6.

 Returns 1, or 0 on error and where libssl has no such function.

 `ssl` must be NULL or a valid SSL; `resp` must be NULL or a stack of its
 libcrypto.
 */
long SSL_set0_tlsext_status_ocsp_resp_ex(struct ssl_st *ssl,
                                         struct stack_st_OCSP_RESPONSE *resp);

/*
 Stores the responses for the whole chain in `*resp`. They stay with `ssl`.
 Needs OpenSSL 3.6.

 Returns how many there are, or -1, with NULL in `*resp`, if there are none or
 libssl has no such function.

 `ssl` must be NULL or a valid SSL, `resp` NULL or writable.
 */
long SSL_get0_tlsext_status_ocsp_resp_ex(struct ssl_st *ssl,
                                         struct stack_st_OCSP_RESPONSE **resp);

/*
 Returns the version of this library, as in "0.2.0". It is a constant.
 */
const char *staplegun_version(void);

#ifdef __cplusplus
}
#endif  // __cplusplus

#endif  /* STAPLEGUN_H */
