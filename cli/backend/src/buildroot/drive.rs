//! Runs Buildroot's makefile to build: what it may fetch, how wide it runs, what it tells meanwhile.

use std::fs;
use std::path::Path;
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};

use super::configure::{Place, make};
use super::log;
use super::machine::{self, Ccache};
use crate::{BuildOptions, Cache, Progress, follow};

/// With less room than this, bytes, nothing is built.
const LITTLE: u64 = 1 << 20;
/// A whole build on a slow machine.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Builds `targets`; the log tells of this run only, since a failure's reason is looked for in it.
///
/// # Errors
/// When the build fails, with the package and the reason as the log tells them.
pub fn run(
    targets: &[&str],
    place: Place<'_>,
    options: &BuildOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Outcome<()> {
    if let Err(e) = fs::remove_file(place.log)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Failure::io("remove", place.log, &e));
    }
    let mut call = make(place)?.args(targets).arg(format!("-j{}", options.jobs)).limit(LIMIT);
    let machine = &options.buildroot;
    let path = place.output.join(".config");
    let config = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
    let has = |line: &str| config.lines().any(|other| other == line);
    // Buildroot prefers both to its symbols. Their defaults stand for "below the tree" and "below the
    // home folder", which may not be ours to write to.
    if let Some(downloads) = machine.download_folder()? {
        call = call.env("BR2_DL_DIR", downloads);
    } else if has("BR2_DL_DIR=\"$(TOPDIR)/dl\"") {
        call = call.env("BR2_DL_DIR", cache.folder("buildroot-downloads")?);
    }
    match &machine.ccache {
        Ccache::In(folder) => call = call.env("BR2_CCACHE_DIR", machine::folder(folder)?),
        _ if has("BR2_CCACHE=y") && has("BR2_CCACHE_DIR=\"$(HOME)/.buildroot-ccache\"") => {
            call = call.env("BR2_CCACHE_DIR", cache.folder("buildroot-ccache")?);
        }
        _ => {}
    }
    // What is on make's command line is no part of the configuration: another mirror configures nothing anew.
    let site = machine.mirror()?.map(str::to_owned);
    let nowhere = || format!("file://{}", place.output.join("nowhere").display());
    if let Some(site) = site.or_else(|| options.offline.then(nowhere)) {
        call = call.arg(format!("BR2_PRIMARY_SITE={site}"));
    }
    if options.offline {
        call = call.arg("BR2_PRIMARY_SITE_ONLY=y");
    }
    // Ninja and cargo take no part in make's own count: they get theirs by this symbol, whose default
    // is one more than the machine has processors. Source: Buildroot `package/Makefile.in`.
    if has("BR2_JLEVEL=0") {
        call = call.arg(format!("BR2_JLEVEL={}", options.jobs));
    }
    if rustix::process::geteuid().is_root() {
        call = call.env("FORCE_UNSAFE_CONFIGURE", "1");
    }
    let result = follow::run(&call, place.log, log::doing, progress);
    result.map_err(|whole| {
        let failure = log::failure(place.log, &follow::end_of(place.log), whole);
        if failure.diagnostics.iter().all(|d| d.code == "package-failed") {
            without_room(failure, &[place.log, place.output])
        } else {
            failure
        }
    })
}

/// A log that had no room for its last words does not say why make ended.
fn without_room(mut failure: Failure, paths: &[&Path]) -> Failure {
    let room = |path: &Path| {
        rustix::fs::statvfs(path).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
    };
    let full = paths.iter().map(|path| (path, room(path))).find(|(_, room)| *room < LITTLE);
    if let Some((path, room)) = full {
        failure.status = ExitStatus::Environment;
        if let Some(last) = failure.diagnostics.last_mut() {
            last.code = log::NO_SPACE.to_owned();
            last.message.push_str(": the disk is full");
        }
        failure = failure
            .note(format!("the file system of `{}` has {} KiB left", path.display(), room >> 10))
            .hint("make room there, then run the same command again to go on where it stopped");
    }
    failure
}
