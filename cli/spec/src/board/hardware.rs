//! What only real hardware has: a first stage that is not U-Boot, places that a boot ROM reads, fuses.
//!
//! The commands of a root of trust are for people to read and to run. Nothing here runs one, and nothing of
//! Fastness burns a fuse.

use crate::decode::{choice, model};
use crate::plan::{
    DeviceTreeFacts, FirstStageFacts, RomPlaceFacts, SplFacts, TrustAnchorFacts, TrustFacts, TrustStepFacts,
};
use crate::types::{AbsPath, PackageName, Size, Text, Word};

model! {
    /// A program that runs before U-Boot and stays in the same file, from a package of the suite.
    pub struct FirstStage {
        /// Debian package that has it.
        package: PackageName,
        /// Its path in the package.
        file: AbsPath,
        /// Where U-Boot begins behind it, in bytes; what is between is zero.
        uboot_offset: Size,
    }
}

model! {
    /// U-Boot's SPL, which the boot ROM starts, and what SPL verifies and starts: a FIT with the board's monitor and U-Boot, in the
    /// disk's first partition. SPL reads it by its place, 1 MiB behind the start, whatever the partition table says.
    pub struct Spl {
        /// Debian package that has the monitor, such as `opensbi`.
        package: PackageName,
        /// Its path in the package.
        file: AbsPath,
        /// Where SPL puts and enters the monitor: a physical address.
        monitor_address: Size,
        /// Where SPL puts U-Boot: the address that it is linked to.
        uboot_address: Size,
        /// Size of that partition.
        room: Size,
    }
}

model! {
    /// The device trees of a board that no emulator gives.
    pub struct DeviceTreeFiles {
        /// Linux's, below `arch/ARCH/boot/dts`, such as `freescale/imx8mm-evk.dts`.
        linux: Word,
        /// U-Boot's, as `DEFAULT_DEVICE_TREE` names it.
        uboot: Word,
    }
}

model! {
    /// A place where the boot ROM, or what it started, looks for the next program.
    pub struct RomPlace {
        /// The file as U-Boot's build or the vendor's tools name it.
        file: Word,
        /// On what: SD card, eMMC, QSPI flash.
        medium: Text,
        /// Byte of the medium where it begins.
        offset: Option<Size> = None,
        /// Otherwise the partition that holds it, in words.
        partition: Option<Text> = None,
        /// Where that is written.
        source: Text,
    }
}

choice! {
    /// What the hardware itself verifies.
    pub enum TrustKind {
        /// Fuses hold the hash of a key, with which the boot ROM verifies the first program.
        FusedKey = "fused-key",
        /// The boot ROM starts whatever it finds.
        None = "none",
    }
}

choice! {
    /// Where a command is run.
    pub enum TrustPlace {
        /// At a computer.
        Host = "host",
        /// At the prompt of a U-Boot that was built for it: the shipped one has neither prompt nor fuse command.
        UBoot = "u-boot",
        /// By the firmware of the board, when it starts.
        Board = "board",
    }
}

model! {
    /// Something in the hardware that cannot be changed once it is set.
    pub struct TrustAnchor {
        /// What it holds.
        holds: Text,
        /// Where: bank and word, registers, rows.
        place: Text,
    }
}

model! {
    /// A step that a person takes.
    pub struct TrustStep {
        /// Where.
        on: TrustPlace,
        /// The command, or what to do.
        command: Text,
        /// What it does.
        about: Text,
        /// Whether it cannot be undone.
        permanent: crate::types::Flag,
    }
}

model! {
    /// How a board's hardware comes to trust U-Boot. Read and done by people; nothing of Fastness does it.
    pub struct Trust {
        /// What the hardware verifies.
        kind: TrustKind,
        /// By its maker's name, such as `HABv4`.
        mechanism: Text,
        /// What the boot ROM verifies with, such as `RSA-4096, SHA-384`.
        verifies: Vec<Text> = Vec::new(),
        /// What is set for good.
        anchors: Vec<TrustAnchor> = Vec::new(),
        /// The steps, in order.
        steps: Vec<TrustStep> = Vec::new(),
        /// What a person must know before the first permanent step.
        warning: Text,
        /// What it does not protect against.
        limits: Text,
        /// Where the facts are from.
        sources: Vec<Text>,
    }
}

impl FirstStage {
    pub(super) fn facts(&self) -> FirstStageFacts {
        FirstStageFacts {
            package: self.package.as_str().to_owned(),
            file: self.file.as_str().to_owned(),
            uboot_offset: self.uboot_offset.0,
        }
    }
}

impl Spl {
    pub(super) fn facts(&self) -> SplFacts {
        SplFacts {
            package: self.package.as_str().to_owned(),
            file: self.file.as_str().to_owned(),
            monitor_address: self.monitor_address.0,
            uboot_address: self.uboot_address.0,
            room: self.room.0,
        }
    }
}

impl DeviceTreeFiles {
    pub(super) fn facts(&self) -> DeviceTreeFacts {
        DeviceTreeFacts { linux: self.linux.as_str().to_owned(), uboot: self.uboot.as_str().to_owned() }
    }
}

impl RomPlace {
    pub(super) fn facts(&self) -> RomPlaceFacts {
        RomPlaceFacts {
            file: self.file.as_str().to_owned(),
            medium: self.medium.as_str().to_owned(),
            offset: self.offset.map(|offset| offset.0),
            partition: self.partition.as_ref().map(|text| text.as_str().to_owned()),
            source: self.source.as_str().to_owned(),
        }
    }
}

impl Trust {
    pub(super) fn facts(&self) -> TrustFacts {
        let words = |list: &[Text]| list.iter().map(|text| text.as_str().to_owned()).collect();
        let anchor = |one: &TrustAnchor| TrustAnchorFacts {
            holds: one.holds.as_str().to_owned(),
            place: one.place.as_str().to_owned(),
        };
        let step = |one: &TrustStep| TrustStepFacts {
            on: one.on.as_str().to_owned(),
            command: one.command.as_str().to_owned(),
            about: one.about.as_str().to_owned(),
            permanent: one.permanent.0,
        };
        TrustFacts {
            kind: self.kind.as_str().to_owned(),
            mechanism: self.mechanism.as_str().to_owned(),
            verifies: words(&self.verifies),
            anchors: self.anchors.iter().map(anchor).collect(),
            steps: self.steps.iter().map(step).collect(),
            warning: self.warning.as_str().to_owned(),
            limits: self.limits.as_str().to_owned(),
            sources: words(&self.sources),
        }
    }
}
