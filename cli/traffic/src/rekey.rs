//! Whether a tunnel that has been up for a while took new keys, and by the plan's algorithms.
//!
//! The first SA of ESP takes its keys from the IKE SA (RFC 7296, 1.2): only a later one has an exchange of its own, so that a
//! group which one end does not know, or a key that is gone after privileges were dropped, is found hours later on a plant
//! unless somebody asks for new keys.

use std::collections::BTreeSet;

use crate::tunnel::{in_log_words, ipsec, not_planned, openvpn_problems};

/// What tells the keys in use from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// SPIs of the IKE SA, without the word of who began it.
    pub ike: BTreeSet<String>,
    /// SPIs of ESP, inbound and outbound.
    pub esp: BTreeSet<String>,
}

/// The keys in use, from `swanctl --list-sas`; those that are being replaced are none.
#[must_use]
pub fn keys(sas: &[String]) -> Keys {
    let mut out = Keys::default();
    if let Some((_, spis)) = sas.iter().find_map(|line| line.split_once("ESTABLISHED, IKEv2, ")) {
        out.ike =
            spis.split_whitespace().filter_map(|spi| spi.split('_').next()).map(str::to_owned).collect();
    }
    let installed = sas.iter().position(|line| line.contains("INSTALLED, TUNNEL, ESP:"));
    for line in installed.map(|at| &sas[at + 1..]).unwrap_or_default() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("in" | "out"), Some(spi)) => out.esp.insert(spi.trim_end_matches(',').to_owned()),
            // The next SA, or the next connection.
            _ if line.contains(": #") => break,
            _ => continue,
        };
    }
    out
}

/// What was seen of new keys of a strongSwan tunnel, and what of it is not the plan's. `device_log` is what the device said
/// since it was asked for them.
#[must_use]
pub fn ipsec_rekeyed(
    before: &[String],
    after: &[String],
    device_log: &[String],
    (proposals, esp_proposals): (&[String], &[String]),
) -> (Vec<String>, Vec<String>) {
    let (old, new, found) = (keys(before), keys(after), ipsec(after, device_log));
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for (what, old, new, proposal, values) in [
        ("ESP", &old.esp, &new.esp, esp_proposals.first(), [found.peer_esp, found.device_esp]),
        ("IKE", &old.ike, &new.ike, proposals.first(), [found.peer_ike, found.device_ike]),
    ] {
        if old.is_empty() || new.is_empty() {
            problems.push(format!("the peer lists no keys of {what}"));
        } else if old.intersection(new).next().is_some() {
            problems.push(format!("the keys of {what} are the old ones"));
        } else {
            let list = |spis: &BTreeSet<String>| spis.iter().cloned().collect::<Vec<_>>().join(" ");
            seen.push(format!("{what}: {} became {}", list(old), list(new)));
        }
        let wanted = proposal.map(|first| in_log_words(first));
        problems.extend(not_planned(&format!("new keys of {what}"), wanted, [&values[0], &values[1]]));
        for (end, value) in ["the peer", "the device"].into_iter().zip(&values) {
            seen.extend(value.as_ref().map(|value| format!("{end}: new keys of {what} by {value}")));
        }
    }
    (seen, problems)
}

/// How OpenVPN begins to say that a TLS handshake is done.
const HANDSHAKE: &str = "Control Channel: TLSv";

/// Handshakes that an OpenVPN log tells of.
#[must_use]
pub fn handshakes(log: &[String]) -> usize {
    log.iter().filter(|line| line.contains(HANDSHAKE)).count()
}

/// What was seen of new keys in the log of an end of OpenVPN since the tunnel came up, and what of it is not the plan's.
#[must_use]
pub fn openvpn_rekeyed(end: &str, log: &[String], ciphers: &[String]) -> (Vec<String>, Vec<String>) {
    let problems = match handshakes(log) {
        0 | 1 => vec![format!("{end} tells of no second handshake")],
        _ => openvpn_problems(end, log, ciphers),
    };
    let last = log.iter().rev().find_map(|line| line.find(HANDSHAKE).map(|at| line[at..].to_owned()));
    (
        last.map(|line| format!("{end}: {} handshakes, the last: {line}", handshakes(log)))
            .into_iter()
            .collect(),
        problems,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    const BEFORE: &str = "\
plc-gateway-scada: #1, ESTABLISHED, IKEv2, 17874d3287258daf_i* 732638062d2bad3f_r
  local  'scada.plant.example' @ 192.0.2.20[500]
  AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384
  plc-gateway-scada: #2, reqid 2, INSTALLED, TUNNEL, ESP:AES_GCM_16-256
    installed 3s ago, rekeying in 3208s, expires in 3957s
    in  cd4f3a12,    160 bytes,     3 packets
    out c6a7b811,    160 bytes,     3 packets
    local  198.51.100.0/24";
    const AFTER: &str = "\
plc-gateway-scada: #3, ESTABLISHED, IKEv2, a7874d3287258daf_i* b32638062d2bad3f_r
  AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384
  plc-gateway-scada: #2, reqid 2, REKEYED, TUNNEL, ESP:AES_GCM_16-256
    in  cd4f3a12,    160 bytes,     3 packets
    out c6a7b811,    160 bytes,     3 packets
  plc-gateway-scada: #4, reqid 2, INSTALLED, TUNNEL, ESP:AES_GCM_16-256/ECP_384
    in  aa000001,      0 bytes,     0 packets
    out aa000002,      0 bytes,     0 packets";
    const LOG: &str = "\
charon-systemd[179]: selected proposal: ESP:AES_GCM_16_256/ECP_384/NO_EXT_SEQ
charon-systemd[179]: selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384";

    fn judged(before: &str, after: &str, log: &str) -> (Vec<String>, Vec<String>) {
        let proposals = (["aes256gcm16-prfsha384-ecp384".to_owned()], ["aes256gcm16-ecp384".to_owned()]);
        ipsec_rekeyed(&lines(before), &lines(after), &lines(log), (&proposals.0, &proposals.1))
    }

    #[test]
    fn new_keys_of_both_kinds_by_the_plans_algorithms() {
        let (seen, problems) = judged(BEFORE, AFTER, LOG);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(seen[0], "ESP: c6a7b811 cd4f3a12 became aa000001 aa000002");
        assert!(
            seen.contains(&"the device: new keys of ESP by AES_GCM_16_256/ECP_384".to_owned()),
            "{seen:?}"
        );
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn old_keys_a_missing_group_and_a_silent_end_are_problems() {
        let (_, problems) = judged(BEFORE, BEFORE, LOG);
        assert_eq!(problems.iter().filter(|p| p.ends_with("are the old ones")).count(), 2, "{problems:?}");
        // Without an exchange of its own, ESP has no group.
        assert!(
            problems
                .iter()
                .any(|p| p
                    == "the peer says new keys of ESP `AES_GCM_16_256`, the plan `AES_GCM_16_256/ECP_384`"),
            "{problems:?}"
        );
        let (_, problems) = judged(BEFORE, AFTER, "");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("the device says nothing of new keys of ESP"), "{problems:?}");
        let (_, problems) = judged(BEFORE, "", LOG);
        assert!(problems[0].contains("the peer lists no keys of ESP"), "{problems:?}");
        let (_, problems) = ipsec_rekeyed(&lines(BEFORE), &lines(AFTER), &lines(LOG), (&[], &[]));
        assert_eq!(
            problems,
            ["the plan has no proposal for new keys of ESP", "the plan has no proposal for new keys of IKE"]
        );
    }

    #[test]
    fn a_second_handshake_of_openvpn() {
        let ciphers = ["AES-256-GCM".to_owned()];
        let once = "Control Channel: TLSv1.3, cipher TLSv1.3 TLS_AES_256_GCM_SHA384, peer certificate: 256 bits\n\
                    Data Channel: cipher 'AES-256-GCM', peer-id: 0\n";
        let (_, problems) = openvpn_rekeyed("the device", &lines(once), &ciphers);
        assert_eq!(problems, ["the device tells of no second handshake"]);
        let (seen, problems) = openvpn_rekeyed("the device", &lines(&once.repeat(2)), &ciphers);
        assert_eq!(problems, Vec::<String>::new());
        assert!(
            seen[0].starts_with("the device: 2 handshakes, the last: Control Channel: TLSv1.3"),
            "{seen:?}"
        );
        let weaker = format!("{once}{}", once.replace("TLSv1.3,", "TLSv1.1,"));
        let (_, problems) = openvpn_rekeyed("the peer", &lines(&weaker), &ciphers);
        assert!(problems[0].contains("expected TLS 1.2 or later"), "{problems:?}");
    }
}
