//! What U-Boot reads: the kernel's FDT, the signed FIT, and U-Boot with the public key in its control FDT.

use std::borrow::Cow;

use diag::{ExitStatus, Failure, Outcome};
use fit::FitError;
use fit::build::{Configuration, FitSpec, Image};
use fit::control_fdt::RequiredMode;
use fit::fdt::{Node, Tree};
use fit::key::{Algorithm, Padding};
use fit::sign::SignOptions;
use spec::known_keys::KnownKeys;
use spec::plan::{Plan, TrustedKeyPlan};

use crate::keys::{PublicKey, SigningKey};

/// Seeds that a firmware puts there anew at each boot; in a signed tree they would be the same on every
/// device for ever (Linux `Documentation/devicetree/bindings/chosen.txt`).
const SEEDS: [&str; 2] = ["kaslr-seed", "rng-seed"];
/// Where the configuration carries its rollback version; U-Boot's patch (`layers/rollback/uboot/`) reads it.
pub const ROLLBACK_VERSION: &str = "fastness,rollback-version";
/// The configuration that U-Boot's fixed boot command names.
pub const CONFIGURATION: &str = "conf";

/// Where the kernel's FDT carries, in `/chosen`, the public keys by which a device verifies updates, PEM (`templates/update/`).
pub const UPDATE_KEYS: &str = "fastness,update-keys";

/// The keys by which a device of this plan verifies updates: those that its U-Boot trusts. None where it takes no updates.
///
/// # Errors
/// When a key has no PEM, or one that is trusted beside the own is none.
pub fn update_keys(plan: &Plan, key: &PublicKey) -> Outcome<Option<String>> {
    if plan.storage.misc_bytes == 0 {
        return Ok(None);
    }
    let others = trusted(plan)?;
    let keys = std::iter::once(&key.key).chain(others.iter().map(|other| &other.key));
    keys.map(|key| key.to_pem().map_err(|e| wrong_signing(&e))).collect::<Outcome<String>>().map(Some)
}

/// The kernel's FDT: the board's with the command line and the keys of updates, without seeds.
///
/// # Errors
/// When the board's FDT is none.
pub fn kernel_fdt(board: &[u8], cmdline: &str, update_keys: Option<&str>) -> Outcome<Vec<u8>> {
    let mut tree = Tree::parse(board).map_err(|e| wrong_tree(&e))?;
    let chosen = tree.root.child_or_new("chosen");
    for seed in SEEDS {
        chosen.unset(seed);
    }
    chosen.set_text("bootargs", cmdline);
    if let Some(keys) = update_keys {
        chosen.set_text(UPDATE_KEYS, keys);
    }
    if let Some(cpus) = tree.root.child_mut("cpus") {
        disable_without_mmu(cpus);
    }
    tree.write().map_err(|e| wrong_tree(&e))
}

/// A RISC-V hart without a memory management unit cannot run Linux. OpenSBI says so in the tree that it hands on
/// (`lib/utils/fdt/fdt_fixup.c`, `fdt_cpu_fixup`), but the kernel gets this one; it would leave out what that hart has not.
fn disable_without_mmu(cpus: &mut Node<'_>) {
    for cpu in &mut cpus.children {
        if cpu.texts("compatible").is_some_and(|words| words.contains(&"riscv"))
            && cpu.get("mmu-type").is_none()
        {
            cpu.set_text("status", "disabled");
        }
    }
}

/// The signed FIT; the same bytes for the same input.
///
/// # Errors
/// When the key does not fit the algorithm, or U-Boot of this board cannot verify it.
pub fn signed_fit(plan: &Plan, kernel: &[u8], fdt: &[u8], key: &SigningKey) -> Outcome<Vec<u8>> {
    let options = sign_options(plan)?;
    let name = &plan.product.name;
    let image = |node: &str, kind: &str, load: u64, data| Image {
        name: node.to_owned(),
        description: format!("{name} {node}"),
        kind: kind.to_owned(),
        arch: plan.board.kernel_arch.clone(),
        os: (kind == "kernel").then(|| "linux".to_owned()),
        compression: "none".to_owned(),
        load: Some(load),
        entry: (kind == "kernel").then_some(load),
        data: Cow::Borrowed(data),
    };
    let mut tree = fit::build::build(FitSpec {
        description: format!("{name} {} for {}", plan.product.version, plan.board.name),
        timestamp: options.timestamp,
        hash: options.algorithm.hash,
        images: vec![
            image("kernel", "kernel", plan.board.boot.kernel_address, kernel),
            image("fdt", "flat_dt", plan.board.boot.fdt_address, fdt),
        ],
        configurations: vec![Configuration {
            name: CONFIGURATION.to_owned(),
            description: name.clone(),
            compatible: Some(name.clone().into()),
            loads: ["kernel", "fdt"].map(|image| (image.to_owned(), vec![image.to_owned()])).to_vec(),
        }],
        default: Some(CONFIGURATION.to_owned()),
    })
    .map_err(|e| wrong_signing(&e))?;
    if let Some(version) = plan.signing.rollback_version {
        // The signature covers every property of the configuration's node.
        tree.root
            .child_or_new("configurations")
            .child_or_new(CONFIGURATION)
            .set_cell(ROLLBACK_VERSION, version);
    }
    fit::sign::sign(tree, &options, key.signer()).map_err(|e| wrong_signing(&e))
}

/// How everything of a product is signed.
pub(crate) fn sign_options(plan: &Plan) -> Outcome<SignOptions> {
    let timestamp = u32::try_from(plan.product.epoch).map_err(|_| {
        Failure::error(
            ExitStatus::Input,
            "epoch",
            format!("expected an epoch that a FIT can hold (32 bits), found {}", plan.product.epoch),
        )
        .hint("choose a date before 2106")
    })?;
    Ok(SignOptions {
        key_name: plan.signing.key.clone(),
        algorithm: algorithm(plan)?,
        padding: Padding::parse(&plan.signing.padding).map_err(|e| wrong_signing(&e))?,
        timestamp,
        node: "signature-1".to_owned(),
    })
}

/// U-Boot with its control FDT behind it: the board's FDT with the product's key, and no other.
///
/// # Errors
/// When the board's FDT is none, or U-Boot's end is not where a device tree may begin.
pub fn uboot(plan: &Plan, nodtb: &[u8], board: &[u8], key: &PublicKey) -> Outcome<Vec<u8>> {
    // With OF_SEPARATE the tree begins exactly at `_end`. U-Boot asks for 4 bytes (`fdtdec_prepare_fdt`), which is
    // what the linker script of 32-bit Arm gives; others give the 8 of the Devicetree Specification (5.6).
    let alignment = if plan.board.architecture == "armhf" { 4 } else { 8 };
    if nodtb.is_empty() || !nodtb.len().is_multiple_of(alignment) {
        return Err(Failure::error(
            ExitStatus::Build,
            "uboot-end",
            format!("expected U-Boot to end on a multiple of {alignment} bytes, found {} bytes", nodtb.len()),
        )
        .hint("its linker script must align `_end`; padding it would move the tree away from `_end`"));
    }
    Ok([nodtb, &control_fdt(plan, board, key)?].concat())
}

/// A control FDT: the board's with the product's keys, and no other.
///
/// # Errors
/// When the board's FDT is none.
pub(crate) fn control_fdt(plan: &Plan, board: &[u8], key: &PublicKey) -> Outcome<Vec<u8>> {
    let mut tree = Tree::parse(board).map_err(|e| wrong_tree(&e))?;
    // A key that somebody left in the board's tree would be trusted, too.
    tree.root.children.retain(|node| node.name != "signature");
    if let Some(chosen) = tree.root.child_mut("chosen") {
        for seed in SEEDS {
            chosen.unset(seed);
        }
    }
    let clean = tree.write().map_err(|e| wrong_tree(&e))?;
    let mut control = fit::control_fdt::insert_key(&clean, &plan.signing.key, algorithm(plan)?, &key.key)
        .map_err(|e| wrong_signing(&e))?;
    let others = trusted(plan)?;
    for other in &others {
        control = fit::control_fdt::insert_key(&control, &other.name, other.algorithm, &other.key)
            .map_err(|e| wrong_signing(&e))?;
    }
    if !others.is_empty() {
        control = fit::control_fdt::set_required_mode(&control, RequiredMode::Any)
            .map_err(|e| wrong_signing(&e))?;
    }
    Ok(control)
}

/// A key that U-Boot trusts beside the product's own.
pub struct Trusted {
    /// Its name.
    pub name: String,
    /// Algorithm of its signatures.
    pub algorithm: Algorithm,
    /// Its public half.
    pub key: fit::key::PublicKey,
    /// SHA-256 of that, as a key store has it.
    pub fingerprint: String,
}

/// The keys that the plan trusts beside the product's own.
///
/// # Errors
/// When one is no key or not of its algorithm, stands there under two names, or is published and this is a release.
pub fn trusted(plan: &Plan) -> Outcome<Vec<Trusted>> {
    let one = |trusted: &TrustedKeyPlan| {
        let key = fit::key::PublicKey::from_pem(&trusted.public).map_err(|e| {
            let message = format!("the key `{}` of `signing.also_trusts` cannot be used: {e}", trusted.key);
            Failure::error(ExitStatus::Keys, "key-format", message)
                .hint("expected RSA of 2048, 3072 or 4096 bits, or ECDSA on P-256 or P-384")
        })?;
        let fingerprint = key.fingerprint().map_err(|e| wrong_signing(&e))?;
        let own = plan.signing.known_keys.get(&fingerprint).map(String::as_str);
        if plan.signing.release
            && let Some(source) = own.or_else(|| KnownKeys::built_in().source(&fingerprint))
        {
            let message =
                format!("the key `{}`, which U-Boot would trust, is published: {source}", trusted.key);
            return Err(Failure::error(ExitStatus::Keys, "published-key", message)
                .hint("take it out of `signing.also_trusts`"));
        }
        let algorithm = Algorithm::parse(&trusted.algorithm).map_err(|e| wrong_signing(&e))?;
        let wanted = trusted.algorithm.rsplit(',').next().unwrap_or_default();
        if key.kind_name() != wanted {
            let (name, found) = (&trusted.key, key.kind_name());
            let message = format!(
                "expected a key for `{}` as `{name}` of `signing.also_trusts`, found {found}",
                trusted.algorithm
            );
            return Err(Failure::error(ExitStatus::Keys, "wrong-key", message)
                .hint("say its `algorithm` there: without one it is that of the product"));
        }
        Ok(Trusted { name: trusted.key.clone(), algorithm, key, fingerprint })
    };
    let all = plan.signing.also_trusts.iter().map(one).collect::<Outcome<Vec<_>>>()?;
    for (at, trusted) in all.iter().enumerate() {
        if let Some(first) = all[..at].iter().find(|other| other.fingerprint == trusted.fingerprint) {
            return Err(same_key(&first.name, &trusted.name));
        }
    }
    Ok(all)
}

/// One key under two names: whoever takes one of them away would believe it gone.
fn same_key(first: &str, second: &str) -> Failure {
    let message = format!("`{first}` and `{second}` are the same key");
    Failure::error(ExitStatus::Keys, "same-key", message)
        .hint("is the public half in `signing.also_trusts` the one that was meant? `fastness keys list` tells the fingerprints of a store")
}

/// Whether the keys of a plan can be what they are to be: `own` signs, the others are trusted beside it. Asked before anything is built.
///
/// # Errors
/// Those of [`KeyRecord::fits`](crate::keys::KeyRecord::fits) and of [`trusted`].
pub fn keys_fit(plan: &Plan, own: &crate::keys::KeyRecord) -> Outcome<()> {
    own.fits(&plan.signing)?;
    match trusted(plan)?.iter().find(|other| other.fingerprint == own.fingerprint) {
        Some(other) => Err(same_key(&own.name, &other.name)),
        None => Ok(()),
    }
}

fn algorithm(plan: &Plan) -> Outcome<Algorithm> {
    let known = |list: &[String], found: &str, what: &str| {
        if list.iter().any(|one| one == found) {
            return Ok(());
        }
        Err(Failure::error(
            ExitStatus::Input,
            "algorithm",
            format!("the board `{}` verifies {what} {}, found `{found}`", plan.board.name, list.join(" or ")),
        )
        .hint("change `signing` in the product"))
    };
    known(&plan.board.algorithms, &plan.signing.algorithm, "the algorithm")?;
    known(&plan.board.paddings, &plan.signing.padding, "the padding")?;
    Algorithm::parse(&plan.signing.algorithm).map_err(|e| wrong_signing(&e))
}

pub(crate) fn wrong_tree(error: &FitError) -> Failure {
    Failure::error(
        ExitStatus::Build,
        "device-tree",
        format!("the board's device tree cannot be used: {error}"),
    )
    .hint("build it again with `fastness build`")
}

pub(crate) fn wrong_signing(error: &FitError) -> Failure {
    if let Some(failure) = crate::keys::brought(error) {
        return failure;
    }
    if let FitError::Unsigned(_) = error {
        return Failure::error(ExitStatus::Keys, "signature-wanted", format!("the image is not signed yet: {error}"))
            .hint("sign with `fastness fit answer REQUEST` where the key is, bring the `.sig` back beside the request, and build again");
    }
    Failure::error(ExitStatus::Keys, "signing", format!("the boot chain cannot be signed: {error}"))
        .hint("check `signing` in the product and the key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{plan, signing_key};

    fn tree(build: impl FnOnce(&mut fit::fdt::Node<'static>)) -> Vec<u8> {
        let mut root = fit::fdt::Node::new("");
        build(&mut root);
        Tree { root, reserved: vec![], strings: vec![] }.write().unwrap()
    }

    #[test]
    fn the_kernels_tree_has_the_command_line_and_no_seed() {
        let board = tree(|root| {
            root.set_text("model", "board");
            root.child_or_new("chosen").set("kaslr-seed", vec![1; 8]);
            root.child_or_new("chosen").set("rng-seed", vec![1; 8]);
            root.child_or_new("chosen").set_text("bootargs", "init=/bin/sh");
        });
        let fdt = kernel_fdt(&board, "root=/dev/dm-0", None).unwrap();
        let parsed = Tree::parse(&fdt).unwrap();
        let chosen = parsed.root.child("chosen").unwrap();
        assert_eq!(chosen.text("bootargs"), Some("root=/dev/dm-0"));
        assert_eq!(chosen.properties.len(), 1);
        assert_eq!(parsed.root.text("model"), Some("board"));
        let text = kernel_fdt(b"not a tree", "x", None).unwrap_err().to_string();
        assert!(text.contains("the board's device tree cannot be used"), "{text}");
    }

    #[test]
    fn a_hart_that_cannot_run_linux_is_off() {
        let board = tree(|root| {
            let cpus = root.child_or_new("cpus");
            cpus.child_or_new("cpu@0").set_text("compatible", "riscv");
            let one = cpus.child_or_new("cpu@1");
            one.set_texts("compatible", &["sifive,u54", "riscv"]);
            one.set_text("mmu-type", "riscv,sv39");
            cpus.child_or_new("cpu-map").set("phandle", vec![0; 4]);
        });
        let fdt = kernel_fdt(&board, "x", None).unwrap();
        let parsed = Tree::parse(&fdt).unwrap();
        let status = |name: &str| parsed.root.child("cpus").unwrap().child(name).unwrap().text("status");
        assert_eq!(["cpu@0", "cpu@1", "cpu-map"].map(status), [Some("disabled"), None, None]);
    }

    #[test]
    fn the_control_tree_trusts_the_products_key_only() {
        let board = tree(|root| {
            root.child_or_new("signature").child_or_new("key-test").set_text("required", "conf");
        });
        let key = signing_key(0, "gw-dev");
        let binary = uboot(&plan(), &[7; 64], &board, &key.public()).unwrap();
        assert_eq!(binary[..64], [7; 64]);
        let control = fit::control_fdt::find_control(&binary).unwrap();
        assert_eq!(control.as_ptr(), binary[64..].as_ptr());
        let keys = fit::control_fdt::keys(control).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].node.as_str(), keys[0].required.as_deref()), ("key-gw-dev", Some("conf")));
        assert_eq!(keys[0].key.fingerprint().unwrap(), key.record.fingerprint);
    }

    #[test]
    fn the_signature_covers_the_rollback_version() {
        let (mut plan, key) = (plan(), signing_key(0, "gw-dev"));
        plan.signing.rollback_version = Some(7);
        let signed = signed_fit(&plan, b"kernel", &tree(|_| ()), &key).unwrap();
        let binary = uboot(&plan, &[7; 64], &tree(|_| ()), &key.public()).unwrap();
        let control = fit::control_fdt::find_control(&binary).unwrap();
        let verifies = |version: u32| {
            let mut parsed = Tree::parse(&signed).unwrap();
            let conf = parsed.root.child_mut("configurations").unwrap().child_mut(CONFIGURATION).unwrap();
            assert_eq!(conf.get(ROLLBACK_VERSION), Some(&[0, 0, 0, 7][..]));
            conf.set_cell(ROLLBACK_VERSION, version);
            let changed = parsed.write().unwrap();
            fit::verify::verify_with_control(&changed, control).unwrap().ok
        };
        assert!(verifies(7));
        assert!(!verifies(8));
    }

    #[test]
    fn while_a_key_is_replaced_either_is_enough() {
        let (own, next) = (signing_key(0, "gw-dev"), signing_key(1, "next"));
        let mut plan = plan();
        let trusted = TrustedKeyPlan {
            key: "next".into(),
            algorithm: plan.signing.algorithm.clone(),
            public: next.key.to_pem().unwrap(),
        };
        plan.signing.also_trusts = vec![trusted];
        let binary = uboot(&plan, &[7; 64], &tree(|_| ()), &own.public()).unwrap();
        let control = fit::control_fdt::find_control(&binary).unwrap();
        let keys = fit::control_fdt::keys(control).unwrap();
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["gw-dev", "next"]);
        assert!(keys.iter().all(|key| key.required.as_deref() == Some("conf")));
        assert_eq!(fit::control_fdt::required_mode(control).unwrap(), "any");
        // Images of either key verify, one of a third does not.
        for (key, good) in [(&own, true), (&next, true), (&signing_key(1, "third"), false)] {
            let mut signed = plan.clone();
            signed.signing.key = key.record.name.clone();
            let fit = signed_fit(&signed, b"kernel", &tree(|_| ()), key).unwrap();
            let report = fit::verify::verify_with_control(&fit, control).unwrap();
            assert_eq!(report.ok, good, "{}: {:?}", key.record.name, report.configurations);
        }
        plan.signing.known_keys.insert(next.record.fingerprint.clone(), "a sample".into());
        plan.signing.release = true;
        let text = uboot(&plan, &[7; 64], &tree(|_| ()), &own.public()).unwrap_err().to_string();
        assert!(text.contains("the key `next`, which U-Boot would trust, is published: a sample"), "{text}");
    }

    #[test]
    fn a_boot_loader_that_ends_anywhere_is_refused() {
        let key = signing_key(0, "gw-dev").public();
        let text = uboot(&plan(), &[7; 60], &tree(|_| ()), &key).unwrap_err();
        assert!(text.to_string().contains("a multiple of 8 bytes, found 60 bytes"), "{text}");
        let mut arm = plan();
        arm.board.architecture = "armhf".to_owned();
        assert!(uboot(&arm, &[7; 60], &tree(|_| ()), &key).is_ok());
        let text = uboot(&arm, &[7; 58], &tree(|_| ()), &key).unwrap_err();
        assert!(text.to_string().contains("a multiple of 4 bytes, found 58 bytes"), "{text}");
    }

    #[test]
    fn an_algorithm_that_the_board_does_not_verify_is_refused() {
        let mut plan = plan();
        plan.signing.padding = "pkcs-1.5".into();
        let failure = signed_fit(&plan, b"k", &tree(|_| ()), &signing_key(0, "gw-dev")).unwrap_err();
        assert!(failure.to_string().contains("verifies the padding pss, found `pkcs-1.5`"), "{failure}");
    }
}
