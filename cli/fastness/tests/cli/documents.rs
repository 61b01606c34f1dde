//! The documentation, followed to the letter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{Place, Run, top};
use crate::world::World;

/// What a guide tells the reader to do.
#[derive(Debug)]
enum Step {
    /// ``File `NAME`:`` or ``In `NAME`:``, then the text; `In` adds to a file that is there.
    Write { name: String, text: String, add: bool },
    /// A block of commands.
    Run(String),
}

fn text_of(document: &str) -> String {
    std::fs::read_to_string(top().join(document)).unwrap()
}

/// The steps of a guide, in its order. Blocks without a name that are no commands only show something.
fn steps(document: &str) -> Vec<Step> {
    let text = text_of(document);
    let mut steps = Vec::new();
    let mut before = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let fence =
            line.trim_start_matches([' ', '-']).trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let Some(language) = fence.trim_start().strip_prefix("```") else {
            before = line.trim();
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let body: Vec<&str> = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"))
            .map(|line| &line[indent.min(line.len())..])
            .collect();
        let body = body.join("\n") + "\n";
        let named = |word: &str| {
            before.strip_prefix(word).and_then(|rest| rest.strip_suffix("`:")).map(str::to_owned)
        };
        match (named("File `"), named("In `")) {
            (Some(name), _) => steps.push(Step::Write { name, text: body, add: false }),
            (_, Some(name)) => steps.push(Step::Write { name, text: body, add: true }),
            _ if language == "sh" => steps.push(Step::Run(body)),
            _ => {}
        }
        before = "";
    }
    steps
}

/// What stands before the commands of a guide: those that need a real image are only parsed.
const WITHOUT_IMAGE: &str = r#"
fastness() {
    case " $* " in
    *" build "* | *" --image "*) command fastness "$@" --help >/dev/null ;;
    *) command fastness "$@" ;;
    esac
}
"#;

/// In the world of made-up tools an image can be built; its checks do not all hold.
const WITH_WORLD: &str = r#"
fastness() {
    case " $* " in
    *" build "*) command fastness "$@" || [ $? -eq 6 ] ;;
    *) command fastness "$@" ;;
    esac
}
"#;

/// Follows a guide in a product's folder and returns what its commands printed.
fn follow(
    document: &str,
    place: &Place,
    prelude: &str,
    command: impl Fn(&str) -> std::process::Command,
) -> String {
    let mut printed = String::new();
    let steps = steps(document);
    assert!(steps.iter().any(|step| matches!(step, Step::Run(_))), "{document} has no commands");
    for step in steps {
        match step {
            Step::Write { name, text, add } => {
                let path = place.path(&name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let old = if add { std::fs::read_to_string(&path).unwrap() } else { String::new() };
                assert!(add || !path.exists(), "{document}: `{name}` is there already");
                std::fs::write(path, old + &text).unwrap();
            }
            Step::Run(script) => {
                let script = format!("{prelude}\n{}", script.replace("CLONE", top().to_str().unwrap()));
                let run = Run::of(command(&script).output().unwrap());
                assert_eq!(run.code, 0, "{document}: {script}\n{run:?}");
                printed.push_str(&run.out);
            }
        }
    }
    printed
}

/// Follows a guide without an image.
fn followed(document: &str) -> (Place, String) {
    let place = Place::with_product();
    let printed = follow(document, &place, WITHOUT_IMAGE, |script| place.shell(script));
    (place, printed)
}

#[test]
fn the_board_of_the_documentation_works() {
    let (place, printed) = followed("docs/add-a-board.md");
    assert!(printed.contains("qemu-aarch64-small: QEMU virt with little memory"), "{printed}");
    assert!(
        printed.contains("asked by board qemu-aarch64-small (boards/qemu-aarch64-small/board.yaml:"),
        "{printed}"
    );
    let check = place.run(&["check", "--json"]);
    assert_eq!(check.json()["boards"][1]["board"], "qemu-aarch64-small", "{check:?}");
    let plan = place.run(&["plan", "--board", "qemu-aarch64-small", "--json"]).json();
    assert_eq!(plan["board"]["qemu"]["memory_mib"], 512);
    assert_eq!(plan["signing"]["key"], "gw-dev");
    assert!(place.path("out/qemu-aarch64-small/generated").is_dir());
}

#[test]
fn the_layer_of_the_documentation_works() {
    let (place, printed) = followed("docs/add-a-layer.md");
    assert!(printed.contains("asked by layer motd (layers/motd/layer.yaml:"), "{printed}");
    assert!(printed.contains("parameter owner (text, must be given)"), "{printed}");
    let plan = place.run(&["plan", "--json"]).json();
    assert_eq!(plan["files"]["/etc/motd"]["value"]["content"], "gw 0.1.0\nResponsible: Plant maintenance\n");
    assert!(place.path("out/qemu-aarch64/generated").is_dir());
}

#[test]
fn the_template_of_the_documentation_works() {
    let (place, printed) = followed("docs/add-a-template.md");
    assert!(printed.contains("asked by layer cables (layers/cables/layer.yaml:"), "{printed}");
    // The refusal that the guide shows.
    assert!(printed.contains("`conf` cannot hold the value \"Hall 3, rack #12\""), "{printed}");
    let plan = place.run(&["plan", "--json"]).json();
    let content = plan["files"]["/etc/cables/eth0"]["value"]["content"].as_str().unwrap();
    let (_, content) = content.split_once('\n').unwrap();
    assert_eq!(content, "interface eth0\nzone control\naddress 192.0.2.10/24\nrack Hall 3, rack 12\n");
}

#[test]
fn every_value_that_the_guide_to_templates_names_is_there() {
    let text = text_of("docs/add-a-template.md");
    let (_, values) = text.split_once("Values at the top: ").unwrap();
    let (values, _) = values.split_once("With `for_each").unwrap();
    let (_, late) = text.split_once("what was asked for: ").unwrap();
    let (late, _) = late.split_once(". The fields").unwrap();
    let names: BTreeSet<&str> = values.split('`').chain(late.split('`')).filter(|s| is_name(s)).collect();
    assert!(names.len() > 18, "{names:?}");
    let template: String = names
        .iter()
        // The parts of `network` stand in brackets behind it.
        .filter(|name| !["zones", "interfaces", "flows"].contains(*name))
        .map(|name| format!("{{{{json {name}}}}}\n"))
        .collect();
    let place = Place::with_product();
    for folder in ["layers/all", "templates/all"] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
    }
    std::fs::write(
        place.path("templates/all/all.hbs"),
        template + "{{json network.zones}}{{json network.interfaces}}{{json network.flows}}",
    )
    .unwrap();
    let layer = "title: all\ndescription: all\nfiles: [{path: /etc/all, template: all/all.hbs, reason: x}]\n";
    std::fs::write(place.path("layers/all/layer.yaml"), layer).unwrap();
    place.add("layers: {all: {}}\n");
    let check = place.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn the_check_of_the_documentation_works() {
    let Some(world) = World::built() else { return };
    let printed = follow("docs/add-a-check.md", &world.place, WITH_WORLD, |script| world.shell(script));
    assert!(printed.contains("asked by layer site (layers/site/layer.yaml:"), "{printed}");
    // It fails on the weak tree, and holds on the image.
    assert!(printed.contains("FAIL"), "{printed}");
    let findings: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(world.out("findings.json")).unwrap()).unwrap();
    let verdict = |check: &str| findings.iter().find(|f| f["check"] == check).map(|f| f["verdict"].clone());
    assert_eq!(verdict("site.chrony-mode"), Some("pass".into()));
    let plan = world.run(&["plan", "--json"]).json();
    let script = &plan["files"]["/usr/lib/fastness/selfcheck.d/self.site-clock"]["value"];
    assert!(script["content"].as_str().unwrap().contains("the year is %s"), "{script}");
}

#[test]
fn the_attack_of_the_documentation_works() {
    let (place, printed) = followed("docs/add-an-attack.md");
    let title = "A foreign kernel that calls itself an update is refused";
    assert_eq!(printed, format!("{:<34} {title}\n", "kernel-called-update"));
    let listed = place.run(&["attack", "--list", "kernel-called-update", "--json"]).json();
    assert_eq!(listed[0]["stage"], "u-boot");
}

#[test]
fn every_kind_of_check_has_a_row() {
    let text = text_of("docs/contract.md");
    let (_, table) = text.split_once("## Checks in layer files").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows: BTreeMap<&str, &str> =
        table.lines().filter_map(|line| Some((line.strip_prefix("| `")?.split('`').next()?, line))).collect();
    let kinds: BTreeSet<&str> = evidence::kinds::KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), kinds);
    // Each row has the kind's parameters, which the kind itself names when it is given another.
    for kind in evidence::kinds::KINDS {
        let told = (kind.validate)(&serde_json::json!({"none-of-them": 1})).join(" ");
        let (_, parameters) = told.split_once("expected").unwrap_or_default();
        for parameter in parameters.split('`').skip(1).step_by(2) {
            assert!(
                rows[kind.name].contains(parameter),
                "{}: no `{parameter}` in {}",
                kind.name,
                rows[kind.name]
            );
        }
    }
}

#[test]
fn the_product_of_the_readme_is_right() {
    let place = Place::new();
    let readme = text_of("README.md");
    let product = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    std::fs::write(place.path("product.yaml"), product).unwrap();
    let check = place.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    // The key's name that the README makes is the one that the product is signed with.
    assert_eq!(place.run(&["plan", "--json"]).json()["signing"]["key"], "my-gateway-dev");
    assert!(readme.contains("fastness keys new my-gateway-dev"));
}

#[test]
fn the_commands_of_the_readme_run() {
    let place = Place::new();
    assert_eq!(place.run(&["new", "my-gateway"]).code, 0);
    std::fs::create_dir(place.path("old")).unwrap();
    std::fs::copy(place.path("product.yaml"), place.path("old/product.yaml")).unwrap();
    let mut commands = 0;
    for step in steps("README.md") {
        let Step::Run(script) = step else { continue };
        for line in script.lines() {
            let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().collect();
            match words.as_slice() {
                // Whole runs of their own.
                [program, ..] if program.starts_with("ci/") => {
                    assert!(top().join(program).is_file(), "{line}")
                }
                ["fastness", ..] => {
                    let run = Run::of(place.shell(&format!("{WITHOUT_IMAGE}\n{line}")).output().unwrap());
                    assert_eq!((run.code, run.err.as_str()), (0, ""), "{line}: {run:?}");
                }
                other => panic!("nobody tries `{other:?}`"),
            }
            commands += 1;
        }
    }
    assert!(commands >= 7, "{commands}");
}

/// Folders and files of the repository that a text names between backticks are there.
#[test]
fn files_that_are_named_exist() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for name in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let ours = ["cli/", "ci/", "standards/", "docs/"].iter().any(|folder| name.starts_with(folder));
            // In capitals: the reader's own.
            let whose = name.split(['/', '.']).any(|part| part.len() > 1 && part == part.to_uppercase());
            if plain && ours && !whose {
                assert!(top().join(name).exists(), "{}: `{name}` is not there", document.display());
            }
        }
    }
}

/// The documents and the README.
fn documents() -> Vec<std::path::PathBuf> {
    let is_text = |path: &Path| path.extension().is_some_and(|e| e == "md");
    let mut documents: Vec<_> =
        std::fs::read_dir(top().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    documents.extend([top().join("README.md"), top().join("attacks/README.md")]);
    documents.retain(|path| is_text(path));
    documents
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = document.parent().unwrap().join(file);
            assert!(path.exists(), "{}: `{target}` leads nowhere", document.display());
        }
    }
}
