//! Every class of fact, same and different; what explains, and what does not.

use std::sync::Arc;

use serde_json::json;
use spec::source::Source;

use super::compare::{Comparison, WHOLE_AREA, compare};
use super::explain::Explanations;
use super::*;
use crate::root::Root;
use crate::subject::{FitFacts, KeyFact, SubjectKind, UbootFacts, VerityFacts};
use crate::testing::{Tree, program};

fn of_root(root: Root) -> Facts {
    gather(&Subject::of_root(root), None)
}

fn explained_by(text: &str) -> Explanations {
    let mut explanations = Explanations::default();
    let source: Arc<Source> = Source::new("known.yaml", "some/folder/known.yaml", text.to_owned());
    explanations.add(&spec::differences::read(&source).unwrap());
    explanations
}

fn plain(before: &Facts, after: &Facts) -> Comparison {
    compare(before, after, &Explanations::default())
}

/// A device with something of every class that a root file system has.
fn device() -> Tree {
    Tree::base()
        .file("/usr/bin/tool", 0o755, program())
        .file("/usr/bin/su", 0o755, "x")
        .file("/etc/fstab", 0o644, "/dev/dm-0 / squashfs ro,nodev 0 0\n")
        .file("/etc/ssh/sshd_config", 0o600, "PermitRootLogin no\nPort 22\n")
        .file("/etc/sysctl.d/50-x.conf", 0o644, "kernel.kptr_restrict = 2\n")
        .file("/etc/audit/audit.rules", 0o640, "-w /etc/passwd -p wa -k identity\n-e 2\n")
        .file("/etc/pam.d/login", 0o644, "# comment\nauth required pam_deny.so\n")
        .file(
            "/usr/lib/systemd/system/a.service",
            0o644,
            "[Unit]\nUser=no\n[Service]\nExecStart=/usr/bin/tool\nUser=a\nNoNewPrivileges=yes\n",
        )
        .link("/etc/systemd/system/multi-user.target.wants/a.service", "/usr/lib/systemd/system/a.service")
}

/// The one difference between two devices, as area, fact, before and after.
#[track_caller]
fn one(changed: Tree) -> (String, String, String, String) {
    let comparison = plain(&of_root(device().root()), &of_root(changed.root()));
    assert!(!comparison.holds && !comparison.same);
    assert_eq!(comparison.status(), diag::ExitStatus::Check);
    let all = &comparison.unexplained;
    assert_eq!(all.len(), 1, "{all:#?}");
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".into());
    (all[0].area.into(), all[0].fact.clone(), shown(&all[0].before), shown(&all[0].after))
}

#[track_caller]
fn differs(changed: Tree, expected: [&str; 4]) {
    let (area, fact, before, after) = one(changed);
    assert_eq!([area.as_str(), &fact, &before, &after], expected);
}

#[test]
fn two_equal_images_are_the_same_and_what_none_has_is_told() {
    let facts = of_root(device().root());
    let comparison = plain(&facts, &of_root(device().root()));
    assert!(comparison.same && comparison.holds, "{comparison:#?}");
    assert_eq!(comparison.status(), diag::ExitStatus::Success);
    let none: Vec<&str> = comparison.not_compared.iter().map(|area| area.area).collect();
    assert_eq!(none, ["signature", "verity", "cmdline", "kernel", "uboot"]);
    let text = text::comparison(&comparison);
    assert!(
        text.contains("THE SAME  ") && text.contains("not compared, as neither has it: signature"),
        "{text}"
    );
    // A file's name and its version are no part of it.
    assert_eq!(facts.areas.len(), GATHERERS.len());
    assert_eq!(facts.areas.len(), FactArea::WORDS.len());
}

#[test]
fn accounts_passwords_and_groups() {
    let shadow = device().file("/etc/shadow", 0o600, "root::20000::::::\n");
    differs(shadow, ["accounts", "user root: password", "locked", "empty"]);
    let hash = device().file("/etc/shadow", 0o600, "root:$y$x:20000::::::\n");
    differs(hash, ["accounts", "user root: password", "locked", "usable"]);
    let shell = device().file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    differs(shell, ["accounts", "user root: shell", "/usr/sbin/nologin", "/bin/sh"]);
    let member = device().file("/etc/group", 0o644, "root:x:0:mallory\n");
    differs(member, ["accounts", "group root: members", "none", "mallory"]);
}

#[test]
fn privileges_modes_and_owners() {
    let setuid = device().change("/usr/bin/su", |node| node.mode = 0o4755);
    differs(setuid, ["privileged", "/usr/bin/su", "absent", "4755 root"]);
    let capable = device().change("/usr/bin/su", |node| node.capabilities = true);
    differs(capable, ["privileged", "/usr/bin/su", "absent", "0755 root with capabilities"]);
    let mode = device().change("/etc/shadow", |node| node.mode = 0o644);
    differs(mode, ["modes", "/etc/shadow", "file 0600", "file 0644"]);
    let written = device().change("/usr/bin/su", |node| node.mode = 0o757);
    differs(written, ["modes", "/usr/bin/su", "absent", "file 0757"]);
    let owner = device().change("/usr/bin/su", |node| node.uid = 7);
    differs(owner, ["owners", "/usr/bin/su", "absent", "7:root"]);
}

#[test]
fn units_services_and_what_listens() {
    let wants = "/usr/lib/systemd/system/basic.target.wants/debug-shell.service";
    differs(
        device().link(wants, "../debug-shell.service"),
        ["units", "debug-shell.service", "absent", "started by basic.target.wants"],
    );
    // A masked unit is started by nothing, so that its settings count no more.
    let masked = plain(
        &of_root(device().root()),
        &of_root(device().link("/etc/systemd/system/a.service", "/dev/null").root()),
    );
    let changed: Vec<&str> = masked.unexplained.iter().map(|d| d.area).collect();
    assert!(changed.contains(&"units") && changed.contains(&"services"), "{changed:?}");
    let inittab = device().file("/etc/inittab", 0o644, "::respawn:/bin/sh\n");
    let comparison = plain(&of_root(device().root()), &of_root(inittab.root()));
    assert!(comparison.unexplained.iter().any(|d| d.fact == "inittab ::respawn:/bin/sh"), "{comparison:#?}");
    let drop_in = "[Service]\nNoNewPrivileges=\nNoNewPrivileges=no\n";
    let confined = device().file("/usr/lib/systemd/system/a.service.d/x.conf", 0o644, drop_in);
    differs(confined, ["services", "a.service: NoNewPrivileges", "yes", "no"]);
    let socket = device()
        .file("/usr/lib/systemd/system/b.socket", 0o644, "[Socket]\nListenStream=80\nListenStream=/run/b\n")
        .link("/usr/lib/systemd/system/sockets.target.wants/b.socket", "../b.socket");
    let comparison = plain(&of_root(device().root()), &of_root(socket.root()));
    let facts: Vec<&str> = comparison.unexplained.iter().map(|d| d.fact.as_str()).collect();
    assert_eq!(facts, ["b.socket", "b.socket: ListenStream 80"]);
    let inetd = device().file("/etc/inetd.conf", 0o644, "telnet stream tcp nowait root /usr/sbin/telnetd\n");
    let comparison = plain(&of_root(device().root()), &of_root(inetd.root()));
    assert!(comparison.unexplained.iter().any(|d| d.area == "listening"), "{comparison:#?}");
}

#[test]
fn sshd_sysctl_audit_mounts_and_policy() {
    let digest = |text: &str| format!("sha256:{}", record::sha256_hex(text.as_bytes()));
    let sshd = plain(
        &of_root(device().root()),
        &of_root(device().file("/etc/ssh/sshd_config", 0o600, "PermitRootLogin yes\nPort 22\n").root()),
    );
    let first = sshd.unexplained.iter().find(|d| d.area == "sshd").unwrap();
    assert_eq!((first.fact.as_str(), first.after.as_deref()), ("permitrootlogin", Some("yes")));
    differs(
        device().file("/usr/lib/sysctl.d/90-x.conf", 0o644, "kernel.kptr_restrict=0\n"),
        ["sysctl", "kernel.kptr_restrict", "2", "0"],
    );
    differs(
        device().file("/etc/audit/audit.rules", 0o640, "-w /etc/passwd -p wa -k identity\n"),
        ["audit", "-e", "2", "absent"],
    );
    let excluded = "-a never,exit -F auid=0\n-w /etc/passwd -p wa -k identity\n-e 2\n";
    let audit = plain(
        &of_root(device().root()),
        &of_root(device().file("/etc/audit/audit.rules", 0o640, excluded).root()),
    );
    let after = audit.unexplained.iter().filter_map(|d| d.after.as_deref()).collect::<Vec<_>>();
    assert_eq!(after, ["loaded", "loaded after 1 that exclude"]);
    differs(
        device().file("/etc/fstab", 0o644, "/dev/dm-0 / squashfs rw,nodev 0 0\n"),
        ["mounts", "/: options", "nodev,ro", "nodev,rw"],
    );
    differs(
        device().file("/etc/pam.d/login", 0o644, "auth required pam_permit.so\n"),
        [
            "policy",
            "/etc/pam.d/login",
            &digest("auth required pam_deny.so"),
            &digest("auth required pam_permit.so"),
        ],
    );
    let comment = device().file("/etc/pam.d/login", 0o644, "# another\n\nauth required pam_deny.so\n");
    assert!(plain(&of_root(device().root()), &of_root(comment.root())).same);
}

#[test]
fn programs_by_their_hardening() {
    differs(device().file("/usr/bin/tool", 0o755, b"\x7fELF\x02\x01\x01\0broken"), {
        let facts = of_root(device().root());
        let AreaFacts::Read { facts } = &facts.areas["elf"] else { panic!("{facts:?}") };
        let own = facts["/usr/bin/tool"].clone();
        assert!(own.starts_with("program: pie"), "{own}");
        let broken = device().file("/usr/bin/tool", 0o755, b"\x7fELF\x02\x01\x01\0broken");
        let (_, _, _, why) = one(broken);
        assert!(why.starts_with("broken: ELF"), "{why}");
        ["elf", "/usr/bin/tool", String::leak(own), String::leak(why)]
    });
}

#[test]
fn the_ruleset_as_nft_gives_it_back() {
    let json = |policy: &str, port: u16, handle: u32| {
        json!({"nftables": [
            {"metainfo": {"version": "1"}},
            {"table": {"family": "inet", "name": "f", "handle": handle}},
            {"chain": {"family": "inet", "table": "f", "name": "i", "handle": handle, "hook": "input", "policy": policy}},
            {"rule": {"family": "inet", "table": "f", "chain": "i", "handle": handle, "expr": [{"match": {"right": port}}]}},
        ]})
        .to_string()
    };
    let pieces = |text: String| {
        let mut values = Values::new();
        firewall::pieces(text.as_bytes(), &mut values).unwrap();
        values
    };
    let first = pieces(json("drop", 22, 1));
    assert_eq!(first, pieces(json("drop", 22, 9)));
    assert_eq!(first.keys().collect::<Vec<_>>(), ["chain inet f i", "rule inet f i 001", "table inet f"]);
    assert_ne!(first["rule inet f i 001"], pieces(json("drop", 23, 1))["rule inet f i 001"]);
    assert_ne!(first["chain inet f i"], pieces(json("accept", 22, 1))["chain inet f i"]);
    assert!(firewall::pieces(b"{}", &mut Values::new()).unwrap_err().contains("no `nftables` list"));
    let older = device().file("/etc/iptables.conf", 0o600, "*filter\n");
    differs(older, ["firewall", "file /etc/iptables.conf", "absent", "is there"]);
}

const CMDLINE: &str = "audit=1 root=/dev/dm-0 ro dm-mod.create=\"root,,,ro,0 16 verity 1 PARTUUID=ab PARTUUID=ab 4096 4096 2 2 \
    sha256 00ff ff00 1 panic_on_corruption\"";

fn chain(change: impl FnOnce(&mut FitFacts, &mut UbootFacts)) -> Facts {
    let mut subject = Subject::empty(SubjectKind::Output, "out");
    let mut fit = FitFacts {
        sha256: String::new(),
        images: [("kernel".to_owned(), "sha256:00".to_owned())].into(),
        cmdline: Ok(CMDLINE.into()),
        verified: Some(Ok("conf".into())),
        kconfig: Ok("# Linux/arm64 6.12.1 Kernel Configuration\nCONFIG_A=y\nCONFIG_GCC_VERSION=1\n".into()),
        bytes: vec![],
    };
    let key = KeyFact {
        name: "k".into(),
        fingerprint: "aa".into(),
        algorithm: "sha256,rsa3072".into(),
        bits: 3072,
        required: Some("conf".into()),
    };
    let mut uboot = UbootFacts {
        sha256: String::new(),
        control_fdts: 1,
        keys: vec![key],
        required_mode: "all".into(),
        bytes: vec![],
    };
    change(&mut fit, &mut uboot);
    subject.verity =
        Some(Ok(VerityFacts { sha256: String::new(), asked: Ok("00ff".into()), found: Ok("00ff".into()) }));
    subject.fit = Some(Ok(fit));
    subject.uboot = Some(Ok(uboot));
    subject.uboot_config = Some(Ok("CONFIG_FIT_SIGNATURE=y\n".into()));
    subject.root = Some(Ok(device().root()));
    gather(&subject, None)
}

#[test]
fn keys_signature_command_line_verity_and_kernel() {
    let good = chain(|_, _| {});
    assert!(plain(&good, &chain(|_, _| {})).same);
    type Change = fn(&mut FitFacts, &mut UbootFacts);
    let cases: [(Change, &str, &str, Option<&str>); 9] = [
        (|_, uboot| uboot.keys[0].required = None, "signature", "key k: required", Some("no")),
        (
            |_, uboot| uboot.keys[0].fingerprint = "bb".into(),
            "signature",
            "key k: fingerprint",
            Some("sha256:bb"),
        ),
        (|_, uboot| uboot.control_fdts = 2, "signature", "control FDTs", Some("2")),
        (|fit, _| fit.verified = Some(Err(vec!["bad".into()])), "signature", "FIT verifies", Some("no: bad")),
        (|fit, _| fit.cmdline = Ok(CMDLINE.replace("audit=1", "audit=0")), "cmdline", "audit", Some("=0")),
        (
            |fit, _| fit.cmdline = Ok(CMDLINE.replace(" ro ", " ro init=/bin/sh ")),
            "cmdline",
            "init",
            Some("=/bin/sh"),
        ),
        (
            |fit, _| fit.cmdline = Ok(CMDLINE.replace("panic_on", "restart_on")),
            "verity",
            "options",
            Some("1 restart_on_corruption"),
        ),
        (
            |fit, _| {
                fit.kconfig = Ok("CONFIG_GCC_VERSION=1\n# Linux/arm64 6.12.1 Kernel Configuration\n".into())
            },
            "kernel",
            "A",
            None,
        ),
        (
            |fit, _| fit.kconfig = Err("none".into()),
            "kernel",
            WHOLE_AREA,
            Some("not read: the kernel's configuration: none"),
        ),
    ];
    for (change, area, fact, after) in cases {
        let comparison = plain(&good, &chain(change));
        let [found] = comparison.unexplained.as_slice() else { panic!("{:#?}", comparison.unexplained) };
        assert_eq!((found.area, found.fact.as_str(), found.after.as_deref()), (area, fact, after));
    }
}

#[test]
fn an_area_that_only_one_image_shows_or_neither_could_be_read_of_is_no_pass() {
    let (whole, root) = (chain(|_, _| {}), of_root(device().root()));
    let comparison = plain(&whole, &root);
    let open: Vec<&str> = comparison.unexplained.iter().map(|d| d.area).collect();
    assert_eq!(open, ["signature", "verity", "cmdline", "kernel", "uboot"]);
    assert!(comparison.unexplained.iter().all(|d| d.fact == WHOLE_AREA));
    let unread = || chain(|fit, _| fit.kconfig = Err("none".into()));
    assert!(!plain(&unread(), &unread()).holds);
    let nothing = gather(&Subject::empty(SubjectKind::RootFs, "x"), None);
    let comparison = plain(&nothing, &nothing);
    assert!(!comparison.holds && text::comparison(&comparison).contains("nothing could be compared"));
}

#[test]
fn data_explains_in_either_order_and_what_is_unused_is_told() {
    let explanations = || {
        explained_by(
            "facts:\n  - {area: kernel, fact: GCC_VERSION, values: [\"1\", \"2\"], sides: either, reason: compiler}\n  \
             - {area: kernel, fact: A, values: [absent, m], reason: never}\n",
        )
    };
    let newer = || {
        chain(|fit, _| fit.kconfig = fit.kconfig.clone().map(|text| text.replace("VERSION=1", "VERSION=2")))
    };
    for (before, after) in [(chain(|_, _| {}), newer()), (newer(), chain(|_, _| {}))] {
        let comparison = compare(&before, &after, &explanations());
        assert!(comparison.holds && !comparison.same, "{comparison:#?}");
        assert_eq!(
            (comparison.explained[0].reason.as_str(), comparison.explained[0].by.as_str()),
            ("compiler", "known.yaml:2")
        );
        assert_eq!(comparison.unused.len(), 1);
        let text = text::comparison(&comparison);
        assert!(text.contains("kernel 1: compiler (known.yaml:2)"), "{text}");
        assert!(text.contains("explanations that nothing needed (1)\n    kernel A  known.yaml:3"), "{text}");
        assert!(text.contains("HOLDS  1 of "), "{text}");
    }
    // Another value, or another area, is not what was explained.
    let third =
        chain(|fit, _| fit.kconfig = fit.kconfig.clone().map(|text| text.replace("VERSION=1", "VERSION=3")));
    let comparison = compare(&chain(|_, _| {}), &third, &explanations());
    assert!(!comparison.holds);
    assert!(text::comparison(&comparison).contains("DOES NOT HOLD  1 of "));
}

#[test]
fn a_folder_of_another_name_is_the_same_unless_both_are_there() {
    let multiarch = || device().file("/usr/lib/a-b/x", 0o755, program());
    let flat = || device().file("/usr/lib/x", 0o755, program());
    let explanations =
        || explained_by("folders: [{folder: /usr/lib/a-b, is: /usr/lib, reason: multiarch}]\n");
    let comparison = compare(&of_root(multiarch().root()), &of_root(flat().root()), &explanations());
    assert!(comparison.holds && !comparison.same, "{comparison:#?}");
    assert!(text::comparison(&comparison).contains("the same, some under another name"));
    let both = multiarch().file("/usr/lib/x", 0o755, b"\x7fELF\x02\x01\x01\0broken");
    let comparison = compare(&of_root(both.root()), &of_root(flat().root()), &explanations());
    let open: Vec<&str> = comparison.unexplained.iter().map(|d| d.fact.as_str()).collect();
    assert_eq!(open, ["/usr/lib/a-b/x", "/usr/lib/x"]);
    // The same facts under the same names need no second name.
    let comparison = compare(&of_root(flat().root()), &of_root(flat().root()), &explanations());
    assert!(comparison.same && comparison.unused.len() == 1);
}

#[test]
fn a_waiver_of_a_product_explains_and_names_its_place() {
    let mut plan = crate::report::sample::plan();
    let waiver = plan.waivers.values().next().cloned().unwrap();
    plan.waivers.insert("facts:elf:/usr/bin/*".into(), waiver.clone());
    let mut explanations = Explanations::default();
    explanations.add_waivers(&plan);
    explanations.add_waivers(&plan);
    let broken = device().file("/usr/bin/tool", 0o755, b"\x7fELF\x02\x01\x01\0broken");
    let comparison = compare(&of_root(device().root()), &of_root(broken.root()), &explanations);
    assert!(comparison.holds && comparison.unused.is_empty(), "{comparison:#?}");
    assert_eq!(comparison.explained[0].reason, waiver.origins[0].reason);
}

#[test]
fn the_shipped_explanations_are_valid_and_the_schemas_name_what_is_written() {
    let text = include_str!("../../../../standards/image-differences.yaml");
    let source = Source::new("image-differences.yaml", "standards/image-differences.yaml", text.to_owned());
    let read = spec::differences::read(&source).unwrap();
    assert!(!read.folders.is_empty() && !read.facts.is_empty());
    let names = |value: &serde_json::Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let facts = serde_json::to_value(of_root(device().root())).unwrap();
    assert_eq!(names(&facts), names(&schema::facts()["properties"]));
    let broken = device().file("/usr/bin/tool", 0o755, b"\x7fELF\x02\x01\x01\0broken").root();
    let explanations =
        explained_by("facts: [{area: elf, fact: \"*\", reason: r}, {area: uboot, fact: x, reason: r}]\n");
    let comparison = compare(&of_root(device().root()), &of_root(broken), &explanations);
    let (value, schema) = (serde_json::to_value(&comparison).unwrap(), schema::comparison());
    assert_eq!(names(&value), names(&schema["properties"]));
    for list in ["explained", "unused", "compared", "not_compared"] {
        assert_eq!(
            names(&value[list][0]),
            names(&schema["properties"][list]["items"]["properties"]),
            "{list}"
        );
    }
}

#[test]
fn hostile_text_cannot_steer_a_terminal() {
    let name = "/etc/pam.d/\u{1b}[2J";
    let comparison = plain(&of_root(device().root()), &of_root(device().file(name, 0o644, "x").root()));
    assert!(!text::comparison(&comparison).contains('\u{1b}'));
    assert!(!text::facts(&of_root(device().file(name, 0o644, "x").root())).contains('\u{1b}'));
}

#[test]
fn an_explanation_of_a_gain_is_none_of_the_loss() {
    let (weak, strong) = (of_root(device().root()), {
        let drop_in = "[Service]\nProtectSystem=strict\n";
        of_root(device().file("/usr/lib/systemd/system/a.service.d/x.conf", 0o644, drop_in).root())
    });
    let fact = |more: &str| {
        explained_by(&format!(
            "facts: [{{area: services, fact: \"a.service: Protect*\", {more}reason: r}}]\n"
        ))
    };
    let gain = fact("values: [absent, strict], ");
    assert!(compare(&weak, &strong, &gain).holds);
    let loss = compare(&strong, &weak, &gain);
    assert!(!loss.holds && loss.unexplained[0].before.as_deref() == Some("strict"), "{loss:#?}");
    // Both ways only where it is said; and without values nothing may be missing.
    let both = fact("values: [absent, strict], sides: either, ");
    assert!(compare(&weak, &strong, &both).holds && compare(&strong, &weak, &both).holds);
    assert!(!compare(&strong, &weak, &fact("")).holds && !compare(&weak, &strong, &fact("")).holds);
}

#[test]
fn what_a_compiler_can_do_is_explained_and_what_the_kernel_makes_of_it_is_not() {
    let explanations = explained_by(include_str!("../../../../standards/image-differences.yaml"));
    let compared = |before: &str, after: &str| {
        let of = |config: &str| {
            let mut subject = Subject::of_cmdline("x");
            if let Some(Ok(fit)) = &mut subject.fit {
                fit.kconfig = Ok(format!("CONFIG_ARM64=y\n{config}\n"));
            }
            let mut facts = gather(&subject, None);
            facts.areas.retain(|area, _| *area == "kernel");
            // Only of this area here.
            for area in areas().into_iter().filter(|area| *area != FactArea::Kernel) {
                facts.areas.insert(area.as_str(), AreaFacts::NotApplicable { why: "not here".into() });
            }
            facts
        };
        compare(&of(before), &of(after), &explanations).holds
    };
    for symbol in
        ["CC_CAN_LINK", "CC_HAS_SLS", "AS_HAS_LSE_ATOMICS", "LD_CAN_USE_KEEP_IN_OVERLAY", "GCC_PLUGINS"]
    {
        let set = format!("CONFIG_{symbol}=y");
        assert!(compared(&set, "") && compared("", &set), "{symbol}");
    }
    for symbol in ["GCC_VERSION", "LLD_VERSION", "PAHOLE_VERSION"] {
        assert!(compared(&format!("CONFIG_{symbol}=1"), &format!("CONFIG_{symbol}=2")), "{symbol}");
        assert!(!compared(&format!("CONFIG_{symbol}=1"), ""), "{symbol}");
    }
    for symbol in ["GCC_PLUGIN_STACKLEAK", "CC_IS_GCC", "STACKPROTECTOR", "CC_STACKPROTECTOR", "FOO_VERSION"]
    {
        assert!(!compared(&format!("CONFIG_{symbol}=y"), ""), "{symbol}");
    }
    assert!(!compared("CONFIG_CC_HAS_SLS=y", "CONFIG_CC_HAS_SLS=m"));
}
