//! Private keys that sign certificates and responses.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use der::asn1::{Any, BitString, ObjectIdentifier};
use der::{Decode, Encode};
use p256::ecdsa::signature::Signer;
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::directory::{Directory, set_mode};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const RSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// Which key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256, signing with SHA-256.
    P256,
    /// RSA of 2048 bits, signing PKCS #1 v1.5 with SHA-256.
    Rsa2048,
}

/// A private key.
#[derive(Clone)]
pub struct Key {
    pem: String,
    public: SubjectPublicKeyInfoOwned,
    signer: KeySigner,
}

/// How the key signs.
#[derive(Clone)]
enum KeySigner {
    P256(p256::ecdsa::SigningKey),
    /// The key's file, for the openssl program: RSA in an unoptimised Rust
    /// build takes seconds. The directory goes when the key goes.
    Rsa(Arc<Directory>),
}

impl Key {
    /// Makes a new key.
    pub fn generate(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 => Self::generate_p256(),
            KeyKind::Rsa2048 => Self::generate_rsa(),
        }
    }

    fn generate_p256() -> Self {
        let secret = p256::SecretKey::random(&mut OsRng);
        let public = secret.public_key().to_public_key_der().expect("encodes");
        Self {
            pem: secret
                .to_pkcs8_pem(LineEnding::LF)
                .expect("encodes")
                .to_string(),
            public: SubjectPublicKeyInfoOwned::from_der(public.as_bytes()).expect("decodes"),
            signer: KeySigner::P256(secret.into()),
        }
    }

    fn generate_rsa() -> Self {
        let pem = openssl(&["genrsa", "2048"], b"");
        let public = openssl(&["pkey", "-pubout", "-outform", "DER"], &pem);
        let directory = Directory::new();
        set_mode(directory.path(), 0o700);
        directory.write("key.pem", &pem);
        Self {
            pem: String::from_utf8(pem).expect("PEM is text"),
            public: SubjectPublicKeyInfoOwned::from_der(&public).expect("decodes"),
            signer: KeySigner::Rsa(Arc::new(directory)),
        }
    }

    /// The private key in PKCS #8, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public key as a certificate carries it.
    pub fn public(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public
    }

    /// SHA-1 of the public key's bits: the key identifier of RFC 5280, 4.2.1.2,
    /// and the KeyHash of RFC 6960, 4.2.1.
    pub fn identifier(&self) -> Vec<u8> {
        use sha1::Digest;
        sha1::Sha1::digest(self.public.subject_public_key.raw_bytes()).to_vec()
    }

    /// The algorithm of the signatures that [`Key::sign`] makes.
    pub fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        match self.signer {
            KeySigner::P256(_) => AlgorithmIdentifierOwned {
                oid: ECDSA_WITH_SHA256,
                parameters: None,
            },
            KeySigner::Rsa(_) => AlgorithmIdentifierOwned {
                oid: RSA_WITH_SHA256,
                parameters: Some(Any::null()),
            },
        }
    }

    /// Signs the DER of `value`.
    pub fn sign(&self, value: &impl Encode) -> BitString {
        let message = value.to_der().expect("encodes");
        let signature = match &self.signer {
            KeySigner::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(&message);
                signature.as_bytes().to_vec()
            }
            KeySigner::Rsa(directory) => {
                let path = directory.join("key.pem");
                let path = path.to_str().expect("the path is UTF-8");
                openssl(&["dgst", "-sha256", "-sign", path], &message)
            }
        };
        BitString::from_bytes(&signature).expect("fits")
    }
}

/// Runs the openssl program with `input` on its standard input and returns its
/// standard output.
pub(crate) fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .env_remove("LD_PRELOAD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run openssl: {e}"));
    // A broken pipe shows as a failed exit below, with the program's own words.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child
        .wait_with_output()
        .expect("the child's output is read");
    assert!(
        output.status.success(),
        "openssl {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
