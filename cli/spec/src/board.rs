//! `board.yaml`: what the hardware is and how it boots.

mod fat;
mod hardware;
mod vendor;

use crate::architecture::Architecture;
use crate::buildroot::BuildrootAsk;
use crate::decode::{Spanned, choice, model};
use crate::layer::PatchAsk;
use crate::plan::{BoardFacts, BootFacts, PossibleCounterFacts, QemuFacts, RollbackFacts};
use crate::product::Padding;
use crate::types::{
    Algorithm, Argument, ConfigTarget, Count, Flag, InterfaceName, KconfigSymbol, KconfigValue, Reason, Size,
    TemplatePath, Templated, Text, Word,
};
use crate::yocto::YoctoBoard;
pub use fat::{Fat, FatContent, FatFile, FatImage};
pub use hardware::{
    CrashMemory, DeviceTreeFiles, FirstStage, Monitor, RandomSource, Rom, RomCopy, RomFormat, RomPlace, Spl,
    Trust, TrustAnchor, TrustKind, TrustPlace, TrustStep, Watchdog,
};
pub use vendor::{Behind, VendorProgram};

model! {
    /// A board: what the hardware is and how it boots.
    pub struct Board {
        /// One line for people.
        title: Text,
        /// Debian architecture name, such as `arm64`.
        architecture: Word,
        /// Kernel architecture (`ARCH=`): what layers ask of one architecture only goes by it.
        kernel_arch: Architecture,
        /// Prefix of the cross tools (`CROSS_COMPILE=`), such as `aarch64-linux-gnu-`.
        cross_compile: Word,
        /// Console device for the kernel, such as `ttyAMA0`.
        console: Word,
        /// Network interface names that this board has.
        interfaces: Vec<InterfaceName>,
        /// Boot addresses.
        boot: Boot,
        /// Signature algorithms that its U-Boot verifies; the first is the default.
        algorithms: Vec<Spanned<Algorithm>>,
        /// Paddings that its U-Boot verifies; the first is the default.
        paddings: Vec<Spanned<Padding>>,
        /// Root of trust, in words for the report.
        root_of_trust: Text,
        /// Its debug ports, and what closes them, in words for the report; left out: not known.
        debug_ports: Option<Text> = None,
        /// What becomes of an opened case or a changed part, in words for the report; left out: not known.
        tamper: Option<Text> = None,
        /// How the hardware comes to trust U-Boot, and what a person does for it; required without `qemu`.
        trust: Option<Spanned<Trust>> = None,
        /// Device trees by name; required without `qemu`, whose own is taken.
        device_tree: Option<DeviceTreeFiles> = None,
        /// Where the boot ROM, and what it started, look for the next program.
        rom_places: Vec<Spanned<RomPlace>> = Vec::new(),
        /// Programs of the maker without which it does not start, and which the suite has no package of: who builds gives them
        /// (`fastness build --vendor`).
        vendor_programs: Vec<Spanned<VendorProgram>> = Vec::new(),
        /// Where the counter is that keeps older images from starting, or where its hardware could have one.
        rollback: Rollback,
        /// Its TPM, into which U-Boot measures what it starts; left out: it has none.
        measured_boot: Option<MeasuredBoot> = None,
        /// Its TPM 2.0, in which Linux may keep private keys; left out: it has none.
        tpm: Option<BoardTpm> = None,
        /// What starts it anew when nobody has told it for a while that the system is alive; left out: it has nothing of the kind.
        watchdog: Option<Spanned<Watchdog>> = None,
        /// Its source of random numbers; left out: no driver of one is asked for.
        random: Option<Spanned<RandomSource>> = None,
        /// Memory in which the kernel leaves its last words when it panics; left out: why a start ended is not recorded.
        crash_memory: Option<Spanned<CrashMemory>> = None,
        /// QEMU machine, if it has one.
        qemu: Option<Qemu> = None,
        /// What it asks of U-Boot.
        uboot: Kconfig,
        /// Patches of U-Boot's source, below the board's folder.
        uboot_patches: Vec<PatchAsk> = Vec::new(),
        /// What it asks of the kernel.
        linux: Kconfig,
        /// What it asks of Buildroot: the processor. A board without cannot be built with Buildroot.
        buildroot: Vec<BuildrootAsk> = Vec::new(),
        /// Its processor in the words of Yocto. A board without cannot be built with Yocto.
        yocto: Option<YoctoBoard> = None,
        /// Kernel arguments.
        cmdline: Vec<KernelArgument> = Vec::new(),
        /// Sizes on the disk.
        storage: BoardStorage,
    }
}

model! {
    /// Where things are loaded: physical addresses, written in hexadecimal.
    pub struct Boot {
        /// Where U-Boot reads the FIT to.
        fit_address: Size,
        /// Bytes that U-Boot reads: a fixed bound.
        fit_bytes: Size,
        /// Where the kernel is put and entered.
        kernel_address: Size,
        /// Where the kernel's FDT is put.
        fdt_address: Size,
        /// U-Boot block interface, such as `virtio`.
        block_interface: Word,
        /// Number of the device on that interface.
        block_device: Count = Count(0),
        /// Size of the boot flash, for boards that boot from one; 0 for others.
        flash_bytes: Size,
        /// What runs before U-Boot and stands in the same file.
        first_stage: Option<FirstStage> = None,
        /// U-Boot's SPL, where it comes first and verifies what it starts.
        spl: Option<Spl> = None,
        /// A FAT file system in which a boot ROM, or what the maker's firmware is, finds its files.
        fat: Option<Spanned<Fat>> = None,
    }
}

choice! {
    /// How QEMU is given the boot loader, in the place of a boot ROM.
    pub enum QemuStart {
        /// As the first flash bank, which is read-only.
        Flash = "flash",
        /// In memory, as firmware (`-bios`).
        Memory = "memory",
    }
}

choice! {
    /// What the machine's disk and network are.
    pub enum QemuDevices {
        /// Virtio devices on buses of their own.
        Virtio = "virtio",
        /// The SoC's own: an SD card, whose size is a power of two, its network interfaces, and a second serial port.
        OnBoard = "on-board",
    }
}

choice! {
    /// Where a board counts the versions that it has accepted.
    pub enum CounterStore {
        /// Nowhere: every image that was ever signed starts.
        None = "none",
        /// An NV counter of a TPM 2.0 that only U-Boot counts.
        TpmNv = "tpm-nv",
    }
}

model! {
    /// The counter that keeps older images from starting.
    pub struct Rollback {
        /// Where it is.
        store: CounterStore,
        /// Where else on this hardware versions could be counted, which Fastness does not do; required where the store is `none`,
        /// where an empty list says that nothing is known.
        possible: Option<Vec<PossibleCounter>> = None,
        /// What it does not protect against, or what to do where there is none; in words for the report.
        limits: Text,
    }
}

model! {
    /// Something on a board's hardware that could count versions, and that Fastness does not use.
    pub struct PossibleCounter {
        /// What it is, such as `the RPMB of the eMMC`.
        place: Text,
        /// How far it would carry, and what it would not protect against.
        about: Text,
        /// Where that is written, or that it is general knowledge and was not read.
        source: Text,
    }
}

model! {
    /// How a board measures what it starts.
    pub struct MeasuredBoot {
        /// Physical address of 64 KiB of memory, in hexadecimal, in which U-Boot leaves the log of its measurements for Linux.
        event_log: Size,
        /// `compatible` of the TPM's node in the device tree.
        compatible: Text,
        /// What it does not protect against, in words for the report.
        limits: Text,
    }
}

model! {
    /// A TPM 2.0 in which private keys are kept.
    pub struct BoardTpm {
        /// Persistent handle of the tunnels' key, in hexadecimal: one of the owner's, which begin with `0x810`, that nobody else uses.
        key_handle: Spanned<Size>,
        /// Index of its memory that keeps what OpenVPN reads of that key, in hexadecimal: one of the owner's, `0x01800000` to
        /// `0x01bfffff`, that nobody else uses.
        key_index: Spanned<Size>,
        /// What it does not protect against, in words for the report.
        limits: Text,
    }
}

model! {
    /// The QEMU machine of a board.
    pub struct Qemu {
        /// Program, such as `qemu-system-aarch64`.
        program: Word,
        /// Value of `-machine`.
        machine: Word,
        /// Value of `-cpu`.
        cpu: Word,
        /// Number of processors.
        cpus: Count,
        /// Memory in MiB.
        memory_mib: Count,
        /// How the boot loader is given to it.
        start: QemuStart = QemuStart::Flash,
        /// What its disk and network are.
        devices: QemuDevices = QemuDevices::Virtio,
        /// The kernel's name of the second serial port, such as `ttySIF1`, on which the device reports its self-check to the bench; with
        /// virtio devices there is a port for it.
        report_port: Option<Word> = None,
        /// Device by which it has a TPM 2.0 (of swtpm), such as `tpm-tis-device`; there only for products that use it.
        tpm: Option<Word> = None,
        /// Device that is its hardware watchdog, such as `i6300esb`.
        watchdog: Option<Word> = None,
    }
}

model! {
    /// A Kconfig: where to start and what must hold at the end.
    pub struct Kconfig {
        /// Base target, such as `allnoconfig`.
        base: ConfigTarget,
        /// Symbols that must hold at the end.
        symbols: Vec<SymbolAsk> = Vec::new(),
    }
}

model! {
    /// A Kconfig symbol that must have a value at the end.
    pub struct SymbolAsk {
        /// The symbol without `CONFIG_`.
        symbol: Spanned<KconfigSymbol>,
        /// The value; `n` means "is not set".
        value: Option<Templated<KconfigValue>> = None,
        /// Template of a string value, instead of `value`; its lines are joined with spaces.
        template: Option<Spanned<TemplatePath>> = None,
        /// Architectures that have it; none named: every one.
        architectures: Vec<Spanned<Architecture>> = Vec::new(),
        /// Whether a board may ask for another value, because of its hardware. In a layer only.
        board_decides: Flag = Flag(false),
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// An argument of the kernel command line.
    pub struct KernelArgument {
        /// The argument.
        argument: Spanned<Templated<Argument>>,
        /// Architectures that have it; none named: every one.
        architectures: Vec<Spanned<Architecture>> = Vec::new(),
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// Sizes on the disk that the board decides.
    pub struct BoardStorage {
        /// Size of each of the two FIT partitions.
        fit: Size,
        /// Size of each of the two root partitions.
        root: Size,
    }
}

impl Rollback {
    fn facts(&self) -> RollbackFacts {
        let fact = |counter: &PossibleCounter| PossibleCounterFacts {
            place: counter.place.as_str().to_owned(),
            about: counter.about.as_str().to_owned(),
            source: counter.source.as_str().to_owned(),
        };
        RollbackFacts {
            store: self.store.as_str().to_owned(),
            limits: self.limits.as_str().to_owned(),
            possible: self.possible.iter().flatten().map(fact).collect(),
        }
    }
}

impl Board {
    /// The board's facts for the plan.
    #[must_use]
    pub fn facts(&self, name: &str) -> BoardFacts {
        let words = |list: &[Spanned<Algorithm>]| list.iter().map(|a| a.as_str().to_owned()).collect();
        BoardFacts {
            name: name.to_owned(),
            title: self.title.as_str().to_owned(),
            architecture: self.architecture.as_str().to_owned(),
            kernel_arch: self.kernel_arch.as_str().to_owned(),
            cross_compile: self.cross_compile.as_str().to_owned(),
            console: self.console.as_str().to_owned(),
            interfaces: self.interfaces.iter().map(|i| i.as_str().to_owned()).collect(),
            boot: BootFacts {
                fit_address: self.boot.fit_address.0,
                fit_bytes: self.boot.fit_bytes.0,
                kernel_address: self.boot.kernel_address.0,
                fdt_address: self.boot.fdt_address.0,
                block_interface: self.boot.block_interface.as_str().to_owned(),
                block_device: self.boot.block_device.0,
                flash_bytes: self.boot.flash_bytes.0,
                first_stage: self.boot.first_stage.as_ref().map(FirstStage::facts),
                spl: self.boot.spl.as_ref().map(Spl::facts),
                fat: self.boot.fat.as_ref().map(|fat| fat.facts()),
            },
            algorithms: words(&self.algorithms),
            paddings: self.paddings.iter().map(|p| p.as_str().to_owned()).collect(),
            root_of_trust: self.root_of_trust.as_str().to_owned(),
            debug_ports: self.debug_ports.as_ref().map(|text| text.as_str().to_owned()),
            tamper: self.tamper.as_ref().map(|text| text.as_str().to_owned()),
            trust: self.trust.as_ref().map(|trust| trust.facts()),
            device_tree: self.device_tree.as_ref().map(DeviceTreeFiles::facts),
            vendor_programs: self.vendor_programs.iter().map(|program| program.facts()).collect(),
            rom_places: self.rom_places.iter().map(|place| place.facts()).collect(),
            rollback: self.rollback.facts(),
            watchdog: self.watchdog.as_ref().map(|watchdog| watchdog.facts()),
            random: self.random.as_ref().map(|random| random.facts()),
            crash_memory: self.crash_memory.as_ref().map(|memory| memory.facts()),
            qemu: self.qemu.as_ref().map(|qemu| QemuFacts {
                program: qemu.program.as_str().to_owned(),
                machine: qemu.machine.as_str().to_owned(),
                cpu: qemu.cpu.as_str().to_owned(),
                cpus: qemu.cpus.0,
                memory_mib: qemu.memory_mib.0,
                in_memory: qemu.start == QemuStart::Memory,
                on_board: qemu.devices == QemuDevices::OnBoard,
                report_port: qemu.report_port.as_ref().map(|port| port.as_str().to_owned()),
                // Only for products that use it: the others' machine and device tree stay what they are.
                tpm: None,
                watchdog: qemu.watchdog.as_ref().map(|device| device.as_str().to_owned()),
            }),
        }
    }
}
