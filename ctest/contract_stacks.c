/* Facts about what is held as a stack: exts, ids, and the responses of the _ex calls. */
#define _GNU_SOURCE
#include "contract.h"
#include "facts.h"

#include <stdio.h>
#include <string.h>

/* Extensions { ocsp-nonce: OCTET STRING 'nonce' } */
static const unsigned char extensions_der[] = {
    0x30, 0x16, 0x30, 0x14, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07,
    0x30, 0x01, 0x02, 0x04, 0x07, 0x04, 0x05, 'n', 'o', 'n', 'c', 'e'};

/* ResponderID byKey: 20 octets */
static const unsigned char respid_der[] = {
    0xa2, 0x16, 0x04, 0x14, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h',
    'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't'};

int has_chain_functions(void)
{
    return libssl_version() >= 0x030600;
}

static STACK *some_extensions(void)
{
    const unsigned char *at = extensions_der;
    STACK *extensions = L.d2i_X509_EXTENSIONS(NULL, &at, sizeof(extensions_der));
    if (!extensions) {
        broken("d2i_X509_EXTENSIONS");
    }
    return extensions;
}

static STACK *some_ids(void)
{
    const unsigned char *at = respid_der;
    STACK *ids = stack_new();
    void *id = L.d2i_OCSP_RESPID(NULL, &at, sizeof(respid_der));
    if (!ids || !id) {
        broken("d2i_OCSP_RESPID");
    }
    stack_push(ids, id);
    return ids;
}

static STACK *response_stack(const enum response *which, int count)
{
    STACK *stack = stack_new();
    for (int i = 0; i < count; i++) {
        const unsigned char *at = responses[which[i]].bytes;
        void *response = L.d2i_OCSP_RESPONSE(NULL, &at, responses[which[i]].length);
        if (!response) {
            broken("d2i_OCSP_RESPONSE");
        }
        stack_push(stack, response);
    }
    return stack;
}

void stack_facts(void)
{
    static const enum response one[] = {STAPLE};
    SSL_CTX *ctx = client_context(TLS1_2);
    SSL *ssl = L.SSL_new(ctx);
    STACK *mine, *found;
    char text[64];

    facts_prefix("exts");
    found = (STACK *)ctx;
    fact("get_fresh", "%ld", get_status_exts(ssl, &found));
    fact("fresh", "%s", found ? "not NULL" : "NULL");
    mine = some_extensions();
    fact("set", "%ld", set_status_exts(ssl, mine));
    fact("get", "%ld", get_status_exts(ssl, &found));
    fact("after_set", "%s", found == mine ? "same" : "different");
    fact("set_null", "%ld", set_status_exts(ssl, NULL));
    get_status_exts(ssl, &found);
    fact("after_set_null", "%s", found ? "not NULL" : "NULL");
    stack_free(mine, L.X509_EXTENSION_free);

    facts_prefix("ids");
    found = (STACK *)ctx;
    fact("get_fresh", "%ld", get_status_ids(ssl, &found));
    fact("fresh", "%s", found ? "not NULL" : "NULL");
    mine = some_ids();
    fact("set", "%ld", set_status_ids(ssl, mine));
    fact("get", "%ld", get_status_ids(ssl, &found));
    fact("after_set", "%s", found == mine ? "same" : "different");
    fact("set_null", "%ld", set_status_ids(ssl, NULL));
    get_status_ids(ssl, &found);
    fact("after_set_null", "%s", found ? "not NULL" : "NULL");
    stack_free(mine, L.OCSP_RESPID_free);

    facts_prefix("responses");
    found = (STACK *)ctx;
    fact("get_fresh", "%ld", get0_responses(ssl, &found));
    fact("fresh", "%s", found ? "not NULL" : "NULL");
    mine = response_stack(one, 1);
    long taken = set0_responses(ssl, mine);
    fact("set", "%ld", taken);
    if (!taken) {
        stack_free(mine, L.OCSP_RESPONSE_free);
    }
    found = (STACK *)ctx;
    fact("get", "%ld", get0_responses(ssl, &found));
    fact("after_set", "%s", !found ? "NULL" : found == mine ? "same" : "different");
    describe_response(ssl, text, sizeof(text));
    fact("single_after_set", "%s", text);
    set_response(ssl, copy_of(&responses[SECOND]), responses[SECOND].length);
    fact("get_after_single_set", "%ld", get0_responses(ssl, &found));
    describe_response(ssl, text, sizeof(text));
    fact("single_after_single_set", "%s", text);
    fact("set_null", "%ld", set0_responses(ssl, NULL));
    fact("get_after_set_null", "%ld", get0_responses(ssl, &found));
    mine = stack_new();
    taken = set0_responses(ssl, mine);
    fact("set_empty", "%ld", taken);
    if (!taken) {
        stack_free(mine, L.OCSP_RESPONSE_free);
    }
    found = (STACK *)ctx;
    fact("get_after_set_empty", "%ld", get0_responses(ssl, &found));
    fact("after_set_empty", "%s", !found ? "NULL" : found == mine ? "same" : "different");
    describe_response(ssl, text, sizeof(text));
    fact("single_after_set_empty", "%s", text);

    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
}

/* act of a server: notes which ids and exts the client sent. */
static void act_note_request(SSL *ssl, struct script *script)
{
    STACK *ids = NULL, *extensions = NULL;
    unsigned char der[64], *at = der;
    int ids_match = 0, extensions_match = 0;
    get_status_ids(ssl, &ids);
    get_status_exts(ssl, &extensions);
    if (ids && stack_count(ids) == 1) {
        ids_match = L.i2d_OCSP_RESPID(stack_item(ids, 0), &at) == sizeof(respid_der)
                    && memcmp(der, respid_der, sizeof(respid_der)) == 0;
    }
    at = der;
    if (extensions && stack_count(extensions) == 1) {
        extensions_match = L.i2d_X509_EXTENSIONS(extensions, &at) == sizeof(extensions_der)
                           && memcmp(der, extensions_der, sizeof(extensions_der)) == 0;
    }
    strcpy(script->note, ids_match ? "ids" : "no ids");
    strcat(script->note, extensions_match ? " exts" : " no exts");
    act_set(ssl, script);
}

static enum response chain_to_send[2];
static int chain_length;

/* act of a server: hands over chain_to_send. */
static void act_set_chain(SSL *ssl, struct script *script)
{
    (void)script;
    set0_responses(ssl, response_stack(chain_to_send, chain_length));
}

/* act of a client: notes how many responses came, and which. */
static void act_note_chain(SSL *ssl, struct script *script)
{
    STACK *found = NULL;
    long count = get0_responses(ssl, &found);
    const char *name = "?";
    for (int i = 0; found && i < RESPONSES && count > 1; i++) {
        unsigned char der[4096], *at = der;
        void *last = stack_item(found, (int)count - 1);
        int length = last ? L.i2d_OCSP_RESPONSE(last, &at) : 0;
        if (length == responses[i].length && !memcmp(der, responses[i].bytes, length)) {
            name = responses[i].name;
        }
    }
    snprintf(script->note, sizeof(script->note), count > 1 ? "%ld, last %s" : "%ld",
             count, name);
}

void chain_facts(enum protocol protocol)
{
    SSL_CTX *client = client_context(protocol), *server = server_context(protocol, "server");
    struct script asks = {.answer = 1}, answers = {.set = &responses[STAPLE]};
    struct peers peers;

    ctx_set_status_cb(client, scripted_callback);
    ctx_set_status_arg(client, &asks);
    ctx_set_status_cb(server, scripted_callback);
    ctx_set_status_arg(server, &answers);

    answers.act = act_note_request;
    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    set_status_ids(peers.client, some_ids());
    set_status_exts(peers.client, some_extensions());
    fact("request.handshake", "%s", peers_handshake(&peers));
    fact("request.reached_server", "%s", answers.note);
    fact("request.client", "%s", asks.saw);
    peers_free(&peers);

    if (!has_chain_functions()) {
        fact("chain.of_single", "-");
        fact("chain.of_two", "-");
        fact("chain.first", "-");
    } else {
        asks.act = act_note_chain;
        answers.act = act_set;
        peers_new(&peers, client, server);
        set_status_type(peers.client, TYPE_OCSP);
        peers_handshake(&peers);
        fact("chain.of_single", "%s", asks.note);
        peers_free(&peers);

        answers.act = act_set_chain;
        chain_to_send[0] = STAPLE;
        chain_to_send[1] = INTERMEDIATE;
        chain_length = 2;
        peers_new(&peers, client, server);
        set_status_type(peers.client, TYPE_OCSP);
        peers_handshake(&peers);
        fact("chain.of_two", "%s", asks.note);
        fact("chain.first", "%s", asks.saw);
        peers_free(&peers);
    }
    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
}
