//! Why a symbol did not survive: its `depends on` lines, read from the source tree.
//!
//! This is an explainer, not a Kconfig solver: it follows `source` lines, keeps the
//! enclosing `if` and `menu` conditions, and names the atoms of a condition whose value is
//! not what the condition wants. Source: Linux `Documentation/kbuild/kconfig-language.rst`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const MAX_FILES: usize = 4000;

/// Symbols of a Kconfig tree with the conditions under which each may be set.
#[derive(Debug, Default)]
pub struct DependencyIndex {
    /// For each symbol, one list of conditions for each place that defines it.
    definitions: BTreeMap<String, Vec<Vec<String>>>,
}

#[derive(Default)]
struct Reader {
    index: DependencyIndex,
    seen: BTreeSet<String>,
    /// Conditions of the blocks that enclose the current line.
    enclosing: Vec<Vec<String>>,
}

impl DependencyIndex {
    /// Reads the tree from its root `Kconfig`. `arch` stands for `$(SRCARCH)`.
    #[must_use]
    pub fn load(tree: &Path, arch: &str) -> Self {
        Self::load_from(tree, "Kconfig", arch)
    }

    /// As [`DependencyIndex::load`], of a tree whose root is `Config.in`, as BusyBox's is.
    #[must_use]
    pub fn load_config_in(tree: &Path) -> Self {
        Self::load_from(tree, "Config.in", "")
    }

    /// As [`DependencyIndex::load`], of a Buildroot tree and an external one.
    #[must_use]
    pub fn load_buildroot(tree: &Path, external: &Path) -> Self {
        let mut index = Self::load_from(tree, "Config.in", "");
        for (symbol, places) in Self::load_from(external, "Config.in", "").definitions {
            index.definitions.entry(symbol).or_default().extend(places);
        }
        index
    }

    fn load_from(tree: &Path, root: &str, arch: &str) -> Self {
        let mut reader = Reader::default();
        reader.file(tree, root, arch);
        reader.index
    }

    /// One sentence: which dependency of `symbol` is not met by `config`.
    #[must_use]
    pub fn explain(&self, symbol: &str, asked: &str, config: &BTreeMap<String, String>) -> String {
        let Some(places) = self.definitions.get(symbol) else {
            return format!("no Kconfig file of this source tree defines `{symbol}`");
        };
        let mut reasons = BTreeSet::new();
        for conditions in places {
            let unmet: Vec<String> = conditions
                .iter()
                .filter(|c| !holds(c, config))
                .map(|c| format!("`{c}`{}", values(c, config)))
                .collect();
            if unmet.is_empty() {
                let what = if asked == "n" {
                    "another symbol selects it, or it has no prompt"
                } else {
                    "it has no prompt, or a choice decided otherwise"
                };
                reasons.insert(format!("its dependencies are met; {what}"));
            } else {
                reasons.insert(format!("it depends on {}", unmet.join(" and ")));
            }
        }
        reasons.into_iter().collect::<Vec<_>>().join("; or ")
    }
}

impl Reader {
    fn file(&mut self, tree: &Path, name: &str, arch: &str) {
        let name = name.replace("$(SRCARCH)", arch).replace("$SRCARCH", arch).replace("$(ARCH)", arch);
        // An external tree names its own files from its top.
        let name = match name.strip_prefix("$BR2_EXTERNAL_").and_then(|rest| rest.split_once("_PATH/")) {
            Some((_, below)) => below.to_owned(),
            None => name,
        };
        if self.seen.len() >= MAX_FILES || !self.seen.insert(name.clone()) {
            return;
        }
        let Ok(text) = fs::read_to_string(tree.join(&name)) else { return };
        let text = text.replace("\\\n", " ");
        let depth = self.enclosing.len();
        let mut current: Option<(String, Vec<String>)> = None;
        let mut help_indent: Option<usize> = None;
        for line in text.lines() {
            let indent: usize =
                line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 8 } else { 1 }).sum();
            let body = line.trim();
            if body.is_empty() || body.starts_with('#') {
                continue;
            }
            // Help text ends with the first line that is not indented deeper than the keyword.
            if let Some(keyword) = help_indent {
                if indent > keyword {
                    continue;
                }
                help_indent = None;
            }
            let (word, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
            let rest = rest.trim();
            match word {
                "help" | "---help---" => help_indent = Some(indent.saturating_sub(1)),
                "config" | "menuconfig" => {
                    self.close(current.take());
                    current = Some((rest.to_owned(), Vec::new()));
                }
                "depends" => {
                    let condition = rest.strip_prefix("on").unwrap_or(rest).trim().to_owned();
                    match (&mut current, self.enclosing.last_mut()) {
                        (Some((_, conditions)), _) => conditions.push(condition),
                        (None, Some(block)) => block.push(condition),
                        (None, None) => {}
                    }
                }
                "if" | "menu" | "choice" | "comment" | "endif" | "endmenu" | "endchoice" | "source" => {
                    self.close(current.take());
                    match word {
                        "if" => self.enclosing.push(vec![rest.to_owned()]),
                        "menu" | "choice" => self.enclosing.push(Vec::new()),
                        "endif" | "endmenu" | "endchoice" => {
                            self.enclosing.pop();
                        }
                        "source" => self.file(tree, rest.trim_matches('"'), arch),
                        // A comment's `depends on` must not fall to the block around it.
                        _ => current = Some((String::new(), Vec::new())),
                    }
                }
                _ => {}
            }
        }
        self.close(current.take());
        self.enclosing.truncate(depth);
    }

    fn close(&mut self, finished: Option<(String, Vec<String>)>) {
        let Some((symbol, own)) = finished else { return };
        if symbol.is_empty() {
            return;
        }
        let mut conditions: Vec<String> = self.enclosing.iter().flatten().cloned().collect();
        conditions.extend(own);
        self.index.definitions.entry(symbol).or_default().push(conditions);
    }
}

/// Evaluates a condition; macros and comparisons that it does not know count as met.
fn holds(condition: &str, config: &BTreeMap<String, String>) -> bool {
    let tokens = tokens(condition);
    let mut at = 0;
    either(&tokens, &mut at, config)
}

fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
        } else if c.is_alphanumeric() || c == '_' || c == '"' || c == '$' {
            let mut word = String::new();
            let mut depth = 0;
            while let Some(&c) = chars.peek() {
                match c {
                    '(' if word.starts_with('$') => depth += 1,
                    ')' if depth > 0 => depth -= 1,
                    _ if depth > 0 || c.is_alphanumeric() || "_\"$-.".contains(c) => {}
                    _ => break,
                }
                word.push(c);
                chars.next();
            }
            out.push(word);
        } else {
            chars.next();
            let mut operator = c.to_string();
            if let Some(&next) = chars.peek()
                && matches!((c, next), ('&', '&') | ('|', '|') | ('!' | '<' | '>', '='))
            {
                operator.push(next);
                chars.next();
            }
            out.push(operator);
        }
    }
    out
}

fn either(tokens: &[String], at: &mut usize, config: &BTreeMap<String, String>) -> bool {
    let mut value = both(tokens, at, config);
    while tokens.get(*at).is_some_and(|t| t == "||") {
        *at += 1;
        value |= both(tokens, at, config);
    }
    value
}

fn both(tokens: &[String], at: &mut usize, config: &BTreeMap<String, String>) -> bool {
    let mut value = term(tokens, at, config);
    while tokens.get(*at).is_some_and(|t| t == "&&") {
        *at += 1;
        value &= term(tokens, at, config);
    }
    value
}

fn term(tokens: &[String], at: &mut usize, config: &BTreeMap<String, String>) -> bool {
    let Some(token) = tokens.get(*at) else { return true };
    *at += 1;
    match token.as_str() {
        "!" => !term(tokens, at, config),
        "(" => {
            let value = either(tokens, at, config);
            if tokens.get(*at).is_some_and(|t| t == ")") {
                *at += 1;
            }
            value
        }
        atom => {
            let Some(operator) =
                tokens.get(*at).filter(|t| matches!(t.as_str(), "=" | "!=" | "<" | ">" | "<=" | ">="))
            else {
                return atom == "y" || atom.starts_with('$') || config.get(atom).is_some_and(|v| v != "n");
            };
            *at += 1;
            let right = tokens.get(*at).map_or("", String::as_str);
            *at += 1;
            let left = config.get(atom).map_or("n", String::as_str);
            let right = config.get(right).map_or(right, String::as_str);
            match operator.as_str() {
                "=" => left == right,
                "!=" => left != right,
                _ => true,
            }
        }
    }
}

fn values(condition: &str, config: &BTreeMap<String, String>) -> String {
    let atoms: BTreeSet<String> = tokens(condition)
        .into_iter()
        .filter(|t| t.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .collect();
    if atoms.is_empty() {
        return String::new();
    }
    let list: Vec<String> = atoms
        .iter()
        .map(|atom| format!("`{atom}` is `{}`", config.get(atom).map_or("n", String::as_str)))
        .collect();
    format!(" ({})", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> DependencyIndex {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Kconfig"), text).unwrap();
        DependencyIndex::load(folder.path(), "arm64")
    }

    #[test]
    fn the_unmet_atom_is_named() {
        let index = index(
            "menu \"x\"\n\tdepends on NET\nconfig A\n\tbool \"a\"\n\tdepends on B && !C\n\thelp\n\t  depends on nothing\nendmenu\n",
        );
        let config = BTreeMap::from([("NET".to_owned(), "y".to_owned()), ("C".to_owned(), "y".to_owned())]);
        let text = index.explain("A", "y", &config);
        assert_eq!(text, "it depends on `B && !C` (`B` is `n`, `C` is `y`)");
        let config = BTreeMap::from([("BB".to_owned(), "y".to_owned())]);
        assert!(index.explain("A", "y", &config).contains("`NET` (`NET` is `n`)"));
    }

    #[test]
    fn an_external_trees_own_packages_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, external) = (folder.path().join("tree"), folder.path().join("external"));
        for (path, text) in [
            (tree.join("Config.in"), "config BR2_A\n\tbool \"a\"\n"),
            (external.join("Config.in"), "source \"$BR2_EXTERNAL_GW_PATH/package/frob/Config.in\"\n"),
            (external.join("package/frob/Config.in"), "config BR2_FROB\n\tbool \"f\"\n\tdepends on BR2_A\n"),
        ] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let text =
            DependencyIndex::load_buildroot(&tree, &external).explain("BR2_FROB", "y", &BTreeMap::new());
        assert_eq!(text, "it depends on `BR2_A` (`BR2_A` is `n`)");
    }

    #[test]
    fn an_unknown_symbol_is_said_to_be_unknown() {
        assert!(index("config A\n").explain("MADE_UP", "y", &BTreeMap::new()).contains("defines `MADE_UP`"));
    }

    #[test]
    fn conditions_follow_precedence_and_comparison() {
        let config = BTreeMap::from([("A".to_owned(), "y".to_owned()), ("N".to_owned(), "48".to_owned())]);
        assert!(holds("A || B && B", &config));
        assert!(!holds("(A || B) && B", &config));
        assert!(holds("N = 48 && $(cc-option,-m(x))", &config));
        assert!(!holds("N != 48", &config));
    }
}
