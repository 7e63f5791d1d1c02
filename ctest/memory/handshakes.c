/*
 * A server and a client in one process that shake hands many times, TLS 1.2 and 1.3 by
 * turns, on contexts that are made anew from time to time.
 *
 *     handshakes IMAGE PKI alone|preloaded COUNT [AGAIN]
 *
 * Prints facts (../facts.h): how the handshakes ended, which responses the clients got,
 * and after each twentieth of them the resident size in KiB. The contexts live for AGAIN
 * handshakes, 500 if that is not given.
 */
#define _GNU_SOURCE
#include "../facts.h"
#include "../libssl.h"
#include "../peers.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CTRL_SESSION_CACHE_MODE = 44, SAMPLES = 20 };

static const enum protocol turns[] = {TLS1_2, TLS1_3};
enum { TURNS = sizeof(turns) / sizeof(*turns) };

static struct pair {
    SSL_CTX *client, *server;
} pairs[TURNS];

static long done, with_staple, with_second, with_none, changes;

static void make_contexts(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        if (speaks(turns[turn])) {
            pairs[turn].client = client_context(turns[turn]);
            pairs[turn].server = server_context(turns[turn], "server");
            /* The server's cache would grow by itself. */
            L.SSL_CTX_ctrl(pairs[turn].server, CTRL_SESSION_CACHE_MODE, 0, NULL);
        }
    }
}

static void free_contexts(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        if (pairs[turn].client) {
            L.SSL_CTX_free(pairs[turn].client);
            L.SSL_CTX_free(pairs[turn].server);
        }
    }
}

static void shake_hands(const struct pair *pair)
{
    static char before[64];
    char text[64];
    struct peers peers;
    peers_new(&peers, pair->client, pair->server);
    set_status_type(peers.client, TYPE_OCSP);
    done += strcmp(peers_handshake(&peers), "done") == 0;
    peers_read(&peers);
    describe_response(peers.client, text, sizeof(text));
    with_staple += strcmp(text, "staple") == 0;
    with_second += strcmp(text, "second") == 0;
    with_none += strcmp(text, "none") == 0;
    changes += strcmp(text, before) != 0;
    memcpy(before, text, sizeof(before));
    peers_free(&peers);
}

static long resident_kib(void)
{
    long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2) {
        broken("/proc/self/statm");
    }
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory)) {
        count++;
    }
    closedir(directory);
    return count;
}

int main(int count, char **arguments)
{
    if (count < 5 || count > 6) {
        fprintf(stderr, "usage: handshakes IMAGE PKI alone|preloaded COUNT [AGAIN]\n");
        return 2;
    }
    long wanted = atol(arguments[4]), again = count == 6 ? atol(arguments[5]) : 500;
    if (wanted < SAMPLES || again < 1) {
        broken("COUNT or AGAIN is too small");
    }
    libssl_open(arguments[1], strcmp(arguments[3], "alone") == 0 ? NULL : SHIM_PRELOADED,
                ROUTE_MACRO);
    peers_load(arguments[2]);
    make_contexts();
    int descriptors = open_descriptors();
    for (long at = 1; at <= wanted; at++) {
        const struct pair *pair = &pairs[at % TURNS];
        shake_hands(pair->client ? pair : &pairs[0]);
        if (at % again == 0) {
            free_contexts();
            make_contexts();
        }
        if (at % (wanted / SAMPLES) == 0) {
            char label[64];
            snprintf(label, sizeof(label), "resident_after_%ld", at);
            fact(label, "%ld", resident_kib());
        }
    }
    fact("descriptors_left_open", "%d", open_descriptors() - descriptors);
    free_contexts();
    peers_unload();
    fact("done", "%ld", done);
    fact("staple", "%ld", with_staple);
    fact("second", "%ld", with_second);
    fact("none", "%ld", with_none);
    fact("changes", "%ld", changes);
    return 0;
}
