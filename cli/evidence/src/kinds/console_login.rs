//! `console-login`: nobody gets a login or a shell at a console.
//!
//! Source: BusyBox's `examples/inittab`, init(8) of sysvinit, systemd-getty-generator(8); OpenEmbedded-Core's
//! `sysvinit-inittab` and `busybox-inittab` for `ttyrun` and `start_getty`.

use super::unit_state::{masked, pulls};
use super::{Kind, NoParameters};
use crate::facts::services::inittab;
use crate::root::Root;
use crate::starts::on_terminal;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct ConsoleLogin;

/// Programs that ask for a password, or do not even ask.
const LOGINS: [&str; 10] =
    ["getty", "agetty", "mingetty", "start_getty", "login", "sulogin", "sh", "ash", "bash", "dash"];
const UNITS: [&str; 5] =
    ["*getty*.service", "debug-shell.service", "rescue.service", "autovt@*.service", "console-shell.service"];
const GENERATOR: &str = "/usr/lib/systemd/system-generators/systemd-getty-generator";

impl Kind for ConsoleLogin {
    const NAME: &'static str = "console-login";
    const DESCRIPTION: &'static str =
        "neither inittab nor a unit starts a login or a shell on a console, and an init system is there";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let systemd = root.resolve("/usr/lib/systemd/systemd").is_some();
        let init = root.resolve("/sbin/init").or_else(|| root.resolve("/init")).map(|(real, _)| real);
        let mut problems = Vec::new();
        if systemd {
            units(root, &mut problems);
        } else {
            let Some(init) = init else {
                return Err(Unable::broken(
                    "there is neither systemd nor `/sbin/init`: what is started is not known",
                ));
            };
            let lines = inittab(root)?;
            if lines.is_empty() && init.ends_with("/busybox") {
                problems.push("BusyBox init without `/etc/inittab` starts a shell on the console".to_owned());
            }
            problems.extend(
                lines.iter().filter(|line| is_login(line)).map(|line| format!("/etc/inittab: `{line}`")),
            );
        }
        Ok(Conclusion::of(&problems, "no login and no shell on a console", "none", &root.sha256))
    }
}

/// `id:runlevels:action:process`; a process that begins with `-` is a login shell.
fn is_login(line: &str) -> bool {
    let Some(process) = line.splitn(4, ':').nth(3) else { return false };
    let words: Vec<&str> = process.split_whitespace().collect();
    let [program, arguments @ ..] = on_terminal(&words) else { return false };
    let program = program.trim_start_matches('-').rsplit('/').next().unwrap_or_default();
    let shell = program.ends_with("sh");
    // A shell with a script is a start script.
    LOGINS.contains(&program) && !(shell && arguments.iter().any(|word| !word.starts_with('-')))
}

fn units(root: &Root, problems: &mut Vec<String>) {
    for (unit, link) in pulls(root) {
        let login = UNITS.iter().any(|pattern| crate::glob::part_matches(pattern, &unit));
        if login && !masked(root, &unit) {
            problems.push(format!("`{unit}` is started by `{link}`"));
        }
    }
    if generated(root) {
        problems.push(format!("`{GENERATOR}` starts a login on every console of the kernel's"));
    }
}

/// Whether systemd starts `serial-getty@.service` on every console of the kernel's.
pub(crate) fn generated(root: &Root) -> bool {
    let getty = ["/usr/sbin/agetty", "/usr/sbin/getty", "/sbin/getty"]
        .iter()
        .any(|path| root.resolve(path).is_some());
    let hidden = root.resolve("/etc/systemd/system-generators/systemd-getty-generator").is_some()
        || root.entry("/etc/systemd/system-generators/systemd-getty-generator").is_some();
    getty && root.resolve(GENERATOR).is_some() && !hidden
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn busybox(inittab: &str) -> crate::root::Root {
        let tree = Tree::base().file("/bin/busybox", 0o4755, "x").link("/sbin/init", "../bin/busybox");
        let tree = if inittab.is_empty() { tree } else { tree.file("/etc/inittab", 0o644, inittab) };
        tree.root()
    }

    fn systemd() -> Tree {
        Tree::base().file("/usr/lib/systemd/systemd", 0o755, "x")
    }

    #[test]
    fn pass() {
        passes(run(
            "console-login",
            json!({}),
            busybox("::sysinit:/etc/init.d/rcS\n::once:/bin/sh /etc/x\n# ttyS0::respawn:/sbin/getty\n"),
        ));
        // As OpenEmbedded-Core's busybox-inittab names the device; an applet by BusyBox's own name is that applet.
        let hostname = "null::sysinit:/bin/busybox hostname -F /etc/hostname\n";
        passes(run("console-login", json!({}), busybox(hostname)));
        passes(run("console-login", json!({}), systemd().root()));
        let hidden = systemd().file(super::GENERATOR, 0o755, "x").file("/usr/sbin/agetty", 0o755, "x");
        let hidden = hidden.link("/etc/systemd/system-generators/systemd-getty-generator", "/dev/null");
        passes(run("console-login", json!({}), hidden.root()));
    }

    #[test]
    fn fail() {
        let getty = "console::respawn:/sbin/getty -L  console 0 vt100 # GENERIC_SERIAL";
        fails(run("console-login", json!({}), busybox(getty)), getty);
        fails(run("console-login", json!({}), busybox("::askfirst:-/bin/sh\n")), "::askfirst:-/bin/sh");
        // As OpenEmbedded's inittabs start the login of each serial console.
        for line in [
            "ttyS0::respawn:/usr/sbin/ttyrun ttyS0 /sbin/getty 115200 ttyS0",
            "S0:12345:respawn:/usr/sbin/ttyrun ttyS0 /bin/start_getty 115200 ttyS0 vt102",
            "ttyS0::respawn:/bin/busybox getty 115200 ttyS0",
            "::askfirst:/bin/busybox.nosuid ash",
        ] {
            fails(run("console-login", json!({}), busybox(line)), line);
        }
        fails(run("console-login", json!({}), busybox("")), "BusyBox init without `/etc/inittab`");
        let link = "/etc/systemd/system/getty.target.wants/getty@tty1.service";
        let tree = systemd().link(link, "/usr/lib/systemd/system/getty@.service");
        fails(run("console-login", json!({}), tree.root()), "`getty@tty1.service` is started by");
        let tree = systemd().file(super::GENERATOR, 0o755, "x").file("/usr/sbin/agetty", 0o755, "x");
        fails(run("console-login", json!({}), tree.root()), "on every console");
    }

    #[test]
    fn without_an_init_system_there_is_no_conclusion() {
        cannot(run("console-login", json!({}), Tree::base().root()), "neither systemd nor `/sbin/init`");
    }
}
