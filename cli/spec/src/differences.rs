//! `standards/image-differences.yaml` and files like it: differences between two images' facts that
//! are accepted, each with its reason. Comparing is `evidence`'s; here is only the file's form.

use std::sync::Arc;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};

use crate::decode::{Spanned, choice, model};
use crate::library::read_model;
use crate::source::Source;
use crate::types::{AbsPath, Reason, Text};

choice! {
    /// What facts are about.
    pub enum FactArea {
        /// Users, groups and whether they can log in.
        Accounts = "accounts",
        /// setuid and setgid files, and file capabilities.
        Privileged = "privileged",
        /// Modes of sensitive files, and what everybody may write.
        Modes = "modes",
        /// What does not belong to root.
        Owners = "owners",
        /// What is started: units, or inittab and start scripts.
        Units = "units",
        /// What confines each started service.
        Services = "services",
        /// Addresses and ports that configuration opens.
        Listening = "listening",
        /// sshd's effective settings.
        Sshd = "sshd",
        /// Kernel settings that are made at start.
        Sysctl = "sysctl",
        /// The ruleset, as nft gives it back.
        Firewall = "firewall",
        /// The rules of the audit.
        Audit = "audit",
        /// Mounts and their options.
        Mounts = "mounts",
        /// Other files that decide about security, and trust anchors, by digest.
        Policy = "policy",
        /// Hardening of each program and library.
        Elf = "elf",
        /// The kernel's configuration.
        Kernel = "kernel",
        /// The signed command line.
        Cmdline = "cmdline",
        /// Parameters of the verified root.
        Verity = "verity",
        /// Keys that the boot loader trusts, and the signature.
        Signature = "signature",
        /// U-Boot's configuration.
        Uboot = "uboot",
    }
}

model! {
    /// Two names of one folder.
    pub struct SameFolder {
        /// The folder in one image.
        folder: Spanned<AbsPath>,
        /// What stands for it in the other.
        is: AbsPath,
        /// Why they mean the same.
        reason: Reason,
    }
}

choice! {
    /// Which image has which of two values.
    pub enum Sides {
        /// The first image the first: what explains a gain does not explain the loss.
        InOrder = "in-order",
        /// Either: only where neither value is weaker.
        Either = "either",
    }
}

model! {
    /// A difference that is accepted.
    pub struct ExplainedFact {
        /// The area.
        area: Spanned<FactArea>,
        /// The fact's name; `*` stands for any text.
        fact: Text,
        /// The values in the first and in the second image; `absent` where an image does not have the fact, `*`
        /// for any text. None: any two values, but not that one image lacks the fact.
        values: Vec<Text> = Vec::new(),
        /// Which image has which of the values; without it the first image has the first.
        sides: Option<Sides> = None,
        /// Why it is no loss of security.
        reason: Reason,
    }
}

model! {
    /// Differences between two images that are accepted.
    pub struct ImageDifferences {
        /// Folders with two names.
        folders: Vec<SameFolder> = Vec::new(),
        /// Facts that may differ.
        facts: Vec<ExplainedFact> = Vec::new(),
    }
}

/// Reads such a file.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn read(source: &Arc<Source>) -> Outcome<ImageDifferences> {
    let mut diagnostics = Vec::new();
    let model = read_model::<ImageDifferences>(source, &mut diagnostics);
    for fact in model.iter().flat_map(|model| &model.facts) {
        if !matches!(fact.values.len(), 0 | 2) {
            let message = format!(
                "expected two `values`, of the first and of the second image, or none, found {} for `{}`",
                fact.values.len(),
                fact.fact.as_str()
            );
            let hint = "a fact that one image does not have has the value `absent` there";
            diagnostics
                .push(Diagnostic::error("wrong-values", message).at(fact.area.at.location()).hint(hint));
        }
        if fact.sides.is_some() && fact.values.is_empty() {
            let message = format!("`sides` of `{}` goes with two `values`", fact.fact.as_str());
            diagnostics.push(
                Diagnostic::error("wrong-values", message)
                    .at(fact.area.at.location())
                    .hint("without `values` any two are meant already; leave `sides` out"),
            );
        }
    }
    match model {
        Some(model) if diagnostics.is_empty() => Ok(model),
        _ => Err(Failure { status: ExitStatus::Input, diagnostics }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        read(&Source::new("d.yaml", "d.yaml", text.to_owned())).err().unwrap().to_string()
    }

    #[test]
    fn a_file_is_read_with_its_places() {
        let text = "folders:\n  - {folder: /usr/lib/a-b, is: /usr/lib, reason: multiarch}\nfacts:\n  - {area: elf, fact: \"*\", values: [absent, \"library: *\"], reason: more}\n";
        let read = read(&Source::new("d.yaml", "d.yaml", text.to_owned())).unwrap();
        assert_eq!(read.folders[0].folder.as_str(), "/usr/lib/a-b");
        assert_eq!((read.facts[0].area.value, read.facts[0].area.at.location().line), (FactArea::Elf, 4));
    }

    #[test]
    fn what_is_wrong_is_said_with_a_hint() {
        let why = message("facts: [{area: elv, fact: x, reason: y}]\n");
        assert!(why.contains("found `elv`") && why.contains("did you mean `elf`?"), "{why}");
        let why = message("facts: [{area: elf, fact: x, values: [a], reason: y}]\n");
        assert!(
            why.contains("expected two `values`, of the first") && why.contains("found 1 for `x`"),
            "{why}"
        );
        let why = message("facts: [{area: elf, fact: x, sides: either, reason: y}]\n");
        assert!(why.contains("`sides` of `x` goes with two `values`"), "{why}");
        let why = message("facts: [{area: elf, fact: x}]\n");
        assert!(why.contains("`reason`"), "{why}");
    }
}
