/*
 * A library that uses TLS in its constructor, before main and before the constructor of
 * anything preloaded; and that registers a function to run after OpenSSL's clean-up.
 */
#define _GNU_SOURCE
#include "direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the handshake before main received. */
__attribute__((visibility("default"))) char early_staple[32];

static void after_cleanup(void)
{
    /* 1.1.0 and later refuse by now; earlier ones have no clean-up at exit. */
    const char *answer = direct_staple(getenv("HOSTS_PKI"));
    int good = strcmp(answer, "no context") == 0 || strcmp(answer, "no initialisation") == 0
               || strcmp(answer, early_staple) == 0;
    printf(good ? "pass\tafter OpenSSL's clean-up\n" : "fail\tafter OpenSSL's clean-up: %s\n",
           answer);
}

__attribute__((constructor)) static void before_main(void)
{
    /* Before libssl's first use, so that it runs after its clean-up. */
    atexit(after_cleanup);
    snprintf(early_staple, sizeof(early_staple), "%s", direct_staple(getenv("HOSTS_PKI")));
}
