//! The functions of a libssl and its libcrypto that are used here, by name and
//! type, as OpenSSL's headers declare them.

use std::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};

use super::functions::function_table;
use super::types::{AnyFunction, SSL, SSL_CTX, SSL_METHOD, SSL_SESSION, StatusCallback, X509};

function_table! {
    /// The real functions behind the names that we interpose. A libssl that
    /// lacks one leaves its place empty.
    pub struct Entries {
        required {
            SSL_CTX_new: fn(*const SSL_METHOD) -> *mut SSL_CTX;
        }
        optional {
            // Extra arguments of SSL_library_init are ignored.
            OPENSSL_init_ssl or SSL_library_init: fn(u64, *const c_void) -> c_int;
            SSL_CTX_new_ex: fn(*mut c_void, *const c_char, *const SSL_METHOD) -> *mut SSL_CTX;
            SSL_CTX_free: fn(*mut SSL_CTX);
            SSL_ctrl: fn(*mut SSL, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_ctrl: fn(*mut SSL_CTX, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_callback_ctrl: fn(*mut SSL_CTX, c_int, Option<AnyFunction>) -> c_long;
            SSL_set_session: fn(*mut SSL, *mut SSL_SESSION) -> c_int;
            SSL_new: fn(*mut SSL_CTX) -> *mut SSL;
            SSL_CTX_load_verify_locations:
                fn(*mut SSL_CTX, *const c_char, *const c_char) -> c_int;
            SSL_CTX_load_verify_file: fn(*mut SSL_CTX, *const c_char) -> c_int;
            SSL_CTX_load_verify_dir: fn(*mut SSL_CTX, *const c_char) -> c_int;
            SSL_CTX_load_verify_store: fn(*mut SSL_CTX, *const c_char) -> c_int;
            SSL_CTX_set_default_verify_paths: fn(*mut SSL_CTX) -> c_int;
            SSL_CTX_set_default_verify_file: fn(*mut SSL_CTX) -> c_int;
            SSL_CTX_set_default_verify_dir: fn(*mut SSL_CTX) -> c_int;
            SSL_CTX_set_default_verify_store: fn(*mut SSL_CTX) -> c_int;
            SSL_CTX_set_cert_store: fn(*mut SSL_CTX, *mut c_void);
            SSL_CTX_set1_cert_store: fn(*mut SSL_CTX, *mut c_void);
            SSL_CTX_use_certificate: fn(*mut SSL_CTX, *mut X509) -> c_int;
            SSL_CTX_use_certificate_ASN1: fn(*mut SSL_CTX, c_int, *const c_uchar) -> c_int;
            SSL_CTX_use_certificate_file: fn(*mut SSL_CTX, *const c_char, c_int) -> c_int;
            SSL_CTX_use_certificate_chain_file: fn(*mut SSL_CTX, *const c_char) -> c_int;
            SSL_CTX_use_cert_and_key:
                fn(*mut SSL_CTX, *mut X509, *mut c_void, *mut c_void, c_int) -> c_int;
            SSL_use_certificate: fn(*mut SSL, *mut X509) -> c_int;
            SSL_use_certificate_ASN1: fn(*mut SSL, *const c_uchar, c_int) -> c_int;
            SSL_use_certificate_file: fn(*mut SSL, *const c_char, c_int) -> c_int;
            SSL_use_certificate_chain_file: fn(*mut SSL, *const c_char) -> c_int;
            SSL_use_cert_and_key: fn(*mut SSL, *mut X509, *mut c_void, *mut c_void, c_int) -> c_int;
        }
    }
}

function_table! {
    /// The family as real functions, where a libssl that is not OpenSSL has
    /// them (BoringSSL, AWS-LC). There our exports only hand on.
    pub struct NativeFamily {
        required {}
        optional {
            SSL_CTX_set_tlsext_status_cb: fn(*mut SSL_CTX, Option<StatusCallback>) -> c_int;
            SSL_CTX_get_tlsext_status_cb: fn(*mut SSL_CTX, *mut Option<StatusCallback>) -> c_int;
            SSL_CTX_set_tlsext_status_arg: fn(*mut SSL_CTX, *mut c_void) -> c_int;
            SSL_CTX_get_tlsext_status_arg: fn(*mut SSL_CTX, *mut *mut c_void) -> c_int;
            SSL_set_tlsext_status_type: fn(*mut SSL, c_int) -> c_int;
            SSL_get_tlsext_status_type: fn(*const SSL) -> c_int;
            SSL_get_tlsext_status_ocsp_resp: fn(*const SSL, *mut *const c_uchar) -> usize;
            SSL_set_tlsext_status_ocsp_resp: fn(*mut SSL, *mut c_uchar, usize) -> c_int;
        }
    }
}

function_table! {
    /// What the shim itself needs of an OpenSSL's libssl.
    pub struct SslFunctions {
        required {
            SSL_ctrl: fn(*mut SSL, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_ctrl: fn(*mut SSL_CTX, c_int, c_long, *mut c_void) -> c_long;
            SSL_CTX_callback_ctrl: fn(*mut SSL_CTX, c_int, Option<AnyFunction>) -> c_long;
            SSL_get_SSL_CTX: fn(*const SSL) -> *mut SSL_CTX;
            SSL_is_server: fn(*const SSL) -> c_int;
            SSL_get_certificate: fn(*const SSL) -> *mut X509;
            SSL_get_ex_data: fn(*const SSL, c_int) -> *mut c_void;
            SSL_set_ex_data: fn(*mut SSL, c_int, *mut c_void) -> c_int;
            SSL_CTX_get_ex_data: fn(*const SSL_CTX, c_int) -> *mut c_void;
            SSL_CTX_set_ex_data: fn(*mut SSL_CTX, c_int, *mut c_void) -> c_int;
            SSL_get_session: fn(*const SSL) -> *mut SSL_SESSION;
            SSL_SESSION_get_ex_data: fn(*const SSL_SESSION, c_int) -> *mut c_void;
            SSL_SESSION_set_ex_data: fn(*mut SSL_SESSION, c_int, *mut c_void) -> c_int;
            SSL_get_verify_result: fn(*const SSL) -> c_long;
            SSL_get_peer_cert_chain: fn(*const SSL) -> *mut c_void;
            SSL_get_servername: fn(*const SSL, c_int) -> *const c_char;
            SSL_CTX_get0_certificate: fn(*const SSL_CTX) -> *mut X509;
            SSL_CTX_get_cert_store: fn(*const SSL_CTX) -> *mut c_void;
        }
        optional {
            OPENSSL_init_ssl: fn(u64, *const c_void) -> c_int;
            TLS_client_method or SSLv23_client_method: fn() -> *const SSL_METHOD;
            TLSv1_2_client_method: fn() -> *const SSL_METHOD;
            TLSv1_1_client_method: fn() -> *const SSL_METHOD;
            TLSv1_client_method: fn() -> *const SSL_METHOD;
            DTLS_client_method: fn() -> *const SSL_METHOD;
            DTLSv1_2_client_method: fn() -> *const SSL_METHOD;
            OSSL_QUIC_client_method: fn() -> *const SSL_METHOD;
            OSSL_QUIC_client_thread_method: fn() -> *const SSL_METHOD;
            SSL_session_reused: fn(*const SSL) -> c_int;
            SSL_version: fn(*const SSL) -> c_int;
            SSL_get_state or SSL_state: fn(*const SSL) -> c_int;
            SSL_CTX_get_ciphers: fn(*const SSL_CTX) -> *mut c_void;
            SSL_CIPHER_get_handshake_digest: fn(*const c_void) -> *const c_void;
            SSL_get0_verified_chain: fn(*const SSL) -> *mut c_void;
            SSL_SESSION_get_ex_new_index: fn(c_long, *mut c_void, ExNew, ExDup, ExNew) -> c_int;
            SSL_get_ex_new_index: fn(c_long, *mut c_void, ExNew, ExDup, ExNew) -> c_int;
            SSL_CTX_get_ex_new_index: fn(c_long, *mut c_void, ExNew, ExDup, ExNew) -> c_int;
        }
    }
}

/// `CRYPTO_EX_new` and `CRYPTO_EX_free`, which are of one type.
pub type ExNew = Option<
    unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, *mut c_void, c_int, c_long, *mut c_void),
>;
/// `CRYPTO_EX_dup`; 3.0 and later return a truth value and read it, older ones too.
pub type ExDup = Option<
    unsafe extern "C-unwind" fn(
        *mut c_void,
        *const c_void,
        *mut *mut c_void,
        c_int,
        c_long,
        *mut c_void,
    ) -> c_int,
>;

/// `ERR_STRING_DATA`.
#[repr(C)]
pub struct ErrorString {
    /// The packed error code, to which ERR_load_strings adds the library.
    pub error: c_ulong,
    /// What it says.
    pub string: *const c_char,
}

impl ErrorString {
    /// What ends a table of them.
    pub const END: ErrorString = ErrorString {
        error: 0,
        string: std::ptr::null(),
    };
}

/// A password callback for PEM, which for certificates must never prompt.
pub type PemPassword =
    Option<unsafe extern "C-unwind" fn(*mut c_char, c_int, c_int, *mut c_void) -> c_int>;

function_table! {
    /// What the shim needs of the libcrypto that a libssl is bound to.
    /// CRYPTO_malloc and CRYPTO_free take the caller's file and line from 1.1.0
    /// on; older ones ignore the two further arguments.
    pub struct Crypto {
        required {
            CRYPTO_malloc: fn(usize, *const c_char, c_int) -> *mut c_void;
            CRYPTO_free: fn(*mut c_void, *const c_char, c_int);
            CRYPTO_get_ex_data: fn(*const c_void, c_int) -> *mut c_void;
            ERR_clear_error: fn();
            ERR_set_mark: fn() -> c_int;
            ERR_pop_to_mark: fn() -> c_int;
            X509_free: fn(*mut X509);
            X509_chain_up_ref: fn(*mut c_void) -> *mut c_void;
            X509_check_issued: fn(*mut X509, *mut X509) -> c_int;
            X509_get_pubkey: fn(*mut X509) -> *mut c_void;
            X509_verify: fn(*mut X509, *mut c_void) -> c_int;
            X509_digest: fn(*const X509, *const c_void, *mut c_uchar, *mut c_uint) -> c_int;
            EVP_sha256: fn() -> *const c_void;
            EVP_PKEY_free: fn(*mut c_void);
            i2d_X509: fn(*mut X509, *mut *mut c_uchar) -> c_int;
            d2i_X509: fn(*mut *mut X509, *mut *const c_uchar, c_long) -> *mut X509;
            OPENSSL_sk_num or sk_num: fn(*const c_void) -> c_int;
            OPENSSL_sk_value or sk_value: fn(*const c_void, c_int) -> *mut c_void;
            OPENSSL_sk_new_null or sk_new_null: fn() -> *mut c_void;
            OPENSSL_sk_push or sk_push: fn(*mut c_void, *const c_void) -> c_int;
            OPENSSL_sk_free or sk_free: fn(*mut c_void);
            X509_STORE_new: fn() -> *mut c_void;
            X509_STORE_free: fn(*mut c_void);
            X509_STORE_add_cert: fn(*mut c_void, *mut X509) -> c_int;
            X509_STORE_set_flags: fn(*mut c_void, c_ulong) -> c_int;
            X509_STORE_CTX_new: fn() -> *mut c_void;
            X509_STORE_CTX_free: fn(*mut c_void);
            X509_STORE_CTX_init: fn(*mut c_void, *mut c_void, *mut X509, *mut c_void) -> c_int;
            X509_STORE_CTX_get1_issuer: fn(*mut *mut X509, *mut c_void, *mut X509) -> c_int;
            BIO_new_mem_buf: fn(*const c_void, c_int) -> *mut c_void;
            BIO_free: fn(*mut c_void) -> c_int;
            PEM_read_bio_X509:
                fn(*mut c_void, *mut *mut X509, PemPassword, *mut c_void) -> *mut X509;
        }
        optional {
            X509_up_ref: fn(*mut X509) -> c_int;
            X509_STORE_lock: fn(*mut c_void) -> c_int;
            X509_STORE_unlock: fn(*mut c_void) -> c_int;
            X509_STORE_get0_objects: fn(*const c_void) -> *mut c_void;
            X509_OBJECT_get0_X509: fn(*const c_void) -> *mut X509;
            CRYPTO_get_ex_new_index:
                fn(c_int, c_long, *mut c_void, ExNew, ExDup, ExNew) -> c_int;
            ERR_get_next_error_library: fn() -> c_int;
            ERR_load_strings: fn(c_int, *mut ErrorString) -> c_int;
            i2d_OCSP_RESPONSE: fn(*const c_void, *mut *mut c_uchar) -> c_int;
            ERR_new: fn();
            OSSL_LIB_CTX_set0_default: fn(*mut c_void) -> *mut c_void;
            ERR_set_error: fn(c_int, c_int, *const c_char);
            ERR_put_error: fn(c_int, c_int, c_int, *const c_char, c_int);
            d2i_OCSP_RESPONSE: fn(*mut *mut c_void, *mut *const c_uchar, c_long) -> *mut c_void;
            OCSP_RESPONSE_free: fn(*mut c_void);
            OCSP_response_get1_basic: fn(*mut c_void) -> *mut c_void;
            OCSP_BASICRESP_free: fn(*mut c_void);
            OPENSSL_sk_new_reserve: fn(*const c_void, c_int) -> *mut c_void;
            // Tells that this OpenSSL is 3.6 or later, and has OCSP.
            X509_STORE_CTX_set_ocsp_resp: fn(*mut c_void, *mut c_void);
            OCSP_basic_verify: fn(*mut c_void, *mut c_void, *mut c_void, c_ulong) -> c_int;
        }
    }
}
