//! The security guide that every image has: what it says of the shipped examples, and of products changed in one place.

use std::path::Path;

use spec::layer::Layer;
use spec::library::{Area, Library, read_model};
use spec::plan::{FilePlan, Plan};

const PATH: &str = "/usr/share/fastness/security-guide.txt";

fn example(name: &str) -> Plan {
    let product = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/{name}/product.yaml"));
    spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The gateway of the examples with one text replaced and lines behind it.
fn gateway(from: &str, to: &str, more: &str) -> Plan {
    let text = include_str!("../../../examples/cell-gateway/product.yaml");
    assert!(text.contains(from), "the example has no `{from}`");
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, text.replacen(from, to, 1) + more).expect("written");
    spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"))
}

fn guide(plan: &Plan) -> &str {
    match &plan.files[PATH].value {
        FilePlan::File { mode, owner, content, .. } => {
            assert_eq!((mode.as_str(), owner.as_str()), ("0644", "root"));
            content
        }
        other => panic!("{other:?}"),
    }
}

/// A section, by its number, without its heading.
fn section(text: &str, number: u8) -> &str {
    let heading = |line: &str, number: u8| {
        line.strip_prefix(&format!("{number}. ")).is_some_and(|title| title == title.to_uppercase())
    };
    let start = text.lines().position(|line| heading(line, number)).expect("the section");
    let from = text.split_inclusive('\n').take(start + 1).map(str::len).sum::<usize>();
    let rest = &text[from..];
    let end =
        rest.lines().take_while(|line| !heading(line, number + 1)).map(|line| line.len() + 1).sum::<usize>();
    &rest[..end.min(rest.len())]
}

#[track_caller]
fn says(text: &str, words: &str) {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(folded(text).contains(&folded(words)), "`{words}` is not in:\n{text}");
}

#[test]
fn every_example_has_one_without_a_secret_and_for_a_terminal() {
    for name in [
        "cell-gateway",
        "plc-gateway",
        "feeder-terminal",
        "field-controller",
        "pump-station",
        "logging-gateway",
        "sealed-logger",
    ] {
        let plan = example(name);
        let text = guide(&plan);
        assert!(!text.contains("{{") && !text.contains("-----BEGIN"), "{name}");
        assert!(
            text.contains(&format!(
                "\n{} {} on {}\n",
                plan.product.name, plan.product.version, plan.board.name
            ))
        );
        for person in plan.users.values() {
            // Whose a key is, and not the key.
            let keys = person.value.ssh_keys.iter().filter_map(|key| key.split_whitespace().nth(1));
            assert!(keys.into_iter().all(|key| !text.contains(key)), "{name}");
        }
        // Only what the product says without a blank is wider.
        for line in text.lines().filter(|line| line.chars().count() > 79) {
            let entry = ["account ", "flow ", "frames ", "tunnel ", "self-check ", "waiver ", "# Made by"];
            assert!(entry.iter().any(|word| line.starts_with(word)), "{name}: {line}");
        }
        assert!(!text.contains("\n\n\n") && !text.lines().any(|line| line.ends_with(' ')), "{name}:\n{text}");
        assert_eq!(text, guide(&example(name)), "the same text each time");
    }
}

#[test]
fn each_self_check_of_the_plan_is_there_with_what_it_should_give_and_what_to_do() {
    let more =
        "\nlayers: {settings: {}, events: {}, auditors: {}, backup: {}, factory-reset: {}, update: {}}\n";
    let plan = gateway("storage: {data: 64MiB}", "storage: {data: 192MiB}", more);
    let text = section(guide(&plan), 8);
    let planned: Vec<_> = plan.checks.iter().filter(|(_, check)| check.value.kind == "selfcheck").collect();
    assert!(planned.len() > 14, "{}", planned.len());
    for (id, check) in &planned {
        let entry = format!("\nself-check {id}: expected result pass\n");
        let (_, rest) = text.split_once(&entry).unwrap_or_else(|| panic!("no {entry}"));
        let own = rest.split("\nself-check ").next().unwrap_or_default();
        says(own, &format!("Asserts {}", check.value.title));
        says(own, "If it fails");
    }
    assert_eq!(text.matches(": expected result pass\n").count(), planned.len());
    says(text, "records of the type `selfcheck.result`");
    let text = guide(&plan);
    says(section(text, 7), "ssh AUDITOR@DEVICE 'cat /var/log/events/events.jsonl'");
    says(section(text, 7), "fastness events verify --seal KEY events.jsonl.1 events.jsonl");
    for words in
        ["member of `update-operators`", "member of `backup-operators`", "member of `reset-operators`"]
    {
        says(section(text, 9), words);
    }
    says(section(text, 2), "put it into /var/lib/fastness/backup/key with mode 0600");
    says(section(text, 3), "group auditors: reads the records of security events members: none");
}

#[test]
fn every_shipped_self_check_says_what_to_do_when_it_fails() {
    let library = Library::built_in(None);
    let mut seen = 0;
    for name in library.names(Area::Layers).expect("layers") {
        let source =
            library.read(Area::Layers, &format!("{name}/layer.yaml")).expect("read").expect("a layer");
        let layer = read_model::<Layer>(&source, &mut Vec::new()).expect("a layer");
        for check in &layer.selfcheck {
            seen += 1;
            assert!(check.on_fail.is_some(), "{name}: {}", check.id.as_str());
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn accounts_flows_and_waivers_are_those_of_the_plan() {
    let plan = example("plc-gateway");
    let text = guide(&plan);
    let three = section(text, 3);
    says(three, "account maintenance: a person, uid 2000 Who Maintenance staff Groups ssh-operators");
    says(three, "Key ssh-ed25519, maintenance example: replace it");
    says(three, "group ssh-operators: only its members may log in members: maintenance");
    for (name, user) in plan.users.iter().filter(|(_, user)| !user.value.person) {
        says(three, &format!("account {name}: a service, uid {}", user.value.uid));
    }
    let four = section(text, 4);
    for flow in &plan.network.flows {
        says(
            four,
            &format!(
                "flow {}: {}, {}/{}, zone {}",
                flow.name, flow.direction, flow.transport, flow.port, flow.zone
            ),
        );
    }
    says(
        four,
        "flow plant-ssh: in, tcp/22, zone plant Service ssh (ssh) Peers 192.0.2.64/28 Interfaces eth0 At most 6/minute new",
    );
    says(four, "Passes the tunnel scada alone");
    says(
        four,
        "Risk accepted The drives speak nothing else, and the cell is locked (J. Muster, plant security officer)",
    );
    for frame in &plan.network.frames {
        says(
            four,
            &format!("frames {}: {}, {}, zone {}", frame.name, frame.direction, frame.ethertype, frame.zone),
        );
    }
    let five = section(text, 5);
    says(five, "tunnel scada: strongswan, peer 192.0.2.20 Peer's name scada.plant.example");
    says(five, "OPC UA server plc, TCP port 4840, urn:plant.example:plc-gateway");
    says(
        section(text, 2),
        "put the device's key and certificate, the authorities and their lists of revoked",
    );
    says(section(text, 6), "server 192.0.2.1: not authenticated");
    let thirteen = section(text, 13);
    for (what, waived) in &plan.waivers {
        for by in &waived.origins {
            says(thirteen, &format!("waiver {what}: {} {}", by.who, by.reason));
        }
    }
}

#[test]
fn keys_in_a_tpm_and_a_sealed_partition_have_their_steps() {
    let plan = example("feeder-terminal");
    let two = section(guide(&plan), 2);
    says(two, "Bring the request /var/lib/fastness/requests/tunnels.csr");
    says(two, "feeder-terminal.grid.example");
    says(section(guide(&plan), 5), "Key in the TPM, which it never leaves");
    says(
        section(guide(&example("sealed-logger")), 2),
        "At its first start the device encrypts its data partition",
    );
    says(section(guide(&example("field-controller")), 2), "This is rollback version 3.");
    // Of none of these a device says something that does not have it.
    let plain = example("cell-gateway");
    for word in [
        "tunnels.csr",
        "encrypts its data partition",
        "rollback version",
        "OpenVPN:",
        "WireGuard:",
        "OPC UA:",
    ] {
        assert!(!section(guide(&plain), 2).contains(word), "{word}");
    }
    says(section(guide(&plain), 5), "It has no tunnel.");
}

#[test]
fn a_layer_that_is_left_out_is_not_described() {
    let without = "\nwithout: [{layer: ssh, reason: none}]\n";
    let users = "\nusers:\n  maintenance:";
    let text = include_str!("../../../examples/cell-gateway/product.yaml");
    let (_, rest) = text.split_once(users).expect("the persons");
    let (persons, _) = rest.split_once("\ntime:").expect("the time");
    let plan = gateway(&format!("{users}{persons}"), "", without);
    let three = section(guide(&plan), 3);
    says(three, "The image has no sshd: nobody logs in over the network.");
    says(three, "Persons: none");
    let plan = gateway(
        "name: cell-gateway",
        "name: cell-gateway",
        "\nwithout: [{layer: selfcheck, reason: none}]\n",
    );
    assert!(!plan.files.contains_key(PATH) && !plan.checks.contains_key("doc.hardening-guide"));
}

#[test]
fn a_self_check_without_advice_of_its_own_and_a_text_with_lines_are_kept_in_their_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write(
        "layers/own/layer.yaml",
        "title: Own\ndescription: |\n  Own.\n  flow evil: in, tcp/1, zone x\nneeds: [base]\nselfcheck:\n  - {id: self.own, title: \"Own\", script: own/own.sh.hbs}\n",
    );
    write("templates/own/own.sh.hbs", "#!/bin/sh\nexit 0\n");
    let text = include_str!("../../../examples/cell-gateway/product.yaml");
    write("product.yaml", &format!("{text}\nlayers: {{own: {{}}}}\n"));
    let plan =
        spec::load(&folder.path().join("product.yaml"), None).unwrap_or_else(|failure| panic!("{failure}"));
    says(
        section(guide(&plan), 8),
        "self-check self.own: expected result pass Asserts Own If it fails Take the device out of service until",
    );
    assert!(guide(&plan).contains("flow evil"));
    assert!(!guide(&plan).lines().any(|line| line.starts_with("flow evil")));
}

#[test]
fn what_a_series_of_yocto_does_not_have_is_in_the_guide() {
    for series in ["wrynose", "scarthgap"] {
        let plan =
            gateway("\nboards:", "\nbackend: yocto\nboards:", &format!("\nyocto: {{series: {series}}}\n"));
        let text = guide(&plan);
        let of_backend = |by: &spec::plan::Origin| by.who == "backend yocto";
        let waived = plan.waivers.values().filter(|asked| asked.origins.iter().any(of_backend));
        assert!(waived.count() > 0, "{series}");
        for (what, waived) in &plan.waivers {
            for by in &waived.origins {
                says(section(text, 13), &format!("waiver {what}: {} {}", by.who, by.reason));
            }
        }
    }
}
