//! Asked against effective.

use std::collections::BTreeMap;

use diag::{Diagnostic, ExitStatus, Failure};
use record::{EffectiveSymbol, SymbolState};
use spec::plan::{KconfigPlan, Origin, Plan};

use super::DependencyIndex;

/// What became of every symbol that the plan asks of `component` (`linux` or `uboot`).
///
/// `index` explains unmet dependencies; it is asked only for symbols that did not survive.
#[must_use]
pub fn compare(
    plan: &Plan,
    component: &str,
    asked: &KconfigPlan,
    config: &BTreeMap<String, String>,
    index: impl FnOnce() -> DependencyIndex,
) -> Vec<EffectiveSymbol> {
    let mut index_once = Some(index);
    let mut loaded: Option<DependencyIndex> = None;
    let mut result = Vec::with_capacity(asked.symbols.len());
    for (symbol, asked) in &asked.symbols {
        let found = config.get(symbol).map_or("n", String::as_str);
        let origin = asked.origins.first();
        let (state, why) = if same_value(&asked.value, found) {
            (SymbolState::Held, String::new())
        } else if let Some(waiver) = plan.waivers.get(&format!("{component}:{symbol}")) {
            let reason = waiver.origins.first().map(|o| o.reason.clone()).unwrap_or_default();
            (SymbolState::Waived, reason)
        } else {
            if let Some(make) = index_once.take() {
                loaded = Some(make());
            }
            let why =
                loaded.as_ref().map(|index| index.explain(symbol, &asked.value, config)).unwrap_or_default();
            (SymbolState::Dropped, why)
        };
        result.push(EffectiveSymbol {
            component: component.to_owned(),
            symbol: symbol.clone(),
            asked: asked.value.clone(),
            found: found.to_owned(),
            asked_by: origin.map(|o| o.who.clone()).unwrap_or_default(),
            asked_at: origin.map(place).unwrap_or_default(),
            state,
            why,
        });
    }
    result
}

/// What asks on the command line has no line.
fn place(origin: &Origin) -> String {
    if origin.line == 0 { origin.file.clone() } else { format!("{}:{}", origin.file, origin.line) }
}

/// Numbers are the same in any base: a `.config` may say `0x10` for `16`.
fn same_value(asked: &str, found: &str) -> bool {
    if asked == found {
        return true;
    }
    let number = |text: &str| match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => text.parse::<i128>().ok(),
    };
    matches!((number(asked), number(found)), (Some(a), Some(b)) if a == b)
}

/// One diagnostic for each dropped symbol; `None` when all were held or waived.
#[must_use]
pub fn dropped_failure(effective: &[EffectiveSymbol]) -> Option<Failure> {
    let diagnostics: Vec<Diagnostic> = effective
        .iter()
        .filter(|symbol| symbol.state == SymbolState::Dropped)
        .map(|symbol| {
            Diagnostic::error(
                "symbol-dropped",
                format!(
                    "{}: `{}` was asked to be `{}` by {} ({}), but the final configuration has `{}`",
                    symbol.component,
                    symbol.symbol,
                    symbol.asked,
                    symbol.asked_by,
                    symbol.asked_at,
                    symbol.found
                ),
            )
            .note(symbol.why.clone(), None)
            .hint(format!(
                "ask for what it depends on, take it out of that layer, or waive `{}:{}` with a reason",
                symbol.component, symbol.symbol
            ))
        })
        .collect();
    (!diagnostics.is_empty()).then_some(Failure { status: ExitStatus::Build, diagnostics })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(state: SymbolState) -> EffectiveSymbol {
        EffectiveSymbol {
            component: "linux".into(),
            symbol: "ARM64_MTE".into(),
            asked: "y".into(),
            found: "n".into(),
            asked_by: "layer kernel-hardening".into(),
            asked_at: "layers/kernel-hardening/layer.yaml:40".into(),
            state,
            why: "it depends on `ARM64_TAGGED_ADDR_ABI`, which is `n`".into(),
        }
    }

    #[test]
    fn a_dropped_symbol_names_layer_values_and_dependency() {
        let failure = dropped_failure(&[symbol(SymbolState::Dropped)]).unwrap();
        let text = failure.to_string();
        assert_eq!(failure.status, ExitStatus::Build);
        assert!(text.contains("`ARM64_MTE` was asked to be `y` by layer kernel-hardening"), "{text}");
        assert!(text.contains("layers/kernel-hardening/layer.yaml:40"), "{text}");
        assert!(text.contains("has `n`") && text.contains("`ARM64_TAGGED_ADDR_ABI`, which is `n`"), "{text}");
    }

    #[test]
    fn held_and_waived_symbols_do_not_stop_a_build() {
        assert!(dropped_failure(&[symbol(SymbolState::Held), symbol(SymbolState::Waived)]).is_none());
    }

    #[test]
    fn numbers_compare_by_value() {
        assert!(same_value("65536", "0x10000") && !same_value("65536", "0x1000") && !same_value("y", "n"));
    }
}
