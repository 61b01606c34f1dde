//! What is fetched: versions, hashes and addresses of releases.

use super::Scalar;
use super::text::{alnum, is_word, text_type};

text_type! {
    /// A Buildroot series: year and month of its first release. Their order is that of the texts.
    Series,
    "a Buildroot series (`2026.02`)",
    "^20[0-9]{2}\\.(02|05|08|11)$",
    |text| text.split_once('.').is_some_and(|(year, month)| {
        year.len() == 4
            && year.starts_with("20")
            && year.bytes().all(|b| b.is_ascii_digit())
            && matches!(month, "02" | "05" | "08" | "11")
    })
}

text_type! {
    /// The version of a release, as it stands in a file name (`6.12.91`).
    Release,
    "a release's version (`6.12.91`)",
    "^[0-9][A-Za-z0-9._-]*$",
    |text| is_word(text, |c| c.is_ascii_digit(), |c| alnum(c) || "._-".contains(c))
}

text_type! {
    /// Where a file is fetched from.
    FileUrl,
    "the address of a file (`https://…`, `http://…` or `file:///…`)",
    "^(https?://|file:///)[A-Za-z0-9._~:/?=&%+@-]*[A-Za-z0-9._~+-]$",
    |text| text.len() <= 2048
        && text.ends_with(|c| alnum(c) || "._~+-".contains(c))
        && ["https://", "http://", "file:///"].iter().any(|scheme| {
            text.strip_prefix(scheme).is_some_and(|rest| {
                !rest.is_empty() && rest.chars().all(|c| alnum(c) || "._~:/?=&%+@-".contains(c))
            })
        })
}

text_type! {
    /// The version of a Buildroot release.
    BuildrootRelease,
    "the version of a Buildroot release (`2026.02.3`; no candidate, no snapshot)",
    "^20[0-9]{2}\\.(02|05|08|11)(\\.[0-9]{1,3})?$",
    |text| text.get(..7).is_some_and(|series| <Series as Scalar>::parse(series, true).is_ok())
        && match text.get(7..) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('.').is_some_and(|patch| {
                (1..=3).contains(&patch.len()) && patch.bytes().all(|b| b.is_ascii_digit())
            }),
            None => false,
        }
}

impl BuildrootRelease {
    /// The series of the release: `2026.02` of `2026.02.3`.
    #[must_use]
    pub fn series(&self) -> &str {
        &self.0[..7]
    }
}

text_type! {
    /// SHA-256 in lower-case hexadecimal.
    Sha256,
    "a SHA-256 (64 lower-case hexadecimal digits)",
    "^[0-9a-f]{64}$",
    |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

text_type! {
    /// A commit of a git repository: its whole SHA-1.
    Commit,
    "a commit (40 lower-case hexadecimal digits)",
    "^[0-9a-f]{40}$",
    |text| text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

text_type! {
    /// A variable of BitBake, with its overrides.
    BitbakeVariable,
    "a variable of BitBake (`IMAGE_FEATURES:append`)",
    "^[A-Za-z_][A-Za-z0-9_:.+-]*$",
    |text| is_word(text, |c| c.is_ascii_alphabetic() || c == '_', |c| alnum(c) || "_:.+-".contains(c))
}

text_type! {
    /// The value of a variable of BitBake: nothing in it is expanded.
    BitbakeValue,
    "a value without quotes, backslashes, `$` and control characters",
    "^[^\"\\\\$`\\x00-\\x1f\\x7f]*$",
    |text| text.len() <= 1024 && !text.chars().any(|c| c.is_control() || "\"\\$`".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Scalar>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(T::parse(text, true).is_ok(), "refused as {}: {text:?}", T::EXPECTED);
        }
        for text in bad {
            assert!(T::parse(text, true).is_err(), "accepted as {}: {text:?}", T::EXPECTED);
        }
    }

    #[test]
    fn what_is_no_release_hash_or_address_is_refused() {
        check::<FileUrl>(
            &["https://buildroot.org/downloads/buildroot-2026.02.3.tar.xz", "file:///srv/x.tar.gz"],
            &["ftp://x", "https://", "file://x/y", "https://a b", "https://x/", "https://x/$(id)", "/x"],
        );
        check::<BuildrootRelease>(
            &["2026.02", "2026.02.3", "2025.02.16"],
            &["2026.03", "2026.02-rc1", "2026.02.", "2026.02.3-git", "2026", "v2026.02", "2026.02.3.4"],
        );
        check::<Series>(&["2026.02", "2025.11"], &["2026.03", "2026", "2026.02.1"]);
        check::<Sha256>(&[&"0a".repeat(32)], &[&"0A".repeat(32), "0a", ""]);
    }
}
