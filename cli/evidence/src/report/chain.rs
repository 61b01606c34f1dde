//! The chain of trust as links: what each part trusts, and which finding shows it.

use record::{BootRecord, Finding, ImageRecord, KeyMark, Role, Verdict};
use serde::{Deserialize, Serialize};
use spec::plan::Plan;

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it is.
    pub title: String,
    /// Facts, one a line: label and value.
    pub facts: Vec<(String, String)>,
    /// How it vouches for the next link.
    pub vouches: String,
    /// The worst verdict of the checks that look at it; none when none did.
    pub verdict: Option<Verdict>,
    /// Those checks.
    pub checks: Vec<String>,
}

/// The links, first one first; empty without a record of the image.
#[must_use]
pub fn links(
    plan: Option<&Plan>,
    image: Option<&ImageRecord>,
    boot: Option<&BootRecord>,
    findings: &[Finding],
) -> Vec<Link> {
    let Some(image) = image else { return Vec::new() };
    let file = |role: Role| image.files.get(&role).map(|file| file.sha256.clone()).unwrap_or_default();
    let shown = |kinds: &[&str]| shown(plan, findings, kinds);
    let fact = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    let mark = match image.key_mark {
        KeyMark::Development => "development key",
        KeyMark::Release => "release key",
    };
    let link = |title: &str, facts: Vec<(String, String)>, vouches: &str, kinds: &[&str]| {
        let (verdict, checks) = shown(kinds);
        Link { title: title.to_owned(), facts, vouches: vouches.to_owned(), verdict, checks }
    };
    let version = plan.and_then(|plan| plan.signing.rollback_version);
    let rollback = version.map_or_else(|| "none: older images start".to_owned(), |v| v.to_string());
    let root_of_trust = plan.map_or("see the board", |plan| plan.board.root_of_trust.as_str());
    let mut services = link("Services", Vec::new(), "", &["selfcheck"]);
    if let Some(boot) = boot {
        services
            .facts
            .push(fact("self-check", &format!("{} events, {}", boot.selfcheck.len(), boot.summary)));
        if !boot.passed {
            services.verdict = Some(Verdict::Fail);
        }
    }
    vec![
        link("Root of trust", vec![fact("anchor", root_of_trust)], "holds the boot loader unchanged", &[]),
        link(
            "U-Boot",
            vec![
                fact("sha256", &file(Role::Uboot)),
                fact("key", &format!("{} ({mark})", image.key_name)),
                fact("key sha256", &image.key_fingerprint),
            ],
            "verifies the signature of",
            &["control-fdt-key"],
        ),
        link(
            "FIT",
            vec![
                fact("sha256", &file(Role::Fit)),
                fact("signature", &format!("{}, {}", image.algorithm, image.padding)),
                fact("rollback version", &rollback),
            ],
            "hashes of the signed configuration cover",
            &["fit-signed"],
        ),
        link(
            "Kernel and device tree",
            vec![fact("in", "configuration `conf` of the FIT")],
            "/chosen/bootargs is",
            &["fit-signed", "kconfig-embedded"],
        ),
        link(
            "Command line",
            vec![fact("root hash", &image.verity_root_hash)],
            "dm-verity checks each block of",
            &["kernel-cmdline"],
        ),
        link(
            "Root file system",
            vec![
                fact("sha256", &file(Role::RootfsVerity)),
                fact("blocks", &format!("{} of 4096 bytes", image.verity_data_blocks)),
                fact("salt", &image.verity_salt),
            ],
            "starts",
            &["verity-root"],
        ),
        services,
    ]
}

/// The worst verdict of the checks of these kinds, and their ids.
fn shown(plan: Option<&Plan>, findings: &[Finding], kinds: &[&str]) -> (Option<Verdict>, Vec<String>) {
    let generic = crate::inspect::generic_checks().unwrap_or_default();
    let of_kind = |id: &str| match plan.and_then(|plan| plan.checks.get(id)) {
        Some(asked) => {
            let members = asked.value.with["checks"].as_array().into_iter().flatten();
            let members = members.filter_map(|member| member["kind"].as_str());
            std::iter::once(asked.value.kind.as_str()).chain(members).any(|kind| kinds.contains(&kind))
        }
        None => generic.get(id).is_some_and(|asked| kinds.contains(&asked.value.kind.as_str())),
    };
    let relevant: Vec<&Finding> =
        findings.iter().filter(|f| of_kind(&f.check) && f.verdict != Verdict::NotApplicable).collect();
    let rank = |verdict: Verdict| match verdict {
        Verdict::Fail => 5,
        Verdict::CouldNotRun => 4,
        Verdict::Waived => 3,
        Verdict::NeedsOperator => 2,
        Verdict::NotApplicable => 1,
        Verdict::Pass => 0,
    };
    let worst = relevant.iter().map(|finding| finding.verdict).max_by_key(|verdict| rank(*verdict));
    (worst, relevant.iter().map(|finding| finding.check.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, sample};

    #[test]
    fn a_link_shows_the_worst_of_its_checks() {
        let mut input = sample::input();
        let finding = input.findings.iter_mut().find(|f| f.check == "boot.fit-signed").unwrap();
        finding.verdict = Verdict::Fail;
        let report = Report::new(input).unwrap();
        let of = |title: &str| report.chain.iter().find(|link| link.title == title).unwrap();
        assert_eq!(of("FIT").verdict, Some(Verdict::Fail));
        assert_eq!(of("U-Boot").verdict, Some(Verdict::Pass));
        assert_eq!(of("Root of trust").verdict, None);
        assert_eq!(of("Services").verdict, Some(Verdict::Pass));
    }
}
