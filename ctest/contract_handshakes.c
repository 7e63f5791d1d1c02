/* Facts about one handshake: what the server answers and what the client makes of it. */
#define _GNU_SOURCE
#include "contract.h"
#include "facts.h"

#include <stdio.h>
#include <string.h>

/* A client that asks and a server that answers, each by its script. */
struct scene {
    SSL_CTX *client, *server;
    struct script asks, answers;
    struct peers peers;
};

static void scene_new(struct scene *scene, enum protocol protocol)
{
    memset(scene, 0, sizeof(*scene));
    scene->client = client_context(protocol);
    scene->server = server_context(protocol, "server");
    ctx_set_status_cb(scene->client, scripted_callback);
    ctx_set_status_arg(scene->client, &scene->asks);
    ctx_set_status_cb(scene->server, scripted_callback);
    ctx_set_status_arg(scene->server, &scene->answers);
    scene->asks.answer = 1;
    scene->answers.set = &responses[STAPLE];
    peers_new(&scene->peers, scene->client, scene->server);
    set_status_type(scene->peers.client, TYPE_OCSP);
}

static void scene_free(struct scene *scene)
{
    peers_free(&scene->peers);
    L.SSL_CTX_free(scene->client);
    L.SSL_CTX_free(scene->server);
}

/* Runs the handshake and says what the client got: all that matters in most scenes. */
static void outcome(const char *label, struct scene *scene)
{
    const char *how = peers_handshake(&scene->peers);
    char alerts[32] = "";
    if (scene->peers.client_alert >= 0) {
        snprintf(alerts, sizeof(alerts), ", client read alert %d", scene->peers.client_alert);
    }
    if (scene->peers.server_alert >= 0) {
        snprintf(alerts, sizeof(alerts), ", server read alert %d", scene->peers.server_alert);
    }
    fact(label, "%s, server called %d, client called %d, client saw %s%s",
         how, scene->answers.calls, scene->asks.calls,
         scene->asks.calls ? scene->asks.saw : "nothing", alerts);
}

/* Everything that both sides see in the plainest handshake with a staple. */
static void staple_facts(enum protocol protocol)
{
    struct scene scene;
    unsigned char *response = NULL;
    char text[64];

    scene_new(&scene, protocol);
    scene.answers.act = act_set;
    outcome("staple", &scene);
    fact("staple.version", "%s", L.SSL_get_version(scene.peers.client));
    fact("staple.type_in_server_callback", "%ld", scene.answers.type);
    fact("staple.type_in_client_callback", "%ld", scene.asks.type);
    fact("staple.server_had_before", "%s", scene.answers.saw);
    get_response(scene.peers.server, &response);
    fact("staple.server_pointer_afterwards", "%s",
         compare_pointers(response, scene.answers.mine));
    describe_response(scene.peers.server, text, sizeof(text));
    fact("staple.server_has_afterwards", "%s", text);
    get_response(scene.peers.client, &response);
    fact("staple.client_pointer_afterwards", "%s",
         compare_pointers(response, scene.asks.response));
    describe_response(scene.peers.client, text, sizeof(text));
    fact("staple.client_has_afterwards", "%s", text);
    scene_free(&scene);
}

/* act: hands over two responses, the second to be sent. */
static void act_set_twice(SSL *ssl, struct script *script)
{
    act_set(ssl, script);
    script->set = &responses[SECOND];
    act_set(ssl, script);
}

static void act_clear(SSL *ssl, struct script *script)
{
    (void)script;
    set_response(ssl, NULL, 0);
}

static void act_zero_length(SSL *ssl, struct script *script)
{
    set_response(ssl, copy_of(script->set), 0);
}

static void act_negative_length(SSL *ssl, struct script *script)
{
    unsigned char *copy = copy_of(script->set);
    if (!set_response(ssl, copy, -1)) {
        libssl_free(copy);
    }
}

/* One scene of a server: its answer, its act, and whether a response was set before. */
static void server_scene(enum protocol protocol, const char *label, int answer,
                         void (*act)(SSL *, struct script *), enum response what, int preset)
{
    struct scene scene;
    scene_new(&scene, protocol);
    scene.answers.answer = answer;
    scene.answers.act = act;
    scene.answers.set = &responses[what];
    if (preset) {
        set_response(scene.peers.server, copy_of(&responses[STAPLE]), responses[STAPLE].length);
    }
    outcome(label, &scene);
    scene_free(&scene);
}

void server_facts(enum protocol protocol)
{
    struct scene scene;

    staple_facts(protocol);
    server_scene(protocol, "server.noack", ANSWER_NOACK, NULL, STAPLE, 0);
    server_scene(protocol, "server.noack_with_response", ANSWER_NOACK, act_set, STAPLE, 0);
    server_scene(protocol, "server.ok_without_response", ANSWER_OK, NULL, STAPLE, 0);
    server_scene(protocol, "server.fatal", ANSWER_FATAL, NULL, STAPLE, 0);
    server_scene(protocol, "server.fatal_with_response", ANSWER_FATAL, act_set, STAPLE, 0);
    server_scene(protocol, "server.warning", ANSWER_WARNING, act_set, STAPLE, 0);
    server_scene(protocol, "server.answer_7", 7, act_set, STAPLE, 0);
    server_scene(protocol, "server.answer_negative", -1, act_set, STAPLE, 0);
    server_scene(protocol, "server.set_twice", ANSWER_OK, act_set_twice, STAPLE, 0);
    server_scene(protocol, "server.set_before", ANSWER_OK, NULL, STAPLE, 1);
    server_scene(protocol, "server.set_before_and_noack", ANSWER_NOACK, NULL, STAPLE, 1);
    server_scene(protocol, "server.set_before_and_replaced", ANSWER_OK, act_set, SECOND, 1);
    server_scene(protocol, "server.set_before_and_cleared", ANSWER_OK, act_clear, STAPLE, 1);
    server_scene(protocol, "server.set_before_and_zero_length", ANSWER_OK, act_zero_length,
                 STAPLE, 1);
    if (libssl_is_alone()) {
        fact("server.set_before_and_negative_length", "-");
    } else {
        server_scene(protocol, "server.set_before_and_negative_length", ANSWER_OK,
                     act_negative_length, SECOND, 1);
    }
    server_scene(protocol, "server.zero_length", ANSWER_OK, act_zero_length, STAPLE, 0);
    server_scene(protocol, "server.undecodable", ANSWER_OK, act_set, JUNK, 0);
    server_scene(protocol, "server.try_later", ANSWER_OK, act_set, TRY_LATER, 0);
    server_scene(protocol, "server.response_of_another_certificate", ANSWER_OK, act_set,
                 OTHER, 0);

    scene_new(&scene, protocol);
    ctx_set_status_cb(scene.server, NULL);
    outcome("server.no_callback", &scene);
    scene_free(&scene);

    scene_new(&scene, protocol);
    ctx_set_status_cb(scene.server, NULL);
    set_response(scene.peers.server, copy_of(&responses[STAPLE]), responses[STAPLE].length);
    outcome("server.set_before_without_callback", &scene);
    scene_free(&scene);

    /* The context's callback and argument count, also after SSL_new. */
    scene_new(&scene, protocol);
    struct script replaced = {.act = act_set, .set = &responses[SECOND]};
    ctx_set_status_cb(scene.server, another_callback);
    ctx_set_status_arg(scene.server, &replaced);
    outcome("server.callback_replaced_after_ssl_new", &scene);
    fact("server.callback_replaced_after_ssl_new.called", "%s", replaced.by);
    scene_free(&scene);
}

/* act of a client: gets the response twice more. */
static void act_get_twice(SSL *ssl, struct script *script)
{
    unsigned char *again = NULL, *once_more = NULL;
    get_response(ssl, &again);
    get_response(ssl, &once_more);
    const char *first = compare_pointers(again, script->response);
    const char *second = compare_pointers(once_more, script->response);
    strcpy(script->note, strcmp(first, "same") == 0 ? second : first);
}

static void client_scene(enum protocol protocol, const char *label, int answer, int staples)
{
    struct scene scene;
    scene_new(&scene, protocol);
    scene.asks.answer = answer;
    scene.answers.act = staples ? act_set : NULL;
    outcome(label, &scene);
    scene_free(&scene);
}

void client_facts(enum protocol protocol)
{
    struct scene scene;
    char text[64];

    client_scene(protocol, "client.accepts", 1, 1);
    client_scene(protocol, "client.accepts_with_2", 2, 1);
    client_scene(protocol, "client.rejects", 0, 1);
    client_scene(protocol, "client.error", -1, 1);
    client_scene(protocol, "client.accepts_none", 1, 0);
    client_scene(protocol, "client.rejects_none", 0, 0);
    client_scene(protocol, "client.error_on_none", -1, 0);

    scene_new(&scene, protocol);
    scene.answers.act = act_set;
    scene.asks.act = act_get_twice;
    outcome("client.gets_twice", &scene);
    fact("client.gets_twice.pointer", "%s", scene.asks.note);
    scene_free(&scene);

    scene_new(&scene, protocol);
    scene.answers.act = act_set;
    set_status_type(scene.peers.client, TYPE_NONE);
    outcome("client.does_not_ask", &scene);
    describe_response(scene.peers.client, text, sizeof(text));
    fact("client.does_not_ask.has_afterwards", "%s", text);
    scene_free(&scene);

    scene_new(&scene, protocol);
    scene.answers.act = act_set;
    set_status_type(scene.peers.client, 2);
    outcome("client.asks_after_unknown_type", &scene);
    scene_free(&scene);

    scene_new(&scene, protocol);
    scene.answers.act = act_set;
    ctx_set_status_cb(scene.client, NULL);
    outcome("client.no_callback", &scene);
    describe_response(scene.peers.client, text, sizeof(text));
    fact("client.no_callback.has_afterwards", "%s", text);
    scene_free(&scene);

    /* The type comes from the context. */
    scene_new(&scene, protocol);
    peers_free(&scene.peers);
    ctx_set_status_type(scene.client, TYPE_OCSP);
    peers_new(&scene.peers, scene.client, scene.server);
    scene.answers.act = act_set;
    outcome("client.asks_by_context", &scene);
    scene_free(&scene);
}
