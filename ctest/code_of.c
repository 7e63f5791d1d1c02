/* An image's executable segments, taken away and given back: see code_of.h. */
#define _GNU_SOURCE
#include "code_of.h"

#include "facts.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

struct search {
    uintptr_t address;
    int protection;
    int segments;
};

static int change(struct dl_phdr_info *image, size_t size, void *data)
{
    (void)size;
    struct search *search = data;
    int hit = 0;
    for (int i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &image->dlpi_phdr[i];
        hit |= part->p_type == PT_LOAD
               && search->address - (image->dlpi_addr + part->p_vaddr) < part->p_memsz;
    }
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; hit && i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &image->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) {
            continue;
        }
        if (part->p_flags & PF_W) {
            broken("an image whose code may be written");
        }
        uintptr_t start = (image->dlpi_addr + part->p_vaddr) & -page;
        uintptr_t end = image->dlpi_addr + part->p_vaddr + part->p_memsz;
        if (mprotect((void *)start, end - start, PROT_READ | search->protection) != 0) {
            broken("mprotect of an image's code");
        }
        search->segments++;
    }
    return hit;
}

static void protect(const void *address, int protection)
{
    struct search search = {(uintptr_t)address, protection, 0};
    dl_iterate_phdr(change, &search);
    if (search.segments == 0) {
        broken("no image with code at an address");
    }
}

void forbid_code_of(const void *address)
{
    protect(address, 0);
}

void allow_code_of(const void *address)
{
    protect(address, PROT_EXEC);
}
