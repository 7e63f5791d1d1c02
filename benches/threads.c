/*
 * Threads that shake hands on one server context.
 *
 *     threads CERT KEY THREADS COUNT tls1.2|tls1.3 [--native RESPONSE] [--seal MAP]
 *
 * Each thread makes its share of COUNT handshakes over memory BIOs, in which the client
 * sends status_request. Prints how many brought a response and the nanoseconds that passed.
 *
 * --seal: after a first handshake in each thread all that the shim has is made read-only: its
 * variables, and every block that it has got from malloc. The live map MAP must be mapped
 * read-only from the start. A write to any of it by a later handshake ends the process by
 * SIGSEGV. That it would is shown first, by one write to each in a forked child. Prints also
 * how many blocks the shim asked malloc for afterwards, the responses' own among them.
 */
#define _GNU_SOURCE
#include "ends.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static SSL_CTX *client, *server;
static pthread_barrier_t warm, start;
static atomic_int stapled;
static int share;

/* Where the shim lies, and its variables within it; 0 without --seal. */
static uintptr_t shim_start, shim_end, variables_start, variables_end;

/* The shim's blocks: the first half is for those before the seal, which it may not write
 * afterwards, the second for those after it. Never reused. */
enum { HALF = 32 << 20 };
static _Alignas(4096) unsigned char blocks[2 * HALF];
static atomic_size_t used_before, used_after;
static atomic_int sealed, blocks_after;

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static int is_of_shim(const void *caller)
{
    return (uintptr_t)caller - shim_start < shim_end - shim_start;
}

static int is_block(const void *block)
{
    return (uintptr_t)block - (uintptr_t)blocks < sizeof blocks;
}

/* A block with its size before it. */
static void *block_of(size_t size, size_t alignment)
{
    size_t need = (size + 2 * alignment + 15) & ~(size_t)15;
    unsigned char *from = sealed ? blocks + HALF + atomic_fetch_add(&used_after, need)
                                 : blocks + atomic_fetch_add(&used_before, need);
    blocks_after += sealed;
    if (used_before > HALF || used_after > HALF) {
        abort();
    }
    unsigned char *block = (unsigned char *)(((uintptr_t)from + 2 * alignment - 1) & -alignment);
    ((size_t *)block)[-1] = size;
    return block;
}

void *malloc(size_t size)
{
    return is_of_shim(__builtin_return_address(0)) ? block_of(size, 16) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    /* Blocks are never reused, so they are zero. */
    return is_of_shim(__builtin_return_address(0)) ? block_of(count * size, 16)
                                                   : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    if (!is_block(old) && !(old == NULL && is_of_shim(__builtin_return_address(0)))) {
        return __libc_realloc(old, size);
    }
    void *block = block_of(size, 16);
    if (old != NULL) {
        size_t before = ((size_t *)old)[-1];
        memcpy(block, old, before < size ? before : size);
    }
    return block;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = is_of_shim(__builtin_return_address(0)) ? block_of(size, alignment)
                                                     : __libc_memalign(alignment, size);
    return *block == NULL ? ENOMEM : 0;
}

void free(void *block)
{
    if (!is_block(block)) {
        __libc_free(block);
    }
}

static int find_shim(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    if (strstr(info->dlpi_name, "libstaplegun.so") == NULL) {
        return 0;
    }
    for (int at = 0; at < info->dlpi_phnum; at++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[at];
        uintptr_t from = info->dlpi_addr + header->p_vaddr, to = from + header->p_memsz;
        if (header->p_type == PT_LOAD) {
            shim_start = shim_start == 0 || from < shim_start ? from : shim_start;
            shim_end = to > shim_end ? to : shim_end;
        }
        if (header->p_type == PT_LOAD && header->p_flags & PF_W) {
            variables_start = from & -4096;
            variables_end = (to + 4095) & -4096;
        }
    }
    return 1;
}

/* Before the shim's constructor runs, so that no block of its escapes. */
static void find_shim_first(int count, char **words, char **environment)
{
    (void)environment;
    for (int at = 0; at < count; at++) {
        if (strcmp(words[at], "--seal") == 0) {
            dl_iterate_phdr(find_shim, NULL);
        }
    }
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **)
    = find_shim_first;

/* How `path` is mapped: "r--s" is a file that can be read only. */
static void check_is_read_only(const char *path)
{
    char line[512], how[8] = "";
    FILE *maps = fopen("/proc/self/maps", "r");
    check(maps != NULL, "opening /proc/self/maps");
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, path) != NULL) {
            sscanf(line, "%*s %7s", how);
            check(strcmp(how, "r--s") == 0, "finding the live map read-only");
        }
    }
    fclose(maps);
    check(how[0] != '\0', "finding the live map");
}

/* The shim keeps it in a block. */
static void set_callback(void)
{
    SSL_CTX_set_tlsext_status_cb(server, staple);
}

static void write_to_variables(void)
{
    *(volatile unsigned char *)(variables_end - 1) = 1;
}

static void check_faults(void (*write)(void), const char *what)
{
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        write();
        _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child, "waitpid");
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, what);
}

static void seal(const char *map)
{
    check(used_before > 0, "seeing the shim's blocks");
    check_is_read_only(map);
    sealed = 1;
    check(mprotect(blocks, HALF, PROT_READ) == 0, "mprotect");
    check(mprotect((void *)variables_start, variables_end - variables_start, PROT_READ) == 0,
          "mprotect");
    check_faults(set_callback, "catching a write to a block");
    check_faults(write_to_variables, "catching a write to a variable");
}

static void unseal(void)
{
    check(mprotect(blocks, HALF, PROT_READ | PROT_WRITE) == 0, "mprotect");
    check(mprotect((void *)variables_start, variables_end - variables_start,
                   PROT_READ | PROT_WRITE) == 0, "mprotect");
}

static void *shake_hands(void *arg)
{
    check(handshake(client, server, 1) >= 0, "the first handshake");
    pthread_barrier_wait(&warm);
    pthread_barrier_wait(&start);
    for (int at = 0; at < share; at++) {
        stapled += handshake(client, server, 1);
    }
    return arg;
}

static long long clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int count, char **words)
{
    if (count < 6) {
        fprintf(stderr, "usage: threads CERT KEY THREADS COUNT tls1.2|tls1.3 "
                        "[--native RESPONSE] [--seal MAP]\n");
        return 2;
    }
    int threads = atoi(words[3]);
    share = atoi(words[4]) / threads;
    const char *map = NULL;
    for (int at = 6; at + 1 < count; at++) {
        if (strcmp(words[at], "--seal") == 0) {
            map = words[at + 1];
            check(variables_start != 0, "finding the shim");
        }
    }
    server = server_context(words[1], words[2], words[5]);
    client = client_context();
    for (int at = 6; at + 1 < count; at++) {
        if (strcmp(words[at], "--native") == 0) {
            staple_natively(server, words[at + 1]);
        }
    }
    pthread_barrier_init(&warm, NULL, threads + 1);
    pthread_barrier_init(&start, NULL, threads + 1);
    pthread_t all[threads];
    for (int at = 0; at < threads; at++) {
        check(pthread_create(&all[at], NULL, shake_hands, NULL) == 0, "pthread_create");
    }
    pthread_barrier_wait(&warm);
    if (map != NULL) {
        seal(map);
    }
    long long begun = clock_now();
    pthread_barrier_wait(&start);
    for (int at = 0; at < threads; at++) {
        pthread_join(all[at], NULL);
    }
    long long passed = clock_now() - begun;
    if (map != NULL) {
        unseal();
    }
    printf("%d %lld %d\n", stapled, passed, blocks_after);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
