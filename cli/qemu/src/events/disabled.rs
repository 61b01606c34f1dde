//! A security function is switched off on the running device: its self-check has to find that, and to pass again once it is back.

use diag::Outcome;
use record::{DISABLED_FUNCTION, TrafficVerdict};

use super::{MINUTE, Proof};

/// Where the device has its self-checks, one program each.
const CHECKS: &str = "/usr/lib/fastness/selfcheck.d";

/// One function.
struct Function {
    /// What is switched off, in words.
    name: &'static str,
    /// The self-check that has to find it.
    check: &'static str,
    /// How it is switched off.
    off: &'static str,
    /// How it comes back.
    on: &'static str,
}

/// Each with root's rights, which nobody has on the device, and with programs that every image has. Auditing is not among
/// them: it is locked until the next start.
const FUNCTIONS: [Function; 7] = [
    Function {
        name: "the firewall takes what comes in",
        check: "self.firewall",
        off: "nft 'chain inet fastness input { policy accept; }'",
        on: "nft 'chain inet fastness input { policy drop; }'",
    },
    Function {
        name: "a setting of the kernel is weakened",
        check: "kern.sysctl-live",
        off: "cat /proc/sys/kernel/kptr_restrict >/run/bench-was; echo 0 >/proc/sys/kernel/kptr_restrict",
        on: "cat /run/bench-was >/proc/sys/kernel/kptr_restrict",
    },
    Function {
        name: "programs may run in /tmp",
        check: "self.mounts",
        off: "mount -o remount,exec /tmp",
        on: "mount -o remount,noexec /tmp",
    },
    Function {
        name: "everybody writes to the logs' folder",
        check: "priv.denied",
        off: "chmod 777 /var/log",
        on: "chmod 755 /var/log",
    },
    Function {
        name: "nothing keeps the time",
        check: "self.time",
        off: "systemctl stop chrony.service",
        on: "systemctl start chrony.service",
    },
    Function {
        name: "nobody can log in",
        check: "self.sshd",
        off: "systemctl stop ssh.service",
        on: "systemctl start ssh.service",
    },
    Function {
        name: "a service failed",
        check: "self.no-failed-units",
        off: "systemctl start bench-crash; sleep 5",
        on: "systemctl reset-failed",
    },
];

impl Proof<'_> {
    /// Each in turn. The self-check's own words are what is shown.
    pub(super) fn disabled(&mut self) -> Outcome<()> {
        for function in &FUNCTIONS {
            let name = format!("{DISABLED_FUNCTION}: {}", function.name);
            let program = format!("{CHECKS}/{}", function.check);
            if !self.has(&program)? {
                let why = format!("the device has no self-check `{}`", function.check);
                self.class(&name, TrafficVerdict::NotShown, Vec::new(), vec![why]);
                continue;
            }
            self.bench.ask(function.off, MINUTE * 2)?;
            let off = self.checked(&program)?;
            self.bench.ask(function.on, MINUTE * 2)?;
            let on = self.checked(&program)?;
            let (seen, problems) = found(function.check, &off, &on);
            self.verdict(&name, seen, problems);
        }
        Ok(())
    }

    /// What a self-check says now, with its exit status in front.
    fn checked(&mut self, program: &str) -> Outcome<String> {
        let said = self.bench.ask(&format!("said=$({program} 2>&1); echo \"$? $said\""), MINUTE * 3)?;
        Ok(said.join(" ").trim().to_owned())
    }
}

/// What two runs of a self-check show, the first with its function switched off.
fn found(check: &str, off: &str, on: &str) -> (Vec<String>, Vec<String>) {
    let passed = |said: &str| said.split(' ').next() == Some("0");
    let mut problems = Vec::new();
    if passed(off) || off.is_empty() {
        problems.push(format!("`{check}` does not find it: {off}"));
    }
    if !passed(on) {
        problems.push(format!("`{check}` does not pass once it is back: {on}"));
    }
    (vec![format!("`{check}` fails: {off}; then passes: {on}")], problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_check_finds_what_is_off_and_passes_once_it_is_back() {
        assert!(found("a", "1 off", "0 on").1.is_empty());
        for (off, on, expected) in [
            ("0 well", "0 well", "`a` does not find it: 0 well"),
            ("", "0 well", "`a` does not find it: "),
            ("1 off", "1 off", "`a` does not pass once it is back: 1 off"),
            ("1 off", "", "`a` does not pass once it is back: "),
        ] {
            assert_eq!(found("a", off, on).1, [expected]);
        }
    }

    /// Each check is one of the shipped layers'.
    #[test]
    fn every_function_has_a_self_check_that_is_shipped() {
        let library = spec::library::Library::built_in(None);
        let names = library.names(spec::library::Area::Layers).unwrap();
        let all: String = names
            .iter()
            .filter_map(|name| {
                library.read(spec::library::Area::Layers, &format!("{name}/layer.yaml")).ok().flatten()
            })
            .map(|source| source.text().to_owned())
            .collect();
        for function in &FUNCTIONS {
            assert!(all.contains(&format!("id: {}, title", function.check)), "{}", function.check);
        }
    }
}
