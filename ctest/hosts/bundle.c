/*
 * A library that has a libssl within, of which it exports only what its version script
 * forgot: the function that initialises it.
 */
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* How often it was initialised. */
EXPORT int bundle_initialised;

EXPORT int OPENSSL_init_ssl(uint64_t options, const void *settings)
{
    (void)settings;
    bundle_initialised++;
    return (int)options;
}

/* Goes by way of the loader's table, since the function is exported. */
EXPORT int bundle_init_from_within(int options)
{
    return OPENSSL_init_ssl((uint64_t)options, NULL);
}
