//! The minimal defconfig, and the lists of what was asked.
//!
//! `savedefconfig` writes what is not a default, in the order of the menus. Both are facts of a
//! Buildroot series, kept as data; a symbol that the data does not know comes last.

use std::collections::BTreeSet;

use spec::plan::{BuildrootFacts, KconfigPlan, Origin, Plan};

/// One `BR2_` symbol as a defconfig has it.
pub fn line(symbol: &str, value: &str) -> String {
    if value == "n" { format!("# {symbol} is not set\n") } else { format!("{symbol}={value}\n") }
}

/// The defconfig as `savedefconfig` writes it; with BusyBox on it has some lines more.
#[must_use]
pub fn minimal(facts: &BuildrootFacts) -> String {
    let asked = &facts.symbols.symbols;
    // What follows from what is known of trees without BusyBox: with it, defaults are others (`/bin/sh`).
    let known = if facts.busybox.is_none() { facts.implied.as_slice() } else { &[] };
    let implied: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    let is_selected = |symbol: &str| {
        facts.selected_by.get(symbol).and_then(|by| asked.get(by)).is_some_and(|by| by.value == "y")
    };
    let ordered: BTreeSet<&str> = facts.order.iter().map(String::as_str).collect();
    let known = facts.order.iter().filter_map(|symbol| asked.get_key_value(symbol));
    let rest = asked
        .iter()
        .filter(|(symbol, _)| !ordered.contains(symbol.as_str()) && !implied.contains(symbol.as_str()));
    known
        .chain(rest)
        .filter(|(symbol, _)| !is_selected(symbol))
        .map(|(symbol, asked)| line(symbol, &asked.value))
        .collect()
}

/// Every symbol that was asked, one a line with who asked: what the hook compares with.
#[must_use]
pub fn asked(plan: &Plan, component: &str, kconfig: &KconfigPlan) -> String {
    let mut out = String::new();
    for (symbol, asked) in &kconfig.symbols {
        let unless = plan
            .buildroot
            .as_ref()
            .filter(|_| component == "buildroot")
            .and_then(|facts| facts.unless.get(symbol));
        let condition = match unless {
            _ if plan.waivers.contains_key(&format!("{component}:{symbol}")) => "waived".to_owned(),
            Some(other) => format!("unless {other}"),
            None => "-".to_owned(),
        };
        out.push_str(&format!("{symbol}\t{}\t{condition}\t{}\n", asked.value, by(&asked.origins)));
    }
    out
}

/// The symbols as a fragment. Who asked is in [`asked`] and not here: Buildroot configures and
/// builds anew whenever this file changes, and a layer's line numbers are no reason to.
#[must_use]
pub fn fragment(kconfig: &KconfigPlan) -> String {
    crate::kconfig::fragment(
        kconfig.symbols.iter().map(|(symbol, asked)| (symbol.as_str(), asked.value.as_str())),
    )
}

/// The first who asked, and where.
fn by(origins: &[Origin]) -> String {
    origins.first().map(|o| format!("{} ({}:{})", o.who, o.file, o.line)).unwrap_or_default()
}

/// A hash file for `BR2_GLOBAL_PATCH_DIR`; a tarball without one would only be warned about.
#[must_use]
pub fn hash_file(package: &str, file: &str, sha256: &str) -> String {
    format!("# From Buildroot's own {package}.hash\nsha256  {sha256}  {file}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::plan::{Asked, SourceFacts};

    fn facts() -> BuildrootFacts {
        let symbol =
            |name: &str, value: &str| (name.to_owned(), Asked { value: value.to_owned(), origins: vec![] });
        let source = || SourceFacts { version: "1".into(), sha256: "0".repeat(64) };
        BuildrootFacts {
            series: "2026.02".into(),
            release: "2026.02.3".into(),
            external: "GW".into(),
            symbols: KconfigPlan {
                base: String::new(),
                symbols: [
                    symbol("BR2_PACKAGE_A", "y"),
                    symbol("BR2_SSP_STRONG", "y"),
                    symbol("BR2_TARGET_GENERIC_GETTY", "n"),
                    symbol("BR2_aarch64", "y"),
                ]
                .into(),
            },
            unless: Default::default(),
            selected_by: Default::default(),
            packages: Default::default(),
            options: Default::default(),
            order: ["BR2_aarch64", "BR2_NOT_ASKED", "BR2_TARGET_GENERIC_GETTY"].map(str::to_owned).into(),
            implied: vec!["BR2_SSP_STRONG".into()],
            linux: source(),
            uboot: source(),
            busybox: None,
            source: None,
        }
    }

    #[test]
    fn the_defconfig_has_the_series_order_and_no_defaults_and_forgets_nothing() {
        assert_eq!(
            minimal(&facts()),
            "BR2_aarch64=y\n# BR2_TARGET_GENERIC_GETTY is not set\nBR2_PACKAGE_A=y\n"
        );
        let selected_by = [("BR2_PACKAGE_A".to_owned(), "BR2_PACKAGE_B".to_owned())].into();
        let mut alone = BuildrootFacts { selected_by, ..facts() };
        assert_eq!(minimal(&alone), minimal(&facts()));
        let b = Asked { value: "y".to_owned(), origins: vec![] };
        alone.symbols.symbols.insert("BR2_PACKAGE_B".to_owned(), b);
        let both = minimal(&alone);
        assert!(both.contains("BR2_PACKAGE_B=y\n") && !both.contains("BR2_PACKAGE_A"), "{both}");
        let busybox = Some(KconfigPlan { base: String::new(), symbols: Default::default() });
        assert!(minimal(&BuildrootFacts { busybox, ..facts() }).contains("BR2_SSP_STRONG=y\n"));
    }
}
