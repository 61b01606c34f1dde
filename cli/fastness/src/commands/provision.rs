//! `fastness provision`: the secrets of one device, or of its peer, for that one alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use pki::delivery::{Device, sealed};
use pki::provision::{End, Items, Target, archive, items, revoked_keys};
use pki::verify::read_file;
use pki::{AltName, Identity};
use secret::{NewFile, PassphraseSource, Secret, publish};
use serde::Serialize;
use spec::plan::{CollectorFacts, Plan, TunnelFacts};
use zeroize::Zeroizing;

use super::events::seal_key;
use super::pki::Place;
use super::{provision_opcua, provision_tpm, provision_wireguard};
use crate::output::Output;
use crate::stages::{self, Passphrase};

const EXAMPLE: &str = "\
Examples:
  fastness provision gw-17 --tls-crypt historian=gw-17.key --output gw-17.tar
  tar -C /var -xpf gw-17.tar                             on the device, as root
  fastness provision scada.plant7.example --peer scada --output scada.tar
  fastness provision --wireguard backup=gw-17.wg --preshared backup=gw-17.psk --output gw-17-wg.tar
  fastness provision gw-17 --tls-crypt historian=gw-17.key --opcua plc=gw-17-plc --operator eve --output gw-17.tar
  fastness provision scada-ua --peer plc --output scada-ua.tar
  fastness provision gw-17 --tls-crypt historian=gw-17.key --tpm gw-17-tpm --output gw-17.tar
  fastness provision gw-17 --seal gw-17.seal --output gw-17.tar
  fastness provision gw-17 --tls-crypt historian=gw-17.key --backup-key gw-17.backup-key --output gw-17.restore
  fastness provision logs.plant7.example --peer logs.plant7.example --output logs.tar";

/// Arguments of `provision`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Name of the identity of the end of the tunnels and of the collector, or of an OPC UA application's other end
    #[arg(required_unless_present_any = ["opcua", "wireguard", "tpm"])]
    pub(super) name: Option<String>,
    /// For the other end of this tunnel or OPC UA application, or for this collector, instead of the device
    #[arg(long, value_name = "NAME", conflicts_with = "opcua")]
    pub(super) peer: Option<String>,
    /// The identity of an OPC UA application of the device; may be repeated
    #[arg(long, value_name = "APPLICATION=IDENTITY", value_parser = provision_opcua::pair)]
    pub(super) opcua: Vec<(String, String)>,
    /// A person who may log in to the OPC UA servers; may be repeated
    #[arg(long, value_name = "IDENTITY")]
    pub(super) operator: Vec<String>,
    /// The tls-crypt-v2 key of a tunnel with OpenVPN; may be repeated
    #[arg(long, value_name = "TUNNEL=FILE", value_parser = provision_wireguard::tunnel_file)]
    tls_crypt: Vec<(String, PathBuf)>,
    /// The first key of the seal of its records: 64 hexadecimal digits that no other device has
    #[arg(long, value_name = "FILE", conflicts_with = "peer")]
    seal: Option<PathBuf>,
    /// The identity whose key the device made in its TPM, where NAME's key is a file; otherwise NAME
    #[arg(long, value_name = "IDENTITY", conflicts_with = "peer")]
    pub(super) tpm: Option<String>,
    #[command(flatten)]
    pub(super) wireguard: provision_wireguard::Keys,
    /// In the form of a backup that adds to what the device has, encrypted with its key of backups: handed over in the field, without root
    #[arg(long, value_name = "FILE", conflicts_with_all = ["peer", "seal"])]
    backup_key: Option<PathBuf>,
    /// Lists of revoked certificates of a company's authority, in PEM
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    /// Board, if the product has several
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Archive to write; without `--backup-key` it holds a private key in clear, and only its owner can read it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Result of `provision`.
#[derive(Debug, Serialize)]
struct Provisioned {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    file: PathBuf,
    /// Paths in the archive.
    paths: Vec<String>,
}

/// Runs `provision`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let plan = spec::load(arguments.place.product(), arguments.board.as_deref())?;
    let applications = provision_opcua::wanted(&plan, arguments)?;
    let collector = collector(&plan, arguments)?;
    let all = tunnels(&plan, arguments, !applications.is_empty(), collector.is_some())?;
    let seal = arguments.seal.as_deref().map(seal_key).transpose()?;
    // Those with certificates, and those without.
    let (bare, tunnels): (BTreeMap<_, _>, BTreeMap<_, _>) =
        all.into_iter().partition(|(_, tunnel)| tunnel.kind == "wireguard");
    let end = if arguments.peer.is_some() { End::Peer } else { End::Device };
    // Those whose key is in the device's TPM, and those with a file.
    let in_tpm = |tunnel: &TunnelFacts| end == End::Device && tunnel.in_tpm;
    let keys = tls_crypt_keys(&tunnels, &arguments.tls_crypt)?;
    let (own_key, tunnels): (BTreeMap<_, _>, BTreeMap<_, _>) =
        tunnels.into_iter().partition(|(_, tunnel)| in_tpm(tunnel));
    if !(tunnels.is_empty() && own_key.is_empty()) && arguments.name.is_none() && arguments.tpm.is_none() {
        return Err(no_identity(&plan));
    }
    let own_targets = targets(&plan, end, &own_key, &keys)?;
    let own_key = provision_tpm::identity(arguments, &own_key, !tunnels.is_empty() || collector.is_some())?;
    if !tunnels.is_empty() && arguments.name.is_none() {
        return Err(no_identity(&plan));
    }
    let mut targets = targets(&plan, end, &tunnels, &keys)?;
    if let Some(facts) = collector {
        let folder = match end {
            End::Device => layer_folder(&plan, "forward")?,
            End::Peer => facts.name.clone(),
        };
        targets.push(Target::Collector { folder });
    }
    let lists = arguments.crl.as_deref().map(text).transpose()?;
    let folder = arguments.place.folder()?;
    let now = stages::now();
    let mut items = provision_wireguard::items(&plan, end, &bare, &arguments.wireguard)?;
    let secret = if targets.is_empty() && applications.is_empty() {
        Secret::new(Vec::new())
    } else {
        arguments.passphrase.ask(&arguments.place.key()?)?
    };
    let mut entries = Vec::new();
    if let Some(own_key) = &own_key {
        let (entry, files) = own_key.items(&own_targets, &folder, lists.clone(), now)?;
        items.extend(files);
        entries.push(entry);
    }
    if let (Some(name), false) = (&arguments.name, targets.is_empty()) {
        let identity = Identity::open(&folder, name, lists.clone(), &secret, now)?;
        for tunnel in tunnels.values() {
            let name = if end == End::Device { &tunnel.local_name } else { &tunnel.peer_name };
            // OpenVPN before 2.7 compares the common name and no other.
            identity.check_name(&host(name)?, tunnel.kind == "openvpn")?;
        }
        if let Some(facts) = collector {
            let name = if end == End::Device { &facts.local_name } else { &facts.name };
            identity.check_name(&host(name)?, false)?;
        }
        items.extend(self::items(&identity, end, &targets)?);
        entries.push(identity.entry);
    }
    for wanted in &applications {
        let identity = Identity::open(&folder, wanted.identity, lists.clone(), &secret, now)?;
        let operators = wanted.operators(&folder, lists.as_deref(), arguments, now)?;
        items.extend(pki::opcua::items(&identity, &wanted.application, &operators)?);
        entries.push(identity.entry);
    }
    if let Some(key) = &seal {
        pki::provision::seal(&mut items, &layer_folder(&plan, "events")?, &key.line())?;
    }
    if items.is_empty() {
        return Err(no_identity(&plan));
    }
    // No tunnel, application or seal gave it a secret.
    let only_papers = own_key.is_some()
        && targets.is_empty()
        && applications.is_empty()
        && bare.is_empty()
        && seal.is_none();
    if end == End::Device {
        items.extend(revoked_keys(&folder)?);
    }
    // Without a certificate there is no time but the product's.
    let epoch = entries.iter().map(|entry| entry.not_before).max().unwrap_or(plan.product.epoch);
    let bytes = match &arguments.backup_key {
        Some(file) => delivery(&plan, &items, file, now)?,
        None => archive(&items, epoch)?,
    };
    let held = match (only_papers, keys.is_empty()) {
        (true, true) => "it holds no private key",
        (true, false) => "it holds no private key, but the keys of its control channels in clear",
        _ => "it holds its private key in clear",
    };
    let held = if arguments.backup_key.is_some() { "the device's key of backups opens it" } else { held };
    write(&arguments.output, &bytes)?;
    let entry = entries.first();
    let files = items.into_iter().filter(|(_, item)| item.content.is_some());
    let made = Provisioned {
        name: entry.map(|entry| entry.name.clone()).or_else(|| arguments.name.clone()),
        serial: entry.map(|entry| entry.serial.clone()),
        file: arguments.output.clone(),
        paths: files.map(|(path, _)| path).collect(),
    };
    output.result(&made, |_| {
        let paths: String = made.paths.iter().map(|path| format!("  {path}\n")).collect();
        format!(
            "wrote `{}` for `{}` alone; {held}\n{paths}",
            made.file.display(),
            made.name.as_deref().unwrap_or("one end"),
        )
    });
    Ok(ExitStatus::Success)
}

/// What a device takes in the field, if its product has the layer `backup`.
fn delivery(plan: &Plan, items: &Items, key: &Path, now: u64) -> Outcome<Zeroizing<Vec<u8>>> {
    let Some(layer) = plan.layer("backup") else {
        let message =
            format!("the devices of `{}` take no backup: the layer `backup` is not on", plan.product.name);
        return Err(Failure::error(ExitStatus::Usage, "no-backup", message).hint(
            "write `backup: {}` below `layers`, or leave `--backup-key` out and unpack the archive as root",
        ));
    };
    let text = |name: &str| layer.parameters.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    let device = Device {
        product: plan.product.name.clone(),
        version: plan.product.version.clone(),
        kept: vec!["/var/lib/fastness".to_owned(), text("application").to_owned()],
        never: vec![text("folder").to_owned(), "/var/lib/fastness/requests".to_owned()],
        limit: layer.parameters.get("limit").and_then(serde_json::Value::as_u64).unwrap_or_default(),
    };
    // Others must not be able to read it, as a passphrase.
    let key = PassphraseSource::File(key.to_owned()).read("key-of-backups", &crate::passphrase::ask)?;
    sealed(items, &device, &spec::time::rfc3339(now), &key).map(Zeroizing::new)
}

fn no_identity(plan: &Plan) -> Failure {
    let message = format!("the devices of `{}` need an identity, and none is named", plan.product.name);
    Failure::error(ExitStatus::Usage, "no-identity", message).hint("`fastness provision NAME …`")
}

/// The collector of the product, if its device or itself is provisioned.
fn collector<'a>(plan: &'a Plan, arguments: &Arguments) -> Outcome<Option<&'a CollectorFacts>> {
    let facts = plan.network.collector.as_ref();
    let facts = facts.filter(|facts| arguments.peer.as_ref().is_none_or(|peer| *peer == facts.name));
    if facts.is_some() && arguments.name.is_none() {
        return Err(no_identity(plan));
    }
    Ok(facts)
}

/// The tunnels that are provisioned: all of a device, one of a peer.
fn tunnels<'a>(
    plan: &'a Plan,
    arguments: &Arguments,
    others: bool,
    collector: bool,
) -> Outcome<BTreeMap<&'a str, &'a TunnelFacts>> {
    let all = plan.network.tunnels.iter();
    let tunnels: BTreeMap<&str, &TunnelFacts> = all
        .filter(|(name, _)| arguments.peer.as_ref().is_none_or(|peer| peer == *name))
        .map(|(name, tunnel)| (name.as_str(), tunnel))
        .collect();
    if !tunnels.is_empty() || collector || (others && (arguments.peer.is_some() || arguments.name.is_none()))
    {
        return Ok(tunnels);
    }
    let product = arguments.place.product().display();
    let message = match &arguments.peer {
        Some(peer) => format!(
            "`{product}` has no tunnel `{}`, and no OPC UA application or collector of that name",
            peer.escape_debug()
        ),
        None => format!("`{product}` has no tunnel and no collector, so that its devices need no identity"),
    };
    Err(Failure::error(ExitStatus::Input, "no-tunnel", message).hint("the product's `tunnels` name them"))
}

/// The key of each tunnel with OpenVPN, and none of others.
fn tls_crypt_keys(
    tunnels: &BTreeMap<&str, &TunnelFacts>,
    asked: &[(String, PathBuf)],
) -> Outcome<BTreeMap<String, Secret>> {
    let mut keys = BTreeMap::new();
    for (tunnel, file) in asked {
        if tunnels.get(tunnel.as_str()).is_none_or(|facts| facts.kind != "openvpn") {
            return Err(Failure::error(
                ExitStatus::Usage,
                "no-tunnel",
                format!("expected a tunnel with OpenVPN in `--tls-crypt`, found `{}`", tunnel.escape_debug()),
            )
            .hint("the product's `tunnels` name them"));
        }
        // Others must not be able to read it, as a passphrase.
        let key = PassphraseSource::File(file.clone()).read("tls-crypt-v2", &crate::passphrase::ask)?;
        keys.insert(tunnel.clone(), key);
    }
    Ok(keys)
}

fn targets(
    plan: &Plan,
    end: End,
    tunnels: &BTreeMap<&str, &TunnelFacts>,
    keys: &BTreeMap<String, Secret>,
) -> Outcome<Vec<Target>> {
    let mut targets = Vec::new();
    for (name, tunnel) in tunnels {
        let folder = match end {
            End::Device => layer_folder(plan, if tunnel.kind == "openvpn" { "openvpn" } else { "ipsec" })?,
            End::Peer => (*name).to_owned(),
        };
        if tunnel.kind != "openvpn" {
            // One daemon has one identity for all its tunnels.
            targets.push(Target::Ipsec { folder });
            continue;
        }
        let Some(tls_crypt) = keys.get(*name).cloned() else {
            return Err(Failure::error(
                ExitStatus::Usage,
                "no-tls-crypt",
                format!("the tunnel `{name}` needs its tls-crypt-v2 key, and `--tls-crypt` names none"),
            )
            .hint(
                "`openvpn --genkey tls-crypt-v2-server SERVER.key` makes the plant's, `openvpn --tls-crypt-v2 \
                 SERVER.key --genkey tls-crypt-v2-client FILE` a device's",
            ));
        };
        let folder = if end == End::Device { format!("{folder}/{name}") } else { folder };
        targets.push(Target::Openvpn { folder, tls_crypt });
    }
    Ok(targets)
}

/// The folder of a layer, below the data partition.
pub(super) fn layer_folder(plan: &Plan, layer: &str) -> Outcome<String> {
    let folder =
        plan.layer(layer).and_then(|facts| facts.parameters.get("folder")).and_then(|value| value.as_str());
    folder.and_then(|folder| folder.strip_prefix("/var/")).map(str::to_owned).ok_or_else(|| {
        let found = folder.unwrap_or("none");
        Failure::error(
            ExitStatus::Input,
            "bad-path",
            format!("expected the `folder` of the layer `{layer}` below `/var`, found `{found}`"),
        )
        .hint("what is written to a device lies on its data partition, which is mounted there")
    })
}

pub(super) fn host(name: &str) -> Outcome<AltName> {
    format!("dns:{name}").parse().map_err(|why: String| {
        Failure::error(ExitStatus::Input, "bad-name", why).hint("give the tunnel's end a host name")
    })
}

/// Never over another file, whole or not at all, closed to other users.
fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = NewFile { name: name.clone(), content: bytes, mode: 0o600 };
    if path.exists() {
        return Err(Failure::error(
            ExitStatus::Keys,
            "archive-exists",
            format!(
                "expected no file `{}` yet, found one: an archive of secrets is never overwritten",
                path.display()
            ),
        )
        .hint("destroy the old one if its device has it, or name another with `-o`"));
    }
    publish(spec::folder_of(path), &name, &[file])
}

fn text(path: &Path) -> Outcome<String> {
    String::from_utf8(read_file(path)?).map_err(|_| {
        Failure::error(
            ExitStatus::Input,
            "malformed",
            format!("expected `X509 CRL` in PEM in `{}`, found something else", path.display()),
        )
        .hint("DER becomes PEM with `openssl crl -inform DER`")
    })
}
