//! Facts of the packet filter: what nft has loaded, piece by piece.

use serde_json::Value;
use spec::plan::BoardFacts;

use super::{Values, whole};
use crate::Unable;
use crate::kinds::load_anyhow;
use crate::subject::Subject;

/// Rulesets by the paths that distributions give them.
pub(crate) const RULESETS: [&str; 3] =
    ["/etc/nftables.conf", "/etc/nftables/main.nft", "/etc/sysconfig/nftables.conf"];
/// Rules of the older tool, which are only told.
pub(crate) const OLDER_RULESETS: [&str; 4] =
    ["/etc/iptables.conf", "/etc/iptables/rules.v4", "/etc/iptables/rules.v6", "/etc/ip6tables.conf"];

/// Tables, chains, sets and rules in order; none where there is no ruleset.
pub fn ruleset(subject: &Subject, board: Option<&BoardFacts>) -> Result<Values, Unable> {
    let root = whole(subject)?;
    let mut values = Values::new();
    for path in OLDER_RULESETS.into_iter().filter(|path| root.resolve(path).is_some()) {
        values.insert(format!("file {path}"), "is there".to_owned());
    }
    for path in RULESETS {
        let Some(text) = root.read_text(path)? else { continue };
        let (loaded, _) = load_anyhow(subject, board, path, &text)?;
        match loaded {
            Ok(json) => pieces(&json, &mut values).map_err(Unable::broken)?,
            Err(refusal) => {
                values.insert(format!("file {path}"), format!("nft refuses it: {refusal}"));
            }
        }
        break;
    }
    Ok(values)
}

/// libnftables-json(5): a list of objects with one key each.
pub(super) fn pieces(json: &[u8], values: &mut Values) -> Result<(), String> {
    let value: Value = serde_json::from_slice(json).map_err(|e| format!("nft's JSON: {e}"))?;
    let list = value["nftables"].as_array().ok_or("nft's JSON has no `nftables` list")?;
    for item in list {
        let Some((kind, piece)) = item.as_object().and_then(|object| object.iter().next()) else { continue };
        if kind == "metainfo" {
            continue;
        }
        let text = |key: &str| piece[key].as_str().unwrap_or_default();
        let table = format!("{} {}", text("family"), text("table"));
        let name = match kind.as_str() {
            "table" => format!("table {} {}", text("family"), text("name")),
            "rule" => {
                let chain = format!("rule {table} {} ", text("chain"));
                let number =
                    values.range(chain.clone()..).take_while(|(k, _)| k.starts_with(&chain)).count() + 1;
                format!("{chain}{number:03}")
            }
            kind => format!("{kind} {table} {}", text("name")),
        };
        let mut piece = piece.clone();
        without_handles(&mut piece);
        // What a piece is called and where it stands is its name.
        if let Some(object) = piece.as_object_mut() {
            for key in ["family", "table", "name", "chain"] {
                object.remove(key);
            }
        }
        values.insert(name, piece.to_string());
    }
    Ok(())
}

/// The kernel's running numbers.
fn without_handles(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("handle");
            map.values_mut().for_each(without_handles);
        }
        Value::Array(list) => list.iter_mut().for_each(without_handles),
        _ => {}
    }
}
