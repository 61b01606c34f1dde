//! What both ends of a tunnel say of it, against the plan. Pure: lines in, verdicts out.
//!
//! strongSwan writes algorithms in its configuration in one way (`aes256gcm16-prfsha384-ecp384`) and in its
//! logs in another (`AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384`; `swanctl --list-sas` has `AES_GCM_16-256`).
//! A word that is not known here is compared with nothing: that is a failure, never a pass.

use record::{TrafficVerdict, TunnelClass};

/// Words of a configuration and of a log (strongSwan's `proposal_keywords_static.txt` and its names of transforms).
const WORDS: [(&str, &str); 9] = [
    ("aes256gcm16", "AES_GCM_16_256"),
    ("chacha20poly1305", "CHACHA20_POLY1305"),
    ("prfsha256", "PRF_HMAC_SHA2_256"),
    ("prfsha384", "PRF_HMAC_SHA2_384"),
    ("prfsha512", "PRF_HMAC_SHA2_512"),
    ("ecp256", "ECP_256"),
    ("ecp384", "ECP_384"),
    ("ecp521", "ECP_521"),
    ("curve25519", "CURVE_25519"),
];

/// A proposal of a configuration in a log's words.
///
/// # Errors
/// The word that is not known.
pub fn in_log_words(proposal: &str) -> Result<String, String> {
    let words: Result<Vec<&str>, String> = proposal
        .split('-')
        .map(|word| {
            let known = WORDS.iter().find(|(configured, _)| *configured == word);
            known
                .map(|(_, logged)| *logged)
                .ok_or_else(|| format!("expected a known algorithm, found `{word}`"))
        })
        .collect();
    Ok(words?.join("/"))
}

/// What the two ends of an IKE SA say was negotiated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// Peer's: version and algorithms of the IKE SA, from `swanctl --list-sas`.
    pub peer_ike: Option<String>,
    /// Peer's: algorithms of ESP.
    pub peer_esp: Option<String>,
    /// Device's, from its log.
    pub device_ike: Option<String>,
    /// Device's, from its log.
    pub device_esp: Option<String>,
}

/// Reads `swanctl --list-sas` of the peer and the log of the device.
#[must_use]
pub fn ipsec(sas: &[String], device_log: &[String]) -> Negotiated {
    let mut out = Negotiated::default();
    let established = sas.iter().position(|line| line.contains("ESTABLISHED, IKEv2,"));
    if let Some(at) = established {
        let is_ike = |line: &&String| line.contains("/PRF_");
        out.peer_ike = sas[at..].iter().find(is_ike).map(|line| line.trim().replace("_16-256", "_16_256"));
    }
    let esp = sas.iter().find_map(|line| line.split_once("INSTALLED, TUNNEL, ESP:"));
    out.peer_esp = esp.map(|(_, esp)| esp.trim().replace("_16-256", "_16_256"));
    let last = |mark: &str| {
        let found = device_log.iter().rev().find_map(|line| line.split_once(mark));
        found.map(|(_, algorithms)| algorithms.trim().to_owned())
    };
    out.device_ike = last("selected proposal: IKE:");
    out.device_esp = last("selected proposal: ESP:").map(|esp| esp.replace("/NO_EXT_SEQ", ""));
    out
}

/// What of it is not the plan's. The first ESP SA takes its keys from the IKE SA (RFC 7296, 1.2), so that its
/// group does not appear.
#[must_use]
pub fn ipsec_problems(found: &Negotiated, proposals: &[String], esp_proposals: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let ike = proposals.first().map(|first| in_log_words(first));
    let esp = esp_proposals.first().and_then(|first| first.split('-').next()).map(in_log_words);
    out.extend(not_planned("IKE", ike, [&found.peer_ike, &found.device_ike]));
    out.extend(not_planned("ESP", esp, [&found.peer_esp, &found.device_esp]));
    out
}

/// What peer and device, in this order, say of algorithms, where it is not the plan's.
pub(crate) fn not_planned(
    what: &str,
    wanted: Option<Result<String, String>>,
    values: [&Option<String>; 2],
) -> Vec<String> {
    let wanted = match wanted {
        Some(Ok(wanted)) => wanted,
        Some(Err(why)) => return vec![why],
        None => return vec![format!("the plan has no proposal for {what}")],
    };
    let said = ["the peer", "the device"].into_iter().zip(values);
    said.filter_map(|(end, value)| match value {
        Some(value) if *value == wanted => None,
        Some(value) => Some(format!("{end} says {what} `{value}`, the plan `{wanted}`")),
        None => Some(format!("{end} says nothing of {what}, the plan `{wanted}`")),
    })
    .collect()
}

/// Cipher suites of the tunnels' configurations, in the words of OpenVPN's log (TLS 1.3's, then TLS 1.2's).
const SUITES: [&str; 6] = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// What an OpenVPN log says was negotiated.
#[must_use]
pub fn openvpn_says(log: &[String]) -> Vec<String> {
    let last = |mark: &str| log.iter().rev().find_map(|line| line.find(mark).map(|at| line[at..].to_owned()));
    ["Control Channel: TLSv", "Data Channel: cipher '"].into_iter().filter_map(last).collect()
}

/// What of an OpenVPN log is not the plan's; `end` says whose log it is.
#[must_use]
pub fn openvpn_problems(end: &str, log: &[String], ciphers: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    match log.iter().rev().find_map(|line| line.split_once("Control Channel: TLSv")) {
        Some((_, rest)) if rest.starts_with("1.3,") || rest.starts_with("1.2,") => {
            // `1.3, cipher TLSv1.3 TLS_AES_256_GCM_SHA384, peer certificate: …`
            let suite = rest.split(',').nth(1).and_then(|words| words.split_whitespace().last());
            if !suite.is_some_and(|suite| SUITES.contains(&suite)) {
                out.push(format!("{end} says the cipher suite {suite:?}, expected one of {SUITES:?}"));
            }
        }
        Some((_, rest)) => out.push(format!("{end} says `TLSv{rest}`, expected TLS 1.2 or later")),
        None => out.push(format!("{end} says nothing of a control channel")),
    }
    let data = log.iter().rev().find_map(|line| line.split_once("Data Channel: cipher '"));
    match (data.map(|(_, rest)| rest.split('\'').next().unwrap_or_default()), ciphers.first()) {
        (Some(found), Some(wanted)) if found == wanted => {}
        (Some(found), wanted) => out.push(format!("{end} says the cipher `{found}`, the plan {wanted:?}")),
        (None, _) => out.push(format!("{end} says nothing of a data channel")),
    }
    out
}

/// What of the groups of TLS that OpenVPN's logs name is not the plan's. Not every end names one: a client's log says nothing of
/// ML-KEM, since it gets no key for it, but a ciphertext.
#[must_use]
pub fn openvpn_group_problems(logs: &[(&str, &[String])], groups: &[String]) -> Vec<String> {
    let (mut out, mut named) = (Vec::new(), false);
    for (end, log) in logs {
        let found = log.iter().rev().find_map(|line| line.split_once("peer temporary key: "));
        // `384 bits ECsecp384r1`, `253 bits X25519`.
        let Some(group) = found.and_then(|(_, rest)| rest.split([',', ' ']).nth(2)) else { continue };
        named = true;
        let group = group.strip_prefix("EC").unwrap_or(group);
        if !groups.iter().any(|wanted| wanted == group) {
            out.push(format!("{end} says the group `{group}`, the plan `{}`", groups.join("`, `")));
        }
    }
    if !named {
        out.push(format!(
            "no end says by which group keys were exchanged, the plan `{}`",
            groups.join("`, `")
        ));
    }
    out
}

/// How a TCP probe of the peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Somebody listens.
    Open,
    /// A reset: the firewall let the SYN and its answer pass, and nobody listens.
    Refused,
    /// Nothing came back.
    Silent,
}

/// Reads the last `tcp ADDRESS PORT WORD` of the peer's script; nothing, if there is none or another word.
#[must_use]
pub fn probe(lines: &[String]) -> Option<Probe> {
    let line = lines.iter().rev().find(|line| line.starts_with("tcp "))?;
    match line.split_whitespace().nth(3)? {
        "open" => Some(Probe::Open),
        "refused" => Some(Probe::Refused),
        "silent" => Some(Probe::Silent),
        _ => None,
    }
}

/// Who says why there is no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The device: it refuses what the peer shows.
    Device,
    /// The peer: the device did not offer what the peer wants, so that it is the peer who gives up.
    Peer,
}

/// A reason for which a peer must be refused, and how a log says it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Name.
    pub name: &'static str,
    /// Whose log.
    pub by: By,
    /// Any one of these in a line of the log.
    pub says: &'static [&'static str],
}

impl Refusal {
    /// Whether a line of a log says it.
    #[must_use]
    pub fn is_in(&self, line: &str) -> bool {
        self.says.iter().any(|says| line.contains(says))
    }
}

const fn device(name: &'static str, says: &'static [&'static str]) -> Refusal {
    Refusal { name, by: By::Device, says }
}

/// The reasons for strongSwan.
pub const IPSEC_REFUSALS: &[Refusal] = &[
    device("unknown-ca", &["no issuer certificate found", "no trusted"]),
    device("wrong-name", &["no matching peer config found"]),
    device("revoked", &["certificate was revoked"]),
    device("expired", &["certificate invalid (valid from", "certificate expired"]),
    device("not-yet-valid", &["certificate invalid (valid from", "certificate not valid before"]),
    device("self-signed", &["self-signed certificate"]),
    device("weak-key", &["RSA-1024 signatures not acceptable", "RSA-2048 signatures not acceptable"]),
    device("sha1-signature", &["_WITH_SHA1"]),
    device("weak-proposals", &["received proposals unacceptable", "no acceptable"]),
    device("ikev1", &["no IKE config found", "NO_PROPOSAL_CHOSEN"]),
];

/// Of a tunnel with ML-KEM alone, in the place of [`WITHOUT_ML_KEM`]: nobody can talk the device out of it. The peer, which is TLS's
/// server, finds nothing to agree on.
pub const ML_KEM_REFUSALS: &[Refusal] = &[
    Refusal { name: "no-ml-kem", by: By::Peer, says: &["no suitable key share", "no shared groups"] },
    Refusal { name: "tls-1.2", by: By::Peer, says: &["unsupported protocol"] },
];

/// A suite of TLS 1.2, which a device with ML-KEM does not come to: ML-KEM is for TLS 1.3.
pub const WITHOUT_ML_KEM: &str = "weak-tls-cipher";

/// The reasons for OpenVPN, in OpenSSL's words (`X509_verify_cert_error_string`) and its own. The device is the
/// client of the TLS connection: what it never offers, only the peer's log tells.
pub const OPENVPN_REFUSALS: &[Refusal] = &[
    device(
        "unknown-ca",
        &["error=unable to get local issuer certificate", "error=self-signed certificate in"],
    ),
    device("wrong-name", &["VERIFY X509NAME ERROR"]),
    device("revoked", &["error=certificate revoked"]),
    device("expired", &["error=certificate has expired"]),
    device("not-yet-valid", &["error=certificate is not yet valid"]),
    device(
        "wrong-purpose",
        &["error=unsuitable certificate purpose", "error=unsupported certificate purpose"],
    ),
    device("self-signed", &["error=self-signed certificate:"]),
    device("weak-key", &["error=EE certificate key too weak"]),
    device("sha1-signature", &["error=CA signature digest algorithm too weak"]),
    device("weak-data-cipher", &["failed to negotiate cipher with peer"]),
    device("wrong-tls-crypt", &["tls-crypt unwrap error: packet authentication failed"]),
    Refusal { name: "weak-tls-cipher", by: By::Peer, says: &["no shared cipher"] },
    Refusal { name: "tls-1.1", by: By::Peer, says: &["unsupported protocol", "Unsupported protocol"] },
];

/// The lines whose message no line of `before` has: strongSwan keeps the certificates of peers that it refused,
/// and tells the reasons against them again when the next one comes with the same name.
#[must_use]
pub fn fresh(before: &[String], now: Vec<String>) -> Vec<String> {
    let message = |line: &str| line.split_once("]: ").map_or(line, |(_, message)| message).to_owned();
    let known: std::collections::BTreeSet<String> = before.iter().map(|line| message(line)).collect();
    now.into_iter().filter(|line| !known.contains(&message(line))).collect()
}

/// The verdict of a refusal: the tunnel must not be up, and the log (of the end that [`Refusal::by`] names) has
/// to say why.
#[must_use]
pub fn refusal(tunnel: &str, reason: &Refusal, established: bool, log: &[String]) -> TunnelClass {
    let why = log.iter().find(|line| reason.is_in(line));
    let whose = if reason.by == By::Device { "the device's" } else { "the peer's" };
    let mut problems = Vec::new();
    if established {
        problems.push(format!("the tunnel `{tunnel}` came up with a peer that is `{}`", reason.name));
    }
    let verdict = match (established, why) {
        (true, _) => TrafficVerdict::Fail,
        (false, Some(_)) => TrafficVerdict::Pass,
        (false, None) => {
            problems.push(format!("{whose} log says none of {:?}", reason.says));
            TrafficVerdict::NotRun
        }
    };
    let class = format!("refuses {}", reason.name);
    TunnelClass {
        tunnel: tunnel.to_owned(),
        class,
        verdict,
        seen: why.into_iter().map(|line| format!("{whose} log: {line}")).collect(),
        problems,
    }
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
