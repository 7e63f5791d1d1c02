/*
 * A host of fake_libssl.c. Calls that it has are handed on as they are, family or not;
 * those that it lacks fail; nothing crashes.
 *
 *     stranger FAKE-LIBSSL PKI preloaded DIRECTORY-OF-COPIES BUNDLE
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

enum { STRANGERS = 100, COPIES = 20 };

static void *shim_function(const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    if (!found) {
        broken(name);
    }
    return found;
}

/* A libssl that calls itself is what is called, whatever else there is. */
static void initialised_from_within(void *fake)
{
    int (*init)(int);
    *(void **)&init = dlsym(fake, "fake_init_from_within");
    int *initialised = dlsym(fake, "fake_initialised");
    int answer = init(7), before = *initialised;
    check(answer == 7 && before == 1, "a libssl that initialises itself", "%d, %d times",
          answer, before);
}

/* A library that calls its own function calls that one, be it of no libssl we know. */
static void bundle_initialised_from_within(const struct host *host, const char *when)
{
    char label[64];
    void *bundle = dlopen(host->more[1], RTLD_NOW | RTLD_LOCAL);
    int (*init)(int);
    *(void **)&init = bundle ? dlsym(bundle, "bundle_init_from_within") : NULL;
    if (!init) {
        broken(host->more[1]);
    }
    int *initialised = dlsym(bundle, "bundle_initialised"), before = *initialised;
    int answer = init(7);
    snprintf(label, sizeof(label), "a bundle that initialises itself, %s", when);
    check(answer == 7 && *initialised == before + 1, label, "%d, %d times", answer,
          *initialised - before);
}

static int loader_was_asked;

/* Instead of the loader's: it is this that the shim asks. */
int dl_iterate_phdr(int (*visit)(struct dl_phdr_info *, size_t, void *), void *data)
{
    int (*next)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
    *(void **)&next = dlsym(RTLD_NEXT, "dl_iterate_phdr");
    loader_was_asked++;
    return next(visit, data);
}

/* One of the copies of the fake libssl in HOST.more[0], its number set, and its method. */
static void *copy_of_fake(const struct host *host, int i, long *number, const SSL_METHOD **method)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%d/libssl.so.3", host->more[0], i);
    void *fake = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const SSL_METHOD *(*get)(void);
    *(void **)&get = fake ? dlsym(fake, "TLS_method") : NULL;
    long *its_number = fake ? dlsym(fake, "fake_number") : NULL;
    if (!get || !its_number) {
        broken(path);
    }
    *number = *its_number = 1000000L * (i + 1);
    *method = get();
    return fake;
}

/* A libssl whose context is made behind the shim's back is met by that context. */
static void met_by_a_context(const struct host *host)
{
    long number;
    const SSL_METHOD *method;
    void *fake = copy_of_fake(host, 0, &number, &method);
    SSL_CTX *(*its_new)(const SSL_METHOD *);
    *(void **)&its_new = dlsym(fake, "SSL_CTX_new");
    long answer = L.SSL_CTX_ctrl(its_new(method), 33, 5, NULL);
    check(answer == number + 33005, "a context that was made unseen gets its own calls", "%ld",
          answer);
}

/*
 * Many objects that nobody made, for which the loader is not asked for ever, since that takes its
 * lock; then more libssls than the shim has places for at first: each gets its own calls.
 */
static void copies_after_strangers(const struct host *host)
{
    long nothing[64] = {0};
    for (int i = 0; i < STRANGERS; i++) {
        nothing[0] = i;
        L.SSL_ctrl((SSL *)nothing, 33, 5, NULL);
    }
    loader_was_asked = 0;
    L.SSL_ctrl((SSL *)nothing, 33, 5, NULL);
    check(loader_was_asked == 0, "the loader is not asked for one stranger more", "%d times",
          loader_was_asked);
    for (int i = 0; i < COPIES; i++) {
        char label[64];
        long number;
        const SSL_METHOD *method;
        copy_of_fake(host, i, &number, &method);
        SSL_CTX *ctx = L.SSL_CTX_new(method);
        long answer = ctx ? L.SSL_CTX_ctrl(ctx, 33, 5, NULL) : -1;
        snprintf(label, sizeof(label), "copy %d gets its own calls", i);
        check(answer == number + 33005, label, "%ld", answer);
    }
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    /* An object that no libssl made, as of one that is linked statically. */
    long nothing[64] = {0};
    *(void **)&L.SSL_ctrl = shim_function("SSL_ctrl");
    long answer = L.SSL_ctrl((SSL *)nothing, 33, 5, NULL);
    check(answer == 0, "an SSL that nobody made, without a libssl", "%ld", answer);
    const char *message = dlerror();
    check(message == NULL, "dlerror after it", "%s", message);

    bundle_initialised_from_within(&host, "without a libssl");
    void *fake = dlopen(host.image, RTLD_NOW | RTLD_LOCAL);
    const SSL_METHOD *(*method)(void);
    *(void **)&method = fake ? dlsym(fake, "TLS_method") : NULL;
    if (!method) {
        broken("the fake libssl");
    }
    *(void **)&L.SSL_CTX_new = shim_function("SSL_CTX_new");
    *(void **)&L.SSL_CTX_ctrl = shim_function("SSL_CTX_ctrl");
    *(void **)&L.SSL_CTX_callback_ctrl = shim_function("SSL_CTX_callback_ctrl");
    *(void **)&L.SSL_CTX_use_certificate_chain_file
        = shim_function("SSL_CTX_use_certificate_chain_file");

    SSL_CTX *ctx = L.SSL_CTX_new(method());
    check(ctx != NULL, "a context is made", "none");
    answer = L.SSL_CTX_ctrl(ctx, 33, 5, NULL);
    check(answer == 33005, "a command is handed on", "%ld", answer);
    answer = L.SSL_CTX_ctrl(ctx, 14, 5, NULL);
    check(answer == 14005, "a watched command is handed on", "%ld", answer);
    answer = L.SSL_CTX_ctrl(ctx, 127, 5, NULL);
    check(answer == 127005, "a command of the family is handed on", "%ld", answer);
    answer = L.SSL_CTX_callback_ctrl(ctx, 63, NULL);
    check(answer == 0, "a function that is not there fails", "%ld", answer);
    answer = L.SSL_CTX_use_certificate_chain_file(ctx, "/dev/null");
    check(answer == 0, "a loader that is not there fails", "%ld", answer);
    answer = L.SSL_ctrl((SSL *)ctx, 33, 5, NULL);
    check(answer == 0, "an SSL function that is not there fails", "%ld", answer);
    answer = L.SSL_ctrl((SSL *)nothing, 33, 5, NULL);
    check(answer == 0, "an SSL that nobody made, beside a libssl", "%ld", answer);
    void (*free_ctx)(SSL_CTX *);
    *(void **)&free_ctx = dlsym(fake, "SSL_CTX_free");
    free_ctx(ctx);
    initialised_from_within(fake);
    bundle_initialised_from_within(&host, "beside a libssl");
    met_by_a_context(&host);
    copies_after_strangers(&host);
    peers_unload();
    return 0;
}
