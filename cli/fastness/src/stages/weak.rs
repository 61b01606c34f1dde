//! Peers that the project's own authority refuses to make: self-signed, with a key that is too short, signed with
//! SHA-1. OpenSSL makes them, below a root of its own that the device trusts for this test alone, so that
//! the weakness is the only reason against them.

use std::fs;
use std::path::{Path, PathBuf};

use diag::{Failure, Outcome};
use exec::{Call, tool};

/// Days for which everything here is valid.
const DAYS: &str = "800";
/// What a peer's certificate says, as an authority of the product would have it.
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                    extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\n";
/// What `openssl ca` needs to write a list.
const CONFIGURATION: &str = "[ca]\ndefault_ca=own\n[own]\ndatabase=index\ncrlnumber=number\ndefault_md=sha384\n\
                             default_crl_days=800\ncrl_extensions=list\n[list]\nauthorityKeyIdentifier=keyid:always\n";

/// A peer of a reason, with its key and certificate.
pub struct Weak {
    /// The refusal's name.
    pub reason: &'static str,
    /// Private key, PKCS#8 in PEM.
    pub key: Vec<u8>,
    /// Certificate in PEM.
    pub certificate: Vec<u8>,
}

/// The root of the weak peers, in a folder that goes away with the test.
pub struct Root {
    folder: PathBuf,
    /// Its certificate in PEM.
    pub certificate: Vec<u8>,
    /// Its revocation list in PEM.
    pub list: Vec<u8>,
}

impl Root {
    /// Makes the root and its list.
    ///
    /// # Errors
    /// When OpenSSL is missing or fails.
    pub fn make(folder: &Path) -> Outcome<Self> {
        let folder = folder.join("weak");
        fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
        let put = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|e| Failure::io("write", &path, &e))
        };
        put("ca.conf", CONFIGURATION)?;
        put("index", "")?;
        put("number", "01\n")?;
        let root = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384 -nodes -subj /O=Test/CN=Weak \
                    -addext keyUsage=critical,keyCertSign,cRLSign -keyout root.key -out root.pem -days";
        openssl(&folder, root, &[DAYS])?;
        openssl(&folder, "ca -config ca.conf -gencrl -cert root.pem -keyfile root.key -out root.crl", &[])?;
        let (certificate, list) = (read(&folder, "root.pem")?, read(&folder, "root.crl")?);
        Ok(Self { folder, certificate, list })
    }

    /// The weak peers of that name.
    ///
    /// # Errors
    /// When OpenSSL is missing or fails.
    pub fn peers(&self, host: &str) -> Outcome<Vec<Weak>> {
        const CURVE: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
        let extensions = self.folder.join("leaf.ext");
        let text = format!("{LEAF}authorityKeyIdentifier=keyid\nsubjectAltName=DNS:{host}\n");
        fs::write(&extensions, text).map_err(|e| Failure::io("write", &extensions, &e))?;
        let subject = format!("/O=Test/CN={host}");
        let mut out = Vec::new();
        for (reason, key, digest) in
            [("weak-key", "-newkey rsa:1024", "-sha256"), ("sha1-signature", CURVE, "-sha1")]
        {
            let request = format!("req -new {key} -nodes -keyout {reason}.key -out {reason}.csr -subj");
            openssl(&self.folder, &request, &[&subject])?;
            let sign = format!(
                "x509 -req -in {reason}.csr -CA root.pem -CAkey root.key -CAcreateserial -out {reason}.pem \
                 -extfile leaf.ext {digest} -days"
            );
            openssl(&self.folder, &sign, &[DAYS])?;
            out.push(self.made(reason)?);
        }
        let own = format!(
            "req -x509 {CURVE} -sha256 -nodes -keyout self-signed.key -out self-signed.pem -days {DAYS} \
             -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=serverAuth -addext"
        );
        openssl(&self.folder, &own, &[&format!("subjectAltName=DNS:{host}"), "-subj", &subject])?;
        out.push(self.made("self-signed")?);
        Ok(out)
    }

    fn made(&self, reason: &'static str) -> Outcome<Weak> {
        let key = read(&self.folder, &format!("{reason}.key"))?;
        Ok(Weak { reason, key, certificate: read(&self.folder, &format!("{reason}.pem"))? })
    }
}

fn read(folder: &Path, name: &str) -> Outcome<Vec<u8>> {
    let path = folder.join(name);
    fs::read(&path).map_err(|e| Failure::io("read", &path, &e))
}

/// Words of our own, then values that may hold anything.
fn openssl(folder: &Path, words: &str, values: &[&str]) -> Outcome<()> {
    Call::new(tool("openssl")?)
        .args(words.split_whitespace())
        .args(values)
        .folder(folder)
        .log(&folder.join("openssl.log"))
        .run()
}

#[cfg(test)]
mod tests {
    use x509_cert::Certificate;
    use x509_cert::der::DecodePem as _;

    use super::*;

    #[test]
    #[allow(clippy::print_stderr, reason = "what was skipped is said aloud")]
    fn each_peer_has_its_weakness() {
        if exec::find(&tool("openssl").unwrap()).is_err() {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "openssl is not installed");
            eprintln!("SKIPPED: openssl is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = Root::make(folder.path()).unwrap();
        assert!(root.list.starts_with(b"-----BEGIN X509 CRL-----"));
        let issuer = Certificate::from_pem(&root.certificate).unwrap().tbs_certificate.subject;
        let peers = root.peers("scada.plant.example").unwrap();
        let of = |reason: &str| {
            let weak = peers.iter().find(|weak| weak.reason == reason).unwrap();
            Certificate::from_pem(&weak.certificate).unwrap()
        };
        // ecdsa-with-SHA1 (RFC 3279, 2.2.3).
        assert_eq!(of("sha1-signature").signature_algorithm.oid.to_string(), "1.2.840.10045.4.1");
        let weak = of("weak-key").tbs_certificate;
        // An RSA key of 1024 bits: 128 bytes of modulus and a few of structure.
        assert!(weak.subject_public_key_info.subject_public_key.raw_bytes().len() < 150);
        assert_eq!(weak.issuer, issuer);
        let own = of("self-signed").tbs_certificate;
        assert_eq!(own.issuer, own.subject);
        assert_ne!(own.issuer, issuer);
    }
}
