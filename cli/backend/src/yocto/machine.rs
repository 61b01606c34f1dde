//! What one machine brings to a build with BitBake: checkouts, a local configuration, finished parts.

use std::path::PathBuf;

/// Options of one machine. None of it is in the product or in the generated layers.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Folder with a checkout of every repository of the series, under its name: what `kas checkout` leaves.
    pub checkouts: Option<PathBuf>,
    /// Lines for `local.conf`, read last: threads, mirrors and caches of this machine.
    pub local: Option<PathBuf>,
    /// `DEPLOY_DIR_IMAGE` of a build that is done already: nothing is built then.
    pub deploy: Option<PathBuf>,
}
