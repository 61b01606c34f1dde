//! Where a private key is, as one URI in its record: a file of the store, a token, a program, or elsewhere.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};

/// A private key that is not a file of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUri {
    /// `offline:`: nowhere on this machine. A signature is asked for and brought.
    Offline,
    /// `exec:/PROGRAM`: a program that signs a digest.
    Program(PathBuf),
    /// `pkcs11:…` (RFC 7512): a key in a token.
    Token(TokenUri),
}

/// The attributes of a `pkcs11:` URI that are used (RFC 7512, 2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// Path attribute `token`: the token's label.
    pub token: Option<String>,
    /// Path attribute `serial`.
    pub serial: Option<String>,
    /// Path attribute `manufacturer` of the token.
    pub manufacturer: Option<String>,
    /// Path attribute `model` of the token.
    pub model: Option<String>,
    /// Path attribute `slot-id`: the slot's number, which another token may have tomorrow.
    pub slot: Option<u64>,
    /// Path attribute `object`: the key's label.
    pub object: Option<String>,
    /// Path attribute `id`: the key's CKA_ID.
    pub id: Option<Vec<u8>>,
    /// Query attribute `module-path`: the library of the token's maker.
    pub module: PathBuf,
}

impl KeyUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// `key-uri`: another scheme, an attribute that is not used, a PIN, or no module.
    pub fn parse(text: &str) -> Outcome<Self> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "offline" if rest.is_empty() => Ok(Self::Offline),
            "exec" if rest.starts_with('/') => Ok(Self::Program(PathBuf::from(rest))),
            "exec" => Err(wrong(format!("expected `exec:` and an absolute path, found `{text}`"))),
            "pkcs11" => token(rest).map(Self::Token),
            _ => Err(wrong(format!("expected `offline:`, `exec:/PROGRAM` or `pkcs11:…`, found `{text}`"))),
        }
    }

    /// Whether using it takes a passphrase or PIN.
    #[must_use]
    pub fn needs_secret(&self) -> bool {
        matches!(self, Self::Token(_))
    }
}

fn token(rest: &str) -> Outcome<TokenUri> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut uri = TokenUri::default();
    let pairs = path.split(';').chain(query.split('&')).filter(|pair| !pair.is_empty());
    for pair in pairs {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong(format!("`{pair}` has no value")))?;
        // Before the value is looked at: it must not be repeated in a message.
        if name.starts_with("pin-") {
            return Err(wrong(format!("`{name}` is not taken from a URI")).hint(
                "give the PIN with --passphrase-file, --passphrase-fd, --passphrase-agent, or when asked",
            ));
        }
        let bytes = decoded(value).ok_or_else(|| wrong(format!("`{pair}` is not percent-encoded")))?;
        let text = || String::from_utf8(bytes.clone()).map_err(|_| wrong(format!("`{pair}` is not UTF-8")));
        match name {
            "token" => uri.token = Some(text()?),
            "serial" => uri.serial = Some(text()?),
            "manufacturer" => uri.manufacturer = Some(text()?),
            "model" => uri.model = Some(text()?),
            "slot-id" => {
                let number = text()?.parse().map_err(|_| wrong(format!("expected a number in `{pair}`")))?;
                uri.slot = Some(number);
            }
            "object" => uri.object = Some(text()?),
            "id" => uri.id = Some(bytes),
            "module-path" => uri.module = PathBuf::from(text()?),
            "type" if value == "private" => {}
            _ => {
                return Err(wrong(format!(
                    "expected `token`, `serial`, `manufacturer`, `model`, `slot-id`, `object`, `id`, `type=private` or `module-path`, found `{pair}`"
                )));
            }
        }
    }
    if !uri.module.is_absolute() {
        return Err(wrong("the `pkcs11:` URI has no `module-path`".to_owned())
            .hint("add `?module-path=/…/library.so` of the token's maker"));
    }
    if uri.object.is_none() && uri.id.is_none() {
        return Err(wrong("the `pkcs11:` URI names no key".to_owned()).hint("add `object=LABEL` or `id=%01`"));
    }
    Ok(uri)
}

/// Percent-decoding (RFC 3986, 2.1).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push(u8::try_from(high << 4 | low).ok()?);
    }
    Some(out)
}

fn wrong(message: String) -> Failure {
    Failure::error(ExitStatus::Usage, "key-uri", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_is_read() {
        assert_eq!(KeyUri::parse("offline:").unwrap(), KeyUri::Offline);
        assert_eq!(KeyUri::parse("exec:/usr/bin/sign").unwrap(), KeyUri::Program("/usr/bin/sign".into()));
        let uri =
            KeyUri::parse("pkcs11:token=my%20token;object=gw;id=%01%ff;type=private?module-path=/lib/x.so");
        let expected = TokenUri {
            token: Some("my token".into()),
            object: Some("gw".into()),
            id: Some(vec![1, 255]),
            module: "/lib/x.so".into(),
            ..TokenUri::default()
        };
        assert_eq!(uri.unwrap(), KeyUri::Token(expected));
        // As p11tool prints it.
        let whole = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=5a;slot-id=7;id=%01?module-path=/lib/x.so";
        let KeyUri::Token(uri) = KeyUri::parse(whole).unwrap() else { panic!("no token") };
        let told = (uri.model.as_deref(), uri.manufacturer.as_deref(), uri.serial.as_deref(), uri.slot);
        assert_eq!(told, (Some("SoftHSM v2"), Some("SoftHSM project"), Some("5a"), Some(7)));
    }

    #[test]
    fn what_is_wrong_is_said_and_a_pin_is_neither_taken_nor_repeated() {
        let cases = [
            ("file:/x", "expected `offline:`, `exec:/PROGRAM` or `pkcs11:…`, found `file:/x`"),
            ("exec:sign", "expected `exec:` and an absolute path"),
            ("pkcs11:object=gw", "has no `module-path`"),
            ("pkcs11:token=t?module-path=/x.so", "names no key"),
            ("pkcs11:object=%zz?module-path=/x.so", "is not percent-encoded"),
            ("pkcs11:slot-id=three;id=%01?module-path=/x.so", "expected a number in `slot-id=three`"),
            ("pkcs11:library-version=3?module-path=/x.so", "found `library-version=3`"),
            ("pkcs11:object=gw?module-path=/x.so&pin-value=4711", "`pin-value` is not taken from a URI"),
        ];
        for (text, expected) in cases {
            let failure = KeyUri::parse(text).unwrap_err();
            let said = failure.to_string();
            assert_eq!((failure.status, &*failure.diagnostics[0].code), (ExitStatus::Usage, "key-uri"));
            assert!(said.contains(expected), "{text}: {said}");
            assert!(!said.contains("4711"), "{said}");
        }
    }
}
