//! `kconfig`: asked against effective configuration, as recorded at build time.

use record::SymbolState;
use serde::Deserialize;

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct Kconfig;

/// Whose configuration.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The kernel.
    Linux,
    /// The boot loader.
    Uboot,
}

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    component: Component,
}

impl Kind for Kconfig {
    const NAME: &'static str = "kconfig";
    const DESCRIPTION: &'static str = "every symbol asked of the component was held, or waived with a reason";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let image = context.subject.image()?;
        let (name, asked) = match with.component {
            Component::Linux => ("linux", context.plan.map(|plan| &plan.linux.symbols)),
            Component::Uboot => ("uboot", context.plan.map(|plan| &plan.uboot.symbols)),
        };
        let recorded: Vec<_> = image.effective.iter().filter(|symbol| symbol.component == name).collect();
        if recorded.is_empty() {
            return Err(Unable::broken(format!("the image's record holds no symbol of {name}")));
        }
        let mut problems: Vec<String> = recorded
            .iter()
            .filter(|symbol| symbol.state == SymbolState::Dropped)
            .map(|symbol| {
                format!(
                    "`{}` asked `{}` by {}, found `{}`",
                    symbol.symbol, symbol.asked, symbol.asked_by, symbol.found
                )
            })
            .collect();
        for (symbol, asked) in asked.into_iter().flatten() {
            match recorded.iter().find(|found| found.symbol == *symbol) {
                None => problems.push(format!("`{symbol}` is asked and not recorded")),
                Some(found) if found.state == SymbolState::Held && found.found != asked.value => problems
                    .push(format!(
                        "`{symbol}` is recorded as held with `{}`, asked `{}`",
                        found.found, asked.value
                    )),
                Some(_) => {}
            }
        }
        let waived = recorded.iter().filter(|symbol| symbol.state == SymbolState::Waived).count();
        let sha256 = context.subject.config_sha256(name);
        Ok(Conclusion::of(
            &problems,
            "every symbol held or waived with a reason",
            format!("{} held, {waived} waived with a reason", recorded.len() - waived),
            &sha256,
        ))
    }
}

#[cfg(test)]
mod tests {
    use record::SymbolState;
    use serde_json::json;

    use crate::subject::Subject;
    use crate::testing::*;

    fn check(state: SymbolState, found: &str) -> Result<crate::Conclusion, crate::Unable> {
        let subject = Subject::of_symbol("linux", "DEVMEM", "n", found, state);
        run_on("kconfig", json!({"component": "linux"}), &subject, None)
    }

    #[test]
    fn pass() {
        assert_eq!(passes(check(SymbolState::Held, "n")), "1 held, 0 waived with a reason");
        assert_eq!(passes(check(SymbolState::Waived, "y")), "0 held, 1 waived with a reason");
    }

    #[test]
    fn fail() {
        fails(check(SymbolState::Dropped, "y"), "`DEVMEM` asked `n` by layer test, found `y`");
    }

    #[test]
    fn no_record_is_no_pass() {
        let subject = Subject::of_symbol("linux", "DEVMEM", "n", "n", SymbolState::Held);
        cannot(run_on("kconfig", json!({"component": "uboot"}), &subject, None), "holds no symbol of uboot");
    }
}
