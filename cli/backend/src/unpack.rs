//! Unpacks a tarball that somebody else made into a folder, and nothing of it anywhere else.
//!
//! Every member's path is checked, nothing is written through a link, and no relative link leads out of
//! the folder. An absolute link speaks of a device's root file system (a skeleton of Buildroot, a
//! toolchain's sysroot) and stays as it is: nothing here follows it. Owners are not restored; nothing
//! but files, folders and links is. Sizes are bounded, since a small archive can hold a large one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};

const MAX_MEMBERS: usize = 500_000;

/// Unpacks `tarball` (`.tar`, or compressed with xz, gzip or zstd: its first bytes say which) into
/// `folder`, without the first part of every member's path. At most `limit` bytes of files.
///
/// # Errors
/// When it is no such archive or damaged, a member or a link leads out of the folder, or it is too large.
pub fn unpack(tarball: &Path, folder: &Path, limit: u64) -> Outcome<()> {
    let mut unpacking = Unpacking { tarball, folder, left: limit, links: Vec::new() };
    let mut archive = tar::Archive::new(open(tarball)?);
    let members = archive.entries().map_err(|e| unpacking.damaged(&e))?;
    for (count, member) in members.enumerate() {
        if count >= MAX_MEMBERS {
            return Err(unpacking.bad(&format!("has more than {MAX_MEMBERS} members")));
        }
        // A whole release takes seconds: a signal that asks to stop is obeyed meanwhile.
        exec::check_interrupt()?;
        let mut member = member.map_err(|e| unpacking.damaged(&e))?;
        unpacking.member(&mut member)?;
    }
    unpacking.links_stay_inside()
}

/// The archive's bytes, decompressed.
fn open(tarball: &Path) -> Outcome<Box<dyn Read>> {
    let failed = |e: std::io::Error| Failure::io("read", tarball, &e);
    let mut start = [0; 6];
    let read = File::open(tarball).and_then(|mut file| file.read(&mut start)).map_err(failed)?;
    let file = BufReader::with_capacity(1 << 20, File::open(tarball).map_err(failed)?);
    Ok(match &start[..read] {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(xz2::read::XzDecoder::new(file)),
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(file).map_err(failed)?),
        _ => Box::new(file),
    })
}

struct Unpacking<'a> {
    tarball: &'a Path,
    folder: &'a Path,
    left: u64,
    /// Symbolic links, by their path in the folder, with their targets: judged when all is there.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Unpacking<'_> {
    fn bad(&self, what: &str) -> Failure {
        Failure::error(ExitStatus::Build, "bad-archive", format!("`{}` {what}", self.tarball.display()))
            .hint("fetch it again from a source that you trust, or unpack it yourself and give the folder")
    }

    fn damaged(&self, error: &std::io::Error) -> Failure {
        self.bad(&format!("is damaged, or no tar archive: {error}"))
    }

    fn member(&mut self, member: &mut tar::Entry<'_, impl Read>) -> Outcome<()> {
        let name = member.path().map_err(|e| self.damaged(&e))?.into_owned();
        let inside = plain(&name).ok_or_else(|| {
            self.bad(&format!("has the member `{}`, which leads out of it", name.display()))
        })?;
        let path: PathBuf = inside.components().skip(1).collect();
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let kind = member.header().entry_type();
        if kind.is_dir() {
            return self.make_folder(&path);
        }
        if let Some(parent) = path.parent() {
            self.make_folder(parent)?;
        }
        let to = self.folder.join(&path);
        let target = |entry: &tar::Entry<'_, _>| -> Option<PathBuf> {
            entry.link_name().ok().flatten().map(|target| target.into_owned())
        };
        match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous => self.file(member, &to),
            tar::EntryType::Symlink => {
                let target = target(member)
                    .ok_or_else(|| self.bad(&format!("has a bad link `{}`", name.display())))?;
                self.links.push((path, target.clone()));
                replace(&to)?;
                symlink(&target, &to).map_err(|e| Failure::io("make", &to, &e))
            }
            tar::EntryType::Link => {
                let of: Option<PathBuf> = target(member)
                    .and_then(|target| plain(&target))
                    .map(|target| target.components().skip(1).collect());
                let of = of.filter(|of| self.is_plain_file(of)).ok_or_else(|| {
                    self.bad(&format!("links `{}` to something that is no file of it", name.display()))
                })?;
                replace(&to)?;
                fs::hard_link(self.folder.join(of), &to).map_err(|e| Failure::io("make", &to, &e))
            }
            tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => Ok(()),
            other => Err(self.bad(&format!(
                "has the member `{}` of kind {other:?}, which is neither file, folder nor link",
                name.display()
            ))),
        }
    }

    fn file(&mut self, member: &mut tar::Entry<'_, impl Read>, to: &Path) -> Outcome<()> {
        let mode = member.header().mode().map_err(|e| self.damaged(&e))?;
        let mtime = member.header().mtime().map_err(|e| self.damaged(&e))?;
        replace(to)?;
        let writing = |e: std::io::Error| Failure::io("write", to, &e);
        // Neither setuid nor writable for others, whatever the archive says.
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let mut file = File::options().write(true).create_new(true).mode(mode).open(to).map_err(writing)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = member.read(&mut buffer).map_err(|e| self.damaged(&e))?;
            if count == 0 {
                break;
            }
            self.left = self
                .left
                .checked_sub(count as u64)
                .ok_or_else(|| self.bad("unpacks to more than any such archive does; it was given up"))?;
            file.write_all(&buffer[..count]).map_err(writing)?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(writing)?;
        // Makefiles compare times: those of the archive are the same wherever it is unpacked.
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime.min(u64::from(u32::MAX)));
        file.set_modified(time).map_err(writing)
    }

    /// Makes a folder and those above it, through no link.
    fn make_folder(&self, path: &Path) -> Outcome<()> {
        let mut at = self.folder.to_owned();
        for part in path.components() {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => {
                    return Err(self
                        .bad(&format!("has a member below `{}`, which is no folder of it", path.display())));
                }
                Err(_) => fs::create_dir(&at).map_err(|e| Failure::io("make", &at, &e))?,
            }
        }
        Ok(())
    }

    fn is_plain_file(&self, path: &Path) -> bool {
        let mut at = self.folder.to_owned();
        let parents = path.parent().into_iter().flat_map(Path::components);
        parents.into_iter().all(|part| {
            at.push(part);
            fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_dir())
        }) && fs::symlink_metadata(self.folder.join(path)).is_ok_and(|meta| meta.is_file())
    }

    /// No relative link leads out of the folder, neither by its text nor through other links.
    fn links_stay_inside(&self) -> Outcome<()> {
        let links: BTreeSet<&Path> = self.links.iter().map(|(path, _)| path.as_path()).collect();
        for (path, target) in self.links.iter().filter(|(_, target)| target.is_relative()) {
            let mut at: Vec<Component<'_>> = path.parent().into_iter().flat_map(Path::components).collect();
            let escapes = || {
                self.bad(&format!(
                    "has the link `{}` to `{}`, which leads out of it",
                    path.display(),
                    target.display()
                ))
            };
            for part in target.components() {
                // `..` behind a linked folder goes up from where the link leads, not from where it is.
                let climbs_from_link = || links.contains(at.iter().collect::<PathBuf>().as_path());
                match part {
                    Component::CurDir => {}
                    Component::ParentDir if climbs_from_link() => return Err(escapes()),
                    Component::ParentDir => {
                        at.pop().ok_or_else(escapes)?;
                    }
                    Component::Normal(_) => at.push(part),
                    Component::RootDir | Component::Prefix(_) => return Err(escapes()),
                }
            }
        }
        Ok(())
    }
}

/// The path without `.`, if it is relative and holds no `..`.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(out)
}

/// A later member takes an earlier one's place; a folder stays, and is an error when it is written.
fn replace(path: &Path) -> Outcome<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("replace", path, &e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
