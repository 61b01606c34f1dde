//! Reads a finished image back, from the disk and the boot loader alone, with the public key only.
//!
//! It believes nothing that the writer remembers: the command line comes from the FIT that the disk's
//! partition holds, the verity table from that command line, the trusted key from the boot loader's own control
//! FDT. Only then is all that compared with the record and the plan.

mod boot_files;

use std::fs;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use fit::control_fdt::KeyNode;
use fit::fdt::Tree;
use image::Source;
use image::disk::{ALIGNMENT, Disk};
use image::verity::{Params, Verdict, verify};
use record::{ImageRecord, Role, sha256_hex};
use spec::plan::{Plan, SplFacts};

use crate::boot_chain::{CONFIGURATION, ROLLBACK_VERSION, Trusted, trusted};
use crate::keys::PublicKey;
use crate::verity::hex;

/// Longer boot loaders are not read.
const LARGEST_UBOOT: u64 = 256 << 20;

/// Verifies the image in `folder` (which holds the record's paths) as the device will.
///
/// # Errors
/// `readback` with what does not hold; the image must not be used then.
pub fn readback(plan: &Plan, record: &ImageRecord, folder: &Path, key: &PublicKey) -> Outcome<()> {
    check(plan, record, folder, key).map_err(|why| {
        Failure::error(ExitStatus::Check, "readback", format!("the finished image does not verify: {why}"))
            .hint("the image was not put in place; run `fastness build` again, and report this if it stays")
    })
}

fn check(plan: &Plan, record: &ImageRecord, folder: &Path, key: &PublicKey) -> Result<(), String> {
    let path = |role: Role| {
        let artefact = record.files.get(&role).ok_or_else(|| format!("the record has no `{role:?}`"))?;
        Ok::<_, String>(folder.join(&artefact.path))
    };
    let disk = Disk::open(&path(Role::Disk)?).map_err(|e| e.to_string())?;
    same_partitions(&disk, record)?;

    let uboot = Source::open(&path(Role::Uboot)?).map_err(|e| e.to_string())?;
    if uboot.len() > LARGEST_UBOOT {
        return Err(format!("the boot loader has {} bytes", uboot.len()));
    }
    let uboot = uboot.read_vec(0, uboot.len()).map_err(|e| e.to_string())?;
    let control = trusted_control(&uboot, plan, key)?;
    let mut spl = None;
    if let Some(facts) = &plan.board.boot.spl {
        let file = fs::read(path(Role::Spl)?).map_err(|e| format!("SPL cannot be read: {e}"))?;
        // An SPL without a key compares hashes alone; that the FIT is the product's, U-Boot's own key tells.
        let trusts = if facts.verifies { trusted_control(&file, plan, key)? } else { control };
        started_by_spl(&disk, trusts, &uboot)?;
        monitor_of_its_maker(&disk, facts, record)?;
        spl = Some(file);
    }
    let loaders = boot_files::Loaders { spl: spl.as_deref(), uboot: &uboot };
    boot_files::check(&path(Role::Disk)?, &disk, plan, record, &loaders)?;

    let slot = disk.named("fit_a").map_err(|e| e.to_string())?;
    if slot.len() < plan.board.boot.fit_bytes {
        return Err(format!(
            "U-Boot reads {} bytes of `fit_a`, which has {}",
            plan.board.boot.fit_bytes,
            slot.len()
        ));
    }
    let blob = slot.read_vec(0, plan.board.boot.fit_bytes).map_err(|e| e.to_string())?;
    let cmdline = verified_cmdline(&blob, control, plan)?;
    if cmdline != record.cmdline {
        return Err(format!("the signed command line is `{cmdline}`, the record says `{}`", record.cmdline));
    }
    verified_root(&disk, &cmdline, record)?;

    let data = disk.named("data").map_err(|e| e.to_string())?;
    data_as_planned(&data, plan)?;
    files_unchanged(record, folder)
}

/// What SPL reads of the disk verifies with its own control FDT, and is the shipped U-Boot: its code, then its control FDT.
fn started_by_spl(disk: &Disk, control: &[u8], uboot: &[u8]) -> Result<(), String> {
    let partition = disk.named("uboot").map_err(|e| e.to_string())?;
    let first = disk.partitions().first().map(|p| (p.name.as_str(), p.offset));
    if first != Some(("uboot", ALIGNMENT)) {
        return Err(format!("SPL reads {ALIGNMENT} bytes behind the disk's start, where {first:?} is"));
    }
    let blob = partition.read_vec(0, partition.len()).map_err(|e| e.to_string())?;
    let report = fit::verify::verify_with_control(&blob, control).map_err(|e| e.to_string())?;
    if !report.ok {
        return Err(format!("SPL would refuse its FIT: {:?}", report.configurations));
    }
    let tree = Tree::parse(&blob).map_err(|e| e.to_string())?;
    let data = |image: &str| tree.root.child("images")?.child(image)?.get("data");
    match (data("uboot"), data("fdt")) {
        (Some(code), Some(fdt)) if [code, fdt].concat() == uboot => Ok(()),
        _ => Err("what SPL starts is not the shipped U-Boot".to_owned()),
    }
}

/// A monitor that is the maker's is that of the record.
fn monitor_of_its_maker(disk: &Disk, facts: &SplFacts, record: &ImageRecord) -> Result<(), String> {
    let Some(name) = facts.monitor.as_ref().and_then(|monitor| monitor.vendor.as_ref()) else {
        return Ok(());
    };
    let partition = disk.named("uboot").map_err(|e| e.to_string())?;
    let blob = partition.read_vec(0, partition.len()).map_err(|e| e.to_string())?;
    let tree = Tree::parse(&blob).map_err(|e| e.to_string())?;
    let found = tree.root.at("/images/monitor").and_then(|node| node.get("data"));
    let planned = record.vendor.get(name).map(|program| &program.sha256);
    if found.map(sha256_hex).as_ref() == planned && planned.is_some() {
        return Ok(());
    }
    Err(format!("the monitor that SPL starts is not the maker's `{name}`"))
}

/// A plain data partition holds a file system; one that the device will seal holds nothing.
fn data_as_planned(data: &Source, plan: &Plan) -> Result<(), String> {
    if plan.storage.sealed.is_none() {
        let mut magic = [0; 2];
        // s_magic of the superblock (fs/ext4/ext4.h).
        data.read_at(1024 + 0x38, &mut magic).map_err(|e| e.to_string())?;
        if magic != [0x53, 0xef] {
            return Err("the partition `data` holds no ext4 file system".to_owned());
        }
        return Ok(());
    }
    let mut piece = vec![0; 1 << 20];
    for at in (0..data.len()).step_by(piece.len()) {
        let bytes = usize::try_from(data.len() - at).unwrap_or(usize::MAX).min(piece.len());
        data.read_at(at, &mut piece[..bytes]).map_err(|e| e.to_string())?;
        if piece[..bytes].iter().any(|byte| *byte != 0) {
            return Err("the partition `data`, which the device is to seal, is not empty".to_owned());
        }
    }
    Ok(())
}

fn same_partitions(disk: &Disk, record: &ImageRecord) -> Result<(), String> {
    let found: Vec<_> = disk
        .partitions()
        .iter()
        .map(|p| (p.name.clone(), p.part_guid.to_string(), p.offset, p.bytes))
        .collect();
    let expected: Vec<_> =
        record.partitions.iter().map(|p| (p.name.clone(), p.guid.clone(), p.offset, p.bytes)).collect();
    if found == expected {
        return Ok(());
    }
    Err(format!("expected the partitions {expected:?}, found {found:?}"))
}

/// The control FDT of the shipped boot loader, if it trusts exactly the given key.
fn trusted_control<'a>(uboot: &'a [u8], plan: &Plan, key: &PublicKey) -> Result<&'a [u8], String> {
    let control = fit::control_fdt::find_control(uboot).map_err(|e| e.to_string())?;
    let keys = fit::control_fdt::keys(control).map_err(|e| e.to_string())?;
    let others = trusted(plan).map_err(|failure| failure.to_string())?;
    let [one, rest @ ..] = &keys[..] else {
        return Err("the control FDT has no key".to_owned());
    };
    same_others(rest, &others)?;
    let fingerprint = one.key.fingerprint().map_err(|e| e.to_string())?;
    if fingerprint != key.record.fingerprint {
        return Err(format!(
            "the control FDT trusts the key {fingerprint}, expected {}",
            key.record.fingerprint
        ));
    }
    if one.required.as_deref() != Some("conf")
        || one.algo != plan.signing.algorithm
        || one.name != plan.signing.key
    {
        return Err(format!(
            "the control FDT has the key `{}` for `{}`, required {:?}; expected `{}` for `{}`, required for `conf`",
            one.name, one.algo, one.required, plan.signing.key, plan.signing.algorithm
        ));
    }
    let wanted = if others.is_empty() { "all" } else { "any" };
    match fit::control_fdt::required_mode(control) {
        Ok(mode) if mode == wanted => Ok(control),
        Ok(mode) => Err(format!("the control FDT has the required mode `{mode}`, expected `{wanted}`")),
        Err(e) => Err(e.to_string()),
    }
}

/// Whether the keys beside the product's own are exactly those that the plan trusts, too.
fn same_others(found: &[KeyNode], planned: &[Trusted]) -> Result<(), String> {
    if found.len() != planned.len() {
        return Err(format!("the control FDT has {} keys, expected {}", found.len() + 1, planned.len() + 1));
    }
    for (key, planned) in found.iter().zip(planned) {
        let fingerprint = key.key.fingerprint().map_err(|e| e.to_string())?;
        if key.name != planned.name
            || key.algo != planned.algorithm.name()
            || key.required.as_deref() != Some("conf")
            || fingerprint != planned.fingerprint
        {
            return Err(format!(
                "the control FDT trusts the key `{}` ({fingerprint}), expected `{}` ({})",
                key.name, planned.name, planned.fingerprint
            ));
        }
    }
    Ok(())
}

/// The command line of the FIT's only configuration, after its signature verified.
fn verified_cmdline(blob: &[u8], control: &[u8], plan: &Plan) -> Result<String, String> {
    let report = fit::verify::verify_with_control(blob, control).map_err(|e| e.to_string())?;
    // What may pass in a stranger's FIT has no place in one of ours.
    let problems: Vec<&str> =
        report.all_problems().chain(&report.warnings).map(|p| p.message.as_str()).collect();
    if !report.ok || !problems.is_empty() {
        return Err(format!("the FIT on the disk is refused: {}", problems.join("; ")));
    }
    let [configuration] = &report.configurations[..] else {
        return Err(format!("the FIT has {} configurations, expected one", report.configurations.len()));
    };
    let images: Vec<&str> = configuration.images.iter().map(|image| image.name.as_str()).collect();
    if configuration.name != CONFIGURATION
        || configuration.signed_by != [plan.signing.key.clone()]
        || images != ["kernel", "fdt"]
    {
        return Err(format!(
            "the configuration `{}` with {images:?} is signed by {:?}; expected `{CONFIGURATION}` with kernel and \
             fdt, signed by `{}`",
            configuration.name, configuration.signed_by, plan.signing.key
        ));
    }
    let fit = Tree::parse(blob).map_err(|e| e.to_string())?;
    let data =
        fit.root.at("/images/fdt").and_then(|node| node.get("data")).ok_or("the FIT's `fdt` has no data")?;
    let fdt = Tree::parse(data).map_err(|e| e.to_string())?;
    rollback_version(&fit, plan.signing.rollback_version)?;
    let chosen = fdt.root.child("chosen").ok_or("the kernel's FDT has no `/chosen`")?;
    if chosen.get("kaslr-seed").is_some() || chosen.get("rng-seed").is_some() {
        return Err("the kernel's FDT carries a seed that would be the same on every device".to_owned());
    }
    chosen.text("bootargs").map(str::to_owned).ok_or_else(|| "the kernel's FDT has no `bootargs`".to_owned())
}

/// Whether the signed configuration carries the planned version, or none.
fn rollback_version(fit: &Tree<'_>, planned: Option<u32>) -> Result<(), String> {
    let conf = fit.root.child("configurations").and_then(|node| node.child(CONFIGURATION));
    let found = conf.and_then(|node| node.get(ROLLBACK_VERSION));
    if found == planned.map(u32::to_be_bytes).as_ref().map(|bytes| &bytes[..]) {
        return Ok(());
    }
    Err(format!("the signed configuration carries the rollback version {found:?}, the plan says {planned:?}"))
}

/// The verity table of a command line.
struct Table {
    guid: String,
    params: Params,
    root: [u8; 32],
}

fn parse_table(cmdline: &str) -> Result<Table, String> {
    let wrong = |what: &str| format!("the signed command line has {what}: `{cmdline}`");
    let mut pieces = cmdline.split("dm-mod.create=\"");
    let table = match (pieces.nth(1), pieces.next()) {
        (Some(rest), None) => rest.split('"').next().unwrap_or_default(),
        _ => return Err(wrong("not exactly one `dm-mod.create`")),
    };
    let target = table.strip_prefix("root,,,ro,").ok_or_else(|| wrong("no read-only device `root`"))?;
    let words: Vec<&str> = target.split(' ').collect();
    let [
        "0",
        sectors,
        "verity",
        "1",
        data,
        hash,
        "4096",
        "4096",
        blocks,
        start,
        "sha256",
        root,
        salt,
        "1",
        "panic_on_corruption",
    ] = words[..]
    else {
        return Err(wrong("no verity table of the expected form"));
    };
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong("a number that is none"));
    let (sectors, data_blocks) = (number(sectors)?, number(blocks)?);
    if data_blocks.checked_mul(8) != Some(sectors) || data != hash {
        return Err(wrong("a verity table that does not fit itself"));
    }
    Ok(Table {
        guid: data.strip_prefix("PARTUUID=").ok_or_else(|| wrong("no `PARTUUID=`"))?.to_owned(),
        params: Params {
            hash_type: 1,
            data_block_bytes: 4096,
            hash_block_bytes: 4096,
            data_blocks,
            hash_start_block: number(start)?,
            salt: unhex(salt).ok_or_else(|| wrong("a salt that is no hexadecimal number"))?,
        },
        root: unhex(root).and_then(|r| r.try_into().ok()).ok_or_else(|| wrong("a root hash that is none"))?,
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

fn verified_root(disk: &Disk, cmdline: &str, record: &ImageRecord) -> Result<(), String> {
    let table = parse_table(cmdline)?;
    if hex(&table.root) != record.verity_root_hash || table.params.data_blocks != record.verity_data_blocks {
        return Err("the signed root hash is not that of the record".to_owned());
    }
    let mut named = disk.partitions().iter().filter(|p| p.part_guid.to_string() == table.guid);
    let (Some(partition), None) = (named.next(), named.next()) else {
        return Err(format!("expected one partition `{}` on the disk", table.guid));
    };
    let contents = disk.contents(partition).map_err(|e| e.to_string())?;
    match verify(&contents, &contents, &table.params, &table.root).map_err(|e| e.to_string())? {
        Verdict::Intact { .. } => Ok(()),
        Verdict::Corrupt(bad) => Err(format!(
            "the root partition does not give the signed root hash: {} block {} differs",
            if bad.level.is_some() { "hash" } else { "data" },
            bad.block
        )),
    }
}

/// The separate files are the bytes of the partitions.
fn files_unchanged(record: &ImageRecord, folder: &Path) -> Result<(), String> {
    let spl = record.files.contains_key(&Role::UbootFit).then_some((Role::UbootFit, "uboot"));
    for (role, partition) in [(Role::Fit, "fit_a"), (Role::RootfsVerity, "root_a")].into_iter().chain(spl) {
        let artefact = record.files.get(&role).ok_or_else(|| format!("the record has no `{role:?}`"))?;
        let expected = record.partitions.iter().find(|p| p.name == partition).map(|p| p.sha256.as_str());
        let path = folder.join(&artefact.path);
        let bytes = fs::metadata(&path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?.len();
        if expected != Some(&artefact.sha256) || bytes != artefact.bytes {
            return Err(format!(
                "`{}` is not what the partition `{partition}` holds",
                artefact.path.display()
            ));
        }
    }
    let artefact = record.files.get(&Role::Uboot).ok_or("the record has no boot loader")?;
    let path = folder.join(&artefact.path);
    let uboot = fs::read(&path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
    if sha256_hex(&uboot) != artefact.sha256 {
        return Err(format!("`{}` is not the file of the record", artefact.path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_another_form_is_refused() {
        let good =
            "dm-mod.create=\"root,,,ro,0 80 verity 1 PARTUUID=G PARTUUID=G 4096 4096 10 10 sha256 ROOT 00 1 \
                    panic_on_corruption\""
                .replace("ROOT", &"ab".repeat(32));
        assert_eq!(parse_table(&good).map(|t| (t.guid, t.root)).ok(), Some(("G".to_owned(), [0xab; 32])));
        for (from, to, expected) in [
            ("panic_on", "ignore", "no verity table of the expected form"),
            ("0 80", "0 88", "does not fit itself"),
            ("root,,,ro", "root,,,rw", "no read-only device"),
            ("dm-mod.create", "dm-mod.nothing", "not exactly one"),
            ("abab", "ab", "a root hash that is none"),
            ("sha256", "sha1", "no verity table of the expected form"),
        ] {
            let Err(why) = parse_table(&good.replacen(from, to, 1)) else { panic!("{from} -> {to}") };
            assert!(why.contains(expected), "{why}");
        }
        assert!(parse_table(&format!("{good} {good}")).is_err());
    }
}
