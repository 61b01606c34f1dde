//! Seeded mutations of signed FITs, given to our verifier and to U-Boot's own (`fit_check_sign`).
//!
//! Ours may refuse what U-Boot takes, for a reason that is listed here; it never takes what U-Boot refuses.
//! `FIT_CHECK_SIGN` names U-Boot's verifier, `FIT_AGREEMENT` how many mutations (400 otherwise) of FITs with their data inside,
//! and as many of those with external data; `ci/peers/uboot` runs 10,000 of each.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../common/mod.rs"]
mod common;
mod control;
mod mutations;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use common::signed;
use fit::FitError;
use fit::external::{Placement, externalise};
use fit::fdt::{Node, Tree};
use fit::key::Padding;
use fit::verify::{Problem, VerifyReport, verify_with_control};
use mutations::{Numbers, changed_and_signed, external_mutation, mutation};

/// Why ours refuses what U-Boot takes: problem codes, each with its reason.
const STRICTER: &[(&str, &str)] = &[
    (
        "algorithm-mismatch",
        "`algo` of the signature is no one string: U-Boot reads to the first NUL, whatever is behind it",
    ),
    (
        "ambiguous-data",
        "an image with two places for its data: U-Boot takes `data-position` before `data-offset`, and both before what is inside",
    ),
    ("bad-default", "`default` is no one string: U-Boot reads to the first NUL, whatever is behind it"),
    ("bad-padding", "the same of `padding`"),
    ("bad-reference", "a property of the configuration that is no list of images"),
    ("bad-tree", "a tree that libfdt reads and that breaks the specification"),
    ("data-overlap", "two images share bytes"),
    (
        "data-place",
        "a place or size of external data that is no cell of four bytes: U-Boot reads the first four, whatever is behind them",
    ),
    ("duplicate-node", "two nodes of one name: readers differ on which counts"),
    ("duplicate-property", "two properties of one name: readers differ on which counts"),
    ("hashed-nodes", "the list says something else; U-Boot before 2026.04 trusts it"),
    ("hashed-strings", "the list of covered names says something else"),
    (
        "image-type",
        "an image of another type or os than its role's, in another configuration or behind the first one of several overlays",
    ),
    (
        "missing-image",
        "an image that the configuration names is not there; U-Boot looks only for what it loads",
    ),
    ("misplaced-data", "a property of a name that signatures leave out, on a node that is no image"),
    (
        "other-configuration",
        "another configuration than the default one, which U-Boot does not look at until it is named",
    ),
    (
        "uncovered-image",
        "an image that no signed configuration refers to; U-Boot would load it when it is named",
    ),
    ("uncovered-node", "a node that no signature covers"),
    (
        "unknown-key",
        "a `key-name-hint` that is not the key's: with a required key U-Boot does not read it, and an attacker gains nothing by it",
    ),
    ("unit-address", "a name with `@`, which libfdt takes for the name without it"),
];

/// Why ours refuses it: every code, but what only follows from another one.
///
/// What no signature covers counts only where nothing else is wrong: a configuration that is refused covers nothing, so
/// that its images are uncovered whatever the reason. U-Boot looks at the configuration that it starts; what is wrong with
/// another one is `other-configuration`. A signature that is missing says nothing where it is said what is wrong with it.
fn causes(blob: &[u8], report: &VerifyReport) -> BTreeSet<String> {
    let codes = |problems: &[Problem]| problems.iter().map(|p| p.code.clone()).collect::<BTreeSet<_>>();
    let tree = Tree::parse(blob).unwrap();
    let configurations = tree.root.child("configurations");
    let default = configurations.and_then(|node| node.text("default"));
    let starts = report.configurations.iter().position(|c| Some(c.name.as_str()) == default).unwrap_or(0);
    let mut own = report.configurations.get(starts).map(|c| codes(&c.problems)).unwrap_or_default();
    if own.len() > 1 {
        own.remove("missing-signature");
    }
    let (uncovered, whole): (BTreeSet<_>, BTreeSet<_>) =
        codes(&report.problems).into_iter().partition(|code| code.starts_with("uncovered"));
    own.extend(whole);
    // Found nowhere, since it is no number: only then may U-Boot find it.
    if own.contains("data-out-of-bounds") && tree.root.child("images").is_some_and(has_no_cell) {
        own.remove("data-out-of-bounds");
        own.insert("data-place".to_owned());
    }
    let others = report.configurations.iter().enumerate().filter(|(index, _)| *index != starts);
    match own.is_empty() {
        false => own,
        true if others.clone().any(|(_, c)| !c.problems.is_empty()) => {
            ["other-configuration".to_owned()].into()
        }
        true => uncovered,
    }
}

/// Whether an image has a place or size of external data of another length than a cell's.
fn has_no_cell(images: &Node<'_>) -> bool {
    let odd = |image: &Node<'_>, name: &str| image.get(name).is_some_and(|value| value.len() != 4);
    let places = ["data-offset", "data-position", "data-size"];
    images.children.iter().any(|image| places.iter().any(|name| odd(image, name)))
}

#[test]
fn what_is_uncovered_hides_no_other_reason() {
    // U-Boot takes it: with a required key it does not look at the hint.
    let untouched = signed(Padding::Pss);
    let mut tree = Tree::parse(&untouched).unwrap();
    tree.root.at_mut("/configurations/conf/signature-1").unwrap().set_text("key-name-hint", "dew");
    let blob = tree.write().unwrap();
    let report = verify_with_control(&blob, &common::control()).unwrap();
    assert_eq!(report.problems[0].code, "uncovered-image");
    assert_eq!(causes(&blob, &report), ["unknown-key".to_owned()].into());
}

/// A FIT, and what a U-Boot trusts.
struct Case {
    fit: Vec<u8>,
    control: Vec<u8>,
}

fn u_boot_takes(tool: &Path, folder: &Path, case: &Case) -> bool {
    std::fs::write(folder.join("fit"), &case.fit).unwrap();
    std::fs::write(folder.join("control"), &case.control).unwrap();
    let takes = |more: &[&str]| {
        let arguments = [&["-f", "fit", "-k", "control"], more].concat();
        Command::new(tool).args(arguments).current_dir(folder).output().unwrap().status.success()
    };
    // Where there is no default, a board names the configuration.
    let tree = Tree::parse(&case.fit).ok();
    let configurations = tree.as_ref().and_then(|tree| tree.root.child("configurations"));
    match configurations.filter(|node| node.get("default").is_none() && !node.children.is_empty()) {
        Some(node) => node.children.iter().all(|configuration| takes(&["-c", &configuration.name])),
        None => takes(&[]),
    }
}

#[test]
fn ours_takes_nothing_that_u_boot_refuses() {
    agree(&[signed(Padding::Pkcs1v15), signed(Padding::Pss)], 0x05ee_df17, mutation);
}

#[test]
fn ours_takes_nothing_that_was_signed_and_that_u_boot_refuses() {
    agree(&[signed(Padding::Pkcs1v15)], 0x0516_ed17, |_, numbers| changed_and_signed(numbers));
}

#[test]
fn ours_takes_no_external_data_that_u_boot_refuses() {
    let outside = |padding, placement, align| externalise(&signed(padding), placement, align).unwrap();
    let blobs = [
        outside(Padding::Pkcs1v15, Placement::BehindTree, 4),
        outside(Padding::Pss, Placement::At(8192), 4),
        outside(Padding::Pss, Placement::BehindTree, 512),
        outside(Padding::Pkcs1v15, Placement::At(8192), 512),
    ];
    agree(&blobs, 0x0dad_e817, external_mutation);
}

/// Both verifiers on that many mutations of the FITs, which the untouched control FDT trusts.
fn agree(blobs: &[Vec<u8>], seed: u64, mutate: impl Fn(&[u8], &mut Numbers) -> (&'static str, Vec<u8>)) {
    let control = common::control();
    let cases: Vec<Case> =
        blobs.iter().map(|fit| Case { fit: fit.clone(), control: control.clone() }).collect();
    agree_on(&cases, seed, STRICTER, |case, numbers| {
        let (kind, fit) = mutate(&case.fit, numbers);
        (kind, Case { fit, control: control.clone() })
    });
}

/// Both verifiers on that many mutations of the cases: ours takes nothing alone, and what it refuses alone is explained.
fn agree_on(
    cases: &[Case],
    seed: u64,
    explained: &[(&str, &str)],
    mutate: impl Fn(&Case, &mut Numbers) -> (&'static str, Case),
) {
    let Some(tool) = common::fit_check_sign() else { return };
    let count: usize = std::env::var("FIT_AGREEMENT").map_or(400, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for case in cases {
        assert!(u_boot_takes(&tool, folder.path(), case), "U-Boot refuses the untouched FIT");
    }
    let mut numbers = Numbers(seed);
    let (mut both, mut neither) = (0, 0);
    let mut stricter: BTreeMap<String, usize> = BTreeMap::new();
    let mut unexplained: BTreeSet<String> = BTreeSet::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for index in 0..count {
        let (kind, changed) = mutate(&cases[index % cases.len()], &mut numbers);
        *kinds.entry(kind).or_default() += 1;
        let report = verify_with_control(&changed.fit, &changed.control);
        let ours = report.as_ref().is_ok_and(|report| report.ok);
        let theirs = u_boot_takes(&tool, folder.path(), &changed);
        match (ours, theirs) {
            (true, true) => both += 1,
            (false, false) => neither += 1,
            (true, false) => {
                let kept = std::env::temp_dir().join(format!("fit-disagreement-{seed:x}"));
                std::fs::create_dir_all(&kept).unwrap();
                std::fs::write(kept.join("fit"), &changed.fit).unwrap();
                std::fs::write(kept.join("control"), &changed.control).unwrap();
                panic!(
                    "mutation {index} ({kind}): ours takes what U-Boot refuses; kept in {}",
                    kept.display()
                );
            }
            (false, true) => {
                let causes = match report {
                    Ok(report) => causes(&changed.fit, &report),
                    Err(FitError::Key(_)) => BTreeSet::from(["control-key".to_owned()]),
                    Err(_) => BTreeSet::from(["bad-tree".to_owned()]),
                };
                let known = |code: &&String| explained.iter().any(|(known, _)| known == code);
                unexplained.extend(causes.iter().filter(|code| !known(code)).cloned());
                *stricter.entry(causes.into_iter().collect::<Vec<_>>().join("+")).or_default() += 1;
            }
        }
    }
    eprintln!("{count} mutations {kinds:?}");
    let alone: usize = stricter.values().sum();
    eprintln!("both take {both}, both refuse {neither}, ours alone refuses {alone}: {stricter:#?}");
    assert!(
        unexplained.is_empty(),
        "ours refuses what U-Boot takes, for reasons that are not explained: {unexplained:?}"
    );
}
