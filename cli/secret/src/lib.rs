//! Private keys as files, and the passphrases that open them: what the key store and the PKI share.
//!
//! A private key is written encrypted only, and no file of it ever replaces another. Nothing here knows
//! what a key is for.

mod cipher;
mod files;
mod name;
mod passphrase;

pub use cipher::{decrypt, encrypt};
pub use files::{
    NewFile, check_folder, open_store, publish, refuse_open_permissions, refuse_writable, settle,
};
pub use name::check_name;
pub use passphrase::{PassphraseSource, Secret};
