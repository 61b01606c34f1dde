//! Changes of the FIT as a tree.

use diag::Outcome;
use fit::fdt::{Node, Tree};
use fit::key::Hash;

use super::{Case, HashFate, bad_fit, names, payload, unfit};

/// Reads the FIT, changes it and writes it; its strings keep their offsets.
pub(super) fn edit(
    case: &mut Case<'_>,
    change: impl FnOnce(&mut Tree<'_>) -> Outcome<String>,
) -> Outcome<String> {
    let mut tree = Tree::parse(&case.fit).map_err(|e| bad_fit(&e))?;
    let words = change(&mut tree)?;
    let written = tree.write().map_err(|e| bad_fit(&e))?;
    case.fit = written;
    Ok(words)
}

pub(super) fn node<'t, 'a>(tree: &'t mut Tree<'a>, path: &str) -> Outcome<&'t mut Node<'a>> {
    tree.root.at_mut(path).ok_or_else(|| unfit(format!("the FIT has no node `{path}`")))
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Makes every hash of an image anew.
pub(super) fn rehash(image: &mut Node<'_>) -> Outcome<()> {
    let data = image.get("data").map(<[u8]>::to_vec);
    let data = data.ok_or_else(|| unfit(format!("the image `{}` has no data", image.name)))?;
    for child in image.children.iter_mut().filter(|child| child.name.starts_with("hash")) {
        let hash = Hash::parse(child.text("algo").unwrap_or_default()).map_err(|e| bad_fit(&e))?;
        child.set("value", hash.digest(&[&data]));
    }
    Ok(())
}

pub(super) fn set_text(case: &mut Case<'_>, path: &str, property: &str, texts: &[String]) -> Outcome<String> {
    edit(case, |tree| {
        let (parent, name) = split(path);
        let node = node(tree, parent)?.child_or_new(name);
        node.set_texts(property, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(format!("`{property}` of `{path}` set to `{}`", texts.join("`, `")))
    })
}

pub(super) fn set_number(
    case: &mut Case<'_>,
    path: &str,
    property: &str,
    value: u64,
    size: u8,
) -> Outcome<String> {
    let bytes = match size {
        4 => u32::try_from(value)
            .map_err(|_| unfit(format!("{value:#x} is no 32-bit cell")))?
            .to_be_bytes()
            .to_vec(),
        8 => value.to_be_bytes().to_vec(),
        other => return Err(unfit(format!("expected a size of 4 or 8 bytes, found {other}"))),
    };
    edit(case, |tree| {
        node(tree, path)?.set(property, bytes);
        Ok(format!("`{property}` of `{path}` set to {value:#x}"))
    })
}

pub(super) fn resize(case: &mut Case<'_>, path: &str, property: &str, by: Option<i16>) -> Outcome<String> {
    edit(case, |tree| {
        let node = node(tree, path)?;
        let mut value = node
            .get(property)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| unfit(format!("`{path}` has no property `{property}`")))?;
        let was = value.len();
        let now = by.map_or(0, |by| was.saturating_add_signed(isize::from(by)));
        if now == was {
            return Err(unfit(format!("`{property}` of `{path}` has {was} bytes already")));
        }
        value.resize(now, 0);
        node.set(property, value);
        Ok(format!("`{property}` of `{path}` has {now} bytes in place of {was}"))
    })
}

pub(super) fn duplicate_text(case: &mut Case<'_>, path: &str, property: &str, text: &str) -> Outcome<String> {
    edit(case, |tree| {
        let node = node(tree, path)?;
        let at = node.properties.iter().position(|(name, _)| name == property);
        let at = at.ok_or_else(|| unfit(format!("`{path}` has no property `{property}` to double")))?;
        node.properties.insert(at, (property.to_owned(), format!("{text}\0").into_bytes().into()));
        Ok(format!("a second `{property}` of `{path}`, `{text}`, stands in front of the first"))
    })
}

pub(super) fn remove_property(case: &mut Case<'_>, path: &str, property: &str) -> Outcome<String> {
    edit(case, |tree| {
        if !node(tree, path)?.unset(property) {
            return Err(unfit(format!("`{path}` has no property `{property}` to remove")));
        }
        Ok(format!("`{property}` of `{path}` removed"))
    })
}

pub(super) fn remove_node(case: &mut Case<'_>, path: &str) -> Outcome<String> {
    edit(case, |tree| {
        node(tree, path)?;
        let (parent, name) = split(path);
        node(tree, parent)?.children.retain(|child| child.name != name);
        Ok(format!("node `{path}` removed"))
    })
}

pub(super) fn rename_node(case: &mut Case<'_>, path: &str, to: &str) -> Outcome<String> {
    edit(case, |tree| {
        node(tree, path)?.name = to.to_owned();
        let (_, name) = split(path);
        let from = [name.as_bytes(), &[0]].concat();
        let configurations = node(tree, "/configurations")?;
        let nodes = configurations.children.iter_mut().flat_map(|conf| &mut conf.properties);
        for (_, value) in nodes.chain(&mut configurations.properties) {
            if value.as_ref() == from {
                *value = format!("{to}\0").into_bytes().into();
            }
        }
        Ok(format!("node `{path}` renamed to `{to}`, with what refers to it"))
    })
}

pub(super) fn replace_data(case: &mut Case<'_>, image: &str, hash: HashFate) -> Outcome<String> {
    let kernel = payload::raw_kernel(case.subject.architecture);
    edit(case, |tree| {
        let node = node(tree, &format!("/images/{image}"))?;
        node.set("data", kernel);
        if hash == HashFate::Update {
            rehash(node)?;
        }
        Ok(format!("the attacker's code is the data of the image `{image}`, {}", fate(hash)))
    })
}

/// Puts other data into an image, and makes its hash anew.
pub(super) fn set_data(case: &mut Case<'_>, image: &str, data: &[u8]) -> Outcome<String> {
    edit(case, |tree| {
        let node = node(tree, &format!("/images/{image}"))?;
        node.set("data", data.to_vec());
        rehash(node)?;
        Ok(format!("the image `{image}` has other data"))
    })
}

pub(super) fn grow_data(case: &mut Case<'_>, image: &str, by: usize) -> Outcome<String> {
    edit(case, |tree| {
        let node = node(tree, &format!("/images/{image}"))?;
        let data = node.get("data").ok_or_else(|| unfit(format!("the image `{image}` has no data")))?;
        let grown = [data, &vec![0; by]].concat();
        node.set("data", grown);
        rehash(node)?;
        Ok(format!("{by} zeros behind the data of the image `{image}`, its hash made anew"))
    })
}

fn fate(hash: HashFate) -> &'static str {
    match hash {
        HashFate::Keep => "its hash kept",
        HashFate::Update => "its hash made anew",
    }
}

pub(super) fn add_image(case: &mut Case<'_>, name: &str, image_type: &str) -> Outcome<String> {
    let hash = case.subject.algorithm.hash;
    let kernel = payload::raw_kernel(case.subject.architecture);
    let signed = case.subject.names.get(names::KERNEL)?;
    edit(case, |tree| {
        // Everything but data, hash and type as the signed kernel has it.
        let mut image = node(tree, &format!("/images/{signed}"))?.clone();
        let images = node(tree, "/images")?;
        image.name = name.to_owned();
        image.children.clear();
        image.set_text("type", image_type);
        image.set("data", kernel);
        let child = image.child_or_new("hash-1");
        child.set_text("algo", hash.name());
        rehash(&mut image)?;
        images.children.push(image);
        Ok(format!("image `{name}` of type `{image_type}` with the attacker's code and a correct hash added"))
    })
}

pub(super) fn bootargs(
    case: &mut Case<'_>,
    append: Option<&str>,
    replace: Option<&(String, String)>,
    hash: HashFate,
) -> Outcome<String> {
    let root_hash = case.subject.root_hash.clone();
    let device_tree = case.subject.names.get(names::DEVICE_TREE)?;
    edit(case, |tree| {
        let image = node(tree, &format!("/images/{device_tree}"))?;
        let data = image.get("data").ok_or_else(|| unfit("the FIT's device tree has no data"))?.to_vec();
        let mut inner = Tree::parse(&data).map_err(|e| bad_fit(&e))?;
        let chosen = node(&mut inner, "/chosen")?;
        let mut line =
            chosen.text("bootargs").ok_or_else(|| unfit("the device tree has no `bootargs`"))?.to_owned();
        let mut words = Vec::new();
        if let Some((from, to)) = replace {
            let from = from.replace("ROOT-HASH", &root_hash);
            if from.is_empty() || !line.contains(&from) {
                return Err(unfit(format!("the command line does not contain `{from}`")));
            }
            line = line.replace(&from, to);
            words.push(format!("`{from}` replaced by `{to}`"));
        }
        if let Some(append) = append {
            line = format!("{line} {append}");
            words.push(format!("`{append}` added"));
        }
        if words.is_empty() {
            return Err(unfit("expected `append` or `replace` for the command line, found neither"));
        }
        chosen.set_text("bootargs", &line);
        let written = inner.write().map_err(|e| bad_fit(&e))?;
        image.set("data", written);
        if hash == HashFate::Update {
            rehash(image)?;
        }
        Ok(format!("command line of the FIT's device tree: {}, {}", words.join(", "), fate(hash)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, fit_of};
    use super::super::{HashFate, Mutation};
    use super::*;

    fn set(node: &str, property: &str, texts: &[&str]) -> Mutation {
        Mutation::SetText {
            node: node.into(),
            property: property.into(),
            texts: texts.iter().map(|t| (*t).to_owned()).collect(),
        }
    }

    #[test]
    fn data_grows_by_zeros_and_its_hash_is_the_right_one() {
        let bench = Bench::new();
        let (words, case) = bench.run(&[Mutation::GrowData { image: "{kernel}".into(), by: 8 }]);
        assert!(words.contains("8 zeros behind the data of the image `kernel`"), "{words}");
        let data = |fit: &[u8]| fit_of(fit).root.at("/images/kernel").unwrap().get("data").unwrap().to_vec();
        let grown = [&data(&bench.subject.fit)[..], &[0; 8]].concat();
        assert_eq!(data(&case.fit), grown);
        let tree = fit_of(&case.fit);
        let hash = tree.root.at("/images/kernel/hash-1").unwrap().get("value").unwrap();
        assert_eq!(hash, Hash::Sha256.digest(&[&grown]));
        assert!(
            bench
                .fails(&[Mutation::GrowData { image: "ghost".into(), by: 8 }])
                .contains("no node `/images/ghost`")
        );
    }

    #[test]
    fn a_property_grows_shrinks_and_becomes_empty() {
        let bench = Bench::new();
        let resize = |by| Mutation::Resize {
            node: "/configurations/conf/signature-1".into(),
            property: "value".into(),
            by,
        };
        let value = |fit: &[u8]| {
            let tree = fit_of(fit);
            tree.root.at("/configurations/conf/signature-1").unwrap().get("value").unwrap().to_vec()
        };
        let good = value(&bench.subject.fit);
        let (words, case) = bench.run(&[resize(Some(2))]);
        assert_eq!(value(&case.fit), [&good[..], &[0, 0]].concat());
        assert!(
            words.contains(&format!("has {} bytes in place of {}", good.len() + 2, good.len())),
            "{words}"
        );
        let (_, case) = bench.run(&[resize(Some(-1))]);
        assert_eq!(value(&case.fit), good[..good.len() - 1]);
        let (_, case) = bench.run(&[resize(None)]);
        assert!(value(&case.fit).is_empty());
        let text = bench.fails(&[resize(Some(0))]);
        assert!(text.contains(&format!("has {} bytes already", good.len())), "{text}");
        let ghost = Mutation::Resize { node: "/images/kernel".into(), property: "ghost".into(), by: None };
        assert!(bench.fails(&[ghost]).contains("`/images/kernel` has no property `ghost`"));
    }

    #[test]
    fn properties_and_nodes_change_where_they_are_named() {
        let bench = Bench::new();
        let (_, case) = bench.run(&[
            set("/configurations/conf", "fdt", &["fdt", "overlay"]),
            Mutation::SetNumber {
                node: "/images/kernel".into(),
                property: "load".into(),
                value: 0x4000_0000,
                size: 8,
            },
            Mutation::RemoveNode { node: "/configurations/conf/signature-1".into() },
            Mutation::RemoveProperty { node: "/images/fdt/hash-1".into(), property: "value".into() },
            Mutation::DuplicateText {
                node: "/configurations".into(),
                property: "default".into(),
                text: "evil".into(),
            },
        ]);
        let tree = fit_of(&case.fit);
        let conf = tree.root.at("/configurations/conf").unwrap();
        assert_eq!(conf.texts("fdt").unwrap(), ["fdt", "overlay"]);
        assert!(conf.children.is_empty());
        assert_eq!(
            tree.root.at("/images/kernel").unwrap().get("load").unwrap(),
            0x4000_0000u64.to_be_bytes()
        );
        assert_eq!(tree.root.at("/images/fdt/hash-1").unwrap().get("value"), None);
        let configurations = tree.root.at("/configurations").unwrap();
        let defaults: Vec<_> = configurations.properties.iter().filter(|(n, _)| n == "default").collect();
        assert_eq!((defaults.len(), configurations.text("default")), (2, Some("evil")));
    }

    #[test]
    fn a_renamed_image_is_still_referred_to() {
        let bench = Bench::new();
        let (_, case) =
            bench.run(&[Mutation::RenameNode { node: "/images/kernel".into(), to: "kernel@1".into() }]);
        let tree = fit_of(&case.fit);
        assert!(tree.root.at("/images/kernel@1").is_some() && tree.root.at("/images/kernel").is_none());
        assert_eq!(tree.root.at("/configurations/conf").unwrap().text("kernel"), Some("kernel@1"));
    }

    #[test]
    fn replaced_data_keeps_or_renews_its_hash() {
        let bench = Bench::new();
        let hash =
            |fit: &[u8]| fit_of(fit).root.at("/images/kernel/hash-1").unwrap().get("value").unwrap().to_vec();
        let replace = |hash| Mutation::ReplaceData { image: "kernel".into(), hash };
        let (_, kept) = bench.run(&[replace(HashFate::Keep)]);
        assert_eq!(hash(&kept.fit), hash(&bench.subject.fit));
        let (_, renewed) = bench.run(&[replace(HashFate::Update)]);
        assert_eq!(
            hash(&renewed.fit),
            Hash::Sha256.digest(&[&payload::raw_kernel(spec::Architecture::Arm64)])
        );
        let (_, added) = bench.run(&[Mutation::AddImage { name: "rd".into(), image_type: "ramdisk".into() }]);
        let tree = fit_of(&added.fit);
        let image = tree.root.at("/images/rd").unwrap();
        assert_eq!(image.text("type"), Some("ramdisk"));
        assert_eq!(image.child("hash-1").unwrap().get("value").unwrap(), hash(&renewed.fit));
    }

    #[test]
    fn the_command_line_changes_inside_of_the_device_tree() {
        let bench = Bench::new();
        let change = Mutation::Bootargs {
            append: Some("init=/bin/sh".into()),
            replace: Some(("ROOT-HASH".into(), "00".into())),
            hash: HashFate::Update,
        };
        let (words, case) = bench.run(&[change]);
        let tree = fit_of(&case.fit);
        let inner = Tree::parse(tree.root.at("/images/fdt").unwrap().get("data").unwrap()).unwrap();
        let line = inner.root.at("/chosen").unwrap().text("bootargs").unwrap();
        assert!(line.ends_with(" init=/bin/sh") && !line.contains(&bench.subject.root_hash), "{line}");
        assert!(words.contains("`init=/bin/sh` added"), "{words}");
        let nothing = Mutation::Bootargs {
            append: None,
            replace: Some(("absent".into(), String::new())),
            hash: HashFate::Keep,
        };
        assert!(bench.fails(&[nothing]).contains("does not contain `absent`"));
    }

    #[test]
    fn what_is_not_there_cannot_be_changed() {
        let bench = Bench::new();
        for mutation in [
            Mutation::RemoveNode { node: "/images/ghost".into() },
            Mutation::RenameNode { node: "/images/ghost".into(), to: "x".into() },
            Mutation::ReplaceData { image: "ghost".into(), hash: HashFate::Keep },
            set("/ghost/child", "x", &["y"]),
        ] {
            let text = bench.fails(std::slice::from_ref(&mutation));
            assert!(text.contains("the FIT has no node `/"), "{mutation:?}: {text}");
        }
    }
}
