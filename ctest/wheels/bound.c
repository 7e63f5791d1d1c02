/*
 * dlsym for libssl.c in a program that is linked to an OpenSSL and opens another
 * libssl: the loader binds that libssl to the program's libcrypto, which stands in the
 * global scope, and so must its user. dlsym on its handle would find the libcrypto that
 * came with it. Once both images have contexts its code cannot be executed: nobody has any
 * business there. Before, the shim reads a list of ciphers with it, by which it finds out.
 */
#define _GNU_SOURCE
#undef dlsym
#include <dlfcn.h>
#include <string.h>

#include "../code_of.h"
#include "../facts.h"

static const void *came_with_it;

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
    if (!global || global == found || !lies_in(found, "libcrypto")) {
        return found;
    }
    came_with_it = found;
    return global;
}

/* two_images.c calls it. */
void contexts_are_made(void)
{
    if (!came_with_it) {
        broken("the wheel's libcrypto is the program's");
    }
    forbid_code_of(came_with_it);
}

/* It runs destructors of its own. */
__attribute__((destructor)) static void allow_what_came_with_it(void)
{
    if (came_with_it) {
        allow_code_of(came_with_it);
    }
}
