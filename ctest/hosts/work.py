"""The directory of one run of the hosts: what is minted, the stores, the environment."""

import hashlib
import os
import shutil
import subprocess

# Long after every run.
FAR = str(1 << 40)


def run(command):
    subprocess.run(command, check=True)


class Work:
    """The directory of one run: built programs, minted files, live maps."""

    def __init__(self, directory, shim, publish, built=None):
        self.directory, self.shim, self.program = directory, shim, publish
        # Where programs that were built are kept; and what they share, built.
        self.built, self.common = built, []
        self.pki = self.make("pki")
        self.home = self.make("home")
        self.maps = {}

    def copy(self, directory):
        """The same once more, for what runs beside it."""
        shutil.copytree(self.directory, directory, symlinks=True)
        copy = Work(directory, self.shim, self.program, self.built)
        copy.common = self.common
        return copy

    def make(self, name):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        return path

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def environment(self, preload, **more):
        """The caller's, without what could steer the shim or the loader."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("STAPLEGUN_", "LD_", "OPENSSL_", "SSL_CERT_"))}
        if preload:
            kept["LD_PRELOAD"] = self.shim
        return {**kept, "STAPLEGUN_DIR": self.home, "HOSTS_PKI": self.pki, **more}

    def with_spool(self, **more):
        """A store whose agent has done nothing yet."""
        self.make("spooling/spool")
        return {"STAPLEGUN_DIR": self.path("spooling"), **more}

    def mint_with_responder(self):
        """The server's certificate twice more, with the address of a responder."""
        names = os.path.join(self.pki, "with-responder.ext")
        with open(names, "w") as file:
            file.write("subjectAltName=DNS:server.test\nextendedKeyUsage=serverAuth\n"
                       "authorityInfoAccess=OCSP;URI:http://127.0.0.1:9/\n")
        for serial, target in (("0x2001", "with-responder.crt"), ("0x2002", "with-responder-2.crt")):
            path = {name: os.path.join(self.pki, name) for name in (
                "server.csr", "intermediate.crt", "intermediate.key", target)}
            subprocess.run(["openssl", "x509", "-req", "-in", path["server.csr"], "-days", "30",
                            "-CA", path["intermediate.crt"], "-CAkey", path["intermediate.key"],
                            "-set_serial", serial, "-extfile", names, "-out", path[target]],
                           check=True, stderr=subprocess.DEVNULL)
        with open(os.path.join(self.pki, "with-responder.pem"), "w") as chain:
            for part in ("with-responder.crt", "intermediate.crt"):
                with open(os.path.join(self.pki, part)) as certificate:
                    chain.write(certificate.read())

    def mint_for_issuers(self):
        """An RSA certificate, directories by hash, and one that is loaded by a relative path."""
        pki = self.pki
        hashed = self.make("pki/hashed")
        shutil.copy(os.path.join(pki, "intermediate.crt"), hashed)
        shutil.copy(os.path.join(pki, "server.pem"), os.path.join(pki, "beside.pem"))
        for command in (
                ["rehash", "-compat", hashed],
                ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server.test",
                 "-keyout", "rsa.key", "-out", "rsa.csr"],
                ["x509", "-req", "-in", "rsa.csr", "-days", "30", "-CA", "intermediate.crt",
                 "-CAkey", "intermediate.key", "-set_serial", "0x2003", "-extfile",
                 "with-responder.ext", "-out", "rsa.crt"]):
            subprocess.run(["openssl", *command], check=True, capture_output=True, cwd=pki)
        return {"SSL_CERT_FILE": os.path.join(pki, "intermediate.crt"), "SSL_CERT_DIR": hashed}

    def mint_for_null_provider(self):
        """The server's certificate without its chain, and a response by a delegate."""
        path = {name: os.path.join(self.pki, name) for name in (
            "server.crt", "server.key", "intermediate.crt", "intermediate.key", "delegate.csr",
            "delegate.crt", "delegate.key", "delegate.ext", "delegate.der", "valid.index")}
        shutil.copy(path["server.crt"], os.path.join(self.pki, "alone.pem"))
        shutil.copy(path["server.key"], os.path.join(self.pki, "alone.key"))
        with open(path["delegate.ext"], "w") as file:
            file.write("extendedKeyUsage=OCSPSigning\nnoCheck=ignored\n")
        for command in (
                ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", "/CN=Delegate", "-keyout", path["delegate.key"],
                 "-out", path["delegate.csr"]],
                ["x509", "-req", "-in", path["delegate.csr"], "-days", "30",
                 "-CA", path["intermediate.crt"], "-CAkey", path["intermediate.key"],
                 "-set_serial", "0x3001", "-extfile", path["delegate.ext"],
                 "-out", path["delegate.crt"]],
                ["ocsp", "-issuer", path["intermediate.crt"], "-cert", path["server.crt"],
                 "-index", path["valid.index"], "-CA", path["intermediate.crt"],
                 "-rsigner", path["delegate.crt"], "-rkey", path["delegate.key"], "-ndays", "7",
                 "-respout", path["delegate.der"]]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        return f"{os.path.getsize(path['delegate.der'])} bytes"

    def mint_second_alone(self):
        """A second certificate of the intermediate's without its chain, and its response."""
        path = {name: os.path.join(self.pki, name) for name in (
            "server.key", "intermediate.crt", "intermediate.key", "with-responder-2.crt",
            "alone-2.pem", "alone-2.key", "alone-2.index", "alone-2.der")}
        shutil.copy(path["with-responder-2.crt"], path["alone-2.pem"])
        shutil.copy(path["server.key"], path["alone-2.key"])
        with open(path["alone-2.index"], "w") as file:
            file.write("V\t491231235959Z\t\t2002\tunknown\t/CN=server.test\n")
        subprocess.run(["openssl", "ocsp", "-issuer", path["intermediate.crt"],
                        "-cert", path["alone-2.pem"], "-index", path["alone-2.index"],
                        "-CA", path["intermediate.crt"], "-rsigner", path["intermediate.crt"],
                        "-rkey", path["intermediate.key"], "-ndays", "5",
                        "-respout", path["alone-2.der"]], check=True, capture_output=True)
        return f"{os.path.getsize(path['alone-2.der'])} bytes"

    def mint_renewed(self):
        """The server's certificate as it is renewed again and again: the names, and the
        directory of their responses."""
        pki, names = self.pki, [f"renewed-{number}" for number in range(8)]
        responses = self.make("pki/renewed")
        with open(os.path.join(pki, "renewed.index"), "w") as index:
            index.writelines(f"V\t491231235959Z\t\t{0x4000 + number:x}\tunknown\t/CN={name}\n"
                             for number, name in enumerate(names))
        for number, name in enumerate(names):
            for command in (
                    ["x509", "-req", "-in", "server.csr", "-days", "30", "-CA", "intermediate.crt",
                     "-CAkey", "intermediate.key", "-set_serial", hex(0x4000 + number),
                     "-extfile", "server.ext", "-out", f"{name}.pem"],
                    ["ocsp", "-issuer", "intermediate.crt", "-cert", f"{name}.pem", "-index",
                     "renewed.index", "-CA", "intermediate.crt", "-rsigner", "intermediate.crt",
                     "-rkey", "intermediate.key", "-ndays", "5",
                     "-respout", os.path.join(responses, f"{name}.der")]):
                subprocess.run(["openssl", *command], check=True, capture_output=True, cwd=pki)
            with open(os.path.join(pki, f"{name}.pem"), "a") as chain:
                with open(os.path.join(pki, "intermediate.crt")) as issuer:
                    chain.write(issuer.read())
            shutil.copy(os.path.join(pki, "server.key"), os.path.join(pki, f"{name}.key"))
        return names, responses

    def with_map_and_spool(self, name, **more):
        """A store whose live map has a response for another certificate, and its spool."""
        store = self.make(name)
        self.make(f"{name}/spool")
        self.publish(store)
        return {"STAPLEGUN_DIR": store, **more}

    def from_file(self, **more):
        return {"STAPLEGUN_RESPONSE": os.path.join(self.pki, "staple.der"), **more}

    def outside(self, name):
        """The response "staple" in a directory that a change of the root to the PKI's leaves
        out of reach: the file, or without a name the directory."""
        directory = self.make("outside")
        shutil.copy(os.path.join(self.pki, "staple.der"), directory)
        return {"STAPLEGUN_RESPONSE": os.path.join(directory, name).rstrip("/")}

    def publish(self, store, *size, name="server", response="second"):
        """Puts "second" into the store's live map, for the server's certificate."""
        pem = os.path.join(self.pki, f"{name}.crt")
        der = subprocess.run(["openssl", "x509", "-in", pem, "-outform", "DER"],
                             check=True, stdout=subprocess.PIPE).stdout
        run([self.program, store, hashlib.sha256(der).hexdigest(),
                    os.path.join(self.pki, f"{response}.der"), FAR, *size])

    def with_chain(self, whole=False):
        """A store whose live map has responses for the server and the intermediate, and for
        "deep", between whom and the intermediate is "below", for which it has one if it is to
        be the whole chain."""
        store = self.make("whole-chain" if whole else "chain-with-gap")
        if "chain" not in self.maps:
            self.maps["chain"] = store
            self.mint_deep()
        self.publish(store)
        self.publish(store, name="intermediate", response="intermediate")
        self.publish(store, name="deep", response="deep")
        if whole:
            self.publish(store, name="below", response="below")
        return {"STAPLEGUN_DIR": store}

    def mint_deep(self):
        """The server "deep", whose issuer "below" is the intermediate's, and a response for each."""
        with open(os.path.join(self.pki, "deep.index"), "w") as index:
            index.write("V\t491231235959Z\t\t5001\tunknown\t/CN=below.test\n"
                        "V\t491231235959Z\t\t5002\tunknown\t/CN=deep.test\n")
        for name, issuer, serial, extensions in (
                ("below", "intermediate", "0x5001", "intermediate.ext"),
                ("deep", "below", "0x5002", "server.ext")):
            for command in (
                    ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-subj", f"/CN={name}.test", "-keyout", f"{name}.key", "-out", f"{name}.csr"],
                    ["x509", "-req", "-in", f"{name}.csr", "-days", "30", "-CA", f"{issuer}.crt",
                     "-CAkey", f"{issuer}.key", "-set_serial", serial, "-extfile", extensions,
                     "-out", f"{name}.crt"]):
                subprocess.run(["openssl", *command], check=True, capture_output=True,
                               cwd=self.pki)
            subprocess.run(["openssl", "ocsp", "-issuer", f"{issuer}.crt", "-cert", f"{name}.crt",
                            "-index", "deep.index", "-CA", f"{issuer}.crt", "-rsigner",
                            f"{issuer}.crt", "-rkey", f"{issuer}.key", "-ndays", "5",
                            "-respout", f"{name}.der"],
                           check=True, capture_output=True, cwd=self.pki)
        with open(os.path.join(self.pki, "deep.pem"), "w") as chain:
            for part in ("deep", "below", "intermediate"):
                with open(os.path.join(self.pki, f"{part}.crt")) as certificate:
                    chain.write(certificate.read())

    def from_map(self, size=None):
        """A store whose live map holds "second" for the server's certificate."""
        if size not in self.maps:
            # Not below a directory that only root may enter: some hosts become others.
            self.maps[size] = self.make(f"map{size or ''}")
            self.publish(self.maps[size], *([str(size)] if size else []))
        return {"STAPLEGUN_DIR": self.maps[size]}
