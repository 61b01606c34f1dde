//! Whom a device believes that a time server with Network Time Security (RFC 8915) is the right one.

use diag::{Diagnostic, Outcome};

use crate::library::Library;
use crate::product::Product;

/// First line of a certificate (RFC 7468, section 5).
const PEM: &str = "-----BEGIN CERTIFICATE-----";

/// The certificates of the product's file; empty without one.
pub fn roots(library: &Library, product: &Product, trouble: &mut Vec<Diagnostic>) -> Outcome<String> {
    let Some(time) = &product.time else { return Ok(String::new()) };
    let secured = time.servers.iter().find(|server| server.nts.0);
    let file = match (&time.roots, secured) {
        (None, None) => return Ok(String::new()),
        (None, Some(server)) => {
            let message = format!(
                "the time server `{}` has `nts`, and the device trusts no authority that certified it: it would never be followed",
                server.address.value.0
            );
            let hint = "put the certificates of that authority into the product's folder (PEM), and name the file: `time: {roots: nts-roots.pem, servers: …}`";
            trouble
                .push(Diagnostic::error("no-nts-roots", message).at(server.address.at.location()).hint(hint));
            return Ok(String::new());
        }
        (Some(file), None) => {
            let message = "`time.roots` is for servers with `nts`, and no server has it";
            let hint = "give the servers that speak Network Time Security `nts: true`, or leave `roots` out";
            trouble.push(Diagnostic::error("unused-nts-roots", message).at(file.at.location()).hint(hint));
            return Ok(String::new());
        }
        (Some(file), Some(_)) => file,
    };
    let path = file.as_str();
    let content = library.product_file(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (found, hint) = match content {
        Some(text) if text.contains("PRIVATE KEY-----") => {
            ("a private key", "take it away from the product: certificates alone are needed")
        }
        Some(text) if text.trim_start().starts_with(PEM) => return Ok(text),
        Some(text) if text.contains(PEM) => {
            ("something in front of the first certificate", "leave out what stands before its first line")
        }
        Some(_) => ("another file", "openssl x509 -inform DER -in ROOT.der -out ROOT.pem makes PEM of DER"),
        None => ("no such file", "the path is relative to the product's folder"),
    };
    let message = format!("expected certificates (PEM) at `{path}`, found {found}");
    trouble.push(Diagnostic::error("no-certificates", message).at(file.at.location()).hint(hint));
    Ok(String::new())
}
