//! What the ends of a tunnel with WireGuard get: keys in files, where its programs look for them.
//!
//! Both keys of an end are made elsewhere (`wg genkey`, `wg genpsk`) and are one device's alone; none is kept here.
//! [`pair`] and [`preshared`] make such keys for the proof of a tunnel. There
//! are no certificates: what is compared is that the keys belong to the ends that the product names.

use base64ct::{Base64, Encoding as _};
use curve25519_dalek::MontgomeryPoint;
use diag::{ExitStatus, Failure, Outcome};
use rand_core::{OsRng, RngCore as _};
use secret::Secret;
use zeroize::Zeroizing;

use crate::provision::{End, Items, file, folders};

/// One tunnel of an end.
pub struct Keys<'a> {
    /// The tunnel's name.
    pub tunnel: &'a str,
    /// Path below the archive's root.
    pub folder: String,
    /// This end's private key, as `wg genkey` writes it.
    pub private: &'a Secret,
    /// What both ends of this one device have, as `wg genpsk` writes it.
    pub preshared: &'a Secret,
    /// The peer's public key, from the product.
    pub peer: &'a str,
    /// The device's public key, and its address in the tunnel: the peer's end needs both.
    pub device: Option<(&'a str, &'a str)>,
}

/// A new private key and its public one, as `wg genkey` and `wg pubkey` write them (without their line end).
#[must_use]
pub fn pair() -> (Secret, String) {
    let bytes = random();
    let public = Base64::encode_string(MontgomeryPoint::mul_base_clamped(*bytes).as_bytes());
    (Secret::new(Base64::encode_string(&*bytes).into_bytes()), public)
}

/// A new key for both ends, as `wg genpsk` writes it.
#[must_use]
pub fn preshared() -> Secret {
    Secret::new(Base64::encode_string(&*random()).into_bytes())
}

fn random() -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *bytes);
    bytes
}

/// What an end gets.
///
/// # Errors
/// `bad-wireguard-key` of what is no key, `key-mismatch` of one that belongs to the other end, `bad-path`.
pub fn items(end: End, keys: &Keys) -> Outcome<Items> {
    let private = key(keys.private, keys.tunnel, "private key", "`wg genkey`")?;
    let preshared = key(keys.preshared, keys.tunnel, "pre-shared key", "`wg genpsk`")?;
    let public = Base64::encode_string(MontgomeryPoint::mul_base_clamped(*private).as_bytes());
    let mut items = Items::new();
    folders(&mut items, &keys.folder, 0o700)?;
    let mut add = |name: &str, text: &[u8]| {
        file(&mut items, format!("{}/{name}", keys.folder), 0o600, text);
    };
    let line = |bytes: &[u8; 32]| Zeroizing::new(Base64::encode_string(bytes) + "\n");
    match (end, keys.device) {
        (End::Device, _) if public == keys.peer => {
            return Err(mismatch(keys, "is the peer's own", "a device has a key of its own: `wg genkey`"));
        }
        (End::Device, _) => {
            add("private.key", line(&private).as_bytes());
            add("preshared.key", line(&preshared).as_bytes());
        }
        (End::Peer, _) if public != keys.peer => {
            let what =
                format!("belongs to the public key `{public}`, the product's peer has `{}`", keys.peer);
            return Err(mismatch(
                keys,
                &what,
                "give the peer's own key, or write its public half into `peer.public_key`",
            ));
        }
        (End::Peer, Some((device, address))) => {
            if !is_key(device) || device == keys.peer {
                return Err(mismatch(
                    keys,
                    &format!(
                        "goes with the device's public key `{}`, which is none of a device",
                        device.escape_debug()
                    ),
                    "`wg pubkey` writes it from the device's private key",
                ));
            }
            let text = Zeroizing::new(format!(
                "[Peer]\nPublicKey = {device}\nPresharedKey = {}AllowedIPs = {address}\n",
                line(&preshared).as_str()
            ));
            add("private.key", line(&private).as_bytes());
            add("device.conf", text.as_bytes());
        }
        (End::Peer, None) => {
            return Err(mismatch(
                keys,
                "needs the device's public key beside it",
                "`--device-key TUNNEL=KEY`",
            ));
        }
    }
    Ok(items)
}

fn mismatch(keys: &Keys, what: &str, hint: &str) -> Failure {
    let message = format!("the private key for the tunnel `{}` {what}", keys.tunnel);
    Failure::error(ExitStatus::Keys, "key-mismatch", message).hint(hint)
}

/// Whether it is a public key in base64.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let mut bytes = [0; 32];
    Base64::decode(text, &mut bytes)
        .is_ok_and(|found| found.len() == 32 && found.iter().any(|byte| *byte != 0))
}

/// The 32 bytes of a key; all zeros would be none.
fn key(given: &Secret, tunnel: &str, what: &str, made_by: &str) -> Outcome<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    let right = std::str::from_utf8(given.bytes())
        .ok()
        .and_then(|text| Base64::decode(text.trim_end(), &mut *bytes).ok().map(<[u8]>::len))
        == Some(32);
    if right && bytes.iter().any(|byte| *byte != 0) {
        return Ok(bytes);
    }
    let message =
        format!("expected the {what} for the tunnel `{tunnel}` as 32 bytes in base64, found something else");
    Err(Failure::error(ExitStatus::Input, "bad-wireguard-key", message).hint(format!("{made_by} makes one")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of RFC 7748, 6.1: the private key's public half.
    const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    const OTHER: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
    const SHARED: &str = "Sl2dW6TOLeFyjjv0gDUPJeB+IclH0Z4zdvCbPB4WF0I=";

    fn of(
        end: End,
        private: &str,
        peer: &str,
        device: Option<(&str, &str)>,
    ) -> Result<Vec<(String, String)>, Failure> {
        let (private, preshared) =
            (Secret::new(private.as_bytes().to_vec()), Secret::new(SHARED.as_bytes().to_vec()));
        let keys = Keys {
            tunnel: "backup",
            folder: "lib/wg/backup".to_owned(),
            private: &private,
            preshared: &preshared,
            peer,
            device,
        };
        let text = |content: Option<Zeroizing<Vec<u8>>>| {
            String::from_utf8_lossy(&content.unwrap_or_default()).into_owned()
        };
        let found = items(end, &keys)?.into_iter().filter(|(_, item)| item.content.is_some());
        Ok(found.map(|(path, item)| (path, text(item.content))).collect())
    }

    #[test]
    fn each_end_gets_its_own_keys_and_no_others() {
        let device = of(End::Device, PRIVATE, OTHER, None).expect("good");
        let expected = [("lib/wg/backup/preshared.key", SHARED), ("lib/wg/backup/private.key", PRIVATE)];
        assert_eq!(device, expected.map(|(path, text)| (path.to_owned(), format!("{text}\n"))));
        let peer = of(End::Peer, PRIVATE, PUBLIC, Some((OTHER, "10.9.0.2/32"))).expect("good");
        let configuration =
            format!("[Peer]\nPublicKey = {OTHER}\nPresharedKey = {SHARED}\nAllowedIPs = 10.9.0.2/32\n");
        assert_eq!(peer[0], ("lib/wg/backup/device.conf".to_owned(), configuration));
    }

    #[test]
    fn a_new_pair_belongs_together_and_is_nobody_elses() {
        let (private, public) = pair();
        let text = String::from_utf8(private.bytes().to_vec()).expect("base64");
        assert!(of(End::Peer, &text, &public, Some((OTHER, "10.9.0.2/32"))).is_ok());
        assert_ne!(pair().1, public);
        assert_ne!(preshared().bytes(), preshared().bytes());
    }

    #[test]
    fn a_key_of_the_other_end_or_none_at_all_is_refused() {
        let refused = |result: Result<_, Failure>| {
            result.err().map(|f: Failure| (f.diagnostics[0].code.clone(), f.status))
        };
        let mismatch = Some(("key-mismatch".to_owned(), ExitStatus::Keys));
        assert_eq!(refused(of(End::Device, PRIVATE, PUBLIC, None)), mismatch, "the peer's key on a device");
        assert_eq!(
            refused(of(End::Peer, PRIVATE, OTHER, Some((PUBLIC, "10.9.0.2/32")))),
            mismatch,
            "not the product's peer"
        );
        assert_eq!(
            refused(of(End::Peer, PRIVATE, PUBLIC, Some((PUBLIC, "10.9.0.2/32")))),
            mismatch,
            "the peer as device"
        );
        assert_eq!(
            refused(of(End::Peer, PRIVATE, PUBLIC, Some(("x\ny", "10.9.0.2/32")))),
            mismatch,
            "no key"
        );
        assert_eq!(refused(of(End::Peer, PRIVATE, PUBLIC, None)), mismatch);
        for bad in ["", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "c2hvcnQ="] {
            assert_eq!(
                refused(of(End::Device, bad, OTHER, None)),
                Some(("bad-wireguard-key".to_owned(), ExitStatus::Input))
            );
        }
    }
}
