//! Options of the backends `buildroot` and `yocto`: what this machine brings to a build.

use std::path::PathBuf;

use backend::buildroot::{Ccache, Machine};
use diag::{ExitStatus, Failure, Outcome};
use spec::plan::Plan;

/// What a product cannot know: where this machine has its tree, toolchain, mirrors and caches.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of the backend buildroot")]
pub struct BuildrootOptions {
    /// A Buildroot tree; otherwise the release that the product pins
    #[arg(long, value_name = "DIR")]
    pub buildroot: Option<PathBuf>,
    /// Buildroot symbols of this machine, in a `.config`'s form; the options below win over it
    #[arg(long, value_name = "FILE")]
    buildroot_config: Option<PathBuf>,
    /// An external toolchain: its folder, or a tarball of it; otherwise Buildroot builds one
    #[arg(long, value_name = "PATH")]
    toolchain: Option<PathBuf>,
    /// Folder of downloads; otherwise one in the cache
    #[arg(long, value_name = "DIR")]
    dl: Option<PathBuf>,
    /// Mirror that is asked before the packages' own sites; with --offline the only one
    #[arg(long, value_name = "URL")]
    primary_site: Option<String>,
    /// Keep compiled objects over builds, in that folder or in one in the cache
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    ccache: Option<Option<PathBuf>>,
    /// One staging and target folder for all packages: less disk, but one package at a time
    #[arg(long)]
    no_per_package: bool,
}

/// Options of one backend mean nothing to another: using none of them in silence would be a surprise.
///
/// # Errors
/// `other-backend` when an option of a backend was given that builds none of the plans.
pub fn refuse_for_other(name: &str, given: &[(&str, bool)], plans: &[Plan]) -> Outcome<()> {
    let Some((option, _)) = given.iter().find(|(_, given)| *given) else { return Ok(()) };
    match plans.iter().find(|plan| plan.backend != name) {
        None => Ok(()),
        Some(plan) => {
            let built = &plan.backend;
            let message =
                format!("`{option}` is an option of the backend `{name}`, but `{built}` builds this product");
            Err(Failure::error(ExitStatus::Usage, "other-backend", message)
                .hint(format!("add `--backend {name}`, or leave `{option}` out")))
        }
    }
}

impl BuildrootOptions {
    /// Refuses what is wrong before any work: options for plans that Buildroot does not build, a mirror that is none,
    /// a toolchain that is not there.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self, plans: &[Plan]) -> Outcome<()> {
        let given = [
            ("--buildroot", self.buildroot.is_some()),
            ("--buildroot-config", self.buildroot_config.is_some()),
            ("--toolchain", self.toolchain.is_some()),
            ("--dl", self.dl.is_some()),
            ("--primary-site", self.primary_site.is_some()),
            ("--ccache", self.ccache.is_some()),
            ("--no-per-package", self.no_per_package),
        ];
        refuse_for_other("buildroot", &given, plans)?;
        self.machine().mirror()?;
        if let Some(toolchain) = &self.toolchain
            && !toolchain.exists()
        {
            let message = format!("there is no toolchain `{}`", toolchain.display());
            return Err(Failure::error(ExitStatus::Input, "no-toolchain", message).hint(
                "give its folder, or a tarball of it; without `--toolchain` Buildroot builds its own",
            ));
        }
        Ok(())
    }

    /// As the backend takes them.
    pub fn machine(&self) -> Machine {
        Machine {
            tree: self.buildroot.clone(),
            symbols: self.buildroot_config.clone(),
            toolchain: self.toolchain.clone(),
            downloads: self.dl.clone(),
            primary_site: self.primary_site.clone(),
            ccache: match &self.ccache {
                None => Ccache::AsConfigured,
                Some(None) => Ccache::Shared,
                Some(Some(folder)) => Ccache::In(folder.clone()),
            },
            shared_folders: self.no_per_package,
        }
    }
}

/// What a product cannot know of a build with BitBake.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of the backend yocto")]
pub struct YoctoOptions {
    /// Folder with the checkouts of BitBake and the layers, as `kas checkout` leaves them
    #[arg(long, value_name = "DIR")]
    yocto: Option<PathBuf>,
    /// Lines for BitBake's local.conf: threads, mirrors and caches of this machine
    #[arg(long, value_name = "FILE")]
    yocto_config: Option<PathBuf>,
    /// Images of a build that is done already (DEPLOY_DIR_IMAGE); BitBake is not started
    #[arg(long, value_name = "DIR", conflicts_with_all = ["yocto", "yocto_config"])]
    yocto_deploy: Option<PathBuf>,
}

impl YoctoOptions {
    /// Refuses options for plans that BitBake does not build.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self, plans: &[Plan]) -> Outcome<()> {
        let given = [
            ("--yocto", self.yocto.is_some()),
            ("--yocto-config", self.yocto_config.is_some()),
            ("--yocto-deploy", self.yocto_deploy.is_some()),
        ];
        refuse_for_other("yocto", &given, plans)
    }

    /// As the backend takes them.
    pub fn machine(&self) -> backend::yocto::Machine {
        backend::yocto::Machine {
            checkouts: self.yocto.clone(),
            local: self.yocto_config.clone(),
            deploy: self.yocto_deploy.clone(),
        }
    }
}
