//! Makes fixtures with the host's tools.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a tool in a folder. `None`, said loudly, when it is not installed; a panic when it fails.
pub fn tool(folder: &Path, argv: &[&str]) -> Option<String> {
    tool_with_input(folder, argv, b"")
}

pub fn tool_with_input(folder: &Path, argv: &[&str], input: &[u8]) -> Option<String> {
    use std::io::Write;
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let child = Command::new(argv[0])
        .args(&argv[1..])
        .current_dir(folder)
        .env("PATH", &path)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(
                std::env::var("FASTNESS_REQUIRE_TOOLS").as_deref() != Ok("1"),
                "`{}` is required but cannot be started: {error}",
                argv[0]
            );
            eprintln!("SKIPPED: `{}` is not installed", argv[0]);
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{argv:?}: {}: {stderr}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Bytes that compress, but not to nothing.
pub fn pattern(size: usize) -> Vec<u8> {
    let mut random = Random(7);
    (0..size).map(|at| if at % 64 < 40 { (at / 64) as u8 } else { random.next() as u8 }).collect()
}

/// xorshift: the same numbers on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A small root file system with one of everything an ordinary user can make.
pub fn small_root(root: &Path) {
    for folder in ["etc/empty.d", "usr/bin", "usr/lib/many", "var/spool"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:!:0:0::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/empty"), "").unwrap();
    fs::write(root.join("usr/lib/os-release"), "ID=fastness\n").unwrap();
    fs::write(root.join("usr/bin/tool"), pattern(3000)).unwrap();
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/alias")).unwrap();
    let link = |target: &str, at: &str| std::os::unix::fs::symlink(target, root.join(at)).unwrap();
    link("../usr/lib/os-release", "etc/os-release");
    link("/usr/bin", "bin");
    link("../../../../../../etc/passwd", "var/up");
    link("loop-b", "var/loop-a");
    link("loop-a", "var/loop-b");
    link(&"x".repeat(200), "var/long-link");
    let chmod =
        |at: &str, mode| fs::set_permissions(root.join(at), fs::Permissions::from_mode(mode)).unwrap();
    chmod("usr/bin/tool", 0o4755);
    chmod("etc/passwd", 0o640);
    chmod("var/spool", 0o1777);
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, root.join("var/fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for number in 0..30 {
        fs::write(root.join(format!("usr/lib/many/file-with-a-name-{number:03}")), number.to_string())
            .unwrap();
    }
}

/// As [`small_root`], with large and sparse files.
pub fn large_root(root: &Path) {
    small_root(root);
    fs::write(root.join("usr/lib/large"), pattern(1_500_000)).unwrap();
    let sparse = fs::File::create(root.join("usr/lib/sparse")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 1_000_000).unwrap();
    // Without bytes at the end, mke2fs 1.47.0 forgets the last hole of a file when `inline_data` is on.
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (3 << 20) - 3).unwrap();
    for number in 0..600 {
        fs::write(root.join(format!("usr/lib/many/another-file-{number:03}")), "").unwrap();
    }
}

/// Gives three files extended attributes: file capabilities where that is allowed, and a long value
/// twice, which squashfs stores once. The name of the first; `None`, said loudly, without support.
pub fn label(root: &Path) -> Option<&'static str> {
    let set = |at: &str, name: &str, value: &[u8]| {
        rustix::fs::setxattr(root.join(at), name, value, rustix::fs::XattrFlags::empty())
    };
    let long = [b'v'; 300];
    let done =
        set("etc/empty", "user.long", &long).and_then(|()| set("usr/lib/os-release", "user.long", &long));
    if let Err(error) = done {
        eprintln!("SKIPPED: the file system of {} keeps no extended attributes: {error}", root.display());
        return None;
    }
    // Only a privileged user may set capabilities.
    let name = ["security.capability", "user.capability"];
    name.into_iter().find(|name| set("usr/bin/tool", name, CAPABILITY).is_ok())
}

/// `cap_net_admin=p` in the kernel's form, version 2 (`linux/capability.h`).
pub const CAPABILITY: &[u8] = &[0, 0, 0, 2, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
