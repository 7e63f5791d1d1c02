/* Locks for 1.0.2. See locks.h. */
#define _GNU_SOURCE
#include "locks.h"
#include "facts.h"
#include "libssl.h"

#include <pthread.h>

enum { OLD_LOCKS = 64, LOCK = 1 };

static pthread_mutex_t old_locks[OLD_LOCKS];

static void old_locking(int mode, int number, const char *file, int line)
{
    (void)file;
    (void)line;
    (mode & LOCK ? pthread_mutex_lock : pthread_mutex_unlock)(&old_locks[number]);
}

void set_up_old_locks(void)
{
    if (libssl_version() >= 0x010100) {
        return;
    }
    if (L.CRYPTO_num_locks() > OLD_LOCKS) {
        broken("too many locks");
    }
    for (int i = 0; i < OLD_LOCKS; i++) {
        pthread_mutex_init(&old_locks[i], NULL);
    }
    L.CRYPTO_set_locking_callback(old_locking);
}
