//! `update-keys`: the keys by which a device verifies updates stand in the signed device tree, and are those that U-Boot trusts.
//!
//! Were one missing, the device would refuse every update; were there one more, whoever has it could have the device write a slot
//! that U-Boot then refuses. That the signature covers the tree is `fit-signed`'s to say.

use std::collections::BTreeSet;

use fit::fdt::Tree;
use fit::key::PublicKey;

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct UpdateKeys;

/// Where the device looks for them, in `/chosen` (`templates/update/update.sh.hbs`).
const PROPERTY: &str = "fastness,update-keys";
const END: &str = "-----END PUBLIC KEY-----";

impl Kind for UpdateKeys {
    const NAME: &'static str = "update-keys";
    const DESCRIPTION: &'static str = "the FIT's device tree carries the keys by which updates are verified: exactly those that U-Boot trusts";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let expected = format!("`{PROPERTY}` with the keys of U-Boot's control FDT");
        if let Some(none) = &context.subject.no_fit {
            return Ok(none.conclude(&expected));
        }
        let fit = context.subject.fit()?;
        let trusted: BTreeSet<&str> =
            context.subject.uboot()?.keys.iter().map(|key| key.fingerprint.as_str()).collect();
        let found = keys(&fit.bytes).map_err(Unable::broken)?;
        let mut problems = Vec::new();
        let mut carried = BTreeSet::new();
        for pem in &found {
            match PublicKey::from_pem(pem).and_then(|key| key.fingerprint()) {
                Ok(fingerprint) => carried.insert(fingerprint),
                Err(e) => {
                    problems.push(format!("the device tree carries something that is no key: {e}"));
                    continue;
                }
            };
        }
        if found.is_empty() {
            problems.push(format!("the device tree has no `{PROPERTY}`: every update would be refused"));
        }
        for key in trusted.iter().filter(|key| !carried.contains(**key)) {
            problems.push(format!("the key {key}, which U-Boot trusts, is not among them"));
        }
        for key in carried.iter().filter(|key| !trusted.contains(key.as_str())) {
            problems.push(format!("the key {key} is among them, and U-Boot does not trust it"));
        }
        let seen = carried.into_iter().collect::<Vec<_>>().join(", ");
        Ok(Conclusion::of(&problems, &expected, seen, &fit.sha256))
    }
}

/// The PEM texts that the FIT's device tree carries.
fn keys(fit: &[u8]) -> Result<Vec<String>, String> {
    let tree = Tree::parse(fit).map_err(|e| format!("the FIT: {e}"))?;
    let data = tree.root.at("/images/fdt").and_then(|node| node.get("data"));
    let Some(data) = data else { return Ok(Vec::new()) };
    let fdt = Tree::parse(data).map_err(|e| format!("the FIT's device tree: {e}"))?;
    let text = fdt.root.child("chosen").and_then(|chosen| chosen.text(PROPERTY)).unwrap_or_default();
    Ok(text.split_inclusive(END).map(str::trim).filter(|pem| !pem.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use fit::fdt::{Node, Tree};
    use serde_json::json;

    use super::*;
    use crate::subject::{FitFacts, KeyFact, Subject, UbootFacts};
    use crate::testing::*;

    const OWN: &str = include_str!("../../testdata/product.pub.pem");
    const NEXT: &str = include_str!("../../testdata/next.pub.pem");

    fn check(carried: Option<&str>, trusted: &[&str]) -> Result<Conclusion, Unable> {
        let write = |root| Tree { root, ..Tree::default() }.write().unwrap();
        let mut fdt = Node::new("");
        let chosen = fdt.child_or_new("chosen");
        if let Some(carried) = carried {
            chosen.set_text(PROPERTY, carried);
        }
        let fdt = write(fdt);
        let mut root = Node::new("");
        root.child_or_new("images").child_or_new("fdt").set("data", fdt);
        let mut subject = Subject::of_cmdline("x");
        let fit = subject.fit.take().unwrap().unwrap();
        subject.fit = Some(Ok(FitFacts { bytes: write(root), ..fit }));
        let key = |pem: &&str| KeyFact {
            name: "gw-dev".to_owned(),
            fingerprint: PublicKey::from_pem(pem).unwrap().fingerprint().unwrap(),
            algorithm: "sha256,ecdsa256".to_owned(),
            bits: 256,
            required: Some("conf".to_owned()),
        };
        subject.uboot = Some(Ok(UbootFacts {
            sha256: "aa".repeat(32),
            control_fdts: 1,
            keys: trusted.iter().map(key).collect(),
            required_mode: "all".to_owned(),
            bytes: vec![],
        }));
        run_on("update-keys", json!({}), &subject, None)
    }

    #[test]
    fn pass() {
        let seen = passes(check(Some(OWN), &[OWN]));
        assert_eq!(seen.len(), 64, "{seen}");
        passes(check(Some(&[NEXT, OWN].concat()), &[OWN, NEXT]));
    }

    #[test]
    fn fail() {
        fails(check(None, &[OWN]), "has no `fastness,update-keys`: every update would be refused");
        fails(check(Some(OWN), &[OWN, NEXT]), "which U-Boot trusts, is not among them");
        fails(check(Some(&[NEXT, OWN].concat()), &[OWN]), "is among them, and U-Boot does not trust it");
        fails(check(Some("no key"), &[OWN]), "carries something that is no key");
    }
}
