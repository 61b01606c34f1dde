//! What is started, by texts that are made here.

use super::script::DEPTH;
use super::*;
use crate::testing::Tree;

fn of(tree: Tree, name: &str) -> Vec<String> {
    let all = commands(&tree.root()).unwrap();
    let found = all.iter().filter(|command| command.name() == name);
    found.map(|command| format!("{}: {}", command.at, command.words.join(" "))).collect()
}

#[test]
fn a_start_script_is_followed_through_its_variables_and_files() {
    let script = "#!/bin/sh\nDAEMON=\"server\"\nARGS=\n[ -r \"/etc/default/$DAEMON\" ] && . \"/etc/default/$DAEMON\"\n\
        start() {\n\tARGS=\"$ARGS -R\"\n\tprintf 'Starting server: '\n\
        \tstart-stop-daemon -S -q \\\n\t\t--exec \"/usr/sbin/$DAEMON\" -- $ARGS ${MORE:--m}\n}\n\
        stop() {\n\tstart-stop-daemon -K -x /usr/sbin/server\n}\n";
    let tree = || Tree::base().file("/etc/init.d/S50server", 0o755, script);
    assert_eq!(of(tree(), "server"), ["/etc/init.d/S50server: /usr/sbin/server -R -m"]);
    let with = tree().file("/etc/default/server", 0o644, "# ARGS=-x\nARGS='-s -w'\nMORE=no\n");
    assert_eq!(of(with, "server"), ["/etc/init.d/S50server: /usr/sbin/server -s -w -R no"]);
    // What is not executable is not started.
    assert!(of(Tree::base().file("/etc/init.d/S50server", 0o644, script), "server").is_empty());
}

#[test]
fn units_sockets_inittab_and_inetd() {
    let unit = "[Service]\nEnvironment=A=-a\nEnvironmentFile=-/etc/default/x\nExecStart=-/usr/bin/x $A $B\n";
    let tree = Tree::base()
        .file("/etc/default/x", 0o644, "B=-b\n")
        .file("/usr/lib/systemd/system/x@.service", 0o644, unit)
        .file("/usr/lib/systemd/system/x.socket", 0o644, "[Socket]\nListenStream=22\n")
        .file("/etc/inittab", 0o644, "::respawn:/usr/bin/x -i\n")
        .file(
            "/etc/inetd.conf",
            0o644,
            "ssh stream tcp nowait root /usr/bin/x x -n\n#a b c d e /usr/bin/x x -o\n",
        )
        .link("/etc/systemd/system/sockets.target.wants/x.socket", "/usr/lib/systemd/system/x.socket");
    let expected =
        ["x@.service: /usr/bin/x -a -b", "/etc/inittab: /usr/bin/x -i", "/etc/inetd.conf: /usr/bin/x -n"];
    assert_eq!(of(tree, "x"), expected);
}

#[test]
fn what_prepares_a_terminal_is_not_what_runs_on_it() {
    for (line, expected) in [
        ("/usr/sbin/ttyrun ttyS0 /sbin/getty 115200 ttyS0", "/sbin/getty 115200 ttyS0"),
        ("ttyrun -e 0 ttyS0 /bin/start_getty 115200", "/bin/start_getty 115200"),
        ("setsid -c cttyhack sh", "sh"),
        ("-/bin/sh -x", "-/bin/sh -x"),
        ("/bin/busybox hostname -F /etc/hostname", "hostname -F /etc/hostname"),
        ("busybox.nosuid setsid busybox sh", "sh"),
        ("busybox", ""),
        ("ttyrun", ""),
        ("", ""),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(on_terminal(&words).join(" "), expected, "{line}");
    }
}

#[test]
fn shells_inside_shells_end_without_a_stack_for_each() {
    let line = format!("{}/usr/sbin/telnetd -F", "sh -c ".repeat(60_000));
    let tree = || {
        Tree::base().file("/etc/inittab", 0o644, format!("::respawn:{line}\n")).file(
            "/etc/rc.local",
            0o755,
            format!("#!/bin/sh\n{line}\n"),
        )
    };
    let expected = ["/etc/inittab: /usr/sbin/telnetd -F", "/etc/rc.local: /usr/sbin/telnetd -F"];
    assert_eq!(of(tree(), "telnetd"), expected);
    let mixed = "busybox setsid cttyhack sh -c exec ".repeat(20_000) + "x";
    assert_eq!(of(Tree::base().file("/etc/rc.local", 0o755, mixed), "x"), ["/etc/rc.local: x"]);
}

#[test]
fn what_reads_itself_or_grows_for_ever_ends() {
    let doubling = format!("A=xxxxxxxx\n{}x $A\n. /etc/init.d/S1x\n", "A=$A$A$A$A\n".repeat(40));
    assert_eq!(of(Tree::base().file("/etc/init.d/S1x", 0o755, doubling), "x").len(), DEPTH + 1);
}

#[test]
fn drop_ins_by_a_prefix_of_the_name_count() {
    let tree = Tree::base()
        .file("/usr/lib/systemd/system/foo-bar.service", 0o644, "[Service]\nExecStart=/bin/true\n")
        .file(
            "/usr/lib/systemd/system/foo-.service.d/x.conf",
            0o644,
            "[Service]\nExecStart=\nExecStart=/usr/sbin/x -a\n",
        )
        .link(
            "/etc/systemd/system/multi-user.target.wants/foo-bar.service",
            "/usr/lib/systemd/system/foo-bar.service",
        );
    assert_eq!(of(tree, "x"), ["foo-bar.service: /usr/sbin/x -a"]);
}

#[test]
fn what_would_grow_without_bound_is_left_out_and_told() {
    let line = format!("A={}\n{}", "x".repeat(60_000), "y $A\n".repeat(10_000));
    let starts = everything(&Tree::base().file("/etc/init.d/S1x", 0o755, line).root()).unwrap();
    assert!(starts.limit.is_some() && starts.commands.len() < 2000);
    // Units that each name many others are each read once.
    let mut tree = Tree::base()
        .link("/etc/systemd/system/a.target.wants/u0.service", "/usr/lib/systemd/system/u0.service");
    let wants: String = (0..200).map(|n| format!("u{n}.service ")).collect();
    for n in 0..200 {
        let unit = format!("[Unit]\nWants={wants}\n[Service]\nExecStart=/usr/bin/x {n}\n");
        tree = tree.file(&format!("/usr/lib/systemd/system/u{n}.service"), 0o644, unit);
    }
    assert_eq!(of(tree, "x").len(), 200);
}

#[test]
fn what_starts_nothing_is_not_known() {
    assert!(!everything(&Tree::base().root()).unwrap().known);
    assert!(
        everything(&Tree::base().file("/etc/inittab", 0o644, "::respawn:/bin/x\n").root()).unwrap().known
    );
    assert!(everything(&Tree::base().file("/init", 0o755, "#!/bin/sh\nx\n").root()).unwrap().known);
}
