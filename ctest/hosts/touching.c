/*
 * Hosts that from some moment on are killed for every look at a file.
 *
 *     touching IMAGE PKI alone|preloaded CASE RESPONSE
 *
 * RESPONSE is what a client must receive when preloaded: "none", "staple" by a file,
 * "second" by the live map; or KILLED. The cases are at the end. Each shows first that the
 * filter does kill.
 */
#define _GNU_SOURCE
#include "confine.h"
#include "material.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_IS_DUE = 1100 };

static struct pair pair;
static struct material server, unknown;

/*
 * Everything that libcrypto fetches, and seeds, at its first handshakes, with certificates
 * that are not the ones in question; and a second in which nothing was looked at.
 */
static void warm_up(const struct host *host)
{
    struct material other = material_read(host, "must-staple", "must-staple");
    struct pair warm = {pair.client, server_context(TLS1_2, "other")};
    for (int turn = 0; turn < 2; turn++) {
        pair_staple(&warm);
    }
    L.SSL_CTX_free(warm.server);
    warm = (struct pair){new_context(TLS1_2), new_context(TLS1_2)};
    load_into_context(host, warm.server, &other);
    pair_staple(&warm);
    pair_free(&warm);
    poll(NULL, 0, LOOK_IS_DUE);
}

static void load(const struct host *host)
{
    host_open(host);
    pair_new(&pair, TLS1_2);
    server = material_read(host, "server", "server");
    unknown = material_read(host, "untrusted", "untrusted");
    warm_up(host);
}

static const char *looks(const struct host *host)
{
    (void)host;
    make_room();
    confine_from_files();
    return access("/", F_OK) == 0 ? "lived" : "lived, refused";
}

static const char *shakes_hands(const struct host *host)
{
    load(host);
    make_room();
    confine_from_files();
    return pair_staple(&pair);
}

/* Nobody can tell whether this is the process that loaded the certificate. */
static const char *cannot_tell_a_child(const struct host *host)
{
    confine_from_wiping();
    return shakes_hands(host);
}

static const char *makes_a_context(const struct host *host)
{
    load(host);
    make_room();
    confine_from_files();
    struct pair later = {new_context(TLS1_2), pair.server};
    return pair_staple(&later);
}

static const char *loads(const struct host *host, const struct material *material)
{
    make_room();
    confine_from_files();
    struct pair later = {new_context(TLS1_2), new_context(TLS1_2)};
    load_into_context(host, later.server, material);
    pair_staple(&later);
    return pair_staple(&later);
}

static const char *loads_what_it_has(const struct host *host)
{
    load(host);
    return loads(host, &server);
}

static const char *loads_what_is_new(const struct host *host)
{
    load(host);
    unknown.issuer = NULL;
    const char *answer = loads(host, &unknown);
    /* What is presented besides is still stapled. */
    return strcmp(answer, "none") == 0 ? pair_staple(&pair) : answer;
}

static const char *has_one_of_its_own(const struct host *host)
{
    (void)host;
    if (getpid() != 1) {
        broken("being the first process of a namespace");
    }
    /* One of its own, before what its parent loaded is presented. */
    L.SSL_CTX_free(server_context(TLS1_2, "other"));
    make_room();
    confine_from_files();
    return pair_staple(&pair);
}

static const char *in_two_namespaces(const struct host *host)
{
    if (getpid() != 1 || unshare(CLONE_NEWPID) != 0) {
        broken("a namespace of processes within another");
    }
    load(host);
    return child_says(has_one_of_its_own, host);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name, *label;
        const char *(*body)(const struct host *);
        int own_namespace;
    } cases[] = {
        {"first", "a first handshake that may look at no file", shakes_hands, 0},
        {"unable", "a first handshake where the kernel wipes no page", cannot_tell_a_child, 0},
        {"context", "one more context that may look at no file", makes_a_context, 0},
        {"known", "a known certificate from memory, where no file may be looked at",
         loads_what_it_has, 0},
        {"new", "a new certificate from memory, where no file may be looked at",
         loads_what_is_new, 0},
        {"namespace", "a child that has its parent's number", in_two_namespaces, 1},
    };
    struct host host = host_begin(count, arguments);
    check_text("a look that the filter forbids", child_says(looks, &host), KILLED);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (host.more_count == 2 && strcmp(cases[i].name, host.more[0]) == 0) {
            if (cases[i].own_namespace && unshare(CLONE_NEWPID) != 0) {
                broken("unshare (this test must run as root)");
            }
            check_text(cases[i].label, child_says(cases[i].body, &host),
                       host.preloaded ? host.more[1] : "none");
            return 0;
        }
    }
    broken("no such case");
}
