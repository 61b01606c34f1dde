//! `packet-filter`: a ruleset is there, is loaded at start, and drops what comes in by default.
//!
//! For images without a plan: which flows it should accept is not known here (`nft-ruleset` knows).

use super::nft_walk::Ruleset;
use super::unit_state::{masked, pulls};
use super::{Kind, NoParameters, load_anyhow};
use crate::facts::{OLDER_RULESETS, RULESETS, services::start_scripts};
use crate::root::Root;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct PacketFilter;

impl Kind for PacketFilter {
    const NAME: &'static str = "packet-filter";
    const DESCRIPTION: &'static str =
        "an nftables ruleset is there and loaded at start, and its input chains drop by default";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let conclude = |problems: &[String], good: &str| {
            Ok(Conclusion::of(
                problems,
                "a ruleset that drops by default, loaded at start",
                good,
                &root.sha256,
            ))
        };
        let Some(path) = RULESETS.into_iter().find(|path| root.resolve(path).is_some()) else {
            if let Some(older) = OLDER_RULESETS.into_iter().find(|path| root.resolve(path).is_some()) {
                return Err(Unable::broken(format!(
                    "`{older}` is in the form of iptables, which is not read"
                )));
            }
            return conclude(&[format!("no packet filter: there is none of {}", RULESETS.join(", "))], "");
        };
        let text = root.read_text(path)?.unwrap_or_default();
        let (loaded, _) = load_anyhow(context.subject, context.plan.map(|plan| &plan.board), path, &text)?;
        let mut problems = Vec::new();
        match loaded {
            Err(refusal) => problems.push(format!("nft refuses `{path}`: {refusal}")),
            Ok(json) => {
                let bases =
                    Ruleset::parse(&json).and_then(|rules| rules.bases("input")).map_err(Unable::broken)?;
                if bases.is_empty() {
                    problems.push(format!("`{path}` filters nothing that comes in"));
                }
                // A chain of one family leaves the other open.
                let families: Vec<&str> = bases.iter().map(|base| base.family.as_str()).collect();
                let both = families.contains(&"inet") || ["ip", "ip6"].iter().all(|f| families.contains(f));
                if !bases.is_empty() && !both {
                    problems
                        .push(format!("`{path}` filters only {}, not both IP versions", families.join(", ")));
                }
                let open = bases.iter().filter(|base| base.policy != "drop");
                problems.extend(open.map(|base| format!("`{}` has policy {}", base.name, base.policy)));
            }
        }
        if !loaded_at_start(root) {
            problems.push(format!("nothing loads `{path}` at start"));
        }
        conclude(&problems, path)
    }
}

fn loaded_at_start(root: &Root) -> bool {
    let unit = "nftables.service";
    let by_unit = pulls(root).iter().any(|(pulled, _)| pulled == unit) && !masked(root, unit);
    by_unit
        || start_scripts(root)
            .iter()
            .any(|path| root.read_text(path).ok().flatten().is_some_and(|text| text.lines().any(runs_nft)))
}

/// A line that is no comment and names the program.
fn runs_nft(line: &str) -> bool {
    let line = line.trim_start();
    !line.starts_with('#') && line.split_whitespace().any(|word| word.rsplit('/').next() == Some("nft"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    const DROP: &str = "table inet f {\n chain i { type filter hook input priority 0; policy drop; }\n}\n";

    fn tree(rules: &str) -> Tree {
        Tree::base().file("/etc/nftables.conf", 0o600, rules).file(
            "/etc/init.d/S35nftables",
            0o755,
            "nft -f /etc/nftables.conf\n",
        )
    }

    #[test]
    fn pass() {
        passes(run("packet-filter", json!({}), tree(DROP).root()));
    }

    #[test]
    fn fail() {
        fails(run("packet-filter", json!({}), Tree::base().root()), "no packet filter: there is none of");
        let open = DROP.replace("policy drop", "policy accept");
        fails(run("packet-filter", json!({}), tree(&open).root()), "has policy accept");
        fails(run("packet-filter", json!({}), tree("table inet f {}\n").root()), "filters nothing");
        fails(run("packet-filter", json!({}), tree("tabel x\n").root()), "nft refuses `/etc/nftables.conf`");
        let idle = tree(DROP).change("/etc/init.d/S35nftables", |node| node.mode = 0o644);
        fails(run("packet-filter", json!({}), idle.root()), "nothing loads `/etc/nftables.conf` at start");
        let comment = tree(DROP).file("/etc/init.d/S35nftables", 0o755, "# nft -f would do it\n");
        fails(run("packet-filter", json!({}), comment.root()), "nothing loads `/etc/nftables.conf` at start");
        let half = tree(&DROP.replace("table inet", "table ip"));
        fails(run("packet-filter", json!({}), half.root()), "filters only ip, not both IP versions");
        let older = Tree::base().file("/etc/iptables.conf", 0o600, "*filter\n");
        cannot(run("packet-filter", json!({}), older.root()), "in the form of iptables");
    }
}
