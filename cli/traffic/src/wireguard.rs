//! What the peer's end of a tunnel of WireGuard says of it, against the plan. Pure: lines in, problems out.
//!
//! WireGuard logs nothing, on neither end: whether a handshake was completed, and with which key, only `wg show` tells.

/// Words of `wg show` that [`State::read`] wants, each line with the word before it: `latest-handshakes KEY SECONDS`.
pub const ASKED: [&str; 4] = ["endpoints", "allowed-ips", "latest-handshakes", "transfer"];

/// What the peer's end knows of the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The device's public key.
    pub key: String,
    /// Where its packets come from.
    pub endpoint: String,
    /// Addresses that it may use.
    pub allowed: String,
    /// Time of the last handshake, seconds since the Unix epoch; 0: there was none.
    pub handshake: u64,
    /// Bytes that came from it: of handshakes, too.
    pub received: u64,
    /// Datagrams that came in over UDP, from whomever: the device asks if they become more.
    pub datagrams: u64,
}

impl State {
    /// Reads the lines; what is not there stays empty.
    #[must_use]
    pub fn read(lines: &[String]) -> Self {
        let mut out = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["endpoints", key, endpoint] => {
                    (*key).clone_into(&mut out.key);
                    (*endpoint).clone_into(&mut out.endpoint);
                }
                ["allowed-ips", _, allowed @ ..] => out.allowed = allowed.join(", "),
                ["latest-handshakes", _, seconds] => out.handshake = seconds.parse().unwrap_or(0),
                ["transfer", _, received, _] => out.received = received.parse().unwrap_or(0),
                ["datagrams", count] => out.datagrams = count.parse().unwrap_or(0),
                _ => {}
            }
        }
        out
    }

    /// What of a tunnel that is to be up is not the plan's; `from` is the device's outer address, `inner` its
    /// address in the tunnel as a network.
    #[must_use]
    pub fn problems(&self, device_key: &str, from: &str, inner: &str) -> Vec<String> {
        let mut out = Vec::new();
        if self.handshake == 0 || self.received == 0 {
            out.push("the peer says that there was no handshake".to_owned());
        }
        let endpoint = self.endpoint.rsplit_once(':').map_or("", |(address, _)| address);
        for (what, found, wanted) in [
            ("public key", self.key.as_str(), device_key),
            ("address", endpoint.trim_matches(['[', ']']), from),
            ("addresses in the tunnel", self.allowed.as_str(), inner),
        ] {
            if found != wanted {
                out.push(format!("the peer says of the device the {what} `{found}`, expected `{wanted}`"));
            }
        }
        out
    }

    /// One line for people.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "the peer: device {}, from {}, as {}, {} bytes received",
            self.key, self.endpoint, self.allowed, self.received
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    fn lines(handshake: u64) -> Vec<String> {
        [
            format!("endpoints {KEY}\t[2001:db8:7::10]:43210"),
            format!("allowed-ips {KEY}\tfd00:9::2/128"),
            format!("latest-handshakes {KEY}\t{handshake}"),
            format!("transfer {KEY}\t{}\t92", if handshake == 0 { 0 } else { 180 }),
            "datagrams 7".to_owned(),
        ]
        .to_vec()
    }

    #[test]
    fn a_handshake_with_the_devices_key_from_its_address_is_good() {
        let state = State::read(&lines(1_796_000_000));
        assert_eq!(state.problems(KEY, "2001:db8:7::10", "fd00:9::2/128"), Vec::<String>::new());
        assert_eq!(state.datagrams, 7);
        assert!(state.words().contains("180 bytes received"), "{}", state.words());
    }

    #[test]
    fn no_handshake_another_key_and_another_sender_are_told() {
        let none = State::read(&lines(0)).problems(KEY, "2001:db8:7::10", "fd00:9::2/128");
        assert_eq!(none, ["the peer says that there was no handshake"]);
        let other = State::read(&lines(9)).problems("other", "2001:db8:7::11", "fd00:9::3/128");
        assert_eq!(other.len(), 3, "{other:?}");
        assert!(other[1].contains("the address `2001:db8:7::10`, expected `2001:db8:7::11`"), "{other:?}");
        assert_eq!(State::read(&[]).problems(KEY, "a", "b").len(), 4);
    }
}
