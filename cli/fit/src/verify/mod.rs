//! Verifies a FIT with public keys only, as strictly as the strictest U-Boot and more.
//!
//! Shares only the tree reader and the names of algorithms with [`crate::sign`]: it walks the tokens of the
//! blob (`signature`), not a tree that it wrote, and finds by itself what must be covered.
//! That is derived from the configuration's own references, never from `hashed-nodes`, as U-Boot does since
//! v2026.04 (CVE-2026-46728); a list that differs is a problem, for older versions trust it. What U-Boot
//! would ignore but a signed image never needs (unit addresses, doubled names, uncovered images) is
//! a problem too. Images are hashed once, whatever refers to them.
//!
//! Source: U-Boot `boot/image-fit-sig.c`, `boot/image-fit.c`, `boot/fdt_region.c`.

mod beside;
mod configuration;
mod holds;
mod images;
mod roles;
mod signature;
mod structure;

pub(crate) use holds::holds as signature_holds;
pub use signature::covered;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::build::Digests;
use crate::control_fdt::{self, KeyNode};
use crate::fdt::{Blocks, Node, Tree};

/// Most tokens that are looked at for all signatures together: each signature takes a walk over the tree. It is enough for a
/// thousand configurations of a device tree each.
pub const MAX_WALKED: usize = 1 << 26;
/// `IMAGE_MAX_HASHED_NODES` of U-Boot: a configuration that needs more is refused by it.
pub const MAX_COVERED: usize = 100;
/// Most references to images in one configuration: U-Boot could not take as many images, see [`MAX_COVERED`].
pub const MAX_REFERENCES: usize = MAX_COVERED;

/// Something wrong, with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Kebab-case code, such as `hash-mismatch`.
    pub code: String,
    /// What and where.
    pub message: String,
}

/// One configuration's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    /// Its name.
    pub name: String,
    /// Names of the keys whose signature verified.
    pub signed_by: Vec<String>,
    /// Algorithm and padding of those signatures, such as `sha256,rsa3072 pss`, in the same order.
    pub algo: Vec<String>,
    /// Images that it refers to, all of them covered by the signature.
    pub images: Vec<ImageReport>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// One image that a configuration refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReport {
    /// The property that refers to it, such as `kernel`.
    pub role: String,
    /// Its name.
    pub name: String,
    /// Hash algorithm and value, such as `sha256:…`.
    pub hash: String,
    /// Size of its data in bytes.
    pub bytes: usize,
}

/// A whole FIT's result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether every configuration verifies and nothing else is wrong.
    pub ok: bool,
    /// Configurations in order.
    pub configurations: Vec<ConfigurationReport>,
    /// Images, and nodes inside of images and configurations, that a signature should cover and none does, by
    /// path. Each is a problem, too.
    pub uncovered: Vec<String>,
    /// What no FIT signature ever covers but is there: by path the choice of the default
    /// configuration, the signature nodes' own properties, the place of external data; reserved memory; and the bytes of the file
    /// that are neither of the tree nor of an image.
    pub outside: Vec<String>,
    /// What is wrong with the FIT as a whole.
    pub problems: Vec<Problem>,
    /// What is odd but no reason to refuse: load addresses that overlap, data that its `compression` contradicts, a weak hash beside a good one,
    /// a signature by a key that is not trusted beside a good one.
    pub warnings: Vec<Problem>,
}

impl VerifyReport {
    /// Every problem, the FIT's own and the configurations'.
    pub fn all_problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().chain(self.configurations.iter().flat_map(|c| &c.problems))
    }
}

fn problem(code: &str, message: impl Into<String>) -> Problem {
    Problem { code: code.to_owned(), message: message.into() }
}

/// A hostile text for a message: escaped and not long.
fn short(text: &str) -> String {
    let shown: String = text.chars().take(64).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{more}", shown.escape_debug())
}

/// Verifies the FIT at the start of `blob` as a U-Boot with this control FDT must.
///
/// # Errors
/// When a blob is no device tree, or a key of the control FDT cannot be read; everything else is
/// a problem in the report.
pub fn verify_with_control(blob: &[u8], control: &[u8]) -> Result<VerifyReport, FitError> {
    let any = control_fdt::any_required(control)?;
    verify(blob, &control_fdt::keys(control)?, any)
}

/// What is wrong with the images' data, whatever is signed: not where the tree says, or not with the hashes that it says.
///
/// A signature covers the hashes and where no data is: this is what has to hold before one is worth anything.
///
/// # Errors
/// When the blob is no device tree.
pub fn data_problems(blob: &[u8]) -> Result<Vec<Problem>, FitError> {
    let blocks = Blocks::open(blob)?;
    let tree = Tree::parse(blob)?;
    let mut report = VerifyReport::default();
    Ok(images::Images::read(blob, blocks.total(), &tree.root, &Digests::default(), &mut report)
        .into_problems())
}

/// Verifies every configuration of the FIT at the start of `blob` with the keys.
///
/// All keys with `required = "conf"` must have signed each configuration (`required-mode`
/// `all`), or one of them (`any`). Without such a key nothing verifies. `blob` may be longer than the FIT; its
/// external data must lie in it. A key that is required for images is a problem: U-Boot then wants signatures of single images,
/// which are not verified here.
///
/// # Errors
/// When the blob is no device tree; everything else is a problem in the report.
pub fn verify(blob: &[u8], keys: &[KeyNode], any_required: bool) -> Result<VerifyReport, FitError> {
    verify_knowing(blob, keys, any_required, &Digests::default())
}

/// As [`verify`]; content that is byte for byte one whose digest is known is compared with it, not hashed.
///
/// # Errors
/// As [`verify`].
pub fn verify_knowing(
    blob: &[u8],
    keys: &[KeyNode],
    any_required: bool,
    known: &Digests<'_>,
) -> Result<VerifyReport, FitError> {
    let blocks = Blocks::open(blob)?;
    let tree = Tree::parse(blob)?;
    let mut report = VerifyReport::default();
    let mut tokens = 0usize;
    blocks.walk(|_, _| {
        tokens += 1;
        Ok(())
    })?;
    let signatures = structure::signatures(&tree.root);
    if tokens.saturating_mul(signatures) > MAX_WALKED {
        report.problems.push(problem(
            "too-large",
            format!(
                "the FIT has {tokens} tokens and {signatures} signatures of configurations: expected a product of at most {MAX_WALKED}, as every signature is looked for in the whole tree"
            ),
        ));
        return Ok(report);
    }
    report.problems = structure::problems(&tree.root);
    let required: Vec<&KeyNode> = keys.iter().filter(|key| key.required.as_deref() == Some("conf")).collect();
    if required.is_empty() {
        report.problems.push(problem(
            "no-required-key",
            "no key is required for configurations: unsigned images would start",
        ));
    }
    for key in keys.iter().filter(|key| key.required.as_deref() == Some("image")) {
        // `fit_image_verify_required_sigs` of U-Boot's `boot/image-fit-sig.c`.
        report.problems.push(problem(
            "required-for-images",
            format!(
                "the key `{}` is required for images: U-Boot starts only those that it signed one by one, and such signatures are not verified here",
                key.name
            ),
        ));
    }
    let images = images::Images::read(blob, blocks.total(), &tree.root, known, &mut report);
    let mut covered = BTreeSet::new();
    let empty = Node::default();
    for node in &tree.root.child("configurations").unwrap_or(&empty).children {
        let check = configuration::Check { blocks: &blocks, images: &images, node };
        let (result, paths) = check.run(&required, any_required, &mut report.warnings);
        if result.problems.is_empty() {
            covered.extend(paths);
        }
        report.configurations.push(result);
    }
    structure::uncovered(&tree.root, &covered, &mut report);
    report.outside.extend(beside::beside(blob, &blocks, images.places()));
    let clean = report.all_problems().next().is_none();
    report.ok = clean;
    Ok(report)
}
