//! Keys that U-Boot trusts beside the product's own: read, and refused.

use spec::plan::Plan;

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n";

fn load(signing: &str) -> Result<Plan, diag::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("keys")).expect("made");
    std::fs::write(folder.path().join("keys/next.pub.pem"), PUBLIC).expect("written");
    std::fs::write(folder.path().join("keys/private.pem"), "-----BEGIN PRIVATE KEY-----\n").expect("written");
    std::fs::write(folder.path().join("keys/ca.pem"), "-----BEGIN CERTIFICATE-----\n").expect("written");
    std::fs::write(folder.path().join("keys/text.pem"), "hello\n").expect("written");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, format!("{EXAMPLE}\n{signing}\n")).expect("written");
    spec::load(&product, Some("qemu-aarch64"))
}

#[test]
fn a_second_key_is_in_the_plan_with_its_public_half() {
    let plan = load("signing: {also_trusts: [{key: next, public: keys/next.pub.pem}]}")
        .unwrap_or_else(|failure| panic!("{failure}"));
    let [next] = &plan.signing.also_trusts[..] else { panic!("{:?}", plan.signing.also_trusts) };
    assert_eq!((next.key.as_str(), next.algorithm.as_str()), ("next", plan.signing.algorithm.as_str()));
    assert_eq!(next.public, PUBLIC);
    // Without one, no word of it.
    let plan = load("").unwrap_or_else(|failure| panic!("{failure}"));
    let json = serde_json::to_string(&plan.signing).expect("json");
    assert!(!json.contains("also_trusts"), "{json}");
}

#[test]
fn a_second_key_of_ecdsa_brings_what_verifies_it() {
    let next =
        "signing: {also_trusts: [{key: next, algorithm: \"sha256,ecdsa256\", public: keys/next.pub.pem}]}";
    let plan = load(next).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.signing.also_trusts[0].algorithm, "sha256,ecdsa256");
    assert!(plan.uboot_patches.keys().any(|name| name.contains("ecdsa")), "{:?}", plan.uboot_patches.keys());
}

#[test]
fn a_key_that_cannot_be_trusted_is_refused() {
    for (key, code, message) in [
        ("{key: next, public: keys/gone.pem}", "no-public-key", "at `keys/gone.pem`, found no such file"),
        ("{key: next, public: keys/private.pem}", "no-public-key", "found a private key"),
        ("{key: next, public: keys/ca.pem}", "no-public-key", "found a certificate"),
        ("{key: next, public: keys/text.pem}", "no-public-key", "found another file"),
        (
            "{key: cell-gateway-dev, public: keys/next.pub.pem}",
            "duplicate-name",
            "the key `cell-gateway-dev` is trusted twice",
        ),
        (
            "{key: next, algorithm: \"sha1,rsa2048\", public: keys/next.pub.pem}",
            "unknown-algorithm",
            "the U-Boot of the board `qemu-aarch64` cannot verify the algorithm `sha1,rsa2048`",
        ),
    ] {
        let failure = load(&format!("signing: {{also_trusts: [{key}]}}")).expect_err(key);
        let found = failure.diagnostics.iter().find(|d| d.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("no `{message}` in {failure}"));
        assert_eq!((found.code.as_str(), failure.status), (code, diag::ExitStatus::Input), "{failure}");
    }
}
