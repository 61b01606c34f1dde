//! Images made to crash, fill or escape a reader.

use std::fs;
use std::time::{Duration, Instant};

use image::Source;
use image::disk::Disk;
use image::tree::{FileTree, Kind, open_source};

use crate::support::{Random, label, small_root, tool, tool_with_input};

fn open(bytes: &[u8]) -> image::Result<FileTree> {
    open_source(&Source::from_bytes("hostile", bytes.to_vec()))
}

/// Opens and reads everything; only a panic or a hang is a failure.
fn exercise(bytes: Vec<u8>) {
    let Ok(tree) = open_source(&Source::from_bytes("hostile", bytes)) else { return };
    for (path, entry) in tree.entries() {
        if let Kind::File { .. } = entry.kind {
            let _ = tree.read(path, 1 << 20);
        }
        let _ = tree.resolve(path);
    }
}

/// Truncations at every boundary, then seeded mutations of the bytes that mean something.
fn abuse(bytes: &[u8], step: usize, mutations: usize) {
    let began = Instant::now();
    for len in (0..bytes.len()).step_by(step) {
        exercise(bytes[..len].to_vec());
    }
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut random = Random(3);
    for _ in 0..mutations {
        let mut broken = bytes.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = places[random.below(places.len())];
            broken[at] = match random.below(4) {
                0 => 0xff,
                1 => 0,
                2 => broken[at] ^ (1 << random.below(8)),
                _ => random.next() as u8,
            };
        }
        exercise(broken);
    }
    assert!(began.elapsed() < Duration::from_secs(240), "it took {:?}", began.elapsed());
    assert!(peak_memory_kib() < 400 << 10, "{} KiB", peak_memory_kib());
}

fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn packed(argv: &[&str]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("root")).unwrap();
    small_root(&folder.path().join("root"));
    label(&folder.path().join("root"));
    tool(folder.path(), argv)?;
    Some(fs::read(folder.path().join("image")).unwrap())
}

#[test]
fn squashfs() {
    let base = ["mksquashfs", "root", "image", "-quiet", "-no-progress", "-nopad"];
    let plain = [&base[..], &["-noI", "-noD", "-noF", "-noX", "-noId"]].concat();
    let Some(bytes) = packed(&plain) else { return };
    abuse(&bytes, 11, 4000);
    for comp in ["gzip", "lz4", "lzma", "xz", "zstd"] {
        abuse(&packed(&[&base[..], &["-comp", comp]].concat()).unwrap(), 5, 1000);
    }
}

#[test]
fn ext4() {
    for (kind, features) in
        [("ext4", "inline_data,metadata_csum"), ("ext4", "^has_journal"), ("ext2", "none")]
    {
        let mut argv = vec!["mke2fs", "-q", "-F", "-t", kind, "-b", "1024", "-d", "root"];
        if features != "none" {
            argv.extend(["-O", features, "-I", "256"]);
        }
        argv.extend(["image", "2M"]);
        let Some(bytes) = packed(&argv) else { return };
        abuse(&bytes, 1024, 2500);
    }
}

#[test]
fn tar() {
    for format in ["--format=posix", "--format=gnu"] {
        let Some(bytes) = packed(&["tar", "-C", "root", format, "-cf", "image", "."]) else { return };
        abuse(&bytes, 256, 1500);
        // A header's checksum stops most mutations: repair it, as an attacker would.
        let mut random = Random(5);
        for _ in 0..4000 {
            let mut broken = bytes.clone();
            let header = random.below(broken.len() / 512) * 512;
            broken[header + random.below(400)] = random.next() as u8;
            repair(&mut broken[header..header + 512]);
            exercise(broken);
        }
    }
    let Some(bytes) = packed(&["tar", "-C", "root", "-cJf", "image", "."]) else { return };
    abuse(&bytes, 17, 300);
}

#[test]
fn cpio() {
    let folder = tempfile::tempdir().unwrap();
    small_root(folder.path());
    let names = tool(folder.path(), &["find", ".", "-type", "f"]).unwrap();
    let argv = ["cpio", "-o", "-H", "newc", "--quiet", "-O", "image"];
    if tool_with_input(folder.path(), &argv, names.as_bytes()).is_none() {
        return;
    }
    abuse(&fs::read(folder.path().join("image")).unwrap(), 13, 4000);
}

#[test]
fn gpt() {
    let layout =
        image::disk::Layout::new("11111111-2222-8333-8444-555555555555".parse().unwrap(), &[]).unwrap();
    let mut bytes = vec![0; layout.bytes() as usize];
    image::disk::gpt_write(&mut std::io::Cursor::new(&mut bytes), &layout).unwrap();
    for len in (0..bytes.len()).step_by(511) {
        assert!(Disk::from_source(Source::from_bytes("disk", bytes[..len].to_vec())).is_err(), "{len}");
    }
    let mut random = Random(9);
    for _ in 0..500 {
        let mut broken = bytes.clone();
        broken[512 + random.below(92)] ^= 1 + random.next() as u8 % 255;
        assert!(Disk::from_source(Source::from_bytes("disk", broken)).is_err());
    }
}

fn repair(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn tar_member(name: &str, flag: u8, link: &str, content: &[u8], size: Option<&str>) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (at, value) in [(100, "0000644"), (108, "0000000"), (116, "0000000"), (136, "00000000000")] {
        header[at..at + value.len()].copy_from_slice(value.as_bytes());
    }
    let size = size.map_or_else(|| format!("{:011o}", content.len()), str::to_owned);
    header[124..124 + size.len()].copy_from_slice(size.as_bytes());
    header[156] = flag;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    repair(&mut header);
    header.extend(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn told(members: &[Vec<u8>]) -> String {
    let bytes = [members.concat(), vec![0; 1024]].concat();
    open(&bytes).map_or_else(|error| error.to_string(), |tree| format!("{:?}", tree.entries().keys()))
}

#[test]
fn tar_members_that_try_to_escape() {
    let file = |name: &str| tar_member(name, b'0', "", b"x", None);
    let link = |name: &str, target: &str| tar_member(name, b'2', target, b"", None);
    for (members, message) in [
        (vec![file("../x")], "`..` in a name could leave the tree"),
        (vec![file("a/../../x")], "`..` in a name could leave the tree"),
        (vec![link("a", "/etc"), file("a/passwd")], "it lies below `/a`, which is a symbolic link"),
        (vec![file("a/b"), file("a")], "a regular file replaces a folder with content"),
        (vec![file("a"), link("./", "/etc")], "a symbolic link replaces a folder with content"),
        (vec![tar_member("a", b'1', "../../etc/passwd", b"", None)], "`..` in a name could leave the tree"),
        (vec![tar_member("a", b'1', "b", b"", None)], "a hard link to `/b`, which is no earlier file"),
        (vec![tar_member("a", b'L', "", b"", Some("77777777777"))], "truncated"),
        (vec![tar_member("a", b'x', "", &vec![b'x'; 2 << 20], None)], "extended header in bytes is 2097152"),
        (vec![tar_member("a", b'x', "", b"99 path=x\n", None)], "a record's length is wrong"),
        (vec![tar_member("a", b'S', "", b"", None)], "member type `S` of `/a` is not supported"),
        (vec![tar_member(&"a/".repeat(49), b'5', "", b"", None), file("/abs")], "/abs"),
    ] {
        let told = told(&members);
        assert!(told.contains(message), "{told}");
    }
    let deep = format!("{}\0", "d/".repeat(1000));
    let told = told(&[tar_member("x", b'L', "", deep.as_bytes(), None), file("x")]);
    assert!(told.contains("depth of a path is"), "{told}");
}

#[test]
fn cpio_members_that_try_to_escape() {
    let member = |name: &str, mode: u32, content: &str| {
        let mut bytes = format!("070701{:08x}{mode:08x}", 1);
        for field in [0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0] {
            bytes.push_str(&format!("{field:08x}"));
        }
        let mut bytes = [bytes.as_bytes(), name.as_bytes(), b"\0"].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let end = member("TRAILER!!!", 0, "");
    for (members, message) in [
        (vec![member("../x", 0o100_644, "x")], "`..` in a name could leave the tree"),
        (vec![member("a", 0o120_777, "/etc"), member("a/passwd", 0o100_644, "")], "it lies below `/a`"),
        (vec![member("a", 0o170_000, "")], "is no file type"),
    ] {
        let error = open(&[members.concat(), end.clone()].concat()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = open(&[&end[..], b"garbage"].concat()).unwrap_err().to_string();
    assert!(error.contains("expected the end, or another archive"), "{error}");
    let error = open(&member("a", 0o100_644, "x")).unwrap_err().to_string();
    assert!(error.contains("truncated"), "{error}");
}

#[test]
fn a_squashfs_that_claims_huge_sizes() {
    let argv =
        ["mksquashfs", "root", "image", "-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX", "-noId"];
    let Some(bytes) = packed(&argv) else { return };
    // The inode table is stored as it is: find the file by its size and claim 4 GiB.
    let at = bytes.windows(4).rposition(|four| four == 3000_u32.to_le_bytes()).unwrap();
    let mut huge = bytes.clone();
    huge[at..at + 4].fill(0xff);
    let tree = open(&huge).unwrap();
    let (path, _) = tree
        .entries()
        .iter()
        .find(|(_, entry)| entry.kind == Kind::File { size: u32::MAX.into() })
        .expect("the file with the claimed size");
    let error = tree.read(path, 1 << 20).unwrap_err().to_string();
    assert!(error.contains("it has 4294967295 bytes, more than the limit of 1048576"), "{error}");
    // Even without a limit nothing is taken before it was found.
    assert!(tree.read(path, u64::MAX).is_err());
    for (field, name) in
        [(40, "bytes used"), (48, "owners"), (64, "inodes"), (72, "folders"), (56, "attributes")]
    {
        let mut broken = bytes.clone();
        broken[field..field + 8].copy_from_slice(&(u64::MAX - 1).to_le_bytes());
        assert!(open(&broken).is_err(), "{name}");
    }
}

#[test]
fn an_ext4_whose_extents_overlap() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("root")).unwrap();
    let file = fs::File::create(folder.path().join("root/two-pieces")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"one", 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"two", 100_000).unwrap();
    let argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-d", "root", "image", "2M"];
    if tool(folder.path(), &argv).is_none() {
        return;
    }
    let mut bytes = fs::read(folder.path().join("image")).unwrap();
    assert!(open(&bytes).unwrap().read("/two-pieces", 1 << 20).unwrap().ends_with(b"two"));
    // The header of the inode's own node: magic, two extents of four, depth 0.
    let node = [0x0a, 0xf3, 2, 0, 4, 0, 0, 0];
    let at = bytes.windows(8).position(|window| window == node).unwrap();
    bytes[at + 24..at + 28].fill(0);
    let error = open(&bytes).unwrap().read("/two-pieces", 1 << 20).unwrap_err().to_string();
    assert!(error.contains("two extents overlap, or are not sorted"), "{error}");
}
