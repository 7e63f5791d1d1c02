/* What the hostile hosts share. See host.h. */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OLD_LOCKS = 64, LOCK = 1 };

struct host host_begin(int count, char **arguments)
{
    if (count < 4) {
        fprintf(stderr, "usage: %s IMAGE PKI alone|preloaded [MORE...]\n", arguments[0]);
        exit(2);
    }
    struct host host = {.image = arguments[1],
                        .pki = arguments[2],
                        .preloaded = strcmp(arguments[3], SHIM_PRELOADED) == 0,
                        .more = arguments + 4,
                        .more_count = count - 4};
    host.expected = host.preloaded ? "staple" : "none";
    peers_load(host.pki);
    return host;
}

/* 1.0.2 leaves its locks to the program. */
static pthread_mutex_t old_locks[OLD_LOCKS];

static void old_locking(int mode, int number, const char *file, int line)
{
    (void)file;
    (void)line;
    (mode & LOCK ? pthread_mutex_lock : pthread_mutex_unlock)(&old_locks[number]);
}

static void free_old_locks(void)
{
    for (int i = 0; i < OLD_LOCKS; i++) {
        pthread_mutex_init(&old_locks[i], NULL);
    }
}

/* musl opens the file anew for each, which some hosts forbid themselves; it unloads nothing. */
static void *handle_of(const struct host *host)
{
#ifdef __GLIBC__
    return dlopen(host->image, RTLD_NOW | RTLD_LOCAL);
#else
    static void *handle;
    handle = handle ? handle : dlopen(host->image, RTLD_NOW | RTLD_LOCAL);
    return handle;
#endif
}

void host_open(const struct host *host)
{
    libssl_open(host->image, host->preloaded ? SHIM_PRELOADED : NULL, ROUTE_MACRO);
#ifndef __GLIBC__
    handle_of(host);
#endif
    if (libssl_version() < 0x010100) {
        free_old_locks();
        /* As a program must that forks while threads use 1.0.2. */
        pthread_atfork(NULL, NULL, free_old_locks);
        L.CRYPTO_set_locking_callback(old_locking);
    }
}

any_function host_function_if_any(const struct host *host, const char *name)
{
    void *image = handle_of(host);
    /* A function that the image lacks is none of its programs', although the shim has it. */
    void *found = image ? dlsym(image, name) : NULL;
    if (found && host->preloaded && dlsym(RTLD_DEFAULT, name)) {
        found = dlsym(RTLD_DEFAULT, name);
    }
    any_function answer;
    memcpy(&answer, &found, sizeof(answer));
    return answer;
}

any_function host_function(const struct host *host, const char *name)
{
    any_function found = host_function_if_any(host, name);
    if (!found) {
        broken(name);
    }
    return found;
}

void check(int good, const char *label, const char *format, ...)
{
    char found[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found, sizeof(found), format, arguments);
    va_end(arguments);
    if (good) {
        printf("pass\t%s\n", label);
    } else {
        printf("fail\t%s: %s\n", label, found);
    }
    /* Nothing may be left in the buffer for a child to print again. */
    fflush(stdout);
}

void check_text(const char *label, const char *found, const char *expected)
{
    check(strcmp(found, expected) == 0, label, "%s, not %s", found, expected);
}

void pair_new(struct pair *pair, enum protocol protocol)
{
    pair->client = client_context(protocol);
    pair->server = server_context(protocol, "server");
}

void pair_free(struct pair *pair)
{
    L.SSL_CTX_free(pair->client);
    L.SSL_CTX_free(pair->server);
}

const char *pair_staple(const struct pair *pair)
{
    static _Thread_local char text[64];
    struct peers peers;
    peers_new(&peers, pair->client, pair->server);
    set_status_type(peers.client, TYPE_OCSP);
    const char *ended = peers_handshake(&peers);
    if (strcmp(ended, "done") == 0) {
        describe_response(peers.client, text, sizeof(text));
    } else {
        snprintf(text, sizeof(text), "%s", ended);
    }
    peers_free(&peers);
    return text;
}

static _Noreturn void run_child(const char *(*body)(const struct host *),
                                const struct host *host, int answer)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(CHILD_LIMIT);
    const char *said = body(host);
    ssize_t written = write(answer, said, strlen(said));
    _exit(written < 0 ? 2 : 0);
}

const char *child_says(const char *(*body)(const struct host *), const struct host *host)
{
    static char text[512];
    int ends[2], status;
    if (pipe(ends) != 0) {
        broken("pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        broken("fork");
    }
    if (child == 0) {
        close(ends[0]);
        run_child(body, host, ends[1]);
    }
    close(ends[1]);
    size_t filled = 0;
    ssize_t got;
    while (filled < sizeof(text) - 1
           && (got = read(ends[0], text + filled, sizeof(text) - 1 - filled)) > 0) {
        filled += (size_t)got;
    }
    text[filled] = '\0';
    close(ends[0]);
    if (waitpid(child, &status, 0) != child) {
        broken("waitpid");
    }
    if (WIFSIGNALED(status)) {
        snprintf(text, sizeof(text), "signal %d", WTERMSIG(status));
    } else if (filled == 0 || WEXITSTATUS(status) != 0) {
        snprintf(text, sizeof(text), "exit %d", WEXITSTATUS(status));
    }
    return text;
}
