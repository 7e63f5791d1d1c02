//! Floods: what users leave to hold the agent up holds up nobody else.

use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPrivate, HasPublic, PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Builder, X509Extension, X509NameBuilder};
use staplegun_store::spool::{MAX_FILE, publish};
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec};

use crate::support::{PATIENT, Store, key};

/// Users who flood.
const USERS: [u32; 3] = [65534, 61001, 61002];

fn elliptic() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

/// A certificate for `subject`, issued in the name of "CA", whoever signed it: a CA's,
/// or a server's with a responder.
fn certificate(
    subject: &str,
    public: &PKeyRef<impl HasPublic>,
    signer: &PKeyRef<impl HasPrivate>,
) -> Result<Vec<u8>, ErrorStack> {
    let name = |text: &str| {
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_text("CN", text)?;
        Ok::<_, ErrorStack>(name.build())
    };
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(64, MsbOption::ONE, false)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&*name(subject)?)?;
    builder.set_issuer_name(&*name("CA")?)?;
    builder.set_pubkey(public)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(30)?)?;
    if subject == "CA" {
        builder.append_extension(BasicConstraints::new().ca().build()?)?;
    } else {
        #[allow(deprecated, reason = "no builder makes this extension")]
        let access =
            X509Extension::new_nid(None, None, Nid::INFO_ACCESS, "OCSP;URI:http://127.0.0.1:9/")?;
        builder.append_extension(access)?;
    }
    builder.sign(signer, MessageDigest::sha256())?;
    builder.build().to_der()
}

/// A leaf, then as many authorities of its issuer's name as fit: RSA keys of 3,072
/// bits with exponents as long, so that each takes milliseconds to be ruled out.
fn costly() -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
    let random = || {
        let mut number = BigNum::new()?;
        number.rand(3072, MsbOption::TWO_ONES, true)?;
        Ok::<_, ErrorStack>(number)
    };
    let signer = PKey::from_rsa(Rsa::generate(3072)?)?;
    let quick = elliptic()?;
    let leaf = certificate("flood.example", &*quick, &*signer)?;
    let mut all = leaf.clone();
    loop {
        let (one, other) = (random()?, random()?);
        let (n, e) = if one > other {
            (one, other)
        } else {
            (other, one)
        };
        let public = PKey::from_rsa(Rsa::from_public_components(n, e)?)?;
        let authority = certificate("CA", &*public, &*quick)?;
        if all.len() + authority.len() > MAX_FILE {
            return Ok((leaf, all));
        }
        all.extend(authority);
    }
}

/// Leaves one file, as a program of `uid` would.
fn leave(spool: &Path, uid: u32, leaf: &[u8], bytes: &[u8]) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let key = openssl::sha::sha256(leaf);
    let name = format!(
        "{}.{uid}.{number:016x}",
        staplegun_store::name::of_key(&key)
    );
    // Made elsewhere: the agent throws away what is unfinished and too much.
    let new = spool.with_file_name(format!("new.{number}"));
    std::fs::write(&new, bytes).expect("it can be written");
    chown(&new, Some(uid), Some(uid)).expect("the test runs as root");
    std::fs::rename(&new, spool.join(name)).expect("it can be renamed");
}

/// While three users flood the spool, what a program of root leaves is stapled within
/// two seconds, and the agent ends within one when it is told to.
#[test]
fn a_flood_of_costly_issuers_holds_up_neither_roots_certificate_nor_the_end() {
    let (leaf, bytes) = costly().expect("it is made");
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let of_root = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&of_root, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    let mut agent = store.start(PATIENT);
    let spool = store.layout().spool();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Whatever fails, the flood ends.
        let _end = End(&is_over);
        for uid in USERS {
            for _ in 0..20 {
                leave(&spool, uid, &leaf, &bytes);
            }
            let (spool, leaf, bytes, is_over) = (&spool, &leaf, &bytes, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    leave(spool, uid, leaf, bytes);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        agent.wait_until_logged("flood.example");
        let left = Instant::now();
        publish(&spool, &key(&of_root), &[&of_root.der(), &ca.der()]).expect("published");
        agent.wait_until_served(&of_root, &good);
        let served_after = left.elapsed();
        let told = Instant::now();
        let status = agent.server.stop();
        let ended_after = told.elapsed();
        assert!(status.success());
        assert!(served_after < Duration::from_secs(2), "{served_after:?}");
        assert!(ended_after < Duration::from_secs(1), "{ended_after:?}");
        println!("stapled after {served_after:?}, ended after {ended_after:?}");
    });
    let log = agent.server.stderr();
    let lines = log.lines().filter(|line| line.contains("refused")).count();
    assert!(lines < 300, "{lines} lines");
}

/// Ends a flood.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Files that the operator named may be others' to write.
#[test]
fn named_files_that_take_long_to_verify_hold_up_neither_roots_certificate_nor_the_end() {
    let (_, bytes) = costly().expect("it is made");
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let of_root = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&of_root, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    let named = staplegun_testkit::Directory::new();
    let pem = pem_of(&bytes).expect("certificates");
    for number in 0..40 {
        named.write(&format!("{number}.pem"), &pem);
    }
    store
        .directory
        .write("certificates", format!("{}\n", named.path().display()));
    let mut agent = store.start(PATIENT);
    let spool = store.layout().spool();
    let left = Instant::now();
    publish(&spool, &key(&of_root), &[&of_root.der(), &ca.der()]).expect("published");
    agent.wait_until_served(&of_root, &good);
    let served_after = left.elapsed();
    let told = Instant::now();
    assert!(agent.server.stop().success());
    let ended_after = told.elapsed();
    assert!(served_after < Duration::from_secs(2), "{served_after:?}");
    assert!(ended_after < Duration::from_secs(1), "{ended_after:?}");
}

fn pem_of(ders: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut pem = Vec::new();
    let mut rest = ders;
    while !rest.is_empty() {
        let one = X509::from_der(rest)?;
        rest = &rest[one.to_der()?.len()..];
        pem.extend(one.to_pem()?);
    }
    Ok(pem)
}
