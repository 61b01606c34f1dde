//! The layer that brings the monitoring into an image: files of a product's own `layers/` and `templates/`.
//!
//! Its text is the same for the same image, and every value in it is of a form that no format gives a meaning to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::rules::{ADMINISTRATIVE, FOREIGN, PRIVILEGED, REFUSED, SECRET};
use super::{Monitoring, Sandbox};

/// What "mobile code" asks of each component type (IEC 62443-4-2, CR 2.4 is a heading).
const MOBILE_CODE: &str = r#""SAR 2.4", "EDR 2.4", "HDR 2.4", "NDR 2.4""#;

/// What the monitoring itself may need: printed by the device, and a failed check when it is more.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Memory of auditd, in MiB: systemd ends what takes more.
    pub auditd_mib: u32,
    /// Memory of all that monitors, in MiB.
    pub all_mib: u32,
    /// Time of one core at rest, in thousandths.
    pub cpu_thousandths: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { auditd_mib: 24, all_mib: 40, cpu_thousandths: 30 }
    }
}

/// Files by path below the product's folder.
#[must_use]
pub fn files(monitoring: &Monitoring, name: &str, bounds: Bounds) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let template = |file: &str| format!("templates/{name}/{file}.hbs");
    let confined: Vec<&Sandbox> = confined(monitoring);
    for service in &confined {
        files.insert(template(&service.unit), drop_in(name, service));
    }
    files.insert(template("auditd-bounds.conf"), bounds_of_auditd(name, bounds));
    files.insert(template("executables"), executables(monitoring));
    files.insert(template("refused.sh"), include_str!("refused.sh").replace("LAYER", name));
    let script = include_str!("bounds.sh").replace("LAYER", name);
    let script = script.replace("ALL_MIB", &bounds.all_mib.to_string());
    let script = script.replace("THOUSANDTHS", &bounds.cpu_thousandths.to_string());
    files.insert(template("bounds.sh"), script);
    files.insert(format!("layers/{name}/layer.yaml"), layer(monitoring, name, &confined));
    files
}

fn confined(monitoring: &Monitoring) -> Vec<&Sandbox> {
    monitoring.services.iter().filter(|service| !service.given.is_empty()).collect()
}

/// How each layer that is made begins.
pub const FIRST: &str = "# Made by `fastness monitor` for one image; make it again when the image changes.\n";

fn drop_in(name: &str, service: &Sandbox) -> String {
    let mut out = format!(
        "{FIRST}# layers/{name}: what {} needs, by what its programs import.\n[Service]\n",
        service.unit
    );
    for given in &service.given {
        let _ = writeln!(out, "{}", given.line);
    }
    out
}

fn bounds_of_auditd(name: &str, bounds: Bounds) -> String {
    format!(
        "{FIRST}# layers/{name}: the monitoring stays within its means.\n[Service]\nMemoryMax={}M\nTasksMax=16\n",
        bounds.auditd_mib
    )
}

fn executables(monitoring: &Monitoring) -> String {
    let mut out = String::new();
    for executable in monitoring.executables.iter().filter(|one| super::rules::is_plain(&one.path)) {
        let _ = writeln!(out, "{}  {}", executable.sha256, executable.path);
    }
    out
}

/// A text as a YAML scalar in double quotes.
fn quoted(text: &str) -> String {
    // A JSON string is one of YAML's, too. What a template would read is kept apart.
    serde_json::Value::from(text.replace("{{", "{ {")).to_string()
}

fn layer(monitoring: &Monitoring, name: &str, confined: &[&Sandbox]) -> String {
    let mut out = FIRST.to_owned();
    let _ = writeln!(out, "# Root file system {}", monitoring.root_sha256);
    let _ = writeln!(out, "title: {}", quoted(&format!("Monitoring tailored to {}", monitoring.image)));
    let _ = write!(
        out,
        "description: >-\n  Rules of the audit for what is in this image, sandboxes of its services by what they import, the list of its\n  programs, \
         and bounds for the monitoring itself.\n\
         needs: [base, audit, selfcheck]\n\
         requirements: [{MOBILE_CODE}, \"CR 2.8\", \"CR 6.2\", \"CR 7.7\"]\n\nparameters:\n  audit_rules:\n    type: text\n    list: true\n    \
         description: \"Rules that the audit loads before it is locked\"\n    default:\n",
    );
    for rule in &monitoring.rules {
        let _ = writeln!(out, "      # {}\n      - {}", rule.why, quoted(&rule.rule));
    }
    out.push_str("\nsysctl:\n  - {key: vm.memfd_noexec, value: \"2\", reason: \"a program in memory alone is on no list\"}\n");
    out.push_str("\nfiles:\n");
    let file = |out: &mut String, path: &str, template: &str, mode: &str, reason: &str| {
        let _ = writeln!(
            out,
            "  - {{path: {path}, template: {name}/{template}.hbs, mode: \"{mode}\", reason: {}}}",
            quoted(reason)
        );
    };
    for service in confined {
        let path = format!("/etc/systemd/system/{}.d/50-{name}.conf", service.unit);
        let reason = format!("exposure {} instead of {}, in tenths", service.after, service.before);
        file(&mut out, &path, &service.unit, "0644", &reason);
    }
    let bounds = format!("/etc/systemd/system/auditd.service.d/60-{name}.conf");
    file(&mut out, &bounds, "auditd-bounds.conf", "0644", "the monitoring stays within its means");
    file(&mut out, "/usr/lib/fastness/executables", "executables", "0644", "programs that may run");
    out.push_str("\nchecks:\n");
    checks(&mut out, monitoring, name, confined);
    let _ = write!(
        out,
        "\nselfcheck:\n\
         \x20 - {{id: self.monitor-refused, title: \"A program of another origin is refused and recorded, and nothing runs that is not on the list\", script: {name}/refused.sh.hbs, requirements: [{MOBILE_CODE}, \"CR 2.8\", \"CR 3.3\", \"CR 6.2\"], on_fail: \"Programs that nobody signed may run unseen: take the device out of service and keep its disk.\"}}\n\
         \x20 - {{id: self.monitor-bounds, title: \"The monitoring stays within its bounds of time and memory\", script: {name}/bounds.sh.hbs, requirements: [\"CR 3.3\", \"CR 7.1\", \"CR 7.2\"], on_fail: \"See in the records what is recorded without end, and end that; restart.\"}}\n"
    );
    out
}

fn checks(out: &mut String, monitoring: &Monitoring, name: &str, confined: &[&Sandbox]) {
    let keys: Vec<&str> = [REFUSED, PRIVILEGED, ADMINISTRATIVE, SECRET, FOREIGN]
        .into_iter()
        .filter(|key| monitoring.rules.iter().any(|rule| rule.key == *key))
        .collect();
    let cover: Vec<String> = keys
        .iter()
        .map(|key| {
            let of = monitoring.rules.iter().filter(|rule| rule.key == *key);
            let words =
                of.flat_map(|rule| rule.rule.split_whitespace()).filter(|word| word.starts_with("path="));
            let mut words: Vec<String> = words.map(quoted).collect();
            if *key == REFUSED {
                words.push("execve".to_owned());
            }
            format!("        {key}: [{}]\n", words.join(", "))
        })
        .collect();
    let _ = write!(
        out,
        "  - id: monitor.rules\n    title: The audit has the rules for this image's own programs, secrets and calls\n    kind: audit-rules\n    with:\n      \
         path: /etc/audit/audit.rules\n      keys: [{}]\n      cover:\n{}    requirements: [\"CR 2.8\", \"CR 6.2\"]\n",
        keys.join(", "),
        cover.concat()
    );
    let one = |service: &&Sandbox| {
        let lines: Vec<String> = service.given.iter().map(|given| quoted(&given.line)).collect();
        let path = format!("/etc/systemd/system/{}.d/50-{name}.conf", service.unit);
        format!("{{paths: [{path}], lines: [{}]}}", lines.join(", "))
    };
    let title = "Services are confined to what their programs import";
    match confined {
        [] => {}
        [service] => {
            let with = one(service);
            let _ = writeln!(
                out,
                "  - id: monitor.sandbox\n    title: {title}\n    kind: file-text\n    with: {with}"
            );
        }
        services => {
            let _ = writeln!(
                out,
                "  - id: monitor.sandbox\n    title: {title}\n    kind: all-of\n    with:\n      checks:"
            );
            for service in services {
                let _ = writeln!(out, "        - {{kind: file-text, with: {}}}", one(service));
            }
        }
    }
    if !confined.is_empty() {
        out.push_str("    requirements: [\"CR 7.7\"]\n");
    }
    let _ = write!(
        out,
        "  - id: monitor.programs\n    title: The list of programs that may run is in the image, and what can be written runs none\n    kind: all-of\n    with:\n      checks:\n        \
         - {{kind: file-mode, with: {{paths: [/usr/lib/fastness/executables], mode: \"0644\", owner: root, group: root}}}}\n        \
         - {{kind: sysctl, with: {{expect: {{vm.memfd_noexec: \"2\"}}}}}}\n    requirements: [{MOBILE_CODE}]\n  \
         - id: mon.policy\n    title: The monitoring is the one that this very image calls for\n    kind: monitoring-current\n    with: {{list: /usr/lib/fastness/executables}}\n    shows: true\n    \
         requirements: [\"EDR 2.13 RE(1)\", \"HDR 2.13 RE(1)\", \"NDR 2.13 RE(1)\", \"HDR 3.2 RE(1)\", \"CR 6.2\"]\n"
    );
}
