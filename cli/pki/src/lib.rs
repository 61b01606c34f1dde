//! The identities of a product's network: a root, an issuing CA and what they sign, for devices, servers,
//! peers and operators (RFC 5280, IEEE 802.1AR).
//!
//! [`verify`] shares no code with the issuing side but the names: a mistake made on both sides would
//! otherwise verify. Time is always an argument; nothing here asks the clock. No private key is written
//! unencrypted, and none replaces another.

mod authority;
mod certificate;
mod company;
mod csr;
pub mod delivery;
mod encode;
mod identity;
mod index;
mod issue;
mod issuing;
mod key;
mod krl;
mod names;
pub mod opcua;
pub mod provision;
mod revoke;
mod role;
mod ssh;
pub mod verify;
pub mod wireguard;

pub use authority::{Authority, Init};
pub use company::{Answer, Asked, accept, accepted, request, requested};
pub use csr::read_csr;
pub use encode::{format_time, parse_time};
pub use identity::{Holder, Identity, check_pair};
pub use index::{Entry, Index, Reason, Revocation};
pub use issue::{Issued, Request};
pub use key::Algorithm;
pub use names::AltName;
pub use role::Role;
pub use ssh::{SshEntry, SshIssued, SshKind, SshRequest};
