//! What is written into a certificate, and its signature.

use diag::{ExitStatus, Failure, Outcome};
use x509_cert::Certificate;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::{BitString, Null};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, NameConstraints,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

use crate::encode::{distribution_point, extension, general_name, key_identifier, responder, time};
use crate::key::{PrivateKey, broken};
use crate::names::AltName;
use crate::role::Role;

/// Who signs.
pub(crate) struct Signed<'a> {
    pub(crate) key: &'a PrivateKey,
    pub(crate) issuer: &'a Name,
    pub(crate) public: &'a SubjectPublicKeyInfoOwned,
}

impl Signed<'_> {
    pub(crate) fn certificate(
        &self,
        (from, to): (u64, Time),
        subject: &Name,
        public: &SubjectPublicKeyInfoOwned,
        mut extensions: Vec<Extension>,
        number: SerialNumber,
    ) -> Outcome<Vec<u8>> {
        extensions.push(extension("2.5.29.14", false, &SubjectKeyIdentifier(key_identifier(public)?))?);
        extensions.push(extension("2.5.29.35", false, &authority_key(self.public)?)?);
        let algorithm = self.key.signature_algorithm();
        let tbs_certificate = TbsCertificate {
            version: Version::V3,
            serial_number: number,
            signature: algorithm.clone(),
            issuer: self.issuer.clone(),
            validity: Validity { not_before: time(from)?, not_after: to },
            subject: subject.clone(),
            subject_public_key_info: public.clone(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(extensions),
        };
        let signature = sign(self.key, &tbs_certificate.to_der().map_err(|e| broken(&e))?)?;
        let certificate = Certificate { tbs_certificate, signature_algorithm: algorithm, signature };
        certificate.to_der().map_err(|e| broken(&e))
    }
}

pub(crate) fn sign(key: &PrivateKey, message: &[u8]) -> Outcome<BitString> {
    BitString::from_bytes(&key.sign(message)?).map_err(|e| broken(&e))
}

pub(crate) fn authority_key(public: &SubjectPublicKeyInfoOwned) -> Outcome<AuthorityKeyIdentifier> {
    Ok(AuthorityKeyIdentifier { key_identifier: Some(key_identifier(public)?), ..Default::default() })
}

/// The extensions of an identity that do not depend on its key (RFC 5280, 4.2).
pub(crate) fn leaf_extensions(
    role: Role,
    names: &[AltName],
    (crl_url, ocsp_url): (Option<&str>, Option<&str>),
) -> Outcome<Vec<Extension>> {
    let usage = match role {
        // OPC 10000-6, 6.2.2, table 34.
        Role::Opcua => {
            KeyUsages::DigitalSignature
                | KeyUsages::NonRepudiation
                | KeyUsages::KeyEncipherment
                | KeyUsages::DataEncipherment
        }
        _ => KeyUsages::DigitalSignature.into(),
    };
    let mut all = vec![
        extension("2.5.29.19", true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension("2.5.29.15", true, &KeyUsage(usage))?,
    ];
    if !role.usages().is_empty() {
        all.push(extension("2.5.29.37", false, &ExtendedKeyUsage(role.usages().to_vec()))?);
    }
    if !names.is_empty() {
        let names = names.iter().map(general_name).collect::<Outcome<Vec<_>>>()?;
        all.push(extension("2.5.29.17", false, &SubjectAltName(names))?);
    }
    if let Some(url) = crl_url {
        all.push(extension("2.5.29.31", false, &CrlDistributionPoints(distribution_point(url)?))?);
    }
    if let Some(url) = ocsp_url {
        all.push(extension("1.3.6.1.5.5.7.1.1", false, &responder(url)?)?);
    }
    if role == Role::Ocsp {
        // Its own status is not asked: it lives for a short time (RFC 6960, 4.2.2.2.1).
        all.push(extension("1.3.6.1.5.5.7.48.1.5", false, &Null)?);
    }
    Ok(all)
}

pub(crate) fn constraints(domains: &[String]) -> Outcome<NameConstraints> {
    let mut permitted = Vec::new();
    for domain in domains {
        let name: AltName = format!("dns:{domain}").parse().map_err(|why| {
            Failure::error(ExitStatus::Input, "bad-name", why).hint("give a domain such as `plant.example`")
        })?;
        let base: GeneralName = general_name(&name)?;
        permitted.push(GeneralSubtree { base, minimum: 0, maximum: None });
    }
    Ok(NameConstraints { permitted_subtrees: Some(permitted), excluded_subtrees: None })
}

/// The extensions of a CA that do not depend on its key, with `depth` CAs below it (RFC 5280, 4.2.1.9).
pub(crate) fn authority_extensions(depth: u8) -> Outcome<Vec<Extension>> {
    Ok(vec![
        extension("2.5.29.19", true, &BasicConstraints { ca: true, path_len_constraint: Some(depth) })?,
        extension("2.5.29.15", true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
    ])
}
