/*
 * dlsym for libssl.c in a program that is linked to an OpenSSL and opens another
 * libssl: the loader binds that libssl to the program's libcrypto, which stands in the
 * global scope, and so must its user. dlsym on its handle would find the libcrypto that
 * came with it.
 */
#define _GNU_SOURCE
#undef dlsym
#include <dlfcn.h>
#include <string.h>

/* Whether an address lies in a file whose name contains this. */
static int lies_in(const void *address, const char *file)
{
    Dl_info info;
    return address && dladdr(address, &info) && strstr(info.dli_fname, file);
}

void *dlsym_as_bound(void *handle, const char *name)
{
    void *found = dlsym(handle, name);
    void *global = dlsym(RTLD_DEFAULT, name);
    if (handle == RTLD_DEFAULT) {
        /* libssl.c asks for the shim's. */
        return lies_in(found, "libstaplegun") ? found : NULL;
    }
    return lies_in(found, "libcrypto") && global ? global : found;
}
