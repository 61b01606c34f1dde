//! What a plan enables and starts is installed, by the facts of each series: `ci/peers/yocto-brings.txt`. Whether the facts are the
//! recipes', `ci/peers/yocto` asks BitBake.

mod plans;

use std::collections::{BTreeMap, BTreeSet};

use backend::yocto::{Node, Tree, tree_of};
use plans::{plan_for, with_collector};
use spec::plan::{FilePlan, Plan};

const FACTS: &str = include_str!("../../../ci/peers/yocto-brings.txt");
const UNITS: &str = "/usr/lib/systemd/system/";

/// The package that brings a path in a series.
fn facts(series: &str) -> BTreeMap<&'static str, &'static str> {
    let lines = FACTS.lines().filter(|line| !line.starts_with('#'));
    let mut found = BTreeMap::new();
    for line in lines {
        let [path, _recipe, package, of] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("expected four columns in `{line}`")
        };
        if of == "*" || of == series {
            let known = found.insert(path, package);
            assert_eq!(known, None, "`{path}` is there twice for {series}");
        }
    }
    found
}

/// A path of a root whose `/bin`, `/sbin` and `/lib` are links.
fn merged(path: &str) -> String {
    if ["/bin/", "/sbin/", "/lib/"].iter().any(|start| path.starts_with(start)) {
        format!("/usr{path}")
    } else {
        path.to_owned()
    }
}

/// The programs that a unit starts, and the interpreter of a script.
fn started(content: &str) -> impl Iterator<Item = &str> {
    content.lines().enumerate().filter_map(|(at, line)| {
        let script = line.strip_prefix("#!").filter(|_| at == 0);
        let unit = line.strip_prefix("Exec").and_then(|rest| rest.split_once('='));
        let unit = unit.map(|(_, command)| command.trim_start_matches(['-', '+', '!', ':', '@', '|']));
        script.or(unit)?.split_whitespace().next().filter(|program| program.starts_with('/'))
    })
}

/// Units that the preset enables and programs that are started, but for the files of the plan.
fn asked(plan: &Plan, tree: &Tree) -> BTreeSet<String> {
    let presets = tree.nodes().iter().filter(|(path, _)| path.ends_with(".preset"));
    let mut asked = BTreeSet::new();
    for (path, node) in presets {
        let Node::File(text) = node else { panic!("`{path}`") };
        let enabled = text.lines().filter_map(|line| line.strip_prefix("enable "));
        let others = enabled.filter(|unit| !plan.files.contains_key(&format!("/etc/systemd/system/{unit}")));
        asked.extend(others.map(|unit| format!("{UNITS}{unit}")));
    }
    for file in plan.files.values() {
        let FilePlan::File { content, .. } = &file.value else { continue };
        let programs = started(content).filter(|program| !plan.files.contains_key(*program));
        asked.extend(programs.map(merged));
    }
    asked
}

fn assert_brought(what: &str, plan: &Plan) {
    let yocto = plan.yocto.as_ref().expect("a plan for Yocto");
    let facts = facts(&yocto.series);
    let asked = asked(plan, &tree_of(plan).unwrap_or_else(|failure| panic!("{what}: {failure}")));
    assert!(asked.contains("/usr/sbin/nft") && asked.len() > 10, "{what}: {asked:?}");
    for path in &asked {
        let package = facts.get(path.as_str());
        let package = package.unwrap_or_else(|| panic!("{what}: no fact says what brings `{path}`"));
        assert!(
            yocto.install.contains_key(*package),
            "{what}: `{path}` is of the package `{package}`, which the image does not install"
        );
    }
}

#[test]
fn what_a_plan_enables_and_starts_is_of_a_package_that_it_installs() {
    for series in ["wrynose", "scarthgap"] {
        for example in ["cell-gateway", "plc-gateway", "pump-station"] {
            assert_brought(&format!("{example}, {series}"), &plan_for(example, "qemu-aarch64", series));
        }
        assert_brought(&format!("events and a collector, {series}"), &with_collector(series));
    }
    for example in ["feeder-terminal", "logging-gateway"] {
        assert_brought(&format!("{example}, wrynose"), &plan_for(example, "qemu-aarch64", "wrynose"));
    }
}

/// wrynose has cut systemd: an image without recommendations would have no network. scarthgap has no such package, and a
/// name that no recipe has ends its build.
#[test]
fn the_network_is_a_package_of_its_own_where_the_release_has_cut_systemd() {
    for (series, apart) in [("wrynose", true), ("scarthgap", false)] {
        let plan = plan_for("cell-gateway", "qemu-aarch64", series);
        let install = plan.yocto.expect("a plan for Yocto").install;
        assert!(install.contains_key("systemd"), "{series}");
        assert_eq!(install.contains_key("systemd-networkd"), apart, "{series}");
        // Who asks is the layer that asks for systemd.
        let asked = install.get("systemd-networkd").map(|asked| asked.origins[0].who.as_str());
        assert_eq!(asked, apart.then_some("layer base"), "{series}");
    }
}
