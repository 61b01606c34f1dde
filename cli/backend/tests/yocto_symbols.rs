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

/// What a kernel and its cross compiler are called, of the board's processor: its name may say nothing of it.
#[test]
fn the_architecture_is_that_of_the_boards_tuning_and_an_unknown_one_is_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let said = |tuned: &str| {
        let layer = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(layer.path().join("conf/machine/include")).expect("made");
        // A product's name with another architecture in it.
        let line = format!("DEFAULTTUNE ?= \"x\"\nrequire {tuned}\n");
        fs::write(layer.path().join("conf/machine/include/alarm64-x.inc"), line).expect("written");
        let script = format!(
            "bsp_layer={} machine=alarm64-x work=/nowhere; . ci/peers/yocto-symbols.sh; \
             echo \"$architecture $cross\"; known && exit 0; configured_linux /nowhere /nowhere && exit 9; configured_uboot /nowhere /nowhere",
            layer.path().display()
        );
        let output =
            Command::new("bash").args(["-uc", &script]).current_dir(&root).output().expect("bash runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let mut boards = 0;
    for board in fs::read_dir(root.join("boards")).expect("boards") {
        let path = board.expect("a board").path().join("board.yaml");
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, rest) = text.split_once("\nyocto: {require: ").expect("what Yocto needs of it");
        let (_, name) = text.split_once("\narchitecture: ").expect("an architecture");
        let expected = match name.lines().next() {
            Some("arm64") => "arm64 aarch64-linux-gnu-\n",
            Some("armhf") => "arm arm-linux-gnueabihf-\n",
            Some("riscv64") => "riscv riscv64-linux-gnu-\n",
            other => panic!("{other:?}"),
        };
        let found = said(rest.split(',').next().unwrap_or_default());
        assert_eq!(found, (Some(0), expected.to_owned(), String::new()), "{}", path.display());
        boards += 1;
    }
    assert!(boards >= 10, "{boards}");
    let (code, _, errors) = said("conf/machine/include/mips/arch-mips.inc");
    assert_eq!(code, Some(2), "{errors}");
    assert_eq!(errors.matches("expected one of ARMv8, ARMv7 or RISC-V").count(), 3, "{errors}");
}
