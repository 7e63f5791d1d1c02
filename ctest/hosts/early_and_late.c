/*
 * TLS before main, in main and after it. Linked against early.c and an image.
 *
 *     early_and_late IMAGE PKI alone|preloaded
 */
#define _GNU_SOURCE
#include "direct.h"
#include "host.h"

#include <stdlib.h>

extern char early_staple[];
static struct host host;

static void at_exit(void)
{
    check_text("in a function that atexit calls", direct_staple(host.pki), host.expected);
}

int main(int count, char **arguments)
{
    host = host_begin(count, arguments);
    atexit(at_exit);
    check_text("in another library's constructor", early_staple, host.expected);
    check_text("in main", direct_staple(host.pki), host.expected);
    peers_unload();
    return 0;
}
