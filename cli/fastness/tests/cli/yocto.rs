//! The backend `yocto`: layers are written, and nobody is told that an image was built.

use std::fs;

use crate::support::Place;

#[test]
fn layers_and_a_kas_file_are_written_and_another_backend_takes_their_place() {
    let place = Place::with_product();
    let run = place.run(&["generate", "--backend", "yocto"]);
    assert_eq!(run.code, 0, "{run:?}");
    let folder = place.path("out/qemu-aarch64/generated");
    let layer = fs::read_to_string(folder.join("meta-gw-distro/conf/layer.conf")).unwrap();
    assert!(layer.contains("LAYERSERIES_COMPAT_gw-distro = \"wrynose\""), "{layer}");
    assert!(folder.join("meta-gw-bsp/conf/layer.conf").is_file() && folder.join("kas.yml").is_file());
    assert_eq!(place.run(&["generate"]).code, 0);
    assert!(!folder.join("kas.yml").exists() && folder.join("packages.txt").is_file());
}

#[test]
fn a_release_that_is_not_supported_is_named_with_those_that_are() {
    let place = Place::with_product();
    place.add("\nyocto: {series: dunfell}\n");
    let run = place.run(&["generate", "--backend", "yocto"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("dunfell") && run.err.contains("scarthgap"), "{run:?}");
    assert!(!place.path("out").exists());
}

#[test]
fn a_build_needs_checkouts_or_images_and_an_ordinary_user() {
    let place = Place::with_product();
    assert_eq!(place.run(&["keys", "new", "gw-dev", "--keys", "k"]).code, 0);
    let build = ["build", "--backend", "yocto", "--keys", "k", "--cache", "c"];
    let run = place.run(&build);
    if rustix::process::geteuid().is_root() {
        assert_eq!(run.code, 4, "{run:?}");
        assert!(run.err.contains("error[root-refused]: BitBake does not run as root"), "{run:?}");
    } else {
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.err.contains("error[no-checkouts]"), "{run:?}");
    }
    // Images of another build need no BitBake, and so no other user.
    let run = place.run(&[&build[..], &["--yocto-deploy", "deploy"]].concat());
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("error[no-deploy]") && run.err.contains("`deploy`, found none"), "{run:?}");
    fs::create_dir(place.path("deploy")).unwrap();
    let run = place.run(&[&build[..], &["--yocto-deploy", "deploy"]].concat());
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("error[no-output]") && run.err.contains("`deploy/Image`"), "{run:?}");
    assert!(!place.path("out/qemu-aarch64/image").exists());
    let run = place.run(&[&build[..], &["--yocto-deploy", "deploy", "--yocto", "src"]].concat());
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn a_mirror_that_is_no_address_is_refused_at_its_line() {
    let place = Place::with_product();
    place.add("\nyocto: {downloads: \"mirror $(id)\"}\n");
    let run = place.run(&["generate", "--backend", "yocto"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("the address of a file") && run.err.contains("product.yaml:"), "{run:?}");
}

/// The product, for two boards.
fn with_two_boards() -> Place {
    let place = Place::with_product();
    let board = fs::read_to_string(crate::support::top().join("boards/qemu-aarch64/board.yaml")).unwrap();
    fs::create_dir_all(place.path("boards/twin")).unwrap();
    fs::write(place.path("boards/twin/board.yaml"), board).unwrap();
    place.edit("boards: [qemu-aarch64]", "boards: [qemu-aarch64, twin]");
    place
}

#[test]
fn several_boards_are_one_build() {
    let place = with_two_boards();
    let run = place.run(&["generate", "--backend", "yocto", "--all-boards", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["boards"].as_array().unwrap().len(), 2);
    let folder = place.path("out/all-boards/generated");
    for board in ["qemu-aarch64", "twin"] {
        assert!(folder.join(format!("meta-gw-bsp/conf/machine/gw-{board}.conf")).is_file());
        assert!(folder.join(format!("meta-gw-bsp/conf/multiconfig/{board}.conf")).is_file());
    }
    let kas = fs::read_to_string(folder.join("kas.yml")).unwrap();
    assert!(kas.contains("BBMULTICONFIG = \"qemu-aarch64 twin\""), "{kas}");
}

#[test]
fn layers_that_name_nobody_who_keeps_them_are_written_with_a_warning() {
    let place = Place::with_product();
    let run = place.run(&["generate", "--backend", "yocto"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.err.contains("the layers of `gw` name nobody who keeps them"), "{run:?}");
    assert!(run.err.contains("`yocto: {maintainer: \"The team <team@example.org>\"}`"), "{run:?}");
    place.add("\nyocto: {maintainer: \"The team <team@example.org>\"}\n");
    let run = place.run(&["generate", "--backend", "yocto"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.err.contains("name nobody"), "{run:?}");
    let readme =
        fs::read_to_string(place.path("out/qemu-aarch64/generated/meta-gw-distro/README.md")).unwrap();
    assert!(readme.contains("The team <team@example.org>"), "{readme}");
}

/// Whoever builds by the kas file of several boards builds what `fastness build` did.
#[test]
fn the_commits_of_the_lock_are_those_of_the_kas_file_of_several_boards() {
    let place = with_two_boards();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let lock = |series: &str| {
        let text = format!(
            r#"{{"schema_version": 1, "targets": {{}}, "yocto": {{"{series}": {{"openembedded-core": "{commit}"}}}}}}"#
        );
        fs::write(place.path("fastness.lock"), text).unwrap();
        let run = place.run(&["generate", "--backend", "yocto", "--all-boards"]);
        assert_eq!(run.code, 0, "{run:?}");
        fs::read_to_string(place.path("out/all-boards/generated/kas.yml")).unwrap()
    };
    let kas = lock("wrynose");
    let core = kas.split("  \"openembedded-core\":").nth(1).unwrap().split("\n  \"meta-").next().unwrap();
    assert!(core.contains(&format!("commit: \"{commit}\"")), "{kas}");
    // Another series' commits are no pins of this one.
    assert!(!lock("scarthgap").contains(commit));
}
