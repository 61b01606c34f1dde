use super::super::testing::{Bench, OTHERS, OURS, fit_of};
use super::super::{HashFate, Mutation};
use super::*;

fn filled(names: &Names) -> String {
    names
        .fill("/configurations/{conf}/{signature} /images/{kernel}/{kernel-hash} /images/{fdt}/{fdt-hash}")
        .unwrap()
}

#[test]
fn nodes_are_found_by_what_they_are() {
    assert_eq!(
        filled(&Bench::of(&OURS).subject.names),
        "/configurations/conf/signature-1 /images/kernel/hash-1 /images/fdt/hash-1"
    );
    assert_eq!(
        filled(&Bench::of(&OTHERS).subject.names),
        "/configurations/conf-board.dtb/signature /images/kernel-1/hash /images/fdt-board.dtb/hash"
    );
    let spl = |called| Bench::spl(called).subject.names;
    let roles = "{uboot} {uboot-hash} {monitor} {monitor-hash} {fdt}";
    assert_eq!(spl(&OURS).fill(roles).unwrap(), "uboot hash-1 monitor hash-1 fdt");
    assert_eq!(spl(&OTHERS).fill(roles).unwrap(), "firmware-1 hash atf hash fdt-board.dtb");
}

#[test]
fn the_default_configurations_images_are_meant() {
    let bench = Bench::of(&OTHERS);
    let mut tree = fit_of(&bench.subject.fit);
    // Another kernel and another configuration in front of those that are booted.
    let images = tree.root.child_mut("images").unwrap();
    let mut other = images.child("kernel-1").unwrap().clone();
    other.name = "recovery".to_owned();
    images.children.insert(0, other);
    let configurations = tree.root.child_mut("configurations").unwrap();
    let mut other = configurations.children[0].clone();
    other.name = "conf-recovery".to_owned();
    other.set_text("kernel", "recovery");
    configurations.children.insert(0, other);
    assert_eq!(filled(&Names::of(&tree.write().unwrap()).unwrap()), filled(&bench.subject.names));
    // Without a default it is the first.
    tree.root.child_mut("configurations").unwrap().unset("default");
    let names = Names::of(&tree.write().unwrap()).unwrap();
    assert_eq!(names.fill("{conf} {kernel}").unwrap(), "conf-recovery recovery");
    // A reference that is missing, or points to nothing: the type decides.
    for configuration in &mut tree.root.child_mut("configurations").unwrap().children {
        configuration.unset("kernel");
        configuration.set_text("fdt", "ghost");
    }
    let names = Names::of(&tree.write().unwrap()).unwrap();
    assert_eq!(names.fill("{kernel} {fdt}").unwrap(), "recovery fdt-board.dtb");
}

#[test]
fn a_role_that_the_fit_does_not_have_is_said() {
    let spl = Bench::spl(&OTHERS);
    let replace = Mutation::ReplaceData { image: "{kernel}".into(), hash: HashFate::Keep };
    let why = spl.fails(&[replace]);
    assert!(why.contains("the FIT has no kernel (`{kernel}`)"), "{why}");
    let boots_no_spl = Bench::of(&OTHERS);
    let why = boots_no_spl.fails(&[Mutation::RemoveNode { node: "/images/{uboot}".into() }]);
    assert!(why.contains("the FIT has no U-Boot (`{uboot}`)"), "{why}");
    // What is no role stays: such a node is looked for, and is not there.
    let why = boots_no_spl.fails(&[Mutation::RemoveNode { node: "/images/{kernal}".into() }]);
    assert!(why.contains("the FIT has no node `/images/{kernal}`"), "{why}");
    let why = Names::of(b"no FIT").unwrap_err().to_string();
    assert!(why.contains("the FIT cannot be changed"), "{why}");
}
