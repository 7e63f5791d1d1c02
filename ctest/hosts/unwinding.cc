/*
 * What unwinds through OpenSSL's frames, and so through the shim's: C++ exceptions thrown
 * by the program's callbacks, and a thread cancelled while it reads a certificate. And
 * what must not: a cancellation that waits for the program's own cancellation point.
 *
 *     unwinding IMAGE PKI alone|preloaded
 */
#include "host.h"

#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace {

struct Thrown {};

/* With it all is well; otherwise what went wrong. */
const char *const caught_then_stapled = "caught, then stapled";

/* Throws in the first handshake, says nothing in later ones. */
int throwing_callback(SSL *, void *already)
{
    bool &thrown = *static_cast<bool *>(already);
    if (!thrown) {
        thrown = true;
        throw Thrown();
    }
    return ANSWER_NOACK;
}

const char *then_stapled(const struct host *host, const pair *made)
{
    return strcmp(pair_staple(made), host->expected) == 0 ? caught_then_stapled
                                                          : "caught, then not stapled";
}

const char *from_status_callback(const struct host *host, enum protocol protocol)
{
    pair made;
    peers peers;
    bool thrown = false;
    host_open(host);
    pair_new(&made, speaks(protocol) ? protocol : TLS1_2);
    ctx_set_status_cb(made.server, throwing_callback);
    ctx_set_status_arg(made.server, &thrown);
    peers_new(&peers, made.client, made.server);
    set_status_type(peers.client, TYPE_OCSP);
    try {
        peers_handshake(&peers);
    } catch (const Thrown &) {
        peers_free(&peers);
        return then_stapled(host, &made);
    }
    return "not caught";
}

const char *from_tls12(const struct host *host)
{
    return from_status_callback(host, TLS1_2);
}

const char *from_tls13(const struct host *host)
{
    return from_status_callback(host, TLS1_3);
}

int throwing_password(char *, int, int, void *)
{
    throw Thrown();
}

/* An encrypted certificate: the password is asked for while the loader runs. */
const char *from_password_callback(const struct host *host)
{
    pair made;
    std::string path = std::string(host->pki) + "/encrypted.pem";
    host_open(host);
    FILE *file = fopen(path.c_str(), "w");
    if (!file) {
        broken("the encrypted certificate");
    }
    fputs("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
          "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
          "AAAAAAAAAAAAAAAAAAAAAA==\n-----END CERTIFICATE-----\n",
          file);
    fclose(file);
    SSL_CTX *ctx = client_context(TLS1_2);
    void *handle = dlopen(host->image, RTLD_NOW | RTLD_LOCAL);
    auto set_password = reinterpret_cast<void (*)(SSL_CTX *, int (*)(char *, int, int, void *))>(
        dlsym(handle, "SSL_CTX_set_default_passwd_cb"));
    set_password(ctx, throwing_password);
    const char *answer = "not caught";
    try {
        L.SSL_CTX_use_certificate_chain_file(ctx, path.c_str());
    } catch (const Thrown &) {
        /* In the same thread: nothing may be left of the loader that never returned. */
        pair_new(&made, TLS1_2);
        answer = then_stapled(host, &made);
    }
    return answer;
}

#ifdef __GLIBC__
std::string fifo;

void *reads_a_fifo(void *ctx)
{
    L.SSL_CTX_use_certificate_chain_file(static_cast<SSL_CTX *>(ctx), fifo.c_str());
    return nullptr;
}

const char *cancelled(const struct host *host)
{
    pair made;
    pthread_t thread;
    void *result = nullptr;
    host_open(host);
    fifo = std::string(host->pki) + "/fifo";
    SSL_CTX *ctx = client_context(TLS1_2);
    if (mkfifo(fifo.c_str(), 0600) != 0
        || pthread_create(&thread, nullptr, reads_a_fifo, ctx) != 0) {
        broken("the FIFO's reader");
    }
    /* Returns when the thread has opened it: then it reads, and there is nothing. */
    int writer = open(fifo.c_str(), O_WRONLY);
    unlink(fifo.c_str());
    pthread_cancel(thread);
    pthread_join(thread, &result);
    close(writer);
    if (result != PTHREAD_CANCELED) {
        return "not cancelled";
    }
    pair_new(&made, TLS1_2);
    return then_stapled(host, &made);
}

#endif

/* What a thread does with a cancellation pending. libssl has no cancellation point in it. */
struct Pending {
    void (*work)(const pair *);
    const pair *made;
    bool worked;
};

void *works_while_pending(void *argument)
{
    Pending *pending = static_cast<Pending *>(argument);
    pthread_cancel(pthread_self());
    pending->work(pending->made);
    pending->worked = true;
    pthread_testcancel();
    return nullptr;
}

const char *with_cancellation_pending(const struct host *host, void (*work)(const pair *))
{
    pair made;
    pthread_t thread;
    void *result = nullptr;
    host_open(host);
    pair_new(&made, TLS1_2);
    Pending pending = {work, &made, false};
    if (pthread_create(&thread, nullptr, works_while_pending, &pending) != 0) {
        broken("pthread_create");
    }
    pthread_join(thread, &result);
    if (!pending.worked || result != PTHREAD_CANCELED) {
        return pending.worked ? "not cancelled" : "cancelled too early";
    }
    return then_stapled(host, &made);
}

const char *the_image;

/* One that is in memory. */
void loads_certificate(const pair *made)
{
    void *handle = dlopen(the_image, RTLD_NOW | RTLD_LOCAL);
    auto find = [handle](const char *name) {
        void *first = dlsym(RTLD_DEFAULT, name);
        return first ? first : dlsym(handle, name);
    };
    auto certificate = reinterpret_cast<void *(*)(const SSL_CTX *)>(
        find("SSL_CTX_get0_certificate"));
    auto use = reinterpret_cast<int (*)(SSL_CTX *, void *)>(find("SSL_CTX_use_certificate"));
    use(made->client, certificate(made->server));
}

void shakes_hands(const pair *made)
{
    pair_staple(made);
}

const char *pending_while_loading(const struct host *host)
{
    return with_cancellation_pending(host, loads_certificate);
}

const char *pending_while_shaking_hands(const struct host *host)
{
    return with_cancellation_pending(host, shakes_hands);
}

} // namespace

int main(int count, char **arguments)
{
    struct host host = host_begin(count, arguments);
    the_image = host.image;
    check_text("an exception from the status callback, TLS 1.2", child_says(from_tls12, &host),
               caught_then_stapled);
    check_text("an exception from the status callback, TLS 1.3", child_says(from_tls13, &host),
               caught_then_stapled);
    check_text("an exception while a certificate is loaded",
               child_says(from_password_callback, &host), caught_then_stapled);
    /* musl's stdio has no cancellation points. */
#ifdef __GLIBC__
    check_text("a thread cancelled while a certificate is loaded",
               child_says(cancelled, &host), caught_then_stapled);
#endif
    check_text("a cancellation that is pending while a certificate is loaded",
               child_says(pending_while_loading, &host), caught_then_stapled);
    check_text("a cancellation that is pending in a handshake",
               child_says(pending_while_shaking_hands, &host), caught_then_stapled);
    peers_unload();
    return 0;
}
