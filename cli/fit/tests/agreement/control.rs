//! Control FDTs that are changed: what U-Boot trusts, in the eyes of both verifiers.
//!
//! Nobody who can change it needs to forge a FIT. It is what `fit trust` writes, what other tools write, and what `fit verify` is
//! asked to judge a FIT by: a FIT that it calls good must start.

use fit::control_fdt::{RequiredMode, insert_key, set_required_mode};
use fit::fdt::{Node, Tree};
use fit::key::Padding;
use fit::sign::Signer;

use crate::common::{self, signed};
use crate::mutations::{Numbers, change, shaken};
use crate::{Case, agree_on};

/// Why ours refuses what U-Boot takes.
const STRICTER: &[(&str, &str)] = &[
    (
        "bad-tree",
        "a tree that libfdt reads and that breaks the specification, or a `required-mode` that is none",
    ),
    (
        "control-key",
        "a key node that is not whole, or whose numbers contradict each other: U-Boot looks only at what it uses",
    ),
    ("no-required-key", "no key is required for configurations: U-Boot starts what nobody signed"),
    ("unknown-key", "a key of another name: with a required key U-Boot tries it for any signature"),
];

fn mutated(control: &[u8], numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    if numbers.below(3) == 0 {
        return shaken(control, numbers);
    }
    let mut tree = Tree::parse(control).unwrap();
    let mut root = std::mem::replace(&mut tree.root, Node::new("")).into_owned();
    let kind = change(&mut root, numbers);
    let written = Tree { root, reserved: Vec::new(), strings: tree.strings.clone() }.write();
    (kind, written.unwrap_or_else(|_| control.to_vec()))
}

#[test]
fn ours_takes_by_no_control_fdt_what_u_boot_refuses_by_it() {
    let one = common::control();
    let key = fit::key::PublicKey::Rsa(common::other_key().to_public_key());
    let two = insert_key(&one, "other", common::options(Padding::Pss).algorithm, &key).unwrap();
    let two = set_required_mode(&two, RequiredMode::Any).unwrap();
    assert_eq!(common::trusted()[0].key, common::signer().public_key());
    let cases = [(Padding::Pss, one), (Padding::Pkcs1v15, two)]
        .map(|(padding, control)| Case { fit: signed(padding), control });
    agree_on(&cases, 0x0c07_1201, STRICTER, |case, numbers| {
        let (kind, control) = mutated(&case.control, numbers);
        (kind, Case { fit: case.fit.clone(), control })
    });
}
