//! The kinds of checks: one file each, and one line in [`KINDS`].
//!
//! A kind says what its `with` looks like (a type that refuses unknown keys) and how to look.
//! It never decides about waivers and never turns "could not look" into a conclusion.

mod accounts;
mod all_of;
mod as_planned;
mod audit_calls;
pub(crate) mod audit_order;
pub(crate) mod audit_rules;
pub(crate) mod console_login;
pub(crate) mod control_fdt_key;
mod data_reserved;
mod elf_hardening;
mod file_absent;
mod file_mode;
mod file_present;
mod file_text;
mod fit_signed;
mod flow_ports;
mod guide_entries;
mod hardware_declared;
mod kconfig;
mod kconfig_embedded;
mod kernel_cmdline;
mod kernel_hardening;
mod key_value;
mod monitoring_current;
mod mounts;
mod nft_machine;
mod nft_ruleset;
mod nft_walk;
mod owned_by_root;
mod packet_filter;
mod partition_table;
mod passwords_unused;
mod ports_declared;
mod random_source;
mod remote_login;
mod rollback_version;
mod secrets_absent;
mod selfcheck;
mod service_limits;
mod service_sandbox;
mod service_users;
mod services;
mod setuid_list;
mod sshd_lists;
mod symmetric_keys;
pub(crate) mod sysctl;
mod time_authenticated;
mod tmpfiles_modes;
mod uboot_config;
pub(crate) mod unit_state;
mod update_keys;
mod verity_root;
mod watchdog;
mod weak_assets;
mod where_present;
mod world_writable;

pub(crate) use kernel_cmdline::{split as kernel_parameter, words as kernel_words};

use diag::{Diagnostic, Location, did_you_mean};
use serde::de::DeserializeOwned;
use serde_json::Value;
use spec::plan::{Origin, Plan};

use crate::{Conclusion, Context, Unable};
pub use nft_machine::Loaded;
pub(crate) use nft_ruleset::load_anyhow;

/// One kind of check.
pub trait Kind {
    /// Its name in layer files.
    const NAME: &'static str;
    /// When it holds, in one line.
    const DESCRIPTION: &'static str;
    /// Its parameters.
    type With: DeserializeOwned;

    /// What is wrong with parameters that have the right types.
    fn problems(_with: &Self::With) -> Vec<String> {
        Vec::new()
    }

    /// Looks.
    ///
    /// # Errors
    /// When it cannot come to a conclusion.
    fn run(with: Self::With, context: &Context) -> Result<Conclusion, Unable>;
}

/// A kind as the registry has it.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name in layer files.
    pub name: &'static str,
    /// When it holds, in one line.
    pub description: &'static str,
    /// What is wrong with these parameters.
    pub validate: fn(&Value) -> Vec<String>,
    /// Looks.
    pub run: fn(&Value, &Context) -> Result<Conclusion, Unable>,
}

const fn entry<K: Kind>() -> Entry {
    Entry { name: K::NAME, description: K::DESCRIPTION, validate: validate_with::<K>, run: run_with::<K> }
}

/// Every kind, sorted by name.
pub const KINDS: &[Entry] = &[
    entry::<accounts::Accounts>(),
    entry::<all_of::AllOf>(),
    entry::<as_planned::AsPlanned>(),
    entry::<audit_calls::AuditCalls>(),
    entry::<audit_rules::AuditRules>(),
    entry::<console_login::ConsoleLogin>(),
    entry::<control_fdt_key::ControlFdtKey>(),
    entry::<data_reserved::DataReserved>(),
    entry::<elf_hardening::ElfHardening>(),
    entry::<file_absent::FileAbsent>(),
    entry::<file_mode::FileMode>(),
    entry::<file_present::FilePresent>(),
    entry::<file_text::FileText>(),
    entry::<fit_signed::FitSigned>(),
    entry::<flow_ports::FlowPorts>(),
    entry::<guide_entries::GuideEntries>(),
    entry::<hardware_declared::HardwareDeclared>(),
    entry::<kconfig::Kconfig>(),
    entry::<kconfig_embedded::KconfigEmbedded>(),
    entry::<kernel_cmdline::KernelCmdline>(),
    entry::<kernel_hardening::KernelHardening>(),
    entry::<key_value::KeyValue>(),
    entry::<monitoring_current::MonitoringCurrent>(),
    entry::<mounts::Mounts>(),
    entry::<nft_ruleset::NftRuleset>(),
    entry::<owned_by_root::OwnedByRoot>(),
    entry::<packet_filter::PacketFilter>(),
    entry::<partition_table::PartitionTable>(),
    entry::<passwords_unused::PasswordsUnused>(),
    entry::<ports_declared::PortsDeclared>(),
    entry::<random_source::RandomSource>(),
    entry::<remote_login::RemoteLogin>(),
    entry::<rollback_version::RollbackVersion>(),
    entry::<secrets_absent::SecretsAbsent>(),
    entry::<selfcheck::Selfcheck>(),
    entry::<service_limits::ServiceLimits>(),
    entry::<service_sandbox::ServiceSandbox>(),
    entry::<service_users::ServiceUsers>(),
    entry::<setuid_list::SetuidList>(),
    entry::<sshd_lists::SshdLists>(),
    entry::<symmetric_keys::SymmetricKeys>(),
    entry::<sysctl::Sysctl>(),
    entry::<time_authenticated::TimeAuthenticated>(),
    entry::<tmpfiles_modes::TmpfilesModes>(),
    entry::<uboot_config::UbootConfig>(),
    entry::<unit_state::UnitStates>(),
    entry::<update_keys::UpdateKeys>(),
    entry::<verity_root::VerityRoot>(),
    entry::<watchdog::Watchdog>(),
    entry::<weak_assets::WeakAssets>(),
    entry::<where_present::WherePresent>(),
    entry::<world_writable::WorldWritable>(),
];

/// The kind of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// What is wrong with the plan's checks: an unknown kind, parameters that the kind does not take.
#[must_use]
pub fn validate(plan: &Plan) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (id, asked) in &plan.checks {
        let check = &asked.value;
        let at = asked.origins.first().map(location);
        let mut add = |diagnostic: Diagnostic| {
            found.push(match &at {
                Some(at) => diagnostic.at(at.clone()),
                None => diagnostic,
            });
        };
        let Some(kind) = find(&check.kind) else {
            let hint = match did_you_mean(&check.kind, KINDS.iter().map(|kind| kind.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("the kinds are {}", KINDS.iter().map(|k| k.name).collect::<Vec<_>>().join(", "))
                }
            };
            add(Diagnostic::error(
                "unknown-check-kind",
                format!("check `{id}` has kind `{}`, which does not exist", check.kind),
            )
            .hint(hint));
            continue;
        };
        for problem in (kind.validate)(&check.with) {
            add(Diagnostic::error(
                "check-parameters",
                format!("check `{id}`: `with` does not suit kind `{}`: {problem}", kind.name),
            )
            .hint(format!("`{}` holds when {}; see docs/contract.md", kind.name, kind.description)));
        }
    }
    for (waived, asked) in &plan.waivers {
        let Some(hint) = kernel_hardening::misnamed(waived) else { continue };
        let message = format!("nothing to waive: no row of the kernel's standard is named `{waived}`");
        let diagnostic = Diagnostic::error("unknown-waiver", message).hint(hint);
        found.push(match asked.origins.first() {
            Some(origin) => diagnostic.at(location(origin)),
            None => diagnostic,
        });
    }
    found
}

fn location(origin: &Origin) -> Location {
    Location { file: origin.file.clone(), line: origin.line, column: 1, length: 1, excerpt: String::new() }
}

fn parse<K: Kind>(with: &Value) -> Result<K::With, String> {
    // A check without parameters may leave `with` out.
    let empty = Value::Object(serde_json::Map::new());
    let with = if with.is_null() { &empty } else { with };
    serde_json::from_value::<K::With>(with.clone()).map_err(|e| e.to_string())
}

fn validate_with<K: Kind>(with: &Value) -> Vec<String> {
    match parse::<K>(with) {
        Ok(with) => K::problems(&with),
        Err(problem) => vec![problem],
    }
}

fn run_with<K: Kind>(with: &Value, context: &Context) -> Result<Conclusion, Unable> {
    let with = parse::<K>(with)
        .map_err(|why| Unable::broken(format!("`with` does not suit `{}`: {why}", K::NAME)))?;
    K::run(with, context)
}

/// Parameters of a kind that takes none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_sorted_unique_and_described() {
        assert!(KINDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(KINDS.iter().all(|kind| !kind.description.is_empty()));
    }

    #[test]
    fn a_waiver_of_a_row_that_does_not_exist_is_found() {
        let mut plan = crate::report::sample::plan();
        let waiver = plan.waivers.values().next().cloned().unwrap();
        for name in ["kernel-hardening-checker:KSM", "kernel-hardening-checker:RANDOMISE_BASE"] {
            plan.waivers.insert(name.to_owned(), waiver.clone());
        }
        plan.checks.clear();
        let text: Vec<String> = validate(&plan).iter().map(|d| format!("{d:?}")).collect();
        assert_eq!(text.len(), 1, "{text:?}");
        assert!(text[0].contains("is named `kernel-hardening-checker:RANDOMISE_BASE`"), "{text:?}");
        assert!(text[0].contains("did you mean `kernel-hardening-checker:RANDOMIZE_BASE`?"), "{text:?}");
    }

    #[test]
    fn every_kind_refuses_an_unknown_parameter() {
        for kind in KINDS {
            let problems = (kind.validate)(&json!({"no-such-parameter": 1}));
            let text = problems.join(" ");
            assert!(
                text.contains("no-such-parameter") || text.contains("missing field"),
                "{}: {text}",
                kind.name
            );
        }
    }
}
