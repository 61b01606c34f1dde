//! Public halves that are brought: certificates with their validity, and keys that are none of ours.
//!
//! No test depends on the clock: `SOURCE_DATE_EPOCH` is the time, or a certificate ended long ago.

use crate::elsewhere::{missing, shell};
use crate::support::{Place, Run};

/// 2020-01-01 and 2021-01-01, 00:00 UTC.
const YEAR_2020: u64 = 1_577_836_800;
const YEAR_2021: u64 = 1_609_459_200;

fn at(place: &Place, time: u64, arguments: &[&str]) -> Run {
    Run::of(place.command(arguments).env("SOURCE_DATE_EPOCH", time.to_string()).output().unwrap())
}

/// A key of OpenSSL's with `2020.pem`, a certificate of that year, and an unsigned FIT.
fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("Image"), vec![0x5a; 5000]).unwrap();
    shell(
        &place,
        "fastness fit build --kernel Image --load 0x40400000 -o u.itb
         openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem 2>/dev/null
         openssl req -new -key key.pem -subj /CN=gateway -out csr.pem
         mkdir ca; touch ca/index.txt; echo 01 >ca/serial
         printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=ca/index.txt\\nserial=ca/serial\\nnew_certs_dir=ca\\npolicy=any\\ndefault_md=sha256\\n[any]\\ncommonName=supplied\\n' >ca.conf
         openssl ca -batch -config ca.conf -selfsign -keyfile key.pem -in csr.pem -startdate 20200101000000Z \
             -enddate 20210101000000Z -notext -out 2020.pem 2>/dev/null
         cat 2020.pem 2020.pem >two.pem
         openssl x509 -in 2020.pem -outform DER -out 2020.der",
    );
    place
}

fn add(place: &Place, time: u64, name: &str, file: &str) -> Run {
    at(place, time, &["keys", "add", name, "--uri", "offline:", "--public", file])
}

#[test]
fn a_certificates_validity_counts_when_its_key_is_added_and_each_time_it_signs() {
    if missing(&["openssl"]) {
        return;
    }
    let place = place();
    let early = add(&place, YEAR_2020 - 1, "gw", "2020.pem");
    assert_eq!(early.code, 8, "{early:?}");
    let expected =
        "error[certificate-not-yet-valid]: the certificate is not valid before 2020-01-01T00:00:00Z";
    assert!(early.err.contains(expected), "{early:?}");
    let late = add(&place, YEAR_2021 + 1, "gw", "2020.pem");
    assert_eq!(late.code, 8, "{late:?}");
    assert!(
        late.err.contains("error[certificate-expired]: the certificate ended on 2021-01-01T00:00:00Z"),
        "{late:?}"
    );
    // By the clock, too: it ended years before this test was written.
    let now = place.run(&["keys", "add", "gw", "--uri", "offline:", "--public", "2020.pem"]);
    assert!(now.code == 8 && now.err.contains("error[certificate-expired]"), "{now:?}");
    let two = add(&place, YEAR_2020, "gw", "two.pem");
    assert!(
        two.code == 8 && two.err.contains("error[key-format]: expected one certificate, found 2"),
        "{two:?}"
    );
    assert!(!place.path(".local/share/fastness/keys/gw.json").exists());

    let added = add(&place, YEAR_2020, "gw", "2020.pem");
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.out.contains("offline:, until 2021-01-01T00:00:00Z, sha256 "), "{added:?}");
    let ask = ["fit", "sign-request", "u.itb", "--key", "gw", "-o", "requests"];
    assert_eq!(at(&place, YEAR_2021, &["keys", "check", "gw"]).code, 0);
    assert_eq!(at(&place, YEAR_2021, &ask).code, 0);
    let sign = ["fit", "sign", "u.itb", "--key", "gw", "-o", "s.itb"];
    let attach = ["fit", "attach", "u.itb", "requests", "--key", "gw", "-o", "s.itb"];
    // U-Boot looks at no dates: a loader that trusts it would do so for ever. It is refused before the file is read.
    let trust = ["fit", "trust", "none.dtb", "--key", "gw", "-o", "keyed.dtb"];
    for words in [&["keys", "check", "gw"][..], &ask, &sign, &attach, &trust] {
        let ended = at(&place, YEAR_2021 + 1, words);
        assert_eq!(ended.code, 8, "{ended:?}");
        let expected =
            "error[certificate-expired]: the certificate of the key `gw` ended on 2021-01-01T00:00:00Z";
        assert!(ended.err.contains(expected), "{words:?}: {ended:?}");
    }
    let nonsense = place.command(&["keys", "check", "gw"]).env("SOURCE_DATE_EPOCH", "soon").output().unwrap();
    let nonsense = Run::of(nonsense);
    assert_eq!(nonsense.code, 2, "{nonsense:?}");
    assert!(
        nonsense.err.contains("expected seconds since 1970 in `SOURCE_DATE_EPOCH`, found `soon`"),
        "{nonsense:?}"
    );
}

#[test]
fn a_public_half_of_another_kind_size_or_form_is_called_by_its_name() {
    if missing(&["openssl"]) {
        return;
    }
    let place = place();
    shell(
        &place,
        "openssl genpkey -algorithm ED25519 -out ed.pem; openssl pkey -in ed.pem -pubout -out ed.pub.pem
         openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out p521.pem 2>/dev/null
         openssl pkey -in p521.pem -pubout -out p521.pub.pem
         openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out small.pem 2>/dev/null
         openssl pkey -in small.pem -pubout -out small.pub.pem
         : > empty.pem; echo ssh-ed25519 AAAA > words.pem",
    );
    for (file, code, expected) in [
        ("ed.pub.pem", "key-format", "or of ECDSA on P-256 or P-384, found Ed25519"),
        ("p521.pub.pem", "key-format", "found ECDSA on P-521"),
        (
            "small.pub.pem",
            "key-size",
            "expected a key of RSA with 2048, 3072 or 4096 bits, found one with 1024",
        ),
        ("key.pem", "key-format", "found `PRIVATE KEY`"),
        ("2020.der", "key-format", "as PEM in `2020.der`, found bytes that are no text"),
        ("empty.pem", "key-format", "as PEM in `empty.pem`, found an empty file"),
        ("words.pem", "key-format", "as PEM in `words.pem`, found text without `-----BEGIN`"),
    ] {
        let run = add(&place, YEAR_2020, "gw", file);
        assert_eq!(run.code, 8, "{run:?}");
        assert!(
            run.err.contains(&format!("error[{code}]: ")) && run.err.contains(expected),
            "{file}: {run:?}"
        );
    }
    let der = add(&place, YEAR_2020, "gw", "2020.der");
    assert!(
        der.err.contains("hint: of DER make PEM: `openssl pkey -pubin -inform DER -in 2020.der`"),
        "{der:?}"
    );
    let odd = add(&place, YEAR_2020, "../gw", "2020.pem");
    assert_eq!(odd.code, 2, "{odd:?}");
    assert!(
        odd.err.contains("error[key-name]: expected a key name") && odd.err.contains("found `../gw`"),
        "{odd:?}"
    );
    assert!(!place.path(".local/share/fastness/keys").exists());
}
