/*
 * A library that calls itself libssl.so.3 and is none: it makes contexts, and answers the
 * control function with what it was asked. Nothing else is there.
 */
#include <stdint.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

struct fake_method {
    int number;
};

/* What it adds to its answers, to be told from its copies. */
EXPORT long fake_number;

/* How often it was initialised. */
EXPORT int fake_initialised;

EXPORT int OPENSSL_init_ssl(uint64_t options, const void *settings)
{
    (void)settings;
    fake_initialised++;
    return (int)options;
}

/* As some builds call themselves by way of the loader's table. */
EXPORT int fake_init_from_within(int options)
{
    return OPENSSL_init_ssl((uint64_t)options, NULL);
}

/* Begins with its method, as every SSL_CTX. */
struct fake_ctx {
    const struct fake_method *method;
    long room[64];
};

static const struct fake_method the_method = {1};

EXPORT const struct fake_method *TLS_method(void)
{
    return &the_method;
}

EXPORT struct fake_ctx *SSL_CTX_new(const struct fake_method *method)
{
    struct fake_ctx *ctx = calloc(1, sizeof(*ctx));
    if (ctx) {
        ctx->method = method;
    }
    return ctx;
}

EXPORT void SSL_CTX_free(struct fake_ctx *ctx)
{
    free(ctx);
}

EXPORT long SSL_CTX_ctrl(struct fake_ctx *ctx, int command, long number, void *pointer)
{
    (void)ctx;
    (void)pointer;
    return fake_number + 1000L * command + number;
}
