//! Products and layers that are wrong, at the level of the program: told with place and hint, exit
//! code 3, and nothing is written. The rules one by one: `cli/spec/tests/refused_products.rs`.

use std::fs;

use crate::support::Place;

/// What `build` says about a product that differs in one place. It may not touch anything.
#[track_caller]
fn refused(place: &Place, code: &str, message: &str, hint: &str) {
    fs::create_dir_all(place.path("out/qemu-aarch64")).unwrap();
    fs::write(place.path("out/qemu-aarch64/image.json"), "the old image").unwrap();
    for verb in ["check", "build", "generate", "plan"] {
        let run = place.run(&[verb]);
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{verb}: {run:?}");
        assert!(run.err.contains(&format!("error[{code}]: ")), "{verb}: {}", run.err);
        assert!(run.err.contains(message), "{verb}: {}", run.err);
        assert!(run.err.contains(hint), "{verb}: {}", run.err);
    }
    let found: Vec<_> = fs::read_dir(place.path("out/qemu-aarch64")).unwrap().flatten().collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(fs::read(place.path("out/qemu-aarch64/image.json")).unwrap(), b"the old image");
    assert!(!place.path(".cache").exists() && !place.path("fastness.lock").exists());
}

/// The same, for one edit of the first product.
#[track_caller]
fn edit_refused(from: &str, to: &str, code: &str, message: &str, hint: &str) {
    let place = Place::with_product();
    place.edit(from, to);
    refused(&place, code, message, hint);
}

/// The same, for a layer of the product's own.
#[track_caller]
fn layer_refused(text: &str, code: &str, message: &str, hint: &str) {
    let place = Place::with_product();
    place.edit("banner: |", "layers: {own: {}}\nbanner: |");
    fs::create_dir_all(place.path("layers/own")).unwrap();
    let head = "title: Own\ndescription: Own\n";
    fs::write(place.path("layers/own/layer.yaml"), format!("{head}{text}\n")).unwrap();
    refused(&place, code, message, hint);
}

#[test]
fn an_unknown_key() {
    edit_refused(
        "security_level: 2 ",
        "security_levle: 2 ",
        "unknown-key",
        "unknown key `security_levle`",
        "did you mean `security_level`?",
    );
    layer_refused("linx: []", "unknown-key", "unknown key `linx`", "did you mean `linux`?");
}

#[test]
fn a_wrong_type() {
    edit_refused(
        "port: 22}",
        "port: ssh}",
        "wrong-type",
        "expected a port (1-65535), found `ssh`",
        "product.yaml:",
    );
    layer_refused("linux: yes", "wrong-type", "found", "layers/own/layer.yaml:3");
}

#[test]
fn a_duplicate_key() {
    edit_refused(
        "banner: |",
        "version: 2.0.0\nbanner: |",
        "duplicate-key",
        "the key `version` is there twice",
        "keep one",
    );
}

#[test]
fn an_unknown_board() {
    edit_refused(
        "boards: [qemu-aarch64] ",
        "boards: [qemu-aarch46] ",
        "unknown-board",
        "expected a board, found `qemu-aarch46`",
        "did you mean `qemu-aarch64`?",
    );
}

#[test]
fn an_unknown_layer() {
    edit_refused(
        "banner: |",
        "layers: {shs: {port: 22}}\nbanner: |",
        "unknown-layer",
        "expected the layer `shs`, found no `layers/shs/layer.yaml`",
        "did you mean `ssh`?",
    );
}

#[test]
fn an_unknown_interface() {
    let place = Place::with_product();
    place.edit("eth0", "eth9");
    refused(
        &place,
        "unknown-interface",
        "the board `qemu-aarch64` has no interface `eth9`",
        "did you mean `eth0`?",
    );
}

#[test]
fn two_layers_that_disagree() {
    layer_refused(
        "linux: [{symbol: DEVMEM, value: y, reason: other}]",
        "conflict",
        "layer kernel-hardening and layer own disagree about the Linux symbol `DEVMEM`",
        "layers/kernel-hardening/layer.yaml:",
    );
}

#[test]
fn a_service_in_a_zone_that_does_not_exist() {
    edit_refused(
        "from: control, to: device, service: ssh",
        "from: contrl, to: device, service: ssh",
        "unknown-zone",
        "expected a zone, found `contrl`, which is none",
        "did you mean `control`?",
    );
}

#[test]
fn an_algorithm_that_the_boards_uboot_cannot_verify() {
    edit_refused(
        "banner: |",
        "signing: {algorithm: \"sha512,ecdsa521\"}\nbanner: |",
        "unknown-algorithm",
        "the U-Boot of the board `qemu-aarch64` cannot verify the algorithm `sha512,ecdsa521`",
        "it verifies `sha256,rsa3072`",
    );
}

#[test]
fn layers_that_lead_out_of_their_folder() {
    layer_refused(
        "files: [{path: /etc/../x, symlink: y, reason: r}]",
        "wrong-type",
        "an absolute path without `..`",
        "layers/own/layer.yaml:3",
    );
    layer_refused(
        "files: [{path: /etc/x, template: ../../secret.hbs, reason: r}]",
        "wrong-type",
        "a template's path",
        "layers/own/layer.yaml:3",
    );
    // A link in the product's own layers to a file elsewhere.
    let place = Place::with_product();
    place.edit("banner: |", "layers: {own: {}}\nbanner: |");
    fs::write(place.path("secret.yaml"), "title: Own\ndescription: Own\n").unwrap();
    fs::create_dir_all(place.path("layers/own")).unwrap();
    std::os::unix::fs::symlink(place.path("secret.yaml"), place.path("layers/own/layer.yaml")).unwrap();
    refused(&place, "path-escape", "found a link that leads out of it", "copy the file to");
    // The folder itself as a link.
    fs::remove_dir_all(place.path("layers/own")).unwrap();
    fs::create_dir_all(place.path("elsewhere")).unwrap();
    fs::rename(place.path("secret.yaml"), place.path("elsewhere/layer.yaml")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere"), place.path("layers/own")).unwrap();
    refused(&place, "path-escape", "found a link that leads out of it", "copy the file to");
}

#[test]
fn a_lock_that_would_write_elsewhere() {
    let place = Place::with_product();
    place.run(&["keys", "new", "gw-dev", "--bits", "3072"]);
    let pin = "{\"file\": \"../../x.deb\", \"bytes\": 1, \"sha256\": \"00\"}";
    let lock = format!(
        "{{\"schema_version\": 1, \"targets\": {{\"trixie/arm64\": {{\"asked\": [], \"sources\": {{}}, \
         \"packages\": {{\"bash\": {pin}}}}}}}}}"
    );
    fs::write(place.path("fastness.lock"), &lock).unwrap();
    let run = place.run(&["build", "--offline"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
    assert!(run.err.contains("error[bad-pin]: `fastness.lock` pins the file `../../x.deb`"), "{run:?}");
    assert!(run.err.contains("hint: restore it from version control"), "{run:?}");
    assert_eq!(fs::read_to_string(place.path("fastness.lock")).unwrap(), lock);
}

/// Files made to crash a parser: an error, never a panic (which would be exit code 101) or a signal.
#[test]
fn a_fit_or_squashfs_made_to_crash_a_parser() {
    let place = Place::new();
    // FDT header: a structure block far behind the end, version 17.
    let mut fdt = vec![0; 64];
    for (word, value) in
        [0xd00d_feed, 64, 0xffff_fff0, 0x7fff_ffff, 40, 17, 16, 0, 0xffff_ffff_u32, 0xffff_fff0]
            .into_iter()
            .enumerate()
    {
        fdt[word * 4..word * 4 + 4].copy_from_slice(&value.to_be_bytes());
    }
    fs::write(place.path("x.itb"), &fdt).unwrap();
    // A tree that is nested deeper than any stack: FDT_BEGIN_NODE with an empty name, over and over.
    let nodes = 200_000u32;
    let mut deep = Vec::new();
    for value in [0xd00d_feed, 56 + nodes * 8, 56, 56 + nodes * 8, 40, 17, 16, 0, 0, nodes * 8, 0, 0, 0, 0] {
        deep.extend(value.to_be_bytes());
    }
    for _ in 0..nodes {
        deep.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    }
    fs::write(place.path("deep.itb"), &deep).unwrap();
    for file in ["x.itb", "deep.itb"] {
        let run = place.run(&["fit", "show", file]);
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
        assert!(run.err.starts_with(&format!("error[fit]: `{file}`: ")), "{run:?}");
        // What cannot be read is a check that does not hold.
        let run = place.run(&["inspect", file]);
        assert_eq!(run.code, 6, "{run:?}");
        assert!(
            run.out.contains("NOT RUN generic.fit-signed\n        FIT: not a valid device tree"),
            "{run:?}"
        );
    }
    // squashfs 4.0: every table at the end of the world, 4 billion inodes, blocks of 1 MiB.
    let mut squashfs = vec![0xff; 96];
    squashfs[..4].copy_from_slice(b"hsqs");
    squashfs[12..16].copy_from_slice(&(1u32 << 20).to_le_bytes());
    squashfs[20..24].copy_from_slice(&[1, 0, 20, 0]);
    squashfs[28..32].copy_from_slice(&[4, 0, 0, 0]);
    squashfs.resize(8192, 0xff);
    fs::write(place.path("x.squashfs"), &squashfs).unwrap();
    let run = place.run(&["inspect", "x.squashfs"]);
    assert!([3, 6].contains(&run.code), "{run:?}");
    assert!(format!("{}{}", run.err, run.out).contains("squashfs"), "{run:?}");
    assert_eq!(fs::read(place.path("x.squashfs")).unwrap(), squashfs, "it was read only");
}
