//! One run for one output folder.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use rustix::fs::OFlags;

/// A pipe of that name waits for nobody.
const FLAGS: i32 = OFlags::NONBLOCK.bits() as i32;

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
            .custom_flags(FLAGS)
            .open(&path)
            .map_err(|e| Failure::io("open", &path, &e))?;
        let held = file.try_lock();
        Self::held(held, file, folder, &path)
    }

    /// Holds a folder that is only read, together with others who only read it: nothing is written, so that it may be somebody
    /// else's or on a medium that takes nothing. None where there is no lock, or none that may be opened.
    ///
    /// # Errors
    /// When a run works in it.
    pub fn take_to_read(folder: &Path) -> Outcome<Option<Self>> {
        let path = folder.join(".lock");
        let file = match File::options().read(true).custom_flags(FLAGS).open(&path) {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                return Ok(None);
            }
            Err(e) => return Err(Failure::io("open", &path, &e)),
        };
        let held = file.try_lock_shared();
        Self::held(held, file, folder, &path).map(Some)
    }

    fn held(held: Result<(), TryLockError>, file: File, folder: &Path, path: &Path) -> Outcome<Self> {
        match held {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Failure::error(
                ExitStatus::Busy,
                "folder-busy",
                format!("another run of fastness works in `{}`", folder.display()),
            )
            .hint("wait for it, or choose another folder with `--out`")),
            Err(TryLockError::Error(e)) => Err(Failure::io("lock", path, &e)),
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

    #[test]
    fn who_only_reads_writes_nothing_and_shares_the_folder_with_others_who_do() {
        let folder = tempfile::tempdir().unwrap();
        assert!(FolderLock::take_to_read(&folder.path().join("none")).unwrap().is_none());
        assert!(FolderLock::take_to_read(folder.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(FolderLock::take(folder.path()).unwrap());
        let one = FolderLock::take_to_read(folder.path()).unwrap();
        let two = FolderLock::take_to_read(folder.path()).unwrap();
        assert!(one.is_some() && two.is_some());
        assert_eq!(FolderLock::take(folder.path()).unwrap_err().status, ExitStatus::Busy);
        drop((one, two));
        let _work = FolderLock::take(folder.path()).unwrap();
        let failure = FolderLock::take_to_read(folder.path()).unwrap_err();
        assert_eq!(failure.status, ExitStatus::Busy);
        assert!(failure.to_string().contains("another run of fastness works in"), "{failure}");
    }
}
