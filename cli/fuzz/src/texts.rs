//! Keys, passwords and files of a root, as an analysis reads them in firmware of others.

use evidence::analyze::probe;

use crate::Target;

/// Keys and certificates in each of their forms.
pub const KEYS: Target = Target {
    name: "keys",
    what: "a file with keys: PEM, DER, PKCS#12, OpenSSH, PuTTY, dropbear; no panic, no hang",
    // Tables that are read once: published keys, and those of a library's curves.
    base: 16 << 20,
    factor: 256,
    run: |input| Ok(probe::keys_in(input) > 0),
};

/// Password hashes.
pub const PASSWORDS: Target = Target {
    name: "passwords",
    what: "a field of a password: read and tried, with no more memory than a try may take",
    base: 8 << 20,
    factor: 256,
    run: |input| Ok(probe::password(input)),
};

/// Accounts, start scripts, units, settings of services.
pub const FILES: Target = Target {
    name: "files",
    what: "files of a root: accounts, inittab, start scripts, units, settings of services; no panic, no hang",
    base: 32 << 20,
    factor: 4096,
    run: |input| Ok(probe::files_of_a_root(input) > 0),
};
