//! What the product, and the board where it is silent, say by themselves: no layer changes it.

use std::collections::BTreeMap;

use diag::Diagnostic;

use super::{NamedBoard, rollback, updates};
use crate::decode::Spanned;
use crate::plan::{ProductFacts, SigningPlan, StoragePlan};
use crate::product::{DEFAULT_EPOCH, Padding, Product};

/// Size of the data partition when the product does not say: 64 MiB.
const DEFAULT_DATA_BYTES: u64 = 64 << 20;
/// zstd level of the root file system when the product does not say.
const DEFAULT_ZSTD_LEVEL: u32 = 6;

/// Who the product is.
pub(super) fn product_facts(product: &Product) -> ProductFacts {
    ProductFacts {
        name: product.name.as_str().to_owned(),
        version: product.version.as_str().to_owned(),
        description: product.description.as_str().to_owned(),
        component_type: product.component_type.as_str().to_owned(),
        security_level: product.security_level.0,
        epoch: product.epoch.map_or(DEFAULT_EPOCH, |epoch| epoch.0),
        hostname: product.hostname.as_ref().map_or(product.name.as_str(), |name| name.as_str()).to_owned(),
    }
}

/// How its images are signed, with what the board's U-Boot verifies.
pub(super) fn signing(product: &Product, board: &NamedBoard, trouble: &mut Vec<Diagnostic>) -> SigningPlan {
    let asked = product.signing.as_ref();
    let mut pick = |what: &str, asked: Option<(&str, diag::Location)>, has: Vec<&str>| -> String {
        match asked {
            Some((name, at)) if !has.contains(&name) => {
                let message =
                    format!("the U-Boot of the board `{}` cannot verify the {what} `{name}`", board.name);
                let hint = format!("it verifies `{}`", has.join("`, `"));
                trouble.push(Diagnostic::error(&format!("unknown-{what}"), message).at(at).hint(hint));
                name.to_owned()
            }
            Some((name, _)) => name.to_owned(),
            None => has.first().copied().unwrap_or_default().to_owned(),
        }
    };
    let algorithm = asked.and_then(|s| s.algorithm.as_ref()).map(|a| (a.as_str(), a.at.location()));
    let padding = asked.and_then(|s| s.padding.as_ref()).map(|p| (p.as_str(), p.at.location()));
    let algorithms = board.model.algorithms.iter().map(|a| a.as_str()).collect();
    let paddings = board.model.paddings.iter().map(|p: &Spanned<Padding>| p.as_str()).collect();
    SigningPlan {
        algorithm: pick("algorithm", algorithm, algorithms),
        padding: pick("padding", padding, paddings),
        key: asked
            .and_then(|s| s.key.as_ref())
            .map_or_else(|| format!("{}-dev", product.name.as_str()), |key| key.as_str().to_owned()),
        release: asked.is_some_and(|s| s.release.0),
        rollback_version: rollback::version(product, board, trouble),
        also_trusts: Vec::new(),
        known_keys: BTreeMap::new(),
    }
}

/// Sizes of the partitions.
pub(super) fn storage(product: &Product, board: &NamedBoard, trouble: &mut Vec<Diagnostic>) -> StoragePlan {
    let asked = product.storage.as_ref();
    let level = asked.and_then(|s| s.zstd_level.as_ref());
    if let Some(level) = level.filter(|level| !(1..=22).contains(&level.0)) {
        let message = format!("expected a zstd level from 1 to 22, found `{}`", level.0);
        trouble.push(Diagnostic::error("wrong-type", message).at(level.at.location()));
    }
    StoragePlan {
        fit_bytes: board.model.storage.fit.0,
        root_bytes: board.model.storage.root.0,
        data_bytes: asked.and_then(|s| s.data.as_ref()).map_or(DEFAULT_DATA_BYTES, |size| size.0),
        proof_bytes: rollback::proof_bytes(product),
        misc_bytes: updates::misc_bytes(product, trouble),
        zstd_level: level.and_then(|l| u32::try_from(l.0).ok()).unwrap_or(DEFAULT_ZSTD_LEVEL),
        sealed: None,
        kept: std::collections::BTreeMap::new(),
    }
}
