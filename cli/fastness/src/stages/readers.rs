//! Identities of OPC UA for the proof by traffic: the device's application, one that may read its values, persons who
//! may and may not log in, and applications that must be refused. They live as long as the test.
//!
//! The policies of RSA want RSA all the way up (OPC 10000-7), so that this authority is another one than the tunnels'.

use std::path::Path;

use diag::{Failure, Outcome};
use exec::{Call, tool};
use pki::opcua::Application;
use pki::{Algorithm, Authority, Holder, Identity, Init, Reason, Request, Role};
use qemu::{Identities, Item, Tree};
use secret::Secret;
use spec::plan::{OpcuaFacts, Plan};

use super::tunnels::{LIST_DAYS, place, private, tree};

/// Somebody who is on the server's list, and somebody of the same authority who is not.
const PERSONS: [&str; 2] = ["eve", "mallory"];

/// Adds what the readers of the plan's servers need, on both ends.
///
/// # Errors
/// Those of the authority; when OpenSSL is missing or fails.
pub(super) fn add(plan: &Plan, folder: &Path, now: u64, out: &mut Identities) -> Outcome<()> {
    let Some(above) = place(plan, "opcua").filter(|_| !plan.proof.readers.is_empty()) else { return Ok(()) };
    let folder = folder.join("opcua");
    let secret = Secret::new(b"an authority that lives as long as a test".to_vec());
    let served = plan.network.opcua.iter().filter(|(name, _)| plan.proof.readers.contains_key(*name));
    for (name, facts) in served {
        let own = folder.join(name);
        let algorithm = algorithm(&facts.key);
        let mut authority = Authority::init(&own, &init(algorithm), &secret, now)?;
        let uri = |what: &str| format!("urn:fastness.test:{name}:{what}");
        for (identity, names) in [
            ("device", vec![format!("uri:{}", facts.application_uri)]),
            ("reader", vec![format!("uri:{}", uri("reader"))]),
            ("revoked", vec![format!("uri:{}", uri("revoked"))]),
        ] {
            authority.issue(&request(identity, Role::Opcua, &names, algorithm)?, &secret)?;
        }
        for person in PERSONS {
            authority.issue(&request(person, Role::Operator, &[], algorithm)?, &secret)?;
        }
        authority.crl(LIST_DAYS, &secret)?;
        drop(authority);
        // What the revoked one has dates from before.
        let other_end = |identity: &str, to: &str| -> Outcome<Tree> {
            let identity = Identity::open(&own, identity, None, &secret, now)?;
            let application = application(plan, facts, to.to_owned(), false);
            Ok(tree(pki::opcua::items(&identity, &application, &[])?))
        };
        let mut peer = other_end("reader", "good")?;
        peer.extend(other_end("revoked", "revoked")?);
        peer.extend(stranger(&folder, &uri("stranger"))?);
        let mut authority = Authority::open(&own, now)?;
        authority.revoke("revoked", Reason::KeyCompromise)?;
        authority.crl(LIST_DAYS, &secret)?;
        drop(authority);
        let device = Identity::open(&own, "device", None, &secret, now)?;
        let listed = Holder::open(&own, PERSONS[0], None, now)?;
        let at = format!("{above}/{name}");
        let items = tree(pki::opcua::items(&device, &application(plan, facts, at.clone(), true), &[listed])?);
        if let Some(certificate) = items.get(&format!("{at}/own/certs/application.der")) {
            peer.insert("server.der".to_owned(), certificate.clone());
        }
        for person in PERSONS {
            let identity = Identity::open(&own, person, None, &secret, now)?;
            peer.insert(format!("{person}.pem"), private(identity.key_pem()?.as_bytes().to_vec()));
            peer.insert(format!("{person}.der"), private(der(&identity.chain)?));
        }
        out.device.extend(items);
        out.readers.insert(name.clone(), peer);
    }
    Ok(())
}

/// The key that the application's policies ask for.
fn algorithm(key: &str) -> Algorithm {
    match key {
        "p256" => Algorithm::P256,
        "p384" => Algorithm::P384,
        _ => Algorithm::Rsa3072,
    }
}

fn application(plan: &Plan, facts: &OpcuaFacts, folder: String, device: bool) -> Application {
    let group = plan.users.get("opcua").and_then(|user| plan.groups.get(&user.value.group));
    Application {
        folder,
        group: group.filter(|_| device).map_or(0, |group| group.value.gid),
        key: facts.key.clone(),
        key_bits: facts.key_bits,
        key_bits_max: facts.key_bits_max,
        uri: facts.application_uri.clone(),
        device,
        server: (facts.role == "server") == device,
        mbedtls: facts.stack == "open62541",
    }
}

fn init(algorithm: Algorithm) -> Init {
    Init {
        organization: "Test".to_owned(),
        algorithm,
        days: 7300,
        crl_url: None,
        ocsp_url: None,
        domains: Vec::new(),
    }
}

fn request(identity: &str, role: Role, names: &[String], algorithm: Algorithm) -> Outcome<Request> {
    let names: Result<Vec<_>, String> = names.iter().map(|name| name.parse()).collect();
    let names = names.map_err(|why| {
        Failure::error(diag::ExitStatus::Input, "bad-name", why).hint("give the application a URI")
    })?;
    Ok(Request {
        name: identity.to_owned(),
        common_name: Some(identity.to_owned()),
        role,
        names,
        device_serial: None,
        days: None,
        algorithm,
        csr: None,
    })
}

/// The first certificate of a chain in PEM.
fn der(chain: &str) -> Outcome<Vec<u8>> {
    use x509_cert::der::{DecodePem as _, Encode as _};
    const END: &str = "-----END CERTIFICATE-----\n";
    let first = chain.find(END).map_or(chain, |at| &chain[..at + END.len()]);
    let certificate = x509_cert::Certificate::from_pem(first.as_bytes()).and_then(|found| found.to_der());
    certificate.map_err(|e| {
        Failure::error(diag::ExitStatus::Internal, "broken-certificate", e.to_string())
            .hint("tell this to the project")
    })
}

/// An application that signed its own certificate: nobody's authority. OpenSSL makes it.
fn stranger(folder: &Path, uri: &str) -> Outcome<Tree> {
    let (key, certificate) = (folder.join("stranger.pem"), folder.join("stranger.der"));
    Call::new(tool("openssl")?)
        .args(
            "req -x509 -newkey rsa:3072 -sha256 -nodes -days 800 -subj /O=Test/CN=stranger -outform DER"
                .split(' '),
        )
        .args([
            "-addext",
            "keyUsage=critical,digitalSignature,nonRepudiation,keyEncipherment,dataEncipherment",
        ])
        .args(["-addext", "extendedKeyUsage=clientAuth,serverAuth", "-addext"])
        .arg(format!("subjectAltName=URI:{uri}"))
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .log(&folder.join("openssl.log"))
        .run()?;
    let read = |path: &Path| -> Outcome<Item> {
        std::fs::read(path).map(private).map_err(|e| Failure::io("read", path, &e))
    };
    Ok(Tree::from([
        ("stranger/own/private/application.pem".to_owned(), read(&key)?),
        ("stranger/own/certs/application.der".to_owned(), read(&certificate)?),
    ]))
}
