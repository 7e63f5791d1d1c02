/*
 * Hosts that give up rights between loading the certificate and shaking hands.
 *
 *     confined IMAGE PKI alone|preloaded CASE RESPONSE
 *
 * RESPONSE is what a client must receive when preloaded: "staple" by a file, "second" by
 * the live map. The cases are at the end.
 */
#define _GNU_SOURCE
#include "confine.h"
#include "host.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HANDSHAKES = 10, NOBODY = 65534, LOOK_IS_DUE = 1100 };

static struct pair pairs[2];

static void load(const struct host *host)
{
    host_open(host);
    pair_new(&pairs[0], TLS1_2);
    pair_new(&pairs[1], speaks(TLS1_3) ? TLS1_3 : TLS1_2);
}

/* What all handshakes received, or the first that received something else. */
static const char *staples(const struct host *host)
{
    const char *answer = host->expected;
    for (int i = 0; i < HANDSHAKES && strcmp(answer, host->expected) == 0; i++) {
        answer = pair_staple(&pairs[i % 2]);
    }
    return answer;
}

static const char *in_chroot(const struct host *host)
{
    char empty[4096];
    snprintf(empty, sizeof(empty), "%s/empty.XXXXXX", host->pki);
    load(host);
    if (!mkdtemp(empty) || chroot(empty) != 0 || chdir("/") != 0
        || setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        broken("chroot and setuid (this test must run as root)");
    }
    poll(NULL, 0, LOOK_IS_DUE);
    return staples(host);
}

/*
 * The PKI's directory becomes the root, in which its files have the names that they had. The
 * library meets the libssl there, whose file is gone. The map was found when that was
 * initialised, and a response elsewhere was read, which 1.0.2 has no function for.
 */
static const char *first_in_chroot(const struct host *host)
{
    char path[4096];
    host_open(host);
    /* Before 1.1.1 libcrypto opens /dev/urandom when it first needs it. */
    int (*seed)(void) = (int (*)(void))host_function(host, "RAND_status");
    if (seed() != 1) {
        broken("RAND_status");
    }
    for (const char *end = strchr(host->pki + 1, '/'); end; end = strchr(end + 1, '/')) {
        snprintf(path, sizeof(path), "%s%.*s", host->pki, (int)(end - host->pki), host->pki);
        mkdir(path, 0755);
    }
    snprintf(path, sizeof(path), "%s%s", host->pki, host->pki);
    if ((symlink("/", path) != 0 && errno != EEXIST) || chroot(host->pki) != 0
        || chdir("/") != 0) {
        broken("chroot (this test must run as root)");
    }
    pair_new(&pairs[0], TLS1_2);
    pair_new(&pairs[1], speaks(TLS1_3) ? TLS1_3 : TLS1_2);
    const char *answer = staples(host);
    int is_old = libssl_version() < 0x010100;
    return is_old && strcmp(answer, "none") == 0 ? host->expected : answer;
}

static const char *filtered(const struct host *host)
{
    make_room();
    /* What libcrypto fetches, and seeds, at its first handshake. */
    staples(host);
    /* By now a look at the files is due. */
    poll(NULL, 0, LOOK_IS_DUE);
    confine_to_read_and_write();
    return staples(host);
}

static const char *loaded_and_filtered(const struct host *host)
{
    load(host);
    return filtered(host);
}

static const char *with_little_memory(const struct host *host)
{
    struct rlimit limit = {200 << 20, 200 << 20};
    setrlimit(RLIMIT_AS, &limit);
    load(host);
    return staples(host);
}

/* So little that the map does not fit. */
static const char *without_memory_for_the_map(const struct host *host)
{
    char line[256];
    long pages = 0;
    libssl_open(host->image, NULL, ROUTE_MACRO);
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || !fgets(line, sizeof(line), statm) || (pages = atol(line)) == 0) {
        broken("/proc/self/statm");
    }
    fclose(statm);
    /* A map has 16 MiB. */
    struct rlimit limit = {(rlim_t)pages * 4096 + (12 << 20), RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    load(host);
    return staples(host);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name, *label;
        const char *(*body)(const struct host *);
        /* The parent loads, as servers do that fork for each connection. */
        int parent_loads;
        /* What else than RESPONSE a client receives, or how the process ends. */
        const char *preloaded;
    } cases[] = {
        {"chroot", "chroot and setuid after the load", in_chroot, 0, NULL},
        {"chroot-first", "chroot before the first context", first_in_chroot, 0, NULL},
        {"filter", "a system call filter after the load", loaded_and_filtered, 0, NULL},
        {"filtered-child", "a system call filter in a child", filtered, 1, NULL},
        /* SIGSYS: the documentation asks for STAPLEGUN_RECHECK=0 here. */
        {"rechecking", "a look at files is a system call", loaded_and_filtered, 0,
         "signal 31"},
        {"memory", "200 MB of address space", with_little_memory, 0, NULL},
        {"no-memory", "no room for the map", without_memory_for_the_map, 0, "none"},
    };
    struct host host = host_begin(count, arguments);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (host.more_count == 2 && strcmp(cases[i].name, host.more[0]) == 0) {
            const char *expected = "none";
            if (host.preloaded) {
                host.expected = expected = host.more[1];
                if (cases[i].preloaded) {
                    expected = cases[i].preloaded;
                    host.expected = strcmp(expected, "none") == 0 ? expected : host.expected;
                }
            }
            if (cases[i].parent_loads) {
                load(&host);
            }
            check_text(cases[i].label, child_says(cases[i].body, &host), expected);
            return 0;
        }
    }
    broken("no such case");
}
