/* Filters of system calls. See confine.h. */
#define _GNU_SOURCE
#include "confine.h"
#include "host.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
    ROOM = 8 << 20,
    MOST = 40,
    /* MADV_WIPEONFORK. */
    WIPE_ON_FORK = 18
};

void make_room(void)
{
    /* musl's malloc cannot be told so: it is let ask for memory. */
#ifdef __GLIBC__
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 16 * ROOM);
#endif
    void *room = malloc(ROOM);
    if (!room) {
        broken("malloc");
    }
    memset(room, 1, ROOM);
    free(room);
}

static void install_program(const struct sock_fprog *program)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) != 0) {
        broken("seccomp");
    }
}

/* A kernel before 4.14. */
void confine_from_wiping(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIPE_ON_FORK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    install_program(&(struct sock_fprog){sizeof(filter) / sizeof(*filter), filter});
}

/* What is done with the calls that are listed, and with all others. */
static void install(const unsigned *calls, unsigned count, unsigned listed, unsigned others)
{
    struct sock_filter filter[MOST + 3] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    if (count > MOST) {
        broken("the filter's length");
    }
    for (unsigned i = 0; i < count; i++) {
        filter[1 + i]
            = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], count - i, 0);
    }
    filter[count + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
    filter[count + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
    install_program(&(struct sock_fprog){count + 3, filter});
}

void confine_to_read_and_write(void)
{
    static const unsigned allowed[]
        = {SYS_read,   SYS_write,   SYS_exit,   SYS_exit_group, SYS_getpid,
           SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
#ifndef __GLIBC__
           SYS_mmap,   SYS_munmap,  SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk,
#endif
        };
    install(allowed, sizeof(allowed) / sizeof(*allowed), SECCOMP_RET_ALLOW,
            SECCOMP_RET_KILL_PROCESS);
}

void confine_from_files(void)
{
    static const unsigned forbidden[] = {
#ifdef SYS_open
        SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_getdents, SYS_rename,
        SYS_unlink, SYS_mkdir, SYS_creat, SYS_link,
#endif
        SYS_openat, SYS_openat2, SYS_newfstatat, SYS_statx, SYS_faccessat, SYS_faccessat2,
        SYS_readlinkat, SYS_getdents64, SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_mkdirat,
        SYS_linkat, SYS_socket, SYS_connect};
    install(forbidden, sizeof(forbidden) / sizeof(*forbidden), SECCOMP_RET_KILL_PROCESS,
            SECCOMP_RET_ALLOW);
}
