//! Keys that U-Boot trusts beside the product's own, while a key is being replaced.

use std::collections::BTreeSet;

use diag::{Diagnostic, Outcome};

use super::NamedBoard;
use crate::decode::Spanned;
use crate::library::Library;
use crate::plan::{SigningPlan, TrustedKeyPlan};
use crate::product::Product;
use crate::types::LocalPath;

/// First line of a public key (RFC 7468, section 13).
const PEM: &str = "-----BEGIN PUBLIC KEY-----";

/// The keys with their public halves, which lie in the product's folder.
pub fn keys(
    library: &Library,
    product: &Product,
    board: &NamedBoard,
    signing: &SigningPlan,
    trouble: &mut Vec<Diagnostic>,
) -> Outcome<Vec<TrustedKeyPlan>> {
    let mut out = Vec::new();
    let mut names = BTreeSet::from([signing.key.as_str()]);
    for trusted in product.signing.iter().flat_map(|signing| &signing.also_trusts) {
        let name = trusted.key.as_str();
        if !names.insert(name) {
            let message = format!("the key `{name}` is trusted twice");
            let hint = "the product's own key, `signing.key`, is always trusted";
            trouble
                .push(Diagnostic::error("duplicate-name", message).at(trusted.key.at.location()).hint(hint));
        }
        let algorithm = trusted.algorithm.as_ref().map_or(signing.algorithm.as_str(), |a| a.as_str());
        if let Some(asked) = &trusted.algorithm
            && board.model.algorithms.iter().all(|known| known.as_str() != algorithm)
        {
            let message =
                format!("the U-Boot of the board `{}` cannot verify the algorithm `{algorithm}`", board.name);
            let known: Vec<&str> = board.model.algorithms.iter().map(|a| a.as_str()).collect();
            let hint = format!("it verifies `{}`", known.join("`, `"));
            trouble.push(Diagnostic::error("unknown-algorithm", message).at(asked.at.location()).hint(hint));
        }
        if let Some(public) = public_key(library, &trusted.public, trouble)? {
            out.push(TrustedKeyPlan { key: name.to_owned(), algorithm: algorithm.to_owned(), public });
        }
    }
    Ok(out)
}

/// A public key in the product's folder, PEM.
pub fn public_key(
    library: &Library,
    file: &Spanned<LocalPath>,
    trouble: &mut Vec<Diagnostic>,
) -> Outcome<Option<String>> {
    let path = file.as_str();
    let content = library.product_file(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let from_private = format!("openssl pkey -in PRIVATE.pem -pubout -out {path}");
    let (found, hint) = match content {
        Some(public) if public.trim_start().starts_with(PEM) => return Ok(Some(public)),
        Some(text) if text.contains("PRIVATE KEY-----") => {
            ("a private key", format!("take it away from the product; {from_private}"))
        }
        Some(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            ("a certificate", format!("openssl x509 -in CERTIFICATE.pem -noout -pubkey -out {path}"))
        }
        Some(_) => ("another file", from_private),
        None => ("no such file", from_private),
    };
    let message = format!("expected a public key (PEM) at `{path}`, found {found}");
    trouble.push(Diagnostic::error("no-public-key", message).at(file.at.location()).hint(hint));
    Ok(None)
}
