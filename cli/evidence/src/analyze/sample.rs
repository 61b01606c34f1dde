//! A small analysis for tests of its renderings.

use super::model::{Analysis, Component, Program, Unit};
use super::rules::Found;
use super::strength;

/// Three findings and a note.
pub fn analysis() -> Analysis {
    let mut found = Found::default();
    found.add("account-empty-password", "/etc/shadow", "`root`");
    found.add("elf-no-pie", "/usr/bin/a", "program");
    found.add("elf-no-pie", "/usr/bin/b", "program");
    found.add("import-copy", "/usr/bin/a", "strcpy");
    let issues = found.issues();
    let strength = strength::strength(&[(super::model::Area::Accounts, 1)].into(), &issues);
    Analysis {
        at: Some(1_700_000_000),
        word: strength::overall(&strength).to_owned(),
        strength,
        issues,
        components: vec![Component {
            name: "busybox".into(),
            version: "1.36.1".into(),
            source: None,
            by: "file".into(),
            at: "/bin/busybox".into(),
        }],
        programs: vec![Program {
            path: "/usr/bin/a".into(),
            kind: "program".into(),
            machine: "aarch64".into(),
            pie: false,
            relro: "full".into(),
            nx: true,
            separate: true,
            canary: "yes".into(),
            fortify: "partial".into(),
            rpath: vec![],
            branch: vec![],
            stripped: true,
            risky: vec!["strcpy".into()],
        }],
        units: vec![Unit {
            name: "a.service".into(),
            exposure: 92,
            word: "unsafe".into(),
            long_running: true,
            missing: vec![("PrivateNetwork=".into(), 3)],
        }],
        ..super::empty("old.img".into(), "ab".repeat(32), None)
    }
}
