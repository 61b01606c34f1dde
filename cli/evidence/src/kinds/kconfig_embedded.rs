//! `kconfig-embedded`: the configuration inside the shipped kernel against the record.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct KconfigEmbedded;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Symbols with the values that they must have, `n` for not set; without it the record decides.
    expect: Option<BTreeMap<String, String>>,
}

impl Kind for KconfigEmbedded {
    const NAME: &'static str = "kconfig-embedded";
    const DESCRIPTION: &'static str = "the configuration in the shipped kernel has the values of `expect`; without it, equals the record for every asked symbol";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        match &with.expect {
            Some(expect) if expect.is_empty() => vec!["`expect` is empty".to_owned()],
            _ => Vec::new(),
        }
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let fit = context.subject.fit()?;
        let values = embedded(context)?;
        if let Some(expect) = &with.expect {
            return Ok(expected(expect, &values, &fit.sha256));
        }
        let image = context.subject.image()?;
        let asked: Vec<_> = image.effective.iter().filter(|symbol| symbol.component == "linux").collect();
        if asked.is_empty() {
            return Err(Unable::broken("the image's record holds no symbol of linux"));
        }
        let problems: Vec<String> = asked
            .iter()
            .filter_map(|symbol| {
                let found = values.get(symbol.symbol.as_str()).copied().unwrap_or("n");
                (found != symbol.found).then(|| {
                    format!("`{}` is `{found}` in the kernel, recorded `{}`", symbol.symbol, symbol.found)
                })
            })
            .collect();
        Ok(Conclusion::of(
            &problems,
            "kernel and record agree",
            format!("{} symbols agree", asked.len()),
            &fit.sha256,
        ))
    }
}

/// The symbols of the shipped kernel; not one that it does not name is set.
///
/// # Errors
/// There is no kernel, or none that holds its configuration.
pub(super) fn embedded<'a>(context: &Context<'a>) -> Result<BTreeMap<&'a str, &'a str>, Unable> {
    let text = context
        .subject
        .fit()?
        .kconfig
        .as_ref()
        .map_err(|why| Unable::broken(format!("the kernel's configuration: {why}")))?;
    let values = parse(text);
    if values.is_empty() {
        return Err(Unable::broken("the kernel's embedded configuration holds no symbol"));
    }
    Ok(values)
}

/// The named symbols; the configuration is whole, so that a symbol that it does not name is not set.
fn expected(expect: &BTreeMap<String, String>, values: &BTreeMap<&str, &str>, sha256: &str) -> Conclusion {
    let found = |symbol: &str| values.get(symbol).copied().unwrap_or("n");
    let problems: Vec<String> = expect
        .iter()
        .filter(|(symbol, wanted)| found(symbol) != wanted.as_str())
        .map(|(symbol, wanted)| format!("`{symbol}` is `{}` in the kernel, not `{wanted}`", found(symbol)))
        .collect();
    let list = expect.iter().map(|(symbol, value)| format!("{symbol}={value}")).collect::<Vec<_>>();
    Conclusion::of(&problems, list.join(" "), format!("{} symbols as expected", expect.len()), sha256)
}

/// Values by symbol; `# CONFIG_X is not set` is `n`.
fn parse(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| {
            if let Some(symbol) = line.strip_prefix("# CONFIG_").and_then(|l| l.strip_suffix(" is not set")) {
                return Some((symbol, "n"));
            }
            line.strip_prefix("CONFIG_")?.split_once('=')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use record::SymbolState;
    use serde_json::json;

    use crate::subject::Subject;
    use crate::testing::*;

    fn check(config: Result<String, String>) -> Result<crate::Conclusion, crate::Unable> {
        let mut subject = Subject::of_symbol("linux", "DEVMEM", "n", "n", SymbolState::Held);
        let fit = Subject::of_cmdline("x").fit.unwrap().unwrap();
        subject.fit = Some(Ok(crate::subject::FitFacts { kconfig: config, ..fit }));
        run_on("kconfig-embedded", json!({}), &subject, None)
    }

    #[test]
    fn pass() {
        passes(check(Ok("CONFIG_A=y\n# CONFIG_DEVMEM is not set\n".into())));
    }

    #[test]
    fn fail() {
        fails(check(Ok("CONFIG_DEVMEM=y\n".into())), "`DEVMEM` is `y` in the kernel, recorded `n`");
    }

    #[test]
    fn named_symbols() {
        let check = |config: &str| {
            let mut subject = Subject::of_cmdline("x");
            let fit = subject.fit.unwrap().unwrap();
            subject.fit = Some(Ok(crate::subject::FitFacts { kconfig: Ok(config.into()), ..fit }));
            let with = json!({"expect": {"MODULES": "n", "KEXEC": "n", "LSM": "\"yama\""}});
            run_on("kconfig-embedded", with, &subject, None)
        };
        passes(check("# CONFIG_MODULES is not set\nCONFIG_LSM=\"yama\"\n"));
        fails(check("CONFIG_MODULES=y\nCONFIG_LSM=\"yama\"\n"), "`MODULES` is `y` in the kernel, not `n`");
        fails(check("CONFIG_X=y\n"), "`LSM` is `n` in the kernel");
    }

    #[test]
    fn no_configuration_is_no_pass() {
        cannot(check(Err("no IKCFG_ST marker".into())), "no IKCFG_ST marker");
        cannot(check(Ok(String::new())), "holds no symbol");
    }
}
