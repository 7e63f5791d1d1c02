//! What came along with a certificate: its issuer and those above it, whose intermediates may be
//! looked after, too.

use std::collections::HashSet;

use staplegun_store::Key;
use staplegun_store::files::Files;

use super::roster::Source;
use super::stored;
use crate::fetch::Subject;

/// How many intermediates of a chain are looked at, at most.
pub const HIGHEST: usize = 8;

/// What came along with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The certificate's issuer, then the others, in DER.
    certificates: Vec<Vec<u8>>,
    /// The user who left it, if that was not root or the agent's own.
    left_by: Option<u32>,
}

impl Chain {
    /// The chain of a certificate that `source` left or named. None where its issuer is not
    /// known, or is a root.
    pub fn of(subject: &Subject, source: Source) -> Option<Self> {
        let issuer = &subject.issuer()?.by.facts;
        let mut ders = subject.ders().into_iter().skip(1).map(<[u8]>::to_vec);
        (!issuer.is_self_issued()).then(|| Self {
            certificates: ders.by_ref().collect(),
            left_by: source.user(),
        })
    }

    /// To whom its intermediates are counted.
    pub fn source(&self) -> Source {
        self.left_by.map_or(Source::Trusted, Source::User)
    }

    /// The issuer of the certificate that it came with.
    pub fn lowest(&self) -> Option<Vec<u8>> {
        self.certificates.first().cloned()
    }

    /// One of its certificates, or one that issued such, with the others.
    pub fn subject(&self, der: Vec<u8>) -> Option<Subject> {
        let others = self.certificates.iter().filter(|other| **other != der);
        let others: Vec<Vec<u8>> = others.cloned().collect();
        Subject::unexamined([vec![der], others].concat()).ok()
    }
}

/// The chains of the certificates that the store has, read one by one.
#[derive(Debug)]
pub struct Stored {
    files: Files,
    left: std::vec::IntoIter<(Key, Source)>,
    seen: HashSet<Chain>,
}

impl Stored {
    /// Those of these certificates, each with who is answerable for it.
    pub fn new(files: Files, certificates: Vec<(Key, Source)>) -> Self {
        Self {
            files,
            left: certificates.into_iter(),
            seen: HashSet::new(),
        }
    }
}

impl Iterator for Stored {
    /// None: there is none in that file that was not there before.
    type Item = Option<Chain>;

    fn next(&mut self) -> Option<Option<Chain>> {
        let (key, source) = self.left.next()?;
        let pem = stored::or_warn(self.files.certificates.read(&key));
        let subject = pem.and_then(|pem| Subject::unexamined_from_bytes(&pem).ok());
        let chain = subject.map(|subject| Chain {
            // Written with the issuer first.
            certificates: subject
                .ders()
                .iter()
                .skip(1)
                .map(|der| der.to_vec())
                .collect(),
            left_by: source.user(),
        });
        Some(chain.filter(|chain| self.seen.insert(chain.clone())))
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;
    use crate::fetch::Issuers;

    #[test]
    fn the_stores_chains_come_once_each_and_a_users_stay_a_users() {
        let directory = Directory::new();
        let files = Files::open(directory.path()).expect("it is ours");
        let root = Identity::self_signed(&Spec::ca("Root"));
        let issuer = root.issue(&Spec::ca("Issuer"));
        let store = |source| {
            let ders = vec![issuer.issue(&Spec::server()).der(), issuer.der()];
            let leaf = Subject::new(ders, &Issuers::default()).expect("a certificate");
            let path = files.certificates.path_of(&leaf.key());
            std::fs::write(path, leaf.to_pem()).expect("it is ours");
            (leaf.key(), source)
        };
        let user = Source::User(1_001);
        let all = [user, user, Source::Store, Source::Trusted].map(store);
        let chains = Stored::new(Files::new(directory.path()), all.to_vec());
        let sources: Vec<_> = chains.map(|chain| chain.map(|it| it.source())).collect();
        let once = [Some(user), None, Some(Source::Trusted), None];
        assert_eq!(sources, once);
    }
}
