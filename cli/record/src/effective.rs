//! Asked against effective configuration.

use serde::{Deserialize, Serialize};

/// What became of a symbol that the plan asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SymbolState {
    /// The final `.config` has the value asked.
    Held,
    /// It has another value, and the plan waives that with a reason.
    Waived,
    /// It has another value: an error.
    Dropped,
}

/// One symbol asked of a Kconfig and its final value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveSymbol {
    /// `uboot` or `linux` (`buildroot`, `busybox` with other backends).
    pub component: String,
    /// Symbol without `CONFIG_`.
    pub symbol: String,
    /// Value asked, as in a `.config` (`y`, `n`, `"text"`, `0x10`).
    pub asked: String,
    /// Value found, `n` for a symbol that is unset or absent.
    pub found: String,
    /// Who asked: `layer ssh`, `board qemu-aarch64`, `product`.
    pub asked_by: String,
    /// File and line that asked.
    pub asked_at: String,
    /// What became of it.
    pub state: SymbolState,
    /// The unmet dependency or the waiver's reason.
    pub why: String,
}
