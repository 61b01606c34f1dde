//! `fit build`, `sign`, `verify`, `show` on a small FIT.

use crate::support::{Place, Run};

fn signed() -> Place {
    let place = Place::new();
    std::fs::write(place.path("Image"), vec![0x5a; 5000]).unwrap();
    std::fs::write(place.path("board.dtb"), empty_tree()).unwrap();
    let build = place.run(&[
        "fit",
        "build",
        "--kernel",
        "Image",
        "--fdt",
        "board.dtb",
        "--load",
        "0x40400000",
        "-o",
        "u.itb",
    ]);
    assert!(build.code == 0 && build.out.starts_with("wrote `u.itb`, "), "{build:?}");
    assert_eq!(place.run(&["keys", "new", "dev", "--bits", "2048"]).code, 0);
    let sign = sign(&place, "sha256,rsa2048");
    assert_eq!(sign.code, 0, "{sign:?}");
    place
}

/// A device tree with an empty root. Source: Devicetree Specification 0.4, chapter 5.
fn empty_tree() -> Vec<u8> {
    let header = [0xd00d_feed_u32, 72, 56, 72, 40, 17, 16, 0, 0, 16];
    let reserved = [0; 4];
    let structure = [1, 0, 2, 9];
    header.into_iter().chain(reserved).chain(structure).flat_map(u32::to_be_bytes).collect()
}

fn sign(place: &Place, algorithm: &str) -> Run {
    place.run(&["fit", "sign", "u.itb", "--key", "dev", "--algorithm", algorithm, "-o", "s.itb"])
}

fn verify(place: &Place, file: &str) -> Run {
    place.run(&["fit", "verify", file, "--key", "dev", "--algorithm", "sha256,rsa2048"])
}

#[test]
fn what_was_signed_verifies() {
    let place = signed();
    let run = verify(&place, "s.itb");
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert!(run.out.starts_with("verified  configuration `conf`, signed by `dev`\n"), "{run:?}");
    assert!(run.out.ends_with("the FIT verifies\n"), "{run:?}");
}

#[test]
fn an_unsigned_one_does_not() {
    let run = verify(&signed(), "u.itb");
    assert_eq!(run.code, 6);
    assert!(run.out.contains("unsigned: ") && run.out.ends_with("the FIT does not verify\n"), "{run:?}");
}

/// Exit status 0 and no signature: what the `mkimage` of several Buildroot releases leaves.
#[test]
fn what_a_silent_mkimage_did_not_sign_does_not_verify() {
    if std::process::Command::new("mkimage").arg("-V").output().is_err() {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`mkimage` is required");
        std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: `mkimage` is not installed\n").unwrap();
        return;
    }
    let place = signed();
    let its = "/dts-v1/; / { description = \"x\"; images { kernel { description = \"k\"; data = /incbin/(\"Image\"); \
        type = \"kernel\"; arch = \"arm64\"; os = \"linux\"; load = <0x40400000>; entry = <0x40400000>; \
        compression = \"none\"; hash-1 { algo = \"sha256\"; }; }; }; configurations { default = \"conf\"; \
        conf { kernel = \"kernel\"; signature-1 { algo = \"sha256,rsa2048\"; key-name-hint = \"dev\"; \
        padding = \"pss\"; sign-images = \"kernel\"; }; }; }; };";
    std::fs::write(place.path("x.its"), its).unwrap();
    let mut mkimage = std::process::Command::new("mkimage");
    let made = mkimage.args(["-f", "x.its", "silent.itb"]).current_dir(place.path("")).output().unwrap();
    assert!(made.status.success(), "it says that all is well");
    let run = verify(&place, "silent.itb");
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.out.contains("has no value: it was never signed"), "{run:?}");
}

#[test]
fn a_flipped_byte_is_found() {
    let place = signed();
    let mut bytes = std::fs::read(place.path("s.itb")).unwrap();
    let kernel = bytes.windows(16).position(|w| w == [0x5a; 16]).unwrap();
    bytes[kernel + 8] ^= 1;
    std::fs::write(place.path("s.itb"), bytes).unwrap();
    let run = verify(&place, "s.itb");
    assert_eq!(run.code, 6);
    assert!(run.out.contains("kernel"), "{run:?}");
    assert_eq!(
        place
            .run(&["fit", "verify", "s.itb", "--key", "dev", "--algorithm", "sha256,rsa2048", "--json"])
            .json()["ok"],
        false
    );
}

#[test]
fn a_key_of_another_size_signs_nothing() {
    let place = signed();
    std::fs::remove_file(place.path("s.itb")).unwrap();
    let run = sign(&place, "sha256,rsa3072");
    assert_ne!(run.code, 0);
    assert!(run.err.contains("needs a key of the kind rsa3072, but `dev` is rsa2048"), "{run:?}");
    assert!(!place.path("s.itb").exists());
}

#[test]
fn verify_wants_a_key_to_verify_with() {
    let run = signed().run(&["fit", "verify", "s.itb"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("<--control <FILE>|--key <NAME>>"), "{run:?}");
}

#[test]
fn show_prints_the_tree_and_refuses_what_is_none() {
    let place = signed();
    let run = place.run(&["fit", "show", "s.itb"]);
    assert_eq!(run.code, 0);
    assert!(
        run.out.contains("key-name-hint = \"dev\"") && run.out.contains("algo = \"sha256,rsa2048\""),
        "{run:?}"
    );
    std::fs::write(place.path("junk"), b"not a tree").unwrap();
    let junk = place.run(&["fit", "show", "junk"]);
    assert_eq!((junk.code, junk.out.as_str()), (3, ""));
    assert!(junk.err.contains("error[fit]: `junk`: "), "{junk:?}");
}

#[test]
fn a_folder_in_place_of_a_file_is_told() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder")).unwrap();
    let run = place.run(&["fit", "show", "folder"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("hint: it is a folder; name a file"), "{run:?}");
}

#[test]
fn what_is_no_device_tree_is_not_put_into_a_fit() {
    let place = signed();
    std::fs::write(place.path("board.dtb"), "no tree").unwrap();
    let run = place.run(&[
        "fit",
        "build",
        "--kernel",
        "Image",
        "--fdt",
        "board.dtb",
        "--load",
        "0x40400000",
        "-o",
        "v.itb",
    ]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("`board.dtb`: not a valid device tree"), "{run:?}");
    assert!(!place.path("v.itb").exists());
}

#[test]
fn nobody_is_asked_for_the_passphrase_of_a_key_that_is_not_there() {
    let place = signed();
    for command in
        [&["fit", "sign", "u.itb", "--key", "none", "-o", "v.itb"][..], &["keys", "check", "none", "--open"]]
    {
        let run = place.run(command);
        assert_eq!(run.code, 8, "{run:?}");
        assert!(run.err.contains("error[missing-key]: there is no key `none`"), "{run:?}");
    }
}

const ITS: &str = r#"/dts-v1/;
/ {
	description = "two boards, one kernel";
	images {
		kernel { description = "k"; data = /incbin/("Image"); type = "kernel"; arch = "arm64"; os = "linux"; compression = "none"; load = <0x40400000>; entry = <0x40400000>; hash-1 { algo = "sha256"; }; };
		fdt-a { description = "a"; data = /incbin/("board.dtb"); type = "flat_dt"; arch = "arm64"; compression = "none"; hash-1 { algo = "sha256"; }; };
		fdt-b { description = "b"; data = /incbin/("board.dtb"); type = "flat_dt"; arch = "arm64"; compression = "none"; hash-1 { algo = "sha512"; }; };
	};
	configurations {
		default = "a";
		a { compatible = "x,a"; kernel = "kernel"; fdt = "fdt-a"; };
		b { compatible = "x,b"; kernel = "kernel"; fdt = "fdt-b"; };
	};
};
"#;

#[test]
fn a_description_is_built_signed_and_verified_with_its_data_inside_and_behind() {
    let place = signed();
    std::fs::create_dir(place.path("desc")).unwrap();
    for file in ["Image", "board.dtb"] {
        std::fs::copy(place.path(file), place.path(&format!("desc/{file}"))).unwrap();
    }
    std::fs::write(place.path("desc/fit.its"), ITS).unwrap();
    for more in [&[][..], &["--external"], &["--external=8192", "--align", "512"]] {
        let run = place.run(&[&["fit", "build", "--its", "desc/fit.its", "-o", "u.itb"][..], more].concat());
        assert_eq!(run.code, 0, "{run:?}");
        let signing =
            ["fit", "sign", "u.itb", "--key", "dev", "--algorithm", "sha256,rsa2048", "-o", "s.itb"];
        let run = place.run(&[&signing[..], more].concat());
        assert_eq!(run.code, 0, "{run:?}");
        let run = verify(&place, "s.itb");
        assert!(run.code == 0 && run.out.contains("configuration `b`, signed by `dev`"), "{run:?}");
    }
}

#[test]
fn a_description_that_is_none_or_lacks_a_file_writes_nothing() {
    let place = Place::new();
    std::fs::write(place.path("board.dtb"), empty_tree()).unwrap();
    for (text, code, expected) in [
        (ITS, 3, "Image"),
        ("/dts-v1/; / { images {", 3, "dtc says: "),
        ("hello", 3, "is no image tree source: expected `/dts-v1/;`"),
        (
            "/dts-v1/; / { images { k { hash-1 { algo = \"sha256\"; }; }; }; };",
            3,
            "the image `k` has no data",
        ),
    ] {
        std::fs::write(place.path("fit.its"), text).unwrap();
        let run = place.run(&["fit", "build", "--its", "fit.its", "-o", "u.itb"]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.err.contains(expected), "{run:?}");
        assert!(!place.path("u.itb").exists());
    }
    let run = place.run(&["fit", "build", "--its", "nowhere.its", "-o", "u.itb"]);
    assert!(run.code == 3 && run.err.contains("nowhere.its"), "{run:?}");
    let run = place.run(&["fit", "build", "-o", "u.itb"]);
    assert!(run.code == 2 && run.err.contains("--kernel"), "{run:?}");
}

/// Found by a reader: each of these was replaced by the FIT, a private key among them.
#[test]
fn an_output_takes_the_place_of_nothing_that_it_is_made_from_and_of_no_key() {
    let place = signed();
    let its = "/dts-v1/;\n/ { description = \"x\"; images { kernel { description = \"k\"; data = /incbin/(\"Image\"); type = \"kernel\"; \
        arch = \"arm64\"; os = \"linux\"; compression = \"none\"; load = <0x40400000>; entry = <0x40400000>; hash-1 { algo = \"sha256\"; }; }; }; \
        configurations { default = \"conf\"; conf { description = \"c\"; kernel = \"kernel\"; }; }; };\n";
    std::fs::write(place.path("u.its"), its).unwrap();
    std::os::unix::fs::symlink("Image", place.path("link")).unwrap();
    let key = "keys/dev.key.pem";
    std::fs::create_dir_all(place.path("keys")).unwrap();
    std::fs::write(place.path(key), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    let parts = ["fit", "build", "--kernel", "Image", "--fdt", "board.dtb", "--load", "0x40400000", "-o"];
    let described = ["fit", "build", "--its", "u.its", "-o"];
    for (arguments, output, said) in [
        (&parts[..], "Image", "the output `Image` is `Image`, which the FIT is made from"),
        (&parts, "link", "the output `link` is `Image`, which the FIT is made from"),
        (&parts, "board.dtb", "the output `board.dtb` is `board.dtb`"),
        (&parts, key, "`keys/dev.key.pem` is a key or a certificate"),
        (&described, "u.its", "the output `u.its` is `u.its`"),
        (&described, "Image", "which the FIT is made from"),
    ] {
        let before = std::fs::read(place.path(output)).unwrap();
        let run = place.run(&[arguments, &[output]].concat());
        assert!(run.code == 2 && run.err.contains(said), "{output}: {run:?}");
        assert_eq!(std::fs::read(place.path(output)).unwrap(), before, "{output}");
    }
    // What was built before is built again in its place.
    assert_eq!(place.run(&[&parts[..], &["u.itb"]].concat()).code, 0);
    assert_eq!(place.run(&[&described[..], &["u.itb"]].concat()).code, 0);
}

/// Found by a reader: exit code 0, and nothing or half of it was written.
#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let place = signed();
    for arguments in
        [vec!["fit", "show", "s.itb"], vec!["fit", "show", "s.itb", "--json"], vec!["keys", "list"]]
    {
        let run = place.run_into("/dev/full", &arguments);
        assert_eq!(run.code, 4, "{arguments:?}: {run:?}");
        assert!(
            run.err.contains("the result cannot be written to standard output: No space left"),
            "{run:?}"
        );
    }
}
