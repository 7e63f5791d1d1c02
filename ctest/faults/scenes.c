/*
 * What programs do with the status_request family, in scenes that stand alone. It prints
 * facts: with a fault in the shim each must be what it is without the shim, or what it is
 * with a shim that has no fault.
 *
 *     scenes IMAGE PKI alone|preloaded macro|named always|handshakes [SCENE]
 *
 * The fault (faults.h) is there from the start, or in handshakes only. "# from here on" says
 * that it has occurred. Facts end with
 * what faults_report prints.
 */
#define _GNU_SOURCE
#include "../facts.h"
#include "faults.h"
#include "sides.h"

#include <stdio.h>
#include <string.h>

enum { PEM_FILE = 1, CTRL_EXTRA_CHAIN = 14, CTRL_CHAIN_CERT = 89, REFUSES = 0, BREAKS = -1 };

/* Nobody staples but the shim. */
static void automatic(enum protocol protocol)
{
    struct sides sides;
    sides_new(&sides, protocol, "server");
    connect_and_print(&sides);
    sides_free(&sides);
}

static void answer(enum protocol protocol, int answer, const struct blob *response)
{
    struct sides sides;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, answer, response);
    connect_and_print(&sides);
    sides_free(&sides);
}

static void provides(enum protocol protocol)
{
    answer(protocol, ANSWER_OK, &responses[SECOND]);
}

static void provides_expired(enum protocol protocol)
{
    answer(protocol, ANSWER_OK, &responses[EXPIRED]);
}

static void provides_nothing(enum protocol protocol)
{
    answer(protocol, ANSWER_OK, NULL);
}

static void does_not_acknowledge(enum protocol protocol)
{
    answer(protocol, ANSWER_NOACK, NULL);
}

static void ends_the_handshake(enum protocol protocol)
{
    answer(protocol, ANSWER_FATAL, NULL);
}

static void client_answers(enum protocol protocol, int client)
{
    struct sides sides;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, &responses[STAPLE]);
    sides.asks.answer = client;
    connect_and_print(&sides);
    sides_free(&sides);
}

static void client_refuses(enum protocol protocol)
{
    client_answers(protocol, REFUSES);
}

static void client_breaks(enum protocol protocol)
{
    client_answers(protocol, BREAKS);
}

static void nobody_asks(enum protocol protocol)
{
    struct peers peers;
    struct sides sides;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, &responses[STAPLE]);
    peers_new(&peers, sides.client, sides.server);
    print_end(&sides, &peers, shake_hands(&peers));
    peers_free(&peers);
    sides_free(&sides);
}

/* The context asks for all its clients. */
static void context_asks(enum protocol protocol)
{
    struct peers peers;
    struct sides sides;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, &responses[STAPLE]);
    fact("context_type_set", "%ld", ctx_set_status_type(sides.client, TYPE_OCSP));
    fact("context_asks", "%d", ctx_get_status_type(sides.client) == TYPE_OCSP);
    peers_new(&peers, sides.client, sides.server);
    print_end(&sides, &peers, shake_hands(&peers));
    peers_free(&peers);
    sides_free(&sides);
}

static void resumes(enum protocol protocol)
{
    struct peers peers;
    struct sides sides;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, &responses[STAPLE]);
    peers_new(&peers, sides.client, sides.server);
    ask(&peers, "type_set");
    const char *first = shake_hands(&peers);
    fact("first", "%s, server %d", first, peers.server_alert);
    print_set_in_callback();
    peers_read(&peers);
    SSL_SESSION *session = L.SSL_get1_session(peers.client);
    peers_free(&peers);
    sides.asks.calls = sides.answers.calls = 0;
    peers_new(&peers, sides.client, sides.server);
    ask(&peers, "type_set_again");
    fact("session_set", "%d", session ? L.SSL_set_session(peers.client, session) : -1);
    fact("handshake", "%s", shake_hands(&peers));
    fact("resumed", "%d", resumed(peers.client));
    fact("server_called", "%d", sides.answers.calls);
    peers_free(&peers);
    if (session) {
        L.SSL_SESSION_free(session);
    }
    sides_free(&sides);
}

/* NOACK when it is called first, then OK. */
static void act_acknowledge_again(SSL *ssl, struct script *script)
{
    (void)ssl;
    script->answer = script->calls == 1 ? ANSWER_NOACK : ANSWER_OK;
}

/* The client's first key share is not one that the server takes. */
static void retries(enum protocol protocol)
{
    static char groups[] = "P-384";
    enum { CTRL_GROUPS_LIST = 92 };
    struct peers peers;
    struct sides sides;
    if (protocol != TLS1_3) {
        return;
    }
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_NOACK, NULL);
    sides.answers.act = act_acknowledge_again;
    L.SSL_CTX_ctrl(sides.server, CTRL_GROUPS_LIST, 0, groups);
    peers_new(&peers, sides.client, sides.server);
    ask(&peers, "type_set");
    fact("set", "%ld",
         set_response(peers.server, copy_of(&responses[SECOND]), responses[SECOND].length));
    print_end(&sides, &peers, shake_hands(&peers));
    peers_free(&peers);
    sides_free(&sides);
}

/* A context that was made by another way than through the shim. */
static void made_unseen(enum protocol protocol)
{
    SSL_CTX *(*seen)(const SSL_METHOD *) = L.SSL_CTX_new;
    *(void **)&L.SSL_CTX_new = function_of_image("SSL_CTX_new");
    answer(protocol, ANSWER_OK, &responses[SECOND]);
    L.SSL_CTX_new = seen;
}

static void *library_context;

static SSL_CTX *new_in_library_context(const SSL_METHOD *method)
{
    FUNCTION(SSL_CTX *, SSL_CTX_new_ex, (void *, const char *, const SSL_METHOD *));
    return SSL_CTX_new_ex(library_context, NULL, method);
}

/* Contexts in a library context of the program's own. */
static void in_library_context(enum protocol protocol)
{
    FUNCTION(void *, OSSL_LIB_CTX_new, (void));
    FUNCTION(void, OSSL_LIB_CTX_free, (void *));
    if (!OSSL_LIB_CTX_new) {
        return;
    }
    SSL_CTX *(*usual)(const SSL_METHOD *) = L.SSL_CTX_new;
    library_context = OSSL_LIB_CTX_new();
    L.SSL_CTX_new = new_in_library_context;
    automatic(protocol);
    L.SSL_CTX_new = usual;
    OSSL_LIB_CTX_free(library_context);
}

/* An SSL that is a copy of one which a response was set on. */
static void copies(enum protocol protocol)
{
    struct peers peers;
    struct sides sides;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, &responses[STAPLE]);
    SSL *original = L.SSL_new(sides.server);
    set_response(original, copy_of(&responses[OTHER]), responses[OTHER].length);
    SSL *copy = L.SSL_dup(original);
    if (!copy) {
        broken("SSL_dup");
    }
    L.SSL_free(original);
    peers_new(&peers, sides.client, sides.server);
    L.SSL_free(peers.server);
    peers.server = copy;
    L.SSL_set_ex_data(peers.server, 0, &peers.server_alert);
    peers_connect(&peers);
    ask(&peers, "type_set");
    print_end(&sides, &peers, shake_hands(&peers));
    peers_free(&peers);
    sides_free(&sides);
}

/* A response set before the handshake, seen again, replaced and cleared. */
static void sets_and_gets(enum protocol protocol)
{
    struct peers peers;
    struct sides sides;
    char text[64];
    status_cb callback = NULL;
    void *argument = NULL;
    STACK *several = NULL;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, NULL);
    peers_new(&peers, sides.client, sides.server);
    ask(&peers, "type_set");
    const struct blob *blob = &responses[OTHER];
    fact("set", "%ld", set_response(peers.server, copy_of(blob), blob->length));
    describe_response(peers.server, text, sizeof(text));
    fact("got", "%s", text);
    blob = &responses[STAPLE];
    fact("replaced", "%ld", set_response(peers.server, copy_of(blob), blob->length));
    describe_response(peers.server, text, sizeof(text));
    fact("got_replaced", "%s", text);
    fact("cleared", "%ld", set_response(peers.server, NULL, 0));
    describe_response(peers.server, text, sizeof(text));
    fact("got_cleared", "%s", text);
    blob = &responses[SECOND];
    fact("set_last", "%ld", set_response(peers.server, copy_of(blob), blob->length));
    fact("callback_got", "%ld", ctx_get_status_cb(sides.server, &callback));
    fact("callback", "%s", callback == scripted_callback ? "the program's"
                           : callback                    ? "another"
                                                         : "none");
    fact("argument_got", "%ld", ctx_get_status_arg(sides.server, &argument));
    fact("argument", "%s", argument == &sides.answers ? "the program's" : "another");
    fact("context_asks", "%d", ctx_get_status_type(sides.server) == TYPE_OCSP);
    print_end(&sides, &peers, shake_hands(&peers));
    fact("several", "%ld", get0_responses(peers.client, &several));
    peers_free(&peers);
    sides_free(&sides);
}

/* The responses for a chain, where libssl knows such. */
static void sets_several(enum protocol protocol)
{
    struct peers peers;
    struct sides sides;
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, NULL);
    peers_new(&peers, sides.client, sides.server);
    ask(&peers, "type_set");
    if (libssl_version() >= 0x030600) {
        STACK *stack = stack_new();
        for (int at = 0; at < 2; at++) {
            const struct blob *blob = &responses[at == 0 ? STAPLE : INTERMEDIATE];
            const unsigned char *bytes = blob->bytes;
            stack_push(stack, L.d2i_OCSP_RESPONSE(NULL, &bytes, blob->length));
        }
        fact("several_set", "%ld", set0_responses(peers.server, stack));
    }
    print_end(&sides, &peers, shake_hands(&peers));
    peers_free(&peers);
    sides_free(&sides);
}

static void *read_certificate(const char *name)
{
    FUNCTION(BIO *, BIO_new_file, (const char *, const char *));
    FUNCTION(void *, PEM_read_bio_X509, (BIO *, void **, void *, void *));
    BIO *file = BIO_new_file(path_of(name), "r");
    void *certificate = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    if (!certificate) {
        broken(name);
    }
    L.BIO_free(file);
    return certificate;
}

/* The leaf alone, then its issuer by either command. */
static void chain_comes_later(enum protocol protocol)
{
    FUNCTION(int, SSL_CTX_use_certificate, (SSL_CTX *, void *));
    FUNCTION(void, X509_free, (void *));
    struct peers peers;
    for (int way = 0; way < 2; way++) {
        struct sides sides;
        void *leaf = read_certificate("server.crt");
        sides_new(&sides, protocol, "server");
        fact(way ? "by_chain.loaded" : "by_extra.loaded", "%d",
             SSL_CTX_use_certificate(sides.server, leaf));
        fact(way ? "by_chain.added" : "by_extra.added", "%ld",
             L.SSL_CTX_ctrl(sides.server, way ? CTRL_CHAIN_CERT : CTRL_EXTRA_CHAIN, 0,
                            read_certificate("intermediate.crt")));
        peers_new(&peers, sides.client, sides.server);
        ask(&peers, way ? "by_chain.type_set" : "by_extra.type_set");
        const char *ended = shake_hands(&peers);
        fact(way ? "by_chain.handshake" : "by_extra.handshake", "%s", ended);
        fact(way ? "by_chain.alerts" : "by_extra.alerts", "client %d, server %d",
             peers.client_alert, peers.server_alert);
        peers_free(&peers);
        X509_free(leaf);
        sides_free(&sides);
    }
}

/* A certificate of the SSL's own. */
static void own_certificate(enum protocol protocol)
{
    FUNCTION(int, SSL_use_certificate_file, (SSL *, const char *, int));
    FUNCTION(int, SSL_use_PrivateKey_file, (SSL *, const char *, int));
    struct peers peers;
    struct sides sides;
    sides_new(&sides, protocol, "other");
    peers_new(&peers, sides.client, sides.server);
    ask(&peers, "type_set");
    fact("loaded", "%d", SSL_use_certificate_file(peers.server, path_of("server.crt"), PEM_FILE));
    fact("key", "%d", SSL_use_PrivateKey_file(peers.server, path_of("server.key"), PEM_FILE));
    fact("added", "%ld",
         L.SSL_ctrl(peers.server, CTRL_CHAIN_CERT, 0, read_certificate("intermediate.crt")));
    print_end(&sides, &peers, shake_hands(&peers));
    peers_free(&peers);
    sides_free(&sides);
}

/*
 * More connections at once than there are records for, if the shim gets no memory for them: it
 * says so by 0, as documented, and leaves the block. Played only by name.
 */
static void runs_out(enum protocol protocol)
{
    enum { MANY = 1000 };
    static SSL *many[MANY];
    const struct blob *blob = &responses[STAPLE];
    struct sides sides;
    int refused = 0, wrong = 0;
    facts_prefix(protocol_name(protocol));
    sides_new(&sides, protocol, "server");
    sides_answer(&sides, ANSWER_OK, NULL);
    sides_arm(1);
    for (int at = 0; at < MANY; at++) {
        unsigned char *mine = copy_of(blob), *shown = mine;
        many[at] = L.SSL_new(sides.server);
        long set = set_response(many[at], mine, blob->length);
        long length = get_response(many[at], &shown);
        if (set == 1) {
            wrong += length != blob->length || memcmp(shown, blob->bytes, (size_t)length) != 0;
        } else {
            wrong += set != 0 || length != -1 || shown != NULL;
            refused++;
            L.CRYPTO_free(mine, __FILE__, __LINE__);
        }
    }
    sides_arm(0);
    for (int at = 0; at < MANY; at++) {
        L.SSL_free(many[at]);
    }
    sides_free(&sides);
    fact("wrong_answers", "%d", wrong);
    answer(protocol, ANSWER_OK, &responses[SECOND]);
    printf("# refused\t%d\n", refused);
}

#define SCENES(S)                                                                          \
    S(automatic) S(provides) S(provides_expired) S(provides_nothing)                       \
    S(does_not_acknowledge) S(ends_the_handshake) S(client_refuses) S(client_breaks)       \
    S(nobody_asks) S(context_asks) S(resumes) S(retries) S(made_unseen)                    \
    S(in_library_context) S(copies) S(sets_and_gets) S(sets_several)                  \
    S(chain_comes_later) S(own_certificate)

#define SCENE(name) {#name, name},

static const struct {
    const char *name;
    void (*play)(enum protocol);
} scenes[] = {SCENES(SCENE)};

int main(int count, char **arguments)
{
    if (count < 6 || count > 7) {
        fprintf(stderr, "usage: scenes IMAGE PKI alone|preloaded macro|named "
                        "always|handshakes [SCENE]\n");
        return 2;
    }
    int in_handshakes_only = strcmp(arguments[5], "handshakes") == 0;
    peers_load(arguments[2]);
    faults_begin();
    faults_arm(!in_handshakes_only);
    libssl_open(arguments[1], strcmp(arguments[3], "alone") == 0 ? NULL : SHIM_PRELOADED,
                strcmp(arguments[4], "named") == 0 ? ROUTE_NAMED : ROUTE_MACRO);
    sides_begin(arguments[2], arguments[1], in_handshakes_only);
    for (enum protocol protocol = TLS1_2; protocol <= TLS1_3; protocol++) {
        for (size_t at = 0; speaks(protocol) && at < sizeof(scenes) / sizeof(*scenes); at++) {
            if (count < 7 || strcmp(arguments[6], scenes[at].name) == 0) {
                char prefix[64];
                snprintf(prefix, sizeof(prefix), "%s.%s", protocol_name(protocol),
                         scenes[at].name);
                facts_prefix(prefix);
                scenes[at].play(protocol);
                L.ERR_clear_error();
                if (faults_occurred()) {
                    printf("# from here on\n");
                }
            }
        }
        if (count == 7 && speaks(protocol) && strcmp(arguments[6], "runs_out") == 0) {
            runs_out(protocol);
        }
    }
    faults_arm(0);
    faults_report();
    peers_unload();
    return 0;
}
