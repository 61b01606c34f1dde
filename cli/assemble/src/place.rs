//! Puts a finished folder in the place of the old one, at once.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{Failure, Outcome};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Where a new image is made: `image.new/image/`, so that the record's paths hold below `image.new/`.
pub fn staging(folder: &Path) -> PathBuf {
    folder.join("image.new")
}

/// Clears what a killed run left and makes an empty staging folder.
pub fn prepare(folder: &Path) -> Outcome<PathBuf> {
    let (old, place, staging) = (folder.join("image.old"), folder.join("image"), staging(folder));
    // Killed between the two renames of a file system that cannot exchange.
    if old.exists() && !place.exists() {
        fs::rename(&old, &place).map_err(|e| Failure::io("write", &place, &e))?;
    }
    for left in [&old, &staging] {
        remove(left)?;
    }
    let inner = staging.join("image");
    fs::create_dir_all(&inner).map_err(|e| Failure::io("make", &inner, &e))?;
    Ok(inner)
}

/// Exchanges `image.new/image` with `image`, and removes the old one.
pub fn swap(folder: &Path) -> Outcome<()> {
    let (new, place, old) = (staging(folder).join("image"), folder.join("image"), folder.join("image.old"));
    let writing = |e: &std::io::Error| Failure::io("write", &place, e);
    if !place.exists() {
        fs::rename(&new, &place).map_err(|e| writing(&e))?;
    } else if renameat_with(CWD, &new, CWD, &place, RenameFlags::EXCHANGE).is_err() {
        // Some network and overlay file systems cannot exchange.
        fs::rename(&place, &old).map_err(|e| writing(&e))?;
        fs::rename(&new, &place).map_err(|e| writing(&e))?;
    }
    remove(&old)?;
    remove(&staging(folder))
}

/// Removes the staging folder.
pub fn discard(folder: &Path) -> Outcome<()> {
    remove(&staging(folder))
}

fn remove(path: &Path) -> Outcome<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", path, &e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_folder_takes_the_place_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["one", "two"] {
            let inner = prepare(folder.path()).unwrap();
            fs::write(inner.join("f"), content).unwrap();
            swap(folder.path()).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("image/f")).unwrap(), content);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_killed_run_keeps_the_old_image() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("image.old")).unwrap();
        fs::write(folder.path().join("image.old/f"), "old").unwrap();
        fs::create_dir_all(folder.path().join("image.new/image/half")).unwrap();
        let inner = prepare(folder.path()).unwrap();
        assert_eq!(fs::read_dir(inner).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(folder.path().join("image/f")).unwrap(), "old");
    }
}
