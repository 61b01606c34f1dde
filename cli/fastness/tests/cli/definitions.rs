//! `boards`, `layers`, `schema`.

use crate::support::Place;

#[test]
fn boards_are_listed_with_what_matters() {
    let place = Place::new();
    let run = place.run(&["boards"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let json = place.run(&["boards", "--json"]).json();
    for board in ["qemu-aarch64", "qemu-arm", "qemu-riscv64", "imx8mm-evk"] {
        assert!(run.out.contains(&format!("{board}: ")), "{}", run.out);
        assert!(json.as_array().unwrap().iter().any(|one| one["name"] == board), "{board}");
    }
    assert!(
        run.out.contains("arm64; its boot ROM verifies with a fused key; interfaces eth0"),
        "{}",
        run.out
    );
    assert!(run.out.contains("armhf; its hardware verifies nothing; interfaces eth0"), "{}", run.out);
}

#[test]
fn the_root_of_trust_of_a_board_is_said_with_its_warning_and_nothing_is_burnt() {
    let place = Place::new();
    let run = place.run(&["boards", "stm32mp157-dk2"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let warning = run.out.find("WARNING: OTP words cannot be undone").expect("the warning");
    let step = run.out.find("PERMANENT, CANNOT BE UNDONE: burns the hash").expect("the step");
    assert!(warning < step && run.out.contains("Fastness runs none of these commands"), "{}", run.out);
    // The same text lies beside what is generated for the board.
    std::fs::write(
        place.path("product.yaml"),
        spec::scaffold("gw").replace("qemu-aarch64", "stm32mp157-dk2"),
    )
    .unwrap();
    assert_eq!(place.run(&["generate"]).code, 0);
    let written = std::fs::read_to_string(place.path("out/stm32mp157-dk2/root-of-trust.txt")).unwrap();
    assert_eq!(written, run.out);
    assert!(!place.path("out/stm32mp157-dk2/network/root-of-trust.txt").exists());
    // So does the security guide of the image, which says where to look for these steps.
    let guide = std::fs::read_to_string(place.path("out/stm32mp157-dk2/security-guide.txt")).unwrap();
    assert!(
        guide.contains("\ngw 0.1.0 on stm32mp157-dk2\n") && guide.contains("`root-of-trust.txt`"),
        "{guide}"
    );
    let planned = place.run(&["plan", "--json"]).json();
    assert_eq!(planned["files"]["/usr/share/fastness/security-guide.txt"]["value"]["content"], guide);
    let json = place.run(&["boards", "stm32mp157-dk2", "--json"]).json();
    assert_eq!(json["trust"]["steps"][3]["permanent"], true);
    // Where older images are counted out, and what that does not protect against (docs/rollback.md).
    assert!(
        run.out.contains(
            "\nRollback counter: none: every image that was ever signed with the product's key starts. The boot ROM"
        ) && run.out.contains("\nCould count, and Fastness does not use it: the monotonic counter of the boot ROM"),
        "{}",
        run.out
    );
    assert_eq!(json["rollback"]["possible"].as_array().map(Vec::len), Some(2));
    let counted = place.run(&["boards", "qemu-arm"]);
    assert!(counted.out.contains("\nRollback counter: tpm-nv: The counter is in the TPM"), "{}", counted.out);
    let none = place.run(&["boards", "stm32mp157-dk3"]);
    let expected =
        "error[unknown-board]: there is no board `stm32mp157-dk3`\n  hint: did you mean `stm32mp157-dk2`?\n";
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (3, "", expected));
}

#[test]
fn layers_are_listed_and_one_is_shown_whole() {
    let place = Place::new();
    let run = place.run(&["layers"]);
    for layer in spec::product::DEFAULT_LAYERS {
        assert!(run.out.contains(&format!("{layer}: ")), "{}", run.out);
    }
    let one = place.run(&["layers", "ssh"]);
    assert!(one.out.contains("parameter port (port, default 22)"), "{}", one.out);
    let none = place.run(&["layers", "shs"]);
    let expected = "error[unknown-layer]: there is no layer `shs`\n  hint: did you mean `ssh`?\n";
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (3, "", expected));
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let place = Place::new();
    for verb in ["boards", "layers"] {
        let run = place.run(&[verb, "--folder", "none"]);
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
        assert!(run.err.contains("expected a folder, found none at `none`"), "{run:?}");
    }
}

#[test]
fn a_products_own_layer_is_listed_and_a_broken_one_is_told() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("layers/mine")).unwrap();
    std::fs::write(place.path("layers/mine/layer.yaml"), "titel: x\n").unwrap();
    let run = place.run(&["layers"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("unknown key `titel`"), "{run:?}");
}

#[test]
fn schemas_are_listed_and_printed() {
    let place = Place::new();
    assert_eq!(
        place.run(&["schema"]).out,
        "product\nboard\nlayer\nprotocol\nalgorithms\nopcua\nbuildroot-package\nyocto-package\nimage-differences\nknown-keys\nthreats\nreport\nfacts\ncomparison\nanalysis\nanalysis-comparison\nthreat-model\nthreat-comparison\nevent\n"
    );
    for name in ["product", "board", "layer", "report", "event"] {
        let schema = place.run(&["schema", name]).json();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
    }
    let run = place.run(&["schema", "produkt"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("did you mean `product`?"), "{run:?}");
}
