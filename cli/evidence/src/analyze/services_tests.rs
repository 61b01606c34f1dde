//! What is started, by every mechanism that is followed.

use super::super::ssh::SSHD;
use super::*;
use crate::testing::Tree;

fn rules(tree: Tree) -> Vec<String> {
    let mut found = Found::default();
    look(&tree.root(), "", &mut found);
    found.issues().into_iter().map(|issue| issue.rule).collect()
}

fn inittab(line: &str) -> Tree {
    Tree::base().file("/etc/inittab", 0o644, format!("{line}\n"))
}

#[test]
fn a_login_on_the_console_is_no_finding_and_a_shell_is() {
    assert!(rules(inittab("tty1::respawn:/sbin/getty -L tty1 115200 vt100")).is_empty());
    assert!(rules(inittab("::sysinit:/bin/sh /etc/rc")).is_empty());
    for line in [
        "::askfirst:-/bin/sh",
        "::respawn:/bin/ash",
        "ttyS0::respawn:/sbin/getty -nl /bin/sh ttyS0 115200",
        "ttyS0::respawn:/sbin/getty -n -l /bin/bash ttyS0 115200",
        "1:2345:respawn:/sbin/agetty --autologin root tty1",
        "S0:5:respawn:/usr/sbin/ttyrun ttyS0 /sbin/agetty --autologin root ttyS0",
        "::respawn:/bin/cttyhack /bin/sh",
        "::respawn:/bin/busybox ash",
    ] {
        assert_eq!(rules(inittab(line)), ["shell-without-login"], "{line}");
    }
}

#[test]
fn busybox_without_an_inittab_gives_a_shell() {
    let busybox = || Tree::base().file("/bin/busybox", 0o755, "x").link("/sbin/init", "/bin/busybox");
    assert_eq!(rules(busybox()), ["shell-without-login"]);
    assert!(rules(busybox().file("/etc/inittab", 0o644, "::sysinit:/etc/rc\n")).is_empty());
    let other = Tree::base().file("/lib/other/init", 0o755, "x").link("/sbin/init", "/lib/other/init");
    assert!(rules(other).is_empty());
}

#[test]
fn a_start_script_that_ends_in_a_shell_is_found() {
    let of = |line: &str| {
        let text = format!("#!/bin/sh\nmount -t proc proc /proc\n{line}\n");
        rules(Tree::base().file("/init", 0o755, text))
    };
    for line in [
        "exec sh",
        "exec /bin/sh -i </dev/console >/dev/console 2>&1",
        "\tPS1='(initramfs) ' sh -i < /dev/console",
        "setsid cttyhack sh",
        "exec setsid /bin/cttyhack /bin/ash -l",
        "/bin/busybox sh",
    ] {
        assert_eq!(of(line), ["shell-without-login"], "{line}");
    }
    for line in [
        "exec /sbin/init",
        "sh /etc/rc",
        "exec sh /etc/rc",
        "sh -c 'mount -a'",
        "# exec sh",
        "echo exec sh",
        "sh -e \"$1\"",
    ] {
        assert!(of(line).is_empty(), "{line}");
    }
    // A program is no script, whatever bytes it has.
    assert!(rules(Tree::base().file("/init", 0o755, "\x7fELF\nexec sh\n")).is_empty());
}

#[test]
fn a_login_by_itself_on_a_serial_console_of_openembedded_is_found() {
    let script = |options: &str| {
        inittab("S0:5:respawn:/usr/sbin/ttyrun ttyS0 /bin/start_getty 115200 ttyS0 vt102").file(
            "/bin/start_getty",
            0o755,
            format!("#!/bin/sh\n# --autologin\noptions=\"{options}\"\n/sbin/getty $options -L $1 $2 $3\n"),
        )
    };
    assert!(rules(script("")).is_empty());
    assert_eq!(rules(script("--autologin root ")), ["shell-without-login"]);
    let unit = |options: &str| {
        Tree::base()
            .file("/usr/lib/systemd/system-generators/systemd-getty-generator", 0o755, "x")
            .file("/usr/sbin/agetty", 0o755, "x")
            .file(
                "/usr/lib/systemd/system/serial-getty@.service",
                0o644,
                format!("[Service]\nExecStart=-/sbin/agetty {options}--keep-baud %I $TERM\n"),
            )
    };
    assert!(rules(unit("")).is_empty());
    assert_eq!(rules(unit("--autologin root ")), ["shell-without-login"]);
    let none = unit("--autologin root ").without("/usr/sbin/agetty");
    assert!(rules(none).is_empty());
}

#[test]
fn clear_text_services_and_weak_settings_are_found() {
    assert_eq!(rules(inittab("::respawn:/usr/sbin/telnetd -F")), ["service-clear-text"]);
    assert_eq!(
        rules(inittab("::respawn:/usr/sbin/dropbear -F")),
        ["ssh-root-login", "ssh-password", "service-network"]
    );
    assert_eq!(rules(inittab("::respawn:/usr/sbin/dropbear -F -s")), ["service-network"]);
    assert_eq!(
        rules(inittab("::respawn:/usr/sbin/snmpd -f").file(
            "/etc/snmp/snmpd.conf",
            0o600,
            "rocommunity public\n"
        )),
        ["snmp-community", "service-network"]
    );
    let broker = |text: &str| {
        inittab("::respawn:/usr/sbin/mosquitto").file("/etc/mosquitto/mosquitto.conf", 0o600, text)
    };
    assert_eq!(rules(broker("allow_anonymous true\n")), ["mqtt-anonymous", "service-network"]);
    assert_eq!(rules(broker("#allow_anonymous true\nallow_anonymous false\n")), ["service-network"]);
}

#[test]
fn sshd_is_judged_by_its_settings_and_defaults() {
    let with = |text: &str| inittab("::respawn:/usr/sbin/sshd -D").file(SSHD, 0o600, text);
    assert_eq!(rules(with("PasswordAuthentication no\nPermitRootLogin yes\n")), ["service-network"]);
    assert_eq!(rules(with("")), ["ssh-password", "service-network"]);
    assert_eq!(
        rules(with("PermitRootLogin yes\nPermitEmptyPasswords yes\n")),
        ["ssh-empty-passwords", "ssh-root-login", "ssh-password", "service-network"]
    );
}

fn script(path: &str, text: &str) -> Tree {
    Tree::base().file(path, 0o755, text)
}

/// What was seen by a rule, one place a line.
fn seen(tree: Tree, rule: &str) -> String {
    let mut found = Found::default();
    look(&tree.root(), "", &mut found);
    let places = found.issues().into_iter().filter(|issue| issue.rule == rule).flat_map(|issue| issue.places);
    places.map(|place| format!("{}: {}\n", place.path, place.seen)).collect()
}

#[test]
fn openwrt_openrc_and_busybox_start_scripts_are_followed() {
    let telnet = "#!/bin/sh /etc/rc.common\nSTART=50\nUSE_PROCD=1\nPROG=/usr/sbin/utelnetd\nstart_service() {\n\
        procd_open_instance\n procd_set_param command \"$PROG\" -l /bin/login\n procd_append_param command -p 24\n\
        procd_close_instance\n}\n";
    let tree = script("/etc/init.d/telnet", telnet).link("/etc/rc.d/S50telnet", "../init.d/telnet");
    let all = seen(tree, "service-clear-text");
    assert_eq!(all, "/etc/rc.d/S50telnet: /usr/sbin/utelnetd -l /bin/login -p 24\n");
    // What no link starts is not started.
    assert!(seen(script("/etc/init.d/telnet", telnet), "service-clear-text").is_empty());
    let openrc = "#!/sbin/openrc-run\ncommand=\"/usr/sbin/telnetd\"\ncommand_args=\"-F\"\n";
    let tree =
        script("/etc/init.d/telnetd", openrc).link("/etc/runlevels/default/telnetd", "/etc/init.d/telnetd");
    assert_eq!(seen(tree, "service-clear-text"), "/etc/runlevels/default/telnetd: /usr/sbin/telnetd -F\n");
    let rcs = inittab("::sysinit:/etc/init.d/rcS").file(
        "/etc/init.d/rcS",
        0o755,
        "#!/bin/sh\nmount -a\n/usr/sbin/telnetd &\n/bin/httpd -h /www\n",
    );
    let mut found = Found::default();
    look(&rcs.root(), "", &mut found);
    let rules: Vec<String> = found.issues().into_iter().map(|issue| issue.rule).collect();
    assert_eq!(rules, ["service-clear-text", "service-network"]);
    for path in ["/etc/rc", "/etc/rc.d/rc.local", "/init"] {
        let tree = script(path, "#!/bin/sh\ntelnetd\n");
        assert!(seen(tree, "service-clear-text").contains(path), "{path}");
    }
}

#[test]
fn super_servers_are_read_in_all_their_forms() {
    let inetd = |line: &str| Tree::base().file("/etc/inetd.conf", 0o644, format!("{line}\n"));
    for line in [
        "telnet stream tcp nowait root /usr/sbin/telnetd telnetd -i",
        "telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd -i",
        "telnet stream tcp nowait root /bin/busybox busybox telnetd -i",
        "telnet stream tcp nowait root telnetd",
    ] {
        assert!(seen(inetd(line), "service-clear-text").contains("telnetd"), "{line}");
    }
    for line in [
        "4444 stream tcp nowait root /bin/sh sh -i",
        "4444 stream tcp nowait root /bin/sh",
        "4444 stream tcp nowait root /bin/busybox busybox ash -i",
        "telnet stream tcp nowait root /usr/sbin/telnetd telnetd -i -l /bin/sh",
    ] {
        assert!(!seen(inetd(line), "service-shell").is_empty(), "{line}");
    }
    let xinetd = |disable: &str| {
        Tree::base().file("/etc/xinetd.conf", 0o644, "defaults\n{\n}\nincludedir /etc/xinetd.d\n").file(
            "/etc/xinetd.d/telnet",
            0o644,
            format!(
                "service telnet\n{{\n\tdisable = {disable}\n\tserver = /usr/sbin/in.telnetd\n\tserver_args = -h\n}}\n"
            ),
        )
    };
    assert_eq!(seen(xinetd("no"), "service-clear-text"), "/etc/xinetd.d/telnet: /usr/sbin/in.telnetd -h\n");
    assert!(seen(xinetd("yes"), "service-clear-text").is_empty());
}

#[test]
fn timers_and_paths_start_their_services() {
    let unit = |name: &str, text: &str| (format!("/usr/lib/systemd/system/{name}"), text.to_owned());
    let mut tree = Tree::base();
    for (path, text) in [
        unit("t.timer", "[Timer]\nOnBootSec=1\n"),
        unit("t.service", "[Service]\nExecStart=/usr/sbin/telnetd -F\n"),
        unit("p.path", "[Path]\nPathExists=/etc\nUnit=q.service\n"),
        unit("q.service", "[Service]\nExecStart=/usr/sbin/vsftpd\n"),
        unit("w.service", "[Service]\nExecStart=/usr/lib/run.sh\n"),
    ] {
        tree = tree.file(&path, 0o644, text);
    }
    let tree = tree
        .file("/usr/lib/run.sh", 0o755, "#!/bin/sh\n/usr/sbin/ftpd\n")
        .link("/etc/systemd/system/timers.target.wants/t.timer", "/usr/lib/systemd/system/t.timer")
        .link("/etc/systemd/system/multi-user.target.wants/p.path", "/usr/lib/systemd/system/p.path")
        .link("/etc/systemd/system/multi-user.target.wants/w.service", "/usr/lib/systemd/system/w.service");
    let all = seen(tree, "service-clear-text");
    assert_eq!(
        all,
        "/usr/lib/run.sh: /usr/sbin/ftpd\nq.service: /usr/sbin/vsftpd\nt.service: /usr/sbin/telnetd -F\n"
    );
}

#[test]
fn commands_of_shell_text_are_found_wherever_they_stand() {
    for line in [
        "(sleep 2; /usr/sbin/vsftpd) &",
        "case $1 in start) /usr/sbin/tftpd -L;; esac",
        "  start|boot) /usr/sbin/tftpd -L ;;",
        "nice -n 5 /usr/sbin/utelnetd",
        "nice -5 ionice -c 3 utelnetd",
        "timeout 60 telnetd",
        "env A=b nohup telnetd &",
        "[ -x /usr/sbin/telnetd ] && /usr/sbin/telnetd",
        "$(telnetd)",
        "tcpsvd -vE 0.0.0.0 21 ftpd /",
        "start-stop-daemon -S -b -x /usr/sbin/telnetd",
        "eval telnetd",
        "/bin/busybox telnetd",
    ] {
        let tree = script("/etc/init.d/S50x", &format!("#!/bin/sh\n{line}\n"));
        assert!(!seen(tree, "service-clear-text").is_empty(), "{line}");
    }
    for line in [
        "telnetd -l /bin/sh",
        "telnetd -l/bin/ash",
        "utelnetd -l /bin/sh -d",
        "nc -ll -p 4444 -e /bin/sh",
        "nc -lk -p 4444 -e sh",
        "ncat -l 4444 --exec /bin/bash",
        "socat TCP-LISTEN:4444,fork EXEC:/bin/sh",
        "tcpsvd 0 4444 /bin/sh",
    ] {
        let tree = script("/etc/init.d/S50x", &format!("#!/bin/sh\n{line}\n"));
        assert!(!seen(tree, "service-shell").is_empty(), "{line}");
    }
    for line in [
        "telnetd -l /bin/login",
        "nc -l -p 5",
        "echo telnetd",
        "killall telnetd",
        "sh -c 'echo x'",
        "# telnetd -l /bin/sh",
    ] {
        let tree = script("/etc/init.d/S50x", &format!("#!/bin/sh\n{line}\n"));
        assert!(seen(tree, "service-shell").is_empty(), "{line}");
    }
    for program in [
        "gdbserver :1 x",
        "adbd",
        "rsyncd",
        "x11vnc",
        "boa",
        "goahead",
        "thttpd",
        "mini_httpd",
        "lighttpd -f x",
        "uhttpd",
    ] {
        let tree = script("/etc/init.d/S50x", &format!("#!/bin/sh\n/usr/sbin/{program}\n"));
        let mut found = Found::default();
        look(&tree.root(), "", &mut found);
        assert!(!found.issues().is_empty(), "{program}");
    }
    let tree = script("/etc/init.d/S50x", "#!/bin/sh\nsnmpd -c /etc/other.conf\n").file(
        "/etc/other.conf",
        0o600,
        "rocommunity public\n",
    );
    assert_eq!(seen(tree, "snmp-community"), "/etc/other.conf: rocommunity public\n");
}

#[test]
fn every_setting_of_sshd_that_can_be_in_force_counts() {
    let with = |text: &str| inittab("::respawn:/usr/sbin/sshd -D").file(SSHD, 0o600, text);
    const CLOSED: &str = "PasswordAuthentication no\nKbdInteractiveAuthentication no\n";
    assert_eq!(rules(with(CLOSED)), ["service-network"]);
    // The first value is the one in force.
    assert_eq!(
        rules(with(&format!("{CLOSED}PasswordAuthentication yes\nPermitRootLogin yes\n"))),
        ["service-network"]
    );
    assert!(
        seen(
            with(&format!(
                "{CLOSED}PermitRootLogin no\nPermitRootLogin yes\nMatch User a\nPasswordAuthentication yes\n"
            )),
            "ssh-root-login"
        )
        .is_empty()
    );
    let matching = format!(
        "PermitRootLogin no\n{CLOSED}Match Address 10.0.0.0/8\n\tPermitRootLogin yes\n\tPasswordAuthentication yes\n"
    );
    assert!(seen(with(&matching), "ssh-root-login").contains("Match Address 10.0.0.0/8"));
    // Passwords by PAM's dialogue.
    assert_eq!(rules(with("PasswordAuthentication no\nUsePAM yes\n")), ["ssh-password", "service-network"]);
    let dialogue =
        "PasswordAuthentication no\nUsePAM yes\nKbdInteractiveAuthentication yes\nPermitRootLogin yes\n";
    assert_eq!(rules(with(dialogue)), ["ssh-root-login", "ssh-password", "service-network"]);
    for line in ["HostbasedAuthentication yes", "IgnoreRhosts no", "StrictModes no"] {
        assert!(!seen(with(&format!("{CLOSED}{line}\n")), "ssh-setting").is_empty(), "{line}");
    }
    for line in [
        "Ciphers +3des-cbc",
        "MACs hmac-md5",
        "KexAlgorithms diffie-hellman-group1-sha1",
        "HostKeyAlgorithms +ssh-dss",
    ] {
        assert!(!seen(with(&format!("{CLOSED}{line}\n")), "ssh-algorithm").is_empty(), "{line}");
    }
    assert!(seen(with(&format!("{CLOSED}Ciphers -3des-cbc\n")), "ssh-algorithm").is_empty());
}

#[test]
fn sshd_is_judged_by_the_file_and_the_options_that_it_is_started_with() {
    let started = |options: &str| {
        inittab(&format!("::respawn:/usr/sbin/sshd -D {options}"))
            .file(SSHD, 0o600, "PasswordAuthentication no\nKbdInteractiveAuthentication no\n")
            .file("/etc/other", 0o600, "PermitRootLogin yes\n")
    };
    assert_eq!(rules(started("")), ["service-network"]);
    assert!(seen(started("-f /etc/other"), "ssh-root-login").contains("/etc/other: "));
    assert!(seen(started("-f/etc/other"), "ssh-root-login").contains("/etc/other: "));
    for options in [
        "-o PasswordAuthentication=yes -o PermitRootLogin=yes",
        "-oPermitRootLogin=yes -oPasswordAuthentication=yes",
    ] {
        assert_eq!(
            rules(started(options)),
            ["ssh-root-login", "ssh-password", "service-network"],
            "{options}"
        );
    }
}
