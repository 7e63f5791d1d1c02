/* Panics and failing functions, as the shim's test build asks for them. See faults.h. */
#define _GNU_SOURCE
#include "faults.h"
#include "../facts.h"
#include "allocations.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef __x86_64__
#error "the functions that stand before libcrypto's are written for x86-64"
#endif

enum { POINTS = 128, FUNCTIONS = 256 };

static struct point {
    char place[64];
    unsigned long passed;
} points[POINTS];

static struct function {
    char name[64];
    void *real;
    unsigned long calls;
} functions[FUNCTIONS];
static unsigned function_count;

static enum { NO_FAULT, PANIC, FUNCTION, ALLOCATION } kind;
static char wanted[64];
static unsigned long nth;
static long value;
static unsigned long occurred;
static int armed = 1, begun;

void faults_begin(void)
{
    const char *fault = getenv("FAULT");
    begun = 1;
    int onwards = 0;
    if (!fault) {
        kind = NO_FAULT;
    } else if (sscanf(fault, "panic %63s %lu", wanted, &nth) == 2) {
        kind = PANIC;
    } else if (sscanf(fault, "function %63s %lu %ld", wanted, &nth, &value) == 3) {
        kind = FUNCTION;
    } else if (sscanf(fault, "allocation %lu", &nth) == 1
               || (onwards = sscanf(fault, "allocations %lu", &nth)) == 1) {
        kind = ALLOCATION;
    } else {
        broken("FAULT is none of those that faults.h lists");
    }
    allocations_begin(kind == ALLOCATION ? nth : 0, onwards);
}

void faults_arm(int now)
{
    armed = now;
    allocations_arm(now);
}

/* The shim's test build asks this before each piece of its own work. */
int staplegun_fault_point(const char *file, size_t length, uint32_t line)
{
    char place[64];
    if (!begun) {
        faults_begin(); /* the shim's constructor runs before main */
    }
    snprintf(place, sizeof(place), "%.*s:%u", (int)length, file, line);
    for (int at = 0; at < POINTS; at++) {
        if (!points[at].place[0]) {
            memcpy(points[at].place, place, sizeof(place));
        }
        if (strcmp(points[at].place, place) == 0) {
            points[at].passed++;
            int panics = armed && kind == PANIC && strcmp(place, wanted) == 0
                         && (nth == 0 || nth == points[at].passed);
            occurred += (unsigned long)panics;
            return panics;
        }
    }
    broken("more guards than there is room for");
}

/* Called by the code below: the function to go on with, or NULL to return *result. */
__attribute__((used)) static void *decide(unsigned number, long *result)
{
    struct function *function = &functions[number];
    if (!armed) {
        return function->real;
    }
    function->calls++;
    if (kind != FUNCTION || strcmp(function->name, wanted) != 0
        || (nth != 0 && nth != function->calls)) {
        return function->real;
    }
    occurred++;
    *result = value;
    return NULL;
}

/*
 * One entry of 16 bytes for each function, which loads its number; then decide with the
 * caller's arguments saved, and a jump to the real function, so that the stack is what
 * it would be without us.
 */
__asm__(".text\n"
        ".balign 16\n"
        "fault_entries:\n"
        ".set number, 0\n"
        ".rept 256\n"
        "    .balign 16\n"
        "    endbr64\n"
        "    mov $number, %r11d\n"
        "    jmp fault_common\n"
        "    .set number, number + 1\n"
        ".endr\n"
        "fault_common:\n"
        "    sub $72, %rsp\n"
        "    mov %rdi, 0(%rsp)\n"
        "    mov %rsi, 8(%rsp)\n"
        "    mov %rdx, 16(%rsp)\n"
        "    mov %rcx, 24(%rsp)\n"
        "    mov %r8, 32(%rsp)\n"
        "    mov %r9, 40(%rsp)\n"
        "    mov %rax, 48(%rsp)\n"
        "    mov %r11d, %edi\n"
        "    lea 56(%rsp), %rsi\n"
        "    call decide\n"
        "    mov %rax, %r11\n"
        "    mov 0(%rsp), %rdi\n"
        "    mov 8(%rsp), %rsi\n"
        "    mov 16(%rsp), %rdx\n"
        "    mov 24(%rsp), %rcx\n"
        "    mov 32(%rsp), %r8\n"
        "    mov 40(%rsp), %r9\n"
        "    test %r11, %r11\n"
        "    jz 1f\n"
        "    mov 48(%rsp), %rax\n"
        "    add $72, %rsp\n"
        "    jmp *%r11\n"
        "1:  mov 56(%rsp), %rax\n"
        "    add $72, %rsp\n"
        "    ret\n");
extern const char fault_entries[];

/* The shim's test build puts what this returns into its tables. */
void *staplegun_fault_function(const char *table, const char *name, void *real)
{
    /* The program's own calls, handed on, are none of the shim's. */
    if (!real || strcmp(table, "Entries") == 0 || strcmp(table, "NativeFamily") == 0) {
        return real;
    }
    if (kind == FUNCTION && strcmp(name, wanted) == 0 && nth == 0 && value == -2) {
        occurred++;
        return NULL;
    }
    if (function_count == FUNCTIONS) {
        broken("more functions than there is room for");
    }
    struct function *function = &functions[function_count];
    snprintf(function->name, sizeof(function->name), "%s", name);
    function->real = real;
    return (void *)(uintptr_t)(fault_entries + 16 * (size_t)function_count++);
}

int faults_occurred(void)
{
    return occurred != 0;
}

void faults_report(void)
{
    for (int at = 0; at < POINTS && points[at].place[0]; at++) {
        printf("# point\t%s\t%lu\n", points[at].place, points[at].passed);
    }
    for (unsigned at = 0; at < function_count; at++) {
        printf("# function\t%s\t%lu\n", functions[at].name, functions[at].calls);
    }
    printf("# allocations\t%lu\n", allocations_counted());
    printf("# occurred\t%lu\n", occurred + allocations_failed());
}
