//! `fastness provision`: the secrets of one device, for that device alone.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use pki::Identity;
use pki::provision::{Target, archive, items};
use pki::verify::read_file;
use secret::{NewFile, PassphraseSource, publish};
use serde::Serialize;

use super::pki::Place;
use crate::output::Output;
use crate::stages::{self, Passphrase};

const EXAMPLE: &str = "\
Examples:
  fastness provision gw-17.plant7.example --ipsec --output gw-17.tar
  fastness provision gw-17.plant7.example --openvpn uplink=gw-17.tls-crypt.key --output gw-17.tar
  tar -C /var -xpf gw-17.tar                             on the device, as root";

/// Arguments of `provision`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, group = clap::ArgGroup::new("target").required(true).multiple(true).args(["ipsec", "openvpn"]))]
pub struct Arguments {
    /// Name of the device's identity
    name: String,
    /// For the tunnels of strongSwan
    #[arg(long)]
    ipsec: bool,
    /// For a tunnel of OpenVPN, and the file of its tls-crypt-v2 client key; may be repeated
    #[arg(long, value_name = "TUNNEL=FILE")]
    openvpn: Vec<String>,
    /// Lists of revoked certificates of a company's authority, in PEM
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    /// Archive to write; it holds a private key in clear, and only its owner can read it
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
    name: String,
    serial: String,
    file: PathBuf,
    /// Paths on the device.
    paths: Vec<String>,
}

/// Runs `provision`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let targets = targets(arguments)?;
    let lists = arguments.crl.as_deref().map(text).transpose()?;
    let folder = arguments.place.folder()?;
    let secret = arguments.passphrase.ask(&arguments.place.key()?)?;
    let identity = Identity::open(&folder, &arguments.name, lists, &secret, stages::now())?;
    let items = items(&identity, &targets)?;
    write(&arguments.output, &archive(&items, identity.entry.not_before)?)?;
    let files = items.iter().filter(|(_, item)| item.content.is_some());
    let made = Provisioned {
        name: identity.entry.name.clone(),
        serial: identity.entry.serial.clone(),
        file: arguments.output.clone(),
        paths: files.map(|(path, _)| format!("/var/{path}")).collect(),
    };
    output.result(&made, |_| {
        let paths: String = made.paths.iter().map(|path| format!("  {path}\n")).collect();
        format!(
            "wrote `{}` for `{}` alone; it holds its private key in clear\n{paths}",
            made.file.display(),
            made.name
        )
    });
    Ok(ExitStatus::Success)
}

fn targets(arguments: &Arguments) -> Outcome<Vec<Target>> {
    let mut targets = Vec::new();
    if arguments.ipsec {
        targets.push(Target::Ipsec);
    }
    for asked in &arguments.openvpn {
        let Some((tunnel, file)) = asked.split_once('=') else {
            return Err(Failure::error(
                ExitStatus::Usage,
                "usage",
                format!("expected `--openvpn TUNNEL=FILE`, found `{}`", asked.escape_debug()),
            )
            .hint(
                "FILE is what `openvpn --tls-crypt-v2 SERVER.key --genkey tls-crypt-v2-client FILE` wrote",
            ));
        };
        // Of a secret's file, the whole content counts, and others must not be able to read it.
        let source = PassphraseSource::File(PathBuf::from(file));
        let tls_crypt = source.read("tls-crypt-v2", &crate::passphrase::ask)?;
        targets.push(Target::Openvpn { tunnel: tunnel.to_owned(), tls_crypt });
    }
    Ok(targets)
}

/// Never over another file, whole or not at all, closed to other users.
fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let folder = spec::folder_of(path);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = NewFile { name: name.clone(), content: bytes, mode: 0o600 };
    publish(folder, &name, &[file])
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
