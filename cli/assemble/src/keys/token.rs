//! A key in a token: PKCS#11 (OASIS, version 2.40) through the library of the token's maker.
//!
//! The private key never leaves the token. A session is opened for each use and closed with it.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use diag::{ExitStatus, Failure, Outcome};
use fit::FitError;
use fit::key::{Hash, KeyType, Padding, PublicKey};
use fit::sign::{Message, Signer};
use libloading::Library;
use rsa::{BigUint, RsaPublicKey};
use secret::Secret;

use super::certificate::{self, Certified};
use super::uri::TokenUri;

/// `DigestInfo` in front of a digest (RFC 8017, 9.2, note 1): all but the digest.
const SHA256: [u8; 19] = [48, 49, 48, 13, 6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 1, 5, 0, 4, 32];
const SHA384: [u8; 19] = [48, 65, 48, 13, 6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 2, 5, 0, 4, 48];
const SHA512: [u8; 19] = [48, 81, 48, 13, 6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 3, 5, 0, 4, 64];

/// What a person looks at when a token does not answer.
const CONFIGURATION: &str = "the library has a configuration of its own, and this user has to be able to read it and what it names: \
                             of SoftHSM `SOFTHSM2_CONF`, and the folder of its tokens";

/// Signs with a key in a token.
pub struct TokenSigner {
    uri: TokenUri,
    pin: Secret,
    key: PublicKey,
    ends: Option<u64>,
}

impl TokenSigner {
    /// Logs in and finds the key. A certificate that the token has of it must hold (`SOURCE_DATE_EPOCH`, or the clock).
    ///
    /// # Errors
    /// `token-module`, `token-absent`, `token-locked`, `wrong-passphrase`, `missing-key`, `certificate-expired`,
    /// `certificate-not-yet-valid`, `certificate-of-another-key`, or `token`.
    pub fn open(uri: &TokenUri, pin: &Secret) -> Outcome<Self> {
        let (key, ends) = with_key(uri, pin, |session, handle| {
            let key = public(session, handle)?;
            let ends = certified_until(session, handle, &key)?;
            Ok((key, ends))
        })?;
        Ok(Self { uri: uri.clone(), pin: pin.clone(), key, ends })
    }

    /// When the key's certificate in the token ends, in seconds since 1970; nothing where the token has none.
    #[must_use]
    pub fn ends(&self) -> Option<u64> {
        self.ends
    }

    /// The public half of the key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.key
    }
}

impl Signer for TokenSigner {
    fn public_key(&self) -> PublicKey {
        self.key.clone()
    }

    fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, FitError> {
        let digest = message.digest();
        let signature = with_key(&self.uri, &self.pin, |session, key| {
            let (mechanism, data) = mechanism(message, self.key.kind(), &digest);
            session.sign(&mechanism, key, &data).map_err(|e| refused(&self.uri, "sign", &e))
        });
        let signature = signature.map_err(|failure| FitError::Key(failure.to_string()))?;
        if !self.key.holds(message.hash, message.padding, &digest, &signature) {
            return Err(FitError::Key("the token's signature does not verify with its own key".to_owned()));
        }
        Ok(signature)
    }
}

fn mechanism<'a>(message: &Message<'_>, kind: Option<KeyType>, digest: &[u8]) -> (Mechanism<'a>, Vec<u8>) {
    if let Some(kind) = kind.filter(|kind| !kind.is_rsa()) {
        // The leftmost bits of a digest that is longer than the order count (FIPS 186-5, 6.4.1): not every token cuts.
        return (Mechanism::Ecdsa, digest[..digest.len().min(kind.bits() / 8)].to_vec());
    }
    let (prefix, hash_alg, mgf) = match message.hash {
        Hash::Sha256 => (SHA256, MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        Hash::Sha384 => (SHA384, MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        Hash::Sha512 => (SHA512, MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
    };
    match message.padding {
        Padding::Pkcs1v15 => (Mechanism::RsaPkcs, [&prefix, digest].concat()),
        Padding::Pss => {
            // A digest has 64 bytes at most.
            let s_len = u64::try_from(digest.len()).unwrap_or_default().into();
            (Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len }), digest.to_vec())
        }
    }
}

fn with_key<T>(
    uri: &TokenUri,
    pin: &Secret,
    use_it: impl FnOnce(&Session, ObjectHandle) -> Outcome<T>,
) -> Outcome<T> {
    let module = uri.module.display();
    let no_module = |why: &dyn std::fmt::Display| {
        failure("token-module", format!("`{module}` is no PKCS#11 library that can be loaded: {why}"))
            .hint("`module-path` of the key's URI names the library of the token's maker")
    };
    let _loaded = loaded(&uri.module).map_err(|e| no_module(&e))?;
    let library = Pkcs11::new(&uri.module).map_err(|e| no_module(&e))?;
    match library.initialize(CInitializeArgs::OsThreads) {
        Ok(()) | Err(Error::AlreadyInitialized) => {}
        Err(e) => return Err(refused(uri, "start", &e)),
    }
    let session =
        library.open_ro_session(slot(&library, uri)?).map_err(|e| refused(uri, "open a session", &e))?;
    let pin = String::from_utf8(pin.bytes().to_vec())
        .map_err(|_| failure("wrong-passphrase", "expected a PIN of text, found other bytes".to_owned()))?;
    session.login(UserType::User, Some(&AuthPin::new(pin))).map_err(|e| cannot_log_in(uri, &e))?;
    let key = key(&session, uri)?;
    use_it(&session, key)
}

/// The library, when it has the one function that every PKCS#11 library has (2.40, 3.4): `cryptoki` ends the program where it
/// is missing.
#[allow(unsafe_code)]
fn loaded(module: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: loading runs the library's own initialisation, as `Pkcs11::new` does right after, of the file that the key's URI
    // names. The symbol is looked for, never called.
    unsafe {
        let library = Library::new(module)?;
        library.get::<*const ()>(b"C_GetFunctionList\0")?;
        Ok(library)
    }
}

fn slot(library: &Pkcs11, uri: &TokenUri) -> Outcome<Slot> {
    let slots =
        library.get_slots_with_initialized_token().map_err(|e| refused(uri, "list its tokens", &e))?;
    let mut fitting = Vec::new();
    let (mut seen, mut names) = (Vec::new(), Vec::new());
    let shown = |info: &TokenInfo| format!("`{}`", info.label().trim().escape_debug());
    for slot in slots {
        let Ok(info) = library.get_token_info(slot) else { continue };
        let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found.trim());
        let of_slot = uri.slot.is_none_or(|number| number == slot.id());
        let of_maker = fits(&uri.manufacturer, info.manufacturer_id()) && fits(&uri.model, info.model());
        if fits(&uri.token, info.label()) && fits(&uri.serial, info.serial_number()) && of_slot && of_maker {
            fitting.push(slot);
            names.push(shown(&info));
        }
        seen.push(shown(&info));
    }
    let wanted = uri.token.as_deref().or(uri.serial.as_deref()).unwrap_or("any");
    let missing = if uri.token.is_none() { "token=" } else { "serial=" };
    match fitting.as_slice() {
        [one] => Ok(*one),
        [] => Err(failure(
            "token-absent",
            format!(
                "the token `{wanted}` is not there; found {}",
                if seen.is_empty() { "none".into() } else { seen.join(", ") }
            ),
        )
        .hint(format!("plug it in, or correct `token` in the key's URI; {CONFIGURATION}"))),
        more => {
            let message = format!("{} tokens fit the key's URI: {}", more.len(), names.join(", "));
            Err(failure("token", message).hint(format!("add `{missing}` to it")))
        }
    }
}

fn key(session: &Session, uri: &TokenUri) -> Outcome<ObjectHandle> {
    let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    wanted.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
    wanted.extend(uri.id.clone().map(Attribute::Id));
    let keys = session.find_objects(&wanted).map_err(|e| refused(uri, "look for the key", &e))?;
    let name = uri
        .object
        .clone()
        .unwrap_or_else(|| format!("id {}", fit::key::hex(uri.id.as_deref().unwrap_or(&[]))));
    match keys.as_slice() {
        [one] => Ok(*one),
        [] => Err(failure("missing-key", format!("the token has no private key `{name}`"))),
        more => Err(failure("token", format!("the token has {} private keys `{name}`", more.len()))
            .hint("add `id=` to the key's URI")),
    }
}

fn public(session: &Session, key: ObjectHandle) -> Outcome<PublicKey> {
    let attributes = session
        .get_attributes(key, &[AttributeType::KeyType, AttributeType::Modulus, AttributeType::PublicExponent])
        .map_err(|e| untold(&e))?;
    let (mut modulus, mut exponent) = (None, None);
    for attribute in attributes {
        match attribute {
            Attribute::KeyType(cryptoki::object::KeyType::EC) => return point(session, key),
            Attribute::KeyType(kind) if kind != cryptoki::object::KeyType::RSA => return Err(neither()),
            Attribute::Modulus(bytes) => modulus = Some(BigUint::from_bytes_be(&bytes)),
            Attribute::PublicExponent(bytes) => exponent = Some(BigUint::from_bytes_be(&bytes)),
            _ => {}
        }
    }
    let (modulus, exponent) = modulus.zip(exponent).ok_or_else(neither)?;
    let key = RsaPublicKey::new(modulus, exponent)
        .map_err(|e| failure("key-format", format!("the token's key is no RSA key: {e}")))?;
    Ok(PublicKey::from_rsa(key))
}

/// The point of a private key of ECDSA: in the public key of its CKA_ID or its label (PKCS#11 2.40, 2.3.3), since a
/// private key need not have it.
fn point(session: &Session, key: ObjectHandle) -> Outcome<PublicKey> {
    let same = session
        .get_attributes(key, &[AttributeType::Id, AttributeType::Label])
        .map_err(|e| untold(&e))?
        .into_iter()
        .find(|attribute| match attribute {
            Attribute::Id(bytes) | Attribute::Label(bytes) => !bytes.is_empty(),
            _ => false,
        });
    let mut wanted =
        vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(cryptoki::object::KeyType::EC)];
    wanted.extend(same);
    let found = session.find_objects(&wanted).map_err(|e| untold(&e))?;
    let [one] = found.as_slice() else {
        return Err(failure(
            "key-format",
            format!(
                "expected one public key of ECDSA with the private key's id in the token, found {}",
                found.len()
            ),
        ));
    };
    let attributes = session.get_attributes(*one, &[AttributeType::EcPoint]).map_err(|e| untold(&e))?;
    let point = attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(bytes) => Some(bytes),
        _ => None,
    });
    let point = point.ok_or_else(neither)?;
    // An OCTET STRING in DER: a tag, a length below 128, the point (PKCS#11 2.40, 2.3.3).
    let point = match point.as_slice() {
        [4, length, rest @ ..] if usize::from(*length) == rest.len() => rest,
        bare => bare,
    };
    PublicKey::from_sec1(point).map_err(|e| failure("key-format", format!("the token's key: {e}")))
}

/// When the certificate ends that the token has of the key, by its CKA_ID (PKCS#11 2.40, 4.6.3); of several that hold the one that ends last.
///
/// An id that is not there belongs to nothing.
fn certified_until(session: &Session, handle: ObjectHandle, key: &PublicKey) -> Outcome<Option<u64>> {
    let attributes = session.get_attributes(handle, &[AttributeType::Id]).map_err(|e| untold(&e))?;
    let id = attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::Id(bytes) if !bytes.is_empty() => Some(bytes),
        _ => None,
    });
    let Some(id) = id else { return Ok(None) };
    let wanted = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Id(id.clone()),
    ];
    let mut all = Vec::new();
    for found in session.find_objects(&wanted).map_err(|e| untold(&e))? {
        let attributes = session.get_attributes(found, &[AttributeType::Value]).map_err(|e| untold(&e))?;
        let der = attributes.into_iter().find_map(|attribute| match attribute {
            Attribute::Value(bytes) => Some(bytes),
            _ => None,
        });
        let certified = Certified::from_der(&der.unwrap_or_default())?;
        if certified.key != *key {
            let message = format!(
                "the token has a certificate with the key's id, {}, that is of another key",
                fit::key::hex(&id)
            );
            return Err(failure("certificate-of-another-key", message)
                .hint("give it an id of its own, or put the key's own certificate in its place"));
        }
        all.push(certified);
    }
    certificate::ends_of(all, certificate::now()?)
}

fn untold(error: &Error) -> Failure {
    failure("token", format!("the token does not tell the public half of the key: {error}"))
        .hint("it has to tell the modulus and exponent of an RSA key, the point of one of ECDSA")
}

fn neither() -> Failure {
    let expected = "expected a key of RSA, or of ECDSA on P-256 or P-384, in the token";
    failure("key-format", format!("{expected}, found another kind"))
}

fn cannot_log_in(uri: &TokenUri, error: &Error) -> Failure {
    match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            failure("wrong-passphrase", "the PIN does not open the token".to_owned())
                .hint("a token locks itself after some wrong PINs")
        }
        Error::Pkcs11(RvError::PinLocked | RvError::PinExpired, _) => {
            failure("token-locked", "the token is locked".to_owned())
                .hint("its security officer can set a new PIN")
        }
        other => refused(uri, "log in", other),
    }
}

fn refused(uri: &TokenUri, what: &str, error: &Error) -> Failure {
    failure("token", format!("the token behind `{}` does not {what}: {error}", uri.module.display()))
        .hint(CONFIGURATION)
}

fn failure(code: &'static str, message: String) -> Failure {
    Failure::error(ExitStatus::Keys, code, message)
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn a_locked_token_a_wrong_pin_and_a_silent_one_are_told_apart() {
        let uri = TokenUri { module: "/lib/token.so".into(), ..TokenUri::default() };
        let said = |error| {
            let failure = cannot_log_in(&uri, &Error::Pkcs11(error, Function::Login));
            assert_eq!(failure.status, ExitStatus::Keys);
            (failure.diagnostics[0].code.to_string(), failure.to_string())
        };
        for error in [RvError::PinLocked, RvError::PinExpired] {
            let (code, text) = said(error);
            assert_eq!(code, "token-locked");
            assert!(text.contains("the token is locked") && text.contains("security officer"), "{text}");
        }
        for error in [RvError::PinIncorrect, RvError::PinInvalid, RvError::PinLenRange] {
            let (code, text) = said(error);
            assert_eq!(code, "wrong-passphrase");
            assert!(text.contains("the PIN does not open the token"), "{text}");
        }
        let (code, text) = said(RvError::DeviceError);
        assert_eq!(code, "token");
        assert!(text.contains("the token behind `/lib/token.so` does not log in: "), "{text}");
        assert!(text.contains("`SOFTHSM2_CONF`"), "{text}");
    }
}
