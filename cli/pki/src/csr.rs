//! Certificate signing requests (PKCS#10, RFC 2986): made for a company's CA, and accepted from a key's holder.

use diag::{ExitStatus, Failure, Outcome};
use x509_cert::attr::Attribute;
use x509_cert::der::asn1::{Any, BitString, SetOfVec};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::certificate::leaf_extensions;
use crate::encode::{COMMON_NAME, ORGANIZATION, SERIAL, general_name, name, pem, shown};
use crate::issue::Request;
use crate::key::{PrivateKey, broken};
use crate::names::AltName;
use crate::verify::{check_key, check_signature};

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

fn refused(code: &str, message: String) -> Failure {
    Failure::error(ExitStatus::Input, code, message).hint("ask the key's holder for another request")
}

/// Reads a request and checks that its holder has the private key and that the key is strong enough.
///
/// # Errors
/// `bad-csr`, or why its key or signature is refused.
pub fn read_csr(text: &[u8]) -> Outcome<CertReq> {
    let wrong = |why: String| refused("bad-csr", format!("expected a certificate request in PEM: {why}"));
    let (label, der) = x509_cert::der::pem::decode_vec(text).map_err(|e| wrong(e.to_string()))?;
    if !label.ends_with("CERTIFICATE REQUEST") {
        return Err(wrong(format!("it is labelled `{}`", label.escape_debug())));
    }
    let request = CertReq::from_der(&der).map_err(|e| wrong(e.to_string()))?;
    let info = request.info.to_der().map_err(|e| wrong(e.to_string()))?;
    check_key(&request.info.public_key).map_err(|r| refused(r.code, r.message))?;
    check_signature(
        &request.info.public_key,
        &request.algorithm,
        &info,
        request.signature.as_bytes().unwrap_or_default(),
    )
    .map_err(|r| refused(r.code, format!("the request is not signed by its own key: {}", r.message)))?;
    Ok(request)
}

/// The key of a request whose names are all among those that the authority's person named.
pub(crate) fn accept(text: &[u8], allowed: &[AltName]) -> Outcome<SubjectPublicKeyInfoOwned> {
    let request = read_csr(text)?;
    let mut wanted = Vec::new();
    for attribute in request.info.attributes.iter().filter(|a| a.oid == EXTENSION_REQUEST) {
        for value in attribute.values.iter() {
            let Ok(extensions) = value.to_der().and_then(|der| ExtensionReq::from_der(&der)) else {
                return Err(refused("bad-csr", "the request's extensions cannot be read".to_owned()));
            };
            for found in extensions.0.iter().filter(|e| e.extn_id == ALT_NAME) {
                let names = SubjectAltName::from_der(found.extn_value.as_bytes())
                    .map_err(|e| refused("bad-csr", format!("the request's names cannot be read: {e}")))?;
                wanted.extend(names.0);
            }
        }
    }
    let allowed = allowed.iter().map(general_name).collect::<Outcome<Vec<_>>>()?;
    if let Some(other) = wanted.iter().find(|name| !allowed.contains(name)) {
        return Err(refused(
            "csr-names",
            format!("the request asks for a name that was not named here: `{}`", shown(other).escape_debug()),
        )
        .hint("if it is right, name it with `--san`"));
    }
    Ok(request.info.public_key)
}

/// A request in PEM for this key.
pub(crate) fn make(key: &PrivateKey, request: &Request, organization: &str) -> Outcome<String> {
    let asked = leaf_extensions(request.role, &request.names, (None, None))?;
    let asked = Any::encode_from(&ExtensionReq(asked)).map_err(|e| broken(&e))?;
    let attribute = Attribute {
        oid: EXTENSION_REQUEST,
        values: SetOfVec::try_from(vec![asked]).map_err(|e| broken(&e))?,
    };
    let mut subject = vec![(ORGANIZATION, organization), (COMMON_NAME, request.common_name())];
    if let Some(serial) = &request.device_serial {
        subject.push((SERIAL, serial.as_str()));
    }
    let info = CertReqInfo {
        version: Version::V1,
        subject: name(&subject)?,
        public_key: key.public()?,
        attributes: SetOfVec::try_from(vec![attribute]).map_err(|e| broken(&e))?,
    };
    let signature = key.sign(&info.to_der().map_err(|e| broken(&e))?)?;
    let made = CertReq {
        info,
        algorithm: key.signature_algorithm(),
        signature: BitString::from_bytes(&signature).map_err(|e| broken(&e))?,
    };
    pem("CERTIFICATE REQUEST", &made.to_der().map_err(|e| broken(&e))?)
}
