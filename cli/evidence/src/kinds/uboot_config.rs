//! `uboot-config`: symbols in U-Boot's final configuration.
//!
//! U-Boot carries no copy of its configuration, so that the file of the build is looked at, by
//! the hash that the image's record has for it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::glob;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct UbootConfig;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Symbols with their values, `n` for not set. A pattern stands for every symbol that is named nowhere else here.
    expect: BTreeMap<String, String>,
}

impl Kind for UbootConfig {
    const NAME: &'static str = "uboot-config";
    const DESCRIPTION: &'static str = "U-Boot's final configuration has these values; a pattern with `n` means that no symbol of such a name is set";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = Vec::new();
        if with.expect.is_empty() {
            problems.push("`expect` is empty".to_owned());
        }
        for (symbol, _) in
            with.expect.iter().filter(|(symbol, value)| glob::is_pattern(symbol) && *value != "n")
        {
            problems.push(format!("`{symbol}` is a pattern, which can only be `n`"));
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        // The record must be of these files, and the configuration one of U-Boot.
        context.subject.image()?;
        let text = context.subject.uboot_config()?;
        let set: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('=')).collect();
        if !set.contains_key("SYS_BOARD") {
            return Err(Unable::broken(
                "the U-Boot configuration does not name its board (`CONFIG_SYS_BOARD`)",
            ));
        }
        let mut problems = Vec::new();
        for (symbol, wanted) in &with.expect {
            if glob::is_pattern(symbol) {
                let hits = set
                    .iter()
                    .filter(|(name, _)| !with.expect.contains_key(**name) && glob::matches(symbol, name));
                problems.extend(
                    hits.map(|(name, value)| format!("`{name}` is `{value}`, `{symbol}` must not be set")),
                );
                continue;
            }
            let found = set.get(symbol.as_str()).copied().unwrap_or("n");
            if found != wanted {
                problems.push(format!("`{symbol}` is `{found}`, not `{wanted}`"));
            }
        }
        let list = with.expect.iter().map(|(symbol, value)| format!("{symbol}={value}")).collect::<Vec<_>>();
        let good = format!("all {} as expected, {} symbols are set", with.expect.len(), set.len());
        Ok(Conclusion::of(&problems, list.join(" "), good, &context.subject.config_sha256("uboot")))
    }
}

#[cfg(test)]
mod tests {
    use record::SymbolState;
    use serde_json::json;

    use crate::subject::Subject;
    use crate::testing::*;

    fn check(config: Option<&str>) -> Result<crate::Conclusion, crate::Unable> {
        let mut subject = Subject::of_symbol("uboot", "X", "y", "y", SymbolState::Held);
        subject.uboot_config = config.map(|text| Ok(format!("CONFIG_SYS_BOARD=\"x\"\n{text}")));
        let with = json!({"expect": {"ENV_IS_NOWHERE": "y", "CMD_SAVEENV": "n", "ENV_IS_*": "n"}});
        run_on("uboot-config", with, &subject, None)
    }

    #[test]
    fn pass() {
        passes(check(Some("CONFIG_ENV_IS_NOWHERE=y\n# CONFIG_CMD_SAVEENV is not set\n")));
    }

    #[test]
    fn fail() {
        fails(
            check(Some("CONFIG_CMD_SAVEENV=y\n")),
            "`CMD_SAVEENV` is `y`, not `n`; `ENV_IS_NOWHERE` is `n`, not `y`",
        );
        fails(
            check(Some("CONFIG_ENV_IS_NOWHERE=y\nCONFIG_ENV_IS_IN_MMC=y\n")),
            "`ENV_IS_IN_MMC` is `y`, `ENV_IS_*` must not be set",
        );
    }

    #[test]
    fn what_is_not_there_is_no_pass() {
        cannot(check(None), "U-Boot configuration is missing");
        let mut subject = Subject::of_symbol("uboot", "X", "y", "y", SymbolState::Held);
        subject.uboot_config = Some(Ok(String::new()));
        let with = json!({"expect": {"CMD_SAVEENV": "n"}});
        cannot(run_on("uboot-config", with, &subject, None), "does not name its board");
    }

    #[test]
    fn a_pattern_can_only_be_absent() {
        let problems =
            (crate::kinds::find("uboot-config").unwrap().validate)(&json!({"expect": {"ENV_*": "y"}}));
        assert_eq!(problems, ["`ENV_*` is a pattern, which can only be `n`"]);
    }
}
