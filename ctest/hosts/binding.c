/*
 * A program linked against an image in the ordinary way, bound lazily or at once (the
 * driver links both).
 *
 *     binding-lazy|binding-now IMAGE PKI alone|preloaded
 *
 * Where another library is preloaded as well (wrapper.c), HOSTS_WRAPPER says whether it is
 * called: "1" before the shim, "0" after it.
 */
#define _GNU_SOURCE
#include "direct.h"
#include "host.h"

#include <dlfcn.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    check_text("the first handshake", direct_staple(host.pki), host.expected);
    check_text("the second handshake", direct_staple(host.pki), host.expected);
    const char *wrapper = getenv("HOSTS_WRAPPER");
    if (wrapper) {
        const int *contexts = dlsym(RTLD_DEFAULT, "wrapped_contexts");
        check(contexts && (*contexts > 0) == atoi(wrapper), "the other library",
              "it has seen %d contexts made", contexts ? *contexts : -1);
    }
    peers_unload();
    return 0;
}
