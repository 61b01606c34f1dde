//! `control-fdt-key`: the key that the shipped boot loader trusts.

use fit::key::PublicKey;
use spec::known_keys::KnownKeys;
use spec::plan::TrustedKeyPlan;

use super::{Kind, NoParameters};
use crate::subject::KeyFact;
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

/// What differs between a key and the one of that name that the plan trusts beside the product's own.
fn other_than_planned(key: &KeyFact, planned: &TrustedKeyPlan) -> Option<String> {
    let expected = PublicKey::from_pem(&planned.public).and_then(|key| key.fingerprint());
    if expected.as_ref() == Ok(&key.fingerprint) && key.algorithm == planned.algorithm {
        return None;
    }
    let expected = expected.unwrap_or_else(|e| e.to_string());
    Some(format!(
        "key `{}` has fingerprint {} with `{}`, the plan says {expected} with `{}`",
        key.name, key.fingerprint, key.algorithm, planned.algorithm
    ))
}

impl Kind for ControlFdtKey {
    const NAME: &'static str = "control-fdt-key";
    const DESCRIPTION: &'static str = "the shipped U-Boot carries one control FDT with the product's key and those that the plan trusts beside it, each required for configurations";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let uboot = context.subject.uboot()?;
        let mut problems = Vec::new();
        if uboot.control_fdts != 1 {
            problems.push(format!("{} control FDTs in the binary, expected one", uboot.control_fdts));
        }
        // While a key is replaced, the plan trusts others beside the product's own, and one signature is enough.
        let others = context.plan.map(|plan| plan.signing.also_trusts.as_slice()).unwrap_or_default();
        let planned = |key: &KeyFact| others.iter().find(|other| other.key == key.name);
        if uboot.keys.len() != others.len() + 1 {
            let expected = if others.is_empty() { "one".to_owned() } else { (others.len() + 1).to_string() };
            problems.push(format!("{} keys below `/signature`, expected {expected}", uboot.keys.len()));
        }
        if uboot.required_mode != if others.is_empty() { "all" } else { "any" } {
            problems.push(format!("`required-mode` is `{}`", uboot.required_mode));
        }
        for other in others {
            if uboot.keys.iter().filter(|key| key.name == other.key).count() != 1 {
                problems.push(format!("not exactly one key `{}`, which the plan trusts, too", other.key));
            }
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
            if let Some(other) = planned(key) {
                problems.extend(other_than_planned(key, other));
                continue;
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
        let mut good = uboot
            .keys
            .iter()
            .map(|key| format!("`{}` {} sha256:{}", key.name, key.algorithm, key.fingerprint))
            .collect::<Vec<_>>()
            .join(", ");
        let mut expected = "one control FDT, one key, required = conf".to_owned();
        if !others.is_empty() {
            expected = format!(
                "one control FDT, {} keys, each required = conf, required-mode = any",
                others.len() + 1
            );
            good.push_str("; configurations signed by any one of them start");
        }
        Ok(Conclusion::of(&problems, &expected, good, &uboot.sha256))
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

    /// A boot loader that trusts `next`, too, and a plan that wants that.
    fn rotation(
        change: impl FnOnce(&mut UbootFacts, &mut spec::plan::Plan),
    ) -> Result<crate::Conclusion, crate::Unable> {
        let image = crate::report::sample::image();
        let (mut plan, public) = (crate::report::sample::plan(), include_str!("../../testdata/next.pub.pem"));
        plan.signing.key = image.key_name.clone();
        plan.signing.algorithm = image.algorithm.clone();
        plan.signing.also_trusts = vec![spec::plan::TrustedKeyPlan {
            key: "next".into(),
            algorithm: "sha256,ecdsa256".into(),
            public: public.into(),
        }];
        let key = |name: &str, fingerprint: &str, algorithm: &str, bits| KeyFact {
            name: name.into(),
            fingerprint: fingerprint.into(),
            algorithm: algorithm.into(),
            bits,
            required: Some("conf".into()),
        };
        let next = fit::key::PublicKey::from_pem(public).unwrap().fingerprint().unwrap();
        let mut uboot = UbootFacts {
            sha256: "aa".repeat(32),
            control_fdts: 1,
            keys: vec![
                key(&image.key_name, &image.key_fingerprint, &image.algorithm, 3072),
                key("next", &next, "sha256,ecdsa256", 256),
            ],
            required_mode: "any".into(),
            bytes: vec![],
        };
        change(&mut uboot, &mut plan);
        let mut subject = Subject::empty(SubjectKind::Output, "out");
        subject.uboot = Some(Ok(uboot));
        subject.image = Some(Ok(image));
        run_on("control-fdt-key", json!({}), &subject, Some(&plan))
    }

    #[test]
    fn while_a_key_is_replaced_the_plan_says_which_are_trusted() {
        let said = rotation(|_, _| {}).unwrap();
        assert!(said.seen.contains("`next` sha256,ecdsa256 sha256:"), "{}", said.seen);
        assert!(said.seen.ends_with("configurations signed by any one of them start"), "{}", said.seen);
        passes(rotation(|_, _| {}));
        fails(rotation(|u, _| u.required_mode = "all".into()), "`required-mode` is `all`");
        fails(rotation(|u, _| drop(u.keys.pop())), "1 keys below `/signature`, expected 2");
        fails(rotation(|u, _| u.keys[1].name = "other".into()), "not exactly one key `next`");
        fails(rotation(|u, _| u.keys[0].name = "next".into()), "not exactly one key `next`");
        fails(rotation(|u, _| u.keys[1].fingerprint = "00".repeat(32)), "has fingerprint 0000");
        fails(
            rotation(|u, _| u.keys[1].algorithm = "sha384,ecdsa256".into()),
            "with `sha384,ecdsa256`, the plan says",
        );
        fails(rotation(|u, _| u.keys[1].required = None), "`required` absent");
        // A key that nobody planned is one too many, also with `any`.
        fails(rotation(|_, p| p.signing.also_trusts.clear()), "2 keys below `/signature`, expected one");
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
