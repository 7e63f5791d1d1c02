/* Both sides of a scene. See sides.h. */
#define _GNU_SOURCE
#include "sides.h"
#include "../facts.h"
#include "faults.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *pki;
static void *image;
static int handshakes_only, refused_in_callback;

void sides_begin(const char *directory, const char *path, int in_handshakes_only)
{
    pki = directory;
    image = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    handshakes_only = in_handshakes_only;
}

void *any_function_named(const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    return found ? found : dlsym(image, name);
}

void *function_of_image(const char *name)
{
    return dlsym(image, name);
}

const char *path_of(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", pki, name);
    return path;
}

void sides_arm(int armed)
{
    if (handshakes_only) {
        faults_arm(armed);
    }
}

const char *shake_hands(struct peers *peers)
{
    sides_arm(1);
    const char *ended = peers_handshake(peers);
    sides_arm(0);
    return ended;
}

void sides_new(struct sides *sides, enum protocol protocol, const char *certificate)
{
    memset(sides, 0, sizeof(*sides));
    sides->asks.answer = 1;
    sides->client = client_context(protocol);
    sides->server = server_context(protocol, certificate);
    fact("callback_set", "%ld", ctx_set_status_cb(sides->client, scripted_callback));
    fact("argument_set", "%ld", ctx_set_status_arg(sides->client, &sides->asks));
}

/* Sets the response, or ends the handshake where that is refused, as careful programs do. */
static void act_set_or_end(SSL *ssl, struct script *script)
{
    unsigned char *mine = copy_of(script->set);
    if (set_response(ssl, mine, script->set->length) != 1) {
        L.CRYPTO_free(mine, __FILE__, __LINE__);
        script->answer = ANSWER_FATAL;
        refused_in_callback = 1;
    }
}

void sides_answer(struct sides *sides, int answer, const struct blob *response)
{
    sides->answers.answer = answer;
    sides->answers.set = response;
    sides->answers.act = response ? act_set_or_end : NULL;
    fact("server_callback_set", "%ld", ctx_set_status_cb(sides->server, scripted_callback));
    ctx_set_status_arg(sides->server, &sides->answers);
}

void sides_free(struct sides *sides)
{
    L.SSL_CTX_free(sides->client);
    L.SSL_CTX_free(sides->server);
}

void print_set_in_callback(void)
{
    fact("set_in_callback", "%s", refused_in_callback ? "0" : "1");
    refused_in_callback = 0;
}

void ask(struct peers *peers, const char *label)
{
    fact(label, "%ld", set_status_type(peers->client, TYPE_OCSP));
}

void print_end(struct sides *sides, struct peers *peers, const char *ended)
{
    char text[64];
    fact("handshake", "%s", ended);
    print_set_in_callback();
    fact("alerts", "client %d, server %d", peers->client_alert, peers->server_alert);
    fact("server_called", "%d", sides->answers.calls);
    fact("client_called", "%d", sides->asks.calls);
    fact("client_saw", "%s", sides->asks.calls ? sides->asks.saw : "-");
    describe_response(peers->client, text, sizeof(text));
    fact("client_has", "%s", text);
    describe_response(peers->server, text, sizeof(text));
    fact("server_has", "%s", text);
    /* 1.0.2 alone does not tell, and says 0. */
    fact("client_asks", "%d", get_status_type(peers->client) == TYPE_OCSP);
}

void connect_and_print(struct sides *sides)
{
    struct peers peers;
    peers_new(&peers, sides->client, sides->server);
    ask(&peers, "type_set");
    print_end(sides, &peers, shake_hands(&peers));
    peers_free(&peers);
}
