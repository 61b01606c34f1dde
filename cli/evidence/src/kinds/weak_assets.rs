//! `weak-assets`: no certificate and no key of the image is weaker than the policy.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::analyze::{KeyFound, Scanner, Unread};
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable, glob};

/// See the module.
pub struct WeakAssets;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Shortest RSA key in bits.
    rsa_bits: u32,
    /// Files whose keys are no assets, such as a library's self-test keys, with the reason.
    #[serde(default)]
    exceptions: BTreeMap<String, String>,
}

impl Kind for WeakAssets {
    const NAME: &'static str = "weak-assets";
    const DESCRIPTION: &'static str = "every certificate and key of the root file system is of RSA with `rsa_bits`, a curve of 256 bits or more or \
                                       Ed25519, and no certificate is signed with SHA-1 or MD5";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = Vec::new();
        if with.rsa_bits < 2048 {
            problems.push(format!("`rsa_bits`: {} is weak: expected 2048 or more", with.rsa_bits));
        }
        let silent = with.exceptions.iter().filter(|(_, reason)| reason.trim().is_empty());
        problems.extend(silent.map(|(path, _)| format!("the exception for `{path}` has no reason")));
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let scanner = Scanner::new().map_err(Unable::broken)?;
        let mut problems = Vec::new();
        let (mut keys, mut left_out) = (0usize, Vec::new());
        for (path, _) in root.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::File(1..))) {
            if with.exceptions.keys().any(|pattern| glob::matches(pattern, path)) {
                left_out.push(format!("`{path}`"));
                continue;
            }
            let scan = scanner.scan(path, &root.read(path)?.unwrap_or_default());
            keys += scan.keys.len();
            for key in &scan.keys {
                problems.extend(weak(key, with.rsa_bits).map(|why| format!("`{path}`: {} {why}", key.kind)));
            }
            if let Some(Unread::Limit(why) | Unread::Broken(why)) = scan.unread {
                problems.push(format!("`{path}` was not looked through: {why}"));
            }
        }
        problems.dedup();
        let left_out = if left_out.is_empty() {
            String::new()
        } else {
            format!(" (left out with a reason: {})", left_out.join(" "))
        };
        Ok(Conclusion::of(
            &problems,
            format!("RSA of {} bits or more, curves of 256 or more, no SHA-1", with.rsa_bits),
            format!("{keys} certificates and keys{left_out}"),
            &root.sha256,
        ))
    }
}

/// What is weak about a key. One that was not understood is not strong.
fn weak(key: &KeyFound, rsa_bits: u32) -> Option<String> {
    if key.weak_signature {
        return Some("is signed with MD5 or SHA-1".to_owned());
    }
    let name = key.algorithm.to_ascii_lowercase();
    let strong = match name.strip_prefix("rsa").and_then(|bits| bits.parse::<u32>().ok()) {
        Some(bits) => bits >= rsa_bits,
        None => {
            // Tokens' keys have their own names (`sk-ssh-ed25519@openssh.com`).
            ["p256", "p384", "p521", "ed25519", "ed448"].contains(&name.as_str())
                || name.starts_with("sk-ssh-ed25519")
                || name.starts_with("sk-ecdsa-sha2-nistp256")
        }
    };
    (!strong).then(|| {
        if name.is_empty() { "is of no algorithm that is known".to_owned() } else { format!("is of {name}") }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::*;

    fn key(algorithm: &str) -> KeyFound {
        KeyFound { kind: "public key".to_owned(), algorithm: algorithm.to_owned(), ..KeyFound::default() }
    }

    #[test]
    fn strong_and_weak_keys() {
        for strong in ["rsa2048", "rsa4096", "p256", "p384", "ed25519", "sk-ssh-ed25519@openssh.com"] {
            assert_eq!(weak(&key(strong), 2048), None, "{strong}");
        }
        assert_eq!(weak(&key("rsa1024"), 2048).unwrap(), "is of rsa1024");
        assert_eq!(weak(&key("dsa"), 2048).unwrap(), "is of dsa");
        assert_eq!(weak(&key("p192"), 2048).unwrap(), "is of p192");
        assert_eq!(weak(&key(""), 2048).unwrap(), "is of no algorithm that is known");
        let signed = KeyFound { weak_signature: true, ..key("rsa4096") };
        assert_eq!(weak(&signed, 2048).unwrap(), "is signed with MD5 or SHA-1");
    }

    #[test]
    fn pass_and_fail() {
        let check = |text: &str| {
            let tree = Tree::base().file("/etc/ssh/authorized_keys.d/a", 0o644, text);
            run("weak-assets", json!({"rsa_bits": 2048}), tree.root())
        };
        let good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID/tQ6IFl8iBdKZyw42EV1f+Q56Abf9tA5EwoGsT/jcl a\n";
        assert_eq!(passes(check(good)), "1 certificates and keys");
        fails(
            check("ssh-dss AAAAB3NzaC1kc3M= a\n"),
            "`/etc/ssh/authorized_keys.d/a`: authorized key is of no algorithm",
        );
    }

    #[test]
    fn parameters() {
        let with = json!({"rsa_bits": 1024, "exceptions": {"/a": ""}});
        let text = (crate::kinds::find("weak-assets").unwrap().validate)(&with).join("; ");
        assert!(text.contains("1024 is weak") && text.contains("`/a` has no reason"), "{text}");
    }
}
