//! Runs Buildroot's makefile to build: what it may fetch, how wide it runs, what it tells meanwhile.

use std::fs;
use std::time::Duration;

use diag::{Failure, Outcome};

use super::configure::{Place, make};
use super::log;
use super::machine::{self, Ccache};
use crate::{BuildOptions, Cache, Progress, follow};

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
    if rustix::process::geteuid().is_root() {
        call = call.env("FORCE_UNSAFE_CONFIGURE", "1");
    }
    let result = follow::run(&call, place.log, log::doing, progress);
    result.map_err(|whole| log::failure(place.log, &follow::end_of(place.log), whole))
}
