#!/usr/bin/env python3
"""Gets the OCSP response that a server staples, through ctypes.

    staple.py LIBRARY HOST PORT [RESPONSE.der]

LIBRARY is libstaplegun.so. OpenSSL has the status_request family as C macros only, which
ctypes cannot call; LIBRARY has real functions of these names. They take the SSL_CTX and
SSL of any libssl in the process; here it is the system's.

The response is written to RESPONSE.der as it came. Nothing is verified: neither the
server's certificate nor the response. Exit status: 0 if there was a response, 1 if there
was none, 2 if the server could not be asked.
"""

import ctypes
import ctypes.util
import ipaddress
import socket
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_ubyte, c_void_p

TLSEXT_STATUSTYPE_ocsp = 1
SSL_CTRL_SET_TLSEXT_HOSTNAME = 55
# Seconds that the server may be silent.
PATIENCE = 10

# A client's callback says whether it accepts: above 0 yes, 0 no, below 0 error.
STATUS_CALLBACK = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)


def declare(library, name, result, *arguments):
    """A function with its types: ctypes would cut pointers to int."""
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


class Family:
    """The functions of the family that a client needs, from LIBRARY."""

    def __init__(self, path):
        library = ctypes.CDLL(path)
        self.version = declare(library, "staplegun_version", c_char_p)
        self.set_callback = declare(
            library, "SSL_CTX_set_tlsext_status_cb", c_long, c_void_p, STATUS_CALLBACK)
        self.set_type = declare(
            library, "SSL_set_tlsext_status_type", c_long, c_void_p, c_int)
        self.get_response = declare(
            library, "SSL_get_tlsext_status_ocsp_resp", c_long, c_void_p,
            POINTER(POINTER(c_ubyte)))


class OpenSSL:
    """What is needed of libssl itself."""

    def __init__(self):
        name = ctypes.util.find_library("ssl")
        if name is None:
            raise OSError("there is no libssl on this system")
        library = ctypes.CDLL(name)
        self.method = declare(library, "TLS_client_method", c_void_p)
        self.ctx_new = declare(library, "SSL_CTX_new", c_void_p, c_void_p)
        self.ctx_free = declare(library, "SSL_CTX_free", None, c_void_p)
        self.new = declare(library, "SSL_new", c_void_p, c_void_p)
        self.free = declare(library, "SSL_free", None, c_void_p)
        self.ctrl = declare(library, "SSL_ctrl", c_long, c_void_p, c_int, c_long, c_char_p)
        self.set_fd = declare(library, "SSL_set_fd", c_int, c_void_p, c_int)
        self.connect = declare(library, "SSL_connect", c_int, c_void_p)
        self.get_version = declare(library, "SSL_get_version", c_char_p, c_void_p)


def is_address(host):
    """Whether the host is an IP address, which may not be sent as a server name."""
    try:
        ipaddress.ip_address(host)
        return True
    except ValueError:
        return False


def staple_of(family, openssl, connection, host):
    """The protocol's name and the response of one handshake, None if there was none."""
    seen = []

    @STATUS_CALLBACK
    def accept(ssl, _argument):
        place = POINTER(c_ubyte)()
        length = family.get_response(ssl, byref(place))
        # The bytes stay libssl's: they are copied.
        seen.append(bytes(place[:length]) if length >= 0 else None)
        return 1

    ctx = openssl.ctx_new(openssl.method())
    if not ctx:
        raise OSError("SSL_CTX_new failed")
    # `accept` must live as long as the context may call it.
    ssl = None
    try:
        ssl = openssl.new(ctx)
        if (not ssl
                or family.set_callback(ctx, accept) != 1
                or family.set_type(ssl, TLSEXT_STATUSTYPE_ocsp) != 1
                or not is_address(host) and openssl.ctrl(
                    ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, host.encode()) != 1
                or openssl.set_fd(ssl, connection.fileno()) != 1):
            raise OSError("the connection cannot be prepared")
        if openssl.connect(ssl) != 1:
            raise OSError("the TLS handshake failed")
        return openssl.get_version(ssl).decode(), seen[-1] if seen else None
    finally:
        openssl.free(ssl)
        openssl.ctx_free(ctx)


def main():
    if len(sys.argv) not in (4, 5):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    path, host, port = sys.argv[1:4]
    try:
        family, openssl = Family(path), OpenSSL()
        with socket.create_connection((host, port), PATIENCE) as connection:
            # libssl waits by itself, for as long as the kernel lets it.
            connection.setblocking(True)
            timeout = PATIENCE.to_bytes(8, sys.byteorder) + bytes(8)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            protocol, response = staple_of(family, openssl, connection, host)
        if response is not None and len(sys.argv) == 5:
            with open(sys.argv[4], "wb") as out:
                out.write(response)
    except (OSError, AttributeError) as why:
        print(f"staple.py: {host}:{port}: {why}", file=sys.stderr)
        return 2
    stapled = "no response" if response is None else f"a response of {len(response)} bytes"
    print(f"staplegun {family.version().decode()}, {protocol}: {stapled}")
    return 0 if response is not None else 1


if __name__ == "__main__":
    sys.exit(main())
