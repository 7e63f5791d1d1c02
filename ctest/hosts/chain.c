/*
 * The whole chain's responses, which libssl takes from 3.6 on and sends in TLS 1.3: for what
 * was loaded with the certificate, from a file and from memory, with a gap where the map has
 * nothing; only where the client asked, only with a response for the leaf, and never in place
 * of what the program set itself.
 *
 *     chain IMAGE PKI alone|preloaded [whole]
 *
 * The map has "second" for the server, "intermediate" for the intermediate, and "deep" for the
 * server "deep", between whom and the intermediate is "below": for "whole" the map has that too.
 */
#define _GNU_SOURCE
#include "material.h"

#include <stdio.h>
#include <string.h>

enum { CONNECTIONS = 3, EXTRA_CHAIN_CERT = 14, CHAIN = 88, MOST = 8192 };

static const struct host *the_host;
/* Whether libssl knows lists, and whether one is expected of the shim. */
static int has_lists;
/* The responses that are this program's alone. */
static struct {
    const char *name;
    unsigned char bytes[MOST];
    int length;
} own[] = {{.name = "deep"}, {.name = "below"}};
enum { OWN = sizeof(own) / sizeof(*own) };

static void read_own(void)
{
    for (int i = 0; i < OWN; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s.der", the_host->pki, own[i].name);
        FILE *file = fopen(path, "rb");
        own[i].length = file ? (int)fread(own[i].bytes, 1, MOST, file) : 0;
        if (!own[i].length) {
            broken(path);
        }
        fclose(file);
    }
}

static const char *name_of(const unsigned char *der, int length)
{
    for (int i = 0; i < RESPONSES; i++) {
        if (responses[i].length == length && memcmp(responses[i].bytes, der, length) == 0) {
            return responses[i].name;
        }
    }
    for (int i = 0; i < OWN; i++) {
        if (own[i].length == length && memcmp(own[i].bytes, der, length) == 0) {
            return own[i].name;
        }
    }
    return "unknown";
}

/* What a client received: the names, in the order of the chain. */
static void describe_all(SSL *client, char *text, size_t size)
{
    STACK *list = NULL;
    if (!has_lists) {
        unsigned char *der = NULL;
        long length = get_response(client, &der);
        snprintf(text, size, "%s", length > 0 ? name_of(der, (int)length) : "none");
        return;
    }
    long count = get0_responses(client, &list);
    snprintf(text, size, "%s", count > 0 ? "" : "none");
    for (int i = 0; i < count; i++) {
        unsigned char *der = NULL;
        int length = L.i2d_OCSP_RESPONSE(stack_item(list, i), &der);
        size_t end = strlen(text);
        snprintf(text + end, size - end, "%s%s", i ? " " : "", name_of(der, length));
        libssl_free(der);
    }
}

static const char *received_by(struct peers *peers, int asks)
{
    static char text[128];
    if (asks) {
        set_status_type(peers->client, TYPE_OCSP);
    }
    const char *ended = peers_handshake(peers);
    if (strcmp(ended, "done") != 0) {
        return ended;
    }
    describe_all(peers->client, text, sizeof(text));
    return text;
}

static const char *received(SSL_CTX *server, enum protocol protocol, int asks)
{
    SSL_CTX *client = new_context(protocol);
    struct peers peers;
    peers_new(&peers, client, server);
    const char *text = received_by(&peers, asks);
    peers_free(&peers);
    L.SSL_CTX_free(client);
    return text;
}

/* What is expected: alone nothing, and without lists the first. */
static const char *expected(const char *list, const char *first)
{
    return !the_host->preloaded ? "none" : has_lists ? list : first;
}

static void check_server(const char *label, SSL_CTX *server, const char *list, const char *first)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        check_text(label, received(server, TLS1_3, 1), expected(list, first));
    }
    L.SSL_CTX_free(server);
}

static SSL_CTX *with_memory(const struct material *server)
{
    SSL_CTX *ctx = new_context(TLS1_3);
    load_into_context(the_host, ctx, server);
    return ctx;
}

static int answer_ok(SSL *ssl, void *arg)
{
    (void)ssl, (void)arg;
    return ANSWER_OK;
}

static const char *in_a_child(const struct host *host)
{
    (void)host;
    SSL_CTX *server = server_context(TLS1_3, "server");
    const char *text = received(server, TLS1_3, 1);
    L.SSL_CTX_free(server);
    return text;
}

/* A list of one that the program set before the handshake, or its single response. */
static void check_own(const char *label, int as_list)
{
    SSL_CTX *server = server_context(TLS1_3, "server"), *client = new_context(TLS1_3);
    ctx_set_status_cb(server, answer_ok);
    struct peers peers;
    peers_new(&peers, client, server);
    const struct blob *staple = &responses[STAPLE];
    if (as_list) {
        const unsigned char *at = staple->bytes;
        STACK *list = stack_new();
        stack_push(list, L.d2i_OCSP_RESPONSE(NULL, &at, staple->length));
        check(set0_responses(peers.server, list) == 1, label, "it cannot be set");
    } else {
        check(set_response(peers.server, copy_of(staple), staple->length) == 1, label,
              "it cannot be set");
    }
    check_text(label, received_by(&peers, 1), "staple");
    peers_free(&peers);
    L.SSL_CTX_free(server);
    L.SSL_CTX_free(client);
}

/* The program gives one connection its chain, of whose certificates its context knows nothing. */
static void check_chain_of_a_connection(SSL_CTX *server, X509 *issuer)
{
    SSL_CTX *client = new_context(TLS1_3);
    STACK *chain = stack_new();
    struct peers peers;
    peers_new(&peers, client, server);
    stack_push(chain, certificate_copy(the_host, issuer));
    check(L.SSL_ctrl(peers.server, CHAIN, 0, chain) == 1, "setting a connection's chain",
          "it cannot be set");
    check_text("a connection's chain", received_by(&peers, 1),
               expected("second intermediate", "second"));
    peers_free(&peers);
    L.SSL_CTX_free(client);
}

/* One SSL that shakes hands again, whose program asks what it holds. */
static void check_again(void)
{
    SSL_CTX *server = server_context(TLS1_3, "server"), *client = new_context(TLS1_3);
    struct peers peers;
    peers_new(&peers, client, server);
    for (int i = 0; i < CONNECTIONS; i++) {
        check_text("an SSL again", received_by(&peers, 1), expected("second intermediate", "second"));
        unsigned char *held = NULL;
        check(get_response(peers.server, &held) == -1, "what the program is shown",
              "a response that is not its own");
        if (has_lists) {
            STACK *list = NULL;
            long count = get0_responses(peers.server, &list);
            check(count <= 0, "the list that the program is shown", "%ld", count);
        }
        L.SSL_clear(peers.server);
        L.SSL_free(peers.client);
        peers.client = L.SSL_new(client);
        peers_connect(&peers);
    }
    peers_free(&peers);
    L.SSL_CTX_free(server);
    L.SSL_CTX_free(client);
}

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    the_host = &host;
    host_open(&host);
    if (!speaks(TLS1_3)) {
        check(1, "it does not speak TLS 1.3", "-");
        return 0;
    }
    has_lists = libssl_version() >= 0x030600;
    read_own();
    if (host.more_count == 1) {
        check_server("without a gap", server_context(TLS1_3, "deep"), "deep below intermediate",
                     "deep");
        return 0;
    }
    struct material server = material_read(&host, "server", "server");

    check_server("from a file", server_context(TLS1_3, "server"), "second intermediate", "second");
    check_server("from memory", with_memory(&server), "second intermediate", "second");
    check_server("with a gap", server_context(TLS1_3, "deep"), "deep intermediate", "deep");
    check_server("without a response for the leaf", server_context(TLS1_3, "other"), "none", "none");

    struct material leaf = server;
    leaf.issuer = NULL;
    SSL_CTX *without = with_memory(&leaf);
    check_chain_of_a_connection(without, server.issuer);
    L.SSL_CTX_free(without);

    /* libssl sends none for what stands beside the chain. */
    SSL_CTX *extra = new_context(TLS1_3);
    struct material alone = server;
    alone.issuer = NULL;
    load_into_context(&host, extra, &alone);
    L.SSL_CTX_ctrl(extra, EXTRA_CHAIN_CERT, 0, certificate_copy(&host, server.issuer));
    check_server("an extra chain", extra, "second", "second");

    /* A chain that is set again is another X509, and the one before may be gone. */
    SSL_CTX *renewed = with_memory(&server);
    for (int i = 0; i < 20; i++) {
        STACK *chain = stack_new();
        stack_push(chain, certificate_copy(&host, server.issuer));
        check(L.SSL_CTX_ctrl(renewed, CHAIN, 0, chain) == 1, "setting a chain", "it cannot be set");
    }
    check_server("a chain that was set again", renewed, "second intermediate", "second");

    SSL_CTX *ctx = server_context(TLS1_3, "server");
    check_text("not asked", received(ctx, TLS1_3, 0), "none");
    L.SSL_CTX_free(ctx);
    ctx = server_context(TLS1_2, "server");
    check_text("TLS 1.2", received(ctx, TLS1_2, 1), expected("second", "second"));
    L.SSL_CTX_free(ctx);

    check_own("the program's response", 0);
    if (has_lists) {
        check_own("the program's list", 1);
    }
    check_again();
    check_text("in a child", child_says(in_a_child, &host), expected("second intermediate", "second"));
    return 0;
}
