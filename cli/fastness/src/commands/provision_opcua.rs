//! The OPC UA applications of `fastness provision`: whose identity goes where, and who may log in.

use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use pki::Holder;
use pki::opcua::Application;
use spec::plan::{OpcuaFacts, Plan};

use super::provision::{Arguments, layer_folder};

/// An application with the name of its identity.
pub(super) struct Wanted<'a> {
    pub(super) identity: &'a str,
    pub(super) application: Application,
}

/// What is provisioned: all applications of a device, or the other end of one.
pub(super) fn wanted<'a>(plan: &Plan, arguments: &'a Arguments) -> Outcome<Vec<Wanted<'a>>> {
    if let Some(peer) = &arguments.peer {
        let facts = plan.network.opcua.get(peer).zip(arguments.name.as_deref());
        return Ok(facts.into_iter().map(|(facts, identity)| other_end(peer, facts, identity)).collect());
    }
    if let Some((name, _)) = arguments.opcua.iter().find(|(name, _)| !plan.network.opcua.contains_key(name)) {
        let message = format!("expected an OPC UA application in `--opcua`, found `{}`", name.escape_debug());
        return Err(Failure::error(ExitStatus::Usage, "no-application", message)
            .hint("the product's `opcua` names them"));
    }
    plan.network.opcua.iter().map(|(name, facts)| own_end(plan, name, facts, arguments)).collect()
}

fn own_end<'a>(plan: &Plan, name: &str, facts: &OpcuaFacts, arguments: &'a Arguments) -> Outcome<Wanted<'a>> {
    let Some((_, identity)) = arguments.opcua.iter().find(|(given, _)| given == name) else {
        let message = format!("the OPC UA application `{name}` needs its identity, and `--opcua` names none");
        let algorithm = if facts.key == "rsa" { "rsa3072" } else { &facts.key };
        return Err(Failure::error(ExitStatus::Usage, "no-opcua", message).hint(format!(
            "`fastness pki issue IDENTITY --role opcua --algorithm {algorithm} --san uri:{}:SERIAL`, then `--opcua {name}=IDENTITY`",
            facts.application_uri
        )));
    };
    let folder = format!("{}/{name}", layer_folder(plan, "opcua")?);
    let group = plan.users.get("opcua").and_then(|user| plan.groups.get(&user.value.group));
    let group = group.map_or(0, |group| group.value.gid);
    Ok(Wanted { identity, application: application(facts, folder, group, true) })
}

fn other_end<'a>(name: &str, facts: &OpcuaFacts, identity: &'a str) -> Wanted<'a> {
    Wanted { identity, application: application(facts, name.to_owned(), 0, false) }
}

fn application(facts: &OpcuaFacts, folder: String, group: u32, device: bool) -> Application {
    Application {
        folder,
        group,
        key: facts.key.clone(),
        key_bits: facts.key_bits,
        key_bits_max: facts.key_bits_max,
        uri: facts.application_uri.clone(),
        device,
        server: (facts.role == "server") == device,
        mbedtls: facts.stack == "open62541",
    }
}

impl Wanted<'_> {
    /// Those who may log in, if it is a server.
    pub(super) fn operators(
        &self,
        folder: &Path,
        lists: Option<&str>,
        arguments: &Arguments,
        now: u64,
    ) -> Outcome<Vec<Holder>> {
        let names = arguments.operator.iter().filter(|_| self.application.server);
        names.map(|name| Holder::open(folder, name, lists.map(str::to_owned), now)).collect()
    }
}

/// `APPLICATION=IDENTITY`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, identity)) if !name.is_empty() && !identity.is_empty() => {
            Ok((name.to_owned(), identity.to_owned()))
        }
        _ => Err("expected `APPLICATION=IDENTITY`".to_owned()),
    }
}
