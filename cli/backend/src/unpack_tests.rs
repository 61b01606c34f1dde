use super::*;

/// A tarball of these members; a link's text is its target.
fn tarball(folder: &Path, members: &[(&str, tar::EntryType, &str)]) -> PathBuf {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, text) in members {
        let mut header = tar::Header::new_gnu();
        // Written by hand: the library itself refuses to write a name that leads out.
        let bytes = name.as_bytes();
        header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
        header.set_entry_type(*kind);
        header.set_mode(0o4777);
        header.set_mtime(1_700_000_000);
        let link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
        let content = if link { "" } else { text };
        if link {
            let bytes = text.as_bytes();
            header.as_old_mut().linkname[..bytes.len()].copy_from_slice(bytes);
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    let path = folder.join("x.tar");
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    path
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD: tar::EntryType = tar::EntryType::Link;

fn unpacked(members: &[(&str, tar::EntryType, &str)]) -> (tempfile::TempDir, Outcome<()>) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    fs::create_dir(&to).unwrap();
    let result = unpack(&tarball(folder.path(), members), &to, 1000);
    (folder, result)
}

fn refused(members: &[(&str, tar::EntryType, &str)], what: &str) {
    let (folder, result) = unpacked(members);
    let failure = result.unwrap_err();
    assert_eq!(failure.diagnostics[0].code, "bad-archive");
    assert!(failure.to_string().contains(what), "expected `{what}` in {failure}");
    assert!(!folder.path().join("evil").exists());
}

#[test]
fn files_folders_and_links_come_without_the_first_folder_and_without_odd_bits() {
    let (folder, result) = unpacked(&[
        ("x-1/a/run.sh", FILE, "#!/bin/sh\n"),
        ("x-1/a/again.sh", HARD, "x-1/a/run.sh"),
        ("x-1/b/up", LINK, "../a/run.sh"),
        ("x-1/a/run.sh", FILE, "later\n"),
    ]);
    result.unwrap();
    let to = folder.path().join("to");
    assert_eq!(fs::read_to_string(to.join("b/up")).unwrap(), "later\n");
    assert_eq!(fs::read_to_string(to.join("a/again.sh")).unwrap(), "#!/bin/sh\n");
    let meta = fs::metadata(to.join("a/run.sh")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o755);
    let since = meta.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_700_000_000);
}

#[test]
fn members_that_lead_out_are_refused() {
    refused(&[("x/../../evil", FILE, "e")], "the member `x/../../evil`, which leads out of it");
    refused(&[("/evil", FILE, "e")], "which leads out of it");
    refused(
        &[("x/a", LINK, ".."), ("x/a/evil", FILE, "e")],
        "has a member below `a`, which is no folder of it",
    );
}

#[test]
fn links_that_lead_out_are_refused() {
    refused(&[("x/a/b", LINK, "../../evil")], "the link `a/b` to `../../evil`, which leads out of it");
    // The second goes up from where the first leads.
    refused(
        &[("x/d/e/f", FILE, ""), ("x/a/b/c", LINK, "../../d"), ("x/l", LINK, "a/b/c/../../evil")],
        "which leads out of it",
    );
    refused(&[("x/a", HARD, "../evil")], "to something that is no file of it");
    refused(&[("x/s", LINK, "t"), ("x/a", HARD, "x/s")], "to something that is no file of it");
    refused(&[("x/pipe", tar::EntryType::Fifo, "")], "neither file, folder nor link");
}

#[test]
fn an_absolute_link_is_kept_and_never_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let at = elsewhere.path().to_str().unwrap();
    let (folder, result) = unpacked(&[("x/etc/init", LINK, "/etc/init.d/init")]);
    result.unwrap();
    let link = fs::read_link(folder.path().join("to/etc/init")).unwrap();
    assert_eq!(link, Path::new("/etc/init.d/init"));
    refused(&[("x/a", LINK, at), ("x/a/evil", FILE, "e")], "which is no folder of it");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    let (folder, result) = unpacked(&[("x/a", LINK, at), ("x/a", FILE, "in its place")]);
    result.unwrap();
    assert!(fs::symlink_metadata(folder.path().join("to/a")).unwrap().is_file());
}

#[test]
fn a_bomb_and_rubbish_are_refused() {
    let large = "x".repeat(2000);
    refused(&[("x/a", FILE, &large)], "unpacks to more than any such archive does");
    let folder = tempfile::tempdir().unwrap();
    for bytes in [&b"this is no archive at all, whatever its name says"[..], b"\xfd7zXZ\0cut", b"\x1f\x8bcut"]
    {
        let path = folder.path().join("x.tar.xz");
        fs::write(&path, bytes).unwrap();
        let failure = unpack(&path, folder.path(), 1000).unwrap_err();
        assert!(failure.to_string().contains("is damaged, or no tar archive"), "{failure}");
    }
}
