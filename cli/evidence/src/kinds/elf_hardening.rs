//! `elf-hardening`: how every program and library of the image was built and linked.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::elf::{self, Property};
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable, glob};

/// See the module.
pub struct ElfHardening;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    require: Vec<Property>,
    #[serde(default)]
    exceptions: BTreeMap<String, Exception>,
}

/// A file (or pattern) that lacks something, and why that is accepted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    missing: Vec<Property>,
    reason: String,
}

impl Kind for ElfHardening {
    const NAME: &'static str = "elf-hardening";
    const DESCRIPTION: &'static str =
        "every ELF file has the required properties, save the listed exceptions";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = Vec::new();
        if with.require.is_empty() {
            problems.push("`require` is empty".to_owned());
        }
        for (path, exception) in &with.exceptions {
            if exception.reason.trim().is_empty() {
                problems.push(format!("the exception for `{path}` has no reason"));
            }
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut problems = Vec::new();
        let mut files = 0usize;
        let mut excepted = 0usize;
        for (path, node) in root.nodes() {
            if !matches!(node.kind, NodeKind::File(4..)) {
                continue;
            }
            let bytes = root.read(path)?.unwrap_or_default();
            if !bytes.starts_with(b"\x7fELF") {
                continue;
            }
            let lacks = match elf::missing(&bytes, &with.require) {
                Ok(Some(lacks)) => lacks,
                // Object files and kernel modules are not programs.
                Ok(None) => continue,
                Err(why) => {
                    problems.push(format!("`{path}`: {why}"));
                    continue;
                }
            };
            files += 1;
            let allowed: Vec<Property> = with
                .exceptions
                .iter()
                .filter(|(pattern, _)| glob::matches(pattern, path))
                .flat_map(|(_, exception)| exception.missing.iter().copied())
                .collect();
            let open: Vec<&str> =
                lacks.iter().filter(|lack| !allowed.contains(lack)).map(|lack| lack.name()).collect();
            if !open.is_empty() {
                problems.push(format!("`{path}` lacks {}", open.join(", ")));
            } else if !lacks.is_empty() {
                excepted += 1;
            }
        }
        if files == 0 && problems.is_empty() {
            return Err(Unable::broken("the root file system holds no ELF file"));
        }
        let names: Vec<&str> = with.require.iter().map(|property| property.name()).collect();
        Ok(Conclusion::of(
            &problems,
            format!("every ELF file: {}", names.join(", ")),
            format!("{files} ELF files, {excepted} with a listed exception"),
            &root.sha256,
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn tree() -> Tree {
        Tree::base().file("/usr/bin/tool", 0o755, program()).file("/usr/bin/script", 0o755, "#!/bin/sh\n")
    }

    #[test]
    fn pass() {
        let with = json!({"require": ["pie", "nx", "no-rpath"]});
        assert_eq!(
            passes(run("elf-hardening", with, tree().root())),
            "1 ELF files, 0 with a listed exception"
        );
        let with = json!({"require": ["canary"], "exceptions": {"/usr/bin/t*": {"missing": ["canary"], "reason": "none of its buffers"}}});
        assert_eq!(
            passes(run("elf-hardening", with, tree().root())),
            "1 ELF files, 1 with a listed exception"
        );
    }

    #[test]
    fn fail() {
        fails(
            run("elf-hardening", json!({"require": ["canary"]}), tree().root()),
            "`/usr/bin/tool` lacks canary",
        );
        let broken = Tree::base().file("/usr/bin/x", 0o755, b"\x7fELF\x02\x01\x01\0broken");
        fails(run("elf-hardening", json!({"require": ["pie"]}), broken.root()), "`/usr/bin/x`: ELF");
    }

    #[test]
    fn no_program_at_all_is_no_pass() {
        cannot(run("elf-hardening", json!({"require": ["pie"]}), Tree::base().root()), "holds no ELF file");
    }
}
