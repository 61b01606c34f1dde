use std::path::Path;

use super::layer::{Bounds, files};
use super::*;
use crate::testing::{Tree, fails, passes, run};

/// A program of this host that is made of this.
fn compiled(source: &str, arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (text, built) = (folder.path().join("x.c"), folder.path().join("x"));
    std::fs::write(&text, source).unwrap();
    let made =
        std::process::Command::new("gcc").args(["-w", "-o"]).args([&built, &text]).args(arguments).status();
    assert!(made.unwrap().success());
    std::fs::read(built).unwrap()
}

const UNIT: &str = "[Unit]\nDescription=x\n[Service]\nExecStart=/usr/sbin/x -n\n";

fn tree(program: &[u8], unit: &str) -> Tree {
    Tree::base()
        .file("/usr/sbin/x", 0o755, program)
        .file("/usr/lib/systemd/system/x.service", 0o644, unit)
        .link("/etc/systemd/system/multi-user.target.wants/x.service", "/usr/lib/systemd/system/x.service")
}

fn service(tree: Tree) -> Sandbox {
    let monitoring = look(&tree.root(), "test").unwrap();
    monitoring.services.into_iter().find(|service| service.unit == "x.service").unwrap()
}

fn lines(service: &Sandbox) -> Vec<&str> {
    service.given.iter().map(|given| given.line.as_str()).collect()
}

#[test]
fn a_program_that_needs_little_gets_everything() {
    let quiet = compiled("#include <stdio.h>\nint main(void) { return puts(\"x\"); }", &[]);
    let made = service(tree(&quiet, UNIT));
    let given = lines(&made);
    for line in [
        "ProtectClock=yes",
        "NoNewPrivileges=yes",
        "PrivateDevices=yes",
        "ProtectSystem=strict",
        "RestrictAddressFamilies=none",
        "IPAddressDeny=any",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
    ] {
        assert!(given.contains(&line), "{line} is not in {given:?}");
    }
    let set = given.iter().find(|line| line.starts_with("CapabilityBoundingSet=~")).unwrap();
    assert!(set.contains("CAP_SYS_TIME") && set.contains("CAP_SYS_MODULE"), "{set}");
    // What needs no function of its own is left: nobody can tell.
    assert!(!set.contains("CAP_DAC_OVERRIDE") && !set.contains("CAP_NET_ADMIN"), "{set}");
    assert!(made.before > 90 && made.after < 40, "{} -> {}", made.before, made.after);
}

#[test]
fn what_is_imported_or_named_is_kept_with_the_reason() {
    let source = "#include <time.h>\n#include <sys/socket.h>\n#include <unistd.h>\n\
        int main(void) { struct timespec t = {0}; clock_settime(CLOCK_REALTIME, &t); socket(AF_INET, SOCK_STREAM, 0);\n\
        access(\"/dev/rtc0\", 0); access(\"/var/lib/x\", 0); return chroot(\"/run/x\"); }";
    let made = service(tree(&compiled(source, &[]), UNIT));
    let given = lines(&made);
    assert!(!given.contains(&"ProtectClock=yes") && !given.contains(&"PrivateDevices=yes"), "{given:?}");
    assert!(given.contains(&"SystemCallFilter=@system-service @clock @mount chroot"), "{given:?}");
    assert!(given.contains(&"ReadWritePaths=-/run -/var"), "{given:?}");
    assert!(given.contains(&"RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX"), "{given:?}");
    let set = given.iter().find(|line| line.starts_with("CapabilityBoundingSet=~")).unwrap();
    assert!(!set.contains("CAP_SYS_TIME") && !set.contains("CAP_SYS_CHROOT"), "{set}");
    let why: Vec<&str> = made.not_given.iter().map(|not| not.why.as_str()).collect();
    assert!(why.contains(&"imports `clock_settime`") && why.contains(&"names `/dev/rtc0`"), "{why:?}");
}

#[test]
fn what_the_unit_s_maker_set_stays() {
    let quiet = compiled("int main(void) { return 0; }", &[]);
    let own = format!("{UNIT}CapabilityBoundingSet=CAP_SYS_TIME\nProtectClock=no\nSystemCallFilter=@clock\n");
    let made = service(tree(&quiet, &own));
    for name in ["CapabilityBoundingSet", "ProtectClock", "SystemCallFilter"] {
        assert!(!lines(&made).iter().any(|line| line.starts_with(name)), "{name}: {:?}", lines(&made));
    }
    // An early service has no place of its own to write to yet.
    let early = UNIT.replace("Description=x", "DefaultDependencies=no");
    let made = service(tree(&quiet, &early));
    assert!(!lines(&made).contains(&"PrivateTmp=yes"));
}

#[test]
fn of_what_cannot_be_told_nothing_is_said() {
    let script = service(tree(b"#!/bin/sh\nexec true\n", UNIT));
    assert_eq!((script.given.len(), script.before), (0, script.after));
    assert!(script.left_alone.contains("`/usr/sbin/x` is a script"), "{}", script.left_alone);
    let fixed = service(tree(&compiled("int main(void) { return 0; }", &["-static"]), UNIT));
    assert!(fixed.left_alone.contains("is static"), "{}", fixed.left_alone);
    let broken = service(tree(&b"\x7fELF\x02\x01\x01".repeat(3), UNIT));
    assert!(broken.left_alone.contains("is no program that can be read"), "{}", broken.left_alone);
    let needs = compiled("int main(void) { return 0; }", &["-Wl,--no-as-needed", "-lcrypt"]);
    let needs = service(tree(&needs, UNIT));
    assert!(needs.left_alone.contains("which is missing"), "{}", needs.left_alone);
    let empty = Root::new(Default::default(), Box::new(std::collections::BTreeMap::new()), String::new());
    assert!(look(&empty, "x").unwrap_err().to_string().contains("not a whole root"));
}

#[test]
fn rules_are_for_what_is_there_and_nothing_else() {
    let quiet = compiled("int main(void) { return 0; }", &[]);
    let tracer = compiled("#include <sys/ptrace.h>\nint main(void) { return ptrace(0, 0, 0, 0); }", &[]);
    let of = |tree: Tree| look(&tree.root(), "x").unwrap();
    let plain = of(tree(&quiet, UNIT));
    let rules = |monitoring: &Monitoring, key: &str| -> Vec<String> {
        monitoring.rules.iter().filter(|rule| rule.key == key).map(|rule| rule.rule.clone()).collect()
    };
    assert!(rules(&plain, "monitor-privileged").is_empty() && rules(&plain, "monitor-admin").is_empty());
    // The shadow file of the tree is root's alone.
    let secret = "-a always,exit -F path=/etc/shadow -F perm=r -F auid!=unset -F key=monitor-secret";
    assert_eq!(rules(&plain, "monitor-secret"), [secret]);
    assert_eq!(rules(&plain, "monitor-refused").len(), 3);
    assert!(rules(&plain, "monitor-foreign")[0].contains("ptrace"));
    let more = tree(&quiet, UNIT)
        .file("/usr/bin/su", 0o4755, &quiet)
        .file("/usr/sbin/nft", 0o755, &quiet)
        .file("/usr/bin/a {{b}}", 0o4755, &quiet)
        .file("/usr/bin/gdb", 0o755, &tracer);
    let more = of(more);
    assert_eq!(rules(&more, "monitor-privileged").len(), 1);
    let admin = rules(&more, "monitor-admin").join("\n");
    assert!(admin.contains("path=/usr/sbin/nft") && admin.contains("path=/usr/bin/gdb"), "{admin}");
    assert!(!rules(&more, "monitor-foreign")[0].contains("ptrace"));
    assert!(more.not_covered.iter().any(|line| line.contains("a {{b}}")), "{:?}", more.not_covered);
    // A setuid program is there: rights may come from it.
    let service = more.services.iter().find(|service| service.unit == "x.service").unwrap();
    assert!(!lines(service).contains(&"NoNewPrivileges=yes"));
    assert_eq!(more.executables.len(), 5);
    assert!(terminal::render(&more, true).contains("it changes how the device is protected"));
}

/// Of two rules that fit the kernel names the first: one behind a rule of the image's own would never be named.
#[test]
fn what_the_image_records_already_gets_no_rule() {
    let quiet = compiled("int main(void) { return 0; }", &[]);
    let tools =
        || tree(&quiet, UNIT).file("/usr/sbin/nft", 0o755, &quiet).file("/usr/bin/gdb", 0o755, &quiet);
    let admin = |rules: &str| -> Vec<String> {
        let tree =
            if rules.is_empty() { tools() } else { tools().file("/etc/audit/audit.rules", 0o640, rules) };
        let made = look(&tree.root(), "x").unwrap().rules;
        made.into_iter().filter(|rule| rule.key == "monitor-admin").map(|rule| rule.rule).collect()
    };
    let all = admin("");
    assert_eq!(all.len(), 2);
    let own = "-D\n-a always,exit -F arch=b64 -F path=/usr/sbin/nft -F perm=x -F key=firewall\n-e 2\n";
    assert_eq!(admin(own), [all[0].clone()]);
    assert!(all[0].contains("/usr/bin/gdb"));
    // A narrower one hides nothing, nor does a rule of an earlier layer of this kind.
    assert_eq!(admin(&own.replace("perm=x", "perm=x -F auid=2000")), all);
    assert_eq!(admin(&own.replace("key=firewall", "key=monitor-admin")), all);
}

#[test]
fn the_layer_loads_and_its_rules_stand_before_the_lock() {
    let quiet = compiled("int main(void) { return 0; }", &[]);
    let monitoring = look(&tree(&quiet, UNIT).root(), "cell-gateway 1.0.0").unwrap();
    let made = files(&monitoring, "monitoring-test", Bounds::default());
    assert_eq!(made, files(&monitoring, "monitoring-test", Bounds::default()));
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in &made {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cell-gateway/product.yaml");
    let product = std::fs::read_to_string(Path::new(example)).unwrap() + "\nlayers: {monitoring-test: {}}\n";
    let product_file = folder.path().join("product.yaml");
    std::fs::write(&product_file, product).unwrap();
    let plan = spec::load(&product_file, None).unwrap_or_else(|failure| panic!("{failure}"));
    let text = |path: &str| String::from_utf8(plan.files[path].value.bytes().unwrap().into_owned()).unwrap();
    let rules = text("/etc/audit/audit.rules");
    assert!(rules.ends_with("-e 2\n"), "{rules}");
    for rule in &monitoring.rules {
        assert!(rules.lines().any(|line| line == rule.rule), "{}", rule.rule);
    }
    assert!(text("/usr/lib/fastness/executables").contains("  /usr/sbin/x\n"));
    let drop_in = "/etc/systemd/system/x.service.d/50-monitoring-test.conf";
    assert!(text(drop_in).contains("ProtectClock=yes\n"));
    // Its checks look at what it made, and see when it is gone.
    for id in [
        "monitor.rules",
        "monitor.sandbox",
        "monitor.programs",
        "mon.policy",
        "self.monitor-refused",
        "self.monitor-bounds",
    ] {
        assert!(plan.checks.contains_key(id), "{id}");
    }
    let root = |drop_in_text: &str, rules: &str| {
        let tree = tree(&quiet, UNIT).file(drop_in, 0o644, drop_in_text).file(
            "/etc/audit/audit.rules",
            0o640,
            rules,
        );
        tree.root()
    };
    let check = |id: &str| (plan.checks[id].value.kind.clone(), plan.checks[id].value.with.clone());
    let (kind, with) = check("monitor.sandbox");
    assert!(run(&kind, with.clone(), root(&text(drop_in), &rules)).unwrap().holds);
    assert!(!run(&kind, with, root("[Service]\n", &rules)).unwrap().holds);
    let (kind, with) = check("monitor.rules");
    assert!(run(&kind, with.clone(), root("", &rules)).unwrap().holds);
    let fewer = rules
        .replace(",execveat -F exit=-EACCES -F key=monitor-refused", "")
        .replace("key=monitor-secret", "key=x");
    assert!(!run(&kind, with, root("", &fewer)).unwrap().holds);
    for script in ["self.monitor-refused", "self.monitor-bounds"] {
        let script = text(&format!("/usr/lib/fastness/selfcheck.d/{script}"));
        assert!(
            script.starts_with("#!/bin/sh\n") && !script.contains("LAYER") && !script.contains("ALL_MIB")
        );
    }
}

#[test]
fn an_image_that_is_monitored_already_gives_the_same_layer_again() {
    let quiet = compiled("int main(void) { return 0; }", &[]);
    let monitoring = look(&tree(&quiet, UNIT).root(), "test").unwrap();
    let made = files(&monitoring, "monitoring-test", Bounds::default());
    let rules: String = monitoring.rules.iter().map(|rule| format!("{}\n", rule.rule)).collect();
    let monitored = || {
        tree(&quiet, UNIT)
            .file(
                "/etc/systemd/system/x.service.d/50-monitoring-test.conf",
                0o644,
                &made["templates/monitoring-test/x.service.hbs"],
            )
            .file("/etc/systemd/system/x.service.d/10-own.conf", 0o644, "[Service]\nProtectClock=yes\n")
            .file("/etc/audit/audit.rules", 0o640, &rules)
            .root()
    };
    let mut root = monitored();
    assert!(look(&root, "test").unwrap().services[0].given.is_empty(), "the drop-in has it all");
    forget_own(&mut root).unwrap();
    let again = look(&root, "test").unwrap();
    assert_eq!(again.rules, monitoring.rules);
    // What somebody else gave the unit stays theirs.
    let lines = |found: &Monitoring| {
        found.services[0].given.iter().map(|given| given.line.clone()).collect::<Vec<_>>()
    };
    let expected: Vec<String> =
        lines(&monitoring).into_iter().filter(|line| line != "ProtectClock=yes").collect();
    assert!(lines(&monitoring).len() > expected.len());
    assert_eq!(lines(&again), expected);
}

#[test]
fn a_monitoring_that_is_not_this_image_s_is_told() {
    let quiet = compiled("int main(void) { return 0; }", &[]);
    let monitoring = look(&tree(&quiet, UNIT).root(), "test").unwrap();
    let made = files(&monitoring, "monitoring-test", Bounds::default());
    let list = made["templates/monitoring-test/executables.hbs"].clone();
    let drop_in = made["templates/monitoring-test/x.service.hbs"].clone();
    let rules: String = monitoring.rules.iter().map(|rule| format!("{}\n", rule.rule)).collect();
    let image = |list: &str, drop_in: &str, rules: &str| {
        tree(&quiet, UNIT)
            .file("/usr/lib/fastness/executables", 0o644, list)
            .file("/etc/systemd/system/x.service.d/50-monitoring-test.conf", 0o644, drop_in)
            .file("/etc/audit/audit.rules", 0o640, rules)
    };
    let check = |tree: Tree| {
        let with = serde_json::json!({"list": "/usr/lib/fastness/executables"});
        run("monitoring-current", with, tree.root())
    };
    let programs = monitoring.executables.len();
    let seen = passes(check(image(&list, &drop_in, &rules)));
    assert!(seen.starts_with(&format!("{programs} programs with their hashes; no rule")), "{seen}");

    let more = || image(&list, &drop_in, &rules).file("/usr/bin/more", 0o755, &quiet);
    fails(check(more()), "not on the list: `/usr/bin/more`");
    fails(check(more()), "run `fastness monitor --into` again");
    let other = compiled("int main(void) { return 1; }", &[]);
    let changed = image(&list, &drop_in, &rules).file("/usr/sbin/x", 0o755, &other);
    fails(check(changed), "of another content than the list says: `/usr/sbin/x`");
    // A script runs as a program does; those of the layers are the plan's.
    let script = image(&list, &drop_in, &rules).file("/usr/sbin/report", 0o755, "#!/bin/sh\necho\n");
    fails(check(script), "not on the list: `/usr/sbin/report`");
    let own = image(&list, &drop_in, &rules).file("/usr/lib/fastness/update", 0o755, "#!/bin/sh\necho\n");
    passes(check(own));
    let odd = format!("{list}/usr/bin/x\n");
    fails(check(image(&odd, &drop_in, &rules)), "no line of a list of programs: `/usr/bin/x`");
    let longer = format!("{list}{}  /usr/bin/gone\n", "0".repeat(64));
    fails(check(image(&longer, &drop_in, &rules)), "on the list, and not in the image: `/usr/bin/gone`");
    fails(check(image(&list, "[Service]\n", &rules)), "a setting that a service could have: `");
    assert!(!monitoring.rules.is_empty());
    fails(check(image(&list, &drop_in, "")), "a rule that the audit does not have: `");
    let none = image(&list, &drop_in, &rules).without("/usr/lib/fastness/executables");
    fails(check(none), "`/usr/lib/fastness/executables` is missing");
}
