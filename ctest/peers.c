/* A client and a server in one process. See peers.h. */
#define _GNU_SOURCE
#include "peers.h"
#include "facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PEM_FILE = 1,
    SSL_ERROR_WANTS_READ = 2,
    BOTH_SHUT_DOWN = 3,
    ALERT_READ = 0x4004,
    CTRL_SESSION_REUSED = 8,
    CTRL_MTU = 17,
    CTRL_OPTIONS = 32,
    CTRL_ECDH_AUTO = 94,
    CTRL_MIN_VERSION = 123,
    CTRL_MAX_VERSION = 124,
    OPTION_NO_QUERY_MTU = 0x1000,
    OPTION_NO_COMPRESSION = 0x20000
};

struct blob responses[RESPONSES] = {
    {"staple", NULL, 0},       {"second", NULL, 0},    {"other", NULL, 0},
    {"intermediate", NULL, 0}, {"try-later", NULL, 0}, {"junk", NULL, 0},
    {"revoked", NULL, 0},      {"unknown", NULL, 0},   {"expired", NULL, 0},
    {"corrupt", NULL, 0},      {"foreign", NULL, 0},   {"unauthorized", NULL, 0},
    {"intermediate-revoked", NULL, 0},                 {"must-staple", NULL, 0},
    {"untrusted", NULL, 0},    {"delegated", NULL, 0}, {"unfit", NULL, 0}};

static const char *pki_directory;

static void path_to(char *path, size_t size, const char *name, const char *ending)
{
    snprintf(path, size, "%s/%s.%s", pki_directory, name, ending);
}

static void load_blob(struct blob *blob)
{
    char path[4096];
    path_to(path, sizeof(path), blob->name, "der");
    FILE *file = fopen(path, "rb");
    if (!file) {
        broken(path);
    }
    blob->bytes = malloc(65536);
    blob->length = blob->bytes ? (int)fread(blob->bytes, 1, 65536, file) : 0;
    fclose(file);
    if (blob->length == 0) {
        broken(path);
    }
}

void peers_load(const char *directory)
{
    pki_directory = directory;
    for (int i = 0; i < RESPONSES; i++) {
        load_blob(&responses[i]);
    }
}

void peers_unload(void)
{
    for (int i = 0; i < RESPONSES; i++) {
        free(responses[i].bytes);
    }
}

unsigned char *copy_of(const struct blob *blob)
{
    unsigned char *copy = libssl_malloc((size_t)blob->length);
    memcpy(copy, blob->bytes, (size_t)blob->length);
    return copy;
}

static void describe(long length, const unsigned char *response, char *text, size_t size)
{
    for (int i = 0; length > 0 && response && i < RESPONSES; i++) {
        if (length == responses[i].length
            && memcmp(response, responses[i].bytes, (size_t)length) == 0) {
            snprintf(text, size, "%s", responses[i].name);
            return;
        }
    }
    if (length == -1 && !response) {
        snprintf(text, size, "none");
    } else {
        snprintf(text, size, "%ld %s", length, response ? "bytes" : "without bytes");
    }
}

void describe_response(SSL *ssl, char *text, size_t size)
{
    unsigned char *response = (unsigned char *)text; /* a getter must overwrite it */
    long length = get_response(ssl, &response);
    describe(length, response, text, size);
}

const char *compare_pointers(const unsigned char *got, const unsigned char *expected)
{
    if (!got) {
        return "NULL";
    }
    if (expected && libssl_is_alone() && libssl_version() >= 0x030600) {
        return "-";
    }
    return got == expected ? "same" : "different";
}

void act_set(SSL *ssl, struct script *script)
{
    script->mine = copy_of(script->set);
    if (set_response(ssl, script->mine, script->set->length) != 1) {
        broken("set_response in the callback");
    }
}

static int run_script(SSL *ssl, struct script *script, const char *by)
{
    script->calls++;
    script->by = by;
    script->type = get_status_type(ssl);
    script->response = (unsigned char *)script;
    script->length = get_response(ssl, &script->response);
    describe(script->length, script->response, script->saw, sizeof(script->saw));
    if (script->act) {
        script->act(ssl, script);
    }
    return script->answer;
}

int scripted_callback(SSL *ssl, void *script)
{
    return run_script(ssl, script, "first");
}

int another_callback(SSL *ssl, void *script)
{
    return run_script(ssl, script, "another");
}

int speaks(enum protocol protocol)
{
    return protocol != TLS1_3 || libssl_version() >= 0x010101;
}

const char *protocol_name(enum protocol protocol)
{
    static const char *const names[] = {"tls1.2", "tls1.3", "dtls1.2"};
    return names[protocol];
}

void add_option(SSL_CTX *ctx, uint64_t option)
{
    if (L.SSL_CTX_set_options) {
        L.SSL_CTX_set_options(ctx, option);
    } else {
        L.SSL_CTX_ctrl(ctx, CTRL_OPTIONS, (long)option, NULL);
    }
}

static void note_alert(const SSL *ssl, int where, int value)
{
    int *alert = L.SSL_get_ex_data(ssl, 0);
    if (where == ALERT_READ && alert && (value & 0xff) != 0) {
        *alert = value & 0xff;
    }
}

SSL_CTX *new_context(enum protocol protocol)
{
    static const long wire[] = {0x0303, 0x0304, 0xfefd};
    int datagrams = protocol == DTLS1_2;
    SSL_CTX *ctx = L.SSL_CTX_new(
        L.TLS_method ? (datagrams ? L.DTLS_method() : L.TLS_method())
                     : (datagrams ? L.DTLSv1_2_method() : L.TLSv1_2_method()));
    if (!ctx) {
        broken("SSL_CTX_new");
    }
    if (L.TLS_method
        && (L.SSL_CTX_ctrl(ctx, CTRL_MIN_VERSION, wire[protocol], NULL) != 1
            || L.SSL_CTX_ctrl(ctx, CTRL_MAX_VERSION, wire[protocol], NULL) != 1)) {
        broken("protocol version");
    }
    add_option(ctx, OPTION_NO_COMPRESSION);
    if (datagrams) {
        add_option(ctx, OPTION_NO_QUERY_MTU);
    }
    L.SSL_CTX_set_info_callback(ctx, note_alert);
    if (!L.TLS_method) {
        L.SSL_CTX_ctrl(ctx, CTRL_ECDH_AUTO, 1, NULL);
    }
    return ctx;
}

SSL_CTX *client_context(enum protocol protocol)
{
    char path[4096];
    SSL_CTX *ctx = new_context(protocol);
    path_to(path, sizeof(path), "ca", "pem");
    if (L.SSL_CTX_load_verify_locations(ctx, path, NULL) != 1) {
        broken(path);
    }
    L.SSL_CTX_set_verify(ctx, 1, NULL);
    return ctx;
}

SSL_CTX *server_context(enum protocol protocol, const char *certificate)
{
    char path[4096];
    SSL_CTX *ctx = new_context(protocol);
    path_to(path, sizeof(path), certificate, "pem");
    if (L.SSL_CTX_use_certificate_chain_file(ctx, path) != 1) {
        broken(path);
    }
    path_to(path, sizeof(path), certificate, "key");
    if (L.SSL_CTX_use_PrivateKey_file(ctx, path, PEM_FILE) != 1) {
        broken(path);
    }
    return ctx;
}

void peers_connect(struct peers *peers)
{
    BIO *clients, *servers;
    if (L.BIO_new_bio_pair(&clients, 65536, &servers, 65536) != 1) {
        broken("BIO_new_bio_pair");
    }
    L.SSL_set_bio(peers->client, clients, clients);
    L.SSL_set_bio(peers->server, servers, servers);
    L.SSL_set_connect_state(peers->client);
    L.SSL_set_accept_state(peers->server);
    /* Only DTLS knows it; elsewhere it is refused. */
    L.SSL_ctrl(peers->client, CTRL_MTU, 1400, NULL);
    L.SSL_ctrl(peers->server, CTRL_MTU, 1400, NULL);
    peers->client_alert = peers->server_alert = -1;
    peers->client_error = 0;
}

void peers_new(struct peers *peers, SSL_CTX *client, SSL_CTX *server)
{
    peers->client = L.SSL_new(client);
    peers->server = L.SSL_new(server);
    if (!peers->client || !peers->server) {
        broken("SSL_new");
    }
    /* Index 0 is the application's own (SSL_set_app_data). */
    L.SSL_set_ex_data(peers->client, 0, &peers->client_alert);
    L.SSL_set_ex_data(peers->server, 0, &peers->server_alert);
    peers_connect(peers);
}

void peers_free(struct peers *peers)
{
    /* Without a shutdown of both sides libssl would forbid the session's resumption. */
    L.SSL_set_shutdown(peers->client, BOTH_SHUT_DOWN);
    L.SSL_set_shutdown(peers->server, BOTH_SHUT_DOWN);
    L.SSL_free(peers->client);
    L.SSL_free(peers->server);
}

enum progress { DONE, WAITS, FAILED };

static enum progress step(SSL *ssl)
{
    L.ERR_clear_error();
    int result = L.SSL_do_handshake(ssl);
    if (result == 1) {
        return DONE;
    }
    return L.SSL_get_error(ssl, result) == SSL_ERROR_WANTS_READ ? WAITS : FAILED;
}

const char *peers_handshake(struct peers *peers)
{
    enum progress client = WAITS, server = WAITS;
    for (int round = 0; round < 50; round++) {
        client = step(peers->client);
        if (client == FAILED) {
            peers->client_error = L.ERR_peek_error();
        }
        server = step(peers->server);
        if (client == DONE && server == DONE) {
            return "done";
        }
        if (client == FAILED || server == FAILED) {
            /* The side that has not failed yet reads the alert. */
            if (client != FAILED && step(peers->client) == FAILED) {
                peers->client_error = L.ERR_peek_error();
            }
            break;
        }
    }
    L.ERR_clear_error();
    return client == FAILED || server == FAILED ? "failed" : "stalled";
}

void peers_read(struct peers *peers)
{
    char byte;
    for (int round = 0; round < 10; round++) {
        L.SSL_read(peers->client, &byte, 1);
        L.SSL_read(peers->server, &byte, 1);
    }
    L.ERR_clear_error();
}

int resumed(const SSL *ssl)
{
    if (L.SSL_session_reused) {
        return L.SSL_session_reused(ssl);
    }
    return (int)L.SSL_ctrl((SSL *)(uintptr_t)ssl, CTRL_SESSION_REUSED, 0, NULL);
}
