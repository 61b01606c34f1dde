//! The firewall loaded where no network namespace is to be had: in QEMU, by the image itself.
//!
//! A container of a CI often gives neither a user namespace nor root's own. Then the image's own
//! kernel is started on its own root file system, with a shell in place of init that loads the
//! ruleset and lists it. What answers is the image's `nft` and kernel, not the host's: the
//! conclusion says so. The machine has no network and no disk that it could write.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use exec::Call;
use spec::Architecture;
use spec::plan::{BoardFacts, QemuFacts};

use crate::subject::Subject;

/// Bytes of a root partition that are copied for the machine.
const ROOT_LIMIT: u64 = 2 << 30;
/// Bytes of console output that are looked at.
const CONSOLE_LIMIT: u64 = 16 << 20;
/// Emulated, on a busy host.
const LIMIT: Duration = Duration::from_secs(180);
const LOADING: &str = "fastness-load";
const LISTING: &str = "fastness-list";
const END: &str = "fastness-end";

/// What came of loading a ruleset: its JSON, nft's refusal, or why there is no answer.
pub type Loaded = Result<Result<Vec<u8>, String>, String>;

/// [`load`], the first time; several checks look at the same ruleset.
///
/// # Errors
/// As [`load`].
pub fn load_once(subject: &Subject, board: &BoardFacts, path: &str) -> Loaded {
    let (of, loaded) = subject.in_qemu.get_or_init(|| (path.to_owned(), load(subject, board, path)));
    if of == path { loaded.clone() } else { load(subject, board, path) }
}

/// Loads the ruleset at `path` in the image's own root and kernel; the inner error is nft's refusal.
///
/// # Errors
/// When this image or board cannot be started so, or the machine did not come to an answer; in words.
fn load(subject: &Subject, board: &BoardFacts, path: &str) -> Loaded {
    let qemu =
        board.qemu.as_ref().ok_or_else(|| format!("the board `{}` has no QEMU machine", board.name))?;
    let parts = || Some((subject.root_image.as_ref()?, subject.fit.as_ref()?.as_ref().ok()?));
    let (root, fit) = parts().ok_or("only a disk image has a root partition and a kernel to start")?;
    if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) {
        return Err(format!("`{path}` cannot be put on a kernel's command line"));
    }
    if root.len() > ROOT_LIMIT {
        return Err(format!("a root partition of {} bytes is more than {ROOT_LIMIT}", root.len()));
    }
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let at = |name: &str| folder.path().join(name);
    let copied = std::fs::File::create(at("root"))
        .and_then(|mut file| std::io::copy(&mut root.reader(), &mut file).and_then(|_| file.flush()));
    copied.map_err(|e| format!("the root partition's copy: {e}"))?;
    let kernel = crate::open::fit_part(&fit.bytes, "kernel")?;
    let kernel = if board.kernel_arch == Architecture::Arm.as_str() {
        placed(&kernel, board.boot.kernel_address).ok_or("the kernel does not fit a legacy header")?
    } else {
        kernel
    };
    std::fs::write(at("kernel"), kernel).map_err(|e| format!("the kernel's copy: {e}"))?;
    let ran = run(qemu, &command_line(&board.console, path), folder.path());
    let console = image::Source::open(&at("console"))
        .and_then(|source| source.read_vec(0, source.len().min(CONSOLE_LIMIT)))
        .map_err(|e| format!("QEMU wrote no console: {e}"));
    // What the machine said counts more than how QEMU ended.
    let answer = console.and_then(|bytes| answer(&String::from_utf8_lossy(&bytes)));
    answer.map_err(|why| ran.err().map_or(why.clone(), |ended| format!("{why}; {ended}")))
}

/// The kernel behind a header that tells QEMU its place: an arm `Image` runs only where the board's U-Boot
/// puts it, and what has no header goes elsewhere (QEMU `hw/arm/boot.c`, `KERNEL_LOAD_ADDR`); arm64's says it itself. The header is a
/// legacy image's (U-Boot `include/image.h`); of it QEMU reads magic, size, load and entry address, type and
/// compression, and no checksum.
fn placed(kernel: &[u8], address: u64) -> Option<Vec<u8>> {
    let (size, address) = (u32::try_from(kernel.len()).ok()?, u32::try_from(address).ok()?);
    let mut header = [0u8; 64];
    for (at, value) in [(0, 0x2705_1956), (12, size), (16, address), (20, address)] {
        header[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    header[28] = 5; // IH_OS_LINUX
    header[30] = 2; // IH_TYPE_KERNEL; IH_COMP_NONE is 0
    Some([&header[..], kernel].concat())
}

/// The kernel's command line; what follows `--` is the shell's (kernel-parameters, "init=").
fn command_line(console: &str, path: &str) -> String {
    let console = console.split(',').next().unwrap_or(console);
    format!(
        "console={console} quiet root=/dev/vda ro rootfstype=squashfs panic=-1 init=/bin/sh -- -c \"echo {LOADING}; \
         if nft -f {path}; then echo {LISTING}; nft -j list ruleset; fi; echo {END}\""
    )
}

fn run(qemu: &QemuFacts, command_line: &str, folder: &Path) -> Result<(), String> {
    let words = |failure: diag::Failure| failure.diagnostics[0].message.clone();
    let tool = exec::tool(&qemu.program).map_err(words)?;
    // Without the TPM, which nothing here asks.
    let bare = QemuFacts { tpm: None, ..qemu.clone() };
    let call = Call::new(tool)
        .folder(folder)
        .args(bare.machine_arguments())
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot"])
        .args(["-drive", "if=none,id=root,format=raw,readonly=on,file=root"])
        .args(["-device", "virtio-blk-device,drive=root", "-kernel", "kernel", "-append", command_line])
        .args(["-serial", "file:console"])
        .log(&folder.join("qemu.log"))
        .limit(LIMIT);
    call.run().map_err(words)
}

/// What the console says between the marks that the shell wrote.
fn answer(console: &str) -> Loaded {
    let mut lines = console.lines().map(str::trim_end).skip_while(|line| *line != LOADING).skip(1);
    let mut refusal = None;
    for line in lines.by_ref() {
        match line {
            LISTING => {
                let listed: Vec<&str> = lines.take_while(|line| *line != END).collect();
                let json = listed.into_iter().find(|line| line.starts_with("{\"nftables\""));
                return json
                    .map(|json| Ok(json.as_bytes().to_vec()))
                    .ok_or_else(|| "the image's nft lists no ruleset as JSON".to_owned());
            }
            END => return Ok(Err(refusal.unwrap_or("no message").to_owned())),
            // The kernel's own lines begin with their time.
            _ if refusal.is_none() && !line.is_empty() && !line.starts_with('[') => refusal = Some(line),
            _ => (),
        }
    }
    let last = console.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    Err(format!("the image's kernel did not come to load it; the console ends with `{}`", last.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_where_the_kernel_goes() {
        let image = placed(b"kernel", 0x4000_8000).unwrap();
        assert_eq!((&image[..4], &image[64..]), (&[0x27, 0x05, 0x19, 0x56][..], &b"kernel"[..]));
        assert_eq!(image[12..24], [0, 0, 0, 6, 0x40, 0, 0x80, 0, 0x40, 0, 0x80, 0]);
        assert_eq!(image[28..32], [5, 0, 2, 0]);
        assert_eq!(placed(b"kernel", 1 << 32), None);
    }

    #[test]
    fn the_ruleset_is_what_stands_between_the_marks() {
        let console = "early\r\nfastness-load\r\n[ 1.0] noise\r\nfastness-list\r\n{\"nftables\": [1]}\r\n[ 1.2] x\r\nfastness-end\r\n";
        assert_eq!(answer(console).unwrap().unwrap(), b"{\"nftables\": [1]}");
    }

    #[test]
    fn a_refusal_is_the_first_line_that_nft_wrote() {
        let console = "fastness-load\r\n[ 1.0] noise\r\n/etc/nftables.conf:3:1-4: Error: syntax error\r\ntabel x\r\nfastness-end\r\n";
        let refusal = answer(console).unwrap().unwrap_err();
        assert_eq!(refusal, "/etc/nftables.conf:3:1-4: Error: syntax error");
    }

    #[test]
    fn a_machine_that_says_nothing_is_no_conclusion() {
        for (console, why) in [
            ("", "the console ends with `nothing`"),
            ("[ 0.1] Kernel panic - not syncing\r\n", "ends with `[ 0.1] Kernel panic - not syncing`"),
            ("fastness-load\r\n", "ends with `fastness-load`"),
            (
                "fastness-load\r\nfastness-list\r\nnft: no JSON\r\nfastness-end\r\n",
                "lists no ruleset as JSON",
            ),
        ] {
            let error = answer(console).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_is_no_disk_image_cannot_be_started() {
        let plan = crate::report::sample::plan();
        let subject = Subject::empty(crate::subject::SubjectKind::RootFs, "root");
        let mut board = plan.board.clone();
        board.qemu = None;
        assert!(load(&subject, &board, "/etc/nftables.conf").unwrap_err().contains("has no QEMU machine"));
        board.qemu = Some(QemuFacts {
            program: "qemu-system-aarch64".into(),
            machine: "virt".into(),
            cpu: "max".into(),
            cpus: 1,
            memory_mib: 128,
            in_memory: false,
            on_board: false,
            report_port: None,
            tpm: None,
            watchdog: None,
        });
        assert!(load(&subject, &board, "/etc/nftables.conf").unwrap_err().contains("only a disk image"));
    }
}
