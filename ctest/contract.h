/* The facts of the contract, in groups. Each group prints its own lines. */
#ifndef CTEST_CONTRACT_H
#define CTEST_CONTRACT_H

#include "peers.h"

/* What the calls return and keep, without a handshake. */
void context_facts(void);
/* Of SSLs made before any response was set in the process: to be asked for first. */
void older_ssl_facts(void);
void ssl_facts(void);
void buffer_facts(void);
void bad_argument_facts(void);
void stack_facts(void);

/* What happens in a handshake of one protocol. */
void server_facts(enum protocol protocol);
void client_facts(enum protocol protocol);
void sni_facts(enum protocol protocol);
void resumption_facts(enum protocol protocol);
void repeated_facts(enum protocol protocol);
void chain_facts(enum protocol protocol);

/* Whether this libssl has the functions for several responses (_ex). */
int has_chain_functions(void);

#endif
