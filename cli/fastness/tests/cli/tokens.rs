//! Keys of ECDSA in a token, and libraries that are none of a token.

use std::os::unix::fs::PermissionsExt;

use crate::elsewhere::{missing, shell, softhsm, with_token};
use crate::support::{Place, Run};

/// The C library, which every process has: a library without `C_GetFunctionList`.
fn c_library() -> &'static str {
    let paths = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
    paths.into_iter().find(|path| std::path::Path::new(path).exists()).unwrap()
}

/// A place with the PIN in a file.
fn with_pin() -> Place {
    let place = Place::new();
    std::fs::write(place.path("pin"), "471108\n").unwrap();
    std::fs::set_permissions(place.path("pin"), PermissionsExt::from_mode(0o600)).unwrap();
    place
}

/// A place for SoftHSM's tokens with a token `fab` and an unsigned FIT `u.itb`, and SoftHSM's library; nothing where a tool is missing.
fn tokens(tools: &[&str]) -> Option<(Place, &'static str)> {
    if missing(tools) {
        return None;
    }
    let Some(module) = softhsm() else { panic!("softhsm2-util is there, its library is not") };
    let place = with_pin();
    std::fs::create_dir(place.path("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}\n", place.path("tokens").display());
    std::fs::write(place.path("hsm.conf"), conf).unwrap();
    std::fs::write(place.path("Image"), vec![0x5a; 5000]).unwrap();
    shell(
        &place,
        "fastness fit build --kernel Image --load 0x40400000 -o u.itb
         SOFTHSM2_CONF=$PWD/hsm.conf softhsm2-util --init-token --free --label fab --pin 471108 --so-pin 12345678",
    );
    Some((place, module))
}

#[test]
fn a_library_that_is_no_token_module_is_told() {
    let place = with_pin();
    let module = c_library();
    let uri = format!("pkcs11:token=fab;object=gw?module-path={module}");
    let run = place.run(&["keys", "add", "gw", "--uri", &uri, "--passphrase-file", "pin"]);
    assert_eq!(run.code, 8, "{run:?}");
    let expected = format!("error[token-module]: `{module}` is no PKCS#11 library that can be loaded: ");
    assert!(run.err.contains(&expected) && run.err.contains("C_GetFunctionList"), "{run:?}");
    assert!(run.err.contains("hint: `module-path` of the key's URI names the library"), "{run:?}");
}

#[test]
fn a_token_signs_with_ecdsa_on_both_curves() {
    let Some((place, module)) = tokens(&["openssl", "softhsm2-util"]) else { return };
    shell(
        &place,
        "export SOFTHSM2_CONF=$PWD/hsm.conf
         number=1
         for curve in P-256 P-384; do
             openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$curve -out $curve.pem 2>/dev/null
             openssl pkey -in $curve.pem -pubout -out $curve.pub.pem
             softhsm2-util --import $curve.pem --token fab --label $curve --id 0$number --pin 471108
             number=$((number + 1))
         done",
    );
    for (curve, kind) in [("P-256", "ecdsa256"), ("P-384", "ecdsa384")] {
        let uri = format!("pkcs11:token=fab;object={curve}?module-path={module}");
        let added = with_token(&place, &["keys", "add", curve, "--uri", &uri, "--passphrase-file", "pin"]);
        assert_eq!(added.code, 0, "{added:?}");
        // The token told the point that OpenSSL knows.
        let told = std::fs::read(place.path(&format!(".local/share/fastness/keys/{curve}.pub.pem"))).unwrap();
        assert_eq!(told, std::fs::read(place.path(&format!("{curve}.pub.pem"))).unwrap());
        for hash in ["sha256", "sha384", "sha512"] {
            let algorithm = format!("{hash},{kind}");
            let words = ["fit", "sign", "u.itb", "--key", curve, "--algorithm", &algorithm];
            let signed =
                with_token(&place, &[&words[..], &["--passphrase-file", "pin", "-o", "s.itb"]].concat());
            assert_eq!(signed.code, 0, "{signed:?}");
            let verified = place.run(&["fit", "verify", "s.itb", "--key", curve, "--algorithm", &algorithm]);
            assert!(verified.out.ends_with("the FIT verifies\n"), "{verified:?}");
        }
        // Only RSA has a padding.
        let padded = ["fit", "sign", "u.itb", "--key", curve, "--padding", "pss", "-o", "t.itb"];
        let padded = with_token(&place, &[&padded[..], &["--passphrase-file", "pin"]].concat());
        assert_eq!(padded.code, 2, "{padded:?}");
        let expected = format!("error[padding]: `--padding` is of RSA, and the key `{curve}` is {kind}");
        assert!(padded.err.contains(&expected) && !place.path("t.itb").exists(), "{padded:?}");
    }
    // Its configuration is gone: what to look at is said.
    std::fs::remove_dir_all(place.path("tokens")).unwrap();
    let gone = with_token(&place, &["keys", "check", "P-256", "--open", "--passphrase-file", "pin"]);
    assert_eq!(gone.code, 8, "{gone:?}");
    assert!(gone.err.contains("error[token") && gone.err.contains("of SoftHSM `SOFTHSM2_CONF`"), "{gone:?}");
}

/// A library whose only token, `fab`, is locked: SoftHSM never locks one. Nothing where there is no compiler.
pub fn locked_module(place: &Place) -> Option<std::path::PathBuf> {
    if missing(&["gcc"]) {
        return None;
    }
    let module = place.path("locked.so");
    std::fs::write(place.path("locked_token.c"), include_str!("locked_token.c"))
        .expect("a place to write in");
    shell(place, "gcc -shared -fPIC -o locked.so locked_token.c");
    Some(module)
}

/// Has the store believe that the private half of the key is there, which nobody was asked.
pub fn moved_to(place: &Place, name: &str, uri: &str) {
    let path = place.path(&format!(".local/share/fastness/keys/{name}.json"));
    let text = std::fs::read_to_string(&path).expect("the key's record");
    let mut record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    record["place"] = uri.into();
    std::fs::write(path, record.to_string()).expect("a store to write in");
}

#[test]
fn a_locked_token_is_told_whatever_is_asked_of_it() {
    if missing(&["openssl"]) {
        return;
    }
    let place = with_pin();
    let Some(module) = locked_module(&place) else { return };
    std::fs::write(place.path("Image"), vec![0x5a; 5000]).unwrap();
    shell(
        &place,
        "fastness fit build --kernel Image --load 0x40400000 -o u.itb
         openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem 2>/dev/null
         openssl pkey -in key.pem -pubout -out key.pub.pem
         fastness keys add gw --uri offline: --public key.pub.pem",
    );
    let uri = format!("pkcs11:token=fab;object=gw?module-path={}", module.display());
    moved_to(&place, "gw", &uri);
    for words in [
        &["keys", "add", "other", "--uri", &uri][..],
        &["keys", "check", "gw", "--open"],
        &["fit", "sign", "u.itb", "--key", "gw", "-o", "s.itb"],
        &["fit", "build", "--kernel", "Image", "--load", "0x40400000", "--key", "gw", "-o", "s.itb"],
    ] {
        let run = place.run(&[words, &["--passphrase-file", "pin"]].concat());
        assert_eq!((run.code, run.out.as_str()), (8, ""), "{words:?}: {run:?}");
        let expected =
            "error[token-locked]: the token is locked\n  hint: its security officer can set a new PIN";
        assert!(run.err.contains(expected) && !run.err.contains("471108"), "{words:?}: {run:?}");
    }
    assert!(!place.path("s.itb").exists());
    assert!(!place.path(".local/share/fastness/keys/other.json").exists());
}

/// 2020-01-01 and 2021-01-01, 00:00 UTC.
const YEAR_2020: u64 = 1_577_836_800;
const YEAR_2021: u64 = 1_609_459_200;

#[test]
fn a_certificate_in_the_token_counts_as_one_from_a_file() {
    let Some((place, module)) = tokens(&["openssl", "softhsm2-util", "p11tool"]) else { return };
    // Of `own` a certificate of 2020, of `other` one that has the id of the key `mixed`, of `bare` none.
    shell(
        &place,
        "export SOFTHSM2_CONF=$PWD/hsm.conf
         mkdir ca; touch ca/index.txt; echo 01 >ca/serial
         printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=ca/index.txt\\nserial=ca/serial\\nnew_certs_dir=ca\\nunique_subject=no\\npolicy=any\\ndefault_md=sha256\\n[any]\\ncommonName=supplied\\n' >ca.conf
         number=1
         for name in own mixed bare other; do
             openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $name.pem 2>/dev/null
             openssl req -new -key $name.pem -subj /CN=$name -out $name.csr
             openssl ca -batch -config ca.conf -selfsign -keyfile $name.pem -in $name.csr -startdate 20200101000000Z \
                 -enddate 20210101000000Z -notext -out $name.crt 2>/dev/null
             [ $name = other ] || softhsm2-util --import $name.pem --token fab --label $name --id 0$number --pin 471108
             number=$((number + 1))
         done
         openssl ca -batch -config ca.conf -selfsign -keyfile own.pem -in own.csr -startdate 20200101000000Z \
             -enddate 20220101000000Z -notext -out renewed.crt 2>/dev/null
         openssl ca -batch -config ca.conf -selfsign -keyfile own.pem -in own.csr -startdate 20300101000000Z \
             -enddate 20400101000000Z -notext -out coming.crt 2>/dev/null",
    );
    let put = |file: &str, id: &str| {
        let words = "--login --write --batch --no-mark-private --label certificate";
        let put = format!(
            "export SOFTHSM2_CONF=$PWD/hsm.conf GNUTLS_PIN=471108
             p11tool --provider {module} {words} --load-certificate {file} --id {id} 'pkcs11:token=fab' >put.log 2>&1 ||
                 {{ cat put.log; exit 1; }}"
        );
        shell(&place, &put);
    };
    put("own.crt", "01");
    put("other.crt", "02");
    let at = |time: u64, words: &[&str]| {
        let mut command = place.command(words);
        command.env("SOFTHSM2_CONF", place.path("hsm.conf")).env("SOURCE_DATE_EPOCH", time.to_string());
        Run::of(command.output().unwrap())
    };
    let add = |time, name: &str| {
        let uri = format!("pkcs11:token=fab;object={name}?module-path={module}");
        at(time, &["keys", "add", name, "--uri", &uri, "--passphrase-file", "pin"])
    };
    for (run, expected) in [
        (
            add(YEAR_2020 - 1, "own"),
            "error[certificate-not-yet-valid]: the certificate is not valid before 2020-01-01T00:00:00Z",
        ),
        (
            add(YEAR_2021 + 1, "own"),
            "error[certificate-expired]: the certificate ended on 2021-01-01T00:00:00Z",
        ),
        (
            add(YEAR_2020, "mixed"),
            "error[certificate-of-another-key]: the token has a certificate with the key's id, 02, that is of another key",
        ),
    ] {
        assert_eq!(run.code, 8, "{run:?}");
        assert!(run.err.contains(expected), "{run:?}");
    }
    let keys = place.path(".local/share/fastness/keys");
    assert!(!keys.join("own.json").exists() && !keys.join("mixed.json").exists());
    let bare = add(YEAR_2020, "bare");
    assert!(bare.code == 0 && !bare.out.contains("until"), "{bare:?}");
    let added = add(YEAR_2020, "own");
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.out.contains(", until 2021-01-01T00:00:00Z, sha256 "), "{added:?}");
    let sign = |time, name| {
        at(time, &["fit", "sign", "u.itb", "--key", name, "--passphrase-file", "pin", "-o", "s.itb"])
    };
    assert_eq!(sign(YEAR_2021, "own").code, 0);
    std::fs::remove_file(place.path("s.itb")).unwrap();
    // What was noted down ends it without the token, too.
    for run in [sign(YEAR_2021 + 1, "own"), at(YEAR_2021 + 1, &["keys", "check", "own"])] {
        assert_eq!(run.code, 8, "{run:?}");
        let expected =
            "error[certificate-expired]: the certificate of the key `own` ended on 2021-01-01T00:00:00Z";
        assert!(run.err.contains(expected), "{run:?}");
    }
    // A key that was added without one: what the token has by now counts.
    assert_eq!(sign(YEAR_2021 + 1, "bare").code, 0);
    std::fs::remove_file(place.path("s.itb")).unwrap();
    put("bare.crt", "03");
    let ended = sign(YEAR_2021 + 1, "bare");
    assert_eq!(ended.code, 8, "{ended:?}");
    assert!(
        ended.err.contains("error[certificate-expired]: the certificate ended on 2021-01-01"),
        "{ended:?}"
    );
    assert!(!place.path("s.itb").exists());
    // Certified anew, and for later: of those that hold the later one counts, under another name.
    put("renewed.crt", "01");
    put("coming.crt", "01");
    let uri = format!("pkcs11:token=fab;object=own?module-path={module}");
    let again = at(YEAR_2021 + 1, &["keys", "add", "own-2", "--uri", &uri, "--passphrase-file", "pin"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.contains(", until 2022-01-01T00:00:00Z, sha256 "), "{again:?}");
}
