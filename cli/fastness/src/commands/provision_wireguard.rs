//! The keys of tunnels with WireGuard, as `fastness provision` takes and writes them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use pki::provision::{End, Items};
use pki::wireguard;
use secret::{PassphraseSource, Secret};
use spec::plan::{Plan, TunnelFacts};

use super::provision::layer_folder;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    /// The private key of this end of a tunnel with WireGuard; may be repeated
    #[arg(long, value_name = "TUNNEL=FILE", value_parser = tunnel_file)]
    wireguard: Vec<(String, PathBuf)>,
    /// The pre-shared key of a device's tunnel with WireGuard; may be repeated
    #[arg(long, value_name = "TUNNEL=FILE", value_parser = tunnel_file)]
    preshared: Vec<(String, PathBuf)>,
    /// The device's public key, for the other end of its tunnel with WireGuard
    #[arg(long, value_name = "TUNNEL=KEY", requires = "peer", value_parser = tunnel_key)]
    device_key: Option<(String, String)>,
}

/// What the ends of these tunnels get.
pub(super) fn items(
    plan: &Plan,
    end: End,
    tunnels: &BTreeMap<&str, &TunnelFacts>,
    given: &Keys,
) -> Outcome<Items> {
    let named = given.wireguard.iter().chain(&given.preshared).map(|(tunnel, _)| tunnel);
    let named = named.chain(given.device_key.iter().map(|(tunnel, _)| tunnel));
    if let Some(other) = named.into_iter().find(|name| !tunnels.contains_key(name.as_str())) {
        let message = format!("expected a tunnel with WireGuard, found `{}`", other.escape_debug());
        return Err(
            Failure::error(ExitStatus::Usage, "no-tunnel", message).hint("the product's `tunnels` name them")
        );
    }
    let mut items = Items::new();
    for (name, tunnel) in tunnels {
        let private = read(name, &given.wireguard, "--wireguard", "`wg genkey`")?;
        let preshared =
            read(name, &given.preshared, "--preshared", "`wg genpsk`, once for both ends of each device,")?;
        let folder = match end {
            End::Device => format!("{}/{name}", layer_folder(plan, "wireguard")?),
            End::Peer => (*name).to_owned(),
        };
        let inner =
            tunnel.inner_address.as_deref().and_then(|text| text.split('/').next()).unwrap_or_default();
        let address = format!("{inner}/{}", if inner.contains(':') { 128 } else { 32 });
        let device = given.device_key.as_ref().map(|(_, key)| (key.as_str(), address.as_str()));
        items.extend(wireguard::items(
            end,
            &wireguard::Keys {
                tunnel: name,
                folder,
                private: &private,
                preshared: &preshared,
                peer: tunnel.peer_key.as_deref().unwrap_or_default(),
                device,
            },
        )?);
    }
    Ok(items)
}

/// Others must not be able to read it, as a passphrase.
fn read(tunnel: &str, given: &[(String, PathBuf)], argument: &str, made_by: &str) -> Outcome<Secret> {
    let Some((_, file)) = given.iter().find(|(name, _)| name == tunnel) else {
        let message = format!("the tunnel `{tunnel}` needs its key, and `{argument}` names none");
        return Err(Failure::error(ExitStatus::Usage, "no-wireguard-key", message)
            .hint(format!("{made_by} makes it; write `{argument} {tunnel}=FILE`")));
    };
    PassphraseSource::File(file.clone()).read(argument.trim_start_matches('-'), &crate::passphrase::ask)
}

/// `TUNNEL=FILE`.
pub(super) fn tunnel_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((tunnel, file)) if !tunnel.is_empty() && !file.is_empty() => {
            Ok((tunnel.to_owned(), file.into()))
        }
        _ => Err("expected `TUNNEL=FILE`".to_owned()),
    }
}

fn tunnel_key(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((tunnel, key)) if !tunnel.is_empty() && wireguard::is_key(key) => {
            Ok((tunnel.to_owned(), key.to_owned()))
        }
        _ => Err("expected `TUNNEL=KEY`, the key as `wg pubkey` writes it".to_owned()),
    }
}
