/*
 * Filters of system calls that kill, as hosts install them after their start. There is no
 * way back: to be called in a child.
 */
#ifndef HOSTS_CONFINE_H
#define HOSTS_CONFINE_H

/* So that allocating needs no system call: room that is never given back. */
void make_room(void);

/*
 * From here on every system call kills but these: read, write and exit; getpid, by which
 * libcrypto's random numbers notice a fork; and what 1.0.2 asks before it reads a variable
 * of its environment: whether it is setuid.
 */
void confine_to_read_and_write(void);

/* From here on every call kills that names a file, or opens, lists or connects one. */
void confine_from_files(void);

/* From here on no page can be had that the kernel wipes on fork, as before Linux 4.14. */
void confine_from_wiping(void);

/* How a process ends that one of them kills. */
#define KILLED "signal 31"

#endif
