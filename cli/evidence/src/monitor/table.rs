//! `standards/analysis/monitoring.yaml`: which imports need what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

/// A switch of a service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// As it stands in the unit.
    pub set: String,
    /// Kinds of calls that forbid it.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Beginnings of texts that forbid it.
    #[serde(default)]
    pub strings: Vec<String>,
    /// Beginnings of texts that are allowed all the same.
    #[serde(default)]
    pub but: Vec<String>,
    /// Whether it needs the units of a started system.
    #[serde(default)]
    pub late: bool,
    /// What must hold of the image.
    #[serde(default)]
    pub image: Option<OfImage>,
}

/// What must hold of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfImage {
    /// No file gives rights to who starts it.
    NoPrivilegedFiles,
    /// Every program is for one machine.
    OneMachine,
}

/// A capability.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// Name.
    pub name: String,
    /// Kinds of calls that may need it.
    pub unless: Vec<String>,
    /// Beginnings of texts that may need it.
    #[serde(default)]
    pub strings: Vec<String>,
}

/// System calls beyond those of every service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// A call or a group.
    pub add: String,
    /// Kinds of calls that need it.
    pub when: Vec<String>,
}

/// Address families.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Families {
    /// Those of whoever opens sockets.
    pub any: Vec<String>,
    /// Functions that open a socket.
    pub open: Vec<String>,
    /// Functions that speak to this machine.
    pub local: Vec<String>,
    /// Functions that ask for names or interfaces.
    pub names: Vec<String>,
    /// Libraries whose families are known.
    pub libraries: Vec<LibraryFamilies>,
}

/// Families of a library.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibraryFamilies {
    /// Its name.
    pub name: String,
    /// Its families.
    pub families: Vec<String>,
}

/// A system call that few programs need.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rare {
    /// The call.
    pub call: String,
    /// Functions that make it.
    pub imports: Vec<String>,
}

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    calls: BTreeMap<String, Vec<String>>,
    /// Switches of a service.
    pub settings: Vec<Setting>,
    /// Capabilities.
    pub capabilities: Vec<Capability>,
    /// System calls.
    pub filters: Vec<Filter>,
    /// Address families.
    pub families: Families,
    c_library: Vec<String>,
    /// Programs whose start is a word to the running manager.
    pub not_followed: BTreeSet<String>,
    /// Programs that change how the device is protected.
    pub administrative: BTreeSet<String>,
    /// System calls that few programs need.
    pub rare: Vec<Rare>,
}

impl Table {
    /// The one that is compiled in. A test reads it: nothing of it can be wrong here.
    ///
    /// # Errors
    /// When it is wrong all the same.
    pub fn built_in() -> Result<&'static Self, String> {
        static TABLE: OnceLock<Result<Table, String>> = OnceLock::new();
        let made = TABLE.get_or_init(|| {
            let value = crate::yaml::load(include_str!("../../../../standards/analysis/monitoring.yaml"))?;
            let table: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
            let kinds = table.settings.iter().flat_map(|setting| &setting.unless);
            let kinds = kinds.chain(table.capabilities.iter().flat_map(|capability| &capability.unless));
            let mut kinds = kinds.chain(table.filters.iter().flat_map(|filter| &filter.when));
            match kinds.find(|kind| !table.calls.contains_key(*kind)) {
                Some(kind) => Err(format!("there are no calls `{kind}`")),
                None => Ok(table),
            }
        });
        made.as_ref().map_err(|why| format!("monitoring.yaml: {why}"))
    }

    /// The imports that are of one of the kinds, as a reason.
    #[must_use]
    pub fn of_kinds<'a>(&self, kinds: &[String], imports: &'a BTreeSet<String>) -> Vec<&'a str> {
        let lists = kinds.iter().filter_map(|kind| self.calls.get(kind)).flatten();
        let mut found: Vec<&str> = lists
            .flat_map(|name| match name.strip_suffix('*') {
                Some(start) => imports.iter().filter(|one| one.starts_with(start)).collect::<Vec<_>>(),
                None => imports.get(name).into_iter().collect(),
            })
            .map(String::as_str)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether it is a part of the C library.
    #[must_use]
    pub fn is_c_library(&self, name: &str) -> bool {
        self.c_library
            .iter()
            .any(|one| name == one || (one.ends_with('-') || !one.contains('.')) && name.starts_with(one))
    }
}
