/*
 * A client under the operator's policy (STAPLEGUN_CLIENT), against every kind of staple.
 *
 *     client_policy IMAGE PKI preloaded|linked|SHIM macro|named
 *
 * Prints facts (facts.h); what they must be under each policy stands in
 * client_policy.tsv.
 */
#include "client_policy.h"
#include "facts.h"
#include "locks.h"

#include <stdio.h>
#include <string.h>

void pair_new(struct pair *pair, enum protocol protocol, const char *certificate,
              const struct blob *what)
{
    memset(pair, 0, sizeof(*pair));
    pair->client = client_context(protocol);
    pair->server = server_context(protocol, certificate);
    ctx_set_status_cb(pair->server, scripted_callback);
    ctx_set_status_arg(pair->server, &pair->answers);
    pair_staple(pair, what);
}

void pair_free(struct pair *pair)
{
    L.SSL_CTX_free(pair->client);
    L.SSL_CTX_free(pair->server);
}

void pair_staple(struct pair *pair, const struct blob *what)
{
    pair->answers.answer = what ? ANSWER_OK : ANSWER_NOACK;
    pair->answers.act = what ? act_set : NULL;
    pair->answers.set = what;
}

const char *shake_hands(struct peers *peers)
{
    static _Thread_local char text[160];
    snprintf(text, sizeof(text), "%s", peers_handshake(peers));
    if (strcmp(text, "failed") == 0) {
        const char *reason = L.ERR_reason_error_string(peers->client_error);
        snprintf(text, sizeof(text), "%s, alert %d", reason ? reason : "no reason",
                 peers->server_alert);
    }
    return text;
}

/* One handshake of a new pair, as it is or after `prepare`. */
static void handshake_fact(enum protocol protocol, const char *label, const char *certificate,
                           const struct blob *what, void (*prepare)(struct pair *))
{
    struct pair pair;
    struct peers peers;
    pair_new(&pair, protocol, certificate, what);
    if (prepare) {
        prepare(&pair);
    }
    peers_new(&peers, pair.client, pair.server);
    fact(label, "%s", shake_hands(&peers));
    peers_free(&peers);
    pair_free(&pair);
}

static void do_not_verify(struct pair *pair)
{
    L.SSL_CTX_set_verify(pair->client, 0, NULL);
}

static int take_anything(void *store_ctx, void *arg)
{
    (void)store_ctx;
    (void)arg;
    return 1;
}

/* A program that verifies by itself, so that libssl has no chain. */
static void verify_by_itself(struct pair *pair)
{
    L.SSL_CTX_set_cert_verify_callback(pair->client, take_anything, NULL);
}

static void staple_facts(enum protocol protocol)
{
    static const enum response all[] = {STAPLE,  REVOKED, UNKNOWN,   EXPIRED,      OTHER, CORRUPT,
                                        FOREIGN, JUNK,    TRY_LATER, UNAUTHORIZED, DELEGATED, UNFIT};
    char label[64];
    handshake_fact(protocol, "none", "server", NULL, NULL);
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        snprintf(label, sizeof(label), "%s", responses[all[i]].name);
        handshake_fact(protocol, label, "server", &responses[all[i]], NULL);
    }
    handshake_fact(protocol, "must_staple.none", "must-staple", NULL, NULL);
    handshake_fact(protocol, "must_staple.good", "must-staple", &responses[MUST_STAPLE], NULL);
    handshake_fact(protocol, "must_staple.other", "must-staple", &responses[STAPLE], NULL);
    /* The program does not insist on a chain, but libssl found a good one. */
    handshake_fact(protocol, "verify_none.good", "server", &responses[STAPLE], do_not_verify);
    handshake_fact(protocol, "verify_none.revoked", "server", &responses[REVOKED], do_not_verify);
    /* And here it found none, so that no response can be trusted. */
    handshake_fact(protocol, "untrusted.none", "untrusted", NULL, do_not_verify);
    handshake_fact(protocol, "untrusted.stapled", "untrusted", &responses[UNTRUSTED],
                   do_not_verify);
    handshake_fact(protocol, "by_itself.good", "server", &responses[STAPLE], verify_by_itself);
    handshake_fact(protocol, "by_itself.revoked", "server", &responses[REVOKED],
                   verify_by_itself);
}

/* A client program with a callback of its own. */
static void program_fact(enum protocol protocol, const char *label, int asks, int answer,
                         enum response what)
{
    struct pair pair;
    struct peers peers;
    struct script program = {.answer = answer};
    char both[64];
    pair_new(&pair, protocol, "server", &responses[what]);
    ctx_set_status_cb(pair.client, scripted_callback);
    ctx_set_status_arg(pair.client, &program);
    peers_new(&peers, pair.client, pair.server);
    if (asks) {
        set_status_type(peers.client, TYPE_OCSP);
    }
    fact(label, "%s", shake_hands(&peers));
    snprintf(both, sizeof(both), "%s.calls", label);
    fact(both, "%d", program.calls);
    snprintf(both, sizeof(both), "%s.saw", label);
    fact(both, "%s", program.calls ? program.saw : "-");
    peers_free(&peers);
    pair_free(&pair);
}

/* Whether the client asks, and whom it shows as having asked. */
static void type_facts(enum protocol protocol)
{
    struct pair pair;
    struct peers peers;
    status_cb callback = scripted_callback;
    pair_new(&pair, protocol, "server", &responses[REVOKED]);
    peers_new(&peers, pair.client, pair.server);
    ctx_get_status_cb(pair.client, &callback);
    fact("type.callback", "%s", callback ? "some" : "NULL");
    fact("type.of_context", "%ld", ctx_get_status_type(pair.client));
    fact("type.of_ssl", "%ld", get_status_type(peers.client));
    shake_hands(&peers);
    fact("type.asked", "%d", pair.answers.calls);
    fact("type.afterwards", "%ld", get_status_type(peers.client));
    peers_free(&peers);

    /* The program says no, on the SSL and then on the context. */
    peers_new(&peers, pair.client, pair.server);
    set_status_type(peers.client, TYPE_NONE);
    pair.answers.calls = 0;
    fact("type.ssl_off", "%s", shake_hands(&peers));
    fact("type.ssl_off.asked", "%d", pair.answers.calls);
    peers_free(&peers);
    ctx_set_status_type(pair.client, TYPE_NONE);
    peers_new(&peers, pair.client, pair.server);
    fact("type.context_off", "%s", shake_hands(&peers));
    fact("type.context_off.asked", "%d", pair.answers.calls);
    fact("type.context_off.of_ssl", "%ld", get_status_type(peers.client));
    peers_free(&peers);
    pair_free(&pair);
}

static enum response leafs, intermediates;

/* act of a server: a response for each certificate of its chain, or for none (RESPONSES). */
static void act_set_both(SSL *ssl, struct script *script)
{
    const enum response both[] = {leafs, intermediates};
    STACK *stack = stack_new();
    (void)script;
    for (int i = 0; i < 2; i++) {
        const struct blob *blob = both[i] == RESPONSES ? NULL : &responses[both[i]];
        const unsigned char *at = blob ? blob->bytes : NULL;
        stack_push(stack, blob ? L.d2i_OCSP_RESPONSE(NULL, &at, blob->length) : NULL);
    }
    if (set0_responses(ssl, stack) != 1) {
        broken("set0_responses");
    }
}

static void several_fact(const char *label, enum response leaf, enum response intermediate)
{
    struct pair pair;
    struct peers peers;
    if (libssl_version() < 0x030600) {
        fact(label, "-");
        return;
    }
    leafs = leaf;
    intermediates = intermediate;
    pair_new(&pair, TLS1_3, "server", &responses[STAPLE]);
    pair.answers.act = act_set_both;
    peers_new(&peers, pair.client, pair.server);
    fact(label, "%s", shake_hands(&peers));
    peers_free(&peers);
    pair_free(&pair);
}

static void facts_of(enum protocol protocol)
{
    facts_prefix(protocol_name(protocol));
    staple_facts(protocol);
    program_fact(protocol, "program.accepts_good", 1, 1, STAPLE);
    program_fact(protocol, "program.accepts_revoked", 1, 1, REVOKED);
    program_fact(protocol, "program.refuses_good", 1, 0, STAPLE);
    program_fact(protocol, "program.did_not_ask", 0, 0, STAPLE);
    program_fact(protocol, "program.did_not_ask_revoked", 0, 0, REVOKED);
    type_facts(protocol);
    session_facts(protocol);
    shared_session_fact(protocol);
    if (protocol == TLS1_3) {
        several_fact("several.good", STAPLE, INTERMEDIATE);
        several_fact("several.intermediate_revoked", STAPLE, INTERMEDIATE_REVOKED);
        several_fact("several.intermediate_other", STAPLE, OTHER);
        several_fact("several.leaf_revoked", REVOKED, INTERMEDIATE);
        several_fact("several.only_intermediate", RESPONSES, INTERMEDIATE);
        several_fact("several.only_intermediate_revoked", RESPONSES, INTERMEDIATE_REVOKED);
    }
}

int main(int count, char **arguments)
{
    if (count != 5) {
        fprintf(stderr, "usage: client_policy IMAGE PKI preloaded|linked|SHIM macro|named\n");
        return 2;
    }
    libssl_open(arguments[1], arguments[3],
                strcmp(arguments[4], "named") == 0 ? ROUTE_NAMED : ROUTE_MACRO);
    peers_load(arguments[2]);
    set_up_old_locks();
    printf("# %s\n", libssl_version_text());
    for (enum protocol protocol = TLS1_2; protocol <= DTLS1_2; protocol++) {
        if (speaks(protocol)) {
            facts_of(protocol);
        }
    }
    peers_unload();
    return 0;
}
