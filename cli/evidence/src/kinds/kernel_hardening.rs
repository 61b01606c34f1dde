//! `kernel-hardening`: the rows of `standards/kernel-hardening.yaml` against what the device will run.
//!
//! The configuration is the one inside the shipped kernel, the command line the signed one, the
//! sysctl keys those that systemd-sysctl sets. Each row is a part of the finding and may be
//! waived by a layer with a reason.

use std::collections::BTreeMap;

use record::{Part, Verdict};

use super::{Kind, NoParameters, sysctl};
use crate::kernel_rows::{Facts, Row, Rows};
use crate::{Conclusion, Context, Unable};

/// What a waiver of a row starts with: the rows follow that tool.
pub(super) const PREFIX: &str = "kernel-hardening-checker:";

/// See the module.
pub struct KernelHardening;

impl Kind for KernelHardening {
    const NAME: &'static str = "kernel-hardening";
    const DESCRIPTION: &'static str = "every row of `standards/kernel-hardening.yaml` holds for the kernel, \
                                       its signed command line and sysctl.d, or is waived with a reason";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let rows = Rows::built_in().map_err(Unable::broken)?;
        let fit = context.subject.fit()?;
        let text = fit
            .kconfig
            .as_ref()
            .map_err(|why| Unable::broken(format!("the kernel's configuration: {why}")))?;
        let mut facts = Facts::read(text, &fit.cmdline()?).map_err(Unable::broken)?;
        facts.sysctl = settings(&rows, context)?;
        let rows = rows.for_kernel(&facts).map_err(Unable::broken)?;
        let parts = rows.into_iter().map(|row| part(row, &facts)).collect();
        Ok(Conclusion::of_parts(parts, "every row holds or is waived with a reason", &fit.sha256))
    }
}

/// What is wrong with a waiver of a row: the row does not exist. Gives the hint.
pub(super) fn misnamed(waived: &str) -> Option<String> {
    let name = waived.strip_prefix(PREFIX)?;
    let rows = Rows::built_in().ok()?.rows;
    if rows.iter().any(|row| row.id == name) {
        return None;
    }
    let near = diag::did_you_mean(name, rows.iter().map(|row| row.id.as_str()));
    Some(near.map_or_else(
        || "its name is the row's in `standards/kernel-hardening.yaml`".to_owned(),
        |near| format!("did you mean `{PREFIX}{near}`?"),
    ))
}

fn part(row: &Row, facts: &Facts) -> Part {
    let (holds, seen) = row.judge(facts);
    Part {
        id: format!("{PREFIX}{}", row.id),
        verdict: if holds { Verdict::Pass } else { Verdict::Fail },
        expected: row.expected(),
        seen,
        waiver: None,
    }
}

fn settings(rows: &Rows, context: &Context) -> Result<BTreeMap<String, String>, Unable> {
    let all = sysctl::read(context.root()?)?;
    Ok(rows
        .sysctl_keys()
        .filter_map(|key| {
            let setting = sysctl::effective(&all, &sysctl::normalised(key))?;
            Some((key.to_owned(), setting.value.clone()))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::json;

    use super::PREFIX;
    use crate::kernel_rows::{Place, Rows};
    use crate::subject::{FitFacts, Subject};
    use crate::testing::*;

    const HEAD: &str = "# Linux/arm64 6.12.30 Kernel Configuration\nCONFIG_ARM64=y\n";

    fn check(config: &str, cmdline: &str, sysctl: &str) -> Result<crate::Conclusion, crate::Unable> {
        let root = Tree::base().file("/usr/lib/sysctl.d/50-x.conf", 0o644, sysctl).root();
        let mut subject = Subject::of_cmdline(cmdline);
        let fit = subject.fit.unwrap().unwrap();
        subject.fit = Some(Ok(FitFacts { kconfig: Ok(config.to_owned()), ..fit }));
        subject.root = Some(Ok(root));
        run_on("kernel-hardening", json!({}), &subject, None)
    }

    /// An arm64 kernel that has what each row wants first, made from the rows themselves.
    fn good() -> (String, String, String) {
        good_of("ARM64", HEAD)
    }

    fn good_of(architecture: &str, head: &str) -> (String, String, String) {
        let (mut config, mut cmdline, mut sysctl) = (head.to_owned(), String::new(), String::new());
        for row in Rows::built_in().unwrap().rows {
            if !row.of.iter().any(|one| one == architecture) {
                continue;
            }
            match row.example() {
                Some((_, "LSM", _)) | None => {}
                Some((Place::Config, name, value)) => config += &format!("CONFIG_{name}={value}\n"),
                Some((Place::Cmdline, name, "")) => cmdline += &format!("{name} "),
                Some((Place::Cmdline, name, value)) => cmdline += &format!("{name}={value} "),
                Some((Place::Sysctl, name, value)) => sysctl += &format!("{name} = {value}\n"),
            }
        }
        config += "CONFIG_LSM=\"landlock,lockdown,yama,selinux\"\n# CONFIG_LDISC_AUTOLOAD is not set\n";
        config +=
            "CONFIG_ARCH_MMAP_RND_BITS_MAX=33\nCONFIG_ARCH_MMAP_RND_COMPAT_BITS_MAX=33\nCONFIG_CC_IS_GCC=y\n";
        (config, cmdline, sysctl)
    }

    /// The rows that do not hold.
    fn broken(config: &str, cmdline: &str, sysctl: &str) -> Vec<String> {
        let parts = check(config, cmdline, sysctl).unwrap().parts;
        assert_eq!(parts.len(), 319);
        parts.into_iter().filter(|part| part.verdict == Verdict::Fail).map(|part| part.id).collect()
    }

    #[test]
    fn pass() {
        let (config, cmdline, sysctl) = good();
        // Two wishes exclude each other: the plugin for entropy is GCC's, CFI is Clang's.
        let left = broken(&config, &cmdline, &sysctl);
        assert_eq!(left, ["CFI_CLANG", "CFI_PERMISSIVE"].map(|id| format!("{PREFIX}{id}")));
        let clang = config.replace("CC_IS_GCC", "CC_IS_CLANG");
        assert_eq!(broken(&clang, &cmdline, &sysctl), [format!("{PREFIX}GCC_PLUGIN_LATENT_ENTROPY")]);
    }

    #[test]
    fn a_32_bit_kernel_is_held_against_its_own_rows() {
        let (config, cmdline, sysctl) =
            good_of("ARM", "# Linux/arm 6.12.30 Kernel Configuration\nCONFIG_ARM=y\n");
        let failing = |config: &str, cmdline: &str| -> Vec<String> {
            let parts = check(config, cmdline, &sysctl).unwrap().parts;
            assert_eq!(parts.len(), 295);
            parts.into_iter().filter(|part| part.verdict == Verdict::Fail).map(|part| part.id).collect()
        };
        assert!(failing(&config, &cmdline).is_empty());
        let open = config.replace("CONFIG_ARM_PAN=y\n", "");
        assert_eq!(failing(&open, &cmdline), [format!("{PREFIX}ARM_PAN")]);
        let off = cmdline.replace("rodata=on", "rodata=off");
        assert_eq!(failing(&config, &off), [format!("{PREFIX}rodata")]);
    }

    #[test]
    fn fail() {
        let (config, cmdline, sysctl) = good();
        let before = broken(&config, &cmdline, &sysctl).len();
        let without = |text: &str, line: &str| {
            assert!(text.contains(line), "{line}");
            text.replacen(line, "", 1)
        };
        let name = |rows: Vec<String>| rows.join(" ");
        let less = broken(&without(&config, "CONFIG_RANDOMIZE_BASE=y\n"), &cmdline, &sysctl);
        assert!(less.len() > before && name(less).contains("checker:RANDOMIZE_BASE"));
        let more = broken(&format!("{config}CONFIG_KEXEC=y\n"), &cmdline, &sysctl);
        assert!(name(more).contains("checker:KEXEC"));
        let nokaslr = broken(&config, &format!("{cmdline} nokaslr"), &sysctl);
        assert!(name(nokaslr).contains("checker:nokaslr"));
        let off = broken(&config, &format!("{cmdline} init-on-alloc=off"), &sysctl);
        assert!(name(off).contains("checker:init_on_alloc"), "the last value counts, and `-` is `_`");
        let late = broken(&config, &cmdline, &format!("{sysctl}kernel.kptr_restrict=0\n"));
        assert!(name(late).contains("checker:kernel.kptr_restrict"));
        fails(check(HEAD, "x", "a.b=1\n"), "`SECCOMP` is unset, wanted `y`");
    }

    #[test]
    fn what_is_not_whole_is_no_pass() {
        cannot(
            check("# Linux/x86 6.12.30 Kernel Configuration\nCONFIG_X86_64=y\n", "x", ""),
            "the rows are for `ARM64`, `ARM`, `RISCV`, and the kernel's configuration says `=y` of 0 of them",
        );
        cannot(check("CONFIG_ARM64=y\n", "x", ""), "does not say its version");
        let subject = Subject::of_cmdline("x");
        cannot(run_on("kernel-hardening", json!({}), &subject, None), "the kernel's configuration");
    }
}
