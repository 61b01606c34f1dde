//! What plan and packages mean to Buildroot: `buildroot/` of the definitions, data only.
//!
//! `base.yaml` is asked for every product, `packages/NAME.yaml` for every package of that
//! name, `series/NAME.yaml` has what differs between Buildroot's series.

use crate::board::SymbolAsk;
use crate::decode::{Spanned, model};
use crate::layer::{ModeAsk, RemoveAsk};
use crate::types::{
    KconfigSymbol, KconfigValue, LocalPath, Name, Reason, Release, Series, Sha256, Templated, Text, Word,
};

/// The series that is taken when the product names none: the newest long-term one.
pub const DEFAULT_SERIES: &str = "2026.02";

model! {
    /// A Buildroot symbol that must have a value at the end.
    pub struct BuildrootAsk {
        /// The symbol with its prefix `BR2_`.
        symbol: Spanned<KconfigSymbol>,
        /// The value; `n` means "is not set".
        value: Templated<KconfigValue>,
        /// First series that has it.
        from: Option<Series> = None,
        /// First series that no longer has it.
        before: Option<Series> = None,
        /// Not asked when product or board set this symbol.
        unless: Option<KconfigSymbol> = None,
        /// Another symbol that selects it: where that is asked for too, `savedefconfig` leaves this one out.
        selected_by: Option<KconfigSymbol> = None,
        /// Why.
        reason: Spanned<Reason>,
    }
}

impl BuildrootAsk {
    /// Whether a series has the symbol.
    #[must_use]
    pub fn is_of(&self, series: &Series) -> bool {
        self.from.as_ref().is_none_or(|from| from <= series)
            && self.before.as_ref().is_none_or(|before| series < before)
    }
}

model! {
    /// An option of a Buildroot package's build.
    pub struct BuildOption {
        /// The variable that it is added to, such as `OPENSSH_CONF_OPTS`.
        variable: KconfigSymbol,
        /// The option.
        add: Word,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// What a package's name means to Buildroot (`buildroot/packages/NAME.yaml`).
    pub struct BuildrootPackage {
        /// Symbols that bring it.
        symbols: Vec<BuildrootAsk> = Vec::new(),
        /// What Buildroot's package brings and the device must not have.
        remove: Vec<RemoveAsk> = Vec::new(),
        /// Options of its build that no symbol has.
        options: Vec<BuildOption> = Vec::new(),
        /// A package of our own, where Buildroot has none: the folder `buildroot/package/OWN/`.
        own: Option<Spanned<Name>> = None,
        /// Files of the product's folder that it is built from: they lie in `package/OWN/src/`.
        sources: Vec<Spanned<LocalPath>> = Vec::new(),
        /// Why it needs no symbol, where it needs none.
        note: Option<Text> = None,
    }
}

model! {
    /// What is asked of Buildroot for every product (`buildroot/base.yaml`).
    pub struct BuildrootBase {
        /// Symbols.
        symbols: Vec<BuildrootAsk>,
        /// BusyBox, with and without.
        busybox: BusyboxBase,
        /// What Buildroot brings and the device must not have.
        remove: Vec<RemoveAsk> = Vec::new(),
    }
}

model! {
    /// What BusyBox is when a product asks for applets of it, and when none does.
    pub struct BusyboxBase {
        /// Buildroot symbols when no product asks for applets.
        without: Vec<BuildrootAsk>,
        /// Buildroot symbols when one does.
        with: Vec<BuildrootAsk>,
        /// BusyBox symbols then, besides the product's own.
        symbols: Vec<SymbolAsk>,
        /// Modes of its files then.
        modes: Vec<ModeAsk> = Vec::new(),
    }
}

model! {
    /// A tarball by version and hash.
    pub struct Tarball {
        /// Version, as in the file name.
        version: Release,
        /// SHA-256 of the tarball.
        sha256: Sha256,
    }
}

model! {
    /// A Buildroot series (`buildroot/series/NAME.yaml`).
    pub struct BuildrootSeries {
        /// The release that this was tried with.
        release: Release,
        /// The kernel.
        linux: Tarball,
        /// U-Boot.
        uboot: Tarball,
        /// Symbols in the order in which `savedefconfig` writes them.
        order: Vec<KconfigSymbol>,
        /// Symbols that `savedefconfig` leaves out: they follow from others or are defaults.
        implied: Vec<KconfigSymbol>,
    }
}
