//! Programs and settings of services by their names (`standards/analysis/services.yaml`).

use std::sync::OnceLock;

use serde::Deserialize;

use super::rules;

/// The table.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    /// Programs that send passwords or commands in the clear.
    pub clear_text: Vec<String>,
    /// Programs that give control to whoever reaches them.
    pub debug: Vec<String>,
    /// Programs that listen on the network.
    pub network: Vec<String>,
    /// Communities of SNMP that everybody tries.
    pub communities: Vec<String>,
    /// Settings of sshd that trust what should not be trusted.
    pub ssh_settings: Vec<Bad>,
    /// Weak algorithms of sshd.
    pub ssh_algorithms: Vec<Weak>,
}

/// A value of a keyword.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bad {
    /// The keyword.
    pub keyword: String,
    /// The value.
    pub value: String,
}

/// Names that are weak in a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weak {
    /// The keyword of the list.
    pub keyword: String,
    /// How weak names begin.
    pub weak: Vec<String>,
}

/// The compiled-in table; a test proves that it is read.
#[must_use]
pub fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        rules::read(include_str!("../../../../standards/analysis/services.yaml")).unwrap_or_default()
    })
}

/// Whether a list names a program.
#[must_use]
pub fn named(list: &[String], name: &str) -> bool {
    list.iter().any(|known| known == name)
}

#[cfg(test)]
#[test]
fn the_table_is_read() {
    assert!(known().network.len() > 20 && known().ssh_algorithms.len() > 3);
}
