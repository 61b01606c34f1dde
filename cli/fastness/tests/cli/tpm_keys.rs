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
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out ipsec.csr -subj /CN={host}"
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
    good(keyed(&place, &format!("issue ft-17 --csr ipsec.csr --role device --common-name {host}")));
    good(keyed(&place, &format!("issue ft-file --role device --common-name {host}")));
    good(keyed(&place, "issue other.grid.example --csr ipsec.csr --role device"));
    refused("ft-file", 3, "error[key-here]: expected the key of `ft-file` to be in its device's TPM");
    refused("other.grid.example", 3, &format!("to be known as `dns:{host}`, found the common name"));
    refused("nobody", 3, "error[not-issued]");
    refused("control.grid.example --peer control --tpm ft-17", 2, "cannot be used with");
    // No secret is opened for it: no passphrase is asked.
    let made = good(provision("ft-17"));
    assert!(made.out.contains("it holds no private key") && !made.out.contains("in clear"), "{made:?}");
    assert!(made.out.contains("  lib/fastness/ipsec/x509/device.pem\n") && !made.out.contains("private/"));
    std::fs::remove_file(place.path("ft.tar")).unwrap();

    // Beside a tunnel of OpenVPN, whose key is a file.
    let openvpn = "  history:\n    kind: openvpn\n    zone: uplink\n    peer: {name: history.grid.example, address: 192.0.2.70, inner: 10.8.0.1}\n    \
                   local: {name: feeder-terminal.grid.example, inner: 10.8.0.2/30}\n    reason: History\n";
    let conduit = "conduits:\n  - {name: h, from: uplink, to: device, service: ssh, tunnel: history, reason: History}\n";
    let both = example.replacen("\nconduits:\n", &format!("{openvpn}\n{conduit}"), 1);
    std::fs::write(place.path("product.yaml"), both).unwrap();
    private(&place.path("t"), "-----BEGIN OpenVPN tls-crypt-v2 client key-----\nAAAA\n");
    let key = "--tls-crypt history=t --passphrase-file p";
    refused(&format!("ft-17 {key}"), 2, "error[two-identities]: the device needs two identities");
    refused(&format!("--tpm ft-17 {key}"), 2, "error[no-identity]");
    let made = good(provision(&format!("ft-file --tpm ft-17 {key}")));
    assert!(made.out.contains("it holds its private key in clear"), "{made:?}");
    assert!(made.out.contains("/ipsec/x509/device.pem") && made.out.contains("/openvpn/history/device.key"));
    assert!(!made.out.contains("ipsec/private/"), "{made:?}");
    std::fs::remove_file(place.path("ft.tar")).unwrap();

    std::fs::write(place.path("product.yaml"), example.replace(", key: tpm", "")).unwrap();
    refused("ft-file --tpm ft-17 --passphrase-file p", 2, "no tunnel of the product has its key in the TPM");
}
