/*
 * The log from inside a host whose descriptors are closed, taken or broken. Certificates
 * are loaded in each case with STAPLEGUN_LOG set, so that there is a line to write.
 *
 *     descriptors IMAGE PKI alone|preloaded stderr|file
 *
 * "stderr" wants STAPLEGUN_LOG=stderr, "file" a path in it; each STAPLEGUN_LOG_LEVEL=info.
 */
#define _GNU_SOURCE
#include "host.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *load_and_staple(void)
{
    struct pair pair;
    pair_new(&pair, TLS1_2);
    const char *answer = pair_staple(&pair);
    pair_free(&pair);
    return answer;
}

static void pipe_or_break(int ends[2])
{
    if (pipe(ends) != 0) {
        broken("pipe");
    }
}

/* Both, as one text. */
static const char *both(const char *staple, const char *rest)
{
    static char text[128];
    snprintf(text, sizeof(text), "%s, %s", staple, rest);
    return text;
}

/* That there is a line to write at all: without it the other cases would prove nothing. */
static const char *to_a_reader(const struct host *host)
{
    int ends[2];
    char line[4096];
    host_open(host);
    pipe_or_break(ends);
    dup2(ends[1], 2);
    close(ends[1]);
    const char *answer = load_and_staple();
    close(2);
    ssize_t length = read(ends[0], line, sizeof(line) - 1);
    line[length > 0 ? length : 0] = '\0';
    return both(answer, strstr(line, "is ready to be stapled") ? "a line" : "no line");
}

static const char *to_a_data_file(const struct host *host)
{
    char path[4096];
    struct stat stat;
    snprintf(path, sizeof(path), "%s/data.XXXXXX", host->pki);
    host_open(host);
    for (int fd = 0; fd <= 2; fd++) {
        close(fd);
    }
    if (open("/dev/null", O_RDONLY) != 0 || open("/dev/null", O_RDONLY) != 1
        || mkstemp(path) != 2 || unlink(path) != 0 || write(2, "data", 4) != 4) {
        broken("the data file");
    }
    const char *answer = load_and_staple();
    return both(answer, fstat(2, &stat) == 0 && stat.st_size == 4 ? "intact" : "damaged");
}

static const char *to_a_connection(const struct host *host)
{
    int ends[2];
    char byte;
    host_open(host);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || dup2(ends[1], 2) != 2) {
        broken("socketpair");
    }
    const char *answer = load_and_staple();
    return both(answer, recv(ends[0], &byte, 1, MSG_DONTWAIT) < 0 ? "intact" : "damaged");
}

/* There is no way left to say it but the exit status. */
static const char *nothing_open(const struct host *host)
{
    host_open(host);
    /* close_range, which musl and glibc before 2.34 have no function for. */
    if (syscall(436, 0, ~0U, 0) != 0) {
        broken("close_range");
    }
    exit(strcmp(load_and_staple(), host->expected) == 0 ? 7 : 8);
}

static const char *to_a_closed_pipe(const struct host *host)
{
    int ends[2];
    sigset_t pending;
    host_open(host);
    pipe_or_break(ends);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    const char *answer = load_and_staple();
    sigpending(&pending);
    return both(answer, sigismember(&pending, SIGPIPE) ? "pending" : "nothing pending");
}

/* A SIGPIPE that the program blocked and has pending is the program's. */
static const char *own_signal_stays(const struct host *host)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    raise(SIGPIPE);
    return to_a_closed_pipe(host);
}

static const char *mask_stays(const struct host *host)
{
    sigset_t before, after;
    int same = 1;
    host_open(host);
    sigemptyset(&before);
    sigaddset(&before, SIGUSR1);
    sigprocmask(SIG_SETMASK, &before, NULL);
    const char *answer = load_and_staple();
    sigprocmask(SIG_BLOCK, NULL, &after);
    for (int signal = 1; signal < NSIG; signal++) {
        same &= sigismember(&before, signal) == sigismember(&after, signal);
    }
    return both(answer, same ? "same mask" : "another mask");
}

static const char *to_a_full_pipe(const struct host *host)
{
    int ends[2];
    char bytes[4096] = "";
    host_open(host);
    pipe_or_break(ends);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], bytes, sizeof(bytes)) > 0) {
    }
    fcntl(ends[1], F_SETFL, 0);
    dup2(ends[1], 2);
    return both(load_and_staple(), "not held up");
}

static const char *beyond_the_limit(const struct host *host)
{
    struct rlimit small = {16, 16};
    sigset_t pending;
    host_open(host);
    setrlimit(RLIMIT_FSIZE, &small);
    /* The first line is cut at the limit, the others are beyond it. */
    for (int i = 0; i < 3; i++) {
        load_and_staple();
    }
    const char *answer = load_and_staple();
    sigpending(&pending);
    return both(answer, sigismember(&pending, SIGXFSZ) ? "pending" : "nothing pending");
}

static void expect(const struct host *host, const char *label,
                   const char *(*body)(const struct host *), const char *rest)
{
    char expected[128];
    snprintf(expected, sizeof(expected), "%s, %s", host->expected, rest);
    check_text(label, child_says(body, host), expected);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    if (host.more_count == 1 && strcmp(host.more[0], "file") == 0) {
        expect(&host, "a log file beyond RLIMIT_FSIZE", beyond_the_limit, "nothing pending");
        return 0;
    }
    expect(&host, "standard error is a pipe", to_a_reader,
           host.preloaded ? "a line" : "no line");
    expect(&host, "descriptor 2 is a data file", to_a_data_file, "intact");
    expect(&host, "descriptor 2 is a connection", to_a_connection, "intact");
    check_text("no descriptor is open", child_says(nothing_open, &host), "exit 7");
    expect(&host, "standard error is a closed pipe", to_a_closed_pipe, "nothing pending");
    expect(&host, "the program's own SIGPIPE stays pending", own_signal_stays, "pending");
    expect(&host, "the signal mask stays", mask_stays, "same mask");
    expect(&host, "standard error is a full pipe", to_a_full_pipe, "not held up");
    peers_unload();
    return 0;
}
