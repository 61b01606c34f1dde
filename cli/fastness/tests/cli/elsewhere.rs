//! Keys whose private half is elsewhere: on another machine, behind a program, in a token.
//!
//! The other side is OpenSSL or SoftHSM, so that a mistake on both sides cannot agree with itself.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Place, Run};

const SIZE: [&str; 2] = ["--algorithm", "sha256,rsa2048"];

/// Whether a tool is missing; with FASTNESS_REQUIRE_TOOLS that is a failure.
pub fn missing(tools: &[&str]) -> bool {
    for tool in tools {
        if Command::new(tool).arg("--version").output().is_err() {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`{tool}` is not installed");
            let said = format!("SKIPPED: `{tool}` is not installed\n");
            std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
            return true;
        }
    }
    false
}

fn private(place: &Place, file: &str, text: &str) {
    std::fs::write(place.path(file), text).unwrap();
    std::fs::set_permissions(place.path(file), PermissionsExt::from_mode(0o600)).unwrap();
}

pub fn shell(place: &Place, script: &str) -> Run {
    let run = Run::of(place.shell(script).output().unwrap());
    assert_eq!(run.code, 0, "{script}: {run:?}");
    run
}

/// An unsigned FIT `u.itb`, and a key pair of OpenSSL's.
fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("Image"), vec![0x5a; 5000]).unwrap();
    shell(
        &place,
        "fastness fit build --kernel Image --load 0x40400000 -o u.itb
         openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem 2>/dev/null ||
             openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem 2>/dev/null
         openssl pkey -in other.pem -pubout -out other.pub.pem",
    );
    place
}

fn verify(place: &Place, file: &str, key: &str) -> Run {
    place.run(&[&["fit", "verify", file, "--key", key], &SIZE[..]].concat())
}

/// Runs a verb of `fit` with the key `gw`.
fn fit(place: &Place, arguments: &[&str]) -> Run {
    place.run(&[&["fit"], arguments, &["--key", "gw"], &SIZE].concat())
}

#[test]
fn a_signature_is_asked_for_made_by_openssl_and_attached() {
    if missing(&["openssl"]) {
        return;
    }
    let place = place();
    let added =
        place.run(&["keys", "add", "gw", "--uri", "offline:", "--public", "other.pub.pem", "--release"]);
    assert!(added.out.starts_with("added `gw`: RSA 2048, release, offline:, sha256 "), "{added:?}");
    let asked = fit(&place, &["sign-request", "u.itb", "-o", "requests"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.out.contains("1 to be signed: `fastness fit answer REQUEST`"), "{asked:?}");

    // Not answered yet.
    let early = fit(&place, &["attach", "u.itb", "requests", "-o", "s.itb"]);
    assert_eq!(early.code, 8);
    assert!(
        early.err.contains("error[stale-signature]") && early.err.contains("or it was not answered"),
        "{early:?}"
    );
    assert!(!place.path("s.itb").exists());

    // The machine that asks cannot answer, and writes nothing into its store.
    let mut files = std::fs::read_dir(place.path("requests")).unwrap().map(|entry| entry.unwrap().path());
    let request = files.find(|path| path.extension().is_some_and(|end| end == "json")).unwrap();
    let request = request.to_str().unwrap();
    let here = place.run(&["fit", "answer", request]);
    assert_eq!(here.code, 8, "{here:?}");
    assert!(
        here.err
            .contains("error[no-private-key]: this machine does not have the private half of the key `gw`"),
        "{here:?}"
    );
    assert!(!place.path(".local/share/fastness/keys/gw.requests").exists());
    assert_eq!(place.run(&["fit", "answer", request, "--show"]).code, 0);

    // A signature of something else in its place: asking and attaching say the same, and which file it is.
    let wrong = request.replace(".json", ".sig");
    std::fs::write(&wrong, [0; 256]).unwrap();
    for words in
        [&["sign-request", "u.itb", "-o", "requests"][..], &["attach", "u.itb", "requests", "-o", "s.itb"]]
    {
        let run = fit(&place, words);
        assert_eq!(run.code, 8, "{run:?}");
        let short = &wrong[wrong.find("requests/").unwrap()..];
        let expected =
            format!("error[stale-signature]: `{short}` is no signature of these bytes by the key `gw`");
        assert!(
            run.err.contains(&expected) && run.err.contains(&format!("hint: delete `{short}`")),
            "{run:?}"
        );
        assert!(!place.path("s.itb").exists());
    }
    std::fs::remove_file(&wrong).unwrap();
    // What is no folder cannot hold requests: the machine's fault.
    std::fs::write(place.path("full"), "").unwrap();
    let full = fit(&place, &["sign-request", "u.itb", "-o", "full"]);
    assert_eq!(full.code, 4, "{full:?}");
    assert!(full.err.contains("error[file]: cannot read `full/"), "{full:?}");
    assert!(full.err.contains("requests and signatures are files in that folder"), "{full:?}");

    shell(
        &place,
        "for region in requests/*.region; do
             openssl dgst -sha256 -sign other.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest \
                 -out \"${region%.region}.sig\" \"$region\"
         done",
    );
    let attached = fit(&place, &["attach", "u.itb", "requests", "-o", "s.itb"]);
    assert_eq!(attached.code, 0, "{attached:?}");
    let verified = verify(&place, "s.itb", "gw");
    assert!(verified.out.ends_with("the FIT verifies\n"), "{verified:?}");

    // Another kernel: the old answer is not one of its bytes.
    std::fs::write(place.path("Image"), vec![0x5b; 5000]).unwrap();
    shell(&place, "fastness fit build --kernel Image --load 0x40400000 -o u.itb");
    let stale = fit(&place, &["attach", "u.itb", "requests", "-o", "t.itb"]);
    assert_eq!(stale.code, 8);
    assert!(stale.err.contains("the FIT or its options changed after the request"), "{stale:?}");
    assert!(!place.path("t.itb").exists());
}

#[test]
fn whoever_answers_sees_what_is_signed_and_signs_only_what_was_asked_of_that_key() {
    if missing(&["openssl"]) {
        return;
    }
    let place = place();
    // The machine with the key has a store of its own.
    shell(
        &place,
        "fastness keys new gw --bits 2048 --keys vault
         fastness keys new mallory --bits 2048 --keys vault
         fastness keys add gw --uri offline: --public vault/gw.pub.pem
         fastness fit sign-request u.itb --key gw --algorithm sha256,rsa2048 -o requests
         mv requests/*.json requests/r.json; mv requests/*.region requests/r.region",
    );
    let show = place.run(&["fit", "answer", "requests/r.json", "--show", "--keys", "vault"]);
    assert_eq!(show.code, 0, "{show:?}");
    assert!(show.out.contains("sha256,rsa2048 pss for `gw`, covering\n"), "{show:?}");
    assert!(show.out.contains("  /configurations/conf kernel = \"kernel\"\n"), "{show:?}");
    assert!(show.out.contains("  /images/kernel/hash-1 value = <"), "{show:?}");

    let other = place.run(&["fit", "answer", "requests/r.json", "--key", "mallory", "--keys", "vault"]);
    assert_eq!(other.code, 8, "{other:?}");
    assert!(
        other.err.contains("error[wrong-key]: `requests/r.json` cannot be answered with the key `mallory`"),
        "{other:?}"
    );
    assert!(other.err.contains("is wanted, this one is"), "{other:?}");

    // A request that was changed on the way.
    let request = std::fs::read_to_string(place.path("requests/r.json")).unwrap();
    for (from, to, code, told) in [
        ("\"schema_version\": 1", "\"schema_version\": 99", 3, "expected a request of version 1, found 99"),
        ("sha256,rsa2048", "sha256,rsa4096", 8, "the request is for `sha256,rsa4096`, the key is rsa2048"),
        ("  \"padding\": \"pss\",\n", "", 3, "the request names no padding, which RSA needs"),
    ] {
        assert!(request.contains(from), "{request}");
        std::fs::write(place.path("requests/r.json"), request.replace(from, to)).unwrap();
        let run = place.run(&["fit", "answer", "requests/r.json", "--keys", "vault"]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.err.contains(told), "{run:?}");
    }
    std::fs::write(place.path("requests/r.json"), &request).unwrap();
    let requests = || std::fs::read_dir(place.path("requests")).unwrap().flatten();
    assert!(requests().all(|file| !file.file_name().to_string_lossy().ends_with(".sig")));

    let mut region = std::fs::read(place.path("requests/r.region")).unwrap();
    region[40] ^= 1;
    std::fs::write(place.path("requests/r.region"), &region).unwrap();
    let forged = place.run(&["fit", "answer", "requests/r.json", "--keys", "vault"]);
    assert_eq!(forged.code, 3);
    assert!(forged.err.contains("the covered bytes have the digest"), "{forged:?}");
    region[40] ^= 1;
    std::fs::write(place.path("requests/r.region"), &region).unwrap();

    let signed = place.run(&["fit", "answer", "requests/r.json", "--keys", "vault"]);
    assert_eq!(signed.code, 0, "{signed:?}");
    assert!(signed.err.contains("covering"), "seen before it is signed: {signed:?}");
    // The same request once more, without the answer beside it: whoever has the key is told, and decides.
    let answer = || {
        std::fs::read_dir(place.path("requests"))
            .unwrap()
            .flatten()
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|end| end == "sig"))
    };
    let first = std::fs::read(answer().unwrap()).unwrap();
    std::fs::remove_file(answer().unwrap()).unwrap();
    let replayed = place.run(&["fit", "answer", "requests/r.json", "--keys", "vault"]);
    assert_eq!((replayed.code, replayed.out.as_str(), answer()), (8, "", None), "{replayed:?}");
    assert!(
        replayed
            .err
            .contains("error[answered-before]: `requests/r.json` was answered with the key `gw` on 20"),
        "{replayed:?}"
    );
    let again = place.run(&["fit", "answer", "requests/r.json", "--keys", "vault", "--again"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(std::fs::read(answer().unwrap()).unwrap().len(), first.len());
    let list = std::fs::read_to_string(place.path("vault/gw.answered")).unwrap();
    assert_eq!(list.lines().count(), 2, "{list}");
    let attached = fit(&place, &["attach", "u.itb", "requests", "-o", "s.itb"]);
    assert_eq!(attached.code, 0, "{attached:?}");
    assert!(verify(&place, "s.itb", "gw").out.ends_with("the FIT verifies\n"));

    std::fs::write(place.path("requests/r.json"), "{}").unwrap();
    let none = place.run(&["fit", "answer", "requests/r.json", "--keys", "vault"]);
    assert_eq!(none.code, 3);
    assert!(none.err.contains("error[request]: expected a request for a signature"), "{none:?}");
}

/// The files of the request for a signature of `fit`, named anew, answered in the vault.
fn asked_and_answered(place: &Place, fit_file: &str) {
    shell(
        place,
        &format!(
            "rm -rf requests
             fastness fit sign-request {fit_file} --key gw --algorithm sha256,rsa2048 -o requests
             for request in requests/*.json; do fastness fit answer \"$request\" --keys vault; done"
        ),
    );
}

#[test]
fn data_outside_of_the_tree_is_held_against_its_hashes_when_asked_and_when_attached() {
    let place = place();
    std::fs::write(
        place.path("x.its"),
        "/dts-v1/;
/ {
	description = \"gw\";
	images {
		kernel {
			data = /incbin/(\"Image\"); type = \"kernel\"; arch = \"arm64\"; os = \"linux\"; compression = \"none\";
			load = <0x40400000>; entry = <0x40400000>;
			hash-1 { algo = \"sha256\"; };
		};
	};
	configurations { default = \"conf\"; conf { kernel = \"kernel\"; }; };
};
",
    )
    .unwrap();
    shell(
        &place,
        "fastness keys new gw --bits 2048 --keys vault
         fastness keys add gw --uri offline: --public vault/gw.pub.pem
         fastness fit build --kernel Image --load 0x40400000 --external -o 1.itb
         fastness fit build --kernel Image --load 0x40400000 --external=0x2000 --align 512 -o 2.itb",
    );
    let mut files = vec![("1.itb", "data-offset"), ("2.itb", "data-position")];
    if !missing(&["mkimage", "dtc"]) {
        shell(&place, "mkimage -f x.its -E 3.itb && mkimage -f x.its -E -p 0x2000 4.itb");
        files.extend([("3.itb", "data-offset"), ("4.itb", "data-position")]);
    }
    for (file, property) in files {
        let shown = place.run(&["fit", "show", file]).out;
        assert!(shown.contains(property), "{file}: {shown}");
        asked_and_answered(&place, file);
        let whole = std::fs::read(place.path(file)).unwrap();
        // A kernel of 0x5a bytes, one of which is another now; and one that is cut.
        let mut changed = whole.clone();
        let data = whole.windows(64).position(|bytes| bytes == [0x5a; 64]).unwrap();
        changed[data + 32] ^= 1;
        std::fs::write(place.path("s.itb"), "what was there").unwrap();
        for (bytes, message) in [
            (changed.as_slice(), "error[image-data]: `x.itb`: the image `kernel` has the sha256 `"),
            (&whole[..data + 4000], "the data of the image `kernel` is not in the file: is it whole?"),
        ] {
            std::fs::write(place.path("x.itb"), bytes).unwrap();
            for words in [
                &["sign-request", "x.itb", "-o", "others"][..],
                &["attach", "x.itb", "requests", "-o", "s.itb"],
            ] {
                let run = fit(&place, words);
                assert_eq!(run.code, 3, "{file}: {run:?}");
                assert!(run.err.contains(message), "{file}: {run:?}");
                assert!(!place.path("others").exists(), "{file}");
                assert_eq!(std::fs::read(place.path("s.itb")).unwrap(), b"what was there");
            }
        }
        // The data stays outside where that is asked for, and the signature is of the same bytes either way.
        for (more, outside) in [
            (&[][..], None),
            (&["--external"][..], Some("data-offset")),
            (&["--external=0x4000", "--align", "512"][..], Some("data-position")),
        ] {
            let attached = fit(&place, &[&["attach", file, "requests", "-o", "s.itb"][..], more].concat());
            assert_eq!(attached.code, 0, "{file}: {attached:?}");
            let verified = verify(&place, "s.itb", "gw");
            assert!(verified.out.ends_with("the FIT verifies\n"), "{file}: {verified:?}");
            for property in ["data-offset", "data-position"] {
                let uncovered = format!("not covered by a signature: `/images/kernel/{property}`");
                assert_eq!(verified.out.contains(&uncovered), outside == Some(property), "{verified:?}");
            }
        }
        let over = fit(&place, &["attach", file, "requests", "--external=64", "-o", "t.itb"]);
        assert_eq!(over.code, 2, "{over:?}");
        assert!(over.err.contains("external data cannot start at 64"), "{over:?}");
        assert!(!place.path("t.itb").exists());
    }
    // Another kernel outside of the tree: the old answer is not one of its hashes.
    std::fs::write(place.path("Image"), vec![0x5b; 5000]).unwrap();
    shell(&place, "fastness fit build --kernel Image --load 0x40400000 --external -o 1.itb");
    let stale = fit(&place, &["attach", "1.itb", "requests", "--external", "-o", "t.itb"]);
    assert_eq!(stale.code, 8, "{stale:?}");
    assert!(
        stale.err.contains("error[stale-signature]")
            && stale.err.contains("the FIT or its options changed after the request"),
        "{stale:?}"
    );
    assert!(!place.path("t.itb").exists());
}

#[test]
fn a_program_signs_and_a_wrong_answer_is_refused() {
    if missing(&["openssl", "xxd"]) {
        return;
    }
    let place = place();
    let key = place.path("other.pem");
    let script = format!(
        "#!/bin/sh
while [ $# -gt 1 ]; do [ \"$1\" != --digest ] || digest=$2; shift; done
printf %s \"$digest\" | xxd -r -p | openssl pkeyutl -sign -inkey '{}' -pkeyopt digest:sha256 \\
    -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest
",
        key.display()
    );
    std::fs::write(place.path("sign.sh"), script).unwrap();
    std::fs::set_permissions(place.path("sign.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    let uri = format!("exec:{}", place.path("sign.sh").display());
    let added = place.run(&["keys", "add", "gw", "--uri", &uri, "--public", "other.pub.pem"]);
    assert_eq!(added.code, 0, "{added:?}");
    let signed = fit(&place, &["sign", "u.itb", "-o", "s.itb"]);
    assert_eq!(signed.code, 0, "{signed:?}");
    assert!(verify(&place, "s.itb", "gw").out.ends_with("the FIT verifies\n"));

    std::fs::write(place.path("sign.sh"), "#!/bin/sh\necho nonsense\n").unwrap();
    let wrong = fit(&place, &["sign", "u.itb", "-o", "t.itb"]);
    assert_eq!(wrong.code, 8, "{wrong:?}");
    assert!(wrong.err.contains("gave 9 bytes that are no signature by the key `gw`"), "{wrong:?}");
    assert!(!place.path("t.itb").exists());

    std::fs::write(place.path("sign.sh"), "#!/bin/sh\necho the HSM is closed >&2\nexit 1\n").unwrap();
    let closed = fit(&place, &["sign", "u.itb", "-o", "t.itb"]);
    assert!(closed.err.contains("does not sign") && closed.err.contains("the HSM is closed"), "{closed:?}");

    std::fs::remove_file(place.path("sign.sh")).unwrap();
    let add = ["keys", "add", "other", "--uri", &uri, "--public", "other.pub.pem"];
    for run in [place.run(&["keys", "check", "gw"]), place.run(&add)] {
        assert_eq!((run.code, run.out.as_str()), (8, ""), "{run:?}");
        assert!(run.err.contains("error[no-signer]: expected a program that signs at `"), "{run:?}");
    }
    assert!(!place.path(".local/share/fastness/keys/other.json").exists());
}

/// SoftHSM's library, wherever the distribution puts it.
pub fn softhsm() -> Option<&'static str> {
    let paths = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    ];
    paths.into_iter().find(|path| std::path::Path::new(path).exists())
}

pub fn with_token(place: &Place, arguments: &[&str]) -> Run {
    Run::of(place.command(arguments).env("SOFTHSM2_CONF", place.path("hsm.conf")).output().unwrap())
}

#[test]
fn a_token_signs_with_both_paddings_and_tells_what_is_wrong_with_it() {
    if missing(&["openssl", "softhsm2-util"]) {
        return;
    }
    let Some(module) = softhsm() else { panic!("softhsm2-util is there, its library is not") };
    let place = place();
    std::fs::create_dir(place.path("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}\n", place.path("tokens").display());
    std::fs::write(place.path("hsm.conf"), conf).unwrap();
    shell(
        &place,
        "export SOFTHSM2_CONF=$PWD/hsm.conf
         softhsm2-util --init-token --free --label fab --pin 471108 --so-pin 12345678
         softhsm2-util --import other.pem --token fab --label gateway --id 01 --pin 471108",
    );
    private(&place, "pin", "471108\n");
    private(&place, "wrong", "000000\n");
    let uri = format!("pkcs11:token=fab;object=gateway?module-path={module}");
    let add = |name: &str, uri: &str, pin: &str| {
        with_token(&place, &["keys", "add", name, "--uri", uri, "--passphrase-file", pin])
    };
    let wrong = add("gw", &uri, "wrong");
    assert_eq!(wrong.code, 8, "{wrong:?}");
    assert!(wrong.err.contains("error[wrong-passphrase]: the PIN does not open the token"), "{wrong:?}");
    assert!(
        !wrong.err.contains("000000") && !place.path(".local/share/fastness/keys/gw.json").exists(),
        "{wrong:?}"
    );

    let added = add("gw", &uri, "pin");
    assert_eq!(added.code, 0, "{added:?}");
    for padding in ["pss", "pkcs-1.5"] {
        let sign = [
            "fit",
            "sign",
            "u.itb",
            "--key",
            "gw",
            "--padding",
            padding,
            "--passphrase-file",
            "pin",
            "-o",
            "s.itb",
        ];
        let signed = with_token(&place, &[&sign[..], &SIZE].concat());
        assert_eq!(signed.code, 0, "{signed:?}");
        let verified = verify(&place, "s.itb", "gw");
        assert!(verified.out.ends_with("the FIT verifies\n"), "{verified:?}");
    }
    let open = with_token(&place, &["keys", "check", "gw", "--open", "--passphrase-file", "pin"]);
    assert_eq!(open.code, 0, "{open:?}");

    let absent = add("b", &uri.replace("fab", "other"), "pin");
    assert!(
        absent.err.contains("error[token-absent]: the token `other` is not there; found `fab`"),
        "{absent:?}"
    );
    // As p11tool writes it, and with a number that no slot has.
    let maker = uri.replace("token=fab", "model=SoftHSM%20v2;manufacturer=SoftHSM%20project;token=fab");
    let of_maker = add("by-maker", &maker, "pin");
    assert_eq!(of_maker.code, 0, "{of_maker:?}");
    let slot = add("b", &uri.replace("token=fab", "token=fab;slot-id=1"), "pin");
    assert!(slot.err.contains("error[token-absent]"), "{slot:?}");
    shell(
        &place,
        "SOFTHSM2_CONF=$PWD/hsm.conf softhsm2-util --init-token --free --label spare --pin 471108 --so-pin 12345678",
    );
    let any = add("b", &uri.replace("token=fab;", ""), "pin");
    assert!(
        any.err.contains("2 tokens fit the key's URI: `") && any.err.contains("hint: add `token=` to it"),
        "{any:?}"
    );
    let nameless = add("b", &uri.replace("gateway", "nobody"), "pin");
    assert!(nameless.err.contains("the token has no private key `nobody`"), "{nameless:?}");
    let module = add("b", "pkcs11:token=fab;object=gateway?module-path=/nowhere.so", "pin");
    assert!(module.err.contains("error[token-module]: `/nowhere.so` is no PKCS#11 library"), "{module:?}");
    let in_uri = add("b", &format!("{uri}&pin-value=471108"), "pin");
    assert_eq!(in_uri.code, 2);
    assert!(
        in_uri.err.contains("`pin-value` is not taken from a URI") && !in_uri.err.contains("471108"),
        "{in_uri:?}"
    );

    // Another key under the same name in the token: the store's public key is the one that counts.
    shell(
        &place,
        "export SOFTHSM2_CONF=$PWD/hsm.conf
         softhsm2-util --delete-token --token fab
         softhsm2-util --init-token --free --label fab --pin 471108 --so-pin 12345678
         openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out third.pem 2>/dev/null
         softhsm2-util --import third.pem --token fab --label gateway --id 01 --pin 471108",
    );
    let swapped = with_token(&place, &["keys", "check", "gw", "--open", "--passphrase-file", "pin"]);
    assert_eq!(swapped.code, 8);
    assert!(swapped.err.contains("the token has another key of that name"), "{swapped:?}");
}
