//! The update of a finished image: what a device in the field verifies, writes into its other slot, and tries.
//!
//! A tar archive (POSIX ustar) whose members lie at places that the signed manifest tells, so that a device needs no program that
//! takes archives apart (`templates/update/update.sh.hbs`, `docs/update.md`): the manifest, its signature by the product's key, a FIT for each
//! slot, since the signed command line names the root partition, and the root file system with its hash tree. Nothing is written under
//! the asked name that was not read back with the public key only.

use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use fit::fdt::Tree;
use fit::sign::Message;
use record::{ImageRecord, Role, sha256_file, sha256_hex};
use spec::guid::guid;
use spec::plan::Plan;

use crate::boot_chain::{self, sign_options, wrong_signing};
use crate::keys::{PublicKey, SigningKey};

/// Bytes of a header, and what members are filled up to.
const BLOCK: u64 = 512;
/// Bytes of the manifest: filled up with line feeds, so that what follows has a fixed place.
const MANIFEST: usize = 4096;
/// Where the signature's header lies.
const SIGNATURE_HEADER: u64 = BLOCK + MANIFEST as u64;
/// Longest signature: RSA-4096.
const LONGEST_SIGNATURE: u64 = BLOCK;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bundle {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Product, version and board that it is for.
    pub product: String,
    /// See `product`.
    pub version: String,
    /// See `product`.
    pub board: String,
    /// Lowest version that a device may have accepted before; 0 without one.
    pub rollback_version: u32,
    /// Name of the key that signed it.
    pub key: String,
}

/// One part that a device writes.
struct Part {
    name: &'static str,
    member: &'static str,
    bytes: u64,
    sha256: String,
}

/// Writes the update of the image in `folder` to `path`, whole or not at all.
///
/// # Errors
/// `no-updates` when the product takes none, `changed-image` when the image is not what its record says, those of the key, `no-room`
/// when no device could keep it, `readback` when what was written does not verify.
pub fn write(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    key: &SigningKey,
    path: &Path,
) -> Outcome<Bundle> {
    refuse_without_slots(plan)?;
    key.record.fits(&plan.signing)?;
    let public = key.public();
    let fit_a = unchanged(record, folder, Role::Fit)?;
    let root = folder.join(&artefact(record, Role::RootfsVerity)?.path);
    let (root_sha256, root_bytes) = sha256_file(&root)?;
    if root_sha256 != artefact(record, Role::RootfsVerity)?.sha256 {
        return Err(changed(&root));
    }
    let fit_b = for_slot_b(plan, record, &fit_a, key)?;
    let part = |name, member, bytes: &[u8]| Part {
        name,
        member,
        bytes: bytes.len() as u64,
        sha256: sha256_hex(bytes),
    };
    let parts = [
        part("fit_a", "fit_a.itb", &fit_a),
        part("fit_b", "fit_b.itb", &fit_b),
        Part { name: "root", member: "root.img", bytes: root_bytes, sha256: root_sha256 },
    ];
    // The signature's length is known only once there is one; what follows is behind the longest.
    let manifest = manifest(plan, &parts)?;
    let signature = signature(plan, &manifest, key)?;
    record::refuse_odd_place(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any file that this writes: who may read it, the umask says.
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(|e| Failure::io("write in", parent, &e))?;
    let writing = |e: &std::io::Error| Failure::io("write", path, e);
    let mut archive = tar::Builder::new(file.as_file_mut());
    let mut add = |name: &str, bytes: u64, content: &mut dyn Read| -> Outcome<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).map_err(|e| writing(&e))?;
        header.set_size(bytes);
        header.set_mode(0o644);
        header.set_mtime(plan.product.epoch);
        header.set_cksum();
        archive.append(&header, content).map_err(|e| writing(&e))
    };
    add("manifest", MANIFEST as u64, &mut manifest.as_bytes())?;
    add("manifest.sig", signature.len() as u64, &mut signature.as_slice())?;
    add(parts[0].member, parts[0].bytes, &mut fit_a.as_slice())?;
    add(parts[1].member, parts[1].bytes, &mut fit_b.as_slice())?;
    let mut root = File::open(&root).map_err(|e| Failure::io("read", &root, &e))?;
    add(parts[2].member, parts[2].bytes, &mut root)?;
    archive.finish().map_err(|e| writing(&e))?;
    drop(archive);
    file.as_file().sync_all().map_err(|e| writing(&e))?;
    let bytes = file.as_file().metadata().map_err(|e| writing(&e))?.len();
    if bytes > plan.storage.data_bytes {
        let message = format!(
            "the update has {bytes} bytes, and the data partition, where a device keeps it until it is installed, has {}",
            plan.storage.data_bytes
        );
        return Err(Failure::error(ExitStatus::Input, "no-room", message)
            .hint("change `storage.data` in the product; devices that are in the field keep theirs"));
    }
    read_back(plan, file.path(), &public).map_err(|why| unproved(&why))?;
    let (sha256, bytes) = sha256_file(file.path())?;
    file.persist(path).map_err(|e| writing(&e.error))?;
    Ok(Bundle {
        path: path.to_owned(),
        bytes,
        sha256,
        product: plan.product.name.clone(),
        version: plan.product.version.clone(),
        board: plan.board.name.clone(),
        rollback_version: plan.signing.rollback_version.unwrap_or(0),
        key: key.record.name.clone(),
    })
}

/// Refuses a product whose devices take no updates: before anybody is asked for a passphrase.
///
/// # Errors
/// `no-updates`.
pub fn refuse_without_slots(plan: &Plan) -> Outcome<()> {
    if plan.storage.misc_bytes > 0 {
        return Ok(());
    }
    let message =
        format!("the product `{}` takes no updates: its layer `update` is not on", plan.product.name);
    Err(Failure::error(ExitStatus::Input, "no-updates", message).hint(
        "add `layers: {update: {}}` to the product, and build it; the first devices get the whole disk image",
    ))
}

fn artefact(record: &ImageRecord, role: Role) -> Outcome<&record::Artefact> {
    record.files.get(&role).ok_or_else(|| {
        Failure::error(ExitStatus::Input, "changed-image", format!("the image has no `{role:?}`"))
            .hint("build it again with `fastness build`")
    })
}

fn changed(path: &Path) -> Failure {
    let message = format!("`{}` is not what the image's record says", path.display());
    Failure::error(ExitStatus::Check, "changed-image", message).hint("build it again with `fastness build`")
}

fn unchanged(record: &ImageRecord, folder: &Path, role: Role) -> Outcome<Vec<u8>> {
    let artefact = artefact(record, role)?;
    let path = folder.join(&artefact.path);
    let bytes = std::fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
    if sha256_hex(&bytes) == artefact.sha256 { Ok(bytes) } else { Err(changed(&path)) }
}

/// The same kernel, whose signed command line names the other root partition.
fn for_slot_b(plan: &Plan, record: &ImageRecord, fit: &[u8], key: &SigningKey) -> Outcome<Vec<u8>> {
    let broken = |why: &str| {
        Failure::error(ExitStatus::Check, "changed-image", format!("the image's FIT cannot be used: {why}"))
            .hint("build it again with `fastness build`")
    };
    let tree = Tree::parse(fit).map_err(|e| broken(&e.to_string()))?;
    let data = |image: &str| tree.root.at(&format!("/images/{image}"))?.get("data");
    let (Some(kernel), Some(fdt)) = (data("kernel"), data("fdt")) else {
        return Err(broken("it has no kernel or no device tree"));
    };
    let mut fdt = Tree::parse(fdt).map_err(|e| broken(&e.to_string()))?;
    let id = |slot| format!("PARTUUID={}", guid(&plan.product.name, &plan.board.name, slot));
    let cmdline = record.cmdline.replace(&id("root_a"), &id("root_b"));
    let chosen = fdt.root.child_or_new("chosen");
    if chosen.text("bootargs") != Some(&record.cmdline) || cmdline == record.cmdline {
        return Err(broken("its command line is not that of the record"));
    }
    chosen.set_text("bootargs", &cmdline);
    let fdt = fdt.write().map_err(|e| broken(&e.to_string()))?;
    boot_chain::signed_fit(plan, kernel, &fdt, key)
}

/// What is signed: lines, filled up.
fn manifest(plan: &Plan, parts: &[Part]) -> Outcome<String> {
    let mut text = format!(
        "fastness-update=1\nproduct={}\nboard={}\nversion={}\nrollback={}\n",
        plan.product.name,
        plan.board.name,
        plan.product.version,
        plan.signing.rollback_version.unwrap_or(0)
    );
    let mut offset = SIGNATURE_HEADER + BLOCK + LONGEST_SIGNATURE;
    for part in parts {
        offset += BLOCK;
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}={offset} {} {}", part.name, part.bytes, part.sha256);
        offset += part.bytes.next_multiple_of(BLOCK);
    }
    if text.len() > MANIFEST {
        let message = format!("the manifest of the update has {} bytes, and {MANIFEST} is most", text.len());
        return Err(Failure::error(ExitStatus::Input, "no-room", message).hint("shorten the product's name"));
    }
    text.push_str(&"\n".repeat(MANIFEST - text.len()));
    Ok(text)
}

/// The manifest's signature, as `openssl dgst` takes it.
fn signature(plan: &Plan, manifest: &str, key: &SigningKey) -> Outcome<Vec<u8>> {
    let options = sign_options(plan)?;
    let message =
        Message { hash: options.algorithm.hash, padding: options.padding, parts: &[manifest.as_bytes()] };
    let signature = key.signer().sign(&message).map_err(|e| wrong_signing(&e))?;
    key.key.exported(&signature).ok_or_else(|| unproved("the signature has not the length of one"))
}

fn unproved(why: &str) -> Failure {
    Failure::error(ExitStatus::Check, "readback", format!("the finished update does not verify: {why}"))
        .hint("nothing was written; run it again, and report this if it stays")
}

/// Reads an update as a device does, and more: both FITs verify, and each command line names the root partition of its slot.
fn read_back(plan: &Plan, path: &Path, key: &PublicKey) -> Result<(), String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let mut at = |offset: u64, bytes: u64| -> Result<Vec<u8>, String> {
        file.seek(SeekFrom::Start(offset)).map_err(|e| e.to_string())?;
        let mut found = Vec::new();
        Read::by_ref(&mut file).take(bytes).read_to_end(&mut found).map_err(|e| e.to_string())?;
        if found.len() as u64 == bytes { Ok(found) } else { Err("it ends too early".to_owned()) }
    };
    let manifest = at(BLOCK, MANIFEST as u64)?;
    let size = String::from_utf8(at(SIGNATURE_HEADER + 124, 11)?).map_err(|e| e.to_string())?;
    let size = u64::from_str_radix(&size, 8).map_err(|e| format!("the signature's size: {e}"))?;
    let signature = at(SIGNATURE_HEADER + BLOCK, size)?;
    let options = sign_options(plan).map_err(|failure| failure.to_string())?;
    let hash = options.algorithm.hash;
    if key.key.accepted(hash, options.padding, &hash.digest(&[&manifest]), &signature).is_none() {
        return Err("its signature is not one of the key over the manifest".to_owned());
    }
    let text = String::from_utf8(manifest).map_err(|e| e.to_string())?;
    for (name, slot) in [("fit_a", "root_a"), ("fit_b", "root_b"), ("root", "")] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let line = line.ok_or_else(|| format!("it has no part `{name}`"))?;
        let words: Vec<&str> = line.split(' ').collect();
        let [offset, bytes, sha256] = words[..] else { return Err(format!("the part `{name}` is `{line}`")) };
        let number = |text: &str| text.parse::<u64>().map_err(|e| format!("the part `{name}`: {e}"));
        let content = at(number(offset)?, number(bytes)?)?;
        if sha256_hex(&content) != sha256 {
            return Err(format!("the part `{name}` has not the hash of the manifest"));
        }
        if !slot.is_empty() {
            verified_fit(plan, &content, key, slot).map_err(|why| format!("the part `{name}`: {why}"))?;
        }
    }
    Ok(())
}

fn verified_fit(plan: &Plan, fit: &[u8], key: &PublicKey, slot: &str) -> Result<(), String> {
    let options = sign_options(plan).map_err(|failure| failure.to_string())?;
    let trusted = fit::control_fdt::KeyNode::required(&options.key_name, options.algorithm, key.key.clone());
    let report = fit::verify::verify(fit, &[trusted], false).map_err(|e| e.to_string())?;
    if let Some(problem) = report.all_problems().next() {
        return Err(problem.message.clone());
    }
    let tree = Tree::parse(fit).map_err(|e| e.to_string())?;
    let fdt = tree.root.at("/images/fdt").and_then(|node| node.get("data")).ok_or("it has no device tree")?;
    let fdt = Tree::parse(fdt).map_err(|e| e.to_string())?;
    let cmdline = fdt.root.child("chosen").and_then(|chosen| chosen.text("bootargs")).unwrap_or_default();
    let wanted = format!("dm-mod.waitfor=PARTUUID={}", guid(&plan.product.name, &plan.board.name, slot));
    if cmdline.split(' ').any(|word| word == wanted) {
        Ok(())
    } else {
        Err(format!("its command line is `{cmdline}`"))
    }
}

#[cfg(test)]
mod tests;
