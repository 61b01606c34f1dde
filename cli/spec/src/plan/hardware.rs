//! What a plan says of real hardware: first stage, device trees, the boot ROM's places, the root of trust.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{BehindFacts, BoardFacts};

/// What starts the device anew when nobody has told it for a while that the system is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogFacts {
    /// The kernel's driver: a symbol without `CONFIG_`.
    pub driver: String,
    /// Whether it is a part of the hardware, and no timer of the kernel.
    pub hardware: bool,
    /// Seconds without a sign of life after which it acts.
    pub seconds: u32,
    /// What it does not protect against.
    pub limits: String,
}

/// Where the kernel's random numbers come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomFacts {
    /// The kernel's driver: a symbol without `CONFIG_`.
    pub driver: String,
    /// What is to be known of it.
    pub about: String,
}

/// A program that runs before U-Boot, from a package of the suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstStageFacts {
    /// Debian package that has it.
    pub package: String,
    /// Its absolute path in the package.
    pub file: String,
    /// Where U-Boot begins behind it, in bytes.
    pub uboot_offset: u64,
}

/// U-Boot's SPL, and what it verifies and starts: a FIT with U-Boot, and the board's monitor where it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplFacts {
    /// What SPL enters, and what enters U-Boot; otherwise SPL enters U-Boot.
    pub monitor: Option<MonitorFacts>,
    /// Whether SPL has the product's key, and verifies by it.
    pub verifies: bool,
    /// Where SPL puts U-Boot: a physical address.
    pub uboot_address: u64,
    /// Size in bytes of the disk's first partition, which holds the FIT.
    pub room: u64,
    /// Programs of the maker that stand behind SPL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<BehindFacts>,
    /// How the boot ROM finds SPL on the disk, if it does.
    pub rom: Option<RomFacts>,
}

/// What runs below U-Boot and Linux.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorFacts {
    /// Debian package that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Its absolute path in the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Otherwise its file among the maker's programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Where SPL puts and enters it: a physical address.
    pub address: u64,
}

/// How a boot ROM takes SPL from the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RomFacts {
    /// `ti-gp`, `stm32`, `starfive`, `imx8m` or `zynqmp`.
    pub format: String,
    /// Where it puts and enters SPL: a physical address.
    pub address: u64,
    /// Where the memory ends into which it puts SPL: a physical address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Program of the maker that the header has in front of SPL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Where it looks; every place has the same content.
    pub places: Vec<RomCopyFacts>,
}

/// A place of SPL on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RomCopyFacts {
    /// Byte of the disk.
    pub offset: Option<u64>,
    /// Otherwise the name of a partition of its own.
    pub partition: Option<String>,
    /// Type of that partition; otherwise Linux data.
    pub type_guid: Option<String>,
    /// Bytes that SPL may have there.
    pub room: u64,
}

/// Device trees by name, for boards that no emulator describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTreeFacts {
    /// Source below Linux's `arch/ARCH/boot/dts`.
    pub linux: String,
    /// Name that U-Boot's `DEFAULT_DEVICE_TREE` has.
    pub uboot: String,
}

/// A place where the boot ROM, or what it started, looks for the next program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RomPlaceFacts {
    /// File name.
    pub file: String,
    /// On what.
    pub medium: String,
    /// Byte of the medium.
    pub offset: Option<u64>,
    /// Otherwise the partition, in words.
    pub partition: Option<String>,
    /// Where that is written.
    pub source: String,
}

/// How a board's hardware comes to trust U-Boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustFacts {
    /// `fused-key` or `none`.
    pub kind: String,
    /// Its maker's name for it.
    pub mechanism: String,
    /// What the boot ROM verifies with.
    pub verifies: Vec<String>,
    /// What is set for good.
    pub anchors: Vec<TrustAnchorFacts>,
    /// What a person does, in order.
    pub steps: Vec<TrustStepFacts>,
    /// What a person must know before the first permanent step.
    pub warning: String,
    /// What it does not protect against.
    pub limits: String,
    /// Where the facts are from.
    pub sources: Vec<String>,
}

/// Memory that keeps its content over a reset, for the last words of a kernel that panics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashMemoryFacts {
    /// Physical address.
    pub address: u64,
    /// Size in bytes, a power of two.
    pub bytes: u64,
    /// What is to be known of it.
    pub limits: String,
}

/// Something in the hardware that cannot be changed once it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustAnchorFacts {
    /// What it holds.
    pub holds: String,
    /// Where.
    pub place: String,
}

/// A step that a person takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustStepFacts {
    /// `host`, `u-boot` or `board`.
    pub on: String,
    /// The command, or what to do.
    pub command: String,
    /// What it does.
    pub about: String,
    /// Whether it cannot be undone.
    pub permanent: bool,
}

impl BoardFacts {
    /// The root of trust as a text for people: the counter of versions, then the warning, what is verified, where, and each step.
    ///
    /// Nothing of the text is executed by Fastness. A board without [`TrustFacts`] is an emulated one.
    #[must_use]
    pub fn root_of_trust_text(&self) -> String {
        let mut out = format!("Root of trust of {} ({})\n\n{}\n", self.name, self.title, self.root_of_trust);
        // Writing to a String cannot fail.
        let _ = write!(out, "\nRollback counter: {}\n", self.rollback.text());
        for (what, text) in [("Debug ports", &self.debug_ports), ("Tamper", &self.tamper)] {
            let text = text.as_deref().unwrap_or("not declared: who makes the device has to say it");
            let _ = writeln!(out, "{what}: {text}");
        }
        match &self.watchdog {
            Some(watchdog) => {
                let kind = if watchdog.hardware { "hardware" } else { "a timer of the kernel" };
                let (driver, seconds, limits) = (&watchdog.driver, watchdog.seconds, &watchdog.limits);
                let _ = writeln!(out, "Watchdog: {kind} ({driver}), after {seconds} s. {limits}");
            }
            None => {
                out.push_str("Watchdog: none: a device that hangs stays so until somebody starts it anew\n")
            }
        }
        match &self.random {
            Some(random) => {
                let _ = writeln!(out, "Random numbers: {}. {}", random.driver, random.about);
            }
            None => out.push_str("Random numbers: no source in hardware whose driver is asked for\n"),
        }
        if let Some(memory) = &self.crash_memory {
            let CrashMemoryFacts { address, bytes, limits } = memory;
            let _ = writeln!(out, "Last words of a panic: {bytes} bytes at {address:#x}. {limits}");
        }
        let Some(trust) = &self.trust else {
            out.push_str("\nThis board is emulated: there is nothing to burn.\n");
            return out;
        };
        let _ = write!(out, "\nWARNING: {}\n", trust.warning);
        let _ = write!(
            out,
            "Fastness runs none of these commands, and no such board was at hand to try them: hold each permanent step against \
             the vendor's own manual first.\n\nMechanism: {}\n",
            trust.mechanism
        );
        if !trust.verifies.is_empty() {
            let _ = writeln!(out, "The boot ROM verifies: {}", trust.verifies.join("; "));
        }
        for anchor in &trust.anchors {
            let _ = writeln!(out, "Set for good: {}, in {}", anchor.holds, anchor.place);
        }
        for place in &self.rom_places {
            let at = match (place.offset, &place.partition) {
                (Some(offset), _) => format!("at byte {offset}"),
                (None, Some(partition)) => partition.clone(),
                (None, None) => String::new(),
            };
            let _ = writeln!(
                out,
                "The boot ROM's way: `{}` on {}, {at} [{}]",
                place.file, place.medium, place.source
            );
        }
        for program in &self.vendor_programs {
            let (file, about, from) = (&program.file, &program.about, &program.from);
            let _ =
                writeln!(out, "Its maker's program, which who builds gives: `{file}`, {about}; from {from}");
        }
        if !trust.steps.is_empty() {
            out.push_str("\nSteps for a person:\n");
        }
        if trust.steps.iter().any(|step| step.on == "u-boot") {
            out.push_str(
                "Steps on u-boot want a U-Boot with a prompt and these commands: the one that Fastness builds has neither. On a board that \
                 is not closed yet start its maker's, or one of your own from the board's defconfig, from a card of its own. Where a step \
                 wants the product's SPL in front of it, sign that U-Boot's FIT with the product's key (`fastness fit sign`), burn, and \
                 destroy the card: whoever has it has a prompt on every such device.\n",
            );
        }
        for (number, step) in trust.steps.iter().enumerate() {
            let mark = if step.permanent { " PERMANENT, CANNOT BE UNDONE:" } else { "" };
            let _ =
                writeln!(out, "{}. on {}:{mark} {}\n   {}", number + 1, step.on, step.about, step.command);
        }
        let _ = write!(out, "\nIt does not protect against: {}\n\nSources:\n", trust.limits);
        for source in &trust.sources {
            let _ = writeln!(out, "- {source}");
        }
        out
    }
}
