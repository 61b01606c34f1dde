//! `control-fdt-key`: the key that the shipped boot loader trusts.

use spec::known_keys::KnownKeys;

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct ControlFdtKey;

/// Whether a key is as large as its algorithm says, and large enough.
///
/// NIST SP 800-131A, revision 2, sections 3 and 6: RSA below 2048 bits and curves below 224 bits are disallowed; U-Boot's
/// algorithms have P-256 and P-384.
pub(crate) fn large_enough(bits: usize, algorithm: &str) -> bool {
    match algorithm.rsplit_once(',').map(|(_, key)| key) {
        Some(key) if key == format!("rsa{bits}") => bits >= 2048,
        Some(key) if key == format!("ecdsa{bits}") => bits >= 256,
        _ => false,
    }
}

impl Kind for ControlFdtKey {
    const NAME: &'static str = "control-fdt-key";
    const DESCRIPTION: &'static str = "the shipped U-Boot carries one control FDT with one key, required for configurations, and it is the product's";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let uboot = context.subject.uboot()?;
        let mut problems = Vec::new();
        if uboot.control_fdts != 1 {
            problems.push(format!("{} control FDTs in the binary, expected one", uboot.control_fdts));
        }
        if uboot.keys.len() != 1 {
            problems.push(format!("{} keys below `/signature`, expected one", uboot.keys.len()));
        }
        if uboot.required_mode != "all" {
            problems.push(format!("`required-mode` is `{}`", uboot.required_mode));
        }
        for key in &uboot.keys {
            if key.required.as_deref() != Some("conf") {
                let required = key.required.as_deref().unwrap_or("absent");
                problems.push(format!("key `{}` has `required` {required}, expected `conf`", key.name));
            }
            if !large_enough(key.bits, &key.algorithm) {
                problems.push(format!("key `{}` has {} bits under `{}`", key.name, key.bits, key.algorithm));
            }
            let own = context.plan.and_then(|plan| plan.signing.known_keys.get(&key.fingerprint));
            let source = KnownKeys::built_in().source(&key.fingerprint);
            if let Some(source) = own.map(String::as_str).or(source) {
                problems.push(format!("key `{}` is published: {source}", key.name));
            }
            if let Some(Ok(image)) = &context.subject.image
                && key.fingerprint != image.key_fingerprint
            {
                problems.push(format!(
                    "key `{}` has fingerprint {}, the product's is {}",
                    key.name, key.fingerprint, image.key_fingerprint
                ));
            }
            if let Some(plan) = context.plan
                && (key.algorithm != plan.signing.algorithm || key.name != plan.signing.key)
            {
                problems.push(format!(
                    "key `{}` with `{}`, the plan says `{}` with `{}`",
                    key.name, key.algorithm, plan.signing.key, plan.signing.algorithm
                ));
            }
        }
        let good = uboot
            .keys
            .iter()
            .map(|key| format!("`{}` {} sha256:{}", key.name, key.algorithm, key.fingerprint))
            .collect::<Vec<_>>()
            .join(", ");
        Ok(Conclusion::of(&problems, "one control FDT, one key, required = conf", good, &uboot.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::subject::{KeyFact, Subject, SubjectKind, UbootFacts};
    use crate::testing::*;

    fn check(change: impl FnOnce(&mut UbootFacts)) -> Result<crate::Conclusion, crate::Unable> {
        let image = crate::report::sample::image();
        let mut uboot = UbootFacts {
            sha256: "aa".repeat(32),
            control_fdts: 1,
            keys: vec![KeyFact {
                name: image.key_name.clone(),
                fingerprint: image.key_fingerprint.clone(),
                algorithm: image.algorithm.clone(),
                bits: 3072,
                required: Some("conf".into()),
            }],
            required_mode: "all".into(),
            bytes: vec![],
        };
        change(&mut uboot);
        let mut subject = Subject::empty(SubjectKind::Output, "out");
        subject.uboot = Some(Ok(uboot));
        subject.image = Some(Ok(image));
        run_on("control-fdt-key", json!({}), &subject, None)
    }

    #[test]
    fn pass() {
        passes(check(|_| {}));
    }

    #[test]
    fn a_curve_has_fewer_bits_than_a_modulus_and_is_strong() {
        for (bits, algorithm, strong) in [
            (256, "sha256,ecdsa256", true),
            (384, "sha384,ecdsa384", true),
            (256, "sha256,ecdsa384", false),
            (256, "sha256,rsa256", false),
            (224, "sha256,ecdsa224", false),
            (2048, "sha256,rsa2048", true),
            (1024, "sha256,rsa1024", false),
            (2048, "rsa2048", false),
        ] {
            assert_eq!(super::large_enough(bits, algorithm), strong, "{bits} {algorithm}");
        }
        let ecdsa = |bits: usize| {
            move |u: &mut UbootFacts| {
                u.keys[0].bits = bits;
                u.keys[0].algorithm = "sha256,ecdsa256".into();
            }
        };
        passes(check(ecdsa(256)));
        fails(check(ecdsa(224)), "has 224 bits under `sha256,ecdsa256`");
    }

    #[test]
    fn fail() {
        fails(check(|u| u.keys.clear()), "0 keys below `/signature`");
        fails(check(|u| u.control_fdts = 2), "2 control FDTs");
        fails(check(|u| u.keys[0].required = Some("image".into())), "`required` image, expected `conf`");
        fails(check(|u| u.keys[0].required = None), "`required` absent");
        fails(check(|u| u.required_mode = "any".into()), "`required-mode` is `any`");
        fails(check(|u| u.keys[0].fingerprint = "00".repeat(32)), "the product's is");
        fails(check(|u| u.keys[0].bits = 1024), "has 1024 bits under `sha256,rsa3072`");
        let published = "d7ea6035b786bc3ee6a33d361d4027f6d9e29faa2e8b77aa940ea7d2fb873ef0";
        fails(
            check(|u| u.keys[0].fingerprint = published.into()),
            "is published: U-Boot tools/binman/test/dev.key",
        );
    }
}
