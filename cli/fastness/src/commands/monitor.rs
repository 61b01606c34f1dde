//! `fastness monitor`: monitoring for one image, as a layer that brings it in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use evidence::monitor::layer::{Bounds, FIRST, files};
use evidence::monitor::{Monitoring, forget_own, look, terminal};
use spec::library::{Area, Library};

use crate::output::Output;
use crate::places::Built;
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness monitor out/qemu-aarch64                       what would be recorded, may run, and how far services are confined
  fastness monitor out/qemu-aarch64 --all                 each rule and each setting with its reason
  fastness monitor out/qemu-aarch64 --into .              writes layers/monitoring-PRODUCT and templates/monitoring-PRODUCT
  fastness monitor vendor.img --into . --name monitoring-vendor

The product takes the layer by `layers: {monitoring-PRODUCT: {}}`.";

/// Arguments of `monitor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The output folder of one board, or whatever `inspect` reads
    image: PathBuf,
    /// Write the layer into this folder: that of the product
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The layer's name; otherwise `monitoring-` and the product's name
    #[arg(long, value_name = "NAME", requires = "into")]
    name: Option<String>,
    /// Show each rule and each setting with its reason
    #[arg(long)]
    all: bool,
}

/// Looks, prints and writes.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let steps = Steps::new(*output);
    let monitoring = steps.step("look at the image", None, || Ok((of(&arguments.image)?, false)))?;
    drop(steps);
    let mut wrote = String::new();
    if let Some(folder) = &arguments.into {
        let name = name(arguments)?;
        refuse_without_services(&monitoring)?;
        let made = files(&monitoring, &name, Bounds::default());
        refuse_foreign(folder, &name, &made)?;
        for (path, text) in &made {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|e| Failure::io("create", parent, &e))?;
            }
            stages::write_atomic(&path, text.as_bytes())?;
        }
        wrote = format!(
            "wrote the layer {name} ({} files); the product takes it by `layers: {{{name}: {{}}}}`\n",
            made.len()
        );
    }
    output.result(&monitoring, |_| format!("{}{wrote}", terminal::render(&monitoring, arguments.all)));
    Ok(ExitStatus::Success)
}

/// The layer is made of drop-ins and self-checks that systemd runs.
fn refuse_without_services(monitoring: &Monitoring) -> Outcome<()> {
    if !monitoring.services.is_empty() {
        return Ok(());
    }
    let message = format!(
        "expected an image whose services systemd starts, found none in `{}`: no layer can be made of it",
        monitoring.image
    );
    Err(Failure::error(ExitStatus::Input, "no-services", message)
        .hint("without `--into` it is told what its audit could watch, and which programs may run"))
}

/// Only what this program made is written anew: a layer of somebody else's under that name stays.
/// So does one of the program's own: in a product, the layer of that name would take its place.
fn refuse_foreign(folder: &Path, name: &str, made: &BTreeMap<String, String>) -> Outcome<()> {
    let shipped = Library::built_in(None).names(Area::Layers)?;
    if shipped.iter().any(|known| known == name) {
        let message =
            format!("`{name}` is a layer of this program, which that of the product would take the place of");
        return Err(
            Failure::error(ExitStatus::Usage, "not-ours", message).hint("give another name with `--name`")
        );
    }
    let layer = folder.join(format!("layers/{name}/layer.yaml"));
    if std::fs::read_to_string(&layer).is_ok_and(|text| text.starts_with(FIRST)) {
        return Ok(());
    }
    let there = made.keys().map(|path| folder.join(path)).find(|path| path.symlink_metadata().is_ok());
    let Some(path) = there else { return Ok(()) };
    let message = format!("`{}` is there, and `fastness monitor` did not make it", path.display());
    Err(Failure::error(ExitStatus::Usage, "not-ours", message)
        .hint("give another name with `--name`, or take it away"))
}

fn of(image: &Path) -> Outcome<Monitoring> {
    let mut subject = evidence::open::open(image)?;
    let shown = match Built::open(image) {
        Ok(built) => {
            format!("{} {} on {}", built.plan.product.name, built.plan.product.version, built.plan.board.name)
        }
        Err(_) => subject.name.clone(),
    };
    let broken = |why: evidence::Unable| {
        Failure::error(ExitStatus::Input, "no-root", format!("no monitoring can be derived: {why}"))
            .hint("name an image with a whole root file system")
    };
    if let Some(Ok(root)) = &mut subject.root {
        forget_own(root).map_err(broken)?;
    }
    let root = subject.root().map_err(broken)?;
    look(root, &shown).map_err(broken)
}

/// The layer's name; it becomes the name of folders.
fn name(arguments: &Arguments) -> Outcome<String> {
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => match Built::open(&arguments.image) {
            Ok(built) => format!("monitoring-{}", built.plan.product.name),
            Err(_) => {
                let message = "the layer needs a name: the image is none of this program's";
                return Err(
                    Failure::error(ExitStatus::Usage, "no-name", message).hint("give it with `--name`")
                );
            }
        },
    };
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(name);
    }
    let message = format!("expected a layer's name (lower-case letters, digits, `-`), found `{name}`");
    Err(Failure::error(ExitStatus::Usage, "wrong-name", message).hint("such as `monitoring-gateway`"))
}
