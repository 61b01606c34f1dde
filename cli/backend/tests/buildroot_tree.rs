//! The generated external tree, file by file against the committed one.
//!
//! `FASTNESS_UPDATE_GOLDEN=1 cargo test -p backend --test buildroot_tree` writes the committed
//! tree anew; look at `git diff` before it is committed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backend::buildroot::{Node, Tree, tree_of, tree_of_boards};
use spec::Choice;
use spec::library::Library;
use spec::plan::{FilePlan, Plan};
use spec::product::Backend;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The boards whose image was built with Buildroot; the others' trees are made in `boards.rs`.
const BOARDS: [&str; 2] = ["qemu-aarch64", "qemu-arm"];

/// The example that is shipped on every board, and those with tunnels: keys in files, and one in the TPM.
const EXAMPLES: [&str; 4] = ["cell-gateway", "plc-gateway", "pump-station", "feeder-terminal"];

/// What is off unless a product asks for it, as one more variant of the example: the folder's name, and what is asked.
const OPTIONAL: (&str, &str) =
    ("cell-gateway-optional", "\nlayers: {events: {}}\nsigning: {algorithm: \"sha384,ecdsa384\"}\n");

fn plan() -> Plan {
    plan_for(EXAMPLES[0], BOARDS[0], "")
}

/// An example on a board, which its product need not list, with more behind it.
fn plan_for(example: &str, board: &str, more: &str) -> Plan {
    let example = top().join(format!("examples/{example}/product.yaml"));
    let text = fs::read_to_string(&example).expect("the example");
    let listed = format!("\nboards: [{}]\n", BOARDS[0]);
    assert!(text.contains(&listed), "the example lists other boards");
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    fs::write(&product, text.replace(&listed, &format!("\nboards: [{board}]\n")) + more).expect("written");
    let library = Library::built_in(product.parent());
    let choice = Choice { backend: Some(Backend::Buildroot), series: None };
    spec::load_as(&library, &product, None, choice).unwrap_or_else(|failure| panic!("{failure}"))
}

fn tree() -> Tree {
    tree_of(&plan()).unwrap_or_else(|failure| panic!("{failure}"))
}

/// What this backend decides of the tree: without the lines of layers, which move with every edit,
/// and without the contents of the plan's files, which are compared with the plan itself.
fn tree_of_the_backend(example: &str, board: &str, more: &str) -> Tree {
    let mut plan = plan_for(example, board, more);
    let buildroot = plan.buildroot.iter_mut().map(|facts| &mut facts.symbols);
    for kconfig in [&mut plan.linux, &mut plan.uboot].into_iter().chain(buildroot) {
        let origins = kconfig.symbols.values_mut().flat_map(|asked| &mut asked.origins);
        origins.for_each(|origin| origin.line = 0);
    }
    let whole = tree_of(&plan).unwrap_or_else(|failure| panic!("{failure}"));
    let mut tree = Tree::default();
    for (path, node) in whole.nodes() {
        let in_image = path.split_once("/overlay").map(|(_, path)| path);
        match node {
            Node::File(_) if in_image.is_some_and(|path| plan.files.contains_key(path)) => {}
            // The layer's own file, which a test of its own compares.
            Node::File(_) if path.ends_with(".patch") => {}
            Node::File(text) => tree.file(path, text),
            Node::Script(text) => tree.script(path, text),
            Node::Link(target) => tree.link(path, target),
        }
    }
    tree
}

fn golden(example: &str, board: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/buildroot");
    folder.join(if board == BOARDS[0] { example.to_owned() } else { format!("{example}-{board}") })
}

/// What is on the disk, in the form of a tree.
fn read(folder: &Path) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(current) = waiting.pop() {
        for entry in fs::read_dir(&current).unwrap_or_else(|e| panic!("{}: {e}", current.display())) {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
            let facts = fs::symlink_metadata(&path).expect("facts");
            if facts.is_dir() {
                waiting.push(path);
            } else if facts.is_symlink() {
                let target = fs::read_link(&path).expect("a link").to_string_lossy().into_owned();
                nodes.insert(name, Node::Link(target));
            } else {
                use std::os::unix::fs::PermissionsExt;
                let text = fs::read_to_string(&path).expect("text");
                let script = facts.permissions().mode() & 0o100 != 0;
                nodes.insert(name, if script { Node::Script(text) } else { Node::File(text) });
            }
        }
    }
    nodes
}

/// The first line in which two nodes differ.
fn first_difference(committed: Option<&Node>, made: &Node) -> String {
    let lines = |node: &Node| match node {
        Node::File(text) | Node::Script(text) => text.lines().map(str::to_owned).collect(),
        Node::Link(target) => vec![format!("link to {target}")],
    };
    let (old, new): (Vec<String>, Vec<String>) = (committed.map(lines).unwrap_or_default(), lines(made));
    let at = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    format!("line {}\ncommitted: {:?}\nmade:      {:?}", at + 1, old.get(at), new.get(at))
}

#[test]
fn the_trees_of_the_examples_are_the_committed_ones() {
    let shipped = Library::built_in(None).names(spec::library::Area::Boards).expect("boards");
    assert!(BOARDS.iter().all(|board| shipped.contains(*board)), "a committed tree without a board");
    let cases = BOARDS
        .map(|board| (EXAMPLES[0], board, ""))
        .into_iter()
        .chain([(EXAMPLES[1], BOARDS[0], ""), (EXAMPLES[3], BOARDS[0], "")])
        .chain([(EXAMPLES[0], BOARDS[0], OPTIONAL.1)]);
    for (example, board, more) in cases {
        let golden = golden(if more.is_empty() { example } else { OPTIONAL.0 }, board);
        let tree = tree_of_the_backend(example, board, more);
        if std::env::var_os("FASTNESS_UPDATE_GOLDEN").is_some() {
            tree.bring_to(&golden).unwrap_or_else(|failure| panic!("{failure}"));
        }
        let committed = read(&golden);
        for (path, node) in tree.nodes() {
            if committed.get(path) != Some(node) {
                panic!(
                    "`{path}` of {example} differs on {board}; see the head of this file\n{}",
                    first_difference(committed.get(path), node)
                );
            }
        }
        let strays: Vec<&String> =
            committed.keys().filter(|path| !tree.nodes().contains_key(*path)).collect();
        assert!(strays.is_empty(), "no longer generated: {strays:?}");
    }
}

/// `BR2_GLOBAL_PATCH_DIR`: U-Boot gets the verifier of ECDSA from the layer's own file, and only where it is asked for.
#[test]
fn the_patches_of_layers_are_where_buildroot_looks_for_them() {
    let patch = "patches/uboot/0001-ecdsa-software.patch";
    let file = top().join("layers/ecdsa/uboot/0001-ecdsa-software.patch");
    let layer = fs::read_to_string(file).expect("the layer's patch");
    let with = tree_of(&plan_for(EXAMPLES[0], BOARDS[0], OPTIONAL.1)).expect("a tree");
    assert_eq!(with.nodes().get(patch), Some(&Node::File(layer)));
    assert!(!tree().nodes().contains_key(patch));
    let Some(Node::File(defconfig)) = with.nodes().get("configs/cell-gateway_qemu-aarch64_defconfig") else {
        panic!("no defconfig")
    };
    let folder = "BR2_GLOBAL_PATCH_DIR=\"$(BR2_EXTERNAL_CELL_GATEWAY_PATH)/patches\"";
    assert!(defconfig.contains(folder), "{defconfig}");
    // The verifier's symbols, and none where nobody asks for it.
    let fragment = |tree: &Tree| match tree.nodes().get("board/qemu-aarch64/uboot.fragment") {
        Some(Node::File(text)) => text.clone(),
        other => panic!("the fragment is {other:?}"),
    };
    let (with, without) = (fragment(&with), fragment(&tree()));
    for symbol in ["ECDSA", "ECDSA_VERIFY", "ECDSA_SOFTWARE"] {
        let line = format!("CONFIG_{symbol}=y\n");
        assert!(with.contains(&line) && !without.contains(&line), "{line}");
    }
    // Those of verified boot, which every product has.
    let folder = top().join("layers/verified-boot/uboot");
    let all = fs::read_dir(&folder).expect("the layer's patches").map(|entry| entry.expect("a patch").path());
    let mut count = 0;
    for path in all.filter(|path| path.extension().is_some_and(|end| end == "patch")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a patch");
        assert_eq!(tree().nodes().get(&format!("patches/uboot/{name}")), Some(&Node::File(text)), "{name}");
        count += 1;
    }
    assert!(count >= 4, "{count} patches");
}

/// The symbols of a layer that are asked of U-Boot, as a fragment has them; a template's word stands for any value.
fn lines_of_uboot(layer: &str) -> Vec<String> {
    let text = fs::read_to_string(top().join("layers").join(layer).join("layer.yaml")).expect("the layer");
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("- {symbol: "));
    let line = |line: &str| {
        let (symbol, rest) = line.split_once(", value: ")?;
        let value = rest.split_once(", reason: ")?.0.trim_matches('\'');
        Some(match value {
            "n" => format!("# CONFIG_{symbol} is not set\n"),
            value if value.contains("{{") => format!("CONFIG_{symbol}="),
            value => format!("CONFIG_{symbol}={value}\n"),
        })
    };
    lines.filter_map(line).collect()
}

/// The same of the counter against older images: the patch, every symbol of it, and none of either in another product.
#[test]
fn the_rollback_patch_and_its_symbols_are_where_buildroot_looks_for_them() {
    let patch = "patches/uboot/0001-fit-rollback.patch";
    let layer =
        fs::read_to_string(top().join("layers/rollback/uboot/0001-fit-rollback.patch")).expect("a patch");
    let symbols = lines_of_uboot("rollback");
    assert!(symbols.contains(&"CONFIG_FIT_ROLLBACK=y\n".to_owned()) && symbols.len() == 6, "{symbols:?}");
    let text = |tree: &Tree, path: &str| match tree.nodes().get(path) {
        Some(Node::File(text)) => text.clone(),
        other => panic!("`{path}` is {other:?}"),
    };
    let asked = "\nsigning: {rollback_version: 3}\n";
    for board in BOARDS {
        let with =
            tree_of(&plan_for(EXAMPLES[0], board, asked)).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(text(&with, patch), layer);
        let fragment = text(&with, &format!("board/{board}/uboot.fragment"));
        for line in &symbols {
            assert!(fragment.contains(line), "{board}: `{line}`: {fragment}");
        }
        let defconfig = text(&with, &format!("configs/cell-gateway_{board}_defconfig"));
        assert!(defconfig.contains("/patches\"\n"), "{defconfig}");
        let without = tree_of(&plan_for(EXAMPLES[0], board, "")).expect("a tree");
        assert!(!without.nodes().contains_key(patch));
        assert!(!text(&without, &format!("board/{board}/uboot.fragment")).contains("FIT_ROLLBACK"));
    }
}

/// Buildroot has no symbol for strongSwan's plugin, and its provider of OpenSSL selects the library that both use.
#[test]
fn a_key_in_the_tpm_brings_its_library_the_plugin_and_the_provider() {
    let text = |tree: &Tree, path: &str| match tree.nodes().get(path) {
        Some(Node::File(text)) => text.clone(),
        other => panic!("`{path}` is {other:?}"),
    };
    let tree = tree_of(&plan_for(EXAMPLES[3], BOARDS[0], "")).expect("a tree");
    let makefile = text(&tree, "external.mk");
    for line in [
        "STRONGSWAN_CONF_OPTS += --enable-tpm\n",
        "STRONGSWAN_DEPENDENCIES += tpm2-tss\n$(STRONGSWAN_TARGET_CONFIGURE): | tpm2-tss\n",
    ] {
        assert!(makefile.contains(line), "no `{line}` in {makefile}");
    }
    let defconfig = text(&tree, "configs/feeder-terminal_qemu-aarch64_defconfig");
    assert!(defconfig.contains("BR2_PACKAGE_TPM2_OPENSSL=y\n"), "{defconfig}");
    // As `savedefconfig` writes it; what is compared with the final configuration is both.
    assert!(!defconfig.contains("BR2_PACKAGE_TPM2_TSS=y"), "{defconfig}");
    let asked = text(&tree, "board/qemu-aarch64/asked/buildroot.txt");
    assert!(asked.contains("BR2_PACKAGE_TPM2_TSS\ty\t-\tlayer tpm-keys"), "{asked}");
    // Who has no key in the TPM has nothing of it.
    let without = tree_of(&plan_for(EXAMPLES[1], BOARDS[0], "")).expect("a tree");
    let makefile = text(&without, "external.mk");
    assert!(makefile.contains("STRONGSWAN_CONF_OPTS") && !makefile.contains("tpm"), "{makefile}");
    // strongSwan alone needs no provider.
    let mut plan = plan_for(EXAMPLES[3], BOARDS[0], "");
    plan.buildroot.as_mut().expect("facts").symbols.symbols.remove("BR2_PACKAGE_TPM2_OPENSSL");
    let alone = text(&tree_of(&plan).expect("a tree"), "configs/feeder-terminal_qemu-aarch64_defconfig");
    assert!(alone.contains("BR2_PACKAGE_TPM2_TSS=y\n"), "{alone}");
}

/// Buildroot's `utils/check-package` refuses a tree with a patch that lacks one of them.
#[test]
fn every_patch_of_a_layer_says_who_signed_it_off_and_whether_it_is_upstream() {
    let mut seen = 0;
    for layer in
        fs::read_dir(top().join("layers")).expect("layers").map(|entry| entry.expect("a layer").path())
    {
        for patch in fs::read_dir(layer.join("uboot")).into_iter().flatten() {
            let path = patch.expect("a patch").path();
            let text = fs::read_to_string(&path).expect("text");
            let header = text.split("\n--- ").next().unwrap_or_default();
            for word in ["Signed-off-by: ", "Upstream: "] {
                let said = header.lines().any(|line| line.starts_with(word));
                assert!(said, "`{}` needs a line `{word}…` before its first file", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn every_file_of_the_plan_is_in_the_overlay_as_it_is() {
    let (plan, tree) = (plan(), tree());
    for (path, asked) in &plan.files {
        let node = tree.nodes().get(&format!("board/qemu-aarch64/overlay{path}"));
        let expected = match &asked.value {
            FilePlan::File { content, .. } => Some(Node::File(content.clone())),
            FilePlan::Symlink { target } => Some(Node::Link(target.clone())),
            FilePlan::Directory { .. } | FilePlan::Program { .. } => None,
        };
        assert!(node == expected.as_ref(), "`{path}`");
    }
}

#[test]
fn a_tree_on_the_disk_is_the_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan();
    backend::generate(&plan, folder.path(), Path::new("no.lock")).expect("generated");
    assert_eq!(&read(folder.path()), tree().nodes());
}

#[test]
fn every_text_ends_with_a_line_end_and_names_no_key() {
    for (path, node) in tree().nodes() {
        let (Node::File(text) | Node::Script(text)) = node else { continue };
        assert!(text.is_empty() || text.ends_with('\n'), "`{path}` would spoil the fragment behind it");
        assert!(!text.contains("PRIVATE KEY"), "`{path}`");
    }
}

#[test]
fn every_asked_symbol_is_in_the_defconfig_or_known_to_be_implied() {
    for board in BOARDS {
        asked_symbols_of(board);
    }
}

fn asked_symbols_of(board: &str) {
    let plan = plan_for(EXAMPLES[0], board, "");
    let facts = plan.buildroot.as_ref().expect("a plan for Buildroot");
    let tree = tree_of(&plan).unwrap_or_else(|failure| panic!("{failure}"));
    let path = format!("configs/cell-gateway_{board}_defconfig");
    let Some(Node::File(defconfig)) = tree.nodes().get(&path).cloned() else { panic!("no defconfig") };
    for (symbol, asked) in &facts.symbols.symbols {
        let line = if asked.value == "n" {
            format!("# {symbol} is not set")
        } else {
            format!("{symbol}={}", asked.value)
        };
        let written = defconfig.lines().any(|l| l == line);
        assert!(written || facts.implied.contains(symbol), "`{line}` is lost");
        assert!(!asked.origins.is_empty(), "nobody asked for `{symbol}`");
    }
    // Layers are who asks for packages, with the place in their own file.
    let audit = &facts.symbols.symbols["BR2_PACKAGE_AUDIT"].origins[0];
    assert_eq!((audit.who.as_str(), audit.file.as_str()), ("layer audit", "layers/audit/layer.yaml"));
}

#[test]
fn a_plan_for_another_backend_is_refused() {
    let product = top().join("examples/cell-gateway/product.yaml");
    let plan = spec::load(&product, None).expect("a plan");
    let text = tree_of(&plan).expect_err("refused").to_string();
    assert!(text.contains("the plan is one for the backend `debian`, not for `buildroot`"), "{text}");
}

#[test]
fn a_package_of_our_own_is_in_the_tree_and_its_menu() {
    let mut plan = plan();
    let facts = plan.buildroot.as_mut().expect("a plan for Buildroot");
    let files = [
        ("Config.in", "config BR2_PACKAGE_FROB\n"),
        ("frob.mk", "FROB_VERSION = 1\n"),
        ("frob.hash", "# none\n"),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    facts.packages.insert("frob".to_owned(), files.into());
    let tree = tree_of(&plan).expect("a tree");
    assert_eq!(tree.nodes().get("package/frob/frob.mk"), Some(&Node::File("FROB_VERSION = 1\n".to_owned())));
    let Some(Node::File(menu)) = tree.nodes().get("Config.in") else { panic!("no menu") };
    assert!(menu.ends_with("source \"$BR2_EXTERNAL_CELL_GATEWAY_PATH/package/frob/Config.in\"\n"), "{menu}");
}

/// Buildroot takes a folder of sources once, and would not see that a file of it changed.
#[test]
fn sources_of_a_package_of_our_own_are_in_the_tree_and_looked_at_again() {
    let mut plan = plan();
    let facts = plan.buildroot.as_mut().expect("a plan for Buildroot");
    let files = [("frob-it.mk", "FROB_IT_SITE_METHOD = local\n"), ("src/frob.c", "int frob;\n")];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    facts.packages.insert("frob-it".to_owned(), files.into());
    let tree = tree_of(&plan).expect("a tree");
    let source = tree.nodes().get("package/frob-it/src/frob.c");
    assert_eq!(source, Some(&Node::File("int frob;\n".to_owned())));
    let Some(Node::File(makefile)) = tree.nodes().get("external.mk") else { panic!("no makefile") };
    for line in [
        "$(FROB_IT_TARGET_RSYNC): $(wildcard $(BR2_EXTERNAL_CELL_GATEWAY_PATH)/package/frob-it/src/*)\n",
        "$(FROB_IT_TARGET_BUILD): $(FROB_IT_TARGET_RSYNC)\n",
    ] {
        assert!(makefile.contains(line), "no `{line}` in {makefile}");
    }
}

#[test]
fn several_boards_are_in_one_tree_with_a_defconfig_each() {
    let first = plan();
    let mut second = plan();
    second.board.name = "other".to_owned();
    let one = tree_of(&first).expect("a tree");
    let tree = tree_of_boards(&[first, second]).expect("a tree");
    let text = |path: &str| match tree.nodes().get(path) {
        Some(Node::File(text)) => text.clone(),
        other => panic!("`{path}` is {other:?}"),
    };
    // What is of one board is as it is alone.
    for (path, node) in one.nodes().iter().filter(|(path, _)| path.contains("qemu-aarch64")) {
        assert_eq!(tree.nodes().get(path), Some(node), "{path}");
    }
    let twin = text("configs/cell-gateway_other_defconfig");
    assert_eq!(twin, text("configs/cell-gateway_qemu-aarch64_defconfig"));
    let makefile = text("external.mk");
    for board in ["qemu-aarch64", "other"] {
        assert_eq!(makefile.matches(&format!("ifeq ($(FASTNESS_BOARD),{board})\n")).count(), 1, "{makefile}");
    }
    assert_eq!(makefile.matches("\nendif\n").count(), 2);
    assert!(
        text("README.md").starts_with("# cell-gateway 1.0.0 on qemu-aarch64, other:"),
        "{}",
        text("README.md")
    );
    let mut stranger = plan();
    stranger.product.name = "stranger".to_owned();
    tree_of_boards(&[plan(), stranger]).expect_err("two products");
}
