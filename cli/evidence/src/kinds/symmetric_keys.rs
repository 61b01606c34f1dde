//! `symmetric-keys`: where a shared key authenticates somebody, and that no image holds it.
//!
//! Source: openvpn(8), wg(8), swanctl.conf(5), ipsec.secrets(5), systemd.netdev(5), chrony.conf(5), wpa_supplicant.conf(5), hostapd.conf(5), tmpfiles.d(5).

use serde::Deserialize;

use super::Kind;
use crate::root::{NodeKind, Root};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct SymmetricKeys;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {}

/// Where programs that can be told to use a shared key are told so.
const PLACES: [&str; 15] = [
    "/etc/openvpn/**",
    "/etc/wireguard/**",
    "/etc/systemd/system/**",
    "/usr/lib/systemd/system/**",
    "/etc/systemd/network/**",
    "/usr/lib/systemd/network/**",
    "/etc/swanctl/**",
    "/etc/ipsec.conf",
    "/etc/ipsec.secrets",
    "/etc/chrony.conf",
    "/etc/chrony/**",
    "/etc/wpa_supplicant.conf",
    "/etc/wpa_supplicant/**",
    "/etc/hostapd.conf",
    "/etc/hostapd/**",
];

/// One shared key.
struct Use {
    /// File and setting.
    at: String,
    /// Size and algorithm, where the format says it.
    strength: Option<&'static str>,
    /// The key's file; none where the key itself stands there.
    file: Option<String>,
}

/// The settings of a line: swanctl.conf may have sections, their settings and a comment in one.
fn settings<'a>(path: &str, line: &'a str) -> impl Iterator<Item = &'a str> {
    let sections = path.starts_with("/etc/swanctl/");
    let line = if sections { line.split('#').next().unwrap_or_default() } else { line };
    line.split(move |c| sections && matches!(c, '{' | '}')).map(str::trim)
}

/// The shared key that a setting asks for.
fn used(path: &str, line: &str) -> Option<Use> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (first, second) = (words.first().copied()?, words.get(1).copied());
    let used = |setting: &str, strength, file: Option<&str>| {
        Some(Use { at: format!("`{setting}` of `{path}`"), strength, file: file.map(str::to_owned) })
    };
    let value = || line.split_once('=').map(|(key, value)| (key.trim(), value.trim().trim_matches('"')));
    if path.starts_with("/etc/openvpn/") {
        return match first {
            "tls-crypt-v2" => used(first, Some("256 bits, AES-256-CTR and HMAC-SHA-256"), second),
            "tls-crypt" | "tls-auth" => used(first, Some("256 bits or more, HMAC"), second),
            "secret" => used(first, None, second),
            "<tls-crypt-v2>" | "<tls-crypt>" | "<tls-auth>" | "<secret>" => used(first, None, None),
            _ => None,
        };
    }
    if path.ends_with(".netdev") {
        return match value() {
            Some(("PresharedKey", _)) => used("PresharedKey", Some("256 bits"), None),
            Some((key @ "PresharedKeyFile", file)) => used(key, Some("256 bits"), Some(file)),
            _ => None,
        };
    }
    if path.contains("/systemd/") {
        let at = words.iter().position(|word| *word == "preshared-key")?;
        return used("preshared-key", Some("256 bits, ChaCha20-Poly1305"), words.get(at + 1).copied());
    }
    if path.starts_with("/etc/wireguard/") {
        return value()
            .filter(|(key, _)| key.eq_ignore_ascii_case("PresharedKey"))
            .and_then(|_| used("PresharedKey", Some("256 bits"), None));
    }
    if path.starts_with("/etc/swanctl/") {
        return match value() {
            Some(("auth", "psk")) => used("auth = psk", None, None),
            Some(("secret", _)) => used("secret", None, None),
            _ => None,
        };
    }
    if path == "/etc/ipsec.secrets" || path == "/etc/ipsec.conf" {
        let ends = ["authby", "leftauth", "rightauth"];
        let psk =
            value().is_some_and(|(key, value)| ends.contains(&key) && ["secret", "psk"].contains(&value));
        return (psk || words.contains(&"PSK")).then(|| used("PSK", None, None)).flatten();
    }
    if path.starts_with("/etc/chrony") {
        return match first {
            "keyfile" => used(first, None, second),
            _ => None,
        };
    }
    match value() {
        Some((key @ ("psk" | "wpa_passphrase" | "wpa_psk" | "sae_password" | "wep_key0"), _)) => {
            used(key, None, None)
        }
        Some((key @ ("auth_server_shared_secret" | "acct_server_shared_secret"), _)) => used(key, None, None),
        Some((key @ "wpa_psk_file", file)) => used(key, None, Some(file)),
        _ => None,
    }
}

/// Whether one of the folders around a file is made so at each start that root alone lists and writes it.
fn closed(root: &Root, file: &str) -> Result<bool, Unable> {
    for (path, _) in
        root.find("/usr/lib/tmpfiles.d/*.conf").into_iter().chain(root.find("/etc/tmpfiles.d/*.conf"))
    {
        let text = root.read_text(path)?.unwrap_or_default();
        let made = text.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), ["d", folder, "0700" | "0711", "root", "root", ..]
                if file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
        });
        if made {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Kind for SymmetricKeys {
    const NAME: &'static str = "symmetric-keys";
    const DESCRIPTION: &'static str = "each key that two ends share to know each other is of known size, is not in the image, and lies on the data \
                                       partition in a folder that root alone lists and writes; where no program is told to use one it does not apply";
    type With = With;

    fn run(_: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let (mut uses, mut files) = (Vec::new(), 0);
        for place in PLACES {
            let all = root.find(place).into_iter();
            for (path, _) in all.filter(|(_, node)| matches!(node.kind, NodeKind::File(_))) {
                let Some(text) = root.read_text(path)? else { continue };
                files += 1;
                let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
                uses.extend(
                    lines.flat_map(|line| settings(path, line)).filter_map(|setting| used(path, setting)),
                );
            }
        }
        if uses.is_empty() {
            return Err(Unable::not_applicable(format!(
                "no symmetric key authenticates anybody: none of the {files} files below {} tells OpenVPN, WireGuard, systemd-networkd, strongSwan, chrony, wpa_supplicant or hostapd to use one",
                PLACES.join(", ")
            )));
        }
        let (mut problems, mut good) = (Vec::new(), Vec::new());
        for found in &uses {
            let Some(strength) = found.strength else {
                problems.push(format!("{}: nothing says how strong that key is", found.at));
                continue;
            };
            let Some(file) = &found.file else {
                problems.push(format!("{}: the key is in the image, the same for each device", found.at));
                continue;
            };
            if root.resolve(file).is_some() {
                problems.push(format!("{}: `{file}` is in the image, the same for each device", found.at));
            } else if !file.starts_with("/var/") {
                problems.push(format!("{}: `{file}` is not on the data partition", found.at));
            } else if !closed(root, file)? {
                problems
                    .push(format!("{}: no folder around `{file}` is made 0700 or 0711 for root", found.at));
            } else {
                good.push(format!("{}: {strength}, `{file}`", found.at));
            }
        }
        let expected = "a key of known size for each, provisioned into a folder that root alone lists and writes, and none in the image";
        Ok(Conclusion::of(&problems, expected, good.join("; "), &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn tree() -> Tree {
        Tree::base().file("/usr/lib/tmpfiles.d/vpn.conf", 0o644, "d /var/lib/vpn 0700 root root -\n").file(
            "/etc/openvpn/a.conf",
            0o644,
            "# secret x\ntls-crypt-v2 /var/lib/vpn/a/key\n",
        )
    }

    #[test]
    fn pass() {
        let unit =
            "[Service]\nExecStart=/usr/bin/wg set w private-key /x peer P preshared-key /var/lib/vpn/w/psk\n";
        let seen = passes(run(
            "symmetric-keys",
            json!({}),
            tree().file("/etc/systemd/system/w.service", 0o644, unit).root(),
        ));
        assert!(seen.contains("`tls-crypt-v2` of `/etc/openvpn/a.conf`: 256 bits"), "{seen}");
        assert!(seen.contains("`/var/lib/vpn/w/psk`"), "{seen}");
    }

    #[test]
    fn fail() {
        let check = |tree: Tree| run("symmetric-keys", json!({}), tree.root());
        fails(check(tree().file("/var/lib/vpn/a/key", 0o600, "x")), "`/var/lib/vpn/a/key` is in the image");
        let open = |line: &str| tree().file("/usr/lib/tmpfiles.d/vpn.conf", 0o644, line);
        for line in [
            "d /var/lib/vpn 0755 root root -\n",
            "d /var/lib/vp 0700 root root -\n",
            "d /var/lib/vpn 0700 vpn root -\n",
        ] {
            fails(check(open(line)), "no folder around `/var/lib/vpn/a/key` is made 0700 or 0711 for root");
        }
        for (path, text, says) in [
            (
                "/etc/openvpn/b.conf",
                "tls-auth /etc/openvpn/ta.key 1\n",
                "`/etc/openvpn/ta.key` is not on the data partition",
            ),
            (
                "/etc/openvpn/b.conf",
                "secret /var/lib/vpn/b\n",
                "`secret` of `/etc/openvpn/b.conf`: nothing says how strong",
            ),
            ("/etc/wireguard/b.conf", "PresharedKey = AAAA\n", "the key is in the image"),
            ("/etc/swanctl/swanctl.conf", "remote { auth = psk }\n auth = psk\n", "nothing says how strong"),
            ("/etc/swanctl/conf.d/a.conf", "connections { a { remote { auth = psk } } }\n", "`auth = psk`"),
            ("/etc/swanctl/conf.d/a.conf", "secrets { ike-a { secret = x } }\n", "`secret` of"),
            ("/etc/swanctl/conf.d/a.conf", "auth = psk # both\n", "`auth = psk`"),
            ("/etc/ipsec.conf", "conn a\n\tauthby = secret\n", "`PSK` of `/etc/ipsec.conf`"),
            (
                "/etc/systemd/network/w.netdev",
                "[WireGuardPeer]\nPresharedKey=AAAA\n",
                "the key is in the image",
            ),
            (
                "/usr/lib/systemd/network/w.netdev",
                "PresharedKeyFile=/etc/w.psk\n",
                "`/etc/w.psk` is not on the data partition",
            ),
            (
                "/usr/lib/systemd/system/w.service",
                "[Service]\nExecStart=/usr/bin/wg set w peer P preshared-key /etc/psk\n",
                "`/etc/psk` is not on the data partition",
            ),
            ("/etc/hostapd/hostapd.conf", "auth_server_shared_secret=x\n", "`auth_server_shared_secret`"),
            ("/etc/wpa_supplicant.conf", "\tsae_password=\"x\"\n", "`sae_password`"),
            ("/etc/ipsec.secrets", ": PSK \"x\"\n", "`PSK` of `/etc/ipsec.secrets`: nothing says how strong"),
            ("/etc/chrony/chrony.conf", "keyfile /etc/chrony/chrony.keys\n", "`keyfile`"),
            ("/etc/hostapd/hostapd.conf", "wpa_passphrase=secret\n", "`wpa_passphrase`"),
        ] {
            fails(check(tree().file(path, 0o644, text)), says);
        }
    }

    #[test]
    fn without_any_it_does_not_apply_and_says_where_it_looked() {
        let root = Tree::base().file("/etc/openvpn/a.conf", 0o644, "cert a\n# secret a\n").file(
            "/etc/swanctl/swanctl.conf",
            0o644,
            "auth = pubkey\n",
        );
        let unable = run("symmetric-keys", json!({}), root.root()).unwrap_err();
        assert_eq!(unable.verdict, record::Verdict::NotApplicable);
        assert!(
            unable.why.starts_with("no symmetric key authenticates anybody: none of the 2 files"),
            "{}",
            unable.why
        );
    }
}
