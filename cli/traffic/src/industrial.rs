//! What industrial protocols answered through a tunnel. Pure: lines in, values and problems out.

use record::{TrafficVerdict, TunnelClass};
use spec::plan::OpcuaFacts;

/// Read Holding Registers of one register at address 0 (Modbus Application Protocol 1.1b3, 6.3), unit 1, in the
/// header of Modbus/TCP (Modbus Messaging on TCP/IP 1.0b, 3.1.3) with transaction 1.
pub const MODBUS_READ: [u8; 12] = [0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1];

/// The register in the last `modbus ADDRESS PORT BYTES…` of the peer's script, its bytes in hexadecimal.
///
/// # Errors
/// What was found instead: silence, an exception of the server, or no Modbus.
pub fn register(lines: &[String]) -> Result<u16, String> {
    let line = lines.iter().rev().find(|line| line.starts_with("modbus "));
    let line = line.ok_or("the peer said nothing of Modbus")?;
    let words = line.split_whitespace().skip(3);
    let bytes: Result<Vec<u8>, _> = words.map(|word| u8::from_str_radix(word, 16)).collect();
    let bytes = bytes.map_err(|_| format!("expected the bytes of an answer, found `{line}`"))?;
    match bytes.as_slice() {
        [0, 1, 0, 0, 0, 5, 1, 3, 2, high, low] => Ok(u16::from_be_bytes([*high, *low])),
        [0, 1, 0, 0, 0, 3, 1, 0x83, code] => Err(format!("the server answers with the exception {code}")),
        [] => Err("nothing came back".to_owned()),
        other => Err(format!("expected an answer of Modbus to function 3, found `{other:02x?}`")),
    }
}

/// What a reader of OPC UA and the device's log say of a value that was read: what was seen, and what is wrong.
#[must_use]
pub fn opcua_read(
    facts: &OpcuaFacts,
    reader: &[String],
    device_log: &[String],
) -> (Vec<String>, Vec<String>) {
    let mut problems = Vec::new();
    let said = |begin: &str| reader.iter().find_map(|line| line.strip_prefix(begin)).map(str::trim);
    let wanted = facts.policies.first().map(|policy| policy.uri.as_str()).unwrap_or_default();
    for (what, found, wanted) in
        [("policy", said("policy "), wanted), ("mode", said("mode "), "SignAndEncrypt")]
    {
        match found {
            Some(found) if found == wanted => {}
            Some(found) => problems.push(format!("the peer says the {what} `{found}`, the plan `{wanted}`")),
            None => problems.push(format!("the peer says nothing of the {what}, the plan `{wanted}`")),
        }
    }
    if let Some(why) = said("refused: ") {
        problems.push(format!("the device refuses: {why}"));
    } else if reader.last().is_none_or(|line| line.starts_with("mode ") || line.trim().is_empty()) {
        problems.push("no value came back".to_owned());
    }
    let opened = device_log.iter().rev().find_map(|line| line.split_once("opened with SecurityPolicy "));
    let opened = opened.and_then(|(_, rest)| rest.split_whitespace().next());
    match opened {
        Some(found) if found == wanted => {}
        Some(found) => problems.push(format!("the device says the policy `{found}`, the plan `{wanted}`")),
        None => problems.push("the device's log names no policy".to_owned()),
    }
    let mut seen: Vec<String> = reader.iter().map(|line| format!("the peer: {line}")).collect();
    seen.extend(opened.map(|found| format!("the device: policy {found}")));
    (seen, problems)
}

/// A peer or user of OPC UA that must be refused, and how each end says it.
#[derive(Clone, Copy, Debug)]
pub struct OpcuaRefusal {
    /// Name.
    pub name: &'static str,
    /// Status codes (OPC 10000-6, A.2) that the client gets; empty: the device ends the connection, whose code is
    /// not the reason.
    pub answers: &'static [&'static str],
    /// Any one of these in a line of the device's log; empty: the stack logs nothing, and the answer is the proof.
    pub says: &'static [&'static str],
}

/// All of them. Words of open62541's log and of the status codes.
pub const OPCUA_REFUSALS: &[OpcuaRefusal] = &[
    OpcuaRefusal {
        name: "opcua-policy-none",
        answers: &["BadSecurityPolicyRejected"],
        says: &["BadSecurityPolicyRejected"],
    },
    OpcuaRefusal { name: "opcua-anonymous", answers: &["BadIdentityTokenInvalid"], says: &[] },
    OpcuaRefusal {
        name: "opcua-unknown-user",
        answers: &["BadIdentityTokenRejected"],
        says: &["BadIdentityTokenRejected"],
    },
    OpcuaRefusal {
        name: "opcua-untrusted",
        answers: &[],
        says: &["BadCertificateUntrusted", "BadCertificateChainIncomplete"],
    },
    OpcuaRefusal { name: "opcua-revoked", answers: &[], says: &["BadCertificateRevoked"] },
];

/// The verdict of a refusal. A value that came back fails; a refusal for another reason is not run.
#[must_use]
pub fn opcua_refusal(
    tunnel: &str,
    reason: &OpcuaRefusal,
    reader: &[String],
    device_log: &[String],
) -> TunnelClass {
    let answer = reader.iter().find_map(|line| line.strip_prefix("refused: "));
    let logged = device_log.iter().find(|line| reason.says.iter().any(|says| line.contains(says)));
    let answered = answer.is_some_and(|a| reason.answers.is_empty() || reason.answers.contains(&a.trim()));
    let mut problems = Vec::new();
    let verdict = if answer.is_none() {
        problems.push(match reader.iter().any(|line| line.starts_with("mode ")) {
            true => format!("a value was read by a peer that is `{}`", reason.name),
            false => format!("expected a refusal, found `{}`", reader.join("; ")),
        });
        if reader.iter().any(|line| line.starts_with("mode ")) {
            TrafficVerdict::Fail
        } else {
            TrafficVerdict::NotRun
        }
    } else if !answered {
        problems.push(format!(
            "the device answers `{}`, expected one of {:?}",
            answer.unwrap_or_default(),
            reason.answers
        ));
        TrafficVerdict::NotRun
    } else if logged.is_none() && !reason.says.is_empty() {
        problems.push(format!("the device's log says none of {:?}", reason.says));
        TrafficVerdict::NotRun
    } else {
        TrafficVerdict::Pass
    };
    let seen = answer.map(|answer| format!("the device answers {}", answer.trim()));
    let seen = seen.into_iter().chain(logged.map(|line| format!("the device's log: {line}"))).collect();
    let class = format!("refuses {}", reason.name);
    TunnelClass { tunnel: tunnel.to_owned(), class, verdict, seen, problems }
}

#[cfg(test)]
#[path = "industrial_tests.rs"]
mod tests;
