//! `audit-calls`: the rules of the audit name system calls that the board's kernel has.
//!
//! auditctl stops at the first rule that it cannot make: what stands behind is not loaded, and nothing is recorded for it.
//! `open`, `chmod` and `rename` are such names on 64-bit Arm and RISC-V.
//!
//! Source: auditctl(8), `-S` and `-F arch=`; the calls are those of `standards/analysis/system-calls.yaml`.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde::Deserialize;

use super::Kind;
use super::audit_rules::loaded;
use super::kconfig_embedded::embedded;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct AuditCalls;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    common: String,
    arm64: String,
    riscv: String,
    arm: String,
}

impl Table {
    fn built_in() -> Result<&'static Self, Unable> {
        static TABLE: OnceLock<Result<Table, String>> = OnceLock::new();
        let read = || {
            let value = crate::yaml::load(include_str!("../../../../standards/analysis/system-calls.yaml"))?;
            serde_json::from_value(value).map_err(|e| e.to_string())
        };
        TABLE
            .get_or_init(read)
            .as_ref()
            .map_err(|why| Unable::broken(format!("the table of system calls: {why}")))
    }

    /// The calls of one architecture; none: the table does not know it.
    fn of(&self, architecture: &str) -> Option<BTreeSet<&str>> {
        let own = match architecture {
            "arm64" => &self.arm64,
            "riscv" => &self.riscv,
            "arm" => &self.arm,
            _ => return None,
        };
        Some(self.common.split_whitespace().chain(own.split_whitespace()).collect())
    }
}

/// What a rule says of calls: its `arch`, the calls that it names, its keys.
#[derive(Default)]
struct Rule<'a> {
    arch: Option<&'a str>,
    calls: Vec<&'a str>,
    keys: Vec<&'a str>,
}

fn rule(line: &str) -> Rule<'_> {
    let mut out = Rule::default();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-S" => out.calls.extend(words.next().unwrap_or_default().split(',')),
            "-k" => out.keys.extend(words.next()),
            "-F" => {
                let field = words.next().unwrap_or_default();
                out.arch = field.strip_prefix("arch=").or(out.arch);
                out.keys.extend(field.strip_prefix("key="));
            }
            _ => {}
        }
    }
    out
}

impl Kind for AuditCalls {
    const NAME: &'static str = "audit-calls";
    const DESCRIPTION: &'static str = "every system call that a rule of the audit names is one of the board's kernel, in the word size that the rule \
                                       is for, and where the kernel runs programs of 32 bits, too, so are those: each call by its key, each other rule by its words";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let native = context.plan()?.board.kernel_arch.as_str();
        let table = Table::built_in()?;
        let Some(own) = table.of(native) else {
            return Err(Unable::broken(format!("the table of system calls has none of `{native}`")));
        };
        let wide = native != "arm";
        let small = table.of("arm").filter(|_| native == "arm64");
        let both = wide && embedded(context)?.get("COMPAT").is_some_and(|value| *value == "y");
        let (lines, from) = loaded(root, &with.path)?;
        let (mut problems, mut named) = (Vec::new(), BTreeSet::new());
        let (mut of_64, mut of_32) = (BTreeSet::new(), BTreeSet::new());
        for (at, line) in &lines {
            let rule = rule(line);
            let is_64 = match rule.arch {
                Some("b64" | "aarch64" | "riscv64") => true,
                Some("b32" | "arm" | "armv7l" | "riscv32") => false,
                None => wide,
                Some(other) => {
                    problems.push(format!("{at}: `arch={other}` is none of `{native}`: write b64 or b32"));
                    continue;
                }
            };
            if is_64 && !wide {
                problems.push(format!("{at}: `arch=b64` on `{native}`, which has 32 bits"));
                continue;
            }
            if !is_64 && wide && !both {
                problems.push(format!("{at}: `arch=b32`: this kernel runs no program of 32 bits (COMPAT)"));
                continue;
            }
            if both && rule.arch.is_some() && rule.calls.is_empty() {
                // A rule on a path records what programs of its word size do, and no others.
                let rest =
                    line.split_whitespace().filter(|word| !word.starts_with("arch=")).collect::<Vec<_>>();
                let recorded = if is_64 { &mut of_64 } else { &mut of_32 };
                recorded.insert((rest.join(" "), String::new()));
            }
            let known = if is_64 || !wide { Some(&own) } else { small.as_ref() };
            for call in rule.calls.iter().filter(|call| **call != "all") {
                // A number says the call itself.
                let number = call.parse::<u32>().is_ok();
                if !number && known.is_some_and(|known| !known.contains(call)) {
                    let bits = if is_64 { 64 } else { 32 };
                    problems.push(format!(
                        "{at}: `{native}` has no system call `{call}` of {bits} bits: auditctl stops there"
                    ));
                }
                named.insert(*call);
                let recorded = if is_64 { &mut of_64 } else { &mut of_32 };
                // A call that the other word size does not have has no twin there.
                if small.as_ref().is_none_or(|small| small.contains(call)) {
                    recorded.extend(rule.keys.iter().map(|key| ((*key).to_owned(), (*call).to_owned())));
                }
            }
        }
        if both {
            for (rule, call) in of_64.difference(&of_32) {
                let call = if call.is_empty() { String::new() } else { format!(", `{call}`") };
                problems.push(format!("`{rule}`{call} is not recorded of programs of 32 bits (`arch=b32`)"));
            }
        }
        if named.is_empty() && problems.is_empty() {
            problems.push(format!("`{from}` names no system call"));
        }
        let seen = format!("{} system calls of `{native}`", named.len());
        Ok(Conclusion::of(&problems, "calls that this kernel has", seen, &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Table;
    use crate::subject::{FitFacts, Subject};
    use crate::testing::*;

    const GOOD: &str = "-D\n-a always,exit -F arch=b64 -S mount,umount2 -F key=mounts\n\
        -a always,exit -F arch=b64 -F path=/usr/sbin/nft -F perm=x -F key=firewall\n-e 2\n";

    /// The same of programs of 32 bits.
    const SMALL: &str = "-a always,exit -F arch=b32 -S mount,umount2,open -k mounts\n\
        -a always,exit -F arch=b32 -F path=/usr/sbin/nft -F perm=x -F key=firewall\n";

    fn check(architecture: &str, kernel: &str, rules: &str) -> Result<crate::Conclusion, crate::Unable> {
        let mut plan = crate::report::sample::plan();
        plan.board.kernel_arch = architecture.to_owned();
        let tree = Tree::base().file("/etc/audit/audit.rules", 0o600, rules);
        let mut subject = Subject::of_root(tree.root());
        let fit = Subject::of_cmdline("x").fit.unwrap().unwrap();
        subject.fit = Some(Ok(FitFacts { kconfig: Ok(format!("CONFIG_A=y\n{kernel}")), ..fit }));
        run_on("audit-calls", json!({"path": "/etc/audit/audit.rules"}), &subject, Some(&plan))
    }

    #[test]
    fn pass() {
        assert_eq!(passes(check("arm64", "", GOOD)), "2 system calls of `arm64`");
        passes(check("riscv", "", &GOOD.replace("umount2", "riscv_hwprobe")));
        passes(check("arm", "", &GOOD.replace("b64", "b32").replace("umount2", "open,chmod")));
        // In both word sizes, each with its own names; a number is not looked up.
        passes(check("arm64", "CONFIG_COMPAT=y\n", &GOOD.replace("-e 2", &format!("{SMALL}-e 2"))));
        let own = GOOD.replace("umount2", "umount2,renameat2,newfstatat");
        let both = own.replace("-e 2", &format!("{}-e 2", SMALL.replace("open", "renameat2")));
        passes(check("arm64", "CONFIG_COMPAT=y\n", &both));
        passes(check("arm64", "", &GOOD.replace("umount2", "39")));
    }

    #[test]
    fn a_call_that_the_kernel_has_not_is_told_where_it_stands() {
        for call in ["open", "chmod", "rename", "unlink", "mkdir", "stat"] {
            let said = format!(
                "/etc/audit/audit.rules:2: `arm64` has no system call `{call}` of 64 bits: auditctl stops there"
            );
            fails(check("arm64", "", &GOOD.replace("umount2", call)), &said);
        }
        fails(
            check("riscv", "", &GOOD.replace("umount2", "renameat")),
            "`riscv` has no system call `renameat`",
        );
        let small = GOOD.replace("b64", "b32");
        fails(
            check("arm", "", &small.replace("umount2", "mount2")),
            "`arm` has no system call `mount2` of 32 bits",
        );
    }

    #[test]
    fn the_other_word_size_is_recorded_where_it_runs_and_nowhere_else() {
        let small = "-a always,exit -F arch=b32 -S mount -k mounts\n-e 2";
        fails(
            check("arm64", "", &GOOD.replace("-e 2", small)),
            ":4: `arch=b32`: this kernel runs no program of 32 bits",
        );
        fails(check("arm", "", GOOD), ":2: `arch=b64` on `arm`, which has 32 bits");
        let compat =
            |small: &str| check("arm64", "CONFIG_COMPAT=y\n", &GOOD.replace("-e 2", &format!("{small}-e 2")));
        fails(compat(""), "`mounts`, `umount2` is not recorded of programs of 32 bits (`arch=b32`)");
        fails(compat(&SMALL.replace(",umount2", "")), "`mounts`, `umount2` is not recorded");
        let missing = "`-a always,exit -F -F path=/usr/sbin/nft -F perm=x -F key=firewall` is not recorded";
        fails(compat(&SMALL.replace("sbin/nft", "bin/ip")), missing);
        fails(check("arm64", "", &GOOD.replace("b64", "x86_64")), "`arch=x86_64` is none of `arm64`");
        fails(check("arm64", "", "-D\n-e 2\n"), "`/etc/audit/audit.rules` names no system call");
    }

    #[test]
    fn the_table_has_what_each_architecture_is_known_for() {
        let table = Table::built_in().unwrap();
        for (architecture, has, lacks) in [
            ("arm64", ["openat", "newfstatat", "renameat"], ["open", "clock_settime64", "riscv_hwprobe"]),
            ("riscv", ["openat", "riscv_hwprobe", "statx"], ["renameat", "fork", "fcntl64"]),
            ("arm", ["open", "clock_settime64", "fork"], ["newfstatat", "oldlstat", "riscv_hwprobe"]),
        ] {
            let calls = table.of(architecture).unwrap();
            assert!(has.iter().all(|call| calls.contains(call)), "{architecture}");
            assert!(lacks.iter().all(|call| !calls.contains(call)), "{architecture}");
        }
        assert!(table.of("x86").is_none());
    }
}
