//! sshd's configuration as sshd reads it: `Include`, `Match` blocks, the first value wins.
//!
//! Source: sshd_config(5) of OpenSSH 10. Settings of a `Match` block override the global
//! ones for the connections it names, so that each of them matters to a check.

use std::collections::BTreeSet;

use crate::Unable;
use crate::glob;
use crate::root::Root;

const DEPTH_LIMIT: usize = 16;
const LINE_LIMIT: usize = 20_000;

/// One setting with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Keyword in lower case.
    pub keyword: String,
    /// The rest of the line, quotes removed.
    pub value: String,
    /// File and line.
    pub at: String,
    /// The `Match` line above it, if any.
    pub inside: Option<String>,
}

/// The settings in the order in which sshd meets them.
#[derive(Clone, Debug, Default)]
pub struct Config {
    settings: Vec<Setting>,
}

impl Config {
    /// Reads a configuration with everything it includes; `None` when the file is missing.
    ///
    /// # Errors
    /// When a file cannot be read, or includes nest without end.
    pub fn read(root: &Root, path: &str) -> Result<Option<Self>, Unable> {
        let Some(text) = root.read_text(path)? else { return Ok(None) };
        let mut config = Self::default();
        config.add(root, path, &text, None, 0)?;
        Ok(Some(config))
    }

    fn add(
        &mut self,
        root: &Root,
        path: &str,
        text: &str,
        outer: Option<&str>,
        depth: usize,
    ) -> Result<(), Unable> {
        if depth > DEPTH_LIMIT {
            return Err(Unable::broken(format!("`Include` nests deeper than {DEPTH_LIMIT} in `{path}`")));
        }
        let mut inside = outer.map(str::to_owned);
        for (index, line) in text.lines().enumerate() {
            let Some((keyword, value)) = split(line) else { continue };
            if self.settings.len() >= LINE_LIMIT {
                return Err(Unable::broken(format!("`{path}` has more than {LINE_LIMIT} settings")));
            }
            match keyword.as_str() {
                "match" => {
                    // `Match all` ends a conditional block only in name: it still is one.
                    inside = Some(match outer {
                        Some(outer) => format!("{outer}, {value}"),
                        None => value,
                    });
                }
                "include" => {
                    for pattern in value.split_whitespace() {
                        let pattern = if pattern.starts_with('/') {
                            pattern.to_owned()
                        } else {
                            format!("/etc/ssh/{pattern}")
                        };
                        for file in included(root, &pattern) {
                            if let Some(text) = root.read_text(&file)? {
                                self.add(root, &file, &text, inside.as_deref(), depth + 1)?;
                            }
                        }
                    }
                }
                _ => self.settings.push(Setting {
                    keyword,
                    value,
                    at: format!("{path}:{}", index + 1),
                    inside: inside.clone(),
                }),
            }
        }
        Ok(())
    }

    /// The global value in force, if it is set at all, and every value that a `Match` block puts over it.
    #[must_use]
    pub fn values(&self, keyword: &str) -> Vec<&Setting> {
        let keyword = keyword.to_lowercase();
        let all = || self.settings.iter().filter(|setting| setting.keyword == keyword);
        let global = all().find(|setting| setting.inside.is_none());
        global.into_iter().chain(all().filter(|setting| setting.inside.is_some())).collect()
    }

    /// Every global value of a keyword that adds up, such as `ListenAddress`.
    #[must_use]
    pub fn all(&self, keyword: &str) -> Vec<&str> {
        let keyword = keyword.to_lowercase();
        let global = self.settings.iter().filter(|s| s.keyword == keyword && s.inside.is_none());
        global.map(|setting| setting.value.as_str()).collect()
    }

    /// The `Match` lines, each once.
    #[must_use]
    pub fn blocks(&self) -> BTreeSet<&str> {
        self.settings.iter().filter_map(|setting| setting.inside.as_deref()).collect()
    }

    /// Every keyword that is set anywhere, sorted.
    #[must_use]
    pub fn keywords(&self) -> BTreeSet<&str> {
        self.settings.iter().map(|setting| setting.keyword.as_str()).collect()
    }

    /// Whether the keyword has a global value.
    #[must_use]
    pub fn is_set(&self, keyword: &str) -> bool {
        self.values(keyword).iter().any(|setting| setting.inside.is_none())
    }
}

fn included(root: &Root, pattern: &str) -> Vec<String> {
    if glob::is_pattern(pattern) {
        root.find(pattern).into_iter().map(|(path, _)| path.to_owned()).collect()
    } else {
        vec![pattern.to_owned()]
    }
}

/// Keyword and value of a line: separated by blanks or one `=`; `"…"` quotes.
fn split(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    // A comment may follow the value.
    let mut value = String::new();
    let mut quoted = false;
    for c in rest.chars() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted && value.ends_with(char::is_whitespace) => break,
            _ => value.push(c),
        }
    }
    Some((line[..end].to_lowercase(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tree;

    fn config(main: &str, included: &str) -> Config {
        let root = Tree::base()
            .file("/etc/ssh/sshd_config", 0o600, main)
            .file("/etc/ssh/sshd_config.d/10-x.conf", 0o600, included)
            .root();
        Config::read(&root, "/etc/ssh/sshd_config").unwrap().unwrap()
    }

    #[test]
    fn the_first_value_wins_across_includes() {
        let config =
            config("Include sshd_config.d/*.conf\npermitrootlogin no # never\n", "PermitRootLogin=\"yes\"\n");
        let values = config.values("PermitRootLogin");
        assert_eq!(values.len(), 1);
        assert_eq!(
            (values[0].value.as_str(), values[0].at.as_str()),
            ("yes", "/etc/ssh/sshd_config.d/10-x.conf:1")
        );
    }

    #[test]
    fn a_match_in_an_included_file_ends_with_it() {
        let config =
            config("Include sshd_config.d/*.conf\nX11Forwarding no\n", "Match User a\nX11Forwarding yes\n");
        let values = config.values("x11forwarding");
        assert_eq!(values[0].value, "no");
        assert_eq!(values[1].inside.as_deref(), Some("User a"));
    }

    #[test]
    fn an_endless_include_is_reported() {
        let root = Tree::base().file("/etc/ssh/sshd_config", 0o600, "Include sshd_config\n").root();
        assert!(
            Config::read(&root, "/etc/ssh/sshd_config").unwrap_err().to_string().contains("nests deeper")
        );
    }
}
