/*
 * Two libssl images in one process, used in turns and one inside the other: each call
 * must reach the image that made the object it is about. While one is in use the code of
 * the other cannot be executed, so that a call that goes astray ends the process.
 *
 *     two_images FIRST SECOND PKI SHIM macro|named
 *
 * Prints facts (facts.h); what they must be stands in two_images.tsv.
 */
#include "code_of.h"
#include "facts.h"
#include "peers.h"

#include <stdio.h>
#include <string.h>

/* One image and what was made with it. */
struct side {
    const char *name;
    struct libssl functions;
    SSL_CTX *client, *server;
    struct script asks, answers;
    struct peers peers;
    unsigned char *set;
};

static struct side sides[2] = {{.name = "first"}, {.name = "second"}};

/* Any function of the image itself: the shim has no SSL_free. */
static const void *code_of(const struct side *side)
{
    return *(void *const *)&side->functions.SSL_free;
}

static void use(const struct side *side)
{
    L = side->functions;
    facts_prefix(side->name);
    forbid_code_of(code_of(side == sides ? &sides[1] : &sides[0]));
    allow_code_of(code_of(side));
}

static void open_images(char **arguments)
{
    int named = strcmp(arguments[4], "named") == 0;
    for (int i = 0; i < 2; i++) {
        libssl_open(arguments[i], arguments[3], named ? ROUTE_NAMED : ROUTE_MACRO);
        sides[i].functions = L;
    }
    if (code_of(&sides[0]) == code_of(&sides[1])) {
        broken("both images are the same");
    }
}

static void set_up(struct side *side, status_cb callback, enum response what)
{
    use(side);
    side->asks.answer = 1;
    side->answers.set = &responses[what];
    side->answers.act = act_set;
    side->client = client_context(TLS1_2);
    side->server = server_context(TLS1_2, "server");
    ctx_set_status_cb(side->client, callback);
    ctx_set_status_arg(side->client, &side->asks);
    ctx_set_status_cb(side->server, callback);
    ctx_set_status_arg(side->server, &side->answers);
}

static void look_at_context(struct side *side, status_cb expected)
{
    status_cb callback = NULL;
    void *arg = NULL;
    use(side);
    ctx_get_status_cb(side->server, &callback);
    ctx_get_status_arg(side->server, &arg);
    fact("callback", "%s", callback == expected ? "own" : "not its own");
    fact("arg", "%s", arg == &side->answers ? "own" : "not its own");
}

static void connect_and_set(struct side *side)
{
    use(side);
    peers_new(&side->peers, side->client, side->server);
    set_status_type(side->peers.client, TYPE_OCSP);
    side->set = copy_of(side->answers.set);
    fact("set", "%ld", set_response(side->peers.server, side->set, side->answers.set->length));
}

static void look_at_response(struct side *side)
{
    unsigned char *response = NULL;
    char text[64];
    use(side);
    get_response(side->peers.server, &response);
    fact("pointer", "%s", response == side->set ? "own" : "not its own");
    describe_response(side->peers.server, text, sizeof(text));
    fact("response", "%s", text);
}

/* Commands that the shim only hands on: what they say depends on the object alone. */
static void hand_on(struct side *side)
{
    enum { CONTROL_MODE = 33, ENABLE_PARTIAL_WRITE = 1, RELEASE_BUFFERS = 16 };
    use(side);
    L.SSL_CTX_ctrl(side->server, CONTROL_MODE, RELEASE_BUFFERS, NULL);
    fact("handed on", "%ld, %ld",
         L.SSL_CTX_ctrl(side->server, CONTROL_MODE, 0, NULL) & RELEASE_BUFFERS,
         L.SSL_ctrl(side->peers.server, CONTROL_MODE, ENABLE_PARTIAL_WRITE, NULL)
             & ENABLE_PARTIAL_WRITE);
}

static void shake_hands(struct side *side)
{
    use(side);
    const char *how = peers_handshake(&side->peers);
    fact("handshake", "%s, client saw %s by %s callback", how, side->asks.saw,
         side->asks.by ? side->asks.by : "no");
}

/* act of the first image's server: the second image's whole handshake comes between. */
static void act_other_handshake(SSL *ssl, struct script *script)
{
    shake_hands(&sides[1]);
    use(&sides[0]);
    act_set(ssl, script);
}

/* For a program that is linked to one of them: wheels/bound.c. */
__attribute__((weak)) void contexts_are_made(void);

int main(int count, char **arguments)
{
    if (count != 6) {
        fprintf(stderr, "usage: two_images FIRST SECOND PKI SHIM macro|named\n");
        return 2;
    }
    peers_load(arguments[3]);
    open_images(arguments + 1);
    set_up(&sides[0], scripted_callback, STAPLE);
    set_up(&sides[1], another_callback, SECOND);
    if (contexts_are_made) {
        contexts_are_made();
    }
    sides[0].answers.act = act_other_handshake;
    look_at_context(&sides[0], scripted_callback);
    look_at_context(&sides[1], another_callback);
    connect_and_set(&sides[0]);
    connect_and_set(&sides[1]);
    look_at_response(&sides[0]);
    look_at_response(&sides[1]);
    hand_on(&sides[0]);
    hand_on(&sides[1]);
    shake_hands(&sides[0]);
    for (int i = 0; i < 2; i++) {
        use(&sides[i]);
        L.SSL_CTX_free(sides[i].client);
        L.SSL_CTX_free(sides[i].server);
    }
    for (int i = 0; i < 2; i++) {
        use(&sides[i]);
        peers_free(&sides[i].peers);
    }
    allow_code_of(code_of(&sides[0]));
    peers_unload();
    return 0;
}
