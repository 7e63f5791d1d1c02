/* Facts about the calls on contexts and connections, without a handshake. */
#define _GNU_SOURCE
#include "contract.h"
#include "facts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int some_callback(SSL *ssl, void *arg)
{
    (void)ssl;
    (void)arg;
    return 1;
}

static const char *which(status_cb callback)
{
    return !callback                            ? "NULL"
           : callback == some_callback     ? "some"
           : callback == scripted_callback ? "scripted"
                                           : "foreign";
}

void context_facts(void)
{
    SSL_CTX *ctx = client_context(TLS1_2), *neighbour = client_context(TLS1_2);
    status_cb callback = some_callback;
    void *arg = &callback;
    int first = 0, second = 0;

    facts_prefix("context");
    fact("type.fresh", "%ld", ctx_get_status_type(ctx));
    fact("type.set", "%ld", ctx_set_status_type(ctx, TYPE_OCSP));
    fact("type.after_set", "%ld", ctx_get_status_type(ctx));
    fact("type.set_0", "%ld", ctx_set_status_type(ctx, 0));
    fact("type.after_set_0", "%ld", ctx_get_status_type(ctx));
    fact("type.set_2", "%ld", ctx_set_status_type(ctx, 2));
    fact("type.after_set_2", "%ld", ctx_get_status_type(ctx));
    fact("type.off", "%ld", ctx_set_status_type(ctx, TYPE_NONE));
    fact("type.after_off", "%ld", ctx_get_status_type(ctx));
    fact("type.of_neighbour", "%ld", ctx_get_status_type(neighbour));

    fact("callback.get_fresh", "%ld", ctx_get_status_cb(ctx, &callback));
    fact("callback.fresh", "%s", which(callback));
    fact("callback.set", "%ld", ctx_set_status_cb(ctx, some_callback));
    callback = NULL;
    fact("callback.get", "%ld", ctx_get_status_cb(ctx, &callback));
    fact("callback.after_set", "%s", which(callback));
    ctx_set_status_cb(ctx, scripted_callback);
    callback = NULL;
    ctx_get_status_cb(ctx, &callback);
    fact("callback.after_second_set", "%s", which(callback));
    callback = some_callback;
    ctx_get_status_cb(neighbour, &callback);
    fact("callback.of_neighbour", "%s", which(callback));
    fact("callback.set_null", "%ld", ctx_set_status_cb(ctx, NULL));
    callback = some_callback;
    ctx_get_status_cb(ctx, &callback);
    fact("callback.after_set_null", "%s", which(callback));

    fact("arg.get_fresh", "%ld", ctx_get_status_arg(ctx, &arg));
    fact("arg.fresh", "%s", arg ? "not NULL" : "NULL");
    fact("arg.set", "%ld", ctx_set_status_arg(ctx, &first));
    fact("arg.get", "%ld", ctx_get_status_arg(ctx, &arg));
    fact("arg.after_set", "%s", arg == &first ? "same" : "different");
    ctx_set_status_arg(ctx, &second);
    ctx_get_status_arg(ctx, &arg);
    fact("arg.after_second_set", "%s", arg == &second ? "same" : "different");
    fact("arg.set_null", "%ld", ctx_set_status_arg(ctx, NULL));
    ctx_get_status_arg(ctx, &arg);
    fact("arg.after_set_null", "%s", arg ? "not NULL" : "NULL");

    L.SSL_CTX_free(ctx);
    L.SSL_CTX_free(neighbour);
}

void ssl_facts(void)
{
    SSL_CTX *ctx = client_context(TLS1_2), *of_no_method;
    SSL *ssl = L.SSL_new(ctx), *heir, *of_no_context;
    unsigned long before;

    facts_prefix("ssl");
    fact("type.fresh", "%ld", get_status_type(ssl));
    fact("type.set", "%ld", set_status_type(ssl, TYPE_OCSP));
    fact("type.after_set", "%ld", get_status_type(ssl));
    fact("type.set_0", "%ld", set_status_type(ssl, 0));
    fact("type.after_set_0", "%ld", get_status_type(ssl));
    fact("type.set_2", "%ld", set_status_type(ssl, 2));
    fact("type.after_set_2", "%ld", get_status_type(ssl));
    fact("type.of_context", "%ld", ctx_get_status_type(ctx));
    fact("type.off", "%ld", set_status_type(ssl, TYPE_NONE));
    fact("type.after_off", "%ld", get_status_type(ssl));

    ctx_set_status_type(ctx, TYPE_OCSP);
    heir = L.SSL_new(ctx);
    fact("type.inherited", "%ld", get_status_type(heir));
    fact("type.not_inherited_later", "%ld", get_status_type(ssl));
    ctx_set_status_type(ctx, TYPE_NONE);
    fact("type.inherited_for_good", "%ld", get_status_type(heir));
    L.SSL_clear(heir);
    fact("type.after_clear", "%ld", get_status_type(heir));

    fact("unknown_command", "%ld", L.SSL_ctrl(ssl, 9999, 0, NULL));
    fact("unknown_command.context", "%ld", L.SSL_CTX_ctrl(ctx, 9999, 0, NULL));
    fact("other_command", "%ld", L.SSL_ctrl(ssl, 33, 4, NULL) & 4);
    fact("other_command.context", "%ld", L.SSL_CTX_ctrl(ctx, 33, 4, NULL) & 4);

    /* What there is no object for fails as libssl says it. The reason is in the lowest bits. */
    L.ERR_clear_error();
    of_no_context = L.SSL_new(NULL);
    fact("of_no_context", "%s, %lu", of_no_context ? "made" : "none", L.ERR_get_error() & 0xfff);
    of_no_method = L.SSL_CTX_new(NULL);
    fact("context_of_no_method", "%s, %lu", of_no_method ? "made" : "none",
         L.ERR_get_error() & 0xfff);

    /* A caller that has just read its own error must find it afterwards. */
    L.ERR_clear_error();
    L.SSL_CTX_use_PrivateKey_file(ctx, "/nonexistent", 1);
    before = L.ERR_peek_error();
    errno = EDOM;
    describe_response(ssl, (char[64]){0}, 64);
    set_status_type(ssl, TYPE_OCSP);
    set_response(ssl, copy_of(&responses[STAPLE]), responses[STAPLE].length);
    fact("errno.kept", "%s", errno == EDOM ? "yes" : "no");
    fact("errors.kept", "%s", before != 0 && L.ERR_get_error() == before ? "yes" : "no");
    L.ERR_clear_error();

    L.SSL_free(heir);
    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
}

/* The length that get reports, and whether it hands back a certain pointer. */
static void get_fact(const char *label, SSL *ssl, const unsigned char *expected)
{
    unsigned char anything, *response = &anything;
    long length = get_response(ssl, &response);
    fact(label, "%ld %s", length, compare_pointers(response, expected));
}

static SSL *fresh_ssl(SSL_CTX **ctx)
{
    *ctx = client_context(TLS1_2);
    return L.SSL_new(*ctx);
}

static void response_fact(const char *label, SSL *ssl)
{
    char text[64];
    describe_response(ssl, text, sizeof(text));
    fact(label, "%s", text);
}

void older_ssl_facts(void)
{
    SSL_CTX *ctx;
    SSL *first = fresh_ssl(&ctx), *second = L.SSL_new(ctx), *without = L.SSL_new(ctx);
    SSL *copy_before = L.SSL_dup(first), *copy;

    facts_prefix("response.older_ssl");
    set_response(first, copy_of(&responses[STAPLE]), responses[STAPLE].length);
    response_fact("set", first);
    response_fact("another", second);
    response_fact("copy_from_before", copy_before);
    set_response(second, copy_of(&responses[TRY_LATER]), responses[TRY_LATER].length);
    set_response(copy_before, copy_of(&responses[TRY_LATER]), responses[TRY_LATER].length);
    copy = L.SSL_dup(first);
    response_fact("copy", copy);
    L.SSL_free(copy);
    copy = L.SSL_dup(without);
    response_fact("copy_without", copy);
    L.SSL_free(copy);
    L.SSL_free(without);
    L.SSL_free(copy_before);
    response_fact("after_copies_were_freed", first);
    response_fact("another_after_set", second);
    L.SSL_free(first);
    L.SSL_free(second);
    L.SSL_CTX_free(ctx);
}

void buffer_facts(void)
{
    SSL_CTX *ctx;
    SSL *ssl = fresh_ssl(&ctx), *copy;
    const struct blob *staple = &responses[STAPLE], *later = &responses[TRY_LATER];
    unsigned char *mine, *next;
    char text[64];

    facts_prefix("response");
    get_fact("fresh", ssl, NULL);
    /* try-later is 5 bytes on every run; the minted ones vary in length. */
    mine = copy_of(later);
    fact("set", "%ld", set_response(ssl, mine, later->length));
    get_fact("get", ssl, mine);
    get_fact("get_again", ssl, mine);
    describe_response(ssl, text, sizeof(text));
    fact("bytes", "%s", text);
    next = copy_of(staple);
    fact("set_second", "%ld", set_response(ssl, next, staple->length));
    describe_response(ssl, text, sizeof(text));
    fact("bytes_of_second", "%s", text);
    fact("clear", "%ld", set_response(ssl, NULL, 0));
    get_fact("after_clear", ssl, NULL);
    fact("clear_again", "%ld", set_response(ssl, NULL, 0));

    mine = copy_of(later);
    set_response(ssl, mine, later->length);
    next = copy_of(staple);
    fact("set_zero_length", "%ld", set_response(ssl, next, 0));
    get_fact("after_zero_length", ssl, NULL);

    mine = copy_of(later);
    set_response(ssl, mine, later->length);
    next = copy_of(staple);
    long taken = set_response(ssl, next, -1);
    fact("set_negative_length", "%ld", taken);
    get_fact("after_negative_length", ssl, mine);
    if (!taken) {
        libssl_free(next);
    }
    set_response(ssl, NULL, 0);

    mine = copy_of(later);
    set_response(ssl, mine, later->length);
    taken = set_response(ssl, NULL, 5);
    fact("set_null_with_length", "%ld", taken);
    get_fact("after_null_with_length", ssl, mine);
    set_response(ssl, NULL, 0);
    fact("set_null_with_negative_length", "%ld", set_response(ssl, NULL, -1));
    get_fact("after_null_with_negative_length", ssl, NULL);
    set_response(ssl, NULL, 0);

    mine = copy_of(staple);
    set_response(ssl, mine, staple->length);
    if (libssl_is_alone()) {
        fact("set_same_again", "-");
        fact("get_same_again", "-");
        fact("set_same_shorter", "-");
        fact("get_same_shorter", "-");
    } else {
        fact("set_same_again", "%ld", set_response(ssl, mine, staple->length));
        describe_response(ssl, text, sizeof(text));
        fact("get_same_again", "%s", text);
        fact("set_same_shorter", "%ld", set_response(ssl, mine, 5));
        get_fact("get_same_shorter", ssl, mine);
    }

    L.ERR_clear_error();
    mine = copy_of(&responses[JUNK]);
    fact("set_undecodable", "%ld", set_response(ssl, mine, responses[JUNK].length));
    get_fact("get_undecodable", ssl, mine);
    fact("errors_of_undecodable", "%s", L.ERR_peek_error() ? "queued" : "none");
    L.ERR_clear_error();

    mine = copy_of(later);
    set_response(ssl, mine, later->length);
    L.SSL_clear(ssl);
    get_fact("after_ssl_clear", ssl, mine);

    /* Whether the copy has the type is left out: it changed within patch releases. */
    copy = L.SSL_dup(ssl);
    get_fact("of_dup", copy, NULL);
    L.SSL_free(copy);
    describe_response(ssl, text, sizeof(text));
    fact("after_dup_was_freed", "%s", text);

    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
}
