//! Where attacks come from: those compiled in, and a product's own.

use std::collections::BTreeMap;
use std::path::Path;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use include_dir::{Dir, include_dir};
use spec::source::Source;

use super::definition::Attack;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../attacks");

/// Every attack by name: those compiled in, then those of `attacks/` in the product's folder, which
/// take the place of those of the same name.
///
/// # Errors
/// Everything that is wrong with any file.
pub fn library(product_folder: Option<&Path>) -> Outcome<Vec<Attack>> {
    let mut sources = BTreeMap::new();
    for file in BUILT_IN.files() {
        let name = file.path().to_string_lossy().into_owned();
        if let (true, Some(text)) = (name.ends_with(".yaml"), file.contents_utf8()) {
            let shown = format!("attacks/{name}");
            sources.insert(name, Source::new(&shown, &shown, text.to_owned()));
        }
    }
    if let Some(folder) = product_folder.map(|folder| folder.join("attacks")).filter(|f| f.is_dir()) {
        let listing = std::fs::read_dir(&folder).map_err(|e| Failure::io("read", &folder, &e))?;
        for entry in listing {
            let entry = entry.map_err(|e| Failure::io("read", &folder, &e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".yaml") {
                let source = spec::library::read_file(&entry.path(), &format!("attacks/{name}"))?;
                sources.insert(name, source);
            }
        }
    }
    let mut diagnostics = Vec::new();
    let mut attacks = Vec::new();
    for (name, source) in &sources {
        if let Err(diagnostic) = check_name(name) {
            diagnostics.push(*diagnostic);
        }
        attacks.extend(Attack::read(source, &mut diagnostics));
    }
    if diagnostics.is_empty() { Ok(attacks) } else { Err(Failure { status: ExitStatus::Input, diagnostics }) }
}

/// The name becomes a folder's name.
fn check_name(file: &str) -> Result<(), Box<Diagnostic>> {
    let stem = file.strip_suffix(".yaml").unwrap_or(file);
    let good = stem.starts_with(|c: char| c.is_ascii_lowercase())
        && stem.len() <= 64
        && stem.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good {
        return Ok(());
    }
    let message = format!("`{}` is no attack's name", file.escape_debug());
    let hint = "expected lower-case letters, digits and hyphens, a letter first";
    Err(Box::new(Diagnostic::error("attack-name", message).hint(hint)))
}

/// The attacks whose name contains one of the words; all without any.
///
/// # Errors
/// When a word matches no attack: a typing mistake must not pass as "all refused".
pub fn select(attacks: Vec<Attack>, words: &[String]) -> Outcome<Vec<Attack>> {
    if let Some(word) = words.iter().find(|word| !attacks.iter().any(|a| a.name.contains(*word))) {
        let names: Vec<&str> = attacks.iter().map(|a| a.name.as_str()).collect();
        let hint = if word.contains('/') {
            format!("to attack the image in a folder: `fastness attack --image {word}`")
        } else {
            spec::decode::suggestion(word, names)
        };
        let failure = Failure::error(
            ExitStatus::Usage,
            "unknown-attack",
            format!("there is no attack whose name contains `{word}`"),
        );
        return Err(failure.hint(hint));
    }
    Ok(attacks
        .into_iter()
        .filter(|attack| words.is_empty() || words.iter().any(|word| attack.name.contains(word)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_attack_is_whole() {
        let attacks = library(None).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(attacks.len() >= 24, "{} attacks", attacks.len());
        for attack in &attacks {
            assert!(!attack.title.is_empty() && !attack.threat.is_empty(), "{}", attack.name);
            assert!(!attack.source.is_empty() && !attack.requirements.is_empty(), "{}", attack.name);
            assert!(!attack.title.ends_with('.'), "{}: a title has no full stop", attack.name);
        }
        assert!(attacks.iter().any(|attack| attack.expect.must_boot()));
    }

    #[test]
    fn a_products_attack_takes_the_place_of_the_shipped_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("attacks")).unwrap();
        let count = library(Some(folder.path())).unwrap().len();
        let text = "title: own\nthreat: x\nsource: y\nrequirements: [CR 3.4]\nmutations: [{kind: remove-key}]\nexpect: {stage: u-boot, refusal: [x], ends_with: [reset]}\n";
        std::fs::write(folder.path().join("attacks/raw-image.yaml"), text).unwrap();
        let attacks = library(Some(folder.path())).unwrap();
        assert_eq!(attacks.len(), count);
        assert_eq!(attacks.iter().find(|a| a.name == "raw-image").unwrap().title, "own");
        std::fs::write(folder.path().join("attacks/No Name.yaml"), text).unwrap();
        let failure = library(Some(folder.path())).unwrap_err();
        assert!(failure.to_string().contains("`No Name.yaml` is no attack's name"), "{failure}");
    }

    #[test]
    fn a_word_that_matches_nothing_is_an_error() {
        let attacks = library(None).unwrap();
        assert!(select(attacks.clone(), &["efi-in-slot".into()]).unwrap().len() == 1);
        assert_eq!(select(attacks.clone(), &[]).unwrap(), attacks);
        assert_eq!(select(attacks.clone(), &["raw-image".into()]).unwrap().len(), 2);
        let failure = select(attacks, &["raw-imag3".into()]).unwrap_err();
        assert!(failure.to_string().contains("contains `raw-imag3`"), "{failure}");
        let failure = select(library(None).unwrap(), &["out/qemu-arm".into()]).unwrap_err();
        assert!(failure.to_string().contains("`fastness attack --image out/qemu-arm`"), "{failure}");
    }
}
