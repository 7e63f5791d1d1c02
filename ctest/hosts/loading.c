/*
 * Every way of opening a libssl, or a plugin that is linked against one; closed, opened
 * again elsewhere.
 *
 *     loading IMAGE PKI alone|preloaded PLUGIN
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <string.h>

static void *open_or_break(const char *path, int flags)
{
    void *handle = dlopen(path, flags);
    if (!handle) {
        broken(dlerror());
    }
    return handle;
}

static const char *by_plugin(const struct host *host, int scope)
{
    void *plugin = open_or_break(host->more[0], RTLD_LAZY | scope);
    const char *(*direct_staple)(const char *);
    *(void **)&direct_staple = dlsym(plugin, "direct_staple");
    const char *answer = direct_staple(host->pki);
    /* What it returns lies in the plugin. */
    answer = strcmp(answer, "staple") == 0 ? "staple"
             : strcmp(answer, "none") == 0 ? "none"
                                           : "something else";
    dlclose(plugin);
    return answer;
}

static const char *plugin_local(const struct host *host)
{
    return by_plugin(host, RTLD_LOCAL);
}

static const char *plugin_global(const struct host *host)
{
    return by_plugin(host, RTLD_GLOBAL);
}

/* musl has no such flag. */
#ifdef RTLD_DEEPBIND
static const char *plugin_deepbind(const struct host *host)
{
    return by_plugin(host, RTLD_LOCAL | RTLD_DEEPBIND);
}
#endif

/* All functions from the handle: the shim is not asked, but may be called by libssl. */
static const char *by_handle(const struct host *host)
{
    struct pair pair;
    libssl_open(host->image, NULL, ROUTE_MACRO);
    pair_new(&pair, TLS1_2);
    const char *answer = pair_staple(&pair);
    pair_free(&pair);
    return strcmp(answer, "staple") == 0 ? "none" : answer;
}

/*
 * Contexts made through the handle, everything else through the global scope. 1.0.2 does
 * not tell whether a context has a callback already, so there it is left alone.
 */
static const char *made_unseen(const struct host *host)
{
    struct pair pair;
    host_open(host);
    void *handle = open_or_break(host->image, RTLD_NOW | RTLD_LOCAL);
    *(void **)&L.SSL_CTX_new = dlsym(handle, "SSL_CTX_new");
    pair_new(&pair, TLS1_2);
    const char *answer = pair_staple(&pair);
    if (libssl_version() < 0x010100) {
        return strcmp(answer, "none") == 0 ? host->expected : "reached";
    }
    return answer;
}

/*
 * 1.0.2 alone can be unloaded; a libssl that the shim has seen stays, since objects are
 * told by the addresses that it has.
 */
static const char *libssl_again(const struct host *host)
{
    for (int time = 0; time < 4; time++) {
        struct pair pair;
        host_open(host);
        pair_new(&pair, TLS1_2);
        const char *answer = pair_staple(&pair);
        pair_free(&pair);
        if (strcmp(answer, host->expected) != 0) {
            return answer;
        }
        /* The handle of host_open, and this one. */
        void *handle = open_or_break(host->image, RTLD_NOW | RTLD_NOLOAD);
        dlclose(handle);
        dlclose(handle);
        if (host->preloaded && !dlopen(host->image, RTLD_NOW | RTLD_NOLOAD)) {
            return "unloaded";
        }
    }
    return host->expected;
}

static const char *plugin_again(const struct host *host)
{
    const char *answer = host->expected;
    for (int time = 0; time < 4 && strcmp(answer, host->expected) == 0; time++) {
        answer = by_plugin(host, time % 2 ? RTLD_GLOBAL : RTLD_LOCAL);
    }
    return answer;
}

/* The shim's own look-ups fail for what an image lacks: no message of them may stay. */
static const char *no_dlerror(const struct host *host)
{
    struct pair pair;
    host_open(host);
    dlerror();
    pair_new(&pair, TLS1_2);
    pair_staple(&pair);
    const char *message = dlerror();
    return message ? message : "no message";
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    check_text("a plugin opened with RTLD_LOCAL", child_says(plugin_local, &host),
               host.expected);
    check_text("a plugin opened with RTLD_GLOBAL", child_says(plugin_global, &host),
               host.expected);
#ifdef RTLD_DEEPBIND
    check_text("a plugin opened with RTLD_DEEPBIND is not reached, and unharmed",
               child_says(plugin_deepbind, &host), "none");
#endif
    check_text("functions by dlsym on the handle are unharmed",
               child_says(by_handle, &host), "none");
    check_text("a context that was made unseen", child_says(made_unseen, &host),
               host.expected);
    check_text("a libssl closed and opened again", child_says(libssl_again, &host),
               host.expected);
    check_text("a plugin closed and opened again", child_says(plugin_again, &host),
               host.expected);
    check_text("dlerror after the first contexts", child_says(no_dlerror, &host),
               "no message");
    peers_unload();
    return 0;
}
