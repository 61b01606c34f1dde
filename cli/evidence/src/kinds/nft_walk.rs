//! What a loaded ruleset accepts: a walk over nft's JSON, chain by chain.
//!
//! Source: libnftables-json(5). The walk over-approximates: a match that it does not
//! understand restricts nothing, so that a rule can look wider than it is, never narrower.
//! Rules that drop are not subtracted, save an unconditional end of a chain.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const STATE_LIMIT: usize = 65_536;
const DEPTH_LIMIT: usize = 16;
const PORT_LIMIT: u64 = 64;

/// What a packet must be for a rule to accept it; `None`: anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// Interface it comes from.
    pub from: Option<BTreeSet<String>>,
    /// Interface it goes to.
    pub to: Option<BTreeSet<String>>,
    /// Transports.
    pub transport: Option<BTreeSet<String>>,
    /// Destination ports.
    pub ports: Option<BTreeSet<u16>>,
    /// Connection states.
    pub states: Option<BTreeSet<String>>,
    /// IP family and source prefixes.
    pub source: Option<(String, BTreeSet<String>)>,
    /// IP family and destination prefixes.
    pub destination: Option<(String, BTreeSet<String>)>,
    /// `reqid` of the IPsec policy that it came, or is to leave, under.
    pub reqid: Option<BTreeSet<String>>,
    /// Whether a rate limits it.
    pub limited: bool,
}

/// A ruleset, read back.
#[derive(Debug, Default)]
pub struct Ruleset {
    /// Chains by family, table and name.
    chains: BTreeMap<(String, String, String), Chain>,
    sets: BTreeMap<(String, String, String), Value>,
}

#[derive(Debug, Default)]
struct Chain {
    hook: Option<String>,
    kind: String,
    policy: String,
    rules: Vec<Value>,
}

/// A base chain as the check needs it.
#[derive(Debug)]
pub struct Base {
    /// `family table chain`.
    pub name: String,
    /// IP family of the table.
    pub family: String,
    /// `accept` or `drop`.
    pub policy: String,
    /// What it accepts.
    pub accepts: Vec<Accept>,
    /// Whether a rule of its own records packets, bounded by a rate.
    pub logs: bool,
}

impl Ruleset {
    /// Reads the output of `nft -j list ruleset`.
    ///
    /// # Errors
    /// When it does not have the documented shape.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(json).map_err(|e| format!("nft's JSON: {e}"))?;
        let list = value["nftables"].as_array().ok_or("nft's JSON has no `nftables` list")?;
        let mut ruleset = Self::default();
        for item in list {
            let text = |object: &Value, key: &str| object[key].as_str().unwrap_or_default().to_owned();
            let key = |object: &Value, name: &str| {
                (text(object, "family"), text(object, "table"), text(object, name))
            };
            if let Some(chain) = item.get("chain") {
                let entry = ruleset.chains.entry(key(chain, "name")).or_default();
                entry.hook = chain["hook"].as_str().map(str::to_owned);
                entry.kind = text(chain, "type");
                entry.policy = chain["policy"].as_str().unwrap_or("accept").to_owned();
            } else if let Some(rule) = item.get("rule") {
                ruleset.chains.entry(key(rule, "chain")).or_default().rules.push(rule["expr"].clone());
            } else if let Some(set) = item.get("set").or_else(|| item.get("map")) {
                ruleset.sets.insert(key(set, "name"), set["elem"].clone());
            }
        }
        Ok(ruleset)
    }

    /// The filter chains at a hook (`input`, `forward`, `output`) of the IP families.
    ///
    /// # Errors
    /// When chains call each other without end or fan out without bound.
    pub fn bases(&self, hook: &str) -> Result<Vec<Base>, String> {
        let mut bases = Vec::new();
        for (key @ (family, table, name), chain) in &self.chains {
            let ip = ["inet", "ip", "ip6"].contains(&family.as_str());
            if !ip || chain.kind != "filter" || chain.hook.as_deref() != Some(hook) {
                continue;
            }
            let mut accepts = Vec::new();
            self.walk(key, vec![Accept::default()], &mut accepts, 0)?;
            bases.push(Base {
                name: format!("{family} {table} {name}"),
                family: family.clone(),
                policy: chain.policy.clone(),
                accepts,
                logs: chain.rules.iter().any(logs),
            });
        }
        Ok(bases)
    }

    fn walk(
        &self,
        key: &(String, String, String),
        entering: Vec<Accept>,
        accepts: &mut Vec<Accept>,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEPTH_LIMIT {
            return Err(format!("chains nest deeper than {DEPTH_LIMIT}"));
        }
        let chain = self.chains.get(key).ok_or_else(|| format!("there is no chain `{}`", key.2))?;
        for rule in &chain.rules {
            let mut states = entering.clone();
            let mut conditional = false;
            for expression in rule.as_array().into_iter().flatten() {
                if states.len() > STATE_LIMIT || accepts.len() > STATE_LIMIT {
                    return Err(format!("more than {STATE_LIMIT} combinations"));
                }
                if let Some(matched) = expression.get("match") {
                    conditional = true;
                    states = self.restricted(key, states, matched);
                } else if let Some(map) = expression.get("vmap") {
                    conditional = true;
                    self.mapped(key, &states, map, accepts, depth)?;
                } else if expression.get("limit").is_some() {
                    conditional = true;
                    // `limit rate over` matches what is beyond the rate: that bounds nothing.
                    let bounds = expression["limit"]["inv"] != Value::Bool(true);
                    states.iter_mut().for_each(|state| state.limited |= bounds);
                } else if let Some(set) = expression.get("set") {
                    // A member of a set for each sender, with what bounds that sender alone.
                    conditional = true;
                    let mut kept = set["stmt"].as_array().into_iter().flatten();
                    let bounds = kept
                        .any(|kept| kept["limit"].is_object() && kept["limit"]["inv"] != Value::Bool(true));
                    states.iter_mut().for_each(|state| state.limited |= bounds);
                } else if expression.get("accept").is_some() {
                    accepts.append(&mut states);
                    if !conditional {
                        return Ok(());
                    }
                } else if let Some(call) = expression.get("jump").or_else(|| expression.get("goto")) {
                    self.call(key, call, states.clone(), accepts, depth)?;
                } else if ["drop", "return", "reject"].iter().any(|end| expression.get(end).is_some())
                    && !conditional
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn call(
        &self,
        key: &(String, String, String),
        call: &Value,
        states: Vec<Accept>,
        accepts: &mut Vec<Accept>,
        depth: usize,
    ) -> Result<(), String> {
        let target = call["target"].as_str().unwrap_or_default().to_owned();
        self.walk(&(key.0.clone(), key.1.clone(), target), states, accepts, depth + 1)
    }

    fn mapped(
        &self,
        key: &(String, String, String),
        states: &[Accept],
        map: &Value,
        accepts: &mut Vec<Accept>,
        depth: usize,
    ) -> Result<(), String> {
        let data = self.elements(key, &map["data"]);
        for pair in data.iter().filter_map(Value::as_array).filter(|pair| pair.len() == 2) {
            let one = serde_json::json!({"op": "==", "left": map["key"], "right": pair[0]});
            let states = self.restricted(key, states.to_vec(), &one);
            if pair[1].get("accept").is_some() {
                accepts.extend(states);
            } else if let Some(call) = pair[1].get("jump").or_else(|| pair[1].get("goto")) {
                self.call(key, call, states, accepts, depth)?;
            }
        }
        Ok(())
    }

    /// The members of a right-hand side: a named set, an anonymous one, or one value.
    fn elements(&self, key: &(String, String, String), value: &Value) -> Vec<Value> {
        let unwrapped = |value: &Value| match value.get("elem") {
            Some(Value::Object(element)) => element.get("val").cloned().unwrap_or(Value::Null),
            _ => value.clone(),
        };
        let list = |value: &Value| value.as_array().map(|list| list.iter().map(unwrapped).collect());
        if let Some(name) = value.as_str().and_then(|text| text.strip_prefix('@')) {
            let set = self.sets.get(&(key.0.clone(), key.1.clone(), name.to_owned()));
            // A set that is empty now may be filled later: it restricts nothing.
            return set.and_then(list).unwrap_or_default();
        }
        if let Some(list) = value.get("set").and_then(list) {
            return list;
        }
        list(value).unwrap_or_else(|| vec![value.clone()])
    }

    fn restricted(
        &self,
        key: &(String, String, String),
        states: Vec<Accept>,
        matched: &Value,
    ) -> Vec<Accept> {
        if !matches!(matched["op"].as_str(), Some("==" | "in")) {
            return states;
        }
        let left = &matched["left"];
        let right = self.elements(key, &matched["right"]);
        if right.is_empty() {
            return states;
        }
        let Some(fields) = left["concat"].as_array() else {
            return states
                .into_iter()
                .map(|mut state| {
                    restrict(&mut state, left, &right);
                    state
                })
                .collect();
        };
        let mut result = Vec::new();
        for state in &states {
            for element in &right {
                let mut state = state.clone();
                let parts = element["concat"].as_array().cloned().unwrap_or_default();
                for (field, part) in fields.iter().zip(&parts) {
                    restrict(&mut state, field, std::slice::from_ref(part));
                }
                result.push(state);
            }
        }
        result
    }
}

/// A rule that only logs, for every packet that comes so far, at a bounded rate.
fn logs(rule: &Value) -> bool {
    let has = |name: &str| rule.as_array().into_iter().flatten().any(|part| part.get(name).is_some());
    has("log") && has("limit") && !has("match")
}

fn restrict(state: &mut Accept, field: &Value, values: &[Value]) {
    let texts = || values.iter().map(text).collect::<BTreeSet<String>>();
    if let Some(meta) = field["meta"]["key"].as_str() {
        match meta {
            "iif" | "iifname" => narrow(&mut state.from, texts()),
            "oif" | "oifname" => narrow(&mut state.to, texts()),
            "l4proto" => {
                narrow(&mut state.transport, texts().iter().map(|name| protocol_name(name)).collect())
            }
            _ => {}
        }
    } else if field["ipsec"]["key"] == "reqid" {
        narrow(&mut state.reqid, texts());
    } else if field["ct"]["key"] == "state" {
        narrow(&mut state.states, texts());
    } else if let (Some(protocol), Some(name)) =
        (field["payload"]["protocol"].as_str(), field["payload"]["field"].as_str())
    {
        match (protocol, name) {
            ("tcp" | "udp" | "th", "dport") => {
                if protocol != "th" {
                    narrow(&mut state.transport, BTreeSet::from([protocol.to_owned()]));
                }
                if let Some(ports) = ports(values) {
                    narrow(&mut state.ports, ports);
                }
            }
            ("tcp" | "udp" | "icmp" | "icmpv6" | "esp" | "ah", _) => {
                let name = if protocol == "icmpv6" { "ipv6-icmp" } else { protocol };
                narrow(&mut state.transport, BTreeSet::from([name.to_owned()]));
            }
            ("ip", "protocol") | ("ip6", "nexthdr") => narrow(&mut state.transport, texts()),
            ("ip" | "ip6", "saddr") => narrow_address(&mut state.source, protocol, texts()),
            ("ip" | "ip6", "daddr") => narrow_address(&mut state.destination, protocol, texts()),
            _ => {}
        }
    }
}

/// Where the host has no table of protocols, nft lists their numbers.
fn protocol_name(text: &str) -> String {
    match text {
        "6" => "tcp",
        "17" => "udp",
        "50" => "esp",
        name => name,
    }
    .to_owned()
}

fn narrow<T: Ord + Clone>(field: &mut Option<BTreeSet<T>>, values: BTreeSet<T>) {
    *field = Some(match field {
        Some(old) => old.intersection(&values).cloned().collect(),
        None => values,
    });
}

fn narrow_address(field: &mut Option<(String, BTreeSet<String>)>, family: &str, values: BTreeSet<String>) {
    // Two matches of one field are rare; the later one is taken, which is not narrower than both.
    *field = Some((family.to_owned(), values));
}

/// `None` when a range is too large to list: then the port counts as unrestricted.
fn ports(values: &[Value]) -> Option<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    for value in values {
        if let Some(port) = value.as_u64().and_then(|port| u16::try_from(port).ok()) {
            ports.insert(port);
        } else {
            let range = value["range"].as_array()?;
            let (low, high) = (range.first()?.as_u64()?, range.get(1)?.as_u64()?);
            if high < low || high - low > PORT_LIMIT {
                return None;
            }
            ports.extend((low..=high).filter_map(|port| u16::try_from(port).ok()));
        }
    }
    Some(ports)
}

/// A value as text: an address, `address/length`, `low-high`, a name.
fn text(value: &Value) -> String {
    if let Some(prefix) = value.get("prefix") {
        return format!("{}/{}", prefix["addr"].as_str().unwrap_or_default(), prefix["len"]);
    }
    if let Some(range) = value["range"].as_array() {
        return range.iter().map(text).collect::<Vec<_>>().join("-");
    }
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
