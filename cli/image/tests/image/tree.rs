use std::fs;
use std::path::Path;

use image::tree::{FileTree, Kind, RootKind, open_rootfs};

use crate::support::{CAPABILITY, label, large_root, small_root, tool, tool_with_input};

/// The same paths, types, modes and contents; owners and folder link counts are the packer's business.
fn assert_same(found: &FileTree, folder: &FileTree) {
    let paths = |tree: &FileTree| -> Vec<String> {
        tree.entries().keys().filter(|path| *path != "/lost+found").cloned().collect()
    };
    assert_eq!(paths(found), paths(folder));
    for (path, expected) in folder.entries() {
        let entry = found.get(path).unwrap();
        assert_eq!(entry.kind, expected.kind, "{path}");
        // The packer writes into the root: its own time is newer.
        assert!(path == "/" || entry.mtime == expected.mtime, "{path}");
        if path != "/" && !matches!(entry.kind, Kind::Symlink { .. }) {
            assert_eq!(entry.mode, expected.mode, "{path}");
        }
        if let Kind::File { .. } = entry.kind {
            assert_eq!(entry.links, expected.links, "{path}");
            assert!(found.read(path, 4 << 20).unwrap() == folder.read(path, 4 << 20).unwrap(), "{path}");
        }
    }
    assert_eq!(found.get("/usr/bin/tool").unwrap().mode, 0o4755);
}

struct Fixture {
    folder: tempfile::TempDir,
    tree: FileTree,
    label: Option<&'static str>,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    large_root(&root);
    let label = label(&root);
    let tree = open_rootfs(&root).unwrap();
    Fixture { folder, tree, label }
}

impl Fixture {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self, name: &str) -> FileTree {
        open_rootfs(&self.path().join(name)).unwrap()
    }
}

#[test]
fn a_folder_is_read_without_leaving_it() {
    let fixture = fixture();
    let tree = &fixture.tree;
    assert_eq!(tree.kind(), RootKind::Folder);
    assert_eq!(tree.read("/etc/os-release", 100).unwrap(), b"ID=fastness\n");
    assert_eq!(tree.resolve("/bin/tool").unwrap().0, "/usr/bin/tool");
    // More `..` than there are folders stay in the tree.
    assert_eq!(tree.resolve("/var/up").unwrap().0, "/etc/passwd");
    assert_eq!(tree.resolve_link("/var/up").unwrap().0, "/var/up");
    let told = |path: &str| tree.resolve(path).unwrap_err().to_string();
    assert!(told("/var/loop-a").contains("more than 40 links"), "{}", told("/var/loop-a"));
    assert!(told("/etc/passwd/x").contains("is a regular file, not a folder"), "{}", told("/etc/passwd/x"));
    assert!(told("/nowhere/x").contains("`/nowhere` does not exist in the image"), "{}", told("/nowhere/x"));
    let error = tree.read("/etc/passwd", 5).unwrap_err().to_string();
    assert!(error.contains("it has 22 bytes, more than the limit of 5"), "{error}");
    let error = tree.read("/var/fifo", 5).unwrap_err().to_string();
    assert!(error.contains("expected a regular file, found a named pipe"), "{error}");
    // A link that replaces a folder after the listing is not followed.
    fs::rename(fixture.path().join("root/etc"), fixture.path().join("root/gone")).unwrap();
    std::os::unix::fs::symlink("/etc", fixture.path().join("root/etc")).unwrap();
    assert!(tree.read("/etc/passwd", 1 << 20).is_err());
}

fn assert_same_attributes(fixture: &Fixture, found: &FileTree) {
    let Some(name) = fixture.label else { return };
    let tool = found.get("/usr/bin/tool").unwrap();
    assert_eq!(tool.xattrs[name], CAPABILITY);
    assert_eq!(tool.has_capabilities(), name == "security.capability");
    assert!(!found.get("/etc/passwd").unwrap().has_capabilities());
    for (path, expected) in fixture.tree.entries() {
        assert_eq!(found.get(path).unwrap().xattrs, expected.xattrs, "{path}");
    }
}

#[test]
fn squashfs_of_each_compression() {
    let fixture = fixture();
    for more in [
        &["-comp", "gzip"][..],
        &["-comp", "xz", "-Xbcj", "x86"],
        &["-comp", "lzma"],
        &["-comp", "lz4"],
        &["-comp", "lz4", "-Xhc", "-b", "4096"],
        &["-comp", "zstd", "-b", "1M"],
        &["-comp", "zstd", "-b", "4096", "-no-fragments"],
        &["-comp", "gzip", "-noI", "-noD", "-noF", "-noX", "-always-use-fragments"],
    ] {
        let argv = [&["mksquashfs", "root", "image", "-noappend", "-quiet", "-no-progress"], more].concat();
        if tool(fixture.path(), &argv).is_none() {
            return;
        }
        let tree = fixture.open("image");
        assert_eq!(tree.kind(), RootKind::Squashfs);
        assert_same(&tree, &fixture.tree);
        assert_same_attributes(&fixture, &tree);
    }
}

#[test]
fn squashfs_owners_and_devices() {
    let fixture = fixture();
    let argv = [
        "mksquashfs",
        "root",
        "image",
        "-quiet",
        "-no-progress",
        "-force-uid",
        "1000",
        "-force-gid",
        "70000",
        "-p",
        "/var/null c 666 0 5 1 300",
        "-p",
        "/var/disk b 660 0 6 259 65537",
    ];
    if tool(fixture.path(), &argv).is_none() {
        return;
    }
    let tree = fixture.open("image");
    let passwd = tree.get("/etc/passwd").unwrap();
    assert_eq!((passwd.uid, passwd.gid), (1000, 70000));
    assert_eq!(tree.get("/var/null").unwrap().kind, Kind::CharDevice { major: 1, minor: 300 });
    assert_eq!(tree.get("/var/disk").unwrap().kind, Kind::BlockDevice { major: 259, minor: 65537 });
    // What follows the file system (a hash tree) does not matter.
    let mut bytes = fs::read(fixture.path().join("image")).unwrap();
    bytes.extend([0xaa; 10_000]);
    fs::write(fixture.path().join("longer"), bytes).unwrap();
    assert_eq!(fixture.open("longer").entries(), tree.entries());
}

#[test]
fn ext4_and_its_older_forms() {
    let fixture = fixture();
    for more in [
        &["-t", "ext4"][..],
        &["-t", "ext4", "-b", "1024", "-I", "128"],
        &["-t", "ext4", "-O", "inline_data,^64bit", "-I", "256"],
        &["-t", "ext4", "-b", "4096", "-O", "^extents,^64bit,^metadata_csum"],
        &["-t", "ext2", "-b", "1024"],
    ] {
        let argv = [&["mke2fs", "-q", "-F", "-d", "root"], more, &["image", "16M"]].concat();
        if tool(fixture.path(), &argv).is_none() {
            return;
        }
        let tree = fixture.open("image");
        assert_eq!(tree.kind(), RootKind::Ext4);
        assert_same(&tree, &fixture.tree);
        assert_same_attributes(&fixture, &tree);
        tool(fixture.path(), &["rm", "image"]);
    }
}

#[test]
fn what_an_ext4_keeps_back() {
    let fixture = fixture();
    let place = fixture.path();
    let argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "12.5", "image", "16M"];
    if tool(place, &argv).is_none() {
        return;
    }
    let reserved = || image::tree::reserved(&image::Source::open(&place.join("image")).unwrap());
    let found = reserved().unwrap();
    assert_eq!((found.bytes, found.reserved_bytes, found.uid, found.gid), (16 << 20, 2 << 20, 0, 0));
    tool(place, &["tune2fs", "-r", "7", "-u", "1000", "-g", "3", "image"]);
    let found = reserved().unwrap();
    assert_eq!((found.reserved_bytes, found.uid, found.gid), (7 * 4096, 1000, 3));
    fs::write(place.join("image"), [0; 65_536]).unwrap();
    let error = reserved().unwrap_err().to_string();
    assert!(error.contains("superblock"), "{error}");
}

#[test]
fn ext4_features_that_are_refused() {
    let fixture = fixture();
    let argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", "root", "image", "16M"];
    if tool(fixture.path(), &argv).is_none() {
        return;
    }
    tool(fixture.path(), &["debugfs", "-w", "-R", "feature needs_recovery", "image"]);
    let error = open_rootfs(&fixture.path().join("image")).unwrap_err().to_string();
    assert!(
        error.contains("a journal that must be replayed is not supported; hint: run `e2fsck -p`"),
        "{error}"
    );
}

#[test]
fn tar_of_each_form_and_compression() {
    let fixture = fixture();
    for (name, more) in [
        ("a.tar", &["--format=posix", "--owner=:1000", "--group=:70000"][..]),
        ("a.tar", &["--format=gnu"]),
        ("a.tar.gz", &["--format=gnu", "-z"]),
        ("a.tar.xz", &["--format=posix", "-J"]),
        ("a.tar.zst", &["--format=posix", "--zstd"]),
        ("a.tar.bz2", &["--format=gnu", "-j"]),
    ] {
        let argv = [&["tar", "-C", "root", "-cf", name], more, &["."]].concat();
        if tool(fixture.path(), &argv).is_none() {
            return;
        }
        let tree = fixture.open(name);
        assert_eq!(tree.kind(), RootKind::Tar);
        assert_same(&tree, &fixture.tree);
        if more.len() == 3 && name == "a.tar" {
            assert_eq!((tree.entries()["/bin"].uid, tree.entries()["/bin"].gid), (1000, 70000));
        }
    }
    let option = "--pax-option=SCHILY.xattr.security.capability:=abc";
    let argv = ["tar", "-C", "root", "--format=posix", option, "-cf", "x.tar", "etc/passwd"];
    tool(fixture.path(), &argv);
    let tree = fixture.open("x.tar");
    assert_eq!(tree.get("/etc/passwd").unwrap().xattrs["security.capability"], b"abc");
    assert!(tree.get("/etc").unwrap().implied && !tree.get("/etc/passwd").unwrap().implied);
}

#[test]
fn cpio_plain_packed_and_joined() {
    let fixture = fixture();
    let names = tool(&fixture.path().join("root"), &["find", "."]).unwrap();
    let argv = ["cpio", "-o", "-H", "newc", "--quiet", "-O", "../a.cpio"];
    if tool_with_input(&fixture.path().join("root"), &argv, names.as_bytes()).is_none() {
        return;
    }
    assert_same(&fixture.open("a.cpio"), &fixture.tree);
    tool(fixture.path(), &["xz", "-k", "--check=crc32", "a.cpio"]).unwrap();
    let tree = fixture.open("a.cpio.xz");
    assert_eq!(tree.kind(), RootKind::Cpio);
    assert_same(&tree, &fixture.tree);
    // An initramfs: early microcode, then the packed rest.
    fs::create_dir(fixture.path().join("early")).unwrap();
    fs::write(fixture.path().join("early/kernel"), "microcode").unwrap();
    let argv = ["cpio", "-o", "-H", "newc", "--quiet", "-O", "../early.cpio"];
    tool_with_input(&fixture.path().join("early"), &argv, b"kernel\n");
    let mut joined = fs::read(fixture.path().join("early.cpio")).unwrap();
    joined.extend(fs::read(fixture.path().join("a.cpio.xz")).unwrap());
    fs::write(fixture.path().join("initramfs"), joined).unwrap();
    let tree = fixture.open("initramfs");
    assert_eq!(tree.read("/kernel", 100).unwrap(), b"microcode");
    assert_eq!(tree.read("/etc/os-release", 100).unwrap(), b"ID=fastness\n");
}

#[test]
fn what_is_no_root_file_system_says_so() {
    let folder = tempfile::tempdir().unwrap();
    small_root(folder.path());
    let told = |path: &str| open_rootfs(&folder.path().join(path)).unwrap_err().to_string();
    assert!(
        told("etc/passwd").contains("expected a folder, squashfs, ext4, tar or cpio"),
        "{}",
        told("etc/passwd")
    );
    assert!(told("etc/empty").contains("expected a folder"), "{}", told("etc/empty"));
    assert!(told("var/fifo").contains("expected a regular file"), "{}", told("var/fifo"));
    assert!(told("nothing").contains("cannot open"), "{}", told("nothing"));
}
