/*
 * A client and a server in one process, over a pair of memory BIOs, and a status
 * callback that does what a script says and notes what it saw.
 */
#ifndef CTEST_PEERS_H
#define CTEST_PEERS_H

#include "libssl.h"

/* The return values of a server's status callback. */
enum { ANSWER_OK = 0, ANSWER_WARNING = 1, ANSWER_FATAL = 2, ANSWER_NOACK = 3 };

enum { TYPE_NONE = -1, TYPE_OCSP = 1 };

enum protocol { TLS1_2, TLS1_3, DTLS1_2 };

/* Bytes from a file; name is what a fact calls them. */
struct blob {
    const char *name;
    unsigned char *bytes;
    int length;
};

/* The responses that the driver minted. */
enum response {
    STAPLE,
    SECOND,
    OTHER,
    INTERMEDIATE,
    TRY_LATER,
    JUNK,
    REVOKED,
    UNKNOWN,
    EXPIRED,
    CORRUPT,
    FOREIGN,
    UNAUTHORIZED,
    INTERMEDIATE_REVOKED,
    MUST_STAPLE,
    UNTRUSTED,
    DELEGATED,
    UNFIT,
    RESPONSES
};
extern struct blob responses[RESPONSES];

/* What a status callback does, and what it saw. It is the callback's argument. */
struct script {
    int answer;
    void (*act)(SSL *ssl, struct script *script);
    const struct blob *set;    /* for act */
    int calls;
    long type;                 /* the status type that the SSL reports inside */
    long length;               /* what get_response returned on entry */
    unsigned char *response;   /* what it stored on entry */
    unsigned char *mine;       /* what act handed over last */
    char saw[32];              /* the response on entry, in words */
    char note[32];             /* what act has to say */
    const char *by;            /* which of the two callbacks ran last */
};

/* Two callbacks that do the same, so that one can be told from the other. */
int scripted_callback(SSL *ssl, void *script);
int another_callback(SSL *ssl, void *script);

/* act: hands over a copy of script->set. */
void act_set(SSL *ssl, struct script *script);

/*
 * Whether a getter gave a certain pointer: "same", "different" or "NULL". From 3.6 a
 * libssl alone frees the buffer of the get before, so that an address says nothing: "-".
 */
const char *compare_pointers(const unsigned char *got, const unsigned char *expected);

/* A copy of a blob in memory that libssl may take over. */
unsigned char *copy_of(const struct blob *blob);

/* The response that an SSL holds, in words: a blob's name, "none", or what is odd. */
void describe_response(SSL *ssl, char *text, size_t size);

/* Reads what the driver minted from its directory, and frees it. */
void peers_load(const char *directory);
void peers_unload(void);

/* Whether this libssl speaks a protocol. */
int speaks(enum protocol protocol);

/* The name facts use for a protocol. */
const char *protocol_name(enum protocol protocol);

/* Contexts. The server's presents "server", "other", "must-staple" or "untrusted". */
SSL_CTX *client_context(enum protocol protocol);
/* One that has nothing: no certificate, and nothing to verify with. */
SSL_CTX *new_context(enum protocol protocol);
SSL_CTX *server_context(enum protocol protocol, const char *certificate);

/* Adds one of the SSL_OP_ options. */
void add_option(SSL_CTX *ctx, uint64_t option);

/* A client and a server, connected. */
struct peers {
    SSL *client, *server;
    /* The last alert received, -1 if none. */
    int client_alert, server_alert;
    /* The first entry of the error queue when the client's handshake failed, else 0. */
    unsigned long client_error;
};

void peers_new(struct peers *peers, SSL_CTX *client, SSL_CTX *server);
void peers_free(struct peers *peers);

/* Lays new BIOs between them, after SSL_clear. */
void peers_connect(struct peers *peers);

/*
 * Runs the handshake: "done" if both sides completed it, "failed", or "stalled" if both
 * wait for the other.
 */
const char *peers_handshake(struct peers *peers);

/* Lets both sides read what is under way: tickets, a renegotiation. */
void peers_read(struct peers *peers);

/* Whether the client's session was resumed. */
int resumed(const SSL *ssl);

#endif
