/*
 * A handshake by ordinary calls, as compiled programs make them: linked against an image,
 * so that the loader binds each function (and so may bind it to a preloaded one).
 */
#ifndef HOSTS_DIRECT_H
#define HOSTS_DIRECT_H

/*
 * Makes two contexts, shakes hands once and frees everything: "staple" if the client
 * received the driver's staple.der, "none", "other", or what failed.
 */
__attribute__((visibility("default"))) const char *direct_staple(const char *pki);

#endif
