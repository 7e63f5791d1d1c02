//! PEM as the store writes it: certificates and nothing else (RFC 7468, 5). Files
//! of users may hold more, and are left to OpenSSL, which takes a while: its reader
//! decodes each certificate, where only the bytes are wanted.

use openssl::base64;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
const END: &str = "-----END CERTIFICATE-----\n";

/// The certificates (DER) in PEM that holds nothing else, one right after the
/// other; None if it is anything more, or damaged.
pub fn plain(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = std::str::from_utf8(bytes).ok()?;
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        let (body, after) = rest.strip_prefix(BEGIN)?.split_once(END)?;
        let body: String = body.split_terminator('\n').collect();
        certificates.push(base64::decode_block(&body).ok()?);
        rest = after;
    }
    (!certificates.is_empty()).then_some(certificates)
}

/// A certificate (DER) in PEM.
pub fn encode(der: &[u8]) -> Vec<u8> {
    let body = base64::encode_block(der);
    let mut pem = BEGIN.as_bytes().to_vec();
    for line in body.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(END.as_bytes());
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::x509::X509;
    use staplegun_testkit::{Identity, Spec};

    #[test]
    fn it_is_written_as_openssl_writes_it_and_read_back() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        // All lengths of the last line, and of its padding.
        for name in 0..64 {
            let leaf = ca.issue(&Spec::server().common_name(&"x".repeat(name)));
            let pem = encode(&leaf.der());
            assert_eq!(pem, X509::from_der(&leaf.der()).unwrap().to_pem().unwrap());
            let both = [pem, encode(&ca.der())].concat();
            assert_eq!(plain(&both), Some(vec![leaf.der(), ca.der()]));
        }
    }

    #[test]
    fn what_is_more_or_less_than_certificates_is_left_to_openssl() {
        let pem = Identity::self_signed(&Spec::ca("CA")).pem();
        let half = &pem[..pem.len() / 2];
        for other in [
            String::new(),
            format!("subject=CN\n{pem}"),
            format!("{pem}\n"),
            format!("{pem}{}", pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            pem.replace('\n', "\r\n"),
            pem.replacen("MII", "M-I", 1),
            half.to_owned(),
            half.to_owned() + &pem,
        ] {
            assert_eq!(plain(other.as_bytes()), None, "{other}");
        }
    }
}
