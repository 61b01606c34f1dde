//! The files of a key: written whole or not at all, never over another, closed to other users.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};

/// Makes the store's folder with mode 0700, or checks that it has no more than that.
pub fn open_store(folder: &Path) -> Outcome<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| Failure::io("make", folder, &e))?;
    check_folder(folder)
}

/// Refuses a store into which others could put a key, or from which they could read one.
pub fn check_folder(folder: &Path) -> Outcome<()> {
    let meta = fs::metadata(folder).map_err(|e| Failure::io("read", folder, &e))?;
    judge(folder, meta.mode(), meta.uid(), "700")
}

/// Refuses a secret's file that anybody but its owner can use.
pub fn refuse_open_permissions(path: &Path, file: &File) -> Outcome<()> {
    let meta = file.metadata().map_err(|e| Failure::io("read", path, &e))?;
    if !meta.is_file() {
        return Err(Failure::error(
            ExitStatus::Keys,
            "key-permissions",
            format!("expected `{}` to be a regular file", path.display()),
        )
        .hint("give the path of the file itself"));
    }
    judge(path, meta.mode(), meta.uid(), "600")
}

/// Refuses what somebody else could have written: a public key is trusted for what it is.
pub fn refuse_writable(path: &Path) -> Outcome<()> {
    let mode = fs::metadata(path).map_err(|e| Failure::io("read", path, &e))?.mode() & 0o7777;
    if mode & 0o022 == 0 {
        return Ok(());
    }
    let message = format!("expected `{}` to be written by its owner only, found 0{mode:o}", path.display());
    Err(Failure::error(ExitStatus::Keys, "key-permissions", message).hint(format!(
        "run `chmod go-w {}`, and compare the key's fingerprint (`fastness keys list`) with one that you know",
        path.display()
    )))
}

fn judge(path: &Path, mode: u32, owner: u32, wanted: &str) -> Outcome<()> {
    let (user, mode) = (rustix::process::geteuid().as_raw(), mode & 0o7777);
    if owner != user {
        return Err(Failure::error(
            ExitStatus::Keys,
            "key-permissions",
            format!("expected `{}` to belong to this user (uid {user}), found uid {owner}", path.display()),
        )
        .hint("keys are used by their owner only"));
    }
    if mode & 0o077 != 0 {
        return Err(Failure::error(
            ExitStatus::Keys,
            "key-permissions",
            format!("expected `{}` to be closed to other users (0{wanted}), found 0{mode:o}", path.display()),
        )
        .hint(format!(
            "run `chmod {wanted} {}`; if others may have read it, make a new key",
            path.display()
        )));
    }
    Ok(())
}

/// One file of a new key.
pub struct NewFile<'a> {
    /// File name in the store.
    pub name: String,
    /// Whole content.
    pub content: &'a [u8],
    /// Permission bits.
    pub mode: u32,
}

/// Publishes all files of a new key, or none.
///
/// They are written into a staging folder first and then linked to their names, which fails
/// rather than replaces. A run that was killed in between leaves the staging folder; the next
/// one takes back what it had linked.
pub fn publish(folder: &Path, name: &str, files: &[NewFile<'_>]) -> Outcome<()> {
    let staging = folder.join(format!(".{name}.new"));
    undo_interrupted(folder, &staging, files)?;
    for file in files {
        let path = folder.join(&file.name);
        if path.symlink_metadata().is_ok() {
            return Err(exists(name, &path));
        }
    }
    fs::DirBuilder::new().mode(0o700).create(&staging).map_err(|e| Failure::io("make", &staging, &e))?;
    for file in files {
        write_new(&staging.join(&file.name), file)?;
    }
    for file in files {
        let path = folder.join(&file.name);
        fs::hard_link(staging.join(&file.name), &path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => exists(name, &path),
            _ => Failure::io("write", &path, &e),
        })?;
    }
    sync_folder(folder)?;
    fs::remove_dir_all(&staging).map_err(|e| Failure::io("remove", &staging, &e))
}

/// Clears up after a run of [`publish`] that was killed when all files of `name` had appeared.
///
/// Only for who knows that: of the others, [`publish`] itself takes back what there is.
pub fn settle(folder: &Path, name: &str) -> Outcome<()> {
    let staging = folder.join(format!(".{name}.new"));
    match fs::remove_dir_all(&staging) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", &staging, &e)),
        _ => Ok(()),
    }
}

fn write_new(path: &PathBuf, file: &NewFile<'_>) -> Outcome<()> {
    let write = || -> std::io::Result<()> {
        let mut out = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        out.write_all(file.content)?;
        out.set_permissions(Permissions::from_mode(file.mode))?;
        out.sync_all()
    };
    write().map_err(|e| Failure::io("write", path, &e))
}

fn sync_folder(folder: &Path) -> Outcome<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Failure::io("write", folder, &e))
}

/// Takes back what an interrupted run had linked; a run that had linked everything is left as finished.
fn undo_interrupted(folder: &Path, staging: &Path, files: &[NewFile<'_>]) -> Outcome<()> {
    if staging.symlink_metadata().is_err() {
        return Ok(());
    }
    let inode = |path: PathBuf| path.symlink_metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let linked: Vec<PathBuf> = files
        .iter()
        .filter(|file| {
            let staged = inode(staging.join(&file.name));
            staged.is_some() && staged == inode(folder.join(&file.name))
        })
        .map(|file| folder.join(&file.name))
        .collect();
    if linked.len() < files.len() {
        for path in linked {
            fs::remove_file(&path).map_err(|e| Failure::io("remove", &path, &e))?;
        }
    }
    fs::remove_dir_all(staging).map_err(|e| Failure::io("remove", staging, &e))
}

fn exists(name: &str, path: &Path) -> Failure {
    Failure::error(
        ExitStatus::Keys,
        "key-exists",
        format!("the key `{name}` exists already (`{}`); keys are never overwritten", path.display()),
    )
    .hint("choose another name, or move the old key's files away first")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> [NewFile<'static>; 2] {
        [
            NewFile { name: "k.key.pem".into(), content: b"key", mode: 0o600 },
            NewFile { name: "k.json".into(), content: b"{}", mode: 0o644 },
        ]
    }

    #[test]
    fn files_have_their_modes_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), "k", &files()).unwrap();
        let mode = |name: &str| folder.path().join(name).metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode("k.key.pem"), mode("k.json")), (0o600, 0o644));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("k.json"), "mine").unwrap();
        let failure = publish(folder.path(), "k", &files()).unwrap_err();
        assert!(failure.to_string().contains("keys are never overwritten"), "{failure}");
        assert_eq!(failure.status, ExitStatus::Keys);
        assert_eq!(fs::read(folder.path().join("k.json")).unwrap(), b"mine");
        assert!(!folder.path().join("k.key.pem").exists());
    }

    #[test]
    fn a_killed_run_is_taken_back_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let staging = folder.path().join(".k.new");
        fs::create_dir(&staging).unwrap();
        fs::write(staging.join("k.key.pem"), "half").unwrap();
        fs::hard_link(staging.join("k.key.pem"), folder.path().join("k.key.pem")).unwrap();
        publish(folder.path(), "k", &files()).unwrap();
        assert_eq!(fs::read(folder.path().join("k.key.pem")).unwrap(), b"key");
        assert!(!staging.exists());
    }

    #[test]
    fn a_store_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let text = open_store(folder.path()).unwrap_err().to_string();
        assert!(text.contains("(0700), found 0755") && text.contains("chmod 700"), "{text}");
        let fresh = folder.path().join("a/b");
        open_store(&fresh).unwrap();
        assert_eq!(fresh.metadata().unwrap().mode() & 0o7777, 0o700);
    }
}
