/*
 * Two libssl images in one process, used in turns and one inside the other: each call
 * must reach the image that made the object it is about.
 *
 *     two_images FIRST SECOND PKI SHIM macro|named
 *
 * Prints facts (facts.h); what they must be stands in two_images.tsv.
 */
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

static void use(const struct side *side)
{
    L = side->functions;
    facts_prefix(side->name);
}

static void set_up(struct side *side, const char *image, char **arguments,
                   status_cb callback, enum response what)
{
    int named = strcmp(arguments[1], "named") == 0;
    libssl_open(image, arguments[0], named ? ROUTE_NAMED : ROUTE_MACRO);
    side->functions = L;
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

int main(int count, char **arguments)
{
    if (count != 6) {
        fprintf(stderr, "usage: two_images FIRST SECOND PKI SHIM macro|named\n");
        return 2;
    }
    peers_load(arguments[3]);
    set_up(&sides[0], arguments[1], arguments + 4, scripted_callback, STAPLE);
    set_up(&sides[1], arguments[2], arguments + 4, another_callback, SECOND);
    if (sides[0].functions.SSL_new == sides[1].functions.SSL_new) {
        broken("both images are the same");
    }
    sides[0].answers.act = act_other_handshake;
    look_at_context(&sides[0], scripted_callback);
    look_at_context(&sides[1], another_callback);
    connect_and_set(&sides[0]);
    connect_and_set(&sides[1]);
    look_at_response(&sides[0]);
    look_at_response(&sides[1]);
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
    peers_unload();
    return 0;
}
