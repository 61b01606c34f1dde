//! `--login USER=FILE`: somebody of the product, for what only a login shows.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use qemu::events::Login;
use spec::plan::Plan;

/// Account and file of its private key.
pub(super) type Given = (String, PathBuf);

/// `USER=FILE`.
pub(super) fn parse(text: &str) -> Result<Given, String> {
    match text.split_once('=') {
        Some((user, file)) if !user.is_empty() && !file.is_empty() => Ok((user.to_owned(), file.into())),
        _ => Err("expected `USER=FILE`".to_owned()),
    }
}

/// Somebody who is a user of the product, with a key that is there.
pub(super) fn of((user, key): &Given, plan: &Plan) -> Outcome<Login> {
    if !plan.users.contains_key(user) {
        let message = format!("expected a user of the product in `--login`, found `{}`", user.escape_debug());
        let known: Vec<&str> = plan.users.keys().map(String::as_str).collect();
        return Err(Failure::error(ExitStatus::Usage, "unknown-user", message)
            .hint(format!("it has `{}`", known.join("`, `"))));
    }
    // Told now, and not after an hour of work.
    if !key.is_file() {
        let message =
            format!("expected the file of a private key in `--login`, found none at `{}`", key.display());
        return Err(Failure::error(ExitStatus::Usage, "missing-login-key", message)
            .hint("the private half of a key of that user in the product file (`ssh_keys`)"));
    }
    // ssh starts elsewhere.
    let key = std::path::absolute(key).map_err(|e| Failure::io("find", key, &e))?;
    Ok(Login { user: user.clone(), key })
}
