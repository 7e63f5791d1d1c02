/* Opens a libssl by path and reaches its functions by name. See libssl.h. */
#define _GNU_SOURCE
#include "libssl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct libssl L;

static enum route family_route;
static void *image_handle;
static void *shim_handle; /* RTLD_DEFAULT is NULL, so a flag says whether it counts */
static int has_shim;

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "ctest: %s: %s\n", what, detail ? detail : "");
    exit(2);
}

static void *find(const char *name)
{
    void *found = has_shim ? dlsym(shim_handle, name) : NULL;
    return found ? found : dlsym(image_handle, name);
}

static void *open_path(const char *path, int scope)
{
    void *handle = dlopen(path, RTLD_NOW | scope);
    if (!handle) {
        fail("cannot open", dlerror());
    }
    return handle;
}

/* Function pointers and dlsym's pointers have one size on every system with dlsym. */
#define FIND_FUNCTION(result, name, arguments)                                             \
    {                                                                                      \
        void *found = find(#name);                                                         \
        memcpy(&L.name, &found, sizeof(found));                                            \
    }
#define REQUIRE_FUNCTION(result, name, arguments)                                          \
    FIND_FUNCTION(result, name, arguments)                                                 \
    if (!L.name) {                                                                         \
        fail("no such function", #name);                                                   \
    }

void libssl_open(const char *image, const char *shim, enum route route)
{
    int linked = shim && strcmp(shim, SHIM_LINKED) == 0;
    family_route = route;
    if (shim) {
        has_shim = 1;
        shim_handle = linked || strcmp(shim, SHIM_PRELOADED) == 0
                          ? RTLD_DEFAULT
                          : open_path(shim, RTLD_LOCAL);
        if (!dlsym(shim_handle, "SSL_ctrl")) {
            fail("the shim exports no SSL_ctrl", shim);
        }
    }
    image_handle = open_path(image, linked ? RTLD_GLOBAL : RTLD_LOCAL);
    REQUIRED_FUNCTIONS(REQUIRE_FUNCTION)
    OPTIONAL_FUNCTIONS(FIND_FUNCTION)
    if (route == ROUTE_NAMED) {
        NAMED_FUNCTIONS(REQUIRE_FUNCTION)
    }
    if (L.SSL_library_init) {
        L.SSL_library_init();
    }
    if (L.OPENSSL_init_ssl && L.OPENSSL_init_ssl(0, NULL) != 1) {
        fail("it does not initialise itself", image);
    }
    /* The shim's has no object that would tell of an image opened locally. */
    int (*own)(uint64_t, const void *);
    void *found = dlsym(image_handle, "OPENSSL_init_ssl");
    memcpy(&own, &found, sizeof(own));
    if (own) {
        own(0, NULL);
    }
}

int libssl_is_alone(void)
{
    return !has_shim;
}

const char *libssl_version_text(void)
{
    return L.OpenSSL_version ? L.OpenSSL_version(0) : L.SSLeay_version(0);
}

unsigned libssl_version(void)
{
    unsigned major = 0, minor = 0, patch = 0;
    if (sscanf(libssl_version_text(), "OpenSSL %u.%u.%u", &major, &minor, &patch) != 3) {
        fail("cannot read the version", libssl_version_text());
    }
    return major << 16 | minor << 8 | patch;
}

void *libssl_malloc(size_t size)
{
    void *memory;
    if (libssl_version() < 0x010100) {
        void *(*old)(int, const char *, int);
        memcpy(&old, &L.CRYPTO_malloc, sizeof(old));
        memory = old((int)size, __FILE__, __LINE__);
    } else {
        memory = L.CRYPTO_malloc(size, __FILE__, __LINE__);
    }
    if (!memory) {
        fail("out of memory", NULL);
    }
    return memory;
}

void libssl_free(void *memory)
{
    if (libssl_version() < 0x010100) {
        void (*old)(void *);
        memcpy(&old, &L.CRYPTO_free, sizeof(old));
        old(memory);
    } else {
        L.CRYPTO_free(memory, __FILE__, __LINE__);
    }
}

STACK *stack_new(void)
{
    return L.OPENSSL_sk_new_null ? L.OPENSSL_sk_new_null() : L.sk_new_null();
}

void stack_push(STACK *stack, void *item)
{
    if ((L.OPENSSL_sk_push ? L.OPENSSL_sk_push : L.sk_push)(stack, item) <= 0) {
        fail("cannot push on a stack", NULL);
    }
}

int stack_count(const STACK *stack)
{
    return (L.OPENSSL_sk_num ? L.OPENSSL_sk_num : L.sk_num)(stack);
}

void *stack_item(const STACK *stack, int index)
{
    return (L.OPENSSL_sk_value ? L.OPENSSL_sk_value : L.sk_value)(stack, index);
}

void stack_free(STACK *stack, void (*free_item)(void *))
{
    (L.OPENSSL_sk_pop_free ? L.OPENSSL_sk_pop_free : L.sk_pop_free)(stack, free_item);
}

/* The numbers are those of OpenSSL's tls1.h and ssl.h; they never changed. */
#define BY_ROUTE(named, macro) return family_route == ROUTE_NAMED ? (named) : (macro)

long ctx_set_status_cb(SSL_CTX *ctx, status_cb callback)
{
    BY_ROUTE(L.SSL_CTX_set_tlsext_status_cb(ctx, callback),
             L.SSL_CTX_callback_ctrl(ctx, 63, (any_function)callback));
}

long ctx_get_status_cb(SSL_CTX *ctx, status_cb *callback)
{
    BY_ROUTE(L.SSL_CTX_get_tlsext_status_cb(ctx, callback),
             L.SSL_CTX_ctrl(ctx, 128, 0, callback));
}

long ctx_set_status_arg(SSL_CTX *ctx, void *arg)
{
    BY_ROUTE(L.SSL_CTX_set_tlsext_status_arg(ctx, arg), L.SSL_CTX_ctrl(ctx, 64, 0, arg));
}

long ctx_get_status_arg(SSL_CTX *ctx, void **arg)
{
    BY_ROUTE(L.SSL_CTX_get_tlsext_status_arg(ctx, arg), L.SSL_CTX_ctrl(ctx, 129, 0, arg));
}

long ctx_set_status_type(SSL_CTX *ctx, int type)
{
    BY_ROUTE(L.SSL_CTX_set_tlsext_status_type(ctx, type),
             L.SSL_CTX_ctrl(ctx, 65, type, NULL));
}

long ctx_get_status_type(SSL_CTX *ctx)
{
    BY_ROUTE(L.SSL_CTX_get_tlsext_status_type(ctx), L.SSL_CTX_ctrl(ctx, 127, 0, NULL));
}

long set_status_type(SSL *ssl, int type)
{
    BY_ROUTE(L.SSL_set_tlsext_status_type(ssl, type), L.SSL_ctrl(ssl, 65, type, NULL));
}

long get_status_type(SSL *ssl)
{
    BY_ROUTE(L.SSL_get_tlsext_status_type(ssl), L.SSL_ctrl(ssl, 127, 0, NULL));
}

long get_status_exts(SSL *ssl, STACK **extensions)
{
    BY_ROUTE(L.SSL_get_tlsext_status_exts(ssl, extensions),
             L.SSL_ctrl(ssl, 66, 0, extensions));
}

long set_status_exts(SSL *ssl, STACK *extensions)
{
    BY_ROUTE(L.SSL_set_tlsext_status_exts(ssl, extensions),
             L.SSL_ctrl(ssl, 67, 0, extensions));
}

long get_status_ids(SSL *ssl, STACK **ids)
{
    BY_ROUTE(L.SSL_get_tlsext_status_ids(ssl, ids), L.SSL_ctrl(ssl, 68, 0, ids));
}

long set_status_ids(SSL *ssl, STACK *ids)
{
    BY_ROUTE(L.SSL_set_tlsext_status_ids(ssl, ids), L.SSL_ctrl(ssl, 69, 0, ids));
}

long get_response(SSL *ssl, unsigned char **response)
{
    BY_ROUTE(L.SSL_get_tlsext_status_ocsp_resp(ssl, response),
             L.SSL_ctrl(ssl, 70, 0, response));
}

long set_response(SSL *ssl, unsigned char *response, int length)
{
    BY_ROUTE(L.SSL_set_tlsext_status_ocsp_resp(ssl, response, length),
             L.SSL_ctrl(ssl, 71, length, response));
}

long get0_responses(SSL *ssl, STACK **responses)
{
    BY_ROUTE(L.SSL_get0_tlsext_status_ocsp_resp_ex(ssl, responses),
             L.SSL_ctrl(ssl, 142, 0, responses));
}

long set0_responses(SSL *ssl, STACK *responses)
{
    BY_ROUTE(L.SSL_set0_tlsext_status_ocsp_resp_ex(ssl, responses),
             L.SSL_ctrl(ssl, 143, 0, responses));
}
