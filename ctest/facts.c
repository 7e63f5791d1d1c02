/* Prints facts. See facts.h. */
#define _GNU_SOURCE
#include "facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char current_prefix[64];

void facts_prefix(const char *prefix)
{
    snprintf(current_prefix, sizeof(current_prefix), "%s%s", prefix, *prefix ? "." : "");
}

void fact(const char *label, const char *format, ...)
{
    va_list arguments;
    printf("%s%s\t", current_prefix, label);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    /* Nothing may be left in the buffer for a child to print again. */
    fflush(stdout);
}

void fact_in_child(const char *label, void (*value)(char *text, size_t size))
{
    int ends[2], status;
    char text[256] = "";
    if (pipe(ends) != 0) {
        broken("pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        broken("fork");
    }
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        /* What glibc says before it aborts is not a fact. */
        if (!freopen("/dev/null", "w", stderr)) {
            _exit(2);
        }
        value(text, sizeof(text));
        ssize_t written = write(ends[1], text, strlen(text));
        _exit(written < 0 ? 2 : 0);
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
        fact(label, "crash");
    } else if (WEXITSTATUS(status) != 0) {
        broken(label);
    } else {
        fact(label, "%s", text);
    }
}

_Noreturn void broken(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "ctest: the test itself failed: %s%s\n", current_prefix, what);
    exit(2);
}
