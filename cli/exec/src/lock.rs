//! One run for one output folder.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};

/// Holds a folder for this process; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder (made if it is missing) or says who has it.
    ///
    /// # Errors
    /// When another run holds it, or it cannot be written.
    pub fn take(folder: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
        let path = folder.join(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| Failure::io("open", &path, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Failure::error(
                ExitStatus::Busy,
                "folder-busy",
                format!("another run of fastness works in `{}`", folder.display()),
            )
            .hint("wait for it, or choose another folder with `--out`")),
            Err(TryLockError::Error(e)) => Err(Failure::io("lock", &path, &e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_told_and_the_third_may_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let failure = FolderLock::take(folder.path()).unwrap_err();
        assert_eq!(failure.status, ExitStatus::Busy);
        assert!(failure.to_string().contains("another run of fastness works in"));
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }
}
