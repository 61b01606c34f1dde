//! OPC UA applications of a product, checked and turned into facts.

use std::collections::HashMap;

use diag::Diagnostic;
use serde_json::{Value, json};

use super::network::DEVICE;
use super::services::{self, Services};
use crate::decode::Spanned;
use crate::opcua::{OpcuaStandard, Policy};
use crate::plan::{NetworkFacts, OpcuaFacts, OpcuaPolicy};
use crate::product::{OpcuaApplication, OpcuaRole, Product};
use crate::source::At;
use crate::types::{Name, OpcuaTerm};

/// The protocol that the service of an application speaks.
const PROTOCOL: &str = "opc-ua";
/// What every policy's URI begins with (OPC 10000-7, 6.1).
const POLICY_URI: &str = "http://opcfoundation.org/UA/SecurityPolicy#";
/// What is spoken when the product says nothing.
const MODE: &str = "SignAndEncrypt";
const USER_TOKEN: &str = "Certificate";

/// Fills in `network.opcua`.
pub fn resolve(
    product: &Product,
    standard: Option<&OpcuaStandard>,
    services: &Services,
    network: &mut NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) {
    let Some(standard) = standard else { return };
    let mut uris: HashMap<&str, &At> = HashMap::new();
    let mut servers: HashMap<&str, &At> = HashMap::new();
    for (name, application) in product.opcua.iter() {
        if let Some((tunnel, _)) = product.tunnels.iter().find(|(tunnel, _)| tunnel.as_str() == name.as_str())
        {
            let message = format!("`{}` is a tunnel and an OPC UA application", name.as_str());
            let problem = Diagnostic::error("duplicate-name", message).at(name.at.location());
            let problem = problem.note("the tunnel is here", Some(tunnel.at.location()));
            trouble.push(problem.hint("`fastness provision --peer` takes one name for both: rename one"));
        }
        let uri = &application.application_uri;
        if let Some(first) = uris.insert(uri.as_str(), &uri.at) {
            let message = format!("the application URI `{}` is given twice", uri.as_str());
            let problem = Diagnostic::error("duplicate-name", message).at(uri.at.location());
            trouble.push(
                problem.note("the first time is here", Some(first.location())).hint("give each its own"),
            );
        }
        let service = &application.service;
        if application.role.value == OpcuaRole::Server
            && let Some(first) = servers.insert(service.as_str(), &service.at)
        {
            let message = format!("two servers listen on the port of the service `{}`", service.as_str());
            let problem = Diagnostic::error("duplicate-service", message).at(service.at.location());
            trouble.push(
                problem.note("the first one is here", Some(first.location())).hint("give each its own"),
            );
        }
        let port = port(product, name, application, services, trouble);
        let asked = Asked::of(application, standard, trouble);
        if let (Some(port), Some(asked)) = (port, asked) {
            network.opcua.insert(name.as_str().to_owned(), asked.facts(application, port));
        }
    }
}

/// The port of its service, if a conduit uses it.
fn port(
    product: &Product,
    name: &Spanned<Name>,
    application: &OpcuaApplication,
    services: &Services,
    trouble: &mut Vec<Diagnostic>,
) -> Option<u16> {
    let service = &application.service;
    let spoken = services::known(product, service, services, trouble)?;
    if spoken.protocol.is_none_or(|(protocol, _)| protocol != PROTOCOL) {
        let message = format!(
            "the service `{}` of the OPC UA application `{}` does not speak `{PROTOCOL}`",
            service.as_str(),
            name.as_str()
        );
        let hint = format!("write `protocol: {PROTOCOL}` in the service, and a `port` if it has another one");
        trouble.push(Diagnostic::error("wrong-protocol", message).at(service.at.location()).hint(hint));
        return None;
    }
    let server = application.role.value == OpcuaRole::Server;
    let leads = |conduit: &crate::product::Conduit| {
        let end = if server { &conduit.to } else { &conduit.from };
        conduit.service.as_str() == service.as_str() && end.as_str() == DEVICE
    };
    if !product.conduits.iter().any(leads) {
        let (message, end) = if server {
            (format!("no conduit leads to the OPC UA server `{}`", name.as_str()), "to")
        } else {
            (format!("no conduit lets the OPC UA client `{}` out", name.as_str()), "from")
        };
        let hint = format!("add a conduit with `{end}: {DEVICE}` and `service: {}`", service.as_str());
        trouble.push(Diagnostic::error("unreachable-service", message).at(name.at.location()).hint(hint));
        return None;
    }
    spoken.endpoints.first().map(|(_, port)| *port)
}

/// What an application asks, and may have.
struct Asked<'t> {
    policies: Vec<&'t Policy>,
    modes: Vec<String>,
    user_tokens: Vec<String>,
}

impl<'t> Asked<'t> {
    fn of(
        application: &OpcuaApplication,
        standard: &'t OpcuaStandard,
        trouble: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let before = trouble.len();
        for mode in &application.modes {
            standard.mode(mode, trouble);
        }
        for token in &application.user_tokens {
            standard.user_token(token, trouble);
        }
        let stack = application.stack.value;
        let mut policies: Vec<&Policy> =
            application.policies.iter().filter_map(|asked| standard.policy(asked, stack, trouble)).collect();
        if application.policies.is_empty() {
            // One application has one certificate, hence one kind of key.
            let mut all = standard.of_stack(stack);
            let first = all.next();
            policies = first
                .into_iter()
                .chain(all.filter(|other| first.is_some_and(|f| f.key == other.key)))
                .collect();
        }
        reject_mixed(application, &policies, trouble);
        let words = |given: &[Spanned<OpcuaTerm>], default: &str| -> Vec<String> {
            let given: Vec<String> = given.iter().map(|word| word.as_str().to_owned()).collect();
            if given.is_empty() { vec![default.to_owned()] } else { given }
        };
        (trouble.len() == before && !policies.is_empty()).then(|| Self {
            modes: words(&application.modes, MODE),
            user_tokens: words(&application.user_tokens, USER_TOKEN),
            policies,
        })
    }

    fn facts(&self, application: &OpcuaApplication, port: u16) -> OpcuaFacts {
        let bits = |bits: u64| u32::try_from(bits).unwrap_or(u32::MAX);
        OpcuaFacts {
            role: application.role.as_str().to_owned(),
            stack: application.stack.as_str().to_owned(),
            application_uri: application.application_uri.as_str().to_owned(),
            service: application.service.as_str().to_owned(),
            port,
            modes: self.modes.clone(),
            policies: self.policies.iter().map(|policy| facts_of(policy)).collect(),
            user_tokens: self.user_tokens.clone(),
            key: self.policies.first().map_or("none", |policy| policy.key.as_str()).to_owned(),
            key_bits: self.policies.iter().map(|policy| bits(policy.key_bits.0)).max().unwrap_or_default(),
            key_bits_max: self
                .policies
                .iter()
                .map(|policy| bits(policy.key_bits_max.0))
                .min()
                .unwrap_or_default(),
            discovery: application.discovery.0,
            reason: application.reason.0.clone(),
        }
    }
}

fn facts_of(policy: &Policy) -> OpcuaPolicy {
    OpcuaPolicy {
        name: policy.name.as_str().to_owned(),
        uri: format!("{POLICY_URI}{}", policy.name.as_str()),
        asymmetric: policy.asymmetric.as_str().to_owned(),
        symmetric: policy.symmetric.as_str().to_owned(),
        certificate_hash: policy.certificate_hash.as_str().to_owned(),
    }
}

/// Two kinds of keys would need two certificates.
fn reject_mixed(application: &OpcuaApplication, policies: &[&Policy], trouble: &mut Vec<Diagnostic>) {
    let Some(first) = policies.first() else { return };
    let Some(other) = policies.iter().find(|policy| policy.key != first.key) else { return };
    let asked = application.policies.iter().find(|asked| asked.value == other.name);
    let message = format!(
        "the policies `{}` ({}) and `{}` ({}) need keys of two kinds, and an application has one certificate",
        first.name.as_str(),
        first.key.as_str(),
        other.name.as_str(),
        other.key.as_str()
    );
    let at = asked.map_or(&application.stack.at, |asked| &asked.at);
    trouble.push(
        Diagnostic::error("mixed-policies", message)
            .at(at.location())
            .hint("name policies of one kind of key"),
    );
}

/// Every application of a stack (of any, without one), as `application` for what is made for each.
pub fn items(network: &NetworkFacts, stack: Option<&str>) -> Vec<Value> {
    let of_stack = |facts: &&OpcuaFacts| stack.is_none_or(|stack| stack == facts.stack);
    network.opcua.iter().filter(|(_, facts)| of_stack(facts)).map(|(name, facts)| item(name, facts)).collect()
}

/// One application with its name.
pub fn item(name: &str, facts: &OpcuaFacts) -> Value {
    // Facts hold only strings, numbers, lists and maps with string keys: this cannot fail.
    let mut item = serde_json::to_value(facts).unwrap_or_default();
    item["name"] = name.into();
    item["server"] = json!(facts.role == "server");
    item["peer_uri"] = "".into();
    item
}

/// The other end of one: a client for a server, a server for a client.
pub fn other_end(name: &str, facts: &OpcuaFacts) -> Value {
    let mut item = item(name, facts);
    let client = facts.role == "server";
    item["role"] = if client { "client" } else { "server" }.into();
    item["server"] = json!(!client);
    // Its own URI is its owner's choice, and in its certificate; it knows the device by the product's.
    item["peer_uri"] = facts.application_uri.clone().into();
    item["application_uri"] = "".into();
    item
}
