//! The machines of one wire: the device with the identity of the test, and a peer for each tunnel, with the hub's
//! ends of their wires.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use record::{ImageRecord, Role};
use spec::plan::Plan;
use spec::types::{InterfaceAddress, Scalar as _};
use traffic::hub::{self, Port, Sent};
use traffic::pcap::Pcap;

use super::{Files, Identities, Item, Subject, Tree, first_host, host, ipsec, openvpn, services, wireguard};
use crate::boot::{absolute, file};
use crate::files::{clone_sparse, kernel_of, scratch_in};
use crate::firewall::{self, WITH_SHELL};
use crate::machine::{Direct, Machine, MachineSpec, wire_sockets};
use crate::peer;

/// What the journal needs to be read from outside.
const JOURNAL: &str = " systemd.journald.forward_to_console=1 systemd.journald.max_level_console=debug \
                        systemd.journald.tty_path=/dev/console";

/// Machines that run, joined by nothing yet.
pub(super) struct Wired {
    pub(super) device: Machine,
    /// In the order of their tunnels.
    pub(super) peers: Vec<Machine>,
    pub(super) ports: Ports,
    /// The device's disk, in the folder of this run.
    pub(super) disk: PathBuf,
    pub(super) scratch: tempfile::TempDir,
}

/// The hub's ends.
pub(super) struct Ports {
    device: Port,
    peers: Vec<Port>,
    unused: Vec<Port>,
}

impl Ports {
    /// Forwards until `stop`; what the device sent in clear to the sealed networks.
    pub(super) fn run(
        &self,
        sealed: &[(String, Vec<String>)],
        pcap: Pcap,
        stop: &AtomicBool,
    ) -> io::Result<Sent> {
        hub::run(&self.device, &self.peers, &self.unused, sealed, pcap, stop)
    }
}

impl Wired {
    /// Starts them; the device's journal comes to its console, or with `shell` a shell instead of it.
    pub(super) fn start(
        plan: &Plan,
        record: &ImageRecord,
        folder: &Path,
        identities: &Identities,
        subjects: &[Subject<'_>],
        suffix: &str,
        shell: bool,
    ) -> Outcome<Self> {
        let logs = |of: &str| {
            let path = folder.join(format!("boot/{of}"));
            fs::create_dir_all(&path).map_err(|e| Failure::io("make", &path, &e))?;
            Ok::<_, Failure>(path)
        };
        let own_logs = logs(&format!("device{suffix}"))?;
        let scratch = scratch_in(&own_logs)?;
        let at = absolute(scratch.path())?;
        let kernel = at.join("Image");
        let fit = folder.join(&file(record, Role::Fit)?.path);
        write(&kernel, &kernel_of(&fit)?)?;
        let disk = at.join("disk.img");
        provision(plan, record, folder, &disk, &identities.device, &at)?;
        let image = absolute(&folder.join(&file(record, Role::Disk)?.path))?;
        let mut spec = MachineSpec::new(plan, Path::new(""), &image, &own_logs)?;
        spec.disk = disk;
        spec.wires = true;
        spec.epoch = identities.epoch;
        spec.tpm_state.clone_from(&identities.tpm);
        let (mut append, mut second) = (record.cmdline.clone(), None);
        if !shell {
            append.push_str(JOURNAL);
        }
        let first = wireguard::overlay(subjects, identities);
        if shell || !first.is_empty() {
            let path = at.join("device.script");
            peer::write(&path, &firewall::script(&first, shell))?;
            append.push_str(WITH_SHELL);
            second = Some(path);
        }
        spec.direct = Some(Direct { kernel: kernel.clone(), append, second, device_tree: None });

        let interface = subjects.first().map(|(_, facts, _)| &facts.interface);
        let wire = plan.board.interfaces.iter().position(|i| Some(i) == interface).unwrap_or(0);
        let bind = |sockets: &Path, index: usize| {
            let (near, far) = wire_sockets(index);
            let path = sockets.join(far);
            Port::bind(&path, sockets.join(near)).map_err(|e| Failure::io("listen on", &path, &e))
        };
        let (mut unused, mut peer_ports, mut peers) = (Vec::new(), Vec::new(), Vec::new());
        for (subject, station) in subjects.iter().zip(1u8..) {
            let script = at.join(format!("{}.script", subject.0));
            let mut files: Files = peer_files(plan, *subject, identities);
            files.extend(services::peer_files(plan, identities)?);
            let mut lines = peer::script(&files, &addresses(plan, *subject))?;
            peer::begin(&mut lines, &neighbour(&subject.1.local_address, wire));
            peer::write(&script, &lines)?;
            let mut other = spec.clone();
            other.tpm_state = None;
            other.logs = logs(&format!("peer{suffix}-{}", subject.0))?;
            (other.interfaces, other.station) = (1, station);
            other.disk = absolute(&folder.join(&file(record, Role::RootfsVerity)?.path))?;
            let append = peer::append(&plan.board.console);
            other.direct =
                Some(Direct { kernel: kernel.clone(), append, second: Some(script), device_tree: None });
            peers.push(Machine::start_with(&other, |sockets| {
                peer_ports.push(bind(sockets, 0)?);
                Ok(())
            })?);
        }
        // A copy: what the device writes is read from it.
        spec.snapshot = false;
        let device = Machine::start_with(&spec, |sockets| {
            for index in 0..spec.interfaces {
                unused.push(bind(sockets, index)?);
            }
            Ok(())
        })?;
        let ports = Ports { device: unused.remove(wire), peers: peer_ports, unused };
        Ok(Self { device, peers, ports, disk: spec.disk, scratch })
    }
}

/// What the peer's machine needs for a tunnel, good and bad.
fn peer_files(plan: &Plan, subject: Subject<'_>, identities: &Identities) -> Files {
    match subject.1.kind.as_str() {
        "strongswan" => ipsec::peer_files(plan, subject.0, identities),
        "wireguard" => wireguard::peer_files(subject.0, identities),
        _ => openvpn::peer_files(plan, subject.0, identities),
    }
}

/// The peer's own address with the plant's prefix, and the first one behind it. A peer that is on no network of the
/// interface is behind the device's gateway: then its machine is that, too.
fn addresses(plan: &Plan, (_, facts, inner): Subject<'_>) -> Vec<String> {
    let interface = plan.network.interfaces.get(&facts.interface);
    let networks = interface
        .into_iter()
        .flat_map(|i| &i.addresses)
        .filter_map(|a| InterfaceAddress::parse(a, true).ok());
    let peer = facts.peer_address.parse::<IpAddr>().ok();
    let on_link = networks.clone().find(|own| peer.is_some_and(|peer| own.network().contains(peer)));
    let gateway = interface.and_then(|i| i.gateway.as_ref()).filter(|_| on_link.is_none());
    let mut out = match on_link {
        Some(own) => vec![format!("{}/{}", facts.peer_address, own.length)],
        None => vec![host(&facts.peer_address)],
    };
    if let Some((gateway, address)) = gateway.and_then(|g| Some((g, g.parse::<IpAddr>().ok()?))) {
        let own = networks.clone().find(|own| own.network().contains(address));
        let length = own.map_or(64, |own| own.length);
        out.insert(0, format!("{gateway}/{length}"));
    }
    // OpenVPN and WireGuard give the inner address to their own interface.
    if facts.inner_peer.is_none() {
        out.push(host(&first_host(inner)));
    }
    out
}

/// The device's hardware address, for IPv6: an interface asks for a neighbour in the name of its own addresses, and what is
/// sent as from a network behind it would be asked for in the name of its link-local one, to which the device has no way.
fn neighbour(device: &str, wire: usize) -> String {
    if device.contains(':') {
        format!("ip neigh replace {device} lladdr 02:00:00:00:00:{wire:02x} dev eth0 nud permanent\n")
    } else {
        String::new()
    }
}

fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    fs::write(path, bytes).map_err(|e| Failure::io("write", path, &e))
}

/// A copy of the disk with the identity on its data partition.
pub(crate) fn provision(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    disk: &Path,
    tree: &Tree,
    at: &Path,
) -> Outcome<()> {
    clone_sparse(&folder.join(&file(record, Role::Disk)?.path), disk)?;
    let part = record.partitions.iter().find(|part| part.name == "data").ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-data",
            format!("the image of `{}` has no data partition", plan.product.name),
        )
        .hint("build the image again with `fastness build`")
    })?;
    let mut commands = String::new();
    for (number, (path, Item { group, mode, content })) in tree.iter().enumerate() {
        let path = path.trim_end_matches('/');
        let kind = if let Some(content) = content {
            let source: PathBuf = at.join(format!("item-{number}"));
            write(&source, content)?;
            commands.push_str(&format!("write {} /{path}\n", source.display()));
            0o100_000
        } else {
            commands.push_str(&format!("mkdir /{path}\n"));
            0o40_000
        };
        commands.push_str(&format!(
            "sif /{path} mode 0{:o}\nsif /{path} uid 0\nsif /{path} gid {group}\n",
            kind | mode
        ));
    }
    let list = at.join("debugfs.commands");
    write(&list, commands.as_bytes())?;
    let name = format!("{}?offset={}", disk.display(), part.offset);
    Call::new(tool("debugfs")?).args(["-w", "-f"]).arg(&list).arg(name).log(&at.join("debugfs.log")).run()
}
