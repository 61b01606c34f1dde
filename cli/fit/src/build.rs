//! A FIT from a description.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::fdt::{Node, Tree};
use crate::key::Hash;
use crate::words::{ARCHES, COMPRESSIONS, KINDS, OSES, known, reachable};

/// An image of a FIT.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image<'a> {
    /// Node name below `/images`, such as `kernel`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// `type`, such as `kernel`, `flat_dt`, `ramdisk`, `firmware`.
    pub kind: String,
    /// `arch`, such as `arm64`.
    pub arch: String,
    /// `os`, such as `linux`; none for a device tree.
    pub os: Option<String>,
    /// `compression`, such as `none`.
    pub compression: String,
    /// Load address.
    pub load: Option<u64>,
    /// Entry address.
    pub entry: Option<u64>,
    /// Content; no part of a written description, the caller adds it.
    #[serde(skip)]
    pub data: Cow<'a, [u8]>,
}

/// A configuration of a FIT.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Node name below `/configurations`, such as `conf`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// `compatible`, if any.
    pub compatible: Option<Compatible>,
    /// What it loads: property (`kernel`, `fdt`, `ramdisk`, `loadables`…) and image names.
    pub loads: Vec<(String, Vec<String>)>,
}

/// `compatible` of a configuration: one text, or several, the most specific one first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Compatible {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Compatible {
    fn texts(&self) -> std::slice::Iter<'_, String> {
        match self {
            Self::One(text) => std::slice::from_ref(text).iter(),
            Self::Several(texts) => texts.iter(),
        }
    }
}

impl From<&str> for Compatible {
    fn from(text: &str) -> Self {
        Self::One(text.to_owned())
    }
}

impl From<String> for Compatible {
    fn from(text: String) -> Self {
        Self::One(text)
    }
}

/// A FIT to be built.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSpec<'a> {
    /// One line for people.
    pub description: String,
    /// Time stamp in seconds (SOURCE_DATE_EPOCH).
    pub timestamp: u32,
    /// Hash of every image.
    pub hash: Hash,
    /// Images.
    pub images: Vec<Image<'a>>,
    /// Configurations.
    pub configurations: Vec<Configuration>,
    /// Name of the default configuration, which may be left out: the one to start is named, or found by `compatible`.
    pub default: Option<String>,
}

/// Digests of contents that several images share, or that are looked at again: each is computed once.
#[derive(Clone, Debug, Default)]
pub struct Digests<'a> {
    known: Vec<(&'a [u8], Hash, Vec<u8>)>,
    blank: bool,
}

impl<'a> Digests<'a> {
    /// Zeros in the place of each digest: of a FIT that is laid out before its contents are hashed.
    #[must_use]
    pub fn blank() -> Self {
        Self { blank: true, ..Self::default() }
    }

    /// The digest of borrowed content; the same memory is not hashed again.
    pub fn of(&mut self, data: &'a [u8], hash: Hash) -> Vec<u8> {
        if self.blank {
            return vec![0; hash.bytes()];
        }
        let same = |known: &&(&'a [u8], Hash, Vec<u8>)| known.1 == hash && std::ptr::eq(known.0, data);
        if let Some((_, _, digest)) = self.known.iter().find(same) {
            return digest.clone();
        }
        let digest = hash.digest(&[data]);
        self.known.push((data, hash, digest.clone()));
        digest
    }

    /// Computes those of all these contents that are not known yet, several at once.
    fn learn(&mut self, contents: impl Iterator<Item = &'a [u8]>, hash: Hash) {
        if self.blank {
            return;
        }
        let mut missing: Vec<(&'a [u8], Hash, Vec<u8>)> = Vec::new();
        for data in contents {
            let same = |known: &(&'a [u8], Hash, Vec<u8>)| known.1 == hash && std::ptr::eq(known.0, data);
            if !self.known.iter().chain(&missing).any(same) {
                missing.push((data, hash, Vec::new()));
            }
        }
        crate::parallel::for_each(
            &mut missing,
            |(data, ..)| data.len(),
            |(data, hash, digest)| {
                *digest = hash.digest(&[data]);
            },
        );
        self.known.append(&mut missing);
    }

    /// The digest of content that is byte for byte one whose digest is known: comparing takes a fraction of hashing.
    #[must_use]
    pub fn of_equal(&self, data: &[u8], hash: Hash) -> Option<&[u8]> {
        let equal = |known: &&(&'a [u8], Hash, Vec<u8>)| known.1 == hash && known.0 == data;
        self.known.iter().find(equal).map(|(_, _, digest)| digest.as_slice())
    }

    /// How many were computed.
    #[must_use]
    pub fn computed(&self) -> usize {
        self.known.len()
    }
}

/// Builds the unsigned tree; every image gets a `hash-1` node.
///
/// # Errors
/// When a name is unfit, is there twice, or refers to nothing.
pub fn build(spec: FitSpec<'_>) -> Result<Tree<'_>, FitError> {
    build_with(spec, &mut Digests::default())
}

/// As [`build`], with the digests that are known: of variants that share a kernel it is hashed once.
///
/// # Errors
/// As [`build`].
pub fn build_with<'a>(spec: FitSpec<'a>, digests: &mut Digests<'a>) -> Result<Tree<'a>, FitError> {
    check(&spec)?;
    let mut root = Node::new("");
    root.set_cell("timestamp", spec.timestamp);
    root.set_text("description", &spec.description);
    root.set_cell("#address-cells", 2);
    let mut images = Node::new("images");
    let borrowed = spec.images.iter().filter_map(|image| match &image.data {
        Cow::Borrowed(data) => Some(*data),
        Cow::Owned(_) => None,
    });
    digests.learn(borrowed, spec.hash);
    for image in spec.images {
        images.children.push(image_node(image, spec.hash, digests));
    }
    let mut configurations = Node::new("configurations");
    if let Some(default) = &spec.default {
        configurations.set_text("default", default);
    }
    for configuration in &spec.configurations {
        let mut node = Node::new(&configuration.name);
        node.set_text("description", &configuration.description);
        if let Some(compatible) = &configuration.compatible {
            node.set_texts("compatible", &compatible.texts().map(String::as_str).collect::<Vec<_>>());
        }
        for (property, names) in &configuration.loads {
            node.set_texts(property, &names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        configurations.children.push(node);
    }
    root.children = vec![images, configurations];
    Ok(Tree { root, reserved: Vec::new(), strings: Vec::new() })
}

fn image_node<'a>(image: Image<'a>, hash: Hash, digests: &mut Digests<'a>) -> Node<'a> {
    let mut node = Node::new(&image.name);
    node.set_text("description", &image.description);
    node.set_text("type", &image.kind);
    node.set_text("arch", &image.arch);
    if let Some(os) = &image.os {
        node.set_text("os", os);
    }
    node.set_text("compression", &image.compression);
    for (name, address) in [("load", image.load), ("entry", image.entry)] {
        if let Some(address) = address {
            node.set(name, address.to_be_bytes().to_vec());
        }
    }
    let digest = match &image.data {
        Cow::Borrowed(data) => digests.of(data, hash),
        Cow::Owned(data) => hash.digest(&[data]),
    };
    node.set("data", image.data);
    let hashed = node.child_or_new("hash-1");
    hashed.set("value", digest);
    hashed.set_text("algo", hash.name());
    node
}

/// Longest name of an image, a configuration or a signature, in bytes: U-Boot looks at paths such as `/images/NAME/hash-1` in a
/// buffer of 200 bytes (`boot/image-fit-sig.c`, `tools/image-host.c`).
const MAX_NODE_NAME: usize = 160;

/// What a name must be, for messages.
pub(crate) const NODE_NAME: &str = "1 to 160 letters, digits, `,`, `.`, `_`, `+`, `-` (no `@`)";

/// Whether a name is fit for a node that we write: the characters of the specification (Devicetree Specification 0.4, 2.2.1), and no
/// unit address, which U-Boot refuses in a FIT. Its limit of 31 is none of `dtc`, libfdt or U-Boot.
pub(crate) fn is_node_name(name: &str) -> bool {
    (1..=MAX_NODE_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ',' | '.' | '_' | '+' | '-'))
}

fn check_image(image: &Image<'_>) -> Result<(), FitError> {
    for (what, found, list) in [
        ("type", Some(&image.kind), KINDS),
        ("arch", Some(&image.arch), ARCHES),
        ("compression", Some(&image.compression), COMPRESSIONS),
        ("os", image.os.as_ref(), OSES),
    ] {
        found.map_or(Ok(()), |found| known(&image.name, what, found, list))?;
    }
    for (what, address) in [("load", image.load), ("entry", image.entry)] {
        address.map_or(Ok(()), |address| reachable(&image.name, &image.arch, what, address))?;
    }
    for text in [&image.name, &image.description] {
        no_nul(text)?;
    }
    match image.data.is_empty() {
        true => Err(FitError::Spec(format!("the image `{}` has no data", image.name))),
        false => Ok(()),
    }
}

/// A NUL would end the text for U-Boot and begin another one.
fn no_nul(text: &str) -> Result<(), FitError> {
    match text.contains('\0') {
        true => {
            Err(FitError::Spec(format!("`{}` holds a NUL: expected text without one", text.escape_debug())))
        }
        false => Ok(()),
    }
}

/// Properties of a configuration that name images (U-Boot `include/image.h`, `FIT_*_PROP`).
pub(crate) const ROLES: &[&str] =
    &["kernel", "fdt", "ramdisk", "loadables", "firmware", "fpga", "script", "standalone", "setup"];

fn check(spec: &FitSpec<'_>) -> Result<(), FitError> {
    let wrong = |message: String| Err(FitError::Spec(message));
    let images: Vec<&str> = spec.images.iter().map(|i| i.name.as_str()).collect();
    let configurations: Vec<&str> = spec.configurations.iter().map(|c| c.name.as_str()).collect();
    for list in [&images, &configurations] {
        for (index, name) in list.iter().enumerate() {
            if !is_node_name(name) {
                return wrong(format!("`{}` is no node name: expected {NODE_NAME}", name.escape_debug()));
            }
            if list[..index].contains(name) {
                return wrong(format!("the name `{name}` is there twice"));
            }
        }
    }
    for image in &spec.images {
        check_image(image)?;
    }
    no_nul(&spec.description)?;
    for configuration in &spec.configurations {
        no_nul(&configuration.description)?;
        configuration.compatible.iter().flat_map(Compatible::texts).try_for_each(|text| no_nul(text))?;
    }
    if let Some(default) = spec.default.as_ref().filter(|default| !configurations.contains(&default.as_str()))
    {
        return wrong(format!("the default configuration `{default}` is not there"));
    }
    for configuration in &spec.configurations {
        if configuration.loads.iter().any(|(_, names)| names.is_empty()) || configuration.loads.is_empty() {
            return wrong(format!("the configuration `{}` loads nothing", configuration.name));
        }
        for (index, (property, names)) in configuration.loads.iter().enumerate() {
            if !ROLES.contains(&property.as_str()) {
                return wrong(format!(
                    "the configuration `{}` loads `{}`: expected one of {}",
                    configuration.name,
                    property.escape_debug(),
                    ROLES.join(", ")
                ));
            }
            if configuration.loads[..index].iter().any(|(other, _)| other == property) {
                return wrong(format!("the configuration `{}` names `{property}` twice", configuration.name));
            }
            for (at, name) in names.iter().enumerate() {
                if names[..at].contains(name) {
                    return wrong(format!(
                        "`{property}` of the configuration `{}` names the image `{name}` twice",
                        configuration.name
                    ));
                }
                if !images.contains(&name.as_str()) {
                    return wrong(format!(
                        "`{property}` of the configuration `{}` names the image `{name}`, which is not there",
                        configuration.name
                    ));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn image(name: &str, kind: &str, data: &[u8]) -> Image<'static> {
        Image {
            name: name.into(),
            description: name.into(),
            kind: kind.into(),
            arch: "arm64".into(),
            os: (kind == "kernel").then(|| "linux".into()),
            compression: "none".into(),
            load: Some(0x4040_0000),
            entry: (kind == "kernel").then_some(0x4040_0000),
            data: Cow::Owned(data.to_vec()),
        }
    }

    fn spec() -> FitSpec<'static> {
        FitSpec {
            description: "test".into(),
            timestamp: 7,
            hash: Hash::Sha256,
            images: vec![image("kernel", "kernel", b"k"), image("fdt", "flat_dt", b"d")],
            configurations: vec![Configuration {
                name: "conf".into(),
                description: "c".into(),
                compatible: None,
                loads: vec![("kernel".into(), vec!["kernel".into()]), ("fdt".into(), vec!["fdt".into()])],
            }],
            default: Some("conf".into()),
        }
    }

    #[test]
    fn the_same_description_gives_the_same_bytes() {
        assert_eq!(build(spec()).unwrap().write().unwrap(), build(spec()).unwrap().write().unwrap());
    }

    #[test]
    fn a_content_that_variants_share_is_hashed_once() {
        let (kernel, other) = (vec![7; 5000], vec![7; 5000]);
        let mut digests = Digests::default();
        let mut variant = |fdt: &'static [u8]| {
            let mut spec = spec();
            spec.images[0].data = Cow::Borrowed(&kernel);
            spec.images[1].data = Cow::Borrowed(fdt);
            build_with(spec, &mut digests).unwrap().write().unwrap()
        };
        let (first, second) = (variant(b"d"), variant(b"e"));
        let mut alone = spec();
        (alone.images[0].data, alone.images[1].data) = (Cow::Owned(kernel.clone()), Cow::Borrowed(&b"e"[..]));
        assert_eq!(build(alone).unwrap().write().unwrap(), second);
        assert_ne!(first, second);
        assert_eq!(digests.computed(), 3);
        // By its bytes, wherever they are; of another hash or another content there is none.
        assert_eq!(digests.of_equal(&other, Hash::Sha256), Some(&*Hash::Sha256.digest(&[&kernel])));
        assert_eq!(digests.of_equal(&other, Hash::Sha512), None);
        assert_eq!(digests.of_equal(&other[1..], Hash::Sha256), None);
    }

    #[test]
    fn mistakes_are_named() {
        let mut unit = spec();
        unit.images[0].name = "kernel@1".into();
        assert!(build(unit).unwrap_err().to_string().contains("`kernel@1` is no node name"));
        let mut long = spec();
        long.images[0].name = "n".repeat(161);
        assert!(build(long).unwrap_err().to_string().contains("expected 1 to 160 letters, digits"));
        for (change, expected) in [
            (
                (|s| s.configurations[0].loads[1].1.push("fdt".into())) as fn(&mut FitSpec<'static>),
                "`fdt` of the configuration `conf` names the image `fdt` twice",
            ),
            (|s| s.description.push('\0'), "`test\\0` holds a NUL"),
            (|s| s.images[0].description.push('\0'), "`kernel\\0` holds a NUL"),
            (
                |s| {
                    s.configurations[0].compatible = Some(Compatible::Several(vec!["a".into(), "b\0".into()]))
                },
                "`b\\0` holds a NUL",
            ),
            (|s| s.images[0].arch = "loongarch64".into(), "`arch` of the image `kernel` is `loongarch64`"),
        ] {
            let mut spec = spec();
            change(&mut spec);
            let text = build(spec).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
        let mut several = spec();
        several.configurations[0].compatible = Some(Compatible::Several(vec!["a,b".into(), "a,c".into()]));
        (several.images[0].kind, several.images[0].arch) = ("tfa-bl31".into(), "powerpc".into());
        let tree = build(several).unwrap();
        let configuration = tree.root.at("/configurations/conf").unwrap();
        assert_eq!(configuration.texts("compatible").unwrap(), ["a,b", "a,c"]);
        let mut missing = spec();
        missing.configurations[0].loads[1].1[0] = "ghost".into();
        assert!(build(missing).unwrap_err().to_string().contains("names the image `ghost`"));
        let mut default = spec();
        default.default = Some("other".into());
        assert!(build(default).unwrap_err().to_string().contains("default configuration `other`"));
        let mut none = spec();
        none.default = None;
        let tree = build(none).unwrap();
        assert_eq!(tree.root.child("configurations").unwrap().text("default"), None);
        let mut twice = spec();
        twice.images[1].name = "kernel".into();
        assert!(build(twice).unwrap_err().to_string().contains("`kernel` is there twice"));
    }

    #[test]
    fn what_u_boot_would_not_know_is_refused() {
        let with = |change: fn(&mut FitSpec<'static>)| {
            let mut spec = spec();
            change(&mut spec);
            build(spec).unwrap_err().to_string()
        };
        for (text, expected) in [
            (with(|s| s.images[0].kind = "kernal".into()), "`type` of the image `kernel` is `kernal`"),
            (with(|s| s.images[0].arch = "arm46".into()), "`arch` of the image `kernel` is `arm46`"),
            (with(|s| s.images[0].compression = "zip".into()), "expected one of none, bzip2, gzip"),
            (with(|s| s.images[0].os = Some("dos".into())), "`os` of the image `kernel` is `dos`"),
            (with(|s| s.images[0].data = Cow::Borrowed(b"")), "the image `kernel` has no data"),
            (
                with(|s| (s.images[0].arch, s.images[0].entry) = ("arm".into(), Some(1 << 32))),
                "`entry` of the image `kernel` is 0x100000000: expected at most 0xffffffff, since `arm` has",
            ),
            (
                with(|s| s.configurations[0].loads[0].0 = "compatible".into()),
                "loads `compatible`: expected one of",
            ),
            (with(|s| s.configurations[0].loads[1].0 = "kernel".into()), "names `kernel` twice"),
            (with(|s| s.configurations[0].loads[1].1.clear()), "loads nothing"),
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_description_goes_through_json() {
        let text = serde_json::to_string(&spec()).unwrap();
        let mut back: FitSpec<'_> = serde_json::from_str(&text).unwrap();
        for (image, data) in back.images.iter_mut().zip([b"k", b"d"]) {
            image.data = Cow::Borrowed(data);
        }
        assert_eq!(build(back).unwrap().write().unwrap(), build(spec()).unwrap().write().unwrap());
        let unknown = text.replacen("\"arch\"", "\"arhc\"", 1);
        assert!(serde_json::from_str::<FitSpec<'_>>(&unknown).unwrap_err().to_string().contains("`arhc`"));
    }
}
