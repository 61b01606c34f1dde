//! Certificates in the words of `fastness pki`.

use pki::{Asked, Entry, SshEntry, format_time};

use super::pki::Held;
use crate::output::clean;

/// One line.
pub fn entry_text(entry: &Entry) -> String {
    let state = match &entry.revoked {
        Some(revocation) => format!("revoked on {}", format_time(revocation.at)),
        None => format!("until {}", format_time(entry.not_after)),
    };
    clean(&format!("`{}`: {}, {state}, serial {}", entry.file, entry.role.name(), entry.serial)) + "\n"
}

/// One line.
pub fn request_text(asked: &Asked) -> String {
    clean(&format!("`{}`: {}, requested, no answer yet", asked.file, asked.role.name())) + "\n"
}

/// One line.
pub fn ssh_text(entry: &SshEntry) -> String {
    let state = match entry.revoked {
        Some(at) => format!("revoked on {}", format_time(at)),
        None => format!("until {}", format_time(entry.not_after)),
    };
    clean(&format!(
        "`{}`: ssh {} for {}, {state}, serial {}",
        entry.file,
        entry.kind.name(),
        entry.principals.join(", "),
        entry.serial
    )) + "\n"
}

/// Everything of one certificate.
pub fn held_text(held: &Held) -> String {
    let entry = &held.entry;
    let mut lines = vec![entry_text(entry).trim_end().to_owned()];
    let mut add = |what: &str, value: String| lines.push(clean(&format!("  {what:<12} {value}")));
    if !entry.names.is_empty() {
        add("names", entry.names.join(", "));
    }
    if let Some(serial) = &entry.device_serial {
        add("device", serial.clone());
    }
    add("valid", format!("{} to {}", format_time(entry.not_before), format_time(entry.not_after)));
    add("sha256", entry.sha256.clone());
    add("certificate", held.certificate.display().to_string());
    let key = held.key.as_ref();
    add(
        "key",
        key.map_or_else(|| "with its holder".to_owned(), |path| format!("{}, encrypted", path.display())),
    );
    lines.join("\n") + "\n"
}
