//! What is made for others than the device: the peer's end of each tunnel, the collector's, the MUD file, and what a
//! person does for the root of trust.

use std::collections::BTreeMap;

use crate::library::Area;
use crate::plan::{BoardFacts, NetworkFacts, ProductFacts};
use crate::source::At;

use super::{Resolver, ends, mud, opcua};

/// Templates of a peer's end by kind of tunnel: file name and template.
const ENDS: [(&str, &str, &str); 3] = [
    ("strongswan", "swanctl.conf", "peer/strongswan.swanctl.conf.hbs"),
    ("openvpn", "openvpn.conf", "peer/openvpn.server.conf.hbs"),
    ("wireguard", "wireguard.conf", "peer/wireguard.conf.hbs"),
];
/// The firewall of each.
const RULES: (&str, &str) = ("nftables.conf", "peer/ruleset.nft.hbs");

/// What the other end of an OPC UA application may be configured with: file name and template.
const OPCUA: [(&str, &str); 3] = [
    ("open62541.conf", "opcua/open62541.conf.hbs"),
    ("dotnet-standard.xml", "opcua/dotnet-standard.xml.hbs"),
    ("settings.json", "opcua/settings.json.hbs"),
];

/// What a collector may be configured with: file name and template.
const COLLECTOR: (&str, &str) = ("rsyslog.conf", "peer/collector.rsyslog.conf.hbs");

impl Resolver<'_> {
    /// The files by their path below the output folder.
    pub(super) fn outside(
        &mut self,
        product: &ProductFacts,
        board: &BoardFacts,
        network: &NetworkFacts,
        at: &At,
    ) -> BTreeMap<String, String> {
        let mut files = BTreeMap::from([("mud.json".to_owned(), mud::file(product, network))]);
        if board.trust.is_some() {
            files.insert("root-of-trust.txt".to_owned(), board.root_of_trust_text());
        }
        for (name, tunnel) in &network.tunnels {
            self.renderer.set("tunnel", ends::item(name, tunnel, network));
            let own = ENDS
                .iter()
                .filter(|(kind, ..)| *kind == tunnel.kind)
                .map(|(_, file, template)| (*file, *template));
            for (file, template) in own.chain([RULES]) {
                if let Some(text) = self.template_file(Area::Templates, template, at) {
                    files.insert(format!("peer/{name}/{file}"), text);
                }
            }
        }
        self.renderer.unset("tunnel");
        // There the identity lies in the folder that `fastness provision --peer` makes.
        self.renderer.set("parameters", serde_json::json!({"folder": "."}));
        for (name, application) in &network.opcua {
            self.renderer.set("application", opcua::other_end(name, application));
            for (file, template) in OPCUA {
                if let Some(text) = self.template_file(Area::Templates, template, at) {
                    files.insert(format!("opcua/{name}/{file}"), text);
                }
            }
        }
        self.renderer.unset("application");
        if let Some(collector) = &network.collector
            && let Some(text) = self.template_file(Area::Templates, COLLECTOR.1, at)
        {
            files.insert(format!("collector/{}/{}", collector.name, COLLECTOR.0), text);
        }
        files
    }
}
