//! What only real hardware has: a first stage that is not U-Boot, places that a boot ROM reads, fuses.
//!
//! The commands of a root of trust are for people to read and to run. Nothing here runs one, and nothing of
//! Fastness burns a fuse.

use super::vendor::Behind;
use crate::decode::{Spanned, choice, model};
use crate::plan::{
    CrashMemoryFacts, DeviceTreeFacts, FirstStageFacts, MonitorFacts, RandomFacts, RomCopyFacts, RomFacts,
    RomPlaceFacts, SplFacts, TrustAnchorFacts, TrustFacts, TrustStepFacts, WatchdogFacts,
};
use crate::types::{AbsPath, Count, FileName, Flag, GuidText, KconfigSymbol, PackageName, Size, Text, Word};

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
    /// U-Boot's SPL, which the boot ROM starts, and what SPL verifies and starts: a FIT with U-Boot, and the board's monitor in front of
    /// it where it has one, in the disk's first partition. SPL reads it by its place, 1 MiB behind the start, whatever the partition
    /// table says.
    pub struct Spl {
        /// What SPL enters, and what enters U-Boot; left out: SPL enters U-Boot.
        monitor: Option<Spanned<Monitor>> = None,
        /// Whether SPL has the product's key and verifies by it. No: its build has no control FDT; only for a board whose boot ROM
        /// verifies nothing either.
        verifies: Flag = Flag(true),
        /// Where SPL puts U-Boot: the address that it is linked to.
        uboot_address: Size,
        /// Size of that partition.
        room: Size,
        /// Programs of the maker that stand behind SPL, in that order: the first where SPL ends, at a multiple of 4 bytes.
        behind: Vec<Spanned<Behind>> = Vec::new(),
        /// How the boot ROM finds SPL on the disk; left out: SPL is not on it.
        rom: Option<Spanned<Rom>> = None,
    }
}

model! {
    /// What runs below U-Boot and Linux, from a package of the suite or from the board's maker: OpenSBI on RISC-V, TF-A's BL31 on
    /// 64-bit Arm.
    pub struct Monitor {
        /// Debian package that has it, such as `opensbi`.
        package: Option<PackageName> = None,
        /// Its path in the package.
        file: Option<AbsPath> = None,
        /// Otherwise its file, one of `vendor_programs`.
        vendor: Option<FileName> = None,
        /// Where SPL puts and enters it: a physical address.
        address: Size,
    }
}

model! {
    /// What starts the device anew when nobody has told it for a while that the system is alive. The service manager does, from its own
    /// first second to the end of a shutdown.
    pub struct Watchdog {
        /// The kernel's driver, such as `IMX2_WDT`: a symbol that the board asks of `linux` with `y`.
        driver: Spanned<KconfigSymbol>,
        /// Whether it is a part of the hardware; no: a timer of the kernel, which ends with the kernel.
        hardware: Flag = Flag(true),
        /// Seconds without a sign of life after which it acts, 5 to 600; no more than it can count.
        seconds: Spanned<Count>,
        /// What it does not protect against, in words for the report.
        limits: Text,
    }
}

model! {
    /// Where the kernel's random numbers come from, beside what it gathers of interrupts.
    pub struct RandomSource {
        /// The kernel's driver, such as `HW_RANDOM_VIRTIO`: a symbol that the board asks of `linux` with `y`.
        driver: Spanned<KconfigSymbol>,
        /// What is to be known of it, in words for the report.
        about: Text,
    }
}

model! {
    /// Memory that keeps its content over a reset, and that neither the boot chain nor Linux uses for anything else: a panicking kernel
    /// leaves its last words there, and the next start records them. A product with the layer `events` gets it.
    pub struct CrashMemory {
        /// Physical address, a multiple of 64 KiB.
        address: Spanned<Size>,
        /// Size, a power of two from 64 KiB to 1 MiB: one record of that size is kept.
        bytes: Spanned<Size>,
        /// What is to be known of it, in words for the report: which resets it outlives, who else could write it.
        limits: Text,
    }
}

impl CrashMemory {
    pub(super) fn facts(&self) -> CrashMemoryFacts {
        CrashMemoryFacts {
            address: self.address.0,
            bytes: self.bytes.0,
            limits: self.limits.as_str().to_owned(),
        }
    }
}

impl Watchdog {
    pub(super) fn facts(&self) -> WatchdogFacts {
        WatchdogFacts {
            driver: self.driver.as_str().to_owned(),
            hardware: self.hardware.0,
            seconds: self.seconds.0,
            limits: self.limits.as_str().to_owned(),
        }
    }
}

impl RandomSource {
    pub(super) fn facts(&self) -> RandomFacts {
        RandomFacts { driver: self.driver.as_str().to_owned(), about: self.about.as_str().to_owned() }
    }
}

choice! {
    /// What a boot ROM wants around SPL.
    pub enum RomFormat {
        /// TI's configuration header and GP header (AM335x TRM SPRUH73, 26.1.9 and 26.1.10).
        TiGp = "ti-gp",
        /// ST's header, version 1.0 (STM32MP15).
        Stm32 = "stm32",
        /// StarFive's header with its CRC-32 (JH7110).
        Starfive = "starfive",
        /// NXP's image vector table, boot data, and 8 KiB behind the program for what NXP's tool signs (i.MX 8M, 8M Mini).
        Imx8m = "imx8m",
        /// Xilinx's boot header, with the PMU firmware in front of SPL (Zynq UltraScale+).
        Zynqmp = "zynqmp",
    }
}

model! {
    /// How a boot ROM takes SPL from the disk.
    pub struct Rom {
        /// What it wants around SPL.
        format: RomFormat,
        /// Where it puts and enters SPL: the address that SPL is linked to.
        address: Size,
        /// Where the memory ends into which it puts SPL and all that stands behind; left out: that is not looked at.
        end: Option<Size> = None,
        /// A program of the maker that the header has in front of SPL, one of `vendor_programs`.
        first: Option<Spanned<FileName>> = None,
        /// Where it looks; every place gets the same content. A file of `boot.fat` is a place, too.
        places: Vec<Spanned<RomCopy>> = Vec::new(),
    }
}

model! {
    /// A place of SPL on the disk.
    pub struct RomCopy {
        /// Byte of the disk: behind the partition table's entries, before the first partition.
        offset: Option<Size> = None,
        /// Otherwise the name of a partition of its own.
        partition: Option<Word> = None,
        /// Type of that partition: a GUID; left out: Linux data.
        type_guid: Option<GuidText> = None,
        /// Bytes that SPL may have there.
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
        permanent: Flag,
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
            monitor: self.monitor.as_ref().map(|monitor| MonitorFacts {
                package: monitor.package.as_ref().map(|name| name.as_str().to_owned()),
                file: monitor.file.as_ref().map(|path| path.as_str().to_owned()),
                vendor: monitor.vendor.as_ref().map(|file| file.as_str().to_owned()),
                address: monitor.address.0,
            }),
            verifies: self.verifies.0,
            uboot_address: self.uboot_address.0,
            room: self.room.0,
            behind: self.behind.iter().map(|one| one.facts()).collect(),
            rom: self.rom.as_ref().map(|rom| rom.facts()),
        }
    }
}

impl Rom {
    fn facts(&self) -> RomFacts {
        let place = |copy: &Spanned<RomCopy>| RomCopyFacts {
            offset: copy.offset.map(|offset| offset.0),
            partition: copy.partition.as_ref().map(|name| name.as_str().to_owned()),
            type_guid: copy.type_guid.as_ref().map(|guid| guid.as_str().to_owned()),
            room: copy.room.0,
        };
        RomFacts {
            format: self.format.as_str().to_owned(),
            address: self.address.0,
            end: self.end.map(|end| end.0),
            first: self.first.as_ref().map(|file| file.as_str().to_owned()),
            places: self.places.iter().map(place).collect(),
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
