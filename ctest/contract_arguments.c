/* Facts about NULL objects and NULL places for an answer. Each may crash. */
#define _GNU_SOURCE
#include "contract.h"
#include "facts.h"

#include <stdio.h>

/* One fact: an expression, and what a getter left in its place. */
#define CALL(name, expression)                                                             \
    static void name(char *text, size_t size)                                              \
    {                                                                                      \
        snprintf(text, size, "%ld", (long)(expression));                                   \
    }

static SSL_CTX *ctx;
static SSL *ssl;
static status_cb callback;
static void *arg;
static STACK *stack;
static unsigned char buffer[5];

CALL(null_set_cb, ctx_set_status_cb(NULL, scripted_callback))
CALL(null_get_cb, ctx_get_status_cb(NULL, &callback))
CALL(null_set_arg, ctx_set_status_arg(NULL, buffer))
CALL(null_get_arg, ctx_get_status_arg(NULL, &arg))
CALL(null_ctx_set_type, ctx_set_status_type(NULL, TYPE_OCSP))
CALL(null_ctx_get_type, ctx_get_status_type(NULL))
CALL(null_set_type, set_status_type(NULL, TYPE_OCSP))
CALL(null_get_type, get_status_type(NULL))
CALL(null_get_exts, get_status_exts(NULL, &stack))
CALL(null_set_exts, set_status_exts(NULL, NULL))
CALL(null_get_ids, get_status_ids(NULL, &stack))
CALL(null_set_ids, set_status_ids(NULL, NULL))
CALL(null_set_response, set_response(NULL, buffer, sizeof(buffer)))
CALL(null_set0_responses, set0_responses(NULL, NULL))
CALL(nowhere_cb, ctx_get_status_cb(ctx, NULL))
CALL(nowhere_arg, ctx_get_status_arg(ctx, NULL))
CALL(nowhere_exts, get_status_exts(ssl, NULL))
CALL(nowhere_ids, get_status_ids(ssl, NULL))
CALL(nowhere_response, get_response(ssl, NULL))
CALL(nowhere_responses, get0_responses(ssl, NULL))
CALL(null_nowhere_response, get_response(NULL, NULL))

static void null_get_response(char *text, size_t size)
{
    unsigned char *response = buffer;
    long length = get_response(NULL, &response);
    snprintf(text, size, "%ld %s", length, response ? "untouched" : "NULL");
}

static void null_get0_responses(char *text, size_t size)
{
    STACK *responses_found = (STACK *)buffer;
    long count = get0_responses(NULL, &responses_found);
    snprintf(text, size, "%ld %s", count, responses_found ? "untouched" : "NULL");
}

void bad_argument_facts(void)
{
    facts_prefix("null_object");
    fact_in_child("context.set_callback", null_set_cb);
    fact_in_child("context.get_callback", null_get_cb);
    fact_in_child("context.set_arg", null_set_arg);
    fact_in_child("context.get_arg", null_get_arg);
    fact_in_child("context.set_type", null_ctx_set_type);
    fact_in_child("context.get_type", null_ctx_get_type);
    fact_in_child("ssl.set_type", null_set_type);
    fact_in_child("ssl.get_type", null_get_type);
    fact_in_child("ssl.get_exts", null_get_exts);
    fact_in_child("ssl.set_exts", null_set_exts);
    fact_in_child("ssl.get_ids", null_get_ids);
    fact_in_child("ssl.set_ids", null_set_ids);
    fact_in_child("ssl.set_response", null_set_response);
    fact_in_child("ssl.get_response", null_get_response);
    fact_in_child("ssl.get_response_nowhere", null_nowhere_response);
    fact_in_child("ssl.set0_responses", null_set0_responses);
    fact_in_child("ssl.get0_responses", null_get0_responses);

    ctx = client_context(TLS1_2);
    ssl = L.SSL_new(ctx);
    facts_prefix("null_place");
    fact_in_child("context.get_callback", nowhere_cb);
    fact_in_child("context.get_arg", nowhere_arg);
    fact_in_child("ssl.get_exts", nowhere_exts);
    fact_in_child("ssl.get_ids", nowhere_ids);
    fact_in_child("ssl.get_response", nowhere_response);
    fact_in_child("ssl.get0_responses", nowhere_responses);
    set_response(ssl, copy_of(&responses[STAPLE]), responses[STAPLE].length);
    fact_in_child("ssl.get_response_when_set", nowhere_response);
    L.SSL_free(ssl);
    L.SSL_CTX_free(ctx);
}
