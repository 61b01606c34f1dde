//! The images of a FIT: where their data is, and whether it has the hashes that the tree says.

use std::collections::BTreeMap;

use super::{Problem, VerifyReport, problem, short};
use crate::build::Digests;
use crate::fdt::Node;
use crate::key::{Hash, hex};

/// Most hash nodes of an image.
const MAX_HASHES: usize = 8;

/// An image's state, found once.
pub(super) struct Image<'t, 'a> {
    pub(super) node: &'t Node<'a>,
    /// Size of the data in bytes.
    pub(super) bytes: usize,
    /// The strongest hash that holds, such as `sha256:…`.
    pub(super) hash: String,
    /// What is wrong with its data or hashes.
    pub(super) problems: Vec<Problem>,
}

/// An image with its data, before its hashes are checked.
struct Found<'t, 'a, 'd> {
    image: Image<'t, 'a>,
    data: Option<&'d [u8]>,
    warnings: Vec<Problem>,
}

/// All images by name, and where the data of those is whose data are outside of the tree.
pub(super) struct Images<'t, 'a>(BTreeMap<&'t str, Image<'t, 'a>>, Vec<(usize, usize)>);

impl<'t, 'a> Images<'t, 'a> {
    /// Finds each image's data and checks its hashes. `total` is the size of the tree in bytes.
    pub(super) fn read(
        blob: &[u8],
        total: usize,
        root: &'t Node<'a>,
        known: &Digests<'_>,
        report: &mut VerifyReport,
    ) -> Self {
        let nodes = root.child("images").map(|images| images.children.as_slice()).unwrap_or_default();
        // By where they begin: none of them meets another one.
        let mut taken: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
        let mut found: Vec<Found<'t, 'a, '_>> = Vec::new();
        for node in nodes {
            let mut image = Image { node, bytes: 0, hash: String::new(), problems: Vec::new() };
            let data = match data(blob, total, node, &mut taken) {
                Ok(data) => Some(data),
                Err(reason) => {
                    image.problems.push(reason);
                    None
                }
            };
            image.bytes = data.map_or(0, <[u8]>::len);
            found.push(Found { image, data, warnings: Vec::new() });
        }
        crate::parallel::for_each(
            &mut found,
            |found| found.image.bytes,
            |found| {
                if let Some(data) = found.data {
                    let packed = crate::packed::contradiction(found.image.node, data);
                    found.warnings.extend(packed.map(|message| problem("compression", message)));
                    check_hashes(&mut found.image, data, known);
                }
            },
        );
        let mut out = BTreeMap::new();
        for Found { image, mut warnings, .. } in found {
            report.warnings.append(&mut warnings);
            // The first of a doubled name counts, as for libfdt; the doubled name is a problem of its own.
            out.entry(image.node.name.as_str()).or_insert(image);
        }
        Self(out, taken.into_iter().map(|(start, (end, _))| (start, end)).collect())
    }

    /// Where external data is, in bytes of the file.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.1.iter().copied()
    }

    /// What is wrong with the data and the hashes of any of them.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.0.into_values().flat_map(|image| image.problems).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Image<'t, 'a>> {
        self.0.get(name)
    }
}

/// An image's data: in the tree, or behind it at `data-position` (from the FIT's start) or `data-offset` (from
/// the tree's end, rounded up to four bytes).
fn data<'d, 'n: 'd>(
    blob: &'d [u8],
    total: usize,
    image: &'n Node<'_>,
    taken: &mut BTreeMap<usize, (usize, &'n str)>,
) -> Result<&'d [u8], Problem> {
    let name = &image.name;
    let position = image.get("data-position");
    let external = position.or(image.get("data-offset"));
    if let Some(data) = image.get("data") {
        // U-Boot would take the external one, other readers the one inside.
        return match external.or(image.get("data-size")) {
            Some(_) => Err(problem(
                "ambiguous-data",
                format!("the image `{name}` has its data inside and outside of the tree"),
            )),
            None => Ok(data),
        };
    }
    if external.is_none() {
        return Err(problem("no-data", format!("the image `{name}` has no data")));
    }
    if position.is_some() && image.get("data-offset").is_some() {
        let message = format!("the image `{name}` has both `data-position` and `data-offset`");
        return Err(problem("ambiguous-data", message));
    }
    let cell = |name: &str| image.cell(name).and_then(|value| usize::try_from(value).ok());
    let start = match position {
        Some(_) => cell("data-position"),
        None => cell("data-offset").and_then(|at| at.checked_add(total.next_multiple_of(4))),
    };
    let range = start.zip(cell("data-size")).and_then(|(at, size)| Some(at..at.checked_add(size)?));
    let Some((range, data)) = range.and_then(|range| Some((range.clone(), blob.get(range)?))) else {
        return Err(problem(
            "data-out-of-bounds",
            format!("the external data of the image `{name}` does not lie within the {} bytes", blob.len()),
        ));
    };
    if range.start < total {
        let message = format!("the external data of the image `{name}` lies inside of the tree");
        return Err(problem("data-overlap", message));
    }
    // The last one that begins before this one ends.
    let before = taken.range(..range.end).next_back();
    if let Some((_, (_, other))) = before.filter(|(_, (end, _))| range.start < *end) {
        return Err(problem(
            "data-overlap",
            format!("the external data of the images `{name}` and `{other}` overlap"),
        ));
    }
    if !range.is_empty() {
        taken.insert(range.start, (range.end, name));
    }
    Ok(data)
}

/// Checks every hash node. U-Boot looks at all of them, too: it refuses an image of which one does not hold or has an algorithm that
/// it does not know, and ours (`0003-no-broken-hashes`) one that is not SHA-2, whatever stands beside it.
fn check_hashes(image: &mut Image<'_, '_>, data: &[u8], known: &Digests<'_>) {
    let name = &image.node.name;
    let nodes: Vec<&Node<'_>> = image.node.children.iter().filter(|c| c.name.starts_with("hash")).collect();
    if nodes.is_empty() || nodes.len() > MAX_HASHES {
        let message = format!(
            "the image `{name}` has {} hash nodes, expected 1 to {MAX_HASHES}: its data is not covered",
            nodes.len()
        );
        image.problems.push(problem("no-hash", message));
        return;
    }
    let mut digests: BTreeMap<Hash, String> = BTreeMap::new();
    for node in nodes {
        if node.get("uboot-ignore").is_some() {
            let message = format!("`{}` of the image `{name}` tells U-Boot to ignore it", node.name);
            image.problems.push(problem("ignored-hash", message));
            continue;
        }
        let algo = node.text("algo").unwrap_or_default();
        let Ok(hash) = Hash::parse(algo) else {
            let message = format!(
                "`{}` of the image `{name}` is of `{}`: expected SHA-2, in every hash node",
                node.name,
                short(algo)
            );
            image.problems.push(problem("weak-hash", message));
            continue;
        };
        let found = digests.entry(hash).or_insert_with(|| match known.of_equal(data, hash) {
            Some(digest) => hex(digest),
            None => hex(&hash.digest(&[data])),
        });
        let expected = node.get("value").unwrap_or_default();
        let expected = hex(&expected[..expected.len().min(64 + 1)]);
        if expected != *found {
            let message =
                format!("the image `{name}` has the {algo} `{found}`, but its hash node says `{expected}`");
            image.problems.push(problem("hash-mismatch", message));
        }
    }
    if let Some((hash, value)) = digests.last_key_value() {
        image.hash = format!("{}:{value}", hash.name());
    }
}
