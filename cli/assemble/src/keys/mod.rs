//! The key store: RSA and ECDSA keys that sign the boot chain, Ed25519 keys that sign the evidence.
//!
//! A key is three files in one folder (mode 0700): `NAME.key.pem` (encrypted, mode 0600),
//! `NAME.pub.pem` and `NAME.json` ([`KeyRecord`]). Of a key that is elsewhere ([`KeyUri`]) the store has the last two only. A private key leaves this room only inside a
//! [`SigningKey`] or an [`EvidenceKey`], in memory; it is never written unencrypted, logged, or given to
//! another process.

mod add;
mod certificate;
mod elsewhere;
mod evidence;
mod record;
mod signing;
mod store;
mod token;
mod uri;

pub use ::secret::{PassphraseSource, Secret};
pub use add::AddKey;
pub use elsewhere::{OfflineSigner, brought, stem};
pub use evidence::{EvidenceKey, EvidencePublicKey};
pub use record::{KeyKind, KeyRecord, NewKey};
pub use signing::{PublicKey, SigningKey};
pub use store::KeyStore;
pub use uri::KeyUri;
