//! The plant's end of the tunnels: a machine with the device's own kernel and root file system, whose first
//! process is a shell with a script of ours. Nothing of the device's services runs there.
//!
//! The script lies on a disk of its own, which the shell reads as a file; then it takes commands from the
//! serial console.

use std::path::Path;
use std::time::{Duration, Instant};

use base64ct::Encoding as _;
use diag::{ExitStatus, Failure, Outcome};
use traffic::industrial::MODBUS_READ;

use crate::console::Seen;
use crate::machine::Machine;
use crate::pattern::Pattern;

/// The peer's command line: no hardening that hides what a test reads, no messages between answers.
const APPEND: &str = "root=/dev/vda rootfstype=squashfs ro net.ifnames=0 loglevel=1 panic=5 \
                                 init=/bin/sh -- /dev/vdb";
/// The peer's whole command line, on the board's console.
pub(crate) fn append(console: &str) -> String {
    format!("console={console} {APPEND}")
}

/// A word that no file of ours has.
const END: &str = "@end-of-file@";

/// The script but for its end ([`begin`]): file systems, files, addresses, what probes.
///
/// # Errors
/// When a file holds the word that ends it.
pub(crate) fn script(files: &[(String, Vec<u8>)], addresses: &[String]) -> Outcome<Vec<u8>> {
    let mut out = String::from(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_COLORS=0 NO_COLOR=1\n\
         mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmpfs /run\n\
         mkdir /run/etc; cp -a /etc/. /run/etc/; rm -rf /run/etc/swanctl; mount --bind /run/etc /etc\n\
         mount -t tmpfs tmpfs /var; mkdir -p /var/lib /var/log /var/tmp /run/peer /dev/net; ln -s /run /var/run\n\
         mount -t tmpfs tmpfs /tmp; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200; umask 022\n",
    );
    for (path, content) in files {
        // The shell's here-documents hold text; a program or a certificate in DER is written in base64.
        let text = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'));
        if text.is_some_and(|text| text.contains(END)) || path.contains(['\'', '\n']) {
            return Err(Failure::error(
                ExitStatus::Input,
                "peer-file",
                format!("expected a plain file for the peer machine, found `{}`", path.escape_debug()),
            )
            .hint("tell this to the project: no name or file that it writes should look like that"));
        }
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let (with, text) = match text {
            Some(text) => ("cat", text.to_owned()),
            None => ("base64 -d", lines_of_base64(content)),
        };
        out.push_str(&format!("mkdir -p '{folder}'; {with} > '{path}' <<'{END}'\n{text}\n{END}\n"));
    }
    out.push_str("chmod -R u=rwX,g=,o=X /run/peer; ip link set lo up; ip link set eth0 up\n");
    for address in addresses {
        let alone = address.ends_with("/32") || address.ends_with("/128");
        // An IPv6 address that nobody else can have is there at once.
        let at_once = if address.contains(':') { " nodad" } else { "" };
        out.push_str(&format!("ip addr add {address} dev {}{at_once}\n", if alone { "lo" } else { "eth0" }));
    }
    // `p`: how a connection ends: nobody there, nobody listens, or somebody does. `m`: a register over Modbus/TCP.
    let ask: String = MODBUS_READ.iter().map(|byte| format!("\\{byte:03o}")).collect();
    out.push_str(&format!(
        "m() {{ h=$(timeout 20 bash -c 'exec 3<>/dev/tcp/$0/$1 && printf \"{ask}\" >&3 && \
         dd bs=260 count=1 status=none <&3 | od -An -v -tx1' $1 $2 2>&1); echo \"modbus $1 $2 $h\"; }}\n"
    ));
    out.push_str(
        "p() { timeout 4 bash -c ': 3<>/dev/tcp/$0/$1' $1 $2 >/run/p.out 2>&1; r=$?\n\
         case \"$r$(cat /run/p.out)\" in *refused*) w=refused;; 0*) w=open;; 124*) w=silent;; *) w=\"other $r\";; esac\n\
         echo \"tcp $1 $2 $w\"; }\n",
    );
    Ok(out.into_bytes())
}

/// Ends a script: more lines of ours, then commands from the console; whole sectors.
pub(crate) fn begin(script: &mut Vec<u8>, more: &str) {
    script.extend_from_slice(more.as_bytes());
    script.extend_from_slice(
        b"exec < /dev/console; stty -echo < /dev/console; echo @@ready\n\
          while read -r line; do eval \"$line\"; done\n",
    );
    script.resize(script.len().next_multiple_of(512), b'\n');
}

/// Base64 in lines that a terminal and a shell can hold.
fn lines_of_base64(content: &[u8]) -> String {
    let text = base64ct::Base64::encode_string(content);
    let mut out = String::with_capacity(text.len() + text.len() / 76 + 1);
    for (at, letter) in text.chars().enumerate() {
        if at > 0 && at % 76 == 0 {
            out.push('\n');
        }
        out.push(letter);
    }
    out
}

/// The peer machine that takes commands.
pub(crate) struct Peer {
    machine: Machine,
    asked: u32,
}

impl Peer {
    /// Waits until the script is there.
    ///
    /// # Errors
    /// When it does not come: the harness is broken.
    pub(crate) fn ready(mut machine: Machine, limit: Duration) -> Outcome<Self> {
        match machine.console.wait_for(&Pattern::all(["^@@ready"]), Instant::now() + limit)? {
            Seen::Line { .. } => Ok(Self { machine, asked: 0 }),
            _ => Err(broken("the peer machine did not start", &machine)),
        }
    }

    /// Runs a command and returns its lines.
    ///
    /// # Errors
    /// When it does not end in time.
    pub(crate) fn ask(&mut self, command: &str, limit: Duration) -> Outcome<Vec<String>> {
        self.asked += 1;
        let (from, to) = (format!("@@from {}", self.asked), format!("@@to {}", self.asked));
        self.machine.console.send(format!("echo '{from}'; {command}\necho '{to}'\n").as_bytes());
        let end = Pattern::all([format!("^{to}").as_str()]);
        if !matches!(self.machine.console.wait_for(&end, Instant::now() + limit)?, Seen::Line { .. }) {
            return Err(broken(&format!("the peer machine did not answer `{command}`"), &self.machine));
        }
        let lines = self.machine.console.lines();
        let texts = lines.into_iter().map(|line| line.text);
        Ok(texts.skip_while(|line| *line != from).skip(1).take_while(|line| *line != to).collect())
    }
}

fn broken(why: &str, machine: &Machine) -> Failure {
    let lines = machine.console.lines();
    let tail: Vec<&str> = lines.iter().rev().take(5).rev().map(|line| line.text.as_str()).collect();
    Failure::error(ExitStatus::Environment, "peer-machine", why.to_owned())
        .note(format!("its console: {}", tail.join("\n")))
        .hint("is the host so busy that two emulated machines starve?")
}

/// Writes the script where QEMU can open it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, script: &[u8]) -> Outcome<()> {
    std::fs::write(path, script).map_err(|e| Failure::io("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_whole_and_the_script_fills_sectors() {
        let files = [("/run/peer/a/b.conf".to_owned(), b"x = '$y'\n`z`".to_vec())];
        let mut script =
            script(&files, &["192.0.2.20/24", "203.0.113.1/32", "2001:db8::1/64"].map(str::to_owned))
                .unwrap();
        begin(&mut script, "ip neigh replace x\n");
        assert_eq!(script.len() % 512, 0);
        let text = String::from_utf8(script).unwrap();
        assert!(
            text.contains("cat > '/run/peer/a/b.conf' <<'@end-of-file@'\nx = '$y'\n`z`\n@end-of-file@\n"),
            "{text}"
        );
        for added in
            ["192.0.2.20/24 dev eth0\n", "203.0.113.1/32 dev lo\n", "2001:db8::1/64 dev eth0 nodad\n"]
        {
            assert!(text.contains(added), "{text}");
        }
    }

    #[test]
    fn what_is_no_text_comes_in_base64() {
        let program: Vec<u8> = (0..=255).collect();
        let script = script(&[("/run/peer/program".to_owned(), program)], &[]).unwrap();
        let text = String::from_utf8(script).unwrap();
        assert!(text.contains("base64 -d > '/run/peer/program' <<'@end-of-file@'\nAAECAwQF"), "{text}");
        assert!(text.lines().all(|line| line.len() < 400), "a line is too long");
        assert!(text.contains(r#"printf "\000\001\000\000\000\006\001\003\000\000\000\001" >&3"#), "{text}");
    }

    #[test]
    fn a_file_that_would_end_early_is_refused() {
        let files = [("/run/peer/x".to_owned(), format!("a\n{END}\nreboot").into_bytes())];
        assert!(script(&files, &[]).unwrap_err().to_string().contains("expected a plain file"));
    }
}
