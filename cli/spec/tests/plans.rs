//! What a plan holds: every value with who asked for it, flows, rendered files, and its queries.

mod common;

use std::path::Path;

use common::{PRODUCT, good, load, load_in, with, write};
use serde_json::json;
use spec::plan::FilePlan;

fn content(plan: &spec::plan::Plan, path: &str) -> String {
    match plan.files.get(path).map(|asked| &asked.value) {
        Some(FilePlan::File { content, .. }) => content.clone(),
        other => panic!("`{path}` is {other:?}"),
    }
}

#[test]
fn every_value_says_who_asked_where_and_why() {
    let plan = good();
    let audit = &plan.linux.symbols["AUDIT"];
    let who: Vec<&str> = audit.origins.iter().map(|o| o.who.as_str()).collect();
    assert_eq!((audit.value.as_str(), who), ("y", vec!["layer base", "layer firewall"]));
    assert_eq!(audit.origins[1].file, "layers/firewall/layer.yaml");
    assert_eq!((audit.origins[1].line, audit.origins[1].reason.as_str()), (7, "also for the firewall"));
    assert_eq!(plan.linux.symbols["SERIAL_AMBA_PL011_CONSOLE"].origins[0].who, "board bench-arm64");
    assert_eq!(plan.linux.symbols["DEFAULT_HOSTNAME"].value, "\"cell-gateway\"");
    assert_eq!(plan.uboot.symbols["BOOTCOMMAND"].value, "\"load 48000000; bootm; reset\"");
    assert_eq!(plan.users["maintenance"].origins[0].file, "product.yaml");
    assert_eq!(plan.groups["_svc"].value.gid, 910);
    let arguments: Vec<&str> = plan.cmdline.iter().map(|asked| asked.value.as_str()).collect();
    assert_eq!(arguments, ["console=ttyAMA0", "audit=1"]);
}

#[test]
fn the_plan_names_nothing_of_this_machine_and_is_always_the_same() {
    let (one, two) = (good(), good());
    assert_eq!(one.to_json(), two.to_json());
    assert!(!one.to_json().contains(env!("CARGO_MANIFEST_DIR")) && !one.to_json().contains("/tmp"));
    let read: spec::plan::Plan = serde_json::from_str(&one.to_json()).expect("a plan");
    assert_eq!(read, one);
}

#[test]
fn conduits_become_flows() {
    let plan = good();
    let [ssh, ntp] = plan.network.flows.as_slice() else { panic!("{:?}", plan.network.flows) };
    assert_eq!((ssh.direction.as_str(), ssh.port, ssh.transport.as_str()), ("in", 22, "tcp"));
    assert_eq!((&ssh.peers_v4, &ssh.peers_v6), (&vec!["198.51.100.0/28".to_owned()], &vec![]));
    assert_eq!((ntp.direction.as_str(), ntp.rate.as_str()), ("out", "60/minute"));
    assert_eq!(
        (&ntp.peers_v4[0], &ntp.peers_v6[0]),
        (&"192.0.2.0/24".to_owned(), &"2001:db8::/64".to_owned())
    );
    assert_eq!(ntp.interfaces, ["eth0"]);
}

#[test]
fn files_see_everything_that_was_asked() {
    let plan = good();
    assert_eq!(content(&plan, "/etc/sysctl.d/90-fastness.conf"), "kernel.kptr_restrict = 2\n");
    assert_eq!(content(&plan, "/etc/net/eth1"), "198.51.100.2/28 in service\n");
    assert!(content(&plan, "/etc/keys/maintenance").starts_with("ssh-ed25519 AAAA"));
    assert_eq!(
        content(&plan, "/etc/nftables.conf"),
        "log 5/minute\nin eth1 tcp 22 198.51.100.0/28 6/minute\nout eth0 udp 123 192.0.2.0/24 60/minute\n"
    );
    let script = "#!/bin/sh\necho 'Gateway between a robot cell and the plant'\\''s network'\n";
    assert_eq!(content(&plan, "/usr/lib/fastness/selfcheck.d/self.alive"), script);
    assert_eq!(plan.checks["self.alive"].value.kind, "selfcheck");
    let with = json!({"expect": {"kernel.kptr_restrict": "2"}, "note": "for cell-gateway", "count": 3});
    assert_eq!(plan.checks["sysctl.all"].value.with, with);
    let link = FilePlan::Symlink { target: "../run/resolv.conf".into() };
    assert_eq!(plan.files["/etc/resolv.conf"].value, link);
}

#[test]
fn parameters_are_typed_and_defaults_apply() {
    let plan = good();
    let extra = plan.layer("extra").expect("the layer");
    let expected = json!({"port": 8080, "colour": "red", "count": 3, "peers": ["10.0.0.0/8"]});
    assert_eq!(serde_json::Value::from(extra.parameters.clone()), expected);
    let order: Vec<&str> = plan.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!((order[0], order.len()), ("base", 10));
}

/// A product whose own layer `extra` has this text must be refused with this code and message.
#[track_caller]
fn own_layer(text: &str, code: &str, message: &str) -> diag::Diagnostic {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "layers/extra/layer.yaml", &format!("title: Own\ndescription: Own\n{text}\n"));
    let product = with("extra: {port: 8080, peers: [10.0.0.0/8]}", "extra: {}");
    let failure = load_in(folder.path(), &product).expect_err("refused");
    let found = failure.diagnostics.iter().find(|d| d.code == code);
    let found = found.unwrap_or_else(|| panic!("no `{code}`: {failure}")).clone();
    assert!(found.message.contains(message), "{}", found.message);
    found
}

#[test]
fn layers_that_disagree_are_both_named_with_their_places() {
    let ask = |area: &str, item: &str| format!("{area}: [{{{item}, reason: \"other\"}}]");
    let found = own_layer(
        &ask("linux", "symbol: AUDIT, value: n"),
        "conflict",
        "layer base and layer extra disagree about the Linux symbol `AUDIT`: `y` and `n`",
    );
    assert!(found.location.is_some_and(|at| at.file.ends_with("layers/extra/layer.yaml") && at.line == 3));
    let other = found.notes[0].location.as_ref().expect("the other place");
    assert!(other.file.ends_with("layers/base/layer.yaml"));
    for (area, item, message) in [
        (
            "uboot",
            "symbol: FIT, value: n",
            "board bench-arm64 and layer extra disagree about the U-Boot symbol `FIT`",
        ),
        (
            "sysctl",
            "key: kernel.kptr_restrict, value: 1",
            "the sysctl key `kernel.kptr_restrict`: `2` and `1`",
        ),
        (
            "units",
            "name: getty@tty1.service, state: enabled",
            "the unit `getty@tty1.service`: `masked` and `enabled`",
        ),
        ("modes", "path: /usr/bin/su, mode: \"4755\"", "the mode of `/usr/bin/su`: `0755` and `4755`"),
        ("users", "name: _svc, uid: 911", "the user `_svc`: uid 910 in `_svc` and uid 911 in `_svc`"),
        ("groups", "name: extra, gid: 951", "the group `extra`: gid 950 and gid 951"),
        ("cmdline", "argument: audit=0", "the kernel argument `audit`: `audit=1` and `audit=0`"),
        (
            "files",
            "path: /data, symlink: /tmp",
            "the file `/data`: a folder 0750 _svc:root and a link to `/tmp`",
        ),
    ] {
        own_layer(&ask(area, item), "conflict", message);
    }
}

/// The library of the tests has a catalogue of its own.
#[test]
fn a_check_of_the_product_s_own_takes_no_name_of_the_catalogue_unless_it_says_so() {
    let check = |id: &str, more: &str| {
        format!("checks: [{{id: {id}, title: t, kind: file-present, with: {{paths: [/etc/passwd]}}{more}}}]")
    };
    let taken =
        own_layer(&check("audit.schema", ""), "catalogue-check", "`audit.schema` is a name of the catalogue");
    assert!(
        taken.message.contains("layer `extra` would show") && taken.location.is_some_and(|at| at.line == 3)
    );
    assert!(taken.hint.is_some_and(|hint| hint.contains("`shows: true`")));
    // What shows a check together with others is such a name, too, and so is one of several of it.
    own_layer(&check("extra.part", ""), "catalogue-check", "`extra.part` is a name");
    own_layer(&check("extra.part.eth0", ""), "catalogue-check", "`extra.part.eth0` is a name");
    // A check that reads the image is no test of a running device, and nobody's check is a probe of this program's.
    for more in ["", ", shows: true"] {
        own_layer(
            &check("audit.fields", more),
            "catalogue-check",
            "for what is made by the running device, and this check reads the image",
        );
        own_layer(&check("traffic.events", more), "catalogue-check", "for what is a probe or an attack");
    }
    own_layer(&check("extra.own", ", shows: true"), "shows-nothing", "`extra.own` says `shows`");
    // One that says so is in the plan as what it is; others are as they were.
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("title: Own\ndescription: Own\n{}\n", check("audit.schema", ", shows: true"));
    write(folder.path(), "layers/extra/layer.yaml", &text);
    let product = with("extra: {port: 8080, peers: [10.0.0.0/8]}", "extra: {}");
    let plan = load_in(folder.path(), &product).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(plan.checks["audit.schema"].value.by_product);
    assert_eq!(plan.checks.values().filter(|asked| asked.value.by_product).count(), 1);
}

#[test]
fn what_a_layer_may_not_ask() {
    own_layer("linux: [{symbol: A, value: m, reason: r}]", "wrong-type", "modules are off");
    own_layer("linux: [{symbol: CONFIG_A, value: y, reason: r}]", "wrong-type", "without `CONFIG_`");
    own_layer("linux: [{symbol: A, value: y, reason: \"\"}]", "empty-reason", "expected a reason");
    own_layer("linux: [{symbol: A, reason: r}]", "symbol-value", "either `value` or `template` for `A`");
    own_layer("needs: [nothing]", "unmet-need", "`extra` needs the layer `nothing`");
    own_layer("requirements: [CR 9.9]", "unknown-requirement", "found `CR 9.9`");
    own_layer("requirements: [CR 9.8]", "unknown-requirement", "found `CR 9.8`");
    own_layer(
        "requirements: [CR 2.3, CR 2.4]",
        "unknown-requirement",
        "found `CR 2.4`, a mere heading of it",
    );
    let heading = own_layer("requirements: [CR 2.4]", "unknown-requirement", "a mere heading of it");
    assert_eq!(heading.hint.as_deref(), Some("name those that apply: `EDR 2.4`, `NDR 2.4`"));
    own_layer(
        "files: [{path: /a/../b, symlink: c, reason: r}]",
        "wrong-type",
        "an absolute path without `..`",
    );
    own_layer("files: [{path: /a, reason: r}]", "file-kind", "exactly one of");
    own_layer("files: [{path: /a, template: ../x.hbs, reason: r}]", "wrong-type", "a template's path");
    own_layer(
        "files: [{path: /a, template: no/x.hbs, reason: r}]",
        "missing-template",
        "`templates/no/x.hbs`",
    );
    own_layer(
        "files: [{path: /a, directory: true, owner: nobdy, reason: r}]",
        "unknown-owner",
        "the user `nobdy`",
    );
    own_layer(
        "files: [{path: /etc/resolv.conf/x, symlink: y, reason: r}]",
        "conflict",
        "is below `/etc/resolv.conf`",
    );
    own_layer("cmdline: [{argument: \"x={{nothing}}\", reason: r}]", "template-value", "`nothing`");
    own_layer(
        "cmdline: [{argument: \"x={{product.description}}\", reason: r}]",
        "wrong-type",
        "after rendering",
    );
    own_layer("users: [{name: _b, uid: 910, reason: r}]", "number-clash", "the same uid, 910");
    own_layer("waivers: [{waives: no.such-check, reason: r}]", "unknown-waiver", "nothing to waive");
    own_layer("parameters: {p: {type: prot, description: d}}", "wrong-type", "found `prot`");
    own_layer("parameters: {p: {type: port, default: x, description: d}}", "wrong-type", "found `x`");
}

#[test]
fn a_products_own_definitions_come_first() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "templates/base/hostname.hbs", "own {{product.name}}\n");
    let plan = load_in(folder.path(), PRODUCT).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(content(&plan, "/etc/hostname"), "own cell-gateway\n");
}

#[test]
fn a_secret_of_any_form_in_the_shared_image_is_refused_and_not_shown() {
    let template = |text: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "templates/base/hostname.hbs", text);
        load_in(folder.path(), PRODUCT)
    };
    for label in [
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
        "OpenVPN tls-crypt-v2 client key",
        "OpenVPN Static key V1",
    ] {
        let text = format!("# a key\n-----BEGIN {label}-----\nc2VjcmV0\n-----END {label}-----\n");
        let failure = template(&text).expect_err("refused");
        assert_eq!((failure.status, failure.diagnostics.len()), (diag::ExitStatus::Input, 1), "{failure}");
        let said = failure.to_string();
        assert!(said.contains("error[secret-in-image]: `/etc/hostname` holds a private key"), "{said}");
        assert!(said.contains("`fastness provision`") && !said.contains("c2VjcmV0"), "{said}");
    }
    // What is public may be in the image.
    for label in ["PUBLIC KEY", "CERTIFICATE", "X509 CRL"] {
        template(&format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")).expect("a plan");
    }
}

#[test]
fn links_that_lead_out_and_odd_files_are_refused() {
    let (folder, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(outside.path(), "hostname.hbs", "stolen");
    let own = folder.path().join("templates/base");
    std::fs::create_dir_all(&own).expect("made");
    std::os::unix::fs::symlink(outside.path().join("hostname.hbs"), own.join("hostname.hbs"))
        .expect("linked");
    let failure = load_in(folder.path(), PRODUCT).expect_err("refused");
    assert_eq!(failure.diagnostics[0].code, "path-escape");
    assert!(failure.diagnostics[0].message.contains("found a link that leads out of it"));
    let failure = spec::load(Path::new("/dev/null"), None).expect_err("refused");
    assert_eq!(
        (failure.status, failure.diagnostics[0].code.as_str()),
        (diag::ExitStatus::Input, "not-a-file")
    );
    let missing = spec::load(&folder.path().join("no.yaml"), None).expect_err("refused");
    assert_eq!(missing.status, diag::ExitStatus::Input);
}

#[test]
fn explain_finds_by_any_name_and_suggests_the_nearest() {
    let plan = good();
    let what = |query: &str| spec::explain(&plan, query).into_iter().map(|e| e.what).collect::<Vec<_>>();
    assert_eq!(what("CONFIG_AUDIT"), ["linux symbol"]);
    assert_eq!(what("MODULES"), ["linux symbol"]);
    assert_eq!(spec::explain(&plan, "MODULES")[0].value, "is not set");
    assert_eq!(what("audit"), ["kernel argument"]);
    assert_eq!(what("/etc/nftables.conf"), ["file"]);
    assert_eq!(what("extra"), ["group"]);
    for (query, expected) in [
        ("systemd", "package"),
        ("getty@tty1.service", "unit"),
        ("sysctl.all", "check"),
        ("kernel.kptr_restrict", "sysctl"),
        ("/usr/bin/su", "mode"),
        ("linux:MODULES", "waiver"),
    ] {
        assert!(what(query).contains(&expected.to_owned()), "{query}");
    }
    let near = spec::explain(&plan, "CONFIG_MODULE");
    assert_eq!((near[0].what.as_str(), near[0].name.as_str()), ("suggestion", "MODULES"));
    assert!(spec::explain(&plan, "something-else-entirely").is_empty());
}

#[test]
fn diff_says_what_changed_and_nothing_else() {
    let plan = good();
    assert_eq!(spec::diff(&plan, &plan), []);
    let other = load(&with("6/minute", "9/minute")).unwrap_or_else(|failure| panic!("{failure}"));
    let changes = spec::diff(&plan, &other);
    let keys: Vec<(&str, &str)> = changes.iter().map(|c| (c.area.as_str(), c.key.as_str())).collect();
    assert_eq!(
        keys,
        [
            ("files", "/etc/nftables.conf"),
            ("network", "surface"),
            ("network", "surface"),
            ("network.flows", "service-ssh rate")
        ]
    );
    // What answers stands with its two states, of a record only the field, and nothing that says nothing.
    let surface = |n: usize| (changes[n].before.as_deref(), changes[n].after.as_deref());
    let (Some(old), None) = surface(1) else { panic!("{changes:?}") };
    let (None, Some(new)) = surface(2) else { panic!("{changes:?}") };
    assert_eq!(old.replace("6/minute", "9/minute"), new);
    assert!(!old.contains("null"), "{old}");
    assert_eq!(surface(3), (Some("6/minute"), Some("9/minute")));
    let gone = load(&with("[extra, adm]", "[adm]")).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(spec::diff(&plan, &gone)[0].key, "maintenance groups");
    let moved = load(&format!("# a comment moves every line\n{PRODUCT}")).expect("a plan");
    assert_eq!(spec::diff(&plan, &moved), []);
}

#[test]
fn the_listing_documents_parameters() {
    let layers = spec::layers(&common::library(Path::new("/nonexistent"))).unwrap_or_else(|f| panic!("{f}"));
    let extra = layers.iter().find(|layer| layer.name == "extra").expect("the layer");
    assert!(!extra.default && extra.parameters[0].default.is_none());
    let of = |name: &str| extra.parameters.iter().find(|one| one.name == name).expect("a parameter");
    assert_eq!((of("peers").r#type.as_str(), of("count").least.clone()), ("list of prefix", Some(json!(2))));
    let boards = spec::boards(&common::library(Path::new("/nonexistent"))).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!((boards.len(), boards[0].qemu), (1, true));
}

#[test]
fn schemas_are_named_and_closed() {
    let schemas = spec::schemas();
    assert_eq!(
        schemas.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        [
            "product",
            "board",
            "layer",
            "protocol",
            "algorithms",
            "opcua",
            "buildroot-package",
            "yocto-package",
            "image-differences",
            "known-keys",
            "threats"
        ]
    );
    for (name, schema) in &schemas {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    assert_eq!(schemas[0].1["properties"]["name"]["pattern"], "^[a-z][a-z0-9-]*$");
}

#[test]
fn the_scaffold_loads_under_any_name() {
    for name in ["first", "9 lives!", "", "A-B-"] {
        let text = spec::scaffold(name).replace("qemu-aarch64", "bench-arm64");
        let plan = load(&text).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert!(!plan.product.name.is_empty());
    }
}

#[test]
fn ten_thousand_conduits_stay_quick() {
    let conduit = |n: usize| {
        let (b, c) = (n / 256, n % 256);
        format!(
            "  - {{name: c{n}, from: plant, to: device, service: ssh, peers: [10.{b}.{c}.0/24], reason: r}}\n"
        )
    };
    let many: String = (0..10_000).map(conduit).collect();
    let text = with("conduits:\n", &format!("conduits:\n{many}"));
    let plan = load(&text).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.network.flows.len(), 10_002);
    assert_eq!(content(&plan, "/etc/nftables.conf").lines().count(), 10_003);
}
