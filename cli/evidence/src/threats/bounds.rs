//! What a plan gives at an entry point, for controls that depend on how much that is: peers, rates, groups.
//!
//! A check shows that the firewall or the accounts are as the plan has them. How wide the plan itself is, no check says.

use spec::plan::{Flow, UserPlan};
use spec::types::{Prefix, Scalar as _};

use super::Entry;

/// Groups whose rights are over the system itself.
const OF_THE_SYSTEM: [&str; 12] = [
    "adm",
    "disk",
    "docker",
    "kmem",
    "libvirt",
    "lxd",
    "root",
    "shadow",
    "sudo",
    "sys",
    "systemd-journal",
    "wheel",
];

/// What a conduit gives.
pub(super) fn of_flow(flow: &Flow) -> [(&'static str, String); 3] {
    let peers: Vec<&str> = flow.peers_v4.iter().chain(&flow.peers_v6).map(String::as_str).collect();
    [("peers", peers.join(", ")), ("rate", flow.rate.clone()), ("connections", flow.connections.to_string())]
}

/// What an account gives.
pub(super) fn of_user(user: &UserPlan) -> String {
    let mut groups = user.groups.clone();
    groups.sort();
    groups.join(", ")
}

/// Whether a network is that of all addresses, or half of them.
#[must_use]
pub fn is_everybody(peer: &str) -> bool {
    peer.rsplit_once('/').and_then(|(_, length)| length.parse::<u8>().ok()).is_some_and(|length| length <= 1)
}

/// Why what the plan gives is no bound; none: it is one.
pub(super) fn exceeded(bound: &str, entry: &Entry) -> Option<String> {
    let mut list = words(bound, entry);
    match bound {
        "peers" => {
            list.find(|peer| is_everybody(peer)).map(|peer| format!("its peers are everybody (`{peer}`)"))
        }
        "groups" => {
            let rights: Vec<&str> = list.filter(|group| OF_THE_SYSTEM.contains(group)).collect();
            (!rights.is_empty()).then(|| format!("it has the system's own groups ({})", rights.join(", ")))
        }
        _ => None,
    }
}

/// What a plan gives more of than an earlier one: `rate 6/minute -> 60/minute`.
pub(super) fn widened(bound: &str, old: &Entry, new: &Entry) -> Option<String> {
    let (before, after) = (old.attributes.get(bound)?, new.attributes.get(bound)?);
    let more = match bound {
        "peers" => {
            let old: Vec<Prefix> = words(bound, old).filter_map(prefix).collect();
            words(bound, new).any(|peer| prefix(peer).is_none_or(|peer| !old.iter().any(|o| o.covers(&peer))))
        }
        "groups" => words(bound, new).any(|group| words(bound, old).all(|old| old != group)),
        "rate" => match (rate(before), rate(after)) {
            (Some((old, per_old)), Some((new, per_new))) => new * per_old > old * per_new,
            _ => before != after,
        },
        _ => match (before.parse::<u64>(), after.parse::<u64>()) {
            (Ok(old), Ok(new)) => new > old,
            _ => before != after,
        },
    };
    let shown = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    more.then(|| format!("{bound} {} -> {}", shown(before), shown(after)))
}

fn words<'e>(bound: &str, entry: &'e Entry) -> impl Iterator<Item = &'e str> {
    let text = entry.attributes.get(bound).map_or("", String::as_str);
    text.split(", ").filter(|word| !word.is_empty())
}

fn prefix(text: &str) -> Option<Prefix> {
    Prefix::parse(text, true).ok()
}

/// How many, and in how many seconds.
fn rate(text: &str) -> Option<(u64, u64)> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    Some((count.parse::<u32>().ok()?.into(), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bound: &str, value: &str) -> Entry {
        Entry {
            name: "e".into(),
            kind: "service".into(),
            title: String::new(),
            zone: None,
            attributes: [(bound.to_owned(), value.to_owned())].into(),
            accepted: None,
        }
    }

    #[test]
    fn more_of_it_is_told_and_less_is_not() {
        for (bound, less, more) in [
            ("peers", "198.51.100.0/28", "198.51.100.0/27"),
            ("peers", "198.51.100.0/28, 2001:db8::/64", "198.51.100.0/28, 2001:db8::/48"),
            ("peers", "", "192.0.2.1/32"),
            ("rate", "6/minute", "60/minute"),
            ("rate", "59/minute", "1/second"),
            ("connections", "8", "64"),
            ("groups", "ssh-operators", "adm, ssh-operators"),
        ] {
            let (less, more) = (entry(bound, less), entry(bound, more));
            assert!(widened(bound, &less, &more).is_some_and(|said| said.contains(" -> ")), "{more:?}");
            assert_eq!(widened(bound, &more, &less), None, "{more:?}");
            assert_eq!(widened(bound, &less, &less), None, "{less:?}");
        }
        assert_eq!(widened("rate", &entry("rate", "1/second"), &entry("rate", "60/minute")), None);
    }

    #[test]
    fn everybody_and_the_system_s_groups_are_no_bound() {
        for (bound, value, holds) in [
            ("peers", "0.0.0.0/0", false),
            ("peers", "192.0.2.0/24, ::/0", false),
            ("peers", "0.0.0.0/1, 128.0.0.0/1", false),
            ("peers", "10.0.0.0/8", true),
            ("groups", "disk, ssh-operators", false),
            ("groups", "auditors, ssh-operators", true),
            ("rate", "100000/second", true),
        ] {
            assert_eq!(exceeded(bound, &entry(bound, value)).is_none(), holds, "{bound} {value}");
        }
    }
}
