/*
 * Facts: one line each on standard output, "label<TAB>value".
 *
 * A label is stable and unique; a value is plain text without addresses, so that runs
 * can be compared. "-" says that the fact cannot be asked for here: this libssl lacks
 * what it is about, or it would be undefined behaviour without the shim.
 */
#ifndef CTEST_FACTS_H
#define CTEST_FACTS_H

#include <stddef.h>

/* Everything that follows is labelled "prefix.label"; "" for none. */
void facts_prefix(const char *prefix);

__attribute__((format(printf, 2, 3))) void fact(const char *label, const char *format, ...);

/*
 * A fact that may crash: value runs in a forked child and its text is printed, or
 * "crash" if a signal ended it.
 */
void fact_in_child(const char *label, void (*value)(char *text, size_t size));

/* Ends the process: something that is not under test failed. */
_Noreturn void broken(const char *what);

#endif
