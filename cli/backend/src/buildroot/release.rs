//! A pinned Buildroot release: fetched, compared with its hash, unpacked into the cache.
//!
//! The hash in the product is what is trusted; the server and the way to it are not.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use spec::plan::ReleaseFacts;

use super::local_changes::{LISTING, Listing};
use super::source;
use crate::cache::wait_for_lock;
use crate::unpack::unpack;
use crate::{Cache, key_of};

/// No release is half as large, packed or unpacked.
const MAX_TARBALL: u64 = 256 << 20;
const MAX_TREE: u64 = 1 << 30;

/// The folder in the cache where that release is, or will be. The tree is its `tree`.
#[must_use]
pub fn folder(release: &ReleaseFacts, cache: &Cache) -> PathBuf {
    cache.path("buildroot-trees").join(key(release))
}

fn key(release: &ReleaseFacts) -> String {
    key_of(&["1", &release.version, &release.sha256])
}

/// The unpacked tree of a release, and whether it was there already.
///
/// # Errors
/// When it cannot be fetched, is not what the product pins, or is no such release.
pub fn tree(release: &ReleaseFacts, cache: &Cache, offline: bool, log: &Path) -> Outcome<(PathBuf, bool)> {
    let (folder, cached) = cache.stage("buildroot-trees", &key(release), |part| {
        let tarball = fetch(release, cache, offline, log)?;
        let tree = part.join("tree");
        fs::create_dir(&tree).map_err(|e| Failure::io("make", &tree, &e))?;
        unpack(&tarball, &tree, MAX_TREE)?;
        let found = source::version(&tree)?;
        if found.full != release.version {
            let message = format!(
                "the tarball that the product pins as Buildroot {} holds Buildroot {}",
                release.version, found.full
            );
            return Err(Failure::error(ExitStatus::Input, "other-release", message)
                .hint("correct `buildroot: {release: {version, sha256}}` in the product"));
        }
        Listing::of(&tree)?.write(&part.join(LISTING))
    })?;
    Ok((folder.join("tree"), cached))
}

/// The tarball in the cache, compared with its hash each time that it is asked for.
fn fetch(release: &ReleaseFacts, cache: &Cache, offline: bool, log: &Path) -> Outcome<PathBuf> {
    let name = release.url.rsplit(['/', '?', '=']).next().unwrap_or("buildroot.tar");
    let file = cache.folder("buildroot-releases")?.join(format!("{}-{name}", &release.sha256[..16]));
    let _lock = wait_for_lock(&cache.folder("locks")?.join(format!("release-{}", &release.sha256[..16])))?;
    if !file.is_file() {
        if offline {
            let message =
                format!("`--offline` was given, but the cache does not hold Buildroot {}", release.version);
            return Err(Failure::error(ExitStatus::Environment, "offline", message)
                .hint("run once without `--offline`, or give an unpacked tree: `--buildroot DIR`"));
        }
        download(release, &file, log)?;
    }
    let (sha256, bytes) = record::sha256_file(&file)?;
    if sha256 == release.sha256 {
        return Ok(file);
    }
    let _ = fs::remove_file(&file);
    Err(Failure::error(
        ExitStatus::Build,
        "corrupt-download",
        format!(
            "`{}` is not what the product pins: expected SHA-256 {}, found {bytes} bytes with {sha256}",
            release.url, release.sha256
        ),
    )
    .hint("it was removed and is fetched anew by the next run; if it is the same again, compare the product's `sha256` with the release's signed announcement"))
}

/// Only a whole file gets the name under which it is looked for.
fn download(release: &ReleaseFacts, file: &Path, log: &Path) -> Outcome<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let fetched = Call::new(tool("curl")?)
        .args(["--fail", "--location", "--silent", "--show-error", "--max-redirs", "5"])
        // No redirection from a server to this machine's own files.
        .args(["--proto", "=https,http,file", "--proto-redir", "=https,http"])
        .args(["--connect-timeout", "30", "--speed-time", "60", "--speed-limit", "1024"])
        .args(["--max-filesize", &MAX_TARBALL.to_string(), "--output"])
        .arg(&part)
        .arg(&release.url)
        .log(log)
        .limit(std::time::Duration::from_secs(3600))
        .run();
    if let Err(failure) = fetched {
        let _ = fs::remove_file(&part);
        return Err(failure
            .note(format!("while Buildroot {} was fetched from `{}`", release.version, release.url))
            .hint("name a mirror in the product (`buildroot: {release: {url: …}}`), or give a tree: `--buildroot DIR`"));
    }
    fs::rename(&part, file).map_err(|e| Failure::io("write", file, &e))
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
