//! That each rule of the catalogue is found where it applies: what no other test shows, and that there is a test of each.

use std::path::Path;

use fit::build::{Configuration, FitSpec, Image, build};
use fit::control_fdt::{Required, RequiredMode, insert_key_for, set_required_mode};
use fit::key::{Algorithm, Hash, KeyType, Padding};
use fit::sign::{SignOptions, Signer, sign, signer_from_der};
use p256::pkcs8::EncodePrivateKey as _;

use super::open::{Blob, Pieces};
use super::rules::{self, Found};
use super::tests::{analyzed, rules, seen};
use super::{kernels, keys, programs, services, units};
use crate::open::disk_tests::gpt_disk;
use crate::open::tests::root_cpio;
use crate::testing::Tree;
use image::Source;
use spec::known_keys::KnownKeys;

/// What was found, one rule a line.
fn ids(found: Found) -> Vec<String> {
    found.issues().into_iter().map(|issue| issue.rule).collect()
}

#[test]
fn a_partition_table_that_is_not_whole_is_told() {
    let whole = gpt_disk(&[("a", &root_cpio())]);
    assert!(!rules(&analyzed(&whole)).contains(&"table-defect"));
    // The second copy, in the last block.
    let mut torn = whole;
    let last = torn.len() - 512;
    torn[last + 16] ^= 1;
    let analysis = analyzed(&torn);
    assert!(seen(&analysis, "table-defect").contains("backup"), "{}", seen(&analysis, "table-defect"));
    // Its partitions are read all the same.
    assert!(rules(&analysis).contains(&"account-empty-password"));
}

#[test]
fn a_program_with_rights_of_its_own_has_to_have_every_protection() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), "x").unwrap();
    let tree = image::tree::open_rootfs(folder.path()).unwrap();
    let found = |mode: u32, capability: bool, pie: bool| {
        let mut entry = tree.get("/x").unwrap().clone();
        entry.mode = mode;
        if capability {
            entry.xattrs.insert("security.capability".into(), vec![1, 0, 0, 2]);
        }
        let program = super::model::Program { pie, ..programs::tests::good() };
        let mut found = Found::default();
        programs::judge("/x", Some(&entry), &program, &mut found);
        ids(found)
    };
    assert_eq!(found(0o4755, false, false), ["elf-privileged-weak", "elf-no-pie"]);
    assert_eq!(found(0o755, true, false), ["elf-privileged-weak", "elf-no-pie"]);
    assert_eq!(found(0o755, false, false), ["elf-no-pie"]);
    assert!(found(0o4755, true, true).is_empty());
}

#[test]
fn a_published_private_key_is_told_from_another() {
    let key = p256::SecretKey::from_slice(&[7; 32]).unwrap().to_pkcs8_der().unwrap();
    let found_keys = keys::by_name("/etc/device.der", key.as_bytes());
    let judged = |known: &KnownKeys| {
        let mut found = Found::default();
        keys::judge("/etc/device.der", &found_keys, false, known, None, &mut found);
        ids(found)
    };
    let list = format!("keys:\n- {{fingerprint: {}, source: a test}}\n", found_keys[0].fingerprint);
    let mut known = KnownKeys::default();
    known.add(&spec::source::Source::new("k.yaml", "k.yaml", list)).unwrap();
    assert_eq!(judged(&known), ["known-private-key"]);
    assert_eq!(judged(&KnownKeys::default()), ["private-key"]);
}

/// Made by OpenSSL: `openssl x509 -req -sha1 -CA …` and `openssl req -x509 -sha1`.
#[test]
fn a_certificate_that_an_authority_signed_with_sha1_is_weak_and_its_own_is_not() {
    let found = |pem: &str| {
        let mut found = Found::default();
        let keys = keys::pem(pem.as_bytes());
        assert_eq!(keys.len(), 1);
        keys::judge("/etc/x.crt", &keys, false, &KnownKeys::default(), None, &mut found);
        ids(found)
    };
    assert_eq!(found(include_str!("testdata/sha1-issued.crt")), ["certificate-weak"]);
    assert!(found(include_str!("testdata/sha256-issued.crt")).is_empty());
    assert!(found(include_str!("testdata/sha1-root.crt")).is_empty());
}

#[test]
fn a_server_for_debugging_is_told_where_it_is_started() {
    let found = |line: &str| {
        let mut found = Found::default();
        let tree = Tree::base().file("/usr/bin/gdbserver", 0o755, "x").file("/etc/inittab", 0o644, line);
        services::look(&tree.root(), "", &mut found);
        ids(found)
    };
    assert_eq!(found("::respawn:/usr/bin/gdbserver :2345 /usr/bin/app\n"), ["service-debug"]);
    assert!(found("::respawn:/usr/bin/app\n").is_empty());
}

/// A tree that starts the service `x` with these settings, or with what is no file.
fn started(settings: Option<&str>) -> Tree {
    let unit = "/usr/lib/systemd/system/x.service";
    let tree = Tree::base().link("/etc/systemd/system/multi-user.target.wants/x.service", unit);
    let tree =
        tree.file(unit, 0o644, format!("[Service]\nExecStart=/bin/x\n{}", settings.unwrap_or_default()));
    if settings.is_some() { tree } else { tree.dir("/etc/systemd/system/x.service.d/a.conf", 0o755) }
}

#[test]
fn a_service_without_a_sandbox_and_a_unit_that_cannot_be_read_are_told() {
    let found = |tree: Tree| {
        let mut found = Found::default();
        units::look(&tree.root(), "", &mut found);
        ids(found)
    };
    assert_eq!(found(started(Some(""))), ["unit-exposed"]);
    assert!(found(started(Some("Type=oneshot\n"))).is_empty());
    let confined = "DynamicUser=yes\nProtectSystem=strict\nPrivateDevices=yes\nCapabilityBoundingSet=\n";
    assert!(found(started(Some(confined))).is_empty());
    assert_eq!(found(started(None)), ["unit-broken"]);
}

const ALGORITHM: Algorithm = Algorithm { hash: Hash::Sha256, key: KeyType::EcdsaP256 };

fn signer(seed: u8) -> Box<dyn Signer + Send + Sync> {
    let key = p256::SecretKey::from_slice(&[seed; 32]).unwrap().to_pkcs8_der().unwrap();
    signer_from_der(key.as_bytes()).unwrap()
}

/// A FIT whose one configuration this key has signed.
fn signed(seed: u8) -> Vec<u8> {
    let image = |name: &str, kind: &str| Image {
        name: name.into(),
        description: name.into(),
        kind: kind.into(),
        arch: "arm64".into(),
        os: (kind != "flat_dt").then(|| "linux".into()),
        compression: "none".into(),
        load: Some(0x4040_0000),
        entry: (kind == "kernel").then_some(0x4040_0000),
        data: name.as_bytes().to_vec().into(),
    };
    let loads = [("kernel", "kernel"), ("fdt", "fdt")];
    let tree = build(FitSpec {
        description: "test".into(),
        timestamp: 7,
        hash: Hash::Sha256,
        images: vec![image("kernel", "kernel"), image("fdt", "flat_dt")],
        configurations: vec![Configuration {
            name: "conf".into(),
            description: "the only one".into(),
            compatible: None,
            loads: loads.map(|(role, name)| (role.to_owned(), vec![name.to_owned()])).to_vec(),
        }],
        default: Some("conf".into()),
    });
    let options = SignOptions {
        key_name: "dev".into(),
        algorithm: ALGORITHM,
        padding: Padding::Pkcs1v15,
        timestamp: 7,
        node: "signature-1".into(),
    };
    sign(tree.unwrap(), &options, signer(seed).as_ref()).unwrap()
}

/// A boot loader that has these keys in its control device tree.
fn boot_loader(keys: &[(&str, u8, Required)], mode: RequiredMode) -> Vec<u8> {
    let empty = fit::fdt::Tree { root: fit::fdt::Node::new(""), ..fit::fdt::Tree::default() };
    let mut control = empty.write().unwrap();
    for (name, seed, required) in keys {
        control = insert_key_for(&control, name, ALGORITHM, &signer(*seed).public_key(), *required).unwrap();
    }
    let control = set_required_mode(&control, mode).unwrap();
    [&b"U-Boot 2025.01 (Jan 01 2025)\0bootdelay=-2\0\0\0"[..], &[0; 20], &control].concat()
}

/// What there is to say of a boot loader with a FIT and the configuration that its build recorded.
fn boot(loader: Vec<u8>, fit: Option<Vec<u8>>, config: &str) -> (Vec<String>, String) {
    boot_of(vec![loader], fit, config)
}

fn boot_of(loaders: Vec<Vec<u8>>, fit: Option<Vec<u8>>, config: &str) -> (Vec<String>, String) {
    let blob = |at: &str, bytes| Blob { at: at.to_owned(), source: Source::from_bytes(at, bytes) };
    let mut pieces = Pieces::default();
    pieces.boot_loaders.extend(loaders.into_iter().map(|loader| blob("u-boot", loader)));
    pieces.fits.extend(fit.map(|fit| blob("fit", fit)));
    if !config.is_empty() {
        pieces.boot_configs.push(("u-boot.config".to_owned(), config.to_owned()));
    }
    let mut found = Found::default();
    kernels::boot(&pieces, &KnownKeys::default(), &mut found);
    let issues = found.issues();
    let words = issues.iter().flat_map(|issue| &issue.places).map(|place| place.seen.clone());
    (issues.iter().map(|issue| issue.rule.clone()).collect(), words.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_fit_is_held_against_the_key_of_the_boot_loader() {
    let loader = || boot_loader(&[("dev", 7, Required::Configurations)], RequiredMode::All);
    assert_eq!(boot(loader(), Some(signed(7)), ""), (vec![], String::new()));
    let (rules, seen) = boot(loader(), Some(signed(8)), "");
    assert_eq!(rules, ["boot-not-verified"], "{seen}");
    // The same boot loader in two places is one; which of two others starts the FIT is not known.
    assert_eq!(boot_of(vec![loader(), loader()], Some(signed(8)), "").0, ["boot-not-verified"]);
    let other = boot_loader(&[("dev", 9, Required::Configurations)], RequiredMode::All);
    assert!(boot_of(vec![loader(), other], Some(signed(8)), "").0.is_empty());
    // One byte of what is signed.
    let mut fit = signed(7);
    let at = keys::find(&fit, b"the only one").unwrap();
    fit[at] ^= 1;
    assert_eq!(boot(loader(), Some(fit), "").0, ["boot-not-verified"]);
}

#[test]
fn a_key_that_is_not_required_for_configurations_is_told() {
    for (required, word) in [(Required::Images, "image"), (Required::Nothing, "nothing")] {
        let (rules, seen) = boot(boot_loader(&[("dev", 7, required)], RequiredMode::All), None, "");
        assert_eq!(rules, ["boot-key-optional"], "{word}");
        assert_eq!(seen, format!("`dev` is required for {word}"));
    }
    let two = [("dev", 7, Required::Configurations), ("next", 9, Required::Configurations)];
    let (rules, seen) = boot(boot_loader(&two, RequiredMode::Any), None, "");
    assert_eq!(rules, ["boot-key-optional"]);
    assert!(seen.contains("`required-mode` is `any`"), "{seen}");
    assert!(boot(boot_loader(&two, RequiredMode::All), None, "").0.is_empty());
}

#[test]
fn image_formats_without_signature_are_told_by_the_recorded_configuration() {
    let loader = || boot_loader(&[("dev", 7, Required::Configurations)], RequiredMode::All);
    const CLOSED: &str =
        "CONFIG_BOOTDELAY=-2\nCONFIG_ENV_IS_NOWHERE=y\n# CONFIG_LEGACY_IMAGE_FORMAT is not set\n";
    assert!(boot(loader(), None, CLOSED).0.is_empty());
    for name in ["LEGACY_IMAGE_FORMAT", "CMD_BOOTI", "CMD_BOOTZ"] {
        let (rules, seen) = boot(loader(), None, &format!("{CLOSED}CONFIG_{name}=y\n"));
        assert_eq!((rules, seen), (vec!["boot-legacy".to_owned()], format!("CONFIG_{name}=y")));
    }
}

/// The code of tests below a folder: files that are nothing else, and what stands behind `#[cfg(test)]` in others.
fn code_of_tests(folder: &Path, all: &mut String) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = name == "tests.rs" || name.ends_with("_tests.rs") || folder.ends_with("cli");
        all.push_str(if whole {
            &text
        } else {
            text.split_once("mod tests {\n    use super::*").map_or("", |(_, test)| test)
        });
    }
}

/// Whether a statement says that a rule is found: it names it in an assertion, and not in one that denies it.
fn asserts(statement: &str, id: &str) -> bool {
    let named = [format!("\"{id}\""), format!("[{id}]")].iter().any(|form| statement.contains(form));
    let says = ["assert_eq!(", "assert!(", "seen("].iter().any(|call| statement.contains(call));
    // `assert!(!seen(…).is_empty())` says that it is there, and the same without `!` that it is not.
    let of_seen = statement.contains("seen(") && statement.contains(".is_empty()");
    named && says && (statement.contains("assert!(!") == of_seen)
}

#[test]
fn a_rule_that_no_test_fires_is_a_defect() {
    let mut text = String::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    code_of_tests(&here.join("src/analyze"), &mut text);
    code_of_tests(&here.join("../fastness/tests/cli"), &mut text);
    let statements: Vec<&str> = text.split(";\n").collect();
    assert!(statements.len() > 300, "{}", statements.len());
    let fired = |id: &str| statements.iter().any(|statement| asserts(statement, id));
    let of_secrets = |id: &str| id.starts_with("secret-");
    // Secrets have examples of their own, each of which is tried where they are read.
    let silent: Vec<&String> = rules::all().keys().filter(|id| !of_secrets(id) && !fired(id)).collect();
    assert!(silent.is_empty(), "no test shows that these are found: {silent:?}");
    assert!(!asserts("assert!(!rules(&x).contains(&\"no-rule\"))", "no-rule"));
    assert!(!asserts("let a = \"no-rule\"", "no-rule"));
    assert!(!asserts("assert!(seen(x, \"no-rule\").is_empty())", "no-rule"));
    assert!(asserts("assert!(!seen(x, \"no-rule\").is_empty())", "no-rule"));
    assert!(asserts("assert_eq!(rules(x), [\"no-rule\"])", "no-rule"));
}
