/* Facts about more than one context or handshake: SNI, resumption, reuse, renegotiation. */
#define _GNU_SOURCE
#include "contract.h"
#include "facts.h"

#include <stdio.h>
#include <string.h>

enum {
    CTRL_SERVERNAME_CALLBACK = 53,
    CTRL_SERVERNAME_ARG = 54,
    CTRL_HOSTNAME = 55,
    CTRL_GROUPS_LIST = 92,
    OPTION_NO_TICKET = 0x4000,
    OPTION_NO_RESUMPTION_ON_RENEGOTIATION = 0x10000
};

static SSL_CTX *scripted(SSL_CTX *ctx, struct script *script)
{
    ctx_set_status_cb(ctx, scripted_callback);
    ctx_set_status_arg(ctx, script);
    return ctx;
}

/* The servername callback: everybody gets the context that is its argument. */
static int switch_context(SSL *ssl, int *alert, void *ctx)
{
    (void)alert;
    L.SSL_set_SSL_CTX(ssl, ctx);
    return 0;
}

void sni_facts(enum protocol protocol)
{
    static char other_test[] = "other.test";
    struct script asks = {.answer = 1};
    struct script first = {.act = act_set, .set = &responses[STAPLE]};
    struct script second = {.act = act_set, .set = &responses[OTHER]};
    SSL_CTX *client = scripted(client_context(protocol), &asks);
    SSL_CTX *server = scripted(server_context(protocol, "server"), &first);
    SSL_CTX *other = server_context(protocol, "other");
    struct peers peers;

    ctx_set_status_cb(other, another_callback);
    ctx_set_status_arg(other, &second);
    L.SSL_CTX_callback_ctrl(server, CTRL_SERVERNAME_CALLBACK, (any_function)switch_context);
    L.SSL_CTX_ctrl(server, CTRL_SERVERNAME_ARG, 0, other);

    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    L.SSL_ctrl(peers.client, CTRL_HOSTNAME, 0, other_test);
    fact("sni.handshake", "%s", peers_handshake(&peers));
    fact("sni.first_context_called", "%d", first.calls);
    fact("sni.second_context_called", "%d by %s", second.calls, second.by ? second.by : "none");
    fact("sni.client_saw", "%s", asks.saw);
    peers_free(&peers);

    first.calls = 0;
    ctx_set_status_cb(other, NULL);
    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    L.SSL_ctrl(peers.client, CTRL_HOSTNAME, 0, other_test);
    fact("sni_without_callback.handshake", "%s", peers_handshake(&peers));
    fact("sni_without_callback.first_context_called", "%d", first.calls);
    fact("sni_without_callback.client_saw", "%s", asks.saw);
    peers_free(&peers);

    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
    L.SSL_CTX_free(other);
}

/* Two handshakes, the second with the first one's session. */
static void resume(enum protocol protocol, const char *prefix, uint64_t option)
{
    struct script asks = {.answer = 1}, answers = {.act = act_set, .set = &responses[STAPLE]};
    SSL_CTX *client = scripted(client_context(protocol), &asks);
    SSL_CTX *server = scripted(server_context(protocol, "server"), &answers);
    SSL_SESSION *session;
    struct peers peers;
    char text[64], full[64];

    snprintf(full, sizeof(full), "%s.%s", protocol_name(protocol), prefix);
    facts_prefix(full);
    add_option(server, option);
    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    fact("first.handshake", "%s", peers_handshake(&peers));
    fact("first.calls", "server %d, client %d", answers.calls, asks.calls);
    peers_read(&peers);
    session = L.SSL_get1_session(peers.client);
    peers_free(&peers);

    asks.calls = answers.calls = 0;
    /* A client that would refuse: resumption must not ask it. */
    asks.answer = 0;
    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    L.SSL_set_session(peers.client, session);
    fact("second.handshake", "%s", peers_handshake(&peers));
    fact("second.resumed", "%d", resumed(peers.client));
    fact("second.calls", "server %d, client %d", answers.calls, asks.calls);
    describe_response(peers.client, text, sizeof(text));
    fact("second.client_has_afterwards", "%s", text);
    peers_free(&peers);

    L.SSL_SESSION_free(session);
    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
    facts_prefix(protocol_name(protocol));
}

void resumption_facts(enum protocol protocol)
{
    resume(protocol, "resumed_by_ticket", 0);
    resume(protocol, "resumed_by_id", OPTION_NO_TICKET);
}

/* The client offers a group that the server does not take first. */
static void retry_facts(void)
{
    static char p384[] = "P-384";
    struct script asks = {.answer = 1}, answers = {.act = act_set, .set = &responses[STAPLE]};
    SSL_CTX *client = scripted(client_context(TLS1_3), &asks);
    SSL_CTX *server = scripted(server_context(TLS1_3, "server"), &answers);
    struct peers peers;

    if (L.SSL_CTX_ctrl(server, CTRL_GROUPS_LIST, 0, p384) != 1) {
        broken("SSL_CTX_set1_groups_list");
    }
    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    fact("hello_retry.handshake", "%s", peers_handshake(&peers));
    fact("hello_retry.calls", "server %d, client %d", answers.calls, asks.calls);
    fact("hello_retry.server_had_at_second_call", "%s", answers.saw);
    fact("hello_retry.client_saw", "%s", asks.saw);
    peers_free(&peers);
    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
}

static void renegotiation_facts(void)
{
    struct script asks = {.answer = 1}, answers = {.act = act_set, .set = &responses[STAPLE]};
    SSL_CTX *client = scripted(client_context(TLS1_2), &asks);
    SSL_CTX *server = scripted(server_context(TLS1_2, "server"), &answers);
    struct peers peers;

    add_option(server, OPTION_NO_RESUMPTION_ON_RENEGOTIATION);
    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    peers_handshake(&peers);
    answers.set = &responses[SECOND];
    fact("renegotiation.asked", "%d", L.SSL_renegotiate(peers.server));
    L.SSL_do_handshake(peers.server);
    peers_read(&peers);
    fact("renegotiation.calls", "server %d, client %d", answers.calls, asks.calls);
    fact("renegotiation.server_had_before", "%s", answers.saw);
    fact("renegotiation.client_saw", "%s", asks.saw);
    peers_free(&peers);
    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
}

/* The same two SSLs, three times. */
static void reuse_facts(enum protocol protocol)
{
    struct script asks = {.answer = 1}, answers = {.act = act_set, .set = &responses[STAPLE]};
    SSL_CTX *client = scripted(client_context(protocol), &asks);
    SSL_CTX *server = scripted(server_context(protocol, "server"), &answers);
    struct peers peers;
    static const char *const labels[] = {"reused.first", "reused.with_second_response",
                                         "reused.without_response", "reused.with_noack"};

    peers_new(&peers, client, server);
    set_status_type(peers.client, TYPE_OCSP);
    for (int turn = 0; turn < 4; turn++) {
        if (turn > 0) {
            L.SSL_clear(peers.client);
            L.SSL_clear(peers.server);
            L.SSL_set_session(peers.client, NULL);
            peers_connect(&peers);
        }
        answers.set = &responses[turn == 0 ? STAPLE : SECOND];
        answers.act = turn < 2 ? act_set : NULL;
        answers.answer = turn < 3 ? ANSWER_OK : ANSWER_NOACK;
        answers.calls = asks.calls = 0;
        strcpy(asks.saw, "nothing");
        strcpy(answers.saw, "nothing");
        const char *how = peers_handshake(&peers);
        fact(labels[turn], "%s, server called %d, had %s, client called %d, saw %s",
             how, answers.calls, answers.saw, asks.calls, asks.saw);
    }
    peers_free(&peers);
    L.SSL_CTX_free(client);
    L.SSL_CTX_free(server);
}

void repeated_facts(enum protocol protocol)
{
    reuse_facts(protocol);
    if (protocol == TLS1_3) {
        retry_facts();
    }
    if (protocol == TLS1_2) {
        renegotiation_facts();
    }
}
