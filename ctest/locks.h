/* The locks that 1.0.2 leaves to the program. Later ones have their own. */
#ifndef CTEST_LOCKS_H
#define CTEST_LOCKS_H

/* Once, after libssl_open and before the first thread. */
void set_up_old_locks(void);

#endif
