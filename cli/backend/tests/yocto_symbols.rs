//! The comparison of a final configuration in the recipes: who asked, what is there, and which dependency is not met.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backend::yocto::{Node, tree_of};
use spec::Choice;
use spec::library::Library;
use spec::product::Backend;

const KCONFIG: &str = "\
mainmenu \"A tree\"
config PLAIN
\tbool \"plain\"
\thelp
\t  depends on NEVER
\t  if this were no text
config LATER
\tbool \"later\"
\tdepends on SET_ONE || UNSET
\tdepends on ABSENT && \\
\t\t!SET_TWO
if GATE
menu \"inside\"
\tdepends on SUBMENU != n
config INNER
\ttristate \"inner\"
\tdepends on SIZE = 4 # a comment
endmenu
endif
config AFTER
\tbool \"after the blocks\"
\tdepends on $(cc-option,-mfoo) && (SET_ONE || UNSET)
comment \"nothing\"
\tdepends on NOTHING
config NUMBER
\tint \"a number\"
";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// The generated script and an append of each recipe, beside a source tree.
    fn new() -> Self {
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let choice = Choice { backend: Some(Backend::Yocto), series: None };
        let plan = spec::load_as(&Library::built_in(None), &product, None, choice).expect("a plan");
        let tree = tree_of(&plan).unwrap_or_else(|failure| panic!("{failure}"));
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        for (name, append) in
            [("recipes-kernel/linux", "linux-yocto_%.bbappend"), ("recipes-bsp/u-boot", "u-boot_%.bbappend")]
        {
            let folder = format!("meta-cell-gateway-bsp/{name}");
            let file = |path: &str| match tree.nodes().get(&format!("{folder}/{path}")) {
                Some(Node::File(text)) => text.clone(),
                other => panic!("`{path}` is {other:?}"),
            };
            // The sources of the recipe are given.
            let call = "/asked.txt ${S} || bbfatal";
            assert!(file(append).contains(call), "{}", file(append));
            place.write("check-asked.sh", &file("files/cell-gateway-qemu-aarch64/check-asked.sh"));
        }
        place.write("src/Kconfig", KCONFIG);
        for (folder, on) in [("arm64", "MMU"), ("x86", "X86_64")] {
            let text = format!("config OF_ARCH\n\tbool \"x\"\n\tdepends on {on}\n");
            place.write(&format!("src/arch/{folder}/Kconfig"), &text);
        }
        place.write(
            "config",
            "CONFIG_ARM64=y\nCONFIG_SET_ONE=y\nCONFIG_SET_TWO=y\nCONFIG_SIZE=3\nCONFIG_NUMBER=0x10\n# CONFIG_OFF is not set\n",
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// What is said of `symbol`, which was asked to be `y`.
    fn said(&self, symbol: &str) -> String {
        self.asked(&format!("{symbol}\ty\t-\tlayer own (layer.yaml)\n"), true)
    }

    fn asked(&self, lines: &str, with_sources: bool) -> String {
        self.write("asked.txt", lines);
        let sources = with_sources.then(|| self.path("src"));
        let output = Command::new("sh")
            .arg(self.path("check-asked.sh"))
            .arg("Linux")
            .args([self.path("config"), self.path("asked.txt")])
            .args(sources)
            .output()
            .expect("started");
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(i32::from(!text.is_empty())), "{text}");
        text
    }
}

#[test]
fn a_lost_symbol_is_told_with_the_dependency_that_is_not_met() {
    let place = Place::new();
    for (symbol, why) in [
        ("LATER", "it depends on `ABSENT && !SET_TWO` (`ABSENT` is `n`, `SET_TWO` is `y`)"),
        (
            "INNER",
            "it depends on `SIZE = 4` (`SIZE` is `3`) and `GATE` (`GATE` is `n`) and `SUBMENU != n` (`SUBMENU` is `n`)",
        ),
        // Of the other architecture's file nothing is said.
        ("OF_ARCH", "it depends on `MMU` (`MMU` is `n`)"),
        ("GONE", "no Kconfig file of its sources defines it"),
        ("PLAIN", "its dependencies are met; another symbol, a choice or the lack of a prompt decides"),
        ("AFTER", "its dependencies are met; another symbol, a choice or the lack of a prompt decides"),
    ] {
        let expected = format!(
            "error: Linux: `{symbol}` was asked to be `y` by layer own (layer.yaml), but is `n`: {why}\n"
        );
        assert_eq!(place.said(symbol), expected);
    }
}

#[test]
fn what_is_held_waived_or_the_same_number_is_no_loss() {
    let place = Place::new();
    let lines =
        "SET_ONE\ty\t-\tx\nOFF\tn\t-\tx\nNUMBER\t16\t-\tx\nGONE\ty\twaived\tx\nLATER\ty\tunless SET_ONE\tx\n";
    assert_eq!(place.asked(lines, true), "");
}

#[test]
fn every_lost_symbol_is_told_also_without_sources() {
    let place = Place::new();
    let lines = "LATER\ty\t-\tlayer a\nSET_ONE\tn\t-\tlayer b\n";
    let plain = "error: Linux: `LATER` was asked to be `y` by layer a, but is `n`\n\
                 error: Linux: `SET_ONE` was asked to be `n` by layer b, but is `y`\n";
    assert_eq!(place.asked(lines, false), plain);
    let told = place.asked(lines, true);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("but is `y`: no Kconfig file of its sources defines it"), "{told}");
}
