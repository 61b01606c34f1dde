//! The one entry of this room: plan and artefacts become a signed image.

mod boot_loader;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::check_interrupt;
use record::{
    Artefact, Artefacts, ImageRecord, PartitionRecord, Role, VendorRecord, sha256_file, sha256_hex,
    write_json_atomic,
};
use spec::plan::Plan;

use crate::cache::{file_name, remember, up_to_date, written};
use crate::disk::{Contents, refuse_too_large};
use crate::keys::SigningKey;
use crate::verity::{self, VerityTree, hex};
use crate::{board_tree, boot_chain, command_line, data_partition, disk, guid, place, readback};

/// Makes the image of a plan from its artefacts, in `folder` (the board's output folder, which holds the
/// artefacts' paths): `image/` and `image.json`.
///
/// An image that was made from the same inputs and was not touched is returned as it is. A new one is read
/// back with the public key only before it takes the old one's place; when anything fails, or the program is
/// killed, the old one stays. `progress` is told each step as it begins.
///
/// # Errors
/// `development-key` and `wrong-key` (the key does not fit the plan), `stale-artefacts`, `artefact-changed`,
/// `missing-artefact`, `no-room`, `cmdline-…`, `readback`, or when a file or tool fails.
pub fn assemble(
    plan: &Plan,
    artefacts: &Artefacts,
    folder: &Path,
    key: &SigningKey,
    progress: &dyn Fn(&str),
) -> Outcome<ImageRecord> {
    key.record.fits(&plan.signing)?;
    refuse_stale(plan, artefacts)?;
    if let Some(record) = up_to_date(plan, artefacts, &key.record, folder)? {
        progress("the image is up to date");
        return Ok(record);
    }
    let image = place::prepare(folder)?;
    let work = Work { plan, artefacts, folder, image, progress };
    match work.make_and_prove(key) {
        Ok(record) => {
            place::swap(folder)?;
            write_json_atomic(&folder.join("image.json"), &record)?;
            Ok(record)
        }
        Err(failure) => {
            // What went wrong matters more than whether the half image could be removed.
            let _ = place::discard(folder);
            Err(failure)
        }
    }
}

fn refuse_stale(plan: &Plan, artefacts: &Artefacts) -> Outcome<()> {
    let facts = [
        ("product", &artefacts.product, &plan.product.name),
        ("board", &artefacts.board, &plan.board.name),
        ("plan", &artefacts.plan_sha256, &plan.sha256()),
    ];
    for (what, found, expected) in facts {
        if found != expected {
            return Err(Failure::error(
                ExitStatus::Build,
                "stale-artefacts",
                format!("expected artefacts of the {what} `{expected}`, found those of `{found}`"),
            )
            .hint("build them again with `fastness build`"));
        }
    }
    Ok(())
}

/// One assembly under way.
struct Work<'a> {
    plan: &'a Plan,
    artefacts: &'a Artefacts,
    /// Holds the artefacts' paths.
    folder: &'a Path,
    /// Where the new files are written.
    image: PathBuf,
    progress: &'a dyn Fn(&str),
}

impl Work<'_> {
    fn step(&self, what: &str) -> Outcome<()> {
        check_interrupt()?;
        (self.progress)(what);
        Ok(())
    }

    fn make_and_prove(&self, key: &SigningKey) -> Outcome<ImageRecord> {
        let record = self.make(key)?;
        self.step("reading the image back with the public key")?;
        let staging = place::staging(self.folder);
        readback(self.plan, &record, &staging, &key.public())?;
        remember(self.plan, self.artefacts, &key.record, &record, &staging)?;
        check_interrupt()?;
        Ok(record)
    }

    fn make(&self, key: &SigningKey) -> Outcome<ImageRecord> {
        self.step("writing the dm-verity hash tree")?;
        let tree = self.verity()?;
        self.step("signing the kernel and its device tree")?;
        let root = guid(&self.plan.product.name, &self.plan.board.name, "root_a");
        let cmdline = command_line(self.plan, &tree, &root)?;
        self.boot_chain(&cmdline, key)?;
        self.fat()?;
        self.step("writing the disk image")?;
        let partitions = self.disk()?;
        self.record(key, &tree, cmdline, partitions)
    }

    fn verity(&self) -> Outcome<VerityTree> {
        let (path, artefact) = self.artefact(Role::Rootfs)?;
        let salt = verity::salt(&self.plan.product.name, &self.plan.product.version);
        let tree = verity::write(&path, &self.new_file(Role::RootfsVerity), &salt)?;
        if tree.data_sha256 != artefact.sha256 {
            return Err(changed(&path));
        }
        refuse_too_large(
            "the root file system with its hash tree",
            tree.bytes(),
            self.plan.storage.root_bytes,
            &format!("change `storage.root` in the board `{}`, or take packages out", self.plan.board.name),
        )?;
        Ok(tree)
    }

    fn boot_chain(&self, cmdline: &str, key: &SigningKey) -> Outcome<()> {
        let (plan, boot) = (self.plan, &self.plan.board.boot);
        let board = self.read(Role::DeviceTree)?;
        let device_tree = board_tree::board_tree(plan, &board)?;
        let fdt = boot_chain::kernel_fdt(
            &device_tree,
            cmdline,
            boot_chain::update_keys(plan, &key.public())?.as_deref(),
        )?;
        let fit = boot_chain::signed_fit(plan, &self.read(Role::Kernel)?, &fdt, key)
            .map_err(|failure| self.with_what_spl_wants(failure, key))?;
        let name = &plan.board.name;
        refuse_too_large(
            "what U-Boot reads of a FIT slot",
            boot.fit_bytes,
            plan.storage.fit_bytes,
            &format!("change `storage.fit` or `boot.fit_bytes` in the board `{name}`"),
        )?;
        refuse_too_large(
            "the signed FIT",
            fit.len() as u64,
            boot.fit_bytes,
            &format!(
                "change `boot.fit_bytes` and `storage.fit` in the board `{name}`, or make the kernel smaller"
            ),
        )?;
        self.write(Role::Fit, &fit)?;
        let nodtb = self.read(Role::UbootNodtb)?;
        let control = match &boot.spl {
            Some(facts) => self.spl(facts, &nodtb, key)?,
            // U-Boot's build has one of its own where no emulator gives the board's.
            None if self.artefacts.files.contains_key(&Role::UbootDeviceTree) => {
                self.read(Role::UbootDeviceTree)?
            }
            None => device_tree.into_owned(),
        };
        let uboot = boot_chain::uboot(plan, &nodtb, &control, &key.public())?;
        if boot.spl.is_none() {
            self.fits_in_flash("U-Boot with its control FDT", &uboot)?;
        }
        self.write(Role::Uboot, &uboot)
    }

    /// Where the kernel's signature is asked of another machine, SPL's FIT needs one, too: both are asked for, and one way there is enough.
    fn with_what_spl_wants(&self, mut failure: Failure, key: &SigningKey) -> Failure {
        let wanted = |failure: &Failure| failure.diagnostics.iter().all(|one| one.code == "signature-wanted");
        if let Some(facts) = self.plan.board.boot.spl.as_ref().filter(|_| wanted(&failure)) {
            let spl = self.read(Role::UbootNodtb).and_then(|nodtb| self.spl(facts, &nodtb, key));
            // What else is wrong is told when the kernel's is there.
            failure
                .diagnostics
                .extend(spl.err().filter(wanted).into_iter().flat_map(|more| more.diagnostics));
        }
        failure
    }

    /// What the boot ROM starts.
    fn fits_in_flash(&self, what: &str, bytes: &[u8]) -> Outcome<()> {
        let board = &self.plan.board;
        // A board without a boot flash says 0.
        if board.boot.flash_bytes == 0 {
            return Ok(());
        }
        let change = format!("change `boot.flash_bytes` in the board `{}`, or make it smaller", board.name);
        refuse_too_large(what, bytes.len() as u64, board.boot.flash_bytes, &change)
    }

    fn disk(&self) -> Outcome<Vec<PartitionRecord>> {
        let (data, fat) = (self.image.join("data.img"), self.image.join(boot_loader::FAT_FILE));
        data_partition::make(self.plan, &data, &self.folder.join("logs/data-partition.log"))?;
        let contents = Contents {
            uboot: &self.new_file(Role::UbootFit),
            spl: &self.new_file(Role::SplRom),
            fit: &self.new_file(Role::Fit),
            root: &self.new_file(Role::RootfsVerity),
            data: &data,
            fat: &fat,
        };
        let partitions = disk::write(self.plan, &contents, &self.new_file(Role::Disk))?;
        fs::remove_file(&data).map_err(|e| Failure::io("remove", &data, &e))?;
        if self.plan.board.boot.fat.is_some() {
            fs::remove_file(&fat).map_err(|e| Failure::io("remove", &fat, &e))?;
        }
        Ok(partitions)
    }

    fn record(
        &self,
        key: &SigningKey,
        tree: &VerityTree,
        cmdline: String,
        partitions: Vec<PartitionRecord>,
    ) -> Outcome<ImageRecord> {
        let mut files = BTreeMap::new();
        for role in [Role::UbootConfig, Role::KernelConfig] {
            // A copy: the next build replaces its artefacts before it is known whether it gets an image.
            let content = self.read(role)?;
            self.write(role, &content)?;
            let path = Path::new("image").join(file_name(role));
            files.insert(role, Artefact { path, ..self.artefact(role)?.1.clone() });
        }
        for role in written(self.plan) {
            let path = self.new_file(role);
            // On disk before the record is: after a power cut, a size and a time would say nothing.
            File::open(&path).and_then(|f| f.sync_all()).map_err(|e| Failure::io("write", &path, &e))?;
            let (sha256, bytes) = sha256_file(&path)?;
            files.insert(role, Artefact { path: Path::new("image").join(file_name(role)), sha256, bytes });
        }
        Ok(ImageRecord {
            schema_version: 1,
            product: self.plan.product.name.clone(),
            version: self.plan.product.version.clone(),
            board: self.plan.board.name.clone(),
            plan_sha256: self.artefacts.plan_sha256.clone(),
            files,
            vendor: self.artefacts.vendor.iter().map(recorded).collect(),
            key_mark: key.record.mark,
            key_name: key.record.name.clone(),
            key_fingerprint: key.record.fingerprint.clone(),
            algorithm: self.plan.signing.algorithm.clone(),
            padding: self.plan.signing.padding.clone(),
            verity_root_hash: hex(&tree.root_hash),
            verity_salt: hex(&tree.salt),
            verity_data_blocks: tree.data_blocks,
            cmdline,
            partitions,
            effective: self.artefacts.effective.clone(),
        })
    }

    fn artefact(&self, role: Role) -> Outcome<(PathBuf, &Artefact)> {
        let artefact = self.artefacts.files.get(&role).ok_or_else(|| {
            Failure::error(
                ExitStatus::Build,
                "missing-artefact",
                format!("the backend `{}` made no `{role:?}`", self.artefacts.backend),
            )
            .hint("build it again with `fastness build`")
        })?;
        Ok((self.folder.join(&artefact.path), artefact))
    }

    /// An artefact's content, if it is still what its record says.
    fn read(&self, role: Role) -> Outcome<Vec<u8>> {
        let (path, artefact) = self.artefact(role)?;
        read_same(&path, artefact)
    }

    /// A program of the board's maker, if it is still what its record says.
    fn vendor(&self, name: &str) -> Outcome<Vec<u8>> {
        let artefact = self.artefacts.vendor.get(name).ok_or_else(|| {
            let message = format!("the backend `{}` took no `{name}`", self.artefacts.backend);
            Failure::error(ExitStatus::Build, "missing-artefact", message)
                .hint("build it again with `fastness build`")
        })?;
        read_same(&self.folder.join(&artefact.path), artefact)
    }

    fn new_file(&self, role: Role) -> PathBuf {
        self.image.join(file_name(role))
    }

    fn write(&self, role: Role, bytes: &[u8]) -> Outcome<()> {
        let path = self.new_file(role);
        fs::write(&path, bytes).map_err(|e| Failure::io("write", &path, &e))
    }
}

fn read_same(path: &Path, artefact: &Artefact) -> Outcome<Vec<u8>> {
    let bytes = fs::read(path).map_err(|e| Failure::io("read", path, &e))?;
    if sha256_hex(&bytes) == artefact.sha256 { Ok(bytes) } else { Err(changed(path)) }
}

fn recorded((file, artefact): (&String, &Artefact)) -> (String, VendorRecord) {
    (file.clone(), VendorRecord { sha256: artefact.sha256.clone(), bytes: artefact.bytes })
}

fn changed(path: &Path) -> Failure {
    Failure::error(
        ExitStatus::Build,
        "artefact-changed",
        format!("`{}` is not the file that the backend made: its SHA-256 differs", path.display()),
    )
    .hint("build it again with `fastness build`")
}

#[cfg(test)]
mod boot_files_tests;
#[cfg(test)]
mod spl_tests;
#[cfg(test)]
mod tests;
