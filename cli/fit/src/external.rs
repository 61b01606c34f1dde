//! Moves the data of images out of the tree, behind it (`mkimage -E`), and back.
//!
//! No signature covers `data` or where external data is, only its hash: a FIT may be changed this
//! way before or after it is signed. Source: U-Boot `tools/fit_image.c`, `fit_extract_data`;
//! `doc/usage/fit/source_file_format.rst`, "External data".

use crate::FitError;
use crate::fdt::{Pieces, Tree};

/// Where external data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Right behind the tree; `data-offset` counts from its end.
    BehindTree,
    /// At a fixed place; `data-position` counts from the start of the FIT, in bytes.
    At(u32),
}

/// Writes the FIT with all data outside of the tree, each image's aligned to `align` bytes (a power of two,
/// at least 4).
///
/// # Errors
/// When the FIT is malformed, has external data already, or the data would lie over the tree or past 2 GiB,
/// which U-Boot cannot address.
pub fn externalise(fit: &[u8], placement: Placement, align: u32) -> Result<Vec<u8>, FitError> {
    Ok(externalised(Tree::parse_unique(fit)?, placement, align)?.into_bytes())
}

/// As [`externalise`], of a tree and without a copy of its data.
///
/// # Errors
/// As [`externalise`].
pub fn externalised(mut tree: Tree<'_>, placement: Placement, align: u32) -> Result<Pieces<'_>, FitError> {
    let wrong = |message: String| Err(FitError::Spec(message));
    if !align.is_power_of_two() || align < 4 {
        return wrong(format!(
            "external data cannot be aligned to {align} bytes: expected a power of two from 4"
        ));
    }
    let images = tree.root.child_mut("images").ok_or_else(|| FitError::Fit("it has no images".to_owned()))?;
    let (mut parts, mut at) = (Vec::new(), 0u64);
    for image in &mut images.children {
        let name = image.name.clone();
        let place = image.properties.iter().position(|(property, _)| property == "data");
        let Some((_, data)) = place.map(|index| image.properties.remove(index)) else {
            return Err(FitError::Fit(format!("the image `{name}` has no data inside of the tree")));
        };
        let offset = match placement {
            Placement::BehindTree => at,
            Placement::At(start) => u64::from(start) + at,
        };
        let cell = |value: u64| u32::try_from(value).ok().filter(|value| *value < 1 << 31);
        let Some((offset, size)) = cell(offset).zip(cell(data.len() as u64)) else {
            return wrong(format!("the external data of the image `{name}` would lie past 2 GiB"));
        };
        let property = if placement == Placement::BehindTree { "data-offset" } else { "data-position" };
        image.set_cell(property, offset);
        image.set_cell("data-size", size);
        parts.push((at, data));
        at = (at + u64::from(size)).next_multiple_of(u64::from(align));
    }
    let mut skeleton = tree.write()?;
    // The tree's own size is rounded up, so that what is behind it is aligned.
    let total = skeleton.len().next_multiple_of(align as usize);
    let start = match placement {
        Placement::BehindTree => total,
        Placement::At(start) if (start as usize) < total || start % align != 0 => {
            return wrong(format!(
                "external data cannot start at {start}: the tree takes {total} bytes, and the place must be aligned to {align}"
            ));
        }
        Placement::At(start) => start as usize,
    };
    let header =
        u32::try_from(total).map_err(|_| FitError::Spec("the tree is larger than 4 GiB".to_owned()))?;
    skeleton[4..8].copy_from_slice(&header.to_be_bytes());
    let mut pieces = Pieces::of(skeleton);
    for (at, data) in parts {
        pieces.append_at(start + usize::try_from(at).unwrap_or(usize::MAX), data);
    }
    Ok(pieces)
}

/// The FIT with all data inside of the tree, as signing wants it: borrowed from where it is, whichever that is.
///
/// # Errors
/// When the FIT is malformed, or the data is not where it says.
pub fn internalised(fit: &[u8]) -> Result<Tree<'_>, FitError> {
    let mut tree = Tree::parse_unique(fit)?;
    let tree_bytes = fit.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    // U-Boot `boot/image-fit.c`, `fit_image_get_data`: offsets count from the tree's end, rounded up to 4.
    let behind = u64::from(tree_bytes).next_multiple_of(4);
    let Some(images) = tree.root.child_mut("images") else { return Ok(tree) };
    for image in &mut images.children {
        let start = match (image.cell("data-position"), image.cell("data-offset")) {
            (Some(position), _) => u64::from(position),
            (None, Some(offset)) => behind + u64::from(offset),
            (None, None) => continue,
        };
        let name = image.name.clone();
        let twice = image.get("data").is_some()
            || (image.get("data-position").is_some() && image.get("data-offset").is_some());
        if twice {
            return Err(FitError::Fit(format!("the image `{name}` says of its data two times where it is")));
        }
        let data = image.cell("data-size").and_then(|size| {
            let start = usize::try_from(start).ok()?;
            fit.get(start..start.checked_add(size as usize)?)
        });
        let data = data.ok_or_else(|| {
            FitError::Fit(format!("the data of the image `{name}` is not in the file: is it whole?"))
        })?;
        for property in ["data-position", "data-offset", "data-size"] {
            image.unset(property);
        }
        image.set("data", data);
    }
    Ok(tree)
}
