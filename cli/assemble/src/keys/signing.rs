//! Keys of the boot chain, opened.

use ::record::KeyMark;
use diag::{ExitStatus, Failure, Outcome};
use fit::sign::Signer;
use spec::known_keys::KnownKeys;
use spec::plan::SigningPlan;

use super::record::KeyRecord;

/// An opened key: RSA, or ECDSA. The private part is wiped from memory when it is dropped.
pub struct SigningKey {
    /// Its public facts.
    pub record: KeyRecord,
    pub(crate) key: fit::key::PublicKey,
    pub(crate) signer: Box<dyn Signer + Send + Sync>,
}

/// The public part of such a key: all that verifying needs.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// Its public facts.
    pub record: KeyRecord,
    /// The key.
    pub key: fit::key::PublicKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("record", &self.record).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// What signs with it.
    #[must_use]
    pub fn signer(&self) -> &dyn Signer {
        &*self.signer
    }

    /// Its public part.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { record: self.record.clone(), key: self.key.clone() }
    }
}

impl KeyRecord {
    /// Where its private half is published, when it is one of `standards/known-keys.yaml`.
    #[must_use]
    pub fn published_at(&self) -> Option<&'static str> {
        KnownKeys::built_in().source(&self.fingerprint)
    }

    /// The refusal of a key whose private half is published there.
    #[must_use]
    pub fn published(&self, source: &str) -> Failure {
        let message = format!(
            "the key `{}` is published: {source}. Anybody can sign with it (sha256 {})",
            self.name, self.fingerprint
        );
        Failure::error(ExitStatus::Keys, "published-key", message)
            .hint("make a key of your own with `fastness keys new NAME`; devices that trust the published one need the new key in their boot loader (docs/keys.md)")
    }

    /// Whether the plan may be signed with this key.
    ///
    /// # Errors
    /// `development-key` when a release is to be signed with a development key; `published-key` when it is to be
    /// signed with one whose private half anybody can download; `wrong-key` when the plan
    /// names another key, or an algorithm for another size.
    pub fn fits(&self, plan: &SigningPlan) -> Outcome<()> {
        if plan.release && self.mark == KeyMark::Development {
            return Err(Failure::error(
                ExitStatus::Keys,
                "development-key",
                format!("the key `{}` was made for development, and this is a release", self.name),
            )
            .hint("make a key with `fastness keys new NAME --release` and name it in `signing.key`"));
        }
        let own = plan.known_keys.get(&self.fingerprint).map(String::as_str);
        if plan.release
            && let Some(source) = own.or_else(|| self.published_at())
        {
            return Err(self.published(source));
        }
        let wanted = plan.algorithm.rsplit(',').next().unwrap_or_default();
        let found = self.kind_name();
        if wanted != found {
            return Err(Failure::error(
                ExitStatus::Keys,
                "wrong-key",
                format!("expected a key for `{}`, found `{}`, which is {found}", plan.algorithm, self.name),
            )
            .hint("change `signing.algorithm`, or make such a key with `fastness keys new`"));
        }
        if plan.key != self.name {
            return Err(Failure::error(
                ExitStatus::Keys,
                "wrong-key",
                format!("expected the key `{}`, found `{}`", plan.key, self.name),
            )
            .hint("the product names its key in `signing.key`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyKind;

    fn record() -> KeyRecord {
        KeyRecord {
            schema_version: 1,
            name: "gw-dev".into(),
            kind: KeyKind::Rsa,
            bits: 3072,
            mark: KeyMark::Development,
            created: 0,
            fingerprint: String::new(),
            place: None,
            not_after: None,
        }
    }

    fn plan() -> SigningPlan {
        SigningPlan {
            algorithm: "sha256,rsa3072".into(),
            padding: "pss".into(),
            key: "gw-dev".into(),
            release: false,
            rollback_version: None,
            also_trusts: Vec::new(),
            known_keys: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_development_key_signs_development_only() {
        record().fits(&plan()).unwrap();
        let failure = record().fits(&SigningPlan { release: true, ..plan() }).unwrap_err();
        assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Keys, "development-key"));
        assert!(failure.to_string().contains("`gw-dev` was made for development"), "{failure}");
        let release = KeyRecord { mark: KeyMark::Release, ..record() };
        release.fits(&SigningPlan { release: true, ..plan() }).unwrap();
    }

    #[test]
    fn a_published_key_signs_no_release() {
        let release = SigningPlan { release: true, ..plan() };
        // `openssl pkey -pubout -outform DER | sha256sum` of U-Boot's board/broadcom/bcmns3/fit/keys/dev.key.
        let sample = KeyRecord {
            mark: KeyMark::Release,
            fingerprint: "5f7c50e793c142244a545bdd455f14aa2a4df44eabdceef21b53e97825786dcd".into(),
            ..record()
        };
        sample.fits(&plan()).unwrap();
        let failure = sample.fits(&release).unwrap_err();
        assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Keys, "published-key"));
        let text = failure.to_string();
        assert!(text.contains("the key `gw-dev` is published: U-Boot board/broadcom/bcmns3"), "{text}");
        let ours = KeyRecord { fingerprint: "01".repeat(32), ..sample };
        ours.fits(&release).unwrap();
        let known = [(ours.fingerprint.clone(), "our old sample".to_owned())].into();
        let text = ours.fits(&SigningPlan { known_keys: known, ..release }).unwrap_err().to_string();
        assert!(text.contains("`gw-dev` is published: our old sample"), "{text}");
    }

    #[test]
    fn a_key_of_ecdsa_is_none_of_rsa() {
        let ecdsa = KeyRecord { kind: KeyKind::Ecdsa, bits: 256, ..record() };
        ecdsa.fits(&SigningPlan { algorithm: "sha256,ecdsa256".into(), ..plan() }).unwrap();
        let text = ecdsa.fits(&plan()).unwrap_err().to_string();
        assert!(
            text.contains("expected a key for `sha256,rsa3072`, found `gw-dev`, which is ecdsa256"),
            "{text}"
        );
    }

    #[test]
    fn size_and_name_must_be_the_plans() {
        let text = record()
            .fits(&SigningPlan { algorithm: "sha512,rsa4096".into(), ..plan() })
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("expected a key for `sha512,rsa4096`, found `gw-dev`, which is rsa3072"),
            "{text}"
        );
        let text = record().fits(&SigningPlan { key: "gw".into(), ..plan() }).unwrap_err().to_string();
        assert!(text.contains("expected the key `gw`, found `gw-dev`"), "{text}");
    }
}
