//! `standards/algorithms.yaml`: which algorithms a tunnel may use, and why it may not use the others.

use diag::{Diagnostic, Outcome};

use crate::decode::{choice, model, suggestion};
use crate::library::{Area, Library, read_model};
use crate::source::At;
use crate::types::{Name, Reason, Text, Word};

/// The file of `standards/`.
const FILE: &str = "algorithms.yaml";

model! {
    /// The table of algorithms.
    pub struct Algorithms {
        /// Keywords of strongSwan.
        strongswan: Vec<Row>,
        /// Ciphers of OpenVPN.
        openvpn: Vec<Row>,
    }
}

model! {
    /// One algorithm.
    pub struct Row {
        /// As the program spells it.
        name: Text,
        /// What it is for.
        r#use: Purpose,
        /// Whether it may be used.
        status: Status,
        /// Builds that have it, though others lack it: with `absent` only.
        built: Vec<BuiltBy> = Vec::new(),
        /// Why.
        reason: Reason,
        /// Where this is written.
        reference: Text,
    }
}

model! {
    /// A backend whose program has an algorithm that others lack.
    pub struct BuiltBy {
        /// The backend.
        backend: Name,
        /// Its series (Debian: suites) that have it.
        series: Vec<Word>,
    }
}

/// What builds the programs of a product.
pub struct Build {
    /// The backend.
    pub backend: String,
    /// Its series, or Debian's suite.
    pub series: String,
}

impl Row {
    fn is_good(&self, build: &Build) -> bool {
        let ours = |by: &BuiltBy| {
            by.backend.as_str() == build.backend && by.series.iter().any(|one| one.as_str() == build.series)
        };
        self.status == Status::Good || (self.status == Status::Absent && self.built.iter().any(ours))
    }
}

choice! {
    /// What an algorithm is for.
    pub enum Purpose {
        /// Encryption.
        Encryption = "encryption",
        /// Integrity beside an encryption that has none.
        Integrity = "integrity",
        /// Pseudo-random function.
        Prf = "prf",
        /// Exchange of keys.
        Group = "group",
        /// Additional exchange of keys (RFC 9370, or within a group of TLS).
        Hybrid = "hybrid",
        /// A data cipher.
        Cipher = "cipher",
    }
}

choice! {
    /// Whether an algorithm may be used.
    pub enum Status {
        /// It may.
        Good = "good",
        /// It may not.
        Weak = "weak",
        /// It might, but the programs that are built do not have it.
        Absent = "absent",
    }
}

/// The table of a library; none: there is no such file.
///
/// # Errors
/// The file is there and cannot be read.
pub fn table(library: &Library, trouble: &mut Vec<Diagnostic>) -> Outcome<Option<Algorithms>> {
    let source = library.read(Area::Standards, FILE)?;
    Ok(source.and_then(|source| read_model::<Algorithms>(&source, trouble)))
}

/// What one name is for; nothing when it is unknown or weak, which is then said.
fn purpose(
    rows: &[Row],
    name: &str,
    program: &str,
    build: &Build,
    at: &At,
    trouble: &mut Vec<Diagnostic>,
) -> Option<Purpose> {
    let Some(row) = rows.iter().find(|row| row.name.as_str() == name) else {
        let message =
            format!("expected an algorithm of {program}, found `{name}`, of which nothing is known");
        let good: Vec<&str> =
            rows.iter().filter(|row| row.is_good(build)).map(|row| row.name.as_str()).collect();
        let problem = Diagnostic::error("unknown-cipher", message).at(at.location());
        trouble.push(problem.hint(suggestion(name, good)));
        return None;
    };
    if row.is_good(build) {
        return Some(row.r#use);
    }
    let instead: Vec<&str> = rows
        .iter()
        .filter(|other| other.is_good(build) && other.r#use == row.r#use)
        .map(|other| other.name.as_str())
        .collect();
    let why = if row.status == Status::Weak {
        "is too weak".to_owned()
    } else {
        format!("is not in the {program} of `{}` `{}`", build.backend, build.series)
    };
    let message = format!("the algorithm `{name}` {why}: {} ({})", row.reason.0, row.reference.as_str());
    let has: Vec<String> = row
        .built
        .iter()
        .map(|by| {
            let series: Vec<&str> = by.series.iter().map(Word::as_str).collect();
            format!("`{}` (`{}`)", by.backend.as_str(), series.join("`, `"))
        })
        .collect();
    let hint = match instead.as_slice() {
        [] if has.is_empty() => "leave it out".to_owned(),
        [] => format!("leave it out, or build with {}", has.join(" or ")),
        names => format!("take one of `{}`", names.join("`, `")),
    };
    let code = if row.status == Status::Weak { "weak-cipher" } else { "absent-cipher" };
    trouble.push(Diagnostic::error(code, message).at(at.location()).hint(hint));
    None
}

impl Algorithms {
    /// Looks at a proposal of strongSwan; says whether it has an additional exchange of keys. An ESP proposal has
    /// no `prf`.
    pub fn proposal(
        &self,
        text: &str,
        esp: bool,
        build: &Build,
        at: &At,
        trouble: &mut Vec<Diagnostic>,
    ) -> bool {
        let before = trouble.len();
        let mut seen = Vec::new();
        for word in text.split('-') {
            seen.extend(purpose(&self.strongswan, word, "strongSwan", build, at, trouble));
        }
        let hybrid = seen.contains(&Purpose::Hybrid);
        if trouble.len() > before {
            return hybrid;
        }
        let missing: Vec<&str> = [Purpose::Encryption, Purpose::Prf, Purpose::Group]
            .into_iter()
            .filter(|purpose| !(seen.contains(purpose) || esp && *purpose == Purpose::Prf))
            .map(Purpose::as_str)
            .collect();
        if !missing.is_empty() {
            let message = format!("the proposal `{text}` says nothing of `{}`", missing.join("`, `"));
            // Without a group, ESP keys follow from the IKE SA's: no forward secrecy (RFC 7296, 1.3.1).
            let hint = if esp {
                "write one such as `aes256gcm16-ecp384`"
            } else {
                "write one such as `aes256gcm16-prfsha384-ecp384`"
            };
            trouble.push(Diagnostic::error("weak-cipher", message).at(at.location()).hint(hint));
        }
        hybrid
    }

    /// Looks at a data cipher of OpenVPN.
    pub fn cipher(&self, name: &str, build: &Build, at: &At, trouble: &mut Vec<Diagnostic>) {
        if purpose(&self.openvpn, name, "OpenVPN", build, at, trouble) == Some(Purpose::Hybrid) {
            let message = format!("expected a data cipher, found `{name}`, an exchange of keys");
            let hint = "`peer: {ml_kem: true}` switches it on";
            trouble.push(Diagnostic::error("unknown-cipher", message).at(at.location()).hint(hint));
        }
    }

    /// Looks at a group of OpenVPN's TLS.
    pub fn group(&self, name: &str, build: &Build, at: &At, trouble: &mut Vec<Diagnostic>) {
        purpose(&self.openvpn, name, "OpenVPN", build, at, trouble);
    }
}
