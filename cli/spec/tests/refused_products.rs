//! Products that are wrong in one place: each is refused with its code, message, place and way out.

mod common;

use common::{refused, with};

/// One change of the product, and what must be said.
#[track_caller]
fn says(from: &str, to: &str, code: &str, message: &str, hint: &str) {
    let diagnostics = refused(&with(from, to));
    let Some(found) = diagnostics.iter().find(|d| d.code == code) else {
        panic!("no `{code}` among {diagnostics:#?}");
    };
    assert_eq!(found.message, message);
    assert!(found.hint.as_deref().unwrap_or_default().contains(hint), "hint: {:?}", found.hint);
    let at = found.location.as_ref().expect("a place");
    assert!(at.file.ends_with("product.yaml") && at.line > 0 && !at.excerpt.is_empty(), "{at:?}");
    assert_eq!(diagnostics.len(), 1, "{diagnostics:#?}");
}

#[test]
fn the_product_that_all_the_others_are_made_from_is_right() {
    assert_eq!(common::good().product.name, "cell-gateway");
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    says("storage:", "storge:", "unknown-key", "unknown key `storge`", "did you mean `storage`?");
    says(
        "from: service",
        "from: servce",
        "unknown-zone",
        "expected a zone, found `servce`, which is none",
        "did you mean `service`?",
    );
    says(
        "service: ssh",
        "service: shs",
        "unknown-service",
        "expected a service, found `shs`, which is none",
        "did you mean `ssh`?",
    );
    says(
        "boards: [bench-arm64]",
        "boards: [bench-arm46]",
        "unknown-board",
        "expected a board, found `bench-arm46`: there is no `boards/bench-arm46/board.yaml`",
        "did you mean `bench-arm64`?",
    );
    says(
        "  extra:",
        "  fierwall: {}\n  extra:",
        "unknown-layer",
        "expected the layer `fierwall`, found no `layers/fierwall/layer.yaml`",
        "did you mean `firewall`?",
    );
    says(
        "waives: sysctl.all",
        "waives: sysctl.al",
        "unknown-waiver",
        "nothing to waive: no check and no symbol that is asked for is named `sysctl.al`",
        "did you mean `sysctl.all`?",
    );
    says(
        "waives: sysctl.all",
        "waives: \"linux:AUDITT\"",
        "unknown-waiver",
        "nothing to waive: no check and no symbol that is asked for is named `linux:AUDITT`",
        "did you mean `linux:AUDIT`?",
    );
    says(
        "[extra, adm]",
        "[extra, amd]",
        "unknown-group",
        "the user `maintenance` is in the group `amd`, which does not exist",
        "did you mean `adm`?",
    );
}

#[test]
fn an_interface_that_the_board_lacks() {
    let text = with("interfaces: [eth1]}", "interfaces: [eth2]}").replace("eth1: {", "eth2: {");
    let found = refused(&text);
    assert_eq!(found[0].message, "the board `bench-arm64` has no interface `eth2`");
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `eth0`?"));
}

#[test]
fn zones_and_interfaces_that_do_not_fit() {
    says(
        "interfaces: [eth1]}",
        "interfaces: [eth1, eth0]}",
        "interface-in-two-zones",
        "the interface `eth0` is in two zones, `plant` and `service`",
        "one zone",
    );
    says(
        "interfaces: [eth1]}",
        "interfaces: [eth1, eth1]}",
        "interface-in-two-zones",
        "the interface `eth1` is named twice in the zone `service`",
        "one zone",
    );
    let overlapping = with("198.51.100.2/28", "192.0.2.130/25");
    let found = refused(&overlapping.replacen("peers: [198.51.100.0/28]", "peers: [192.0.2.128/28]", 1));
    assert_eq!((found.len(), found[0].code.as_str()), (1, "overlapping-networks"));
    assert_eq!(
        found[0].message,
        "the networks of `eth0` and `eth1` overlap: `192.0.2.0/24` and `192.0.2.128/25`"
    );
    assert!(found[0].hint.as_deref().is_some_and(|hint| hint.contains("its own network")));
    says(
        "gateway: 192.0.2.1",
        "gateway: 192.0.3.1",
        "unreachable-gateway",
        "the gateway `192.0.3.1` of `eth0` is in none of its networks",
        "192.0.2.0/24",
    );
    says(
        "gateway: 192.0.2.1",
        "gateway: 192.0.2.10",
        "unreachable-gateway",
        "the gateway `192.0.2.10` of `eth0` is the interface's own address",
        "another address",
    );
    says(
        "192.0.2.10/24",
        "192.0.2.0/24",
        "wrong-type",
        "expected an address with its prefix length (`192.0.2.10/24`), found `192.0.2.0/24`: this is the network's own or its broadcast address",
        "",
    );
}

#[test]
fn conduits_that_lead_nowhere() {
    says(
        "from: service, to: device",
        "from: device, to: device",
        "conduit-ends",
        "expected a conduit between `device` and a zone, but both ends are `device`",
        "from: device",
    );
    says(
        "from: service, to: device",
        "from: service, to: plant",
        "conduit-ends",
        "expected a conduit between `device` and a zone, but neither end is `device`",
        "does not forward",
    );
    says(
        "peers: [198.51.100.0/28]",
        "peers: []",
        "no-peers",
        "the conduit `service-ssh` allows nobody: it has no peers",
        "list the networks",
    );
    says(
        "peers: [198.51.100.0/28]",
        "peers: [198.51.100.3/28]",
        "wrong-type",
        "expected a network (`198.51.100.0/28`, `2001:db8::/64`), found `198.51.100.3/28`: bits are set behind the prefix",
        "198.51.100.0/28",
    );
    says(
        "name: plant-time",
        "name: service-ssh",
        "duplicate-name",
        "two conduits are named `service-ssh`",
        "",
    );
    says(
        "reason: \"the time\"",
        "reason: \" \"",
        "empty-reason",
        "expected a reason, found an empty one",
        "say why",
    );
}

#[test]
fn what_the_board_cannot_verify() {
    says(
        "sha256,rsa3072",
        "sha256,rsa4096",
        "unknown-algorithm",
        "the U-Boot of the board `bench-arm64` cannot verify the algorithm `sha256,rsa4096`",
        "it verifies `sha256,rsa3072`, `sha256,rsa2048`",
    );
    says(
        "padding: pss",
        "padding: ssp",
        "wrong-type",
        "expected one of `pkcs-1.5`, `pss`, found `ssp`",
        "pss",
    );
}

/// What a value's own type knows is told together with all else that cannot be read.
#[test]
fn a_level_out_of_range_is_told_beside_an_unknown_key() {
    let product =
        with("security_level: 2", "security_level: 7").replace("banner: |", "colour: red\nbanner: |");
    let found = refused(&product);
    let told: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
    assert!(told.contains(&"expected a security level from 1 to 4, found `7`"), "{told:?}");
    assert!(told.contains(&"unknown key `colour`"), "{told:?}");
}

#[test]
fn wrong_types_and_duplicate_keys() {
    says("port: 22}", "port: http}", "wrong-type", "expected a port (1-65535), found `http`", "");
    says(
        "security_level: 2",
        "security_level: 5",
        "wrong-type",
        "expected a security level from 1 to 4, found `5`",
        "",
    );
    says(
        "banner: |",
        "version: 2\nbanner: |",
        "duplicate-key",
        "the key `version` is there twice",
        "keep one",
    );
    says(
        "component_type: NDR",
        "component_type: NRD",
        "wrong-type",
        "expected one of `SAR`, `EDR`, `HDR`, `NDR`, found `NRD`",
        "did you mean `NDR`?",
    );
}

#[test]
fn accounts_whose_numbers_clash() {
    says(
        "uid: 2000",
        "uid: 999",
        "uid-range",
        "expected a uid from 1000 to 59999 for a person, found `999`",
        "services",
    );
    let text = with("time: {", "  other: {uid: 2000}\ntime: {");
    let found = refused(&text);
    assert_eq!(found[0].message, "`other` and `maintenance` have the same uid, 2000");
    assert_eq!(found[0].notes[0].message, "`maintenance` has it too");
    assert!(found[0].notes[0].location.is_some());
}

/// What a shell or BitBake would read out of an account's comment ends nowhere in a command: build systems make accounts by
/// useradd(8), each through a shell of its own.
#[test]
fn accounts_with_words_that_a_shell_reads() {
    for comment in [
        "O'Brien staff",
        "a; b",
        "x' --password '' 'y",
        "x' | touch /tmp/made | echo '",
        "the \\\"chief\\\"",
        "pays $5",
        "a `b`",
        "a \\\\ b",
    ] {
        let plain = comment.replace("\\\"", "\"").replace("\\\\", "\\");
        says(
            "comment: Maintenance",
            &format!("comment: \"{comment}\""),
            "shell-character",
            &format!(
                "expected a comment of `maintenance` without quotes, backquotes, semicolons, `$` and `\\`, found `{plain}`"
            ),
            "leave it out",
        );
    }
    says(
        "comment: Maintenance",
        "comment: Maintenance, home: '/home/a\\b'",
        "shell-character",
        "expected a home of `maintenance` without quotes, backquotes, semicolons, `$` and `\\`, found `/home/a\\b`",
        "leave it out",
    );
    common::load(&with("comment: Maintenance", "comment: \"Müller & Co. (day shift) <x> 100% #1\""))
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn parameters_of_layers() {
    says("port: 8080", "port: x", "wrong-type", "expected a port (1-65535), found `x`", "");
    says(
        "port: 8080, ",
        "",
        "missing-parameter",
        "expected the parameter `port` (port) of the layer `extra`, found none",
        "A port that must be given",
    );
    says(
        "port: 8080",
        "port: 8080, colour: grene",
        "not-a-choice",
        "expected one of `red`, `green`, found `grene`",
        "did you mean `green`?",
    );
    says("port: 8080", "port: 8080, count: 1", "below-the-least", "expected at least 2, found `1`", "");
    says(
        "port: 8080",
        "port: 8080, color: red",
        "unknown-parameter",
        "the layer `extra` has no parameter `color`",
        "did you mean `colour`?",
    );
    says("port: 8080", "port: 8080, peers: 7", "duplicate-key", "the key `peers` is there twice", "keep one");
}

#[test]
fn leaving_layers_out() {
    let without = |entry: &str| with("banner: |", &format!("without: [{entry}]\nbanner: |"));
    assert!(
        common::load(&without("{layer: time, reason: \"no clock\"}"))
            .is_ok_and(|plan| plan.layers.len() == 9)
    );
    let found = refused(&without("{layer: base, reason: \"no\"}"));
    assert_eq!(found[0].message, "the layer `audit` needs the layer `base`, which is not applied");
    let found = refused(&without("{layer: tiem, reason: \"no\"}"));
    assert_eq!(found[0].message, "expected a default layer to leave out, found `tiem`, which does not exist");
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `time`?"));
    assert_eq!(refused(&without("{layer: time, reason: \"\"}"))[0].code, "empty-reason");
}

#[test]
fn everything_wrong_with_a_product_is_said_at_once() {
    let text = with("service: ssh", "service: shs")
        .replace("gateway: 192.0.2.1", "gateway: 10.0.0.1")
        .replace("rsa3072", "rsa1024");
    let codes: Vec<String> = refused(&text).into_iter().map(|d| d.code).collect();
    assert_eq!(codes, ["unreachable-gateway", "unknown-service", "unknown-algorithm"]);
}

/// Hostile input: whatever is cut out of the product or put into it, there is an answer.
#[test]
fn no_mutilated_product_makes_it_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = common::PRODUCT;
    for start in (0..text.len()).step_by(7) {
        if let (Some(before), Some(after)) = (text.get(..start), text.get(start + 5..)) {
            let _ = common::load_in(folder.path(), &format!("{before}{after}"));
            let _ = common::load_in(folder.path(), &format!("{before}: [{{é{after}"));
        }
    }
}
