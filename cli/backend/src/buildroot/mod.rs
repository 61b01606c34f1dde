//! The Buildroot backend: a BR2_EXTERNAL tree that also builds without Fastness.
//!
//! [`generate()`] writes the tree from the plan, always the same bytes, and leaves unchanged files
//! untouched, so that Buildroot rebuilds nothing that did not change. No key ever comes here.

mod build;
mod components;
mod configure;
pub(crate) mod defconfig;
mod drive;
mod generate;
mod hand_over;
mod host_tools;
mod local_changes;
mod log;
mod machine;
pub(crate) mod overlay;
mod release;
mod source;
pub(crate) mod tables;
mod toolchain;
mod tree;

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::{BuildrootFacts, Plan};

pub use build::build;
pub use configure::check_symbols;
pub use generate::{generate, tree_of, tree_of_boards};
pub use machine::{Ccache, Machine};
pub use source::{Version, version};
pub use tree::{Node, Tree};

/// The plan's Buildroot part.
fn facts(plan: &Plan) -> Outcome<&BuildrootFacts> {
    plan.buildroot.as_ref().ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-buildroot-plan",
            format!("the plan is one for the backend `{}`, not for `buildroot`", plan.backend),
        )
        .hint("resolve it with `--backend buildroot`, or set `backend: buildroot` in the product")
    })
}
