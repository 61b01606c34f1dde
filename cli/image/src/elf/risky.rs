//! Functions of the C library that are easily misused: which of them a file imports says where to look first.

/// Names, sorted. Sources: CERT C (MSC24-C, STR31-C, FIO21-C, ENV33-C) and the `BUGS` sections of the manual pages.
pub const RISKY: &[&str] = &[
    "gets", "getwd", "mktemp", "popen", "sprintf", "stpcpy", "strcat", "strcpy", "system", "tempnam",
    "tmpnam", "tmpnam_r", "vsprintf", "wcscat", "wcscpy",
];

/// The name in the list.
pub(super) fn known(name: &[u8]) -> Option<&'static str> {
    let name = std::str::from_utf8(name).ok()?;
    RISKY.binary_search(&name).ok().map(|at| RISKY[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(RISKY.is_sorted());
        assert_eq!(known(b"gets"), Some("gets"));
        assert_eq!(known(b"fgets"), None);
    }
}
