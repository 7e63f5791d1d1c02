/* Becomes a program for which the disk hangs while a file is there:
 *
 *     hung_disk FILE DIRECTORY PROGRAM ARGUMENT...
 *
 * A child is asked by the kernel (seccomp_unotify(2)) whenever a thread of the program
 * wants something brought to the disk, or opens or looks at what lies in DIRECTORY, and lets
 * it wait until FILE is gone; but for the spool and the live map, which lie in memory. It
 * ends with the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 64, PAUSE_MS = 5, LONGEST = 4096 };

#define ASK(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)

static void fail(const char *what)
{
    perror(what);
    exit(126);
}

/* The descriptor is sent, or received if it is -1. */
static int hand_over(int socket, int descriptor)
{
    char byte = 0;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof descriptor)];
    } control = { .bytes = { 0 } };
    struct iovec data = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
    if (descriptor < 0) {
        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
            fail("recvmsg");
        memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
        return descriptor;
    }
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    if (sendmsg(socket, &message, 0) != 1)
        fail("sendmsg");
    return descriptor;
}

/* Whether what is asked for needs the disk. All that name a path have it second. */
static int needs_disk(const struct seccomp_notif *request, const char *directory)
{
    char memory[64], path[LONGEST] = "";
    int number = request->data.nr;
    if (number != SYS_openat && number != SYS_newfstatat && number != SYS_statx &&
        number != SYS_inotify_add_watch)
        return 1;
    snprintf(memory, sizeof memory, "/proc/%u/mem", request->pid);
    int from = open(memory, O_RDONLY | O_CLOEXEC);
    if (from >= 0) {
        /* As much as there is. */
        if (pread(from, path, sizeof path - 1, (off_t)request->data.args[1]) < 0)
            path[0] = 0;
        close(from);
    }
    size_t length = strlen(directory);
    if (strncmp(path, directory, length) != 0)
        return 0;
    const char *rest = path + length;
    return *rest == 0 || (*rest == '/' && strncmp(rest, "/spool", 6) != 0 &&
                          strncmp(rest, "/map", 4) != 0);
}

static void go_on(int listener, unsigned long long id)
{
    struct seccomp_notif_resp answer = { .id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void answer(int listener, const char *file, const char *directory)
{
    unsigned long long waiting[MOST];
    size_t count = 0;
    for (;;) {
        struct pollfd asked = { .fd = listener, .events = POLLIN };
        int ready = poll(&asked, count < MOST, PAUSE_MS);
        if (ready > 0 && asked.revents & POLLHUP)
            exit(0);
        if (ready > 0 && asked.revents & POLLIN) {
            struct seccomp_notif request;
            memset(&request, 0, sizeof request);
            /* Whoever asked may have ended. */
            if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0)
                continue;
            if (needs_disk(&request, directory))
                waiting[count++] = request.id;
            else
                go_on(listener, request.id);
        }
        if (access(file, F_OK) == 0)
            continue;
        while (count > 0)
            go_on(listener, waiting[--count]);
    }
}

int main(int count, char **words)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ASK(SYS_fsync),
        ASK(SYS_fdatasync),
        ASK(SYS_syncfs),
        ASK(SYS_openat),
        ASK(SYS_newfstatat),
        ASK(SYS_statx),
        ASK(SYS_inotify_add_watch),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof rules / sizeof rules[0], .filter = rules };
    int pair[2];
    if (count < 4)
        return 126;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        fail("socketpair");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        answer(hand_over(pair[1], -1), words[1], words[2]);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail("prctl");
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0)
        fail("seccomp");
    hand_over(pair[0], listener);
    close(listener);
    close(pair[0]);
    execv(words[3], words + 3);
    fail(words[3]);
}
