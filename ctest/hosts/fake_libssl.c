/*
 * A library that calls itself libssl.so.3 and is none: it makes contexts, and answers the
 * control function with what it was asked. Nothing else is there.
 */
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

struct fake_method {
    int number;
};

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
    return 1000L * command + number;
}
