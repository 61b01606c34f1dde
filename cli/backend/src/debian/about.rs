//! What a package says of itself: its source and its licences, for the bill of materials.
//!
//! The files that say it are no part of the image; they are read before they are removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diag::Outcome;
use exec::{Call, tool};
use serde::{Deserialize, Serialize};

use super::tree::Tree;

/// Facts of one package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Source package.
    pub source: String,
    /// Version of the source package; it may differ from the package's own.
    pub source_version: String,
    /// Licences as `debian/copyright` names them; empty where it is no machine-readable one.
    pub licences: Vec<String>,
}

/// The package's control file and its `copyright` in the tree.
///
/// # Errors
/// When the package cannot be read.
pub fn package(tree: &mut Tree, name: &str, version: &str, deb: &Path, log: &Path) -> Outcome<About> {
    let field = Call::new(tool("dpkg-deb")?).args(["--field"]).arg(deb).arg("Source").log(log).output()?;
    let (source, source_version) = source(&String::from_utf8_lossy(&field), name, version);
    let text = tree.read(&format!("/usr/share/doc/{name}/copyright"))?.unwrap_or_default();
    Ok(About { source, source_version, licences: licences(&String::from_utf8_lossy(&text)) })
}

/// `Source: name (version)`, left out where both are the package's own. Source: deb-control(5).
fn source(field: &str, name: &str, version: &str) -> (String, String) {
    let field = field.trim();
    match field.split_once(" (") {
        Some((source, rest)) => (source.to_owned(), rest.trim_end_matches(')').to_owned()),
        None if field.is_empty() => (name.to_owned(), version.to_owned()),
        None => (field.to_owned(), version.to_owned()),
    }
}

/// Short names of the licences of a machine-readable copyright file, each once, in order.
/// Source: the Debian copyright format 1.0 (DEP-5), "License specification".
fn licences(text: &str) -> Vec<String> {
    let is_one =
        text.lines().take(5).any(|line| line.starts_with("Format:") && line.contains("copyright-format"));
    if !is_one {
        return Vec::new();
    }
    let names = text.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Facts by package name.
pub type Abouts = BTreeMap<String, About>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_package_itself_unless_it_says_another() {
        let of = |field: &str| source(field, "libz1", "1.3-1+b1");
        assert_eq!(of(""), ("libz1".to_owned(), "1.3-1+b1".to_owned()));
        assert_eq!(of("zlib\n"), ("zlib".to_owned(), "1.3-1+b1".to_owned()));
        assert_eq!(of("zlib (1.3-1)\n"), ("zlib".to_owned(), "1.3-1".to_owned()));
    }

    #[test]
    fn licences_are_those_of_a_machine_readable_file_only() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: a\nLicense: BSD-3-clause\n\nLicense: GPL-2+\n On Debian\n";
        assert_eq!(licences(text), ["BSD-3-clause", "GPL-2+"]);
        assert!(licences("This package is free.\nLicense: GPL\n").is_empty());
    }
}
