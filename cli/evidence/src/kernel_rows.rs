//! What a kernel should have, as rows of data, and how a row is judged.
//!
//! The rows are `standards/kernel-hardening.yaml`, compiled in; its head explains the words. This
//! module only compares: it reads no image, and whoever fills [`Facts`] has made sure that they are whole.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::kinds::{kernel_parameter, kernel_words};

/// The value of a symbol that the configuration names as not set.
pub const NOT_SET: &str = "is not set";

/// What the rows are held against.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Kernel version, such as 6.12.30.
    pub version: [u32; 3],
    /// The kernel's whole configuration: names without `CONFIG_`; [`NOT_SET`] where it says so.
    pub config: BTreeMap<String, String>,
    /// Parameters of the command line with the value that counts (the last), names with `_`.
    pub cmdline: BTreeMap<String, String>,
    /// sysctl keys that the rows name and that are set, with dots.
    pub sysctl: BTreeMap<String, String>,
}

impl Facts {
    /// Facts of a whole `.config` and a command line; sysctl keys are the caller's.
    ///
    /// # Errors
    /// When the configuration has no head that says its kernel's version.
    pub fn read(config: &str, cmdline: &str) -> Result<Self, String> {
        // The head as Kconfig writes it: `# Linux/arm64 6.12.30 Kernel Configuration`.
        let head = |line: &str| {
            let words = line.strip_prefix("# Linux/")?.strip_suffix(" Kernel Configuration")?;
            version(words.split_whitespace().nth(1)?)
        };
        let symbol = |line: &str| match line.strip_prefix("# CONFIG_") {
            Some(line) => Some((line.strip_suffix(" is not set")?.to_owned(), NOT_SET.to_owned())),
            None => line.strip_prefix("CONFIG_")?.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())),
        };
        let words = kernel_words(cmdline);
        Ok(Self {
            version: config
                .lines()
                .find_map(head)
                .ok_or_else(|| "the kernel's configuration does not say its version".to_owned())?,
            config: config.lines().filter_map(symbol).collect(),
            cmdline: words
                .iter()
                .map(|w| kernel_parameter(w))
                .map(|(k, v)| (k, v.unwrap_or_default()))
                .collect(),
            sysctl: BTreeMap::new(),
        })
    }
}

/// Where a condition looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The kernel's configuration.
    Config,
    /// The command line.
    Cmdline,
    /// The settings of sysctl.d.
    Sysctl,
}

/// What is wanted of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    Unset,
    Present,
    NotOff,
    Boolean(bool),
    Has(String),
    Equals(String),
    Value(String),
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Named { place: Place, name: String, want: Want },
    Linux([u32; 3]),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Unique: the name, or `NAME:X` where it wants `has X`.
    pub id: String,
    /// Where its own condition looks.
    pub place: Place,
    /// What it is for, such as `self-protection`.
    pub aim: String,
    /// Who asks for it, such as `kspp`.
    pub asked_by: String,
    /// Architectures that it is for, as their symbols.
    pub of: Vec<String>,
    own: Condition,
    /// It holds when every condition of one of these lists does.
    ways: Vec<Vec<Condition>>,
}

/// All rows of every architecture.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The symbols of the architectures, such as `ARM64`.
    pub architectures: Vec<String>,
    /// The rows, in the file's order.
    pub rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    architectures: Vec<String>,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    kind: Place,
    aim: String,
    asked_by: String,
    rows: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    want: String,
    #[serde(default)]
    of: Vec<String>,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    or: Vec<Vec<String>>,
    #[serde(default)]
    only: Vec<Vec<String>>,
}

impl Rows {
    /// The rows that are compiled in.
    ///
    /// # Errors
    /// When the file does not parse; a test proves that it does.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(include_str!("../../../standards/kernel-hardening.yaml"))
    }

    /// Rows from their text.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_value(crate::yaml::load(text)?)
            .map_err(|e| format!("the kernel's rows: {e}"))?;
        let mut rows: Vec<Row> = Vec::new();
        for group in file.groups {
            for written in group.rows {
                let mut row = row(group.kind, &group.aim, &group.asked_by, written)?;
                if let Some(unknown) = row.of.iter().find(|one| !file.architectures.contains(one)) {
                    return Err(format!(
                        "the kernel's rows: `{}` is of `{unknown}`, which is not listed",
                        row.id
                    ));
                }
                if row.of.is_empty() {
                    row.of.clone_from(&file.architectures);
                }
                let same =
                    |other: &&Row| other.id == row.id && other.of.iter().any(|one| row.of.contains(one));
                if rows.iter().any(|other| same(&other)) {
                    return Err(format!("the kernel's rows: `{}` is there twice", row.id));
                }
                rows.push(row);
            }
        }
        Ok(Self { architectures: file.architectures, rows })
    }

    /// The rows for the architecture of a kernel: the one whose symbol its configuration sets.
    ///
    /// # Errors
    /// When it sets none, or more than one.
    pub fn for_kernel(&self, facts: &Facts) -> Result<Vec<&Row>, String> {
        let set = |symbol: &&String| facts.config.get(*symbol).is_some_and(|value| value == "y");
        match self.architectures.iter().filter(set).collect::<Vec<_>>().as_slice() {
            [one] => Ok(self.rows.iter().filter(|row| row.of.contains(one)).collect()),
            found => Err(format!(
                "the rows are for `{}`, and the kernel's configuration says `=y` of {} of them",
                self.architectures.join("`, `"),
                found.len()
            )),
        }
    }

    /// Every sysctl key that a condition of a row names.
    pub fn sysctl_keys(&self) -> impl Iterator<Item = &str> {
        self.rows
            .iter()
            .flat_map(|row| std::iter::once(&row.own).chain(row.ways.iter().flatten()))
            .filter_map(|condition| match condition {
                Condition::Named { place: Place::Sysctl, name, .. } => Some(name.as_str()),
                _ => None,
            })
    }
}

fn row(place: Place, aim: &str, asked_by: &str, written: Written) -> Result<Row, String> {
    let want = Want::parse(&written.want);
    let id = match &want {
        Want::Has(member) => format!("{}:{member}", written.name),
        _ => written.name.clone(),
    };
    let lists = |lists: Vec<Vec<String>>| -> Result<Vec<Vec<Condition>>, String> {
        lists.iter().map(|list| list.iter().map(|text| condition(text)).collect()).collect()
    };
    let own = Condition::Named { place, name: written.name, want };
    let mut ways = lists(written.or)?;
    if written.only.is_empty() {
        let mut first = vec![own.clone()];
        first.extend(lists(vec![written.also])?.remove(0));
        ways.insert(0, first);
    } else if ways.is_empty() && written.also.is_empty() {
        ways = lists(written.only)?;
    } else {
        return Err(format!("the kernel's rows: `{id}` has `only` beside `also` or `or`"));
    }
    let (aim, asked_by) = (aim.to_owned(), asked_by.to_owned());
    Ok(Row { id, place, aim, asked_by, of: written.of, own, ways })
}

fn condition(text: &str) -> Result<Condition, String> {
    let wrong = || format!("the kernel's rows: `{text}` is no condition");
    let (kind, rest) = text.split_once(' ').ok_or_else(wrong)?;
    let place = match kind {
        "linux" => return Ok(Condition::Linux(version(rest).ok_or_else(wrong)?)),
        "config" => Place::Config,
        "cmdline" => Place::Cmdline,
        "sysctl" => Place::Sysctl,
        _ => return Err(wrong()),
    };
    let (name, want) = rest.split_once(' ').ok_or_else(wrong)?;
    Ok(Condition::Named { place, name: name.to_owned(), want: Want::parse(want) })
}

/// Three numbers; what follows the third (`-rt1`, `+`) is left out.
#[must_use]
pub fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.splitn(3, '.');
    for number in &mut numbers {
        let part = parts.next()?;
        let digits = part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
        *number = digits.parse().ok()?;
    }
    Some(numbers)
}

impl Want {
    fn parse(text: &str) -> Self {
        match text.split_once(' ') {
            Some(("has", member)) => return Self::Has(member.to_owned()),
            Some(("equals", symbol)) => return Self::Equals(symbol.to_owned()),
            _ => {}
        }
        match text {
            "unset" => Self::Unset,
            "present" => Self::Present,
            "not-off" => Self::NotOff,
            "true" => Self::Boolean(true),
            "false" => Self::Boolean(false),
            value => Self::Value(value.to_owned()),
        }
    }

    fn holds(&self, found: Option<&str>, facts: &Facts) -> bool {
        let Some(found) = found else { return *self == Self::Unset };
        let mut members = found.trim_matches('"').split(',');
        match self {
            Self::Unset => found == NOT_SET,
            Self::Present => true,
            Self::NotOff => found != "0" && !members.any(|member| member == "off"),
            Self::Boolean(wanted) => boolean(found) == Some(*wanted),
            Self::Has(member) => members.any(|found| found == member),
            Self::Equals(symbol) => facts.config.get(symbol).is_some_and(|value| value == found),
            Self::Value(value) => value == found,
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("unset"),
            Self::Present => f.write_str("present"),
            Self::NotOff => f.write_str("there and not off"),
            Self::Boolean(wanted) => write!(f, "`{}`", u8::from(*wanted)),
            Self::Has(member) => write!(f, "a list with `{member}`"),
            Self::Equals(symbol) => write!(f, "the value of `{symbol}`"),
            Self::Value(value) => write!(f, "`{value}`"),
        }
    }
}

/// The kernel's kstrtobool(), as far as its documentation goes: whole words only, so that nothing counts by its first letter.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "y" | "yes" | "t" | "true" | "on" => Some(true),
        "0" | "n" | "no" | "f" | "false" | "off" => Some(false),
        _ => None,
    }
}

impl Condition {
    fn found<'a>(&self, facts: &'a Facts) -> Option<&'a str> {
        match self {
            Self::Named { place: Place::Config, name, .. } => facts.config.get(name),
            Self::Named { place: Place::Cmdline, name, .. } => facts.cmdline.get(name),
            Self::Named { place: Place::Sysctl, name, .. } => facts.sysctl.get(name),
            Self::Linux(_) => None,
        }
        .map(String::as_str)
    }

    fn holds(&self, facts: &Facts) -> bool {
        match self {
            Self::Named { want, .. } => want.holds(self.found(facts), facts),
            Self::Linux(least) => facts.version >= *least,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { name, want, .. } => write!(f, "{name} {want}"),
            Self::Linux([a, b, c]) => write!(f, "Linux {a}.{b}.{c} or newer"),
        }
    }
}

impl Row {
    /// What is wanted of its name.
    #[must_use]
    pub fn expected(&self) -> String {
        match &self.own {
            Condition::Named { want, .. } => want.to_string(),
            Condition::Linux(_) => self.own.to_string(),
        }
    }

    /// What makes its own condition true: place, name and value; none where it must be absent.
    #[cfg(test)]
    pub(crate) fn example(&self) -> Option<(Place, &str, &str)> {
        let Condition::Named { place, name, want } = &self.own else { return None };
        let value = match want {
            Want::Unset => return None,
            Want::Present => "",
            Want::NotOff => "on",
            Want::Boolean(wanted) => ["off", "on"][usize::from(*wanted)],
            Want::Has(value) | Want::Value(value) => value,
            Want::Equals(_) => "33",
        };
        Some((*place, name, value))
    }

    /// Whether it holds, and what was seen.
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> (bool, String) {
        let found = match self.own.found(facts) {
            Some("") => "present".to_owned(),
            Some(NOT_SET) => "unset".to_owned(),
            Some(value) => format!("`{value}`"),
            None => "unset".to_owned(),
        };
        let way = self.ways.iter().find(|way| way.iter().all(|condition| condition.holds(facts)));
        let others = |way: &[Condition], only_broken: bool| {
            let others = way.iter().filter(|condition| **condition != self.own);
            let shown = others.filter(|condition| !only_broken || !condition.holds(facts));
            shown.map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match way {
            Some(way) if way.contains(&self.own) => (true, found),
            Some(way) => (true, format!("{found}; instead: {}", others(way, false))),
            // What is wanted is there: then what goes with it is not.
            None if self.own.holds(facts) => {
                (false, format!("{found} without: {}", others(&self.ways[0], true)))
            }
            None => (false, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        Facts {
            version: [6, 12, 30],
            config: map(&[
                ("KASLR", "y"),
                ("LSM", "\"yama,lockdown\""),
                ("BITS", "33"),
                ("BITS_MAX", "33"),
                ("KSM", NOT_SET),
            ]),
            cmdline: map(&[("quiet", ""), ("kpti", "auto,off"), ("strict", "on")]),
            sysctl: map(&[("kernel.sysrq", "0")]),
        }
    }

    fn judged(row: &str) -> (bool, String) {
        let text = format!(
            "{{schema_version: 1, architectures: [ARM64], groups: [{{kind: config, aim: a, asked_by: b, rows: [{row}]}}]}}"
        );
        Rows::parse(&text).unwrap().rows[0].judge(&facts())
    }

    #[test]
    fn the_built_in_rows_parse_and_are_unique() {
        let rows = Rows::built_in().unwrap();
        // As many as the tool has: 238 + 42 + 39 of arm64, and 219 + 39 + 39 of arm without the two of 32-bit
        // programs on 64 bits, which it leaves out there.
        for (symbol, whole, of_cmdline) in [("ARM64", 319, 42), ("ARM", 295, 39), ("RISCV", 294, 40)] {
            let mut facts = facts();
            facts.config.insert(symbol.into(), "y".into());
            let rows = rows.for_kernel(&facts).unwrap();
            let cmdline = rows.iter().filter(|row| row.place == Place::Cmdline).count();
            assert_eq!((rows.len(), cmdline), (whole, of_cmdline), "{symbol}");
        }
        assert!(rows.for_kernel(&facts()).unwrap_err().contains("`ARM64`, `ARM`, `RISCV`, and the kernel's"));
        assert!(rows.rows.iter().any(|row| row.id == "LSM:yama"));
        assert!(rows.sysctl_keys().any(|key| key == "kernel.unprivileged_userns_clone"));
    }

    #[test]
    fn each_word_is_judged() {
        for (row, holds, seen) in [
            ("{name: KASLR, want: y}", true, "`y`"),
            ("{name: KASLR, want: unset}", false, "`y`"),
            ("{name: KEXEC, want: unset}", true, "unset"),
            ("{name: KEXEC, want: y}", false, "unset"),
            ("{name: KASLR, want: present}", true, "`y`"),
            ("{name: KSM, want: unset, also: [config KSM present]}", true, "unset"),
            (
                "{name: KEXEC, want: unset, also: [config KEXEC present]}",
                false,
                "unset without: KEXEC present",
            ),
            ("{name: LSM, want: has yama}", true, "`\"yama,lockdown\"`"),
            ("{name: LSM, want: has yam}", false, "`\"yama,lockdown\"`"),
            ("{name: BITS, want: equals BITS_MAX}", true, "`33`"),
            ("{name: BITS, want: equals OTHER}", false, "`33`"),
            ("{name: KEXEC, want: y, or: [[cmdline strict true]]}", true, "unset; instead: strict `1`"),
            ("{name: KEXEC, want: y, or: [[cmdline kpti not-off]]}", false, "unset"),
            (
                "{name: KEXEC, want: y, or: [[linux 6.13.0], [linux 6.9.0, sysctl kernel.sysrq 0]]}",
                true,
                "unset; instead: Linux 6.9.0 or newer, kernel.sysrq `0`",
            ),
            ("{name: KASLR, want: y, also: [cmdline quiet unset]}", false, "`y` without: quiet unset"),
            (
                "{name: KASLR, want: y, only: [[config KASLR y, config NO y], [config KASLR y, cmdline quiet present]]}",
                true,
                "`y`",
            ),
        ] {
            assert_eq!(judged(row), (holds, seen.to_owned()), "{row}");
        }
    }

    #[test]
    fn what_is_written_wrongly_is_refused() {
        let parse = |row: &str| {
            Rows::parse(&format!(
                "{{schema_version: 1, architectures: [ARM64], groups: [{{kind: config, aim: a, asked_by: b, rows: [{row}]}}]}}"
            ))
            .unwrap_err()
        };
        assert!(parse("{name: A, want: y, or: [[config A]]}").contains("`config A` is no condition"));
        assert!(parse("{name: A, want: y}, {name: A, want: n}").contains("`A` is there twice"));
        assert!(parse("{name: A, of: [ARM64], want: y}, {name: A, want: n}").contains("`A` is there twice"));
        assert!(parse("{name: A, of: [RISCV], want: y}").contains("`A` is of `RISCV`, which is not listed"));
        assert!(parse("{name: A, want: y, wants: n}").contains("unknown field `wants`"));
        assert!(
            parse("{name: A, want: y, also: [config B y], only: [[config C y]]}").contains("`only` beside")
        );
    }

    #[test]
    fn versions_are_three_numbers() {
        assert_eq!(version("6.12.48+deb13-arm64"), Some([6, 12, 48]));
        assert_eq!(version("6.12"), None);
    }
}
