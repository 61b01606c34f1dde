use super::super::testing::{Bench, fit_of};
use super::super::{HashFate, Mutation};
use super::*;

#[test]
fn the_unchanged_fit_verifies() {
    let bench = Bench::new();
    let (_, case) = bench.run(&[Mutation::Nothing {}]);
    assert_eq!(case.fit, bench.subject.fit);
    assert_eq!(bench.problems(&case.fit), Vec::<String>::new());
}

#[test]
fn a_fit_signed_anew_is_valid_for_the_attackers_key_only() {
    let bench = Bench::new();
    let (words, case) = bench.run(&[
        Mutation::ReplaceData { image: "kernel".into(), hash: HashFate::Update },
        Mutation::Resign { key_name: None },
    ]);
    assert!(words.ends_with("signed anew with the attacker's key, named `product`"), "{words}");
    assert!(!bench.problems(&case.fit).is_empty());
    let key = bench.subject.attacker().unwrap().public_key();
    let empty = Tree::default().write().unwrap();
    let control = fit::control_fdt::insert_key(&empty, "product", bench.subject.algorithm, &key).unwrap();
    let keys = fit::control_fdt::keys(&control).unwrap();
    let report = fit::verify::verify(&case.fit, &keys, false).unwrap();
    assert!(report.ok, "{:?}", report.all_problems().collect::<Vec<_>>());
}

#[test]
fn another_products_image_names_that_product_and_its_key() {
    let bench = Bench::new();
    let (_, case) = bench.run(&[Mutation::OtherProduct { name: "pump".into() }]);
    let tree = fit_of(&case.fit);
    let conf = tree.root.at("/configurations/conf").unwrap();
    assert_eq!(conf.text("compatible"), Some("pump"));
    assert_eq!(conf.child("signature-1").unwrap().text("key-name-hint"), Some("pump"));
    assert!(!bench.problems(&case.fit).is_empty());
}

#[test]
fn a_cloned_configuration_keeps_the_signature_and_boots_something_else() {
    let bench = Bench::new();
    let clone =
        |name: &str, first| Mutation::CloneConfiguration { name: name.into(), kernel: "evil".into(), first };
    let (_, case) = bench.run(&[clone("conf-2", false)]);
    let tree = fit_of(&case.fit);
    let configurations = tree.root.at("/configurations").unwrap();
    let names: Vec<&str> = configurations.children.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["conf", "conf-2"]);
    let value = |at: usize| configurations.children[at].child("signature-1").unwrap().get("value");
    assert_eq!(value(0), value(1));
    assert_eq!(configurations.children[1].text("kernel"), Some("evil"));
    let (_, case) = bench.run(&[clone("conf", true)]);
    let tree = fit_of(&case.fit);
    assert_eq!(tree.root.at("/configurations/conf").unwrap().text("kernel"), Some("evil"));
}

/// The bytes that a verifier hashes which believes `hashed-nodes`, as `fdt_find_regions` of U-Boot's `boot/fdt_region.c` selects
/// them: what is open when a token comes that it passes over ends before that token, or behind it where that is the end of a node.
fn believed(fit: &[u8]) -> Vec<u8> {
    use fit::fdt::Token;
    let tree = fit_of(fit);
    let signature = tree.root.at("/configurations/conf/signature-1").unwrap();
    let listed: Vec<String> =
        signature.texts("hashed-nodes").unwrap().into_iter().map(str::to_owned).collect();
    let (mut path, mut before) = (Vec::new(), Vec::new());
    let (mut want, mut open) = (0_u8, false);
    let mut out = Vec::new();
    Blocks::open(fit)
        .unwrap()
        .walk(|token, bytes| {
            let (include, behind) = match token {
                Token::Begin(name) => {
                    path.push(name.to_owned());
                    before.push(want);
                    let whole = format!("/{}", path[1..].join("/"));
                    want = if listed.contains(&whole) { 2 } else { want.saturating_sub(1) };
                    (want > 0, false)
                }
                Token::Property(name, _) => (want >= 2 && !name.starts_with("data"), false),
                Token::End => {
                    let include = want > 0;
                    path.pop();
                    want = before.pop().unwrap();
                    (include, true)
                }
                Token::Nop => (want >= 2, false),
                Token::Finish => (true, false),
            };
            if include || open && behind {
                out.extend_from_slice(bytes);
            }
            open = include;
            Ok(())
        })
        .unwrap();
    out
}

/// Whether `hashed-nodes` name the configuration in its place, which U-Boot has asked since 2020 (`fit_config_check_sig`).
fn configuration_is_listed(fit: &[u8]) -> bool {
    let tree = fit_of(fit);
    let signature = tree.root.at("/configurations/conf/signature-1").unwrap();
    signature.texts("hashed-nodes").unwrap().contains(&"/configurations/conf")
}

#[test]
fn forged_hashed_nodes_would_deceive_a_verifier_that_believes_them() {
    let bench = Bench::new();
    let (_, case) = bench.run(&[Mutation::ForgeHashedNodes {}]);
    assert_eq!(believed(&case.fit), believed(&bench.subject.fit));
    // One that asks where the configuration is, is not deceived.
    assert!(configuration_is_listed(&bench.subject.fit) && !configuration_is_listed(&case.fit));
    let tree = fit_of(&case.fit);
    assert_eq!(tree.root.at("/configurations/conf").unwrap().text("kernel"), Some(FALSE_KERNEL));
    // Ours does not.
    assert!(!bench.problems(&case.fit).is_empty());
}

/// U-Boot 2025.01 as it is starts such a FIT: it asks where the configuration is, and not where its images are.
#[test]
fn a_hidden_image_would_deceive_a_verifier_that_asks_for_the_configuration_alone() {
    let bench = Bench::new();
    for image in ["kernel", "fdt"] {
        let (_, case) = bench.run(&[Mutation::HideImage { image: image.into() }]);
        assert_eq!(believed(&case.fit), believed(&bench.subject.fit));
        assert!(configuration_is_listed(&case.fit));
        let (genuine, forged) = (fit_of(&bench.subject.fit), fit_of(&case.fit));
        let data = |tree: &Tree<'_>, path: &str| tree.root.at(path).unwrap().get("data").unwrap().to_vec();
        let (there, hidden) = (format!("/images/{image}"), format!("/images/hidden/{image}"));
        assert_eq!(data(&forged, &hidden), data(&genuine, &there));
        assert_ne!(data(&forged, &there), data(&genuine, &there));
        assert_eq!(forged.root.at("/configurations/conf").unwrap().text(image), Some(image));
        // Its hash is right: nothing but the signature stands against it. Ours does.
        let problems = bench.problems(&case.fit);
        assert!(!problems.is_empty());
        assert!(!problems.iter().any(|problem| problem.contains("hash of")), "{problems:?}");
    }
}

#[test]
fn two_roots_are_one_behind_the_other() {
    let bench = Bench::new();
    let (_, case) = bench.run(&[Mutation::SecondRoot {}]);
    let error = Tree::parse(&case.fit).unwrap_err().to_string();
    assert!(error.contains("more than one root node"), "{error}");
    let names: usize = case.fit.windows(8).filter(|w| w == b"\0\0\0\x01imag").count();
    assert_eq!(names, 2);
}

#[test]
fn a_key_in_the_fit_is_marked_required_there() {
    let bench = Bench::new();
    let (_, case) = bench.run(&[Mutation::EmbedKey {}]);
    let tree = fit_of(&case.fit);
    assert_eq!(tree.root.at("/signature/key-product").unwrap().text("required"), Some("conf"));
}

#[test]
fn without_the_key_the_flash_holds_the_same_code() {
    let bench = Bench::new();
    let (_, case) = bench.run(&[Mutation::RemoveKey {}]);
    let uboot = case.uboot.unwrap();
    assert_eq!(uboot[..64], [7; 64]);
    let control = fit::control_fdt::find_control(&uboot).unwrap();
    assert!(fit::control_fdt::keys(control).unwrap().is_empty());
    assert_eq!(fit_of(control).root.text("model"), Some("board"));
}

#[test]
fn a_flash_that_trusts_the_attacker_takes_what_the_attacker_signs() {
    let bench = Bench::new();
    let change =
        Mutation::Bootargs { append: Some("loglevel=6".into()), replace: None, hash: HashFate::Update };
    let resign = Mutation::Resign { key_name: None };
    let (words, case) = bench.run(&[Mutation::TrustAttacker {}, change, resign]);
    assert!(words.contains("trusts the attacker's key, named `product`"), "{words}");
    let uboot = case.uboot.as_ref().unwrap();
    let control = fit::control_fdt::find_control(uboot).unwrap();
    assert_eq!(fit::control_fdt::keys(control).unwrap().len(), 1);
    assert!(fit::verify::verify_with_control(&case.fit, control).unwrap().ok);
    // The product's own image is none for it.
    assert!(!fit::verify::verify_with_control(&bench.subject.fit, control).unwrap().ok);
}
