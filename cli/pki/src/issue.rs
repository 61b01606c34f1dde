//! Issuing and renewing.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use record::sha256_hex;
use secret::{NewFile, Secret, check_name, encrypt, open_store, publish};
use x509_cert::Certificate;
use x509_cert::time::Time;

use crate::authority::{Authority, DAY, not_issued, read};
use crate::certificate::{Signed, leaf_extensions};
use crate::encode::{
    COMMON_NAME, ORGANIZATION, SERIAL, format_time, general_name, hex, name, pem, serial, time,
};
use crate::index::Entry;
use crate::issuing::stem;
use crate::key::{Algorithm, PrivateKey};
use crate::names::{AltName, is_host_name};
use crate::role::Role;
use crate::verify::may_give;

/// What is to be issued.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the identity.
    pub name: String,
    /// Common name, if it is another: devices that share an image are looked for by one name.
    pub common_name: Option<String>,
    /// What for.
    pub role: Role,
    /// Alternative names; without any, the name itself if it is a host name.
    pub names: Vec<AltName>,
    /// serialNumber of the subject.
    pub device_serial: Option<String>,
    /// Days of validity instead of the role's.
    pub days: Option<u32>,
    /// Kind of the new key, when there is no CSR.
    pub algorithm: Algorithm,
    /// A CSR in PEM, whose holder keeps the key.
    pub csr: Option<Vec<u8>>,
}

impl Request {
    /// The common name of the subject.
    #[must_use]
    pub fn common_name(&self) -> &str {
        self.common_name.as_deref().unwrap_or(&self.name)
    }
}

/// What was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its entry.
    pub entry: Entry,
    /// The certificate and the issuing CA's, in PEM.
    pub path: PathBuf,
}

impl Authority {
    /// Issues a certificate; with a new key unless there is a CSR.
    ///
    /// # Errors
    /// `already-issued`, `validity-too-long`, `no-name`, those of the CSR, of the passphrase and of files.
    pub fn issue(&mut self, request: &Request, secret: &Secret) -> Outcome<Issued> {
        check_name(&request.name)?;
        if let Some(entry) = self.valid(&request.name) {
            return Err(Failure::error(
                ExitStatus::Input,
                "already-issued",
                format!("`{}` has a certificate until {}", request.name, format_time(entry.not_after)),
            )
            .hint("`fastness pki renew` makes the next one; `fastness pki revoke` ends this one"));
        }
        self.issue_next(request, secret)
    }

    /// Issues the next certificate of an identity, with the role and names of its last one and a new key
    /// (or that of a CSR). The last one stays valid until it expires or is revoked.
    ///
    /// # Errors
    /// `not-issued`, and those of [`Authority::issue`].
    pub fn renew(
        &mut self,
        name: &str,
        algorithm: Algorithm,
        csr: Option<Vec<u8>>,
        days: Option<u32>,
        secret: &Secret,
    ) -> Outcome<Issued> {
        let last =
            self.index.entries.iter().rev().find(|e| e.name == name).ok_or_else(|| not_issued(name))?;
        let names = last.names.iter().map(|name| name.parse()).collect::<Result<_, String>>();
        let names = names.map_err(|why| {
            Failure::error(ExitStatus::Input, "bad-name", format!("`index.json`: {why}"))
                .hint("take the authority's folder from a backup")
        })?;
        let (role, device_serial) = (last.role, last.device_serial.clone());
        let common_name = last.common_name.clone();
        let request =
            Request { name: name.to_owned(), common_name, role, names, device_serial, days, algorithm, csr };
        self.issue_next(&request, secret)
    }

    fn valid(&self, name: &str) -> Option<&Entry> {
        self.index.entries.iter().find(|e| e.name == name && e.revoked.is_none() && e.not_after > self.now)
    }

    fn issue_next(&mut self, request: &Request, secret: &Secret) -> Outcome<Issued> {
        let names = names_of(request)?;
        let (issuer_key, issuer) = self.issuer(secret)?;
        let given = names.iter().map(general_name).collect::<Outcome<Vec<_>>>()?;
        may_give(&issuer, &given).map_err(|refusal| {
            Failure::error(ExitStatus::Input, refusal.code, format!("nobody would take it: {}", refusal.message))
                .hint("`pki init --domain` bound the authority to its domains; take a name below them, or make another authority")
        })?;
        let (not_after, end) = self.end(request, &issuer)?;
        let (public, sealed) = match &request.csr {
            Some(csr) => (crate::csr::accept(csr, &names)?, None),
            None => {
                let key = PrivateKey::generate(request.algorithm)?;
                (key.public()?, Some(encrypt(&key.to_der()?, secret)?))
            }
        };
        let mut subject =
            vec![(ORGANIZATION, self.index.organization.as_str()), (COMMON_NAME, request.common_name())];
        if let Some(serial) = &request.device_serial {
            subject.push((SERIAL, serial.as_str()));
        }
        let number = serial()?;
        let extensions = leaf_extensions(
            request.role,
            &names,
            (self.index.crl_url.as_deref(), self.index.ocsp_url.as_deref()),
        )?;
        let signer = Signed {
            key: &issuer_key,
            issuer: &issuer.tbs_certificate.subject,
            public: &issuer.tbs_certificate.subject_public_key_info,
        };
        let der =
            signer.certificate((self.now, end), &name(&subject)?, &public, extensions, number.clone())?;
        let generation = 1 + self.index.entries.iter().filter(|e| e.name == request.name).count();
        // No name of an identity has a `+`.
        let file =
            if generation == 1 { request.name.clone() } else { format!("{}+{generation}", request.name) };
        let entry = Entry {
            name: request.name.clone(),
            common_name: request.common_name.clone(),
            file: file.clone(),
            role: request.role,
            names: names.iter().map(ToString::to_string).collect(),
            device_serial: request.device_serial.clone(),
            issuer: self.index.issuing,
            serial: hex(number.as_bytes()),
            not_before: self.now,
            not_after,
            sha256: sha256_hex(&der),
            revoked: None,
        };
        self.index.entries.push(entry.clone());
        self.save()?;
        let issued = self.folder.join("issued");
        open_store(&issued)?;
        let chain = pem("CERTIFICATE", &der)?
            + &read(&self.folder.join(format!("{}.crt", stem(self.index.issuing))))?;
        let mut files = vec![NewFile { name: format!("{file}.crt"), content: chain.as_bytes(), mode: 0o644 }];
        if let Some(sealed) = &sealed {
            files.push(NewFile { name: format!("{file}.key.pem"), content: sealed.as_bytes(), mode: 0o600 });
        }
        publish(&issued, &file, &files)?;
        Ok(Issued { entry, path: issued.join(format!("{file}.crt")) })
    }

    /// The end of a new certificate: never after its issuer's, but for an IDevID (IEEE 802.1AR, 8.7).
    fn end(&self, request: &Request, issuer: &Certificate) -> Outcome<(u64, Time)> {
        if request.role == Role::Idevid {
            let seconds = Time::INFINITY.to_unix_duration().as_secs();
            return Ok((seconds, Time::INFINITY));
        }
        let not_after = self.now + u64::from(request.days.unwrap_or(request.role.days())) * DAY;
        let bound = issuer.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
        if not_after > bound || not_after <= self.now {
            return Err(Failure::error(
                ExitStatus::Input,
                "validity-too-long",
                format!(
                    "expected a validity of at least a day that ends before its issuer's on {}, found {}",
                    format_time(bound),
                    format_time(not_after)
                ),
            )
            .hint("ask for another number of days with `--days`, or make a new issuing CA with `fastness pki issuing`"));
        }
        Ok((not_after, time(not_after)?))
    }
}

pub(crate) fn names_of(request: &Request) -> Outcome<Vec<AltName>> {
    let mut names = request.names.clone();
    if names.is_empty() && request.role.needs_host_name() && is_host_name(request.common_name()) {
        names.push(AltName::Dns(request.common_name().to_ascii_lowercase()));
    }
    let missing = |what: &str| {
        Err(Failure::error(
            ExitStatus::Input,
            "no-name",
            format!("expected {what} for `{}` as {}, found none", request.name, request.role.name()),
        )
        .hint("give it with `--san`"))
    };
    if request.role.needs_host_name() && !names.iter().any(|n| matches!(n, AltName::Dns(_) | AltName::Ip(_)))
    {
        return missing("a `dns:` or `ip:` name");
    }
    if request.role == Role::Opcua && !names.iter().any(|n| matches!(n, AltName::Uri(_))) {
        return missing("a `uri:` name (OPC 10000-6, 6.2.2)");
    }
    if request.role == Role::Idevid && request.device_serial.is_none() {
        return Err(Failure::error(
            ExitStatus::Input,
            "no-name",
            format!(
                "expected a serial number of the device `{}` (IEEE 802.1AR, 8.6), found none",
                request.name
            ),
        )
        .hint("give it with `--device-serial`"));
    }
    names.sort();
    names.dedup();
    Ok(names)
}
