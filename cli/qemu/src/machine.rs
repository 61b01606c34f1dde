//! One virtual machine: its command line, its sockets, its start and its end.
//!
//! The machine is emulated (no KVM), has no display, no default devices, no way to the network, and
//! does not reboot: a reset ends it. We listen and QEMU connects, so that no line is ever missed and
//! there is nothing to wait for but evidence.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, Running, Tpm};
use spec::plan::{Plan, QemuFacts, TPM_SOCKET};
use traffic::relay::Ends;
use traffic::{Relay, Tap};

use crate::console::Console;
use crate::qmp::{Qmp, ended_by};
use crate::tap;

/// Name of the virtio-serial port on which the device reports its self-check.
pub const SELFCHECK_PORT: &str = "org.fastness.selfcheck";
const CONSOLE_SOCKET: &str = "console.sock";
const PORT_SOCKET: &str = "selfcheck.sock";
const QMP_SOCKET: &str = "qmp.sock";
/// How long QEMU may take to connect or to answer. Emulation on a busy host is slow; a QEMU that
/// needs longer is broken.
const PATIENCE: Duration = Duration::from_secs(30);
/// QEMU's Arm machine has 32 virtio transports, RISC-V's has 8; the disk and others take the first ones.
const FIRST_INTERFACE_BUS: usize = 4;

/// A kernel that QEMU starts without a boot loader.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its command line.
    pub append: String,
    /// A second disk, read only.
    pub second: Option<PathBuf>,
    /// Its device tree; none: QEMU's own.
    pub device_tree: Option<PathBuf>,
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct MachineSpec<'a> {
    /// The board's machine.
    pub qemu: &'a QemuFacts,
    /// Number of network interfaces; each is alone on its network.
    pub interfaces: usize,
    /// Which of the machines of one wire it is, from 0: part of its hardware addresses.
    pub station: u8,
    /// Whether each interface is a wire of Unix datagrams ([`wire_sockets`]) instead of a network of
    /// QEMU's own that leads nowhere.
    pub wires: bool,
    /// QEMU's options of each interface's own network in place of one that leads nowhere; may be empty.
    pub networks: Vec<String>,
    /// The interface whose network has a tap ([`crate::tap`]); only where it is no wire.
    pub tap: Option<usize>,
    /// Neighbours on networks of interfaces (numbers in the board's order) that are the test's; only where they are no wires.
    pub relays: BTreeMap<usize, Vec<Ends>>,
    /// The clock at the start, seconds since the Unix epoch.
    pub epoch: u64,
    /// Boot flash: exactly the bank's size. Never written.
    pub flash: PathBuf,
    /// Instead of the flash.
    pub direct: Option<Direct>,
    /// Second flash bank, where U-Boot's stock configuration keeps its environment.
    pub environment: Option<PathBuf>,
    /// The disk image.
    pub disk: PathBuf,
    /// Whether what the guest writes goes into a throw-away overlay.
    pub snapshot: bool,
    /// A file that is the machine's memory, so that the next start finds what this one left there, as after a reset; none: memory
    /// that ends with the machine.
    pub memory: Option<PathBuf>,
    /// Memory of the TPM, for boards that have one; none: a new TPM, as of a new device.
    pub tpm_state: Option<PathBuf>,
    /// Whether the TPM was taken off the board.
    pub without_tpm: bool,
    /// Folder for the logs (`console.log`, `selfcheck.log`, `qemu.log`); made by the caller.
    pub logs: PathBuf,
}

/// The QEMU machine of a plan's board.
///
/// # Errors
/// `no-machine` when it has none.
pub fn facts(plan: &Plan) -> Outcome<&QemuFacts> {
    plan.board.qemu.as_ref().ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-machine",
            format!("the board `{}` has no QEMU machine", plan.board.name),
        )
        .hint("start it on the hardware, or add `qemu` to the board")
    })
}

impl<'a> MachineSpec<'a> {
    /// The machine of a plan's board, with an overlay over the disk.
    ///
    /// # Errors
    /// When the board has no QEMU machine.
    pub fn new(plan: &'a Plan, flash: &Path, disk: &Path, logs: &Path) -> Outcome<Self> {
        let qemu = facts(plan)?;
        Ok(Self {
            qemu,
            interfaces: plan.board.interfaces.len(),
            station: 0,
            wires: false,
            networks: Vec::new(),
            tap: None,
            relays: BTreeMap::new(),
            epoch: plan.product.epoch,
            flash: flash.to_owned(),
            direct: None,
            environment: None,
            disk: disk.to_owned(),
            snapshot: true,
            memory: None,
            tpm_state: None,
            without_tpm: false,
            logs: logs.to_owned(),
        })
    }

    /// QEMU's arguments; sockets are relative to its working folder.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let mut qemu = self.qemu.clone();
        qemu.tpm = qemu.tpm.filter(|_| !self.without_tpm);
        let mut out: Vec<OsString> = qemu.machine_arguments().into_iter().map(Into::into).collect();
        let mut add = |words: &[&str]| out.extend(words.iter().map(OsString::from));
        add(&["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot"]);
        if let Some(memory) = &self.memory {
            let size = self.qemu.memory_mib;
            let file = quoted(memory);
            add(&["-object", &format!("memory-backend-file,id=ram,size={size}M,share=on,mem-path={file}")]);
            add(&["-machine", "memory-backend=ram"]);
        }
        // The clock is the product's date and runs with the machine: the host's time is no input.
        // QEMU takes the date in UTC without the zone's letter.
        let date = spec::time::rfc3339(self.epoch);
        add(&["-rtc", &format!("base={},clock=vm", date.trim_end_matches('Z'))]);
        if let Some(direct) = &self.direct {
            add(&["-kernel", &direct.kernel.to_string_lossy(), "-append", &direct.append]);
            if let Some(tree) = &direct.device_tree {
                add(&["-dtb", &tree.to_string_lossy()]);
            }
            if let Some(second) = &direct.second {
                add(&[
                    "-drive",
                    &format!("if=none,id=second,format=raw,readonly=on,file={}", quoted(second)),
                ]);
                let bus = self.disk_buses().1;
                add(&["-device", &format!("virtio-blk-device,drive=second,bus=virtio-mmio-bus.{bus}")]);
            }
        } else {
            let flash = quoted(&self.flash);
            if self.qemu.in_memory {
                add(&["-bios", &self.flash.to_string_lossy()]);
            } else {
                add(&["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={flash}")]);
            }
        }
        if let Some(environment) = &self.environment {
            let file = quoted(environment);
            add(&["-drive", &format!("if=pflash,unit=1,format=raw,snapshot=on,file={file}")]);
        }
        let (snapshot, disk) = (if self.snapshot { "on" } else { "off" }, quoted(&self.disk));
        let relays = self.relays.keys().map(|index| (tap::relay_name(*index), *index));
        let taps = self.tap.map(|index| (tap::TAP.to_owned(), index)).into_iter().chain(relays);
        for word in taps.filter(|_| !self.wires).flat_map(|(name, index)| tap::arguments(&name, index)) {
            add(&[&word]);
        }
        let drive = format!("format=raw,cache=unsafe,snapshot={snapshot},file={disk}");
        let console = format!("socket,id=console,path={CONSOLE_SOCKET}");
        let port = format!("socket,id=selfcheck,path={PORT_SOCKET}");
        if self.qemu.on_board {
            add(&["-drive", &format!("if=sd,{drive}")]);
            for index in 0..self.interfaces {
                let netdev = self.netdev(index);
                add(&[
                    "-netdev",
                    &netdev,
                    "-net",
                    &format!("nic,netdev=net{index},macaddr={}", self.mac(index)),
                ]);
            }
            // The second port is the bench's (`report_port` of the board).
            add(&["-chardev", &console, "-serial", "chardev:console"]);
            add(&["-chardev", &port, "-serial", "chardev:selfcheck"]);
            add(&["-qmp", &format!("unix:{QMP_SOCKET}")]);
            return out;
        }
        let drive = format!("if=none,id=disk,{drive}");
        // Each device stands on a bus of its own choice: QEMU's order, U-Boot's and Linux's differ.
        let device = format!("virtio-blk-device,drive=disk,bus=virtio-mmio-bus.{}", self.disk_buses().0);
        add(&["-drive", &drive, "-device", &device]);
        add(&["-device", "virtio-rng-device,bus=virtio-mmio-bus.1"]);
        add(&["-device", "virtio-serial-device,bus=virtio-mmio-bus.2"]);
        add(&["-chardev", &port]);
        add(&["-device", &format!("virtserialport,chardev=selfcheck,name={SELFCHECK_PORT}")]);
        for index in 0..self.interfaces {
            let bus = FIRST_INTERFACE_BUS + index;
            let (netdev, mac) = (self.netdev(index), self.mac(index));
            add(&["-netdev", &netdev]);
            let device = format!("virtio-net-device,netdev=net{index},mac={mac},bus=virtio-mmio-bus.{bus}");
            add(&["-device", &device]);
        }
        add(&["-chardev", &console, "-serial", "chardev:console"]);
        add(&["-qmp", &format!("unix:{QMP_SOCKET}")]);
        out
    }
}

impl MachineSpec<'_> {
    /// Transports of the disk and of a second one, which Linux then calls `vda` and `vdb`: it names them in the order of the device
    /// tree, and RISC-V's machine lists its transports from the last to the first (QEMU `hw/riscv/virt.c`, `create_fdt_virtio`).
    fn disk_buses(&self) -> (usize, usize) {
        let second = self.direct.as_ref().is_some_and(|direct| direct.second.is_some());
        if second && self.qemu.program.ends_with("riscv64") { (3, 0) } else { (0, 3) }
    }

    fn netdev(&self, index: usize) -> String {
        if self.wires {
            let (near, far) = wire_sockets(index);
            return format!(
                "dgram,id=net{index},local.type=unix,local.path={near},remote.type=unix,remote.path={far}"
            );
        }
        let options = self.networks.get(index).map_or("restrict=on", String::as_str);
        format!("user,id=net{index},{options}")
    }

    fn mac(&self, index: usize) -> String {
        format!("02:00:00:00:{:02x}:{index:02x}", self.station)
    }

    /// The board's TPM, which QEMU connects to in the folder `sockets`.
    fn start_tpm(&self, sockets: &Path) -> Outcome<Option<Tpm>> {
        if self.qemu.tpm.is_none() || self.without_tpm {
            return Ok(None);
        }
        let state = match &self.tpm_state {
            Some(state) => crate::boot::absolute(state)?,
            None => {
                let state = sockets.join("tpm");
                std::fs::create_dir(&state).map_err(|e| Failure::io("make", &state, &e))?;
                state
            }
        };
        Tpm::start(&state, &sockets.join(TPM_SOCKET), &self.logs.join("tpm.log")).map(Some)
    }
}

/// Names of the sockets of an interface's wire, in QEMU's working folder: QEMU's and ours.
#[must_use]
pub fn wire_sockets(index: usize) -> (String, String) {
    (format!("net{index}.qemu"), format!("net{index}.wire"))
}

/// A file name inside of an option list: a comma is written twice.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// A machine that runs; ended when dropped.
#[derive(Debug)]
pub struct Machine {
    /// The serial console.
    pub console: Console,
    /// The device's self-check port.
    pub port: Console,
    /// QEMU's control.
    pub qmp: Qmp,
    /// When it was started: time zero of all lines.
    pub started: Instant,
    /// The tap on one of its networks.
    pub tap: Option<Tap>,
    // Reads what the device sends: QEMU waits for it.
    _relays: Vec<Relay>,
    running: Running,
    // After QEMU, which stays connected to it.
    _tpm: Option<Tpm>,
    // Last, so that the sockets' folder goes after QEMU has gone.
    _sockets: tempfile::TempDir,
}

impl Machine {
    /// Starts QEMU and waits until console, port and control are connected.
    ///
    /// # Errors
    /// When QEMU is missing, refuses its arguments or does not connect: the harness is broken.
    pub fn start(spec: &MachineSpec<'_>) -> Outcome<Self> {
        Self::start_with(spec, |_| Ok(()))
    }

    /// The same; `before` sees the sockets' folder before QEMU is started, to bind the wires' ends.
    ///
    /// # Errors
    /// As [`Machine::start`], and `before`'s.
    pub fn start_with(spec: &MachineSpec<'_>, before: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<Self> {
        let tool = exec::tool(&spec.qemu.program)?;
        // A socket's path holds 107 bytes: a short folder, not the output folder.
        let sockets = tempfile::Builder::new()
            .prefix("fastness-")
            .tempdir()
            .map_err(|e| Failure::io("make", &std::env::temp_dir(), &e))?;
        let listen = |name: &str| {
            let path = sockets.path().join(name);
            let listener = UnixListener::bind(&path).map_err(|e| Failure::io("listen on", &path, &e))?;
            listener.set_nonblocking(true).map_err(|e| Failure::io("listen on", &path, &e))?;
            Ok(listener)
        };
        let (console, port, qmp) = (listen(CONSOLE_SOCKET)?, listen(PORT_SOCKET)?, listen(QMP_SOCKET)?);
        let pair = |name: &str| {
            let [to, from] = tap::sockets(name);
            Ok::<_, Failure>((listen(&to)?, listen(&from)?))
        };
        let tap = spec.tap.filter(|_| !spec.wires).map(|_| pair(tap::TAP)).transpose()?;
        let relays: Vec<_> = spec
            .relays
            .iter()
            .filter(|_| !spec.wires)
            .map(|(index, all)| Ok((pair(&tap::relay_name(*index))?, all.clone())))
            .collect::<Outcome<_>>()?;
        before(sockets.path())?;
        let tpm = spec.start_tpm(sockets.path())?;
        let log = spec.logs.join("qemu.log");
        let _ = std::fs::remove_file(&log);
        let call = Call::new(tool)
            .args(spec.arguments())
            .folder(sockets.path())
            // Overlays of `snapshot=on` go away with the sockets.
            .env("TMPDIR", sockets.path())
            .log(&log);
        let started = Instant::now();
        let mut running = call.spawn()?;
        let mut accept = |listener: &UnixListener| accept(listener, &mut running, &log);
        let console = accept(&console)?;
        let port = accept(&port)?;
        let qmp = accept(&qmp)?;
        let used = |e: std::io::Error| Failure::io("use", sockets.path(), &e);
        let tap = match tap {
            Some((to, from)) => Some(Tap::start(accept(&to)?, accept(&from)?).map_err(used)?),
            None => None,
        };
        let relays = relays
            .into_iter()
            .map(|((to, from), all)| Relay::start(accept(&to)?, accept(&from)?, all).map_err(used))
            .collect::<Outcome<_>>()?;
        Ok(Self {
            console: Console::start(console, &spec.logs.join("console.log"), started)?,
            port: Console::start(port, &spec.logs.join("selfcheck.log"), started)?,
            qmp: Qmp::connect(qmp, PATIENCE)?,
            started,
            tap,
            _relays: relays,
            running,
            _tpm: tpm,
            _sockets: sockets,
        })
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends the machine and returns why it ended, if it did so by itself: QEMU's reason (`guest-reset`, `guest-panic`…),
    /// or [`BY_WATCHDOG`](crate::qmp::BY_WATCHDOG).
    pub fn end(&mut self) -> Option<String> {
        if !self.running.ended() && self.qmp.status().is_ok() {
            self.qmp.quit();
        }
        self.qmp.drain(Instant::now() + Duration::from_secs(2));
        let reason = ended_by(self.qmp.events());
        self.console.finish();
        self.port.finish();
        reason
    }
}

fn accept(listener: &UnixListener, running: &mut Running, log: &Path) -> Outcome<UnixStream> {
    let deadline = Instant::now() + PATIENCE;
    let broken = |why: String| {
        let tail = std::fs::read_to_string(log).unwrap_or_default();
        let tail: Vec<&str> = tail.lines().rev().take(8).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Failure::error(ExitStatus::Environment, "qemu", why)
            .note(format!("its log: {}", tail.join("\n")))
            .hint("is the installed QEMU older than 7.2?")
    };
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(|e| Failure::io("use", log, &e))?;
                return Ok(stream);
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => return Err(broken(format!("QEMU cannot be reached: {e}"))),
        }
        exec::check_interrupt()?;
        if running.ended() {
            return Err(broken(format!(
                "QEMU ended before the machine started; command: {}",
                running.line()
            )));
        }
        if Instant::now() >= deadline {
            return Err(broken(format!("QEMU did not connect within {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
