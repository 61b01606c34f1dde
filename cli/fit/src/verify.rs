//! Verifies a FIT with public keys only, as strictly as the strictest U-Boot and more.
//!
//! Shares only the tree reader with [`crate::sign`]: it walks the tokens of the blob, not a
//! tree that it wrote. Which nodes are covered is derived from the configuration's own
//! references, never from `hashed-nodes` (CVE-2026-46728). What U-Boot would ignore but a
//! signed image of ours never has (unit addresses, doubled names, uncovered images) is a
//! problem too. Source: U-Boot `boot/image-fit-sig.c`, `boot/image-fit.c`.

use std::collections::BTreeSet;

use rsa::{Pkcs1v15Sign, Pss};
use serde::{Deserialize, Serialize};
use sha2::{Sha256, Sha384, Sha512};

use crate::FitError;
use crate::control_fdt::KeyNode;
use crate::fdt::{Blocks, Node, Token, Tree};
use crate::key::{Algorithm, Hash, Padding, hex};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether every configuration verifies and nothing else is wrong.
    pub ok: bool,
    /// Configurations in order.
    pub configurations: Vec<ConfigurationReport>,
    /// What no signature covers, by path.
    pub uncovered: Vec<String>,
    /// What is wrong with the FIT as a whole.
    pub problems: Vec<Problem>,
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

/// Verifies every configuration of the FIT at the start of `blob` with the keys.
///
/// All keys with `required = "conf"` must have signed each configuration (`required-mode`
/// `all`), or one of them (`any`). Without such a key nothing verifies.
///
/// # Errors
/// When the blob is no device tree; everything else is a problem in the report.
pub fn verify(blob: &[u8], keys: &[KeyNode], any_required: bool) -> Result<VerifyReport, FitError> {
    let blocks = Blocks::open(blob)?;
    let blob = &blob[..blocks.total()];
    let tree = Tree::parse(blob)?;
    let mut report = VerifyReport {
        ok: false,
        configurations: Vec::new(),
        uncovered: Vec::new(),
        problems: structure(&tree.root),
    };
    let required: Vec<&KeyNode> = keys.iter().filter(|key| key.required.as_deref() == Some("conf")).collect();
    if required.is_empty() {
        report.problems.push(problem(
            "no-required-key",
            "no key is required for configurations: unsigned images would start",
        ));
    }
    let mut covered = BTreeSet::new();
    let empty = Node::default();
    let configurations = tree.root.child("configurations").unwrap_or(&empty);
    if configurations.children.is_empty() {
        report.problems.push(problem("no-configuration", "the FIT has no configuration"));
    }
    match configurations.text("default") {
        Some(name) if configurations.child(name).is_some() => {}
        Some(name) => report
            .problems
            .push(problem("bad-default", format!("the default configuration `{name}` is not there"))),
        None => report.problems.push(problem("bad-default", "the FIT names no default configuration")),
    }
    for node in &configurations.children {
        let check = Check { blob, blocks: &blocks, tree: &tree, node };
        let (result, paths) = check.run(&required, any_required);
        if result.problems.is_empty() {
            covered.extend(paths);
        }
        report.configurations.push(result);
    }
    if let Some(images) = tree.root.child("images") {
        for image in &images.children {
            let path = format!("/images/{}", image.name);
            if !covered.contains(&path) {
                report.problems.push(problem(
                    "uncovered-image",
                    format!("no verified signature covers the image `{}`", image.name),
                ));
                report.uncovered.push(path);
            }
        }
    }
    let clean = report.all_problems().next().is_none();
    report.ok = clean;
    Ok(report)
}

/// Names that are doubled, carry a unit address, or stand where a FIT has nothing.
fn structure(root: &Node<'_>) -> Vec<Problem> {
    fn doubled(node: &Node<'_>, path: &str, out: &mut Vec<Problem>) {
        let mut seen = BTreeSet::new();
        for (name, _) in &node.properties {
            if !seen.insert(name.as_str()) {
                out.push(problem("duplicate-property", format!("`{path}` has the property `{name}` twice")));
            }
        }
        let mut seen = BTreeSet::new();
        for child in &node.children {
            if !seen.insert(child.name.as_str()) {
                out.push(problem("duplicate-node", format!("`{path}` has the node `{}` twice", child.name)));
            }
            if child.name.contains('@') {
                out.push(problem(
                    "unit-address",
                    format!("the node `{}` below `{path}` has a unit address", child.name),
                ));
            }
            doubled(child, &format!("{}/{}", path.trim_end_matches('/'), child.name), out);
        }
    }
    let mut out = Vec::new();
    doubled(root, "/", &mut out);
    for child in &root.children {
        if !matches!(child.name.as_str(), "images" | "configurations") {
            out.push(problem(
                "unknown-node",
                format!("the root has a node `{}`, which a FIT has not", child.name),
            ));
        }
    }
    if root.child("images").is_none() {
        out.push(problem("no-images", "the FIT has no images"));
    }
    out
}

struct Check<'c, 'a> {
    blob: &'a [u8],
    blocks: &'c Blocks<'a>,
    tree: &'c Tree<'a>,
    node: &'c Node<'a>,
}

impl<'a> Check<'_, 'a> {
    fn run(&self, required: &[&KeyNode], any_required: bool) -> (ConfigurationReport, BTreeSet<String>) {
        let mut report = ConfigurationReport {
            name: self.node.name.clone(),
            signed_by: Vec::new(),
            images: Vec::new(),
            problems: Vec::new(),
        };
        let covered = self.references(&mut report);
        let signatures: Vec<&Node<'_>> =
            self.node.children.iter().filter(|child| child.name.starts_with("signature")).collect();
        if signatures.is_empty() {
            report
                .problems
                .push(problem("unsigned", format!("the configuration `{}` is not signed", self.node.name)));
        }
        let mut reasons = Vec::new();
        for signature in &signatures {
            let hint = signature.text("key-name-hint").unwrap_or_default();
            let candidates: Vec<&&KeyNode> = required.iter().filter(|key| key.name == hint).collect();
            if candidates.is_empty() {
                reasons.push(problem(
                    "unknown-key",
                    format!("`{}` names the key `{hint}`, which is not required here", signature.name),
                ));
            }
            for key in candidates {
                match self.signature(signature, key, &covered) {
                    Ok(()) => report.signed_by.push(key.name.clone()),
                    Err(reason) => reasons.push(reason),
                }
            }
        }
        let signed = |key: &&&KeyNode| report.signed_by.contains(&key.name);
        let enough = if any_required {
            required.iter().any(|k| signed(&k))
        } else {
            required.iter().all(|k| signed(&k))
        };
        // With one good signature of a required key, another one that is bad is still a forgery attempt.
        if !enough || !reasons.is_empty() {
            report.problems.extend(reasons);
        }
        if !enough && report.problems.is_empty() {
            report.problems.push(problem(
                "missing-signature",
                format!("a required key has not signed `{}`", self.node.name),
            ));
        }
        (report, covered)
    }

    /// Follows the references, checks each image's hashes, and returns the covered paths.
    fn references(&self, report: &mut ConfigurationReport) -> BTreeSet<String> {
        let mut covered = BTreeSet::from(["/".to_owned(), format!("/configurations/{}", self.node.name)]);
        for (role, _) in &self.node.properties {
            if matches!(role.as_str(), "description" | "compatible" | "default") {
                continue;
            }
            for name in self.node.texts(role).unwrap_or_default() {
                let path = format!("/images/{name}");
                let image = if name.contains('/') { None } else { self.tree.root.at(&path) };
                let Some(image) = image else {
                    report.problems.push(problem(
                        "missing-image",
                        format!("`{role}` refers to the image `{name}`, which is not there"),
                    ));
                    continue;
                };
                for child in
                    image.children.iter().filter(|c| c.name.starts_with("hash") || c.name == "cipher")
                {
                    covered.insert(format!("{path}/{}", child.name));
                }
                covered.insert(path);
                match self.hashes(image) {
                    Ok((hash, bytes)) => {
                        report.images.push(ImageReport {
                            role: role.clone(),
                            name: name.to_owned(),
                            hash,
                            bytes,
                        });
                    }
                    Err(reason) => report.problems.push(reason),
                }
            }
        }
        if covered.len() == 2 {
            report.problems.push(problem(
                "no-image",
                format!("the configuration `{}` refers to no image", self.node.name),
            ));
        }
        covered
    }

    fn hashes(&self, image: &Node<'_>) -> Result<(String, usize), Problem> {
        let name = &image.name;
        let data = self.data(image)?;
        let mut shown = None;
        for node in image.children.iter().filter(|child| child.name.starts_with("hash")) {
            let algo = node.text("algo").unwrap_or_default();
            let hash = Hash::parse(algo).map_err(|e| {
                problem(
                    "weak-hash",
                    format!("the image `{name}` is hashed with something else than SHA-2: {e}"),
                )
            })?;
            let found = hash.digest(&[data]);
            let expected = node.get("value").unwrap_or_default();
            if expected != found {
                return Err(problem(
                    "hash-mismatch",
                    format!(
                        "the image `{name}` has the {algo} {}, but its hash node says {}",
                        hex(&found),
                        hex(expected)
                    ),
                ));
            }
            shown = Some(format!("{algo}:{}", hex(&found)));
        }
        shown.map(|hash| (hash, data.len())).ok_or_else(|| {
            problem("no-hash", format!("the image `{name}` has no hash: its data is not covered"))
        })
    }

    /// An image's data: in the tree, or behind it (`data-offset`, `data-position`).
    fn data<'i>(&self, image: &'i Node<'a>) -> Result<&'i [u8], Problem>
    where
        'a: 'i,
    {
        let name = &image.name;
        if let Some(data) = image.get("data") {
            if image.get("data-offset").or(image.get("data-position")).or(image.get("data-size")).is_some() {
                return Err(problem(
                    "ambiguous-data",
                    format!("the image `{name}` has its data inside and outside of the tree"),
                ));
            }
            return Ok(data);
        }
        Err(problem(
            "external-data",
            format!("the image `{name}` has no data in the tree: external data is not supported"),
        ))
    }

    fn signature(&self, node: &Node<'_>, key: &KeyNode, covered: &BTreeSet<String>) -> Result<(), Problem> {
        let path = format!("`{}` of `{}`", node.name, self.node.name);
        let algo = node.text("algo").unwrap_or_default();
        if algo != key.algo {
            return Err(problem(
                "algorithm-mismatch",
                format!("{path} uses `{algo}`, but the key `{}` is for `{}`", key.name, key.algo),
            ));
        }
        let algorithm =
            Algorithm::parse(algo).map_err(|e| problem("weak-algorithm", format!("{path}: {e}")))?;
        let padding = Padding::parse(node.text("padding").unwrap_or("pkcs-1.5"))
            .map_err(|e| problem("bad-padding", e.to_string()))?;
        let value = node
            .get("value")
            .ok_or_else(|| problem("no-value", format!("{path} has no value: it was never signed")))?;
        let listed: BTreeSet<String> =
            node.texts("hashed-nodes").unwrap_or_default().into_iter().map(str::to_owned).collect();
        if listed != *covered {
            return Err(problem(
                "hashed-nodes",
                format!(
                    "{path} lists other nodes than the configuration refers to: older U-Boots would trust that list"
                ),
            ));
        }
        let strings =
            node.get("hashed-strings").and_then(|v| Some(u32::from_be_bytes(v.get(4..8)?.try_into().ok()?)));
        let strings = strings.map_or(0, |size| size as usize);
        let Some(strings) = self.blocks.strings().get(..strings) else {
            return Err(problem("hashed-strings", format!("{path} covers more strings than there are")));
        };
        let mut parts: Vec<&[u8]> =
            self.covered_tokens(covered).map_err(|e| problem("bad-tree", e.to_string()))?;
        parts.push(strings);
        let digest = algorithm.hash.digest(&parts);
        let rsa = &key.key.0;
        let verified = match (padding, algorithm.hash) {
            (Padding::Pkcs1v15, Hash::Sha256) => rsa.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, value),
            (Padding::Pkcs1v15, Hash::Sha384) => rsa.verify(Pkcs1v15Sign::new::<Sha384>(), &digest, value),
            (Padding::Pkcs1v15, Hash::Sha512) => rsa.verify(Pkcs1v15Sign::new::<Sha512>(), &digest, value),
            (Padding::Pss, Hash::Sha256) => rsa.verify(Pss::new::<Sha256>(), &digest, value),
            (Padding::Pss, Hash::Sha384) => rsa.verify(Pss::new::<Sha384>(), &digest, value),
            (Padding::Pss, Hash::Sha512) => rsa.verify(Pss::new::<Sha512>(), &digest, value),
        };
        verified.map_err(|_| {
            problem("bad-signature", format!("{path} does not verify with the key `{}`", key.name))
        })
    }

    /// The bytes of the tokens that the signature covers (`boot/fdt_region.c`): a wanted
    /// node with all its properties but the data, and its children's begin and end.
    fn covered_tokens(&self, covered: &BTreeSet<String>) -> Result<Vec<&'a [u8]>, FitError> {
        let blocks = Blocks::open(self.blob)?;
        let mut out = Vec::new();
        let mut path: Vec<&str> = Vec::new();
        // How much of the current node is wanted: 2 all, 1 its bare begin and end, 0 nothing.
        let mut wanted: Vec<u8> = Vec::new();
        blocks.walk(|token, bytes| {
            let take = match token {
                Token::Begin(name) => {
                    path.push(name);
                    let here =
                        if path.len() == 1 { "/".to_owned() } else { format!("/{}", path[1..].join("/")) };
                    let above = wanted.last().copied().unwrap_or(0);
                    let level = if covered.contains(&here) { 2 } else { above.saturating_sub(1) };
                    wanted.push(level);
                    level > 0
                }
                Token::Property(name, _) => {
                    let data = matches!(name, "data" | "data-size" | "data-position" | "data-offset");
                    wanted.last() == Some(&2) && !data
                }
                Token::Nop => wanted.last() == Some(&2),
                Token::End => {
                    path.pop();
                    wanted.pop().is_some_and(|level| level > 0)
                }
                Token::Finish => true,
            };
            if take {
                out.push(bytes);
            }
            Ok(())
        })?;
        Ok(out)
    }
}
