//! `provision` for a device whose tunnels' key is in its TPM.

use crate::pki::{good, has_openssl, keyed, openssl, place, private};
use crate::support::top;

#[test]
fn a_key_in_the_tpm_gets_its_certificate_and_no_key() {
    if !has_openssl() {
        return;
    }
    let place = place();
    let example = std::fs::read_to_string(top().join("examples/feeder-terminal/product.yaml")).unwrap();
    std::fs::write(place.path("product.yaml"), &example).unwrap();
    // In the place of a device.
    let host = "feeder-terminal.grid.example";
    let (right, said) = openssl(
        &place,
        &format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out tunnels.csr -subj /CN={host}"
        ),
    );
    assert!(right, "{said}");
    let provision = |more: &str| {
        let all = format!("provision {more} --pki ca -o ft.tar");
        place.run(&all.split_whitespace().collect::<Vec<_>>())
    };
    let refused = |more: &str, code: i32, message: &str| {
        let run = provision(more);
        assert!(run.code == code && run.out.is_empty() && run.err.contains(message), "{run:?}");
        assert!(!place.path("ft.tar").exists());
    };
    good(keyed(&place, "init --organization Grid --algorithm p256"));
    good(keyed(&place, &format!("issue ft-17 --csr tunnels.csr --role device --common-name {host}")));
    good(keyed(&place, &format!("issue ft-file --role device --common-name {host}")));
    good(keyed(&place, "issue other.grid.example --csr tunnels.csr --role device"));
    private(&place.path("t"), "-----BEGIN OpenVPN tls-crypt-v2 client key-----\nAAAA\n");
    let key = "--tls-crypt history=t";
    refused("ft-17", 2, "error[no-tls-crypt]: the tunnel `history` needs its tls-crypt-v2 key");
    refused(
        &format!("ft-file {key}"),
        3,
        "error[key-here]: expected the key of `ft-file` to be in its device's TPM",
    );
    refused(
        &format!("other.grid.example {key}"),
        3,
        &format!("to be known as `dns:{host}`, found the common name"),
    );
    refused(&format!("nobody {key}"), 3, "error[not-issued]");
    refused("control.grid.example --peer control --tpm ft-17", 2, "cannot be used with");
    // No secret is opened for it: no passphrase is asked.
    let made = good(provision(&format!("ft-17 {key}")));
    let held = "it holds no private key, but the keys of its control channels in clear";
    assert!(made.out.contains(held), "{made:?}");
    for path in ["ipsec/x509/device.pem", "openvpn/history/device.pem", "openvpn/history/tls-crypt-v2.key"] {
        assert!(made.out.contains(&format!("  lib/fastness/{path}\n")), "{made:?}");
    }
    assert!(!made.out.contains("private/") && !made.out.contains("device.key"), "{made:?}");
    std::fs::remove_file(place.path("ft.tar")).unwrap();

    // OpenVPN compares the common name, and no other.
    good(keyed(
        &place,
        &format!("issue ft-other --csr tunnels.csr --role device --common-name ft --san dns:{host}"),
    ));
    refused(
        &format!("ft-other {key}"),
        3,
        &format!("to be known as `dns:{host}`, found the common name `ft`"),
    );

    // strongSwan alone: nothing in the archive is a secret.
    let (before, rest) = example.split_once("  history:\n").unwrap();
    let (_, rest) = rest.split_once("\nconduits:\n").unwrap();
    let (conduits, rest) = rest.split_once("  - name: archive\n").unwrap();
    let (_, rest) = rest.split_once("  - name: maintenance\n").unwrap();
    let alone = format!("{before}\nconduits:\n{conduits}  - name: maintenance\n{rest}");
    std::fs::write(place.path("product.yaml"), alone).unwrap();
    let made = good(provision("ft-17"));
    assert!(made.out.contains("it holds no private key\n") && !made.out.contains("in clear"), "{made:?}");
    std::fs::remove_file(place.path("ft.tar")).unwrap();

    // The key of OpenVPN's tunnels is a file.
    let both = example.replace("inner: 10.8.0.2/30, key: tpm", "inner: 10.8.0.2/30");
    assert_ne!(both, example);
    std::fs::write(place.path("product.yaml"), both).unwrap();
    let key = "--tls-crypt history=t --passphrase-file p";
    refused(&format!("ft-17 {key}"), 2, "error[two-identities]: the device needs two identities");
    refused(&format!("--tpm ft-17 {key}"), 2, "error[no-identity]");
    let made = good(provision(&format!("ft-file --tpm ft-17 {key}")));
    assert!(made.out.contains("it holds its private key in clear"), "{made:?}");
    assert!(made.out.contains("/ipsec/x509/device.pem") && made.out.contains("/openvpn/history/device.key"));
    assert!(!made.out.contains("ipsec/private/"), "{made:?}");
    std::fs::remove_file(place.path("ft.tar")).unwrap();

    std::fs::write(place.path("product.yaml"), example.replace(", key: tpm", "")).unwrap();
    refused(&format!("ft-file --tpm ft-17 {key}"), 2, "no tunnel of the product has its key in the TPM");
}
