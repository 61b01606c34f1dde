//! Writes first inputs for every target, made by other programs and by our own builders:
//! `cargo run -p fuzz --example seeds -- FOLDER`. `ci/fuzz --minimise` makes the committed corpus from these and what it found.
//!
//! Makes a new signing key each time, signs with it, writes its control FDT and throws the private half away.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::process::Command;

use fit::build::{Configuration, FitSpec, Image, build};
use fit::control_fdt::{insert_key, set_required_mode};
use fit::external::{Placement, externalise};
use fit::fdt::{Node, Tree};
use fit::key::{Algorithm, Hash, KeyType, Padding};
use fit::sign::{RsaSigner, SignOptions, Signer, sign};

fn main() {
    let folder = std::env::args().nth(1).expect("seeds: expected a folder");
    let folder = Path::new(&folder);
    for target in fuzz::TARGETS {
        fs::create_dir_all(folder.join(target.name)).unwrap();
    }
    firmware(folder);
    partitions(&folder.join("partitions"));
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    root(work);
    trees(work, folder);
    verity(work, &folder.join("verity"));
    fat(work, &folder.join("fat"));
    keys(work, &folder.join("keys"));
    texts(folder);
}

fn firmware(folder: &Path) {
    let signer = RsaSigner::new(rsa::RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap());
    let algorithm = Algorithm { hash: Hash::Sha256, key: KeyType::Rsa2048 };
    let empty = Tree { root: Node::new(""), ..Tree::default() }.write().unwrap();
    let control = insert_key(&empty, "seed", algorithm, &signer.public_key()).unwrap();
    fs::write(folder.join("control.dtb"), &control).unwrap();
    for kind in ["control", "fdt"] {
        fs::write(folder.join(kind).join("empty"), &empty).unwrap();
        fs::write(folder.join(kind).join("key"), &control).unwrap();
        let any = set_required_mode(&control, fit::control_fdt::RequiredMode::Any).unwrap();
        fs::write(folder.join(kind).join("any"), any).unwrap();
    }
    fs::write(folder.join("binary/u-boot"), [&[0x1f; 64], &control[..], &[0; 32]].concat()).unwrap();
    // The smallest thing of a compiler's that is near: this program's own first page, and a configuration as in a kernel.
    let program = fs::read(std::env::current_exe().unwrap()).unwrap();
    fs::write(folder.join("binary/elf"), &program[..4096]).unwrap();
    for padding in [Padding::Pkcs1v15, Padding::Pss] {
        let options = SignOptions {
            key_name: "seed".into(),
            algorithm,
            padding,
            timestamp: 7,
            node: "signature-1".into(),
        };
        let signed = sign(unsigned(&empty), &options, &signer).unwrap();
        let name = if padding == Padding::Pss { "signed-pss" } else { "signed" };
        fs::write(folder.join("fit").join(name), &signed).unwrap();
        let outside = externalise(&signed, Placement::BehindTree, 4).unwrap();
        fs::write(folder.join("fit").join(format!("{name}-external")), outside).unwrap();
        fs::write(folder.join("fdt").join(name), &signed).unwrap();
    }
}

fn unsigned(fdt: &[u8]) -> Tree<'static> {
    let image = |name: &str, kind: &str, data: &[u8]| Image {
        name: name.into(),
        description: name.into(),
        kind: kind.into(),
        arch: "arm64".into(),
        os: (kind != "flat_dt").then(|| "linux".into()),
        compression: "none".into(),
        load: Some(if kind == "kernel" { 0x4040_0000 } else { 0x4800_0000 }),
        entry: (kind == "kernel").then_some(0x4040_0000),
        data: Cow::Owned(data.to_vec()),
    };
    build(FitSpec {
        description: "seed".into(),
        timestamp: 7,
        hash: Hash::Sha256,
        images: vec![
            image("kernel", "kernel", b"the kernel"),
            image("fdt", "flat_dt", fdt),
            image("ramdisk", "ramdisk", b"the ramdisk"),
        ],
        configurations: vec![Configuration {
            name: "conf".into(),
            description: "the only one".into(),
            compatible: Some("seed,board".into()),
            loads: [("kernel", "kernel"), ("fdt", "fdt"), ("ramdisk", "ramdisk")]
                .map(|(role, name)| (role.to_owned(), vec![name.to_owned()]))
                .to_vec(),
        }],
        default: Some("conf".into()),
    })
    .unwrap()
}

fn partitions(folder: &Path) {
    // Small enough for a fuzzer: 80 sectors with a table of 128 entries at both ends.
    let disk = folder.join("gpt");
    fs::write(&disk, vec![0; 80 * 512]).unwrap();
    let table = "label: gpt\nfirst-lba: 34\nstart=34, size=4, name=boot-a\nstart=38, size=4, name=root-a\n";
    run_with_input(Command::new("sfdisk").arg("--quiet").arg(&disk), table);
    let disk = folder.join("mbr");
    fs::write(&disk, vec![0; 16 * 512]).unwrap();
    let table = "label: dos\nstart=1, size=4, type=c\nstart=5, size=10, type=5\nstart=7, size=3, type=83\n";
    run_with_input(Command::new("sfdisk").arg("--quiet").arg(&disk), table);
}

fn root(work: &Path) {
    let etc = work.join("root/etc");
    fs::create_dir_all(&etc).unwrap();
    fs::write(etc.join("passwd"), "root:*:0:0::/:/bin/false\n").unwrap();
    fs::write(work.join("root/long"), "0123456789abcdef".repeat(80)).unwrap();
    std::os::unix::fs::symlink("../etc/passwd", etc.join("link")).unwrap();
    std::os::unix::fs::symlink("loop", work.join("root/loop")).unwrap();
}

fn trees(work: &Path, folder: &Path) {
    for packing in ["gzip", "xz", "zstd", "none"] {
        let image = folder.join("squashfs").join(packing);
        let mut command = Command::new("mksquashfs");
        command.arg(work.join("root")).arg(&image).args(["-noappend", "-quiet", "-no-progress", "-nopad"]);
        if packing == "none" {
            run(command.args(["-noI", "-noD", "-noF", "-noX", "-noId"]));
        } else {
            run(command.args(["-comp", packing]));
        }
    }
    for (name, features) in
        [("ext2", "none,filetype"), ("ext4", "none,extent,filetype,inline_data,metadata_csum")]
    {
        let image = folder.join("ext4").join(name);
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-F", "-t", "ext4", "-b", "1024", "-I", "256", "-N", "16", "-O", features, "-d"]);
        run(command.arg(work.join("root")).arg(&image).arg("64k"));
    }
    for (name, options) in [
        ("tar", &["--format=posix"][..]),
        ("tar-gnu", &["--format=gnu", "-b1"]),
        ("tar.gz", &["-z"]),
        ("tar.xz", &["-J"]),
    ] {
        let archive = folder.join("archive").join(name);
        run(Command::new("tar")
            .args(options)
            .arg("-C")
            .arg(work.join("root"))
            .arg("-cf")
            .arg(&archive)
            .arg("."));
    }
    let archive = folder.join("archive/cpio");
    let mut command = Command::new("cpio");
    command.args(["-o", "-H", "newc", "--quiet", "-O"]).arg(&archive).current_dir(work.join("root"));
    run_with_input(&mut command, ".\netc\netc/passwd\netc/link\nlong\n");
}

fn verity(work: &Path, folder: &Path) {
    let (data, hash) = (work.join("data"), work.join("hash"));
    fs::write(&data, [7; 4096]).unwrap();
    run(Command::new("veritysetup")
        .args(["format", "--data-block-size", "512", "--hash-block-size", "512", "--salt", "01020304"])
        .args(["--uuid", "11111111-2222-8333-8444-555555555555"])
        .arg(&data)
        .arg(&hash));
    let hash = fs::read(&hash).unwrap();
    // Halves: data first, as long as the tree.
    let mut data = fs::read(&data).unwrap();
    data.resize(data.len().max(hash.len()), 0);
    let mut hash = hash;
    hash.resize(data.len(), 0);
    fs::write(folder.join("tree"), [data, hash].concat()).unwrap();
}

fn fat(work: &Path, folder: &Path) {
    for (name, tables) in [("fat12", "2"), ("one-table", "1")] {
        let image = folder.join(name);
        let mut make = Command::new("mkfs.fat");
        run(make
            .args(["-F", "12", "-f", tables, "-s", "1", "-r", "32", "-i", "1", "-C"])
            .arg(&image)
            .arg("64"));
        run(Command::new("mmd").arg("-i").arg(&image).args(["::EFI", "::EFI/BOOT"]));
        run(Command::new("mcopy")
            .arg("-i")
            .arg(&image)
            .arg(work.join("root/long"))
            .arg("::EFI/BOOT/a long name.efi"));
        run(Command::new("mcopy").arg("-i").arg(&image).arg(work.join("root/etc/passwd")).arg("::A.TXT"));
    }
}

/// A key that is made here and thrown away with its certificate.
fn keys(work: &Path, folder: &Path) {
    let key = work.join("key.pem");
    run(Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&key));
    let of = |options: &[&str], name: &str| {
        run(Command::new("openssl").args(options).arg("-out").arg(folder.join(name)).args(["-in"]).arg(&key));
    };
    of(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], "pkcs8.der");
    of(&["ec", "-outform", "DER"], "sec1.der");
    of(&["pkey", "-pubout"], "public.pem");
    let mut request = Command::new("openssl");
    request.args(["req", "-x509", "-new", "-subj", "/CN=seed", "-days", "1", "-key"]).arg(&key);
    run(request.arg("-out").arg(folder.join("certificate.pem")));
    fs::write(folder.join("putty"), "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nComment: x\n")
        .unwrap();
    let line = "no-pty,command=\"x\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOrW5gdHbUWfyLRjOzV1W8c9rHW2MGPauEz7fM6UdORc me\n";
    fs::write(folder.join("authorized_keys"), line).unwrap();
}

/// Hashes are those of the tests of `evidence`, of words that everybody knows.
fn texts(folder: &Path) {
    for (name, hash) in [
        ("des", "ab6TRGT20sY26"),
        ("md5crypt", "$1$abcdefgh$rV6RhG4no19bGJfmub3Ui1"),
        ("sha1", "{SHA}3Hbp8MAAbo+RngxRXGbbujmC94U="),
        ("sha256crypt", "$5$abcdefgh$eKmO8qqatxyseBbtE4o3nrolLfuFP7p82NOMAwOerUC"),
        (
            "sha512crypt",
            "$6$rounds=1000$abcdefgh$y/O6Hj5hz4SiOfY5WcnOv2S7zjlgeWqZ81WUxawTKlxh0uWcEk8q5be5f73KRnR7lYUZQ4.OyzTmphpfQbuL.1",
        ),
        ("bcrypt", "$2b$05$abcdefghijklmnopqrstuuJ/uqQnGWb.PIEKF.YYD7e.M1.rwki5y"),
        ("yescrypt", "$y$j75$abcdefghijk/$Xms7sr0OQ/SZ6Bt5Kk9hzChOpbJzOEZzpPCmTiFJCn."),
    ] {
        fs::write(folder.join("passwords").join(name), hash).unwrap();
    }
    for (name, text) in [
        (
            "accounts",
            "root::0:0:root:/root:/bin/sh\nx:$1$abcdefgh$rV6RhG4no19bGJfmub3Ui1:1:1::/:/bin/false\n",
        ),
        (
            "inittab",
            "::respawn:/bin/sh\nS0:5:respawn:/sbin/getty -nl /bin/sh ttyS0 115200\n::once:/usr/sbin/telnetd -F\n",
        ),
        (
            "inetd",
            "telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd -i\n4444 stream tcp nowait root /bin/sh sh -i\n",
        ),
        (
            "script",
            "#!/bin/sh\nPROG=/usr/sbin/telnetd\ncase $1 in start) \"$PROG\" -l /bin/sh;; esac\nnc -ll -p 4444 -e /bin/sh &\n. /etc/x\n",
        ),
        (
            "unit",
            "[Service]\nExecStart=-/sbin/agetty --autologin root %I\nDynamicUser=yes\nSystemCallFilter=~@mount\nCapabilityBoundingSet=CAP_KILL\n[Timer]\nUnit=x.service\n",
        ),
        (
            "sshd",
            "PermitRootLogin yes\nMatch User a\nPasswordAuthentication yes\nCiphers +3des-cbc\nAuthorizedKeysFile /etc/%u\nInclude /etc/ssh/*\n",
        ),
        (
            "xinetd",
            "service telnet\n{\n\tdisable = no\n\tserver = /usr/sbin/in.telnetd\n\tserver_args = -h\n}\n",
        ),
    ] {
        fs::write(folder.join("files").join(name), text).unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn run_with_input(command: &mut Command, input: &str) {
    use std::io::Write;
    let mut child =
        command.stdin(std::process::Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{command:?}");
}
