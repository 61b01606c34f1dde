//! Names of keys.

use diag::{ExitStatus, Failure, Outcome};

/// Names are file names and FIT node names.
const LONGEST_NAME: usize = 64;

/// The same names as a product may write in `signing.key`.
///
/// # Errors
/// `key-name`.
pub fn check_name(name: &str) -> Outcome<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() <= LONGEST_NAME && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Failure::error(
        ExitStatus::Usage,
        "key-name",
        format!(
            "expected a key name (letters, digits, `-`, `_` and `.`, a letter or digit first, at most \
             {LONGEST_NAME}), found `{}`",
            name.escape_debug()
        ),
    )
    .hint("choose a name such as `gateway-release`"))
}
