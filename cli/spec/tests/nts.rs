//! Time servers with Network Time Security: whom the device believes, and what is refused.

use spec::library::Library;
use spec::plan::{FilePlan, Plan};

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");
const SERVER: &str = "    - {address: 192.0.2.1}\n";
const ROOTS: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// The example with other time servers, and the files `roots.pem`, `private.pem`, `text.pem` and `after.pem` beside it.
fn load(time: &str) -> Result<Plan, diag::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    let text = EXAMPLE.replace(SERVER, time);
    assert_ne!(text, EXAMPLE);
    for (name, content) in [
        ("product.yaml", text.as_str()),
        ("roots.pem", ROOTS),
        ("private.pem", &format!("{ROOTS}-----BEGIN PRIVATE KEY-----\n")),
        ("text.pem", "0"),
        ("after.pem", &format!("Subject: CN = x\n{ROOTS}")),
    ] {
        std::fs::write(folder.path().join(name), content).expect("written");
    }
    spec::load_with(&Library::built_in(Some(folder.path())), &product, None)
}

fn file<'p>(plan: &'p Plan, path: &str) -> &'p str {
    match &plan.files[path].value {
        FilePlan::File { content, .. } => content,
        _ => panic!("{path} is no file"),
    }
}

#[test]
fn a_server_with_nts_is_believed_by_the_product_s_authorities_alone() {
    let secured = "    - {address: 192.0.2.1, nts: true}\n  roots: roots.pem\n";
    let plan = load(secured).unwrap_or_else(|failure| panic!("{failure}"));
    let own = "server 192.0.2.1 iburst nts\nnosystemcert\nntstrustedcerts /etc/chrony/nts-roots.pem\n";
    assert!(file(&plan, "/etc/chrony/chrony.conf").contains(own));
    assert_eq!(file(&plan, "/etc/chrony/nts-roots.pem").trim(), ROOTS.trim());
    let check = serde_json::to_string(&plan.checks["time.sync"].value).expect("JSON");
    assert!(check.contains("ntstrustedcerts /etc/chrony/nts-roots.pem"), "{check}");
}

#[test]
fn a_server_without_nts_needs_nobody() {
    let plan = load("    - {address: 192.0.2.2}\n").unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!file(&plan, "/etc/chrony/chrony.conf").contains("cert"));
    assert_eq!(file(&plan, "/etc/chrony/nts-roots.pem").trim(), "");
}

#[test]
fn what_would_never_be_followed_is_refused() {
    let with = |roots: &str| format!("    - {{address: 192.0.2.1, nts: true}}\n  roots: {roots}\n");
    for (time, code, message, hint) in [
        (
            "    - {address: 192.0.2.1, nts: true}\n".to_owned(),
            "no-nts-roots",
            "the time server `192.0.2.1` has `nts`, and the device trusts no authority that certified it: it would never be followed",
            "`time: {roots: nts-roots.pem, servers: …}`",
        ),
        (
            "    - {address: 192.0.2.1}\n  roots: roots.pem\n".to_owned(),
            "unused-nts-roots",
            "`time.roots` is for servers with `nts`, and no server has it",
            "leave `roots` out",
        ),
        (
            with("private.pem"),
            "no-certificates",
            "expected certificates (PEM) at `private.pem`, found a private key",
            "take it away",
        ),
        (
            with("text.pem"),
            "no-certificates",
            "expected certificates (PEM) at `text.pem`, found another file",
            "makes PEM of DER",
        ),
        (
            with("after.pem"),
            "no-certificates",
            "expected certificates (PEM) at `after.pem`, found something in front of the first certificate",
            "before its first line",
        ),
        (
            with("gone.pem"),
            "no-certificates",
            "expected certificates (PEM) at `gone.pem`, found no such file",
            "relative to the product's folder",
        ),
    ] {
        let failure = load(&time).expect_err(code);
        let found = failure.diagnostics.iter().find(|d| d.code == code);
        let Some(found) = found else { panic!("no `{code}` among {failure}") };
        assert_eq!(found.message, message);
        assert!(found.hint.as_deref().unwrap_or_default().contains(hint), "{:?}", found.hint);
        assert!(found.location.as_ref().is_some_and(|at| at.line > 0), "{found:?}");
    }
}
