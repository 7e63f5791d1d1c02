/*
 * A program linked against an image in the ordinary way, bound lazily or at once (the
 * driver links both).
 *
 *     binding-lazy|binding-now IMAGE PKI alone|preloaded
 */
#define _GNU_SOURCE
#include "direct.h"
#include "host.h"

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    check_text("the first handshake", direct_staple(host.pki), host.expected);
    check_text("the second handshake", direct_staple(host.pki), host.expected);
    peers_unload();
    return 0;
}
