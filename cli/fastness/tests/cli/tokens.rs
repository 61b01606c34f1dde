//! Keys of ECDSA in a token, and libraries that are none of a token.

use std::os::unix::fs::PermissionsExt;

use crate::elsewhere::{missing, shell, softhsm, with_token};
use crate::support::Place;

/// The C library, which every process has: a library without `C_GetFunctionList`.
fn c_library() -> &'static str {
    let paths = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
    paths.into_iter().find(|path| std::path::Path::new(path).exists()).unwrap()
}

#[test]
fn a_library_that_is_no_token_module_is_told() {
    let place = Place::new();
    std::fs::write(place.path("pin"), "471108\n").unwrap();
    std::fs::set_permissions(place.path("pin"), PermissionsExt::from_mode(0o600)).unwrap();
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
    if missing(&["openssl", "softhsm2-util"]) {
        return;
    }
    let Some(module) = softhsm() else { panic!("softhsm2-util is there, its library is not") };
    let place = Place::new();
    std::fs::create_dir(place.path("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}\n", place.path("tokens").display());
    std::fs::write(place.path("hsm.conf"), conf).unwrap();
    std::fs::write(place.path("Image"), vec![0x5a; 5000]).unwrap();
    std::fs::write(place.path("pin"), "471108\n").unwrap();
    std::fs::set_permissions(place.path("pin"), PermissionsExt::from_mode(0o600)).unwrap();
    shell(
        &place,
        "export SOFTHSM2_CONF=$PWD/hsm.conf
         fastness fit build --kernel Image --load 0x40400000 -o u.itb
         softhsm2-util --init-token --free --label fab --pin 471108 --so-pin 12345678
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
