//! Seeded mutations of signed FITs, given to our verifier and to U-Boot's own (`fit_check_sign`).
//!
//! Ours may refuse what U-Boot takes, for a reason that is listed here; it never takes what U-Boot refuses.
//! `FIT_CHECK_SIGN` names U-Boot's verifier, `FIT_AGREEMENT` how many mutations (400 otherwise) of FITs with their data inside,
//! and as many of those with external data; `ci/peers/uboot` runs 10,000 of each.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use common::{ignore, signed, unsigned};
use fit::external::{Placement, externalise};
use fit::fdt::{Blocks, Node, Tree};
use fit::key::{Hash, Padding};
use fit::sign::sign;
use fit::verify::{Problem, VerifyReport, verify_with_control};

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

/// The same numbers every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit.max(1)
    }
}

/// Paths of all nodes but the root.
fn paths(node: &Node<'_>, at: &str, out: &mut Vec<String>) {
    for child in &node.children {
        let path = format!("{at}/{}", child.name);
        paths(child, &path, out);
        out.push(path);
    }
}

fn parent(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap()
}

/// One change of the tree; its kind.
fn change(root: &mut Node<'static>, numbers: &mut Numbers) -> &'static str {
    let mut all = Vec::new();
    paths(root, "", &mut all);
    let path = all[numbers.below(all.len())].clone();
    let (above, name) = parent(&path);
    let kind = numbers.below(10);
    let node = root.at(&path).unwrap().clone();
    let some_property = |numbers: &mut Numbers| {
        let names: Vec<String> = node.properties.iter().map(|(name, _)| name.clone()).collect();
        (!names.is_empty()).then(|| names[numbers.below(names.len())].clone())
    };
    match kind {
        0 => {
            root.at_mut(if above.is_empty() { "/" } else { above })
                .unwrap()
                .children
                .retain(|c| c.name != name);
            "node removed"
        }
        1 => {
            let mut twin = node.clone();
            twin.name = format!("{name}{}", ["@1", "x", "-2", ""][numbers.below(4)]);
            root.at_mut(if above.is_empty() { "/" } else { above }).unwrap().children.push(twin);
            "node doubled"
        }
        2 => {
            root.at_mut(&path).unwrap().name.push_str(["x", "@0", "-1"][numbers.below(3)]);
            "node renamed"
        }
        3 => {
            let target = all[numbers.below(all.len())].clone();
            root.at_mut(&target).unwrap().children.push(node.clone());
            "node copied elsewhere"
        }
        4 => {
            if let Some(property) = some_property(numbers) {
                root.at_mut(&path).unwrap().unset(&property);
            }
            "property removed"
        }
        5 => {
            if let Some(property) = some_property(numbers) {
                let value = node.get(&property).unwrap().to_vec();
                let node = root.at_mut(&path).unwrap();
                node.unset(&property);
                node.set(["x", "data", "data-size", "value", "algo"][numbers.below(5)], value);
            }
            "property renamed"
        }
        6 | 7 => {
            if let Some(property) = some_property(numbers) {
                let mut value = node.get(&property).unwrap().to_vec();
                match numbers.below(4) {
                    0 => value.clear(),
                    1 => value.push(0),
                    _ if value.is_empty() => value.push(b'x'),
                    _ => {
                        let at = numbers.below(value.len());
                        value[at] ^= 1 << numbers.below(8);
                    }
                }
                root.at_mut(&path).unwrap().set(&property, value);
            }
            "value changed"
        }
        8 => {
            let added =
                ["uboot-ignore", "data-offset", "data-position", "loadables", "load", "required", "fdt"];
            root.at_mut(&path).unwrap().set(added[numbers.below(added.len())], b"kernel\0".to_vec());
            "property added"
        }
        _ => {
            // What a forger does: another image, and the hash that belongs to it.
            let image = ["kernel", "fdt", "ramdisk"][numbers.below(3)];
            if let Some(node) = root.at_mut(&format!("/images/{image}")) {
                node.set("data", b"forged".to_vec());
                if let Some(hash) = node.child_mut("hash-1") {
                    hash.set("value", Hash::Sha256.digest(&[b"forged"]));
                }
            }
            "image and hash replaced"
        }
    }
}

fn mutation(blob: &[u8], numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    let mut bytes = blob.to_vec();
    match numbers.below(6) {
        0 => {
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(bytes.len());
                bytes[at] ^= 1 << numbers.below(8);
            }
            ("bits flipped", bytes)
        }
        1 => {
            let word = [0u32, 1, 2, 3, 9, 0xffff_ffff, 0x7fff_ffff][numbers.below(7)];
            let at = numbers.below(bytes.len() / 4) * 4;
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            ("word replaced", bytes)
        }
        2 if numbers.below(8) == 0 => {
            bytes.truncate(numbers.below(bytes.len()));
            ("cut", bytes)
        }
        _ => {
            let mut tree = Tree::parse(blob).unwrap();
            let mut root = std::mem::replace(&mut tree.root, Node::new("")).into_owned();
            let mut kind = "";
            for _ in 0..=numbers.below(2) {
                kind = change(&mut root, numbers);
            }
            let written = Tree { root, reserved: Vec::new(), strings: tree.strings.clone() }.write();
            (kind, written.unwrap_or(bytes))
        }
    }
}

/// What stands behind the tree of a FIT with external data, behind another tree: where `data-offset` or `data-position` says.
fn with_data(blob: &[u8], mut tree: Vec<u8>) -> Vec<u8> {
    let parsed = Tree::parse(blob).unwrap();
    let position = parsed.root.at("/images/kernel").unwrap().cell("data-position");
    let start = position.map_or(Blocks::open(blob).unwrap().total(), |at| at as usize);
    let room = tree.len().next_multiple_of(4).max(position.map_or(0, |at| at as usize));
    tree.resize(room, 0);
    tree.extend_from_slice(&blob[start..]);
    tree
}

/// One change of a FIT whose data is outside of its tree: of the data, of where it is said to be, or of the tree.
fn external_mutation(blob: &[u8], numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    const IMAGES: [&str; 3] = ["kernel", "fdt", "ramdisk"];
    let mut bytes = blob.to_vec();
    let total = Blocks::open(blob).unwrap().total();
    let kind = numbers.below(14);
    if kind == 0 {
        let at = total + numbers.below(bytes.len() - total);
        bytes[at] ^= 1 << numbers.below(8);
        return ("data changed", bytes);
    }
    if kind == 1 {
        bytes.truncate(total + numbers.below(bytes.len() - total));
        return ("data cut", bytes);
    }
    let mut tree = Tree::parse(blob).unwrap();
    let mut root = std::mem::replace(&mut tree.root, Node::new("")).into_owned();
    let path = format!("/images/{}", IMAGES[numbers.below(3)]);
    let other = root.at(&format!("/images/{}", IMAGES[numbers.below(3)])).unwrap().clone();
    let node = root.at_mut(&path).unwrap();
    let place = if node.get("data-position").is_some() { "data-position" } else { "data-offset" };
    let (own, size) = (node.cell(place).unwrap(), node.cell("data-size").unwrap());
    let kind = match kind {
        2..=4 => {
            let length = u32::try_from(blob.len()).unwrap();
            let cells =
                [0, 4, own + 4, own.wrapping_sub(1), size + 1, length, length - 4, 0x7fff_ffff, u32::MAX];
            let property = ["data-offset", "data-position", "data-size"][numbers.below(3)];
            node.set_cell(property, cells[numbers.below(cells.len())]);
            "place changed"
        }
        5 => {
            node.set_cell(place, other.cell(place).unwrap());
            node.set_cell("data-size", other.cell("data-size").unwrap());
            "place of another image"
        }
        6 => {
            // The same bytes, counted in the other way.
            let behind = u32::try_from(total.next_multiple_of(4)).unwrap();
            let (name, cell) = match place {
                "data-offset" => ("data-position", behind + own),
                _ => ("data-offset", own.wrapping_sub(behind)),
            };
            if numbers.below(2) == 0 {
                node.unset(place);
            }
            node.set_cell(name, cell);
            "place in the other words"
        }
        7 => {
            let name = [place, "data-size"][numbers.below(2)];
            match numbers.below(4) {
                0 => ignore(node.unset(name)),
                1 => node.set(name, u64::from(node.cell(name).unwrap()).to_be_bytes().to_vec()),
                2 => node.set(name, own.to_be_bytes()[1..].to_vec()),
                _ => node.set(name, [own.to_be_bytes(), [0; 4]].concat()),
            }
            "place of another form"
        }
        8 => {
            node.set("data", [&b"forged"[..], b""][numbers.below(2)].to_vec());
            "data inside, too"
        }
        _ => {
            let mut kind = "";
            for _ in 0..=numbers.below(2) {
                kind = change(&mut root, numbers);
            }
            kind
        }
    };
    let written = Tree { root, reserved: Vec::new(), strings: tree.strings.clone() }.write();
    (kind, written.map_or(bytes, |tree| with_data(blob, tree)))
}

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

fn is_explained(code: &str) -> bool {
    STRICTER.iter().any(|(known, _)| *known == code)
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

fn u_boot_takes(tool: &Path, folder: &Path, blob: &[u8]) -> bool {
    std::fs::write(folder.join("fit"), blob).unwrap();
    let takes = |more: &[&str]| {
        let arguments = [&["-f", "fit", "-k", "control"], more].concat();
        Command::new(tool).args(arguments).current_dir(folder).output().unwrap().status.success()
    };
    // Where there is no default, a board names the configuration.
    let tree = Tree::parse(blob).ok();
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

/// A FIT with another word, property or reference than it should have, and signed as it is: what U-Boot refuses whoever signed it.
fn changed_and_signed(numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    const WORDS: [(&str, &[&str]); 4] = [
        (
            "type",
            &[
                "kernel",
                "kernal",
                "kernel_noload",
                "flat_dt",
                "ramdisk",
                "firmware",
                "tee",
                "script",
                "RAMDISK",
                "",
            ],
        ),
        (
            "os",
            &[
                "linux", "u-boot", "tee", "plan9", "opensbi", "efi", "vxworks", "openrtos", "qnx", "Linux",
                "x",
            ],
        ),
        ("arch", &["arm64", "arm46", "riscv", "x86"]),
        ("compression", &["none", "gzip", "zip", "lzma"]),
    ];
    const NAMES: [&str; 3] = ["kernel", "fdt", "ramdisk"];
    let mut tree = unsigned();
    let mut kind = "";
    for _ in 0..=numbers.below(2) {
        let (word, values) = WORDS[numbers.below(4)];
        let image = tree.root.at_mut(&format!("/images/{}", NAMES[numbers.below(3)])).unwrap();
        let other = NAMES[numbers.below(3)];
        let role = NAMES[numbers.below(3)];
        kind = match numbers.below(6) {
            0 => {
                image.unset(word);
                "word removed"
            }
            1..=3 => {
                image.set_text(word, values[numbers.below(values.len())]);
                "word changed"
            }
            4 => {
                let names: &[&str] = if numbers.below(3) == 0 { &[role, other] } else { &[other] };
                tree.root.at_mut("/configurations/conf").unwrap().set_texts(role, names);
                "role changed"
            }
            _ => {
                tree.root.unset(["description", "timestamp", "#address-cells", "x"][numbers.below(4)]);
                "header changed"
            }
        };
    }
    (kind, sign(tree, &common::options(Padding::Pkcs1v15), &common::signer()).unwrap())
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

/// Both verifiers on that many mutations of the FITs: ours takes nothing alone, and what it refuses alone is explained.
fn agree(blobs: &[Vec<u8>], seed: u64, mutate: impl Fn(&[u8], &mut Numbers) -> (&'static str, Vec<u8>)) {
    let Some(tool) = common::fit_check_sign() else { return };
    let count: usize = std::env::var("FIT_AGREEMENT").map_or(400, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let control = common::control();
    std::fs::write(folder.path().join("control"), &control).unwrap();
    for blob in blobs {
        assert!(u_boot_takes(&tool, folder.path(), blob), "U-Boot refuses the untouched FIT");
    }
    let mut numbers = Numbers(seed);
    let (mut both, mut neither) = (0, 0);
    let mut stricter: BTreeMap<String, usize> = BTreeMap::new();
    let mut unexplained: BTreeSet<String> = BTreeSet::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for index in 0..count {
        let (kind, copy) = mutate(&blobs[index % blobs.len()], &mut numbers);
        *kinds.entry(kind).or_default() += 1;
        let report = verify_with_control(&copy, &control);
        let ours = report.as_ref().is_ok_and(|report| report.ok);
        let theirs = u_boot_takes(&tool, folder.path(), &copy);
        match (ours, theirs) {
            (true, true) => both += 1,
            (false, false) => neither += 1,
            (true, false) => {
                let kept = std::env::temp_dir().join(format!("fit-disagreement-{seed:x}.itb"));
                std::fs::write(&kept, &copy).unwrap();
                panic!(
                    "mutation {index} ({kind}): ours takes what U-Boot refuses; kept as {}",
                    kept.display()
                );
            }
            (false, true) => {
                let causes =
                    report.map_or_else(|_| BTreeSet::from(["bad-tree".to_owned()]), |r| causes(&copy, &r));
                unexplained.extend(causes.iter().filter(|code| !is_explained(code)).cloned());
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
