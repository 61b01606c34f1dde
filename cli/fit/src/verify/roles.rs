//! Whether U-Boot takes an image in the role in which a configuration names it.

use super::{Problem, problem, short};
use crate::fdt::Node;
use crate::words;

/// What of the image does not suit the role; `index` is the image's place in the property.
pub(super) fn unfit(role: &str, index: usize, image: &Node<'_>) -> Option<Problem> {
    let unfit = words::unfit(role, index, image)?;
    let message = format!(
        "`{role}` refers to the image `{}`, which has {}: U-Boot takes {} there",
        image.name,
        unfit.found(short),
        unfit.expected.join(", ")
    );
    Some(problem("image-type", message))
}
