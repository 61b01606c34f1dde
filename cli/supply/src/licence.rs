//! Licences as expressions of SPDX, where their words are some.

use spdx::{Expression, ParseMode};

/// What is known of a component's licences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Licence {
    /// Nothing.
    Unknown,
    /// An expression of SPDX (annex D of the specification 2.3).
    Expression(String),
    /// Words of the maker that are no such expression.
    Words(String),
}

/// Debian's short names that SPDX spells otherwise. Source: the Debian copyright format 1.0, "Short name".
const DEBIAN: [(&str, &str); 16] = [
    ("GPL-1+", "GPL-1.0-or-later"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("LGPL-2", "LGPL-2.0-only"),
    ("LGPL-2+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3", "LGPL-3.0-only"),
    ("LGPL-3+", "LGPL-3.0-or-later"),
    ("Expat", "MIT"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("Apache-2", "Apache-2.0"),
    ("public-domain", "LicenseRef-public-domain"),
];

/// Every licence of a component applies to a part of it: they are joined by `AND`.
#[must_use]
pub fn of(licences: &[String]) -> Licence {
    if licences.is_empty() {
        return Licence::Unknown;
    }
    let known = |word: &String| {
        let word = word.trim();
        let spelt = DEBIAN.iter().find(|(debian, _)| *debian == word).map_or(word, |(_, spdx)| spdx);
        let valid = Expression::parse_mode(spelt, ParseMode::STRICT).is_ok();
        valid.then(|| spelt.to_owned())
    };
    match licences.iter().map(known).collect::<Option<Vec<_>>>() {
        Some(mut words) => {
            words.sort_unstable();
            words.dedup();
            if let [one] = words.as_slice() {
                return Licence::Expression(one.clone());
            }
            let whole = |word: String| if word.contains(" OR ") { format!("({word})") } else { word };
            Licence::Expression(words.into_iter().map(whole).collect::<Vec<_>>().join(" AND "))
        }
        None => Licence::Words(licences.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_recognised_and_other_words_stay_words() {
        let of = |words: &[&str]| super::of(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), Licence::Unknown);
        assert_eq!(of(&["GPL-2+", "Expat", "MIT"]), Licence::Expression("GPL-2.0-or-later AND MIT".into()));
        assert_eq!(of(&["MIT OR Apache-2.0"]), Licence::Expression("MIT OR Apache-2.0".into()));
        assert_eq!(
            of(&["Zlib", "MIT OR Apache-2.0"]),
            Licence::Expression("(MIT OR Apache-2.0) AND Zlib".into())
        );
        let nested = "MIT OR (BSD-2-Clause AND Zlib)";
        assert_eq!(of(&[nested]), Licence::Expression(nested.into()));
        let words = "GPL-2.0+ (programs), LGPL-2.1+ (libraries)";
        assert_eq!(of(&[words]), Licence::Words(words.into()));
        assert_eq!(of(&["GPL-2+", "permissive"]), Licence::Words("GPL-2+; permissive".into()));
    }
}
