/*
 * Another library that is preloaded, before the shim or after it: it watches what a program
 * asks of libssl, and calls whoever is next.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* How many contexts the program has made through this. */
EXPORT int wrapped_contexts;

EXPORT int OPENSSL_init_ssl(uint64_t options, const void *settings)
{
    int (*next)(uint64_t, const void *);
    *(void **)&next = dlsym(RTLD_NEXT, "OPENSSL_init_ssl");
    /* 1.0.2 has none, and needs none. */
    return next ? next(options, settings) : 1;
}

/* Whoever defines this one might be a libssl. */
EXPORT void *SSL_CTX_new(const void *method)
{
    void *(*next)(const void *);
    *(void **)&next = dlsym(RTLD_NEXT, "SSL_CTX_new");
    wrapped_contexts++;
    return next(method);
}
