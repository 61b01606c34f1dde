//! What one OPC UA application gets: its key, its certificate and its trust list, in the folders that its stack reads.
//!
//! A trust list is that of OPC 10000-12, 7.8.2: trusted certificates, those between, and a list of revoked ones of
//! each authority. Peers are trusted by the root; users one by one, because every certificate of the root would
//! otherwise be a user.

use diag::{ExitStatus, Failure, Outcome};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::identity::{Holder, Identity};
use crate::key::broken;
use crate::provision::{Items, file, folder, folders};
use crate::role::Role;
use crate::verify::{failure, read_pem};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// What RSA's signatures begin with: the arc of PKCS #1 (RFC 8017, appendix C).
const PKCS1: &str = "1.2.840.113549.1.1.";
/// nameConstraints (RFC 5280, 4.2.1.10).
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");

/// What an application asks of its identity.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its folder, below the archive's root.
    pub folder: String,
    /// Group that reads it.
    pub group: u32,
    /// `rsa`, `p256` or `p384`.
    pub key: String,
    /// Shortest key in bits.
    pub key_bits: u32,
    /// Longest key in bits.
    pub key_bits_max: u32,
    /// URI of the device's application; its identity has it, or one that goes on with `:…`.
    pub uri: String,
    /// Whether this is that application, or its other end, which has another URI.
    pub device: bool,
    /// Whether users come to it.
    pub server: bool,
    /// Whether its stack reads certificates with mbedTLS, which knows no constraints of names.
    pub mbedtls: bool,
}

/// The files of an application.
///
/// # Errors
/// `wrong-role`, `wrong-name`, `wrong-key` for what does not go with the policies, `name-constraints`, `no-operator`,
/// and those of the folder.
pub fn items(identity: &Identity, application: &Application, operators: &[Holder]) -> Outcome<Items> {
    check_role(&identity.entry.name, identity.entry.role, Role::Opcua)?;
    check_uri(identity, application)?;
    let chain = certificates(&identity.chain)?;
    let roots = certificates(&identity.roots)?;
    check_keys(&identity.entry.name, &chain, &roots, application)?;
    let (Some(own), between) = (chain.first(), chain.get(1..).unwrap_or_default()) else {
        return Err(broken(&"the chain is empty"));
    };
    let lists: Vec<CertificateList> =
        read_pem(identity.lists.as_bytes(), "X509 CRL").map_err(|refusal| failure(&[refusal]))?;
    let mut items = Items::new();
    let place = &application.folder;
    folders(&mut items, place, 0o750)?;
    let mut tree = Tree { items: &mut items, place, lists: &lists };
    tree.one("own/certs/application.der", own)?;
    tree.items.insert(format!("{place}/own/private"), crate::provision::Item::folder(0o750));
    let key = identity.key_pem()?;
    file(tree.items, format!("{place}/own/private/application.pem"), 0o640, key.as_bytes());
    tree.list("trusted", "root", &roots)?;
    tree.list("issuer", "issuing", between)?;
    if application.server {
        users(&mut tree, application, operators)?;
    }
    for item in items.values_mut().filter(|item| item.mode & 0o007 == 0) {
        item.group = application.group;
    }
    Ok(items)
}

/// The persons' own certificates are trusted, and no other of the same root.
fn users(tree: &mut Tree, application: &Application, operators: &[Holder]) -> Outcome<()> {
    if operators.is_empty() {
        return Err(Failure::error(
            ExitStatus::Usage,
            "no-operator",
            format!(
                "nobody may log in to the OPC UA server in `{}`: `--operator` names none",
                application.folder
            ),
        )
        .hint("`fastness pki issue NAME --role operator --algorithm rsa3072` makes a person's certificate"));
    }
    let mut issuers = Vec::new();
    for operator in operators {
        check_role(&operator.entry.name, operator.entry.role, Role::Operator)?;
        let chain = certificates(&operator.chain)?;
        let roots = certificates(&operator.roots)?;
        check_keys(&operator.entry.name, &chain, &roots, application)?;
        if let Some(own) = chain.first() {
            tree.one(&format!("users/trusted/certs/{}.der", operator.entry.name), own)?;
        }
        for above in chain.into_iter().skip(1).chain(roots) {
            if !issuers.contains(&above) {
                issuers.push(above);
            }
        }
    }
    tree.list("users/trusted", "", &[])?;
    tree.list("users/issuer", "issuing", &issuers)
}

/// A store in the making.
struct Tree<'a> {
    items: &'a mut Items,
    place: &'a str,
    lists: &'a [CertificateList],
}

impl Tree<'_> {
    fn folder(&mut self, path: &str) {
        let mut above = String::new();
        for part in path.split('/') {
            above = if above.is_empty() { part.to_owned() } else { format!("{above}/{part}") };
            folder(self.items, &format!("{}/{above}", self.place), 0o750);
        }
    }

    fn one(&mut self, path: &str, value: &Certificate) -> Outcome<()> {
        self.folder(path.rsplit_once('/').map_or("", |(folder, _)| folder));
        let der = value.to_der().map_err(|e| broken(&e))?;
        file(self.items, format!("{}/{path}", self.place), 0o640, &der);
        Ok(())
    }

    /// `certs` and `crl` of a trust list: stacks look for an authority's list beside its certificate.
    fn list(&mut self, path: &str, stem: &str, certificates: &[Certificate]) -> Outcome<()> {
        self.folder(&format!("{path}/certs"));
        self.folder(&format!("{path}/crl"));
        for (number, certificate) in certificates.iter().enumerate() {
            self.one(&format!("{path}/certs/{stem}-{}.der", number + 1), certificate)?;
        }
        for (number, list) in self.lists.iter().enumerate() {
            let der = list.to_der().map_err(|e| broken(&e))?;
            file(self.items, format!("{}/{path}/crl/crl-{}.crl", self.place, number + 1), 0o640, &der);
        }
        Ok(())
    }
}

fn certificates(text: &str) -> Outcome<Vec<Certificate>> {
    read_pem(text.as_bytes(), "CERTIFICATE").map_err(|refusal| failure(&[refusal]))
}

fn check_role(name: &str, found: Role, wanted: Role) -> Outcome<()> {
    if found == wanted {
        return Ok(());
    }
    let message = format!("expected `{}`, found `{name}` as `{}`", wanted.name(), found.name());
    Err(Failure::error(ExitStatus::Input, "wrong-role", message)
        .hint(format!("issue it with `--role {}`", wanted.name())))
}

/// The device's application is known by the product's URI; nobody else may have it.
fn check_uri(identity: &Identity, application: &Application) -> Outcome<()> {
    let uri = &application.uri;
    let is_of_device = |name: &String| {
        name.strip_prefix("uri:")
            .and_then(|name| name.strip_prefix(uri.as_str()))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    let names = &identity.entry.names;
    if names.iter().any(is_of_device) == application.device {
        return Ok(());
    }
    let (expected, hint) = if application.device {
        (format!("to have the URI `{uri}`, or one that goes on with `:…`"), "issue it with `--san uri:…`")
    } else {
        (format!("to have another URI than `{uri}`, which is the device's"), "issue it with a URI of its own")
    };
    let message = format!("expected `{}` {expected}, found `{}`", identity.entry.name, names.join("`, `"));
    Err(Failure::error(ExitStatus::Input, "wrong-name", message).hint(hint))
}

/// Keys and signatures that the security policies take (OPC 10000-7: CertificateKeyAlgorithm, -KeyLength and
/// -SignatureAlgorithm of each policy).
fn check_keys(name: &str, chain: &[Certificate], roots: &[Certificate], wanted: &Application) -> Outcome<()> {
    let wrong = |what: String, hint: &str| {
        Err(Failure::error(ExitStatus::Input, "wrong-key", format!("{what} (OPC 10000-7)"))
            .hint(hint.to_owned()))
    };
    if let Some(own) = chain.first() {
        let (kind, bits) = kind_of(&own.tbs_certificate.subject_public_key_info);
        if kind != wanted.key || bits < wanted.key_bits || bits > wanted.key_bits_max {
            return wrong(
                format!(
                    "the security policies ask for a key `{}` of {} to {} bits, and `{name}` has `{kind}` of {bits}",
                    wanted.key, wanted.key_bits, wanted.key_bits_max
                ),
                &format!(
                    "`fastness pki renew {name} --algorithm {}`",
                    if wanted.key == "rsa" { "rsa3072" } else { &wanted.key }
                ),
            );
        }
    }
    for certificate in chain {
        let by_rsa = certificate.signature_algorithm.oid.to_string().starts_with(PKCS1);
        if by_rsa != (wanted.key == "rsa") {
            return wrong(
                format!(
                    "the security policies take no authority with a key of another kind than `{}`, and that of `{name}` is one",
                    wanted.key
                ),
                "make an authority for them: `fastness pki init --algorithm rsa4096` for the RSA policies, `p384` for those with curves",
            );
        }
    }
    let constrained = |c: &&Certificate| {
        c.tbs_certificate.extensions.iter().flatten().any(|e| e.extn_id == NAME_CONSTRAINTS)
    };
    if wanted.mbedtls && chain.iter().chain(roots).any(|c| constrained(&c)) {
        let message = format!(
            "an authority of `{name}` may name hosts of some domains only, and open62541 with mbedTLS refuses the constraint"
        );
        return Err(Failure::error(ExitStatus::Input, "name-constraints", message)
            .hint("make the authority without `--domain`"));
    }
    Ok(())
}

/// Kind and length of a key.
fn kind_of(key: &SubjectPublicKeyInfoOwned) -> (&'static str, u32) {
    if key.algorithm.oid == RSA {
        let modulus = rsa::pkcs1::RsaPublicKey::from_der(key.subject_public_key.raw_bytes());
        let bits = modulus.map_or(0, |key| {
            let bytes = key.modulus.as_bytes();
            u32::try_from(bytes.len() * 8).unwrap_or(u32::MAX)
                - bytes.first().map_or(0, |b| b.leading_zeros())
        });
        return ("rsa", bits);
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    match curve {
        Some(P256) => ("p256", 256),
        Some(P384) => ("p384", 384),
        _ => ("other", 0),
    }
}
