/*
 * What gcc's unwinder asks glibc for, and musl does not have: the object that holds an
 * address, and where that keeps its unwind tables (dlfcn.h of glibc 2.35).
 */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>

struct dl_find_object {
    unsigned long long flags;
    void *map_start, *map_end;
    void *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    uintptr_t address;
    struct dl_find_object *found;
};

static int visit(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct search *search = argument;
    uintptr_t start = UINTPTR_MAX, end = 0, tables = 0;
    int holds = 0;
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_GNU_EH_FRAME) {
            tables = from;
        } else if (header->p_type == PT_LOAD) {
            uintptr_t to = from + header->p_memsz;
            holds |= search->address >= from && search->address < to;
            start = from < start ? from : start;
            end = to > end ? to : end;
        }
    }
    if (!holds || !tables) {
        return 0;
    }
    *search->found = (struct dl_find_object){
        .map_start = (void *)start, .map_end = (void *)end, .eh_frame = (void *)tables};
    return 1;
}

__attribute__((visibility("hidden"))) int _dl_find_object(void *address,
                                                          struct dl_find_object *found)
{
    struct search search = {(uintptr_t)address, found};
    return dl_iterate_phdr(visit, &search) ? 0 : -1;
}
