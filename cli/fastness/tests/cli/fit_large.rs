//! FITs that are large, that are many, and that are signed as they are built.

use std::os::unix::fs::FileExt as _;

use crate::support::{Place, Run};

/// A list of a kernel and a device tree, of which the second differs between variants.
fn list(fdt: &str) -> String {
    format!(
        r#"{{"description": "v", "default": "conf",
  "images": [
    {{"name": "kernel", "kind": "kernel", "arch": "arm64", "os": "linux", "load": "0x40400000", "entry": "0x40400000", "file": "Image"}},
    {{"name": "fdt", "kind": "flat_dt", "arch": "arm64", "compression": "gzip", "file": "{fdt}"}}],
  "configurations": [{{"name": "conf", "description": "v", "compatible": null, "loads": [["kernel", ["kernel"]], ["fdt", ["fdt"]]]}}]}}"#
    )
}

fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("Image"), vec![0x5a; 100_000]).unwrap();
    let run = place.run(&["keys", "new", "dev", "--bits", "2048"]);
    assert_eq!(run.code, 0, "{run:?}");
    place
}

fn verify(place: &Place, file: &str) -> Run {
    place.run(&["fit", "verify", file, "--key", "dev"])
}

const PARTS: [&str; 6] = ["fit", "build", "--kernel", "Image", "--load", "0x40400000"];

#[test]
fn memory_does_not_grow_with_the_images() {
    let place = place();
    const BYTES: u64 = 192 << 20;
    let kernel = std::fs::File::create(place.path("Image")).unwrap();
    kernel.set_len(BYTES).unwrap();
    kernel.write_at(b"end", BYTES - 3).unwrap();
    // Memory that a program writes to is bounded to a third of the image; what is mapped and only read is the kernel's.
    let bounded = |words: &str| Run::of(place.shell(&format!("ulimit -d 65536; {words}")).output().unwrap());
    for words in [
        "fastness fit build --kernel Image --load 0x40400000 -o u.itb",
        "fastness fit sign u.itb --key dev -o s.itb",
        "fastness fit verify s.itb --key dev",
        "fastness fit sign s.itb --key dev --external -o e.itb",
        "fastness fit verify e.itb --key dev",
        "fastness fit build --kernel Image --load 0x40400000 --key dev -o t.itb",
    ] {
        let run = bounded(words);
        assert_eq!(run.code, 0, "{words}: {run:?}");
    }
    assert_eq!(std::fs::read(place.path("s.itb")).unwrap(), std::fs::read(place.path("t.itb")).unwrap());
    // The bound is one: what reads the image into memory does not fit.
    let run = bounded("x=$(tr '\\0' x <Image)");
    assert_ne!(run.code, 0, "{run:?}");
}

#[test]
fn what_is_built_with_a_key_is_what_is_built_and_signed() {
    let place = place();
    for external in [&[][..], &["--external"]] {
        let build = |more: &[&str]| {
            let run = place.run(&[&PARTS[..], more].concat());
            assert_eq!(run.code, 0, "{run:?}");
        };
        build(&["-o", "u.itb"]);
        let sign = ["fit", "sign", "u.itb", "--key", "dev", "-o", "two.itb"];
        assert_eq!(place.run(&[&sign[..], external].concat()).code, 0);
        build(&[&["--key", "dev", "-o", "one.itb"][..], external].concat());
        assert_eq!(
            std::fs::read(place.path("one.itb")).unwrap(),
            std::fs::read(place.path("two.itb")).unwrap()
        );
        assert_eq!(verify(&place, "one.itb").code, 0);
    }
    // A key that is not there, and one that another algorithm is asked of.
    let run = place.run(&[&PARTS[..], &["--key", "none", "-o", "x.itb"]].concat());
    assert!(run.code == 8 && run.err.contains("error[missing-key]: there is no key `none`"), "{run:?}");
    let algorithm = ["--key", "dev", "--algorithm", "sha256,rsa4096", "-o", "x.itb"];
    let run = place.run(&[&PARTS[..], &algorithm].concat());
    assert!(run.code == 8 && run.err.contains("rsa4096"), "{run:?}");
    // An algorithm without a key would be an unsigned FIT that looks as if it were asked to be signed.
    let run = place.run(&[&PARTS[..], &["--algorithm", "sha256,rsa2048", "-o", "x.itb"]].concat());
    assert!(run.code == 2 && run.err.contains("error[no-key]: `--algorithm` is of a signature"), "{run:?}");
    assert!(!place.path("x.itb").exists());
}

#[test]
fn variants_share_what_they_hash_and_each_verifies() {
    let place = place();
    std::fs::create_dir(place.path("out")).unwrap();
    let names: Vec<String> = (0..100).map(|number| format!("board{number}")).collect();
    let mut words = vec!["fit", "build", "--key", "dev", "-o", "out"];
    let lists: Vec<String> = names.iter().map(|name| format!("{name}.json")).collect();
    for (name, file) in names.iter().zip(&lists) {
        std::fs::write(place.path(&format!("{name}.gz")), name).unwrap();
        std::fs::write(place.path(file), list(&format!("{name}.gz"))).unwrap();
        words.extend(["--list", file]);
    }
    let run = place.run(&words);
    assert_eq!(run.code, 0, "{run:?}");
    // One kernel and a hundred device trees.
    assert_eq!(run.out, "wrote 100 FITs into `out`; 101 contents were hashed\n");
    for name in [&names[0], &names[99]] {
        let run = verify(&place, &format!("out/{name}.itb"));
        assert!(run.code == 0 && run.out.contains("the FIT verifies"), "{run:?}");
        // As the list alone gives it.
        let alone = ["fit", "build", "--list", &format!("{name}.json"), "--key", "dev", "-o", "alone.itb"];
        assert_eq!(place.run(&alone).code, 0);
        let bytes = |file: &str| std::fs::read(place.path(file)).unwrap();
        assert_eq!(bytes("alone.itb"), bytes(&format!("out/{name}.itb")));
    }
    assert_eq!(std::fs::read_dir(place.path("out")).unwrap().count(), 100);
}

#[test]
fn several_lists_want_a_folder_and_names_of_their_own() {
    let place = place();
    std::fs::write(place.path("a.gz"), "a").unwrap();
    std::fs::create_dir(place.path("other")).unwrap();
    for file in ["a.json", "b.json", "other/a.json"] {
        std::fs::write(place.path(file), list("a.gz")).unwrap();
    }
    for file in ["a.gz", "Image"] {
        std::fs::copy(place.path(file), place.path(&format!("other/{file}"))).unwrap();
    }
    let run = place.run(&["fit", "build", "--list", "a.json", "--list", "b.json", "-o", "x.itb"]);
    assert!(
        run.code == 2
            && run.err.contains(
                "error[no-folder]: expected `--output` to be a folder for 2 lists, `x.itb` is none"
            ),
        "{run:?}"
    );
    let run = place.run(&["fit", "build", "--list", "a.json", "--list", "other/a.json", "-o", "."]);
    assert!(
        run.code == 2 && run.err.contains("error[two-of-one-name]: two lists would be written to `./a.itb`"),
        "{run:?}"
    );
    assert!(!place.path("a.itb").exists() && !place.path("x.itb").exists());
}
