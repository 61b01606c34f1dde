//! The boot loader's files of an assembly: SPL with its FIT and the boot ROM's header, and a FAT file system.

use std::fs;

use diag::{ExitStatus, Failure, Outcome};
use record::Role;
use spec::guid::guid;
use spec::plan::{FatFileFacts, RomFacts, SplFacts};

use super::Work;
use crate::disk::refuse_too_large;
use crate::keys::SigningKey;
use crate::spl::{self, Started};
use crate::{behind, boot_chain, fat, rom};

/// The content of the FAT partition, before it is on the disk.
pub const FAT_FILE: &str = "boot.fat";

impl Work<'_> {
    /// SPL and the FIT that it verifies; returns U-Boot's control FDT without a key.
    pub(super) fn spl(&self, facts: &SplFacts, uboot: &[u8], key: &SigningKey) -> Outcome<Vec<u8>> {
        let device_tree = spl::with_memory(self.plan, self.read(Role::UbootDeviceTree)?)?;
        let monitor = facts.monitor.as_ref().map(|monitor| match &monitor.vendor {
            Some(name) => self.vendor(name),
            None => self.read(Role::Monitor),
        });
        let monitor = monitor.transpose()?;
        let started = Started { monitor: monitor.as_deref(), uboot, device_tree: &device_tree };
        let fit = spl::uboot_fit(self.plan, facts, &started, key)?;
        refuse_too_large(
            "the signed FIT of the boot loader",
            fit.len() as u64,
            facts.room,
            &format!("change `boot.spl.room` in the board `{}`", self.plan.board.name),
        )?;
        self.write(Role::UbootFit, &fit)?;
        let nodtb = self.read(Role::SplNodtb)?;
        let spl = if facts.verifies {
            let control = spl::with_memory(self.plan, self.read(Role::SplDeviceTree)?)?;
            boot_chain::uboot(self.plan, &nodtb, &control, &key.public())?
        } else {
            nodtb
        };
        self.fits_in_flash("SPL with its control FDT", &spl)?;
        self.write(Role::Spl, &spl)?;
        if let Some(rom) = &facts.rom {
            self.for_boot_rom(facts, rom, spl)?;
        }
        Ok(device_tree)
    }

    /// SPL in the boot ROM's header, with what of the maker's programs stands in the same file.
    fn for_boot_rom(&self, facts: &SplFacts, rom: &RomFacts, spl: Vec<u8>) -> Outcome<()> {
        let board = &self.plan.board.name;
        let behind = facts.behind.iter().map(|one| Ok((one, self.vendor(&one.vendor)?)));
        let spl = behind::join(spl, &behind.collect::<Outcome<Vec<_>>>()?);
        let first = rom.first.as_ref().map(|name| self.vendor(name)).transpose()?;
        let wrapped = rom::wrap(rom, first.as_deref(), &spl)?;
        if let Some(end) = rom.end {
            refuse_too_large(
                "what the boot ROM puts into memory, SPL with all that stands behind it,",
                rom::in_memory(rom, &spl)?,
                end.saturating_sub(rom.address),
                &format!("make SPL of the board `{board}` smaller, or look at the maker's programs"),
            )?;
        }
        for place in &rom.places {
            refuse_too_large(
                "SPL with the boot ROM's header",
                wrapped.len() as u64,
                place.room,
                &format!("change `boot.spl.rom` in the board `{board}`, or make SPL smaller"),
            )?;
        }
        self.write(Role::SplRom, &wrapped)
    }

    /// The FAT file system of the board, where it has one, and the one in it that a person signs.
    pub(super) fn fat(&self) -> Outcome<()> {
        let Some(facts) = &self.plan.board.boot.fat else { return Ok(()) };
        let files = facts.files.iter().map(|file| Ok((file.name.clone(), self.fat_file(file)?)));
        let mut files = files.collect::<Outcome<Vec<_>>>()?;
        if let Some(image) = &facts.image {
            let content = fat::write(image.room, self.fat_id(&image.name), &files)?;
            self.write(Role::BootImage, &content)?;
            files.push((image.name.clone(), content));
        }
        let volume = fat::write(facts.room, self.fat_id(&facts.partition), &files)?;
        let path = self.image.join(FAT_FILE);
        fs::write(&path, volume).map_err(|e| Failure::io("write", &path, &e))
    }

    /// The identity of a file system: of its own, and the same on every build.
    fn fat_id(&self, name: &str) -> u32 {
        let guid = guid(&self.plan.product.name, &self.plan.board.name, name);
        guid.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default()
    }

    fn fat_file(&self, file: &FatFileFacts) -> Outcome<Vec<u8>> {
        let made = |role| {
            let path = self.new_file(role);
            fs::read(&path).map_err(|e| Failure::io("read", &path, &e))
        };
        match (file.holds.as_str(), &file.text) {
            ("vendor", _) => self.vendor(&file.name),
            ("spl", _) => made(Role::SplRom),
            ("u-boot", _) => made(Role::Uboot),
            ("text", Some(text)) => Ok(text.clone().into_bytes()),
            (other, _) => {
                let message = format!(
                    "expected `vendor`, `spl`, `u-boot` or `text` with its text for `{}`, found `{other}`",
                    file.name
                );
                Err(Failure::error(ExitStatus::Input, "unclear-fat", message)
                    .hint("generate the plan anew with this program"))
            }
        }
    }
}
