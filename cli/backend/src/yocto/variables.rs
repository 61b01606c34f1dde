//! BitBake's variables, read back with their history: `bitbake -e`.
//!
//! A layer of somebody else may override what the distro set: what must hold is compared in [`super::read_back`].

use std::collections::BTreeMap;

/// One variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// Its final value.
    pub value: String,
    /// Every operation on it, in order: `set /path/file:12`.
    pub history: Vec<String>,
}

/// The variables that `bitbake -e` printed; functions are left out.
///
/// Source: BitBake `lib/bb/data.py`, `emit_var`, and `lib/bb/data_smart.py`, `VariableHistory.emit`.
#[must_use]
pub fn parse(text: &str) -> BTreeMap<String, Variable> {
    let mut found = BTreeMap::new();
    let mut history = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix('#') {
            if comment.starts_with(" $") {
                history.clear();
            } else if let Some(operation) = operation(comment) {
                history.push(operation);
            }
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, rest)) = line.split_once("=\"").filter(|(name, _)| is_name(name)) else { continue };
        let mut value = rest.to_owned();
        while !ends(&value) {
            let Some(next) = lines.next() else { break };
            value.truncate(value.trim_end_matches('\\').len());
            value.push_str(next);
        }
        let value = value.strip_suffix('"').unwrap_or(&value).replace("\\\"", "\"");
        found.insert(name.to_owned(), Variable { value, history: std::mem::take(&mut history) });
    }
    found
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:.+-/".contains(c))
}

/// Whether a value's closing quote is here: one that is not escaped, at the end of the line.
fn ends(value: &str) -> bool {
    value.strip_suffix('"').is_some_and(|rest| {
        let escapes = rest.len() - rest.trim_end_matches('\\').len();
        escapes % 2 == 0
    })
}

/// `   set /path/file:12`, `   append[qemuall] /path/file:3`; not the value below it.
fn operation(comment: &str) -> Option<String> {
    let text = comment.strip_prefix("   ").filter(|text| !text.starts_with([' ', '"']))?;
    let (verb, place) = text.split_once(' ')?;
    let (_, line) = place.rsplit_once(':')?;
    let line = line.split(' ').next()?;
    (!verb.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) && !line.is_empty())
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r##"NOTE: Starting bitbake server...
#
# $IMAGE_FEATURES [3 operations]
#   set /srv/core/meta/conf/image.conf:12
#     ""
#   append /srv/meta-gw/classes/gw_image.bbclass:9
#     "read-only-rootfs"
#   :append[gw] /srv/meta-evil/conf/layer.conf:7
#     " allow-root-login"
# pre-expansion value:
#   " read-only-rootfs allow-root-login"
IMAGE_FEATURES=" read-only-rootfs allow-root-login"
#
# $SECURITY_CFLAGS
#   set? /srv/core/meta/conf/distro/include/security_flags.inc:20
#     "-O2"
SECURITY_CFLAGS="-O2 \
  -D'A=\"b\"'"
export PATH="/usr/bin"
do_compile() {
    FOO="not a variable's line"
}
"##;

    #[test]
    fn values_and_histories_are_read() {
        let found = parse(PRINTED);
        let features = &found["IMAGE_FEATURES"];
        assert_eq!(features.value, " read-only-rootfs allow-root-login");
        assert_eq!(features.history.len(), 3, "{features:?}");
        assert_eq!(features.history[2], ":append[gw] /srv/meta-evil/conf/layer.conf:7");
        assert_eq!(found["SECURITY_CFLAGS"].value, "-O2   -D'A=\"b\"'");
        assert_eq!(found["PATH"].value, "/usr/bin");
    }

    #[test]
    fn a_torn_end_is_no_endless_loop() {
        assert_eq!(parse("A=\"b \\\n").len(), 1);
        assert!(parse("=\"\"\n#   set\n#   x :\n").is_empty());
    }
}
