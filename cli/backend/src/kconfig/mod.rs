//! Kconfig: fragments out, final `.config` in, and nothing dropped in silence.

mod compare;
mod depends;

use std::collections::BTreeMap;

pub use compare::{compare, dropped_failure};
pub use depends::DependencyIndex;

/// The symbols of a `.config`; a symbol that is not set is absent.
///
/// Source: Linux `Documentation/kbuild/kconfig.rst`, `.config` format.
#[must_use]
pub fn parse_config(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='))
        .map(|(symbol, value)| (symbol.to_owned(), value.to_owned()))
        .collect()
}

/// The symbols of a Buildroot `.config`, which has no `CONFIG_` before them.
#[must_use]
pub fn parse_buildroot_config(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(symbol, value)| (symbol.to_owned(), value.to_owned()))
        .collect()
}

/// A fragment that asks for the symbols, one a line, with a final line end.
#[must_use]
pub fn fragment<'a>(symbols: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (symbol, value) in symbols {
        if value == "n" {
            out.push_str(&format!("# CONFIG_{symbol} is not set\n"));
        } else {
            out.push_str(&format!("CONFIG_{symbol}={value}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_reads_back_as_it_was_asked() {
        let text = fragment([("AUDIT", "y"), ("DEVMEM", "n"), ("LSM", "\"yama\"")]);
        assert_eq!(text, "CONFIG_AUDIT=y\n# CONFIG_DEVMEM is not set\nCONFIG_LSM=\"yama\"\n");
        let config = parse_config(&text);
        assert_eq!(config.get("AUDIT").map(String::as_str), Some("y"));
        assert_eq!(config.get("DEVMEM"), None);
        assert_eq!(config["LSM"], "\"yama\"");
    }

    #[test]
    fn a_buildroot_configuration_has_no_prefix() {
        let config = parse_buildroot_config("#\n# BR2_A is not set\nBR2_B=y\nBR2_C=\"a=b\"\n");
        assert_eq!(config.len(), 2);
        assert_eq!((config["BR2_B"].as_str(), config["BR2_C"].as_str()), ("y", "\"a=b\""));
    }
}
