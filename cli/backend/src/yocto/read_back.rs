//! What must hold in BitBake's variables, once all layers have been read: what the data expect, and what we set ourselves.
//!
//! A layer of somebody else may override what the distro set, or an append. It is compared before anything is built, and
//! the file and line that overrode it are named.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use spec::plan::YoctoFacts;

use super::variables::Variable;
use super::written::{How, Written};

/// Variables by name.
pub type Variables = BTreeMap<String, Variable>;

/// How the names of variables begin that hold compiler hardening: a recipe may have others than the distro.
const HARDENING: &str = "SECURITY_";

/// What a variable must be.
#[derive(Debug, PartialEq, Eq)]
enum Must<'a> {
    /// Text is somewhere in it.
    Contain(&'a str),
    /// It has these words, among others.
    Have(BTreeSet<&'a str>),
    /// It has none of these words.
    Lack(BTreeSet<&'a str>),
    /// It has these words and no others.
    Be(BTreeSet<&'a str>),
    /// It has these words, with a colon between two.
    List(BTreeSet<&'a str>),
}

/// The variables that hold compiler hardening, and are to be read of each recipe.
pub fn hardening(facts: &YoctoFacts) -> BTreeSet<String> {
    let all = facts.expect.iter().map(|expect| &expect.variable);
    all.filter(|name| name.starts_with(HARDENING)).cloned().collect()
}

/// The variables that are to be read of each recipe with an append of ours.
pub fn asked(facts: &YoctoFacts, written: &[Written]) -> BTreeMap<String, BTreeSet<String>> {
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let hardening = hardening(facts);
    for option in &facts.options {
        let variables = asked.entry(option.recipe.clone()).or_default();
        variables.extend(hardening.iter().cloned());
        variables.extend(operation(&option.variable).map(|(name, _)| name.to_owned()));
    }
    for one in written {
        let Some(recipe) = one.recipe else { continue };
        asked.entry(recipe.to_owned()).or_default().insert(one.variable.to_owned());
    }
    asked
}

/// Whether everything that must hold does, in the image's variables and in those of the recipes. `written` is what our own
/// recipes, class, distro, machine and appends set.
///
/// # Errors
/// One diagnostic for each that does not, with the operations that made it so.
pub fn hold(
    facts: &YoctoFacts,
    written: &[Written],
    image: &Variables,
    recipes: &BTreeMap<String, Variables>,
) -> Outcome<()> {
    let mut wrong = Vec::new();
    // Kernel and boot loader are compiled with flags of their own.
    let own_flags: BTreeSet<&str> = written.iter().filter_map(|one| one.recipe).collect();
    for expect in &facts.expect {
        let mut all: Vec<(String, &Variables)> = vec![(String::new(), image)];
        if expect.variable.starts_with(HARDENING) {
            let flagged = recipes.iter().filter(|(recipe, _)| !own_flags.contains(recipe.as_str()));
            all.extend(flagged.map(|(recipe, found)| (format!(" of the recipe `{recipe}`"), found)));
        }
        for (of, found) in all {
            let contains = expect.contains.as_deref().map(|text| contain(&expect.variable, text));
            let lacks = expect.lacks.as_deref().map(|word| Must::Lack(BTreeSet::from([word])));
            for must in contains.into_iter().chain(lacks) {
                wrong.extend(refused(&expect.variable, &of, &must, &expect.reason, found));
            }
        }
    }
    for one in written {
        let words = one.words.iter().map(String::as_str).collect();
        let must = match one.how {
            How::Among => Must::Have(words),
            How::Alone => Must::Be(words),
            How::Not => Must::Lack(words),
            How::Listed => Must::List(words),
        };
        let (of, found) = match one.recipe {
            None => (String::new(), Some(image)),
            Some(recipe) => (format!(" of the recipe `{recipe}`"), recipes.get(recipe)),
        };
        wrong.extend(found.and_then(|found| refused(one.variable, &of, &must, one.reason, found)));
    }
    let settings = facts.settings.iter().filter(|setting| !setting.taste);
    let settings = settings.map(|one| (one.variable.as_str(), one.value.as_str(), one.reason.as_str()));
    for (variable, must, reason) in ours(settings) {
        wrong.extend(refused(variable, "", &must, reason, image));
    }
    for (recipe, found) in recipes {
        let options = facts.options.iter().filter(|option| option.recipe == *recipe);
        let options = options.map(|one| (one.variable.as_str(), one.value.as_str(), one.reason.as_str()));
        for (variable, must, reason) in ours(options) {
            wrong.extend(refused(variable, &format!(" of the recipe `{recipe}`"), &must, reason, found));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure { status: ExitStatus::Build, diagnostics: wrong }) }
}

/// Features are words, and one may begin as another: `read-only-rootfs-delayed-postinsts` is no `read-only-rootfs`.
fn contain<'a>(variable: &str, text: &'a str) -> Must<'a> {
    if variable.ends_with("FEATURES") { Must::Have(BTreeSet::from([text])) } else { Must::Contain(text) }
}

/// `PACKAGECONFIG:append` → `PACKAGECONFIG`, `append`. None where an override stands behind it: another build may not
/// have that.
fn operation(variable: &str) -> Option<(&str, &str)> {
    for operator in ["append", "prepend", "remove"] {
        if let Some(name) = variable.strip_suffix(operator).and_then(|rest| rest.strip_suffix(':')) {
            return Some((name, operator));
        }
        if variable.contains(&format!(":{operator}:")) {
            return None;
        }
    }
    Some((variable, ""))
}

/// What values of ours mean: each variable once where they set it, since what is appended adds up.
fn ours<'a>(set: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Vec<(&'a str, Must<'a>, &'a str)> {
    let mut plain: BTreeMap<&str, (BTreeSet<&str>, &str)> = BTreeMap::new();
    let mut added: Vec<(&str, BTreeSet<&str>, &str)> = Vec::new();
    let mut all = Vec::new();
    for (variable, value, reason) in set {
        let Some((name, operator)) = operation(variable) else { continue };
        let words: BTreeSet<&str> = value.split_whitespace().collect();
        match operator {
            "" => {
                plain.insert(name, (words, reason));
            }
            "remove" => all.push((name, Must::Lack(words), reason)),
            _ => added.push((name, words, reason)),
        }
    }
    for (name, words, reason) in added {
        match plain.get_mut(name) {
            Some((whole, _)) => whole.extend(words),
            None => all.push((name, Must::Have(words), reason)),
        }
    }
    all.extend(plain.into_iter().map(|(name, (words, reason))| (name, Must::Be(words), reason)));
    all
}

/// Why a variable is not what it must be; nothing where it is.
fn refused(name: &str, of: &str, must: &Must<'_>, reason: &str, found: &Variables) -> Option<Diagnostic> {
    let nothing = Variable::default();
    let variable = found.get(name).unwrap_or(&nothing);
    // Lists of commands may have a semicolon behind each.
    let has: BTreeSet<&str> = variable
        .value
        .split_whitespace()
        .map(|word| word.trim_end_matches(';'))
        .filter(|word| !word.is_empty())
        .collect();
    let (lacking, unwanted): (Vec<&str>, Vec<&str>) = match must {
        Must::Contain(text) if variable.value.contains(text) => return None,
        Must::Contain(text) => (vec![*text], Vec::new()),
        Must::List(words) => {
            let has: BTreeSet<&str> = variable.value.split(':').map(str::trim).collect();
            (words.difference(&has).copied().collect(), Vec::new())
        }
        Must::Have(words) => (words.difference(&has).copied().collect(), Vec::new()),
        Must::Lack(words) => (Vec::new(), words.intersection(&has).copied().collect()),
        Must::Be(words) => {
            (words.difference(&has).copied().collect(), has.difference(words).copied().collect())
        }
    };
    let message = if !lacking.is_empty() {
        let value = short(variable);
        format!("`{name}`{of} lacks `{}` ({reason}), its value is `{value}`", lacking.join("`, `"))
    } else if !unwanted.is_empty() {
        let word = if unwanted.len() == 1 { "word" } else { "words" };
        format!("`{name}`{of} has the {word} `{}`, expected it without ({reason})", unwanted.join("`, `"))
    } else {
        return None;
    };
    let mut diagnostic = Diagnostic::error("weakened-variable", message);
    for operation in &variable.history {
        diagnostic = diagnostic.note(format!("set by BitBake's history: {operation}"), None);
    }
    let hint = "take it out where the last of these lines sets it, or out of the layer that has the file";
    Some(diagnostic.hint(hint))
}

fn short(variable: &Variable) -> String {
    let value: String = variable.value.split_whitespace().collect::<Vec<_>>().join(" ");
    if value.chars().count() <= 120 {
        value
    } else {
        format!("{}…", value.chars().take(120).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(more: serde_json::Value) -> YoctoFacts {
        let mut facts = serde_json::json!({
            "series": "wrynose", "release": "6.0", "bitbake": "2.18", "compatible": ["wrynose"], "linux": "", "uboot": "",
            "unpack": "UNPACKDIR", "tune_file": "", "tune": "", "settings": [], "expect": [], "install": {},
            "options": [], "layers": [], "sources": [], "overwrites": []
        });
        for (key, value) in more.as_object().unwrap() {
            facts[key] = value.clone();
        }
        serde_json::from_value(facts).unwrap()
    }

    fn variables(all: &[(&str, &str)]) -> Variables {
        let one = |(name, value): &(&str, &str)| {
            let history =
                vec!["set /srv/core/x.conf:3".to_owned(), ":append /srv/meta-evil/y.bbappend:7".to_owned()];
            ((*name).to_owned(), Variable { value: (*value).to_owned(), history })
        };
        all.iter().map(one).collect()
    }

    fn messages(result: Outcome<()>) -> Vec<String> {
        let failure = result.expect_err("must be refused");
        assert_eq!(failure.status, ExitStatus::Build);
        assert!(failure.diagnostics.iter().all(|d| d.code == "weakened-variable"), "{failure}");
        failure.diagnostics.into_iter().map(|d| d.message).collect()
    }

    #[test]
    fn what_the_data_expect_is_quiet_where_it_holds_and_told_with_its_history_where_not() {
        let none = BTreeMap::new();
        let found = variables(&[
            ("IMAGE_FEATURES", " read-only-rootfs allow-root-login"),
            ("SECURITY_CFLAGS", "-O2"),
        ]);
        let good = facts(serde_json::json!({"expect": [
            {"variable": "IMAGE_FEATURES", "contains": "read-only-rootfs", "lacks": "root-login", "reason": "why"},
            {"variable": "ABSENT", "lacks": "word", "reason": "why"},
        ]}));
        hold(&good, &[], &found, &none).unwrap();
        let bad = facts(serde_json::json!({"expect": [
            {"variable": "IMAGE_FEATURES", "lacks": "allow-root-login", "reason": "why"},
            {"variable": "SECURITY_CFLAGS", "contains": "-fstack-protector-strong", "reason": "why"},
            {"variable": "ABSENT", "contains": "text", "reason": "why"},
        ]}));
        let failure = hold(&bad, &[], &found, &none).unwrap_err();
        assert!(failure.to_string().contains(":append /srv/meta-evil/y.bbappend:7"), "{failure}");
        assert_eq!(
            messages(Err(failure)),
            [
                "`IMAGE_FEATURES` has the word `allow-root-login`, expected it without (why)",
                "`SECURITY_CFLAGS` lacks `-fstack-protector-strong` (why), its value is `-O2`",
                "`ABSENT` lacks `text` (why), its value is ``",
            ]
        );
    }

    #[test]
    fn a_feature_is_a_word_and_not_the_start_of_one() {
        let ours = facts(serde_json::json!({"expect": [
            {"variable": "IMAGE_FEATURES", "contains": "read-only-rootfs", "reason": "why"},
            {"variable": "GCCPIE", "contains": "--enable", "reason": "why"},
        ]}));
        let found =
            |features: &str| variables(&[("IMAGE_FEATURES", features), ("GCCPIE", "--enable-default-pie")]);
        let none = BTreeMap::new();
        hold(&ours, &[], &found("x read-only-rootfs"), &none).unwrap();
        assert_eq!(
            messages(hold(&ours, &[], &found("read-only-rootfs-delayed-postinsts"), &none)),
            [
                "`IMAGE_FEATURES` lacks `read-only-rootfs` (why), its value is `read-only-rootfs-delayed-postinsts`"
            ]
        );
    }

    #[test]
    fn what_the_image_itself_sets_is_read_back() {
        let one = |variable, words: &[&str], how| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            Written { recipe: None, variable, words, how, reason: "why" }
        };
        let written = [
            one("IMAGE_INSTALL", &["nftables", "chrony"], How::Among),
            one("PACKAGE_EXCLUDE", &["nftables"], How::Not),
            one("NO_RECOMMENDATIONS", &["1"], How::Alone),
            one("IMAGE_PREPROCESS_COMMAND", &["gw_finish"], How::Among),
        ];
        let (ours, none) = (facts(serde_json::json!({})), BTreeMap::new());
        let good = [
            ("IMAGE_INSTALL", "vim nftables chrony"),
            ("NO_RECOMMENDATIONS", "1"),
            ("IMAGE_PREPROCESS_COMMAND", " x; gw_finish; y;"),
        ];
        hold(&ours, &written, &variables(&good), &none).unwrap();
        let bad = [
            ("IMAGE_INSTALL", "chrony nftables-python"),
            ("PACKAGE_EXCLUDE", "nftables"),
            ("NO_RECOMMENDATIONS", "0"),
            ("IMAGE_PREPROCESS_COMMAND", " x; gw_finished;"),
        ];
        assert_eq!(
            messages(hold(&ours, &written, &variables(&bad), &none)),
            [
                "`IMAGE_INSTALL` lacks `nftables` (why), its value is `chrony nftables-python`",
                "`PACKAGE_EXCLUDE` has the word `nftables`, expected it without (why)",
                "`NO_RECOMMENDATIONS` lacks `1` (why), its value is `0`",
                "`IMAGE_PREPROCESS_COMMAND` lacks `gw_finish` (why), its value is `x; gw_finished;`",
            ]
        );
    }

    #[test]
    fn what_the_distro_sets_is_read_back_but_for_taste() {
        let ours = facts(serde_json::json!({"settings": [
            {"variable": "INHERIT:append", "value": " create-spdx vex", "reason": "a list"},
            {"variable": "DISTRO_FEATURES:remove", "value": "x11 wifi", "taste": true, "reason": "taste"},
            {"variable": "FEATURES:remove", "value": "nfs", "reason": "none"},
            {"variable": "INIT_MANAGER", "value": "systemd", "reason": "one init"},
            {"variable": "SYSLOG", "value": "", "reason": "the journal logs"},
        ]}));
        let none = BTreeMap::new();
        let good =
            [("INHERIT", "a create-spdx b vex"), ("DISTRO_FEATURES", "x11"), ("INIT_MANAGER", "systemd")];
        hold(&ours, &[], &variables(&good), &none).unwrap();
        let bad =
            [("INHERIT", "a vex"), ("FEATURES", "nfs"), ("INIT_MANAGER", "sysvinit"), ("SYSLOG", "busybox")];
        assert_eq!(
            messages(hold(&ours, &[], &variables(&bad), &none)),
            [
                "`FEATURES` has the word `nfs`, expected it without (none)",
                "`INHERIT` lacks `create-spdx` (a list), its value is `a vex`",
                "`INIT_MANAGER` lacks `systemd` (one init), its value is `sysvinit`",
                "`SYSLOG` has the word `busybox`, expected it without (the journal logs)",
            ]
        );
    }

    #[test]
    fn what_an_append_sets_is_read_back_of_its_recipe() {
        let ours = facts(serde_json::json!({
            "expect": [{"variable": "SECURITY_CFLAGS", "contains": "-fstack-protector", "reason": "stack"}],
            "options": [
                {"recipe": "chrony", "variable": "PACKAGECONFIG", "value": "scfilter ipv6", "reason": "a filter"},
                {"recipe": "chrony", "variable": "PACKAGECONFIG:append", "value": " nts", "reason": "time"},
                {"recipe": "openssh", "variable": "EXTRA_OECONF:append", "value": " --with-x", "reason": "x"},
                {"recipe": "rsyslog", "variable": "RDEPENDS:rsyslog:remove", "value": "logrotate", "reason": "ours"},
                {"recipe": "rsyslog", "variable": "CFLAGS:append:class-target", "value": " -Dx", "reason": "x"},
            ],
        }));
        let names: Vec<String> =
            asked(&ours, &[]).into_iter().map(|(recipe, names)| format!("{recipe}: {names:?}")).collect();
        assert_eq!(
            names,
            [
                "chrony: {\"PACKAGECONFIG\", \"SECURITY_CFLAGS\"}",
                "openssh: {\"EXTRA_OECONF\", \"SECURITY_CFLAGS\"}",
                "rsyslog: {\"RDEPENDS:rsyslog\", \"SECURITY_CFLAGS\"}",
            ]
        );
        let strong = ("SECURITY_CFLAGS", "-fstack-protector-strong");
        let of = |chrony: &str, openssh: &str, rsyslog: &str, flags: (&str, &str)| {
            BTreeMap::from([
                ("chrony".to_owned(), variables(&[("PACKAGECONFIG", chrony), flags])),
                ("openssh".to_owned(), variables(&[("EXTRA_OECONF", openssh), strong])),
                ("rsyslog".to_owned(), variables(&[("RDEPENDS:rsyslog", rsyslog), strong])),
            ])
        };
        let image = variables(&[strong]);
        hold(&ours, &[], &image, &of("  nts ipv6 scfilter", "--y --with-x", "libc", strong)).unwrap();
        let weak = of("scfilter nts debug", "--y", "logrotate libc", ("SECURITY_CFLAGS", ""));
        assert_eq!(
            messages(hold(&ours, &[], &image, &weak)),
            [
                "`SECURITY_CFLAGS` of the recipe `chrony` lacks `-fstack-protector` (stack), its value is ``",
                "`PACKAGECONFIG` of the recipe `chrony` lacks `ipv6` (a filter), its value is `scfilter nts debug`",
                "`EXTRA_OECONF` of the recipe `openssh` lacks `--with-x` (x), its value is `--y`",
                "`RDEPENDS:rsyslog` of the recipe `rsyslog` has the word `logrotate`, expected it without (ours)",
            ]
        );
        let more = of("scfilter ipv6 nts debug", "--with-x", "", strong);
        assert_eq!(
            messages(hold(&ours, &[], &image, &more)),
            ["`PACKAGECONFIG` of the recipe `chrony` has the word `debug`, expected it without (a filter)"]
        );
    }
}
