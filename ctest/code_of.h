/*
 * Makes an image's code unusable, so that a call that strays into it ends the process.
 */
#ifndef CTEST_CODE_OF_H
#define CTEST_CODE_OF_H

/* From now on whoever executes code of the image that holds the address gets SIGSEGV. */
void forbid_code_of(const void *address);

/* Takes that back: at the latest before exit, where images run their destructors. */
void allow_code_of(const void *address);

#endif
