//! The Yocto backend: a distro layer and a BSP layer that also build without Fastness.
//!
//! [`generate()`] writes them from the plan, always the same bytes, and leaves unchanged files
//! untouched. Nothing in them changes a build that uses neither the distro, the machine nor the image
//! class. [`build()`] drives BitBake with them. Images are signed by the common
//! assembly, so that no key comes here; a build that signs by the classes finds its keys by itself (`signing.rs`).

mod bitbake;
mod bsp;
mod build;
mod checkouts;
mod distro;
mod failed;
mod generate;
mod hand_over;
mod image;
mod log;
mod machine;
mod read_back;
mod recipes;
mod signing;
mod together;
mod variables;
mod written;

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::{Plan, YoctoFacts};

pub use crate::buildroot::{Node, Tree};
pub use build::build;
pub use generate::{generate, pinned, tree_of, tree_of_boards, warnings};
pub use machine::Machine;

/// Under which terms the recipes and what they install stand. `CLOSED` is going away: OE-Core (`oe.license`, 6.1) asks for
/// a reference to a text.
const LICENSE: &str = include_str!("files/LICENSE.txt");
/// MD5 of that text, by which BitBake notices another one.
const LICENSE_MD5: &str = "3958ec0e23986b1ec4d31abc719cbb4e";

/// The plan's Yocto part.
fn facts(plan: &Plan) -> Outcome<&YoctoFacts> {
    plan.yocto.as_ref().ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-yocto-plan",
            format!("the plan is one for the backend `{}`, not for `yocto`", plan.backend),
        )
        .hint("resolve it with `--backend yocto`, or set `backend: yocto` in the product")
    })
}

/// A version as BitBake takes it: a hyphen would end it.
fn pv(plan: &Plan) -> String {
    plan.product.version.replace('-', "+")
}

/// The names under which BitBake knows a plan.
struct Names {
    /// Of the distro: the product's.
    distro: String,
    /// Of the machine: product and board, so that two products may be in one build.
    machine: String,
    /// Folder and collection of the distro layer, without `meta-`.
    distro_layer: String,
    /// Folder and collection of the BSP layer, without `meta-`.
    bsp_layer: String,
}

impl Names {
    fn of(plan: &Plan) -> Self {
        let product = &plan.product.name;
        Self {
            distro: product.clone(),
            machine: format!("{product}-{}", plan.board.name),
            distro_layer: format!("{product}-distro"),
            bsp_layer: format!("{product}-bsp"),
        }
    }

    fn image(&self) -> String {
        format!("{}-image", self.distro)
    }

    /// What BitBake is to build.
    fn targets(&self) -> [String; 3] {
        [self.image(), "virtual/kernel".to_owned(), "virtual/bootloader".to_owned()]
    }

    /// `IMAGE_LINK_NAME` as OE-Core has it by default. Source: `image-artifact-names.bbclass`.
    fn image_link(&self) -> String {
        format!("{}-{}.rootfs", self.image(), self.machine)
    }

    fn accounts(&self) -> String {
        format!("{}-accounts", self.distro)
    }

    /// The licence's name, which is its file's, too.
    fn license(&self) -> String {
        format!("LicenseRef-{}", self.distro)
    }

    /// The licence's lines of a recipe, which stands two folders below its layer.
    fn license_lines(&self) -> String {
        let name = self.license();
        format!(
            "LICENSE = \"{name}\"\nLIC_FILES_CHKSUM = \"file://${{THISDIR}}/../../licenses/{name};md5={LICENSE_MD5}\"\n"
        )
    }

    /// The start of names of shell functions, which have no hyphens.
    fn function(&self) -> String {
        self.distro.replace('-', "_")
    }
}

/// A value in BitBake's quotes. Nothing in it is expanded; `$` cannot be written so.
fn quoted(value: &str) -> Outcome<String> {
    if value.contains(['$', '`', '\\', '\n']) {
        return Err(Failure::error(
            ExitStatus::Input,
            "unsupported-value",
            format!("expected a value without `$`, backquotes and backslashes for BitBake, found `{value}`"),
        ));
    }
    Ok(format!("\"{}\"", value.replace('"', "'")))
}
