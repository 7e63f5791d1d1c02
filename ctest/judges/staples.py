"""A live map with a response for every certificate that a test-suite brings, so that
what the suite serves is stapled.

A response is signed by the certificate's issuer where the suite has its key too; where
not, by a stranger, so that a client that checks finds fault with it.
"""

import datetime
import glob
import hashlib
import os
import re
import subprocess
import time
import warnings

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import ocsp

import sources

# Some of the certificates are meant to be odd.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----\n?")


def pieces(directory):
    """The certificates and private keys that stand in the files of a suite."""
    certificates, keys = {}, {}
    for path in glob.glob(os.path.join(directory, "**"), recursive=True):
        if not os.path.isfile(path) or os.path.getsize(path) > 1 << 20:
            continue
        with open(path, "rb") as file:
            text = file.read()
        for match in BLOCK.finditer(text):
            # What is broken or encrypted, as tests need it too, is passed over.
            try:
                if match[1] == b"CERTIFICATE":
                    certificate = x509.load_pem_x509_certificate(match[0])
                    certificates[der(certificate)] = certificate
                elif match[1].endswith(b"PRIVATE KEY"):
                    key = serialization.load_pem_private_key(match[0], None)
                    keys[public(key.public_key())] = key
            except (ValueError, TypeError, UnsupportedAlgorithm):
                continue
    return list(certificates.values()), keys


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def public(key):
    return key.public_bytes(serialization.Encoding.DER,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def a_stranger(now):
    """The certificate and key of one who may not sign for anybody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a stranger")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now)
    return builder.sign(key, hashes.SHA256()), key


def response(certificate, certificates, keys, stranger, now):
    """A DER response that says good, and whether the issuer signed it."""
    issuers = [each for each in certificates if each.subject == certificate.issuer]
    own = [(each, key) for each in issuers if (key := keys.get(public(each.public_key())))]
    signer, key = own[0] if own else stranger
    issuer = signer if own else issuers[0] if issuers else certificate
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate, issuer=issuer, algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.GOOD, this_update=now - datetime.timedelta(hours=1),
        next_update=now + datetime.timedelta(days=1), revocation_time=None,
        revocation_reason=None).responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER), bool(own)


def publish(directory, store, publisher):
    """Fills the live map of a new store; how many responses are signed by issuers, and
    how many by a stranger."""
    os.makedirs(os.path.join(store, "spool"))
    os.chmod(os.path.join(store, "spool"), 0o1733)
    certificates, keys = pieces(directory)
    now = datetime.datetime.utcnow()
    stranger = a_stranger(now)
    counts = [0, 0]
    until = str(int(time.time()) + 86400)
    path = os.path.join(store, "response.der")
    for certificate in certificates:
        try:
            encoded, own = response(certificate, certificates, keys, stranger, now)
        except (ValueError, UnsupportedAlgorithm):
            continue  # a key of a kind that signs no responses
        with open(path, "wb") as file:
            file.write(encoded)
        key = hashlib.sha256(der(certificate)).hexdigest()
        done = subprocess.run([publisher, store, key, path, until], capture_output=True, text=True)
        if done.returncode != 0:
            raise sources.Unavailable(f"{publisher}: {done.stderr.strip()}")
        counts[0 if own else 1] += 1
    return counts
