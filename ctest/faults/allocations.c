/* Counts and fails the shim's allocations. See allocations.h. */
#define _GNU_SOURCE
#include "allocations.h"

#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
#else
#include <dlfcn.h>

/* musl's own, which has no other name; its dlsym allocates nothing. */
#define NEXT(ours, theirs, parameters, arguments)                                          \
    static void *ours parameters                                                           \
    {                                                                                      \
        static void *(*next) parameters;                                                   \
        if (!next) {                                                                       \
            *(void **)&next = dlsym(RTLD_NEXT, theirs);                                    \
        }                                                                                  \
        return next arguments;                                                             \
    }
NEXT(__libc_malloc, "malloc", (size_t size), (size))
NEXT(__libc_calloc, "calloc", (size_t count, size_t size), (count, size))
NEXT(__libc_realloc, "realloc", (void *block, size_t size), (block, size))
NEXT(__libc_memalign, "aligned_alloc", (size_t alignment, size_t size), (alignment, size))
#endif

static uintptr_t shim_start, shim_end;
static unsigned long wanted, counted, failed;
static int from_there_on, armed;

static int visit(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    if (!strstr(info->dlpi_name, "libstaplegun")) {
        return 0;
    }
    for (int at = 0; at < info->dlpi_phnum; at++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[at];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            shim_start = info->dlpi_addr + part->p_vaddr;
            shim_end = shim_start + part->p_memsz;
        }
    }
    return 1;
}

void allocations_begin(unsigned long nth, int onwards)
{
    wanted = nth;
    from_there_on = onwards;
    dl_iterate_phdr(visit, NULL);
}

void allocations_arm(int now)
{
    armed = now;
}

unsigned long allocations_counted(void)
{
    return counted;
}

unsigned long allocations_failed(void)
{
    return failed;
}

/* Whether the allocation that returns to this address is to fail. */
static int fails(const void *returns_to)
{
    uintptr_t address = (uintptr_t)returns_to;
    if (!armed || address < shim_start || address >= shim_end) {
        return 0;
    }
    counted++;
    if (wanted == 0 || counted < wanted || (counted > wanted && !from_there_on)) {
        return 0;
    }
    failed++;
    errno = ENOMEM;
    return 1;
}

#define FAILS() fails(__builtin_return_address(0))

void *malloc(size_t size)
{
    return FAILS() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return FAILS() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return FAILS() ? NULL : __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size)
{
    return FAILS() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return FAILS() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    void *found = FAILS() ? NULL : __libc_memalign(alignment, size);
    if (!found) {
        return ENOMEM;
    }
    *block = found;
    return 0;
}
