//! The generated layers, file by file against the committed ones.
//!
//! `FASTNESS_UPDATE_GOLDEN=1 cargo test -p backend --test yocto_tree` writes the committed ones anew;
//! look at `git diff` before it is committed.

mod plans;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backend::yocto::{Node, Tree, tree_of, tree_of_boards};
use plans::{load, load_edited, plan, plan_for, text, with_collector};
use spec::plan::{FilePlan, Plan};

const CASES: [(&str, &str, &str); 6] = [
    ("cell-gateway", "qemu-aarch64", "wrynose"),
    ("cell-gateway", "qemu-arm", "wrynose"),
    ("plc-gateway", "qemu-aarch64", "wrynose"),
    ("pump-station", "qemu-aarch64", "wrynose"),
    ("feeder-terminal", "qemu-aarch64", "wrynose"),
    ("cell-gateway", "qemu-aarch64", "scarthgap"),
];

/// What this backend decides of the tree: the plan's files are compared with the plan itself.
fn decided(plan: &Plan) -> Tree {
    let whole = tree_of(plan).unwrap_or_else(|failure| panic!("{failure}"));
    let mut tree = Tree::default();
    for (path, node) in whole.nodes() {
        let of_plan = path.split_once("/files/rootfs").is_some_and(|(_, path)| plan.files.contains_key(path));
        match node {
            Node::File(text) if !of_plan => tree.file(path, text),
            Node::Script(text) => tree.script(path, text),
            Node::Link(target) => tree.link(path, target),
            Node::File(_) => {}
        }
    }
    tree
}

/// The text files below a folder.
fn read(folder: &Path) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(current) = waiting.pop() {
        for entry in fs::read_dir(&current).unwrap_or_else(|e| panic!("{}: {e}", current.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                nodes.insert(name, Node::File(fs::read_to_string(&path).expect("text")));
            }
        }
    }
    nodes
}

#[test]
fn the_layers_of_the_examples_are_the_committed_ones() {
    for (example, board, series) in CASES {
        let golden: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/yocto")
            .join(format!("{example}-{board}-{series}"));
        let tree = decided(&plan_for(example, board, series));
        if std::env::var_os("FASTNESS_UPDATE_GOLDEN").is_some() {
            tree.bring_to(&golden).unwrap_or_else(|failure| panic!("{failure}"));
        }
        let committed = read(&golden);
        for (path, node) in tree.nodes() {
            assert!(
                committed.get(path) == Some(node),
                "`{path}` of {example} differs on {board} for {series}"
            );
        }
        let strays: Vec<&String> =
            committed.keys().filter(|path| !tree.nodes().contains_key(*path)).collect();
        assert!(strays.is_empty(), "no longer generated: {strays:?}");
    }
}

#[test]
fn every_file_of_the_plan_is_in_one_recipe_as_it_is() {
    let plan = plan();
    let tree = tree_of(&plan).expect("a tree");
    for (path, asked) in &plan.files {
        let FilePlan::File { content, mode, .. } = &asked.value else { continue };
        let end = format!("/files/rootfs{path}");
        let found: Vec<_> = tree.nodes().iter().filter(|(name, _)| name.ends_with(&end)).collect();
        let [(name, node)] = found.as_slice() else { panic!("`{path}` is in {} recipes", found.len()) };
        assert_eq!(*node, &Node::File(content.clone()), "`{path}`");
        let (folder, _) = name.split_once("/files/rootfs").expect("below");
        let recipe = text(
            &tree,
            &format!("{folder}/{}_{}.bb", folder.rsplit('/').next().expect("a name"), plan.product.version),
        );
        assert!(
            recipe.contains(&format!("install -m {mode} ${{UNPACKDIR}}/rootfs{path} ${{D}}")),
            "{path}: {recipe}"
        );
    }
}

#[test]
fn nothing_of_an_append_reaches_a_build_of_others() {
    let boards = ["qemu-aarch64", "qemu-arm"];
    let single = |series| tree_of(&plan_for("cell-gateway", boards[0], series)).expect("a tree");
    let both = boards.map(|board| plan_for("cell-gateway", board, "wrynose"));
    for (what, tree, boards) in [
        ("wrynose", single("wrynose"), &boards[..1]),
        ("scarthgap", single("scarthgap"), &boards[..1]),
        ("two boards", tree_of_boards(&both).expect("a tree"), &boards[..]),
    ] {
        let mut appends = 0;
        for (path, node) in tree.nodes().iter().filter(|(path, _)| path.ends_with(".bbappend")) {
            let Node::File(text) = node else { panic!("`{path}`") };
            appends += 1;
            let machines = boards.iter().map(|board| format!("cell-gateway-{board}"));
            let scopes: Vec<String> =
                if path.contains("-bsp/") { machines.collect() } else { vec!["cell-gateway".to_owned()] };
            // Each of them has lines: of several boards none is forgotten.
            let mut seen = std::collections::BTreeSet::new();
            for line in text.lines().filter(|line| !line.starts_with([' ', '#', '}']) && !line.is_empty()) {
                let name = line.split([' ', '(']).next().unwrap_or_default();
                let scope = scopes.iter().find(|scope| {
                    let asked = line.starts_with("inherit ${@") && line.contains(&format!("'{scope}' in"));
                    name.ends_with(&format!(":{scope}")) || asked
                });
                assert!(scope.is_some(), "{what}: `{path}`: `{line}` is not scoped");
                seen.extend(scope);
            }
            assert_eq!(seen.len(), scopes.len(), "{what}: `{path}`");
        }
        assert!(appends >= 4, "{what}: {appends}");
    }
}

#[test]
fn releases_differ_where_the_data_say_so() {
    let recipe = "meta-cell-gateway-distro/recipes-config/cell-gateway-config-firewall/cell-gateway-config-firewall_1.0.0.bb";
    let conf = "meta-cell-gateway-distro/conf/layer.conf";
    for (series, unpack) in [("wrynose", "UNPACKDIR"), ("scarthgap", "WORKDIR")] {
        let tree = tree_of(&plan_for("cell-gateway", "qemu-aarch64", series)).expect("a tree");
        assert!(text(&tree, recipe).contains(&format!("S = \"${{{unpack}}}\"")));
        assert!(
            text(&tree, conf).contains(&format!("LAYERSERIES_COMPAT_cell-gateway-distro = \"{series}\""))
        );
    }
}

#[test]
fn accounts_have_the_numbers_of_the_plan_and_no_password() {
    let tree = tree_of(&plan()).expect("a tree");
    let recipe = text(
        &tree,
        "meta-cell-gateway-distro/recipes-config/cell-gateway-accounts/cell-gateway-accounts_1.0.0.bb",
    );
    assert!(recipe.contains("--uid 110 --gid sshd"), "{recipe}");
    assert!(!recipe.contains("--password") && !recipe.contains(" -p "), "{recipe}");
    let table = text(&tree, "meta-cell-gateway-distro/files/cell-gateway-passwd");
    assert!(table.contains("sshd:x:110:110:"), "{table}");
}

#[test]
fn a_commit_that_the_product_pins_is_in_the_kas_file() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let plan = load(
        "cell-gateway",
        "qemu-aarch64",
        &format!("yocto: {{commits: {{openembedded-core: {commit}}}}}\n"),
    );
    let tree = tree_of(&plan.expect("a plan")).expect("a tree");
    assert!(text(&tree, "kas.yml").contains(&format!("    commit: \"{commit}\"\n")));
}

#[test]
fn what_is_not_supported_is_said() {
    let said = |more: &str| load("cell-gateway", "qemu-aarch64", more).expect_err("refused").to_string();
    let text = said("yocto: {series: dunfell}\n");
    assert!(text.contains("the Yocto series `dunfell` is not supported"), "{text}");
    assert!(text.contains("`scarthgap`, `wrynose`"), "{text}");
    let text = said("yocto: {commits: {meta-foo: 0123456789abcdef0123456789abcdef01234567}}\n");
    assert!(text.contains("unknown repository is pinned: `meta-foo`"), "{text}");
    let mut plan = plan();
    plan.yocto = None;
    let text = tree_of(&plan).expect_err("refused").to_string();
    assert!(text.contains("no plan") || text.contains("not for `yocto`"), "{text}");
}

#[test]
fn no_text_names_a_key_and_the_folder_is_what_was_planned() {
    let plan = plan();
    for (path, node) in tree_of(&plan).expect("a tree").nodes() {
        let Node::File(text) = node else { continue };
        assert!(!text.contains("PRIVATE KEY"), "`{path}`");
        assert!(text.is_empty() || text.ends_with('\n'), "`{path}`");
    }
    let folder = tempfile::tempdir().expect("a folder");
    backend::generate(&plan, folder.path(), Path::new("no.lock")).expect("generated");
    assert_eq!(&read(folder.path()), tree_of(&plan).expect("a tree").nodes());
}

#[test]
fn symbols_have_the_names_of_the_series_and_who_asked_for_them() {
    let plan = plan();
    let gone = ["CRYPTO_SHA256_ARM64", "CRYPTO_SHA512_ARM64"].map(|name| plan.linux.symbols.get(name));
    assert_eq!(gone, [None, None]);
    let sha = &plan.linux.symbols["CRYPTO_LIB_SHA256_ARCH"];
    let who: Vec<&str> = sha.origins.iter().map(|origin| origin.who.as_str()).collect();
    assert_eq!((sha.value.as_str(), who[0]), ("y", "layer verity-root"));
    assert!(who.contains(&"backend yocto"), "{who:?}");
    assert_eq!(plan.uboot.symbols["ENV_DEFAULT_ENV_TEXT_FILE"].value, "\"fastness.env\"");
    assert!(!plan.uboot.symbols.contains_key("USE_DEFAULT_ENV_FILE"));
    // What asks for it in the finished image asks by the same name.
    let expect = &plan.checks["boot.uboot-env"].value.with["expect"];
    assert_eq!(expect["ENV_USE_DEFAULT_ENV_TEXT_FILE"], "y", "{expect}");
    assert_eq!(expect.get("USE_DEFAULT_ENV_FILE"), None);
    // One that is gone stays in the plan, waived with the reason.
    for target in ["linux:RODATA_FULL_DEFAULT_ENABLED", "kernel-hardening-checker:rodata"] {
        assert!(plan.waivers[target].origins[0].reason.contains("no symbol any more"), "{target}");
    }
    let asked = text(
        &tree_of(&plan).expect("a tree"),
        "meta-cell-gateway-bsp/recipes-kernel/linux/files/cell-gateway-qemu-aarch64/asked.txt",
    );
    assert!(asked.contains("RODATA_FULL_DEFAULT_ENABLED\ty\twaived\t"), "{asked}");
    let older = plan_for("cell-gateway", "qemu-aarch64", "scarthgap");
    assert_eq!(older.uboot.symbols["NET"].value, "n");
    assert!(older.linux.symbols.contains_key("CRYPTO_SHA256_ARM64"));
    assert!(older.waivers.contains_key("uboot:QFW") && !plan.waivers.contains_key("uboot:QFW"));
    // A board of another architecture is not asked for what it never was.
    let arm = plan_for("cell-gateway", "qemu-arm", "wrynose");
    assert!(!arm.waivers.contains_key("linux:RODATA_FULL_DEFAULT_ENABLED"));
    assert_eq!(arm.linux.symbols["CRYPTO_LIB_CHACHA_ARCH"].value, "y");
}

#[test]
fn records_of_events_and_their_way_to_a_collector_have_a_meaning_on_every_series() {
    for series in ["wrynose", "scarthgap"] {
        let plan = with_collector(series);
        let tree = tree_of(&plan).expect("a tree");
        let image = text(&tree, "meta-cell-gateway-distro/recipes-image/images/cell-gateway-image.bb");
        for package in ["rsyslog", "socat"] {
            assert!(image.contains(&format!("    {package} \\\n")), "{series}: {image}");
        }
        let append = text(&tree, "meta-cell-gateway-distro/recipes-append/rsyslog/rsyslog_%.bbappend");
        for line in [
            "EXTRA_OECONF:append:cell-gateway = \" --enable-omprog --enable-mmutf8fix\"\n",
            "RDEPENDS:rsyslog:remove:cell-gateway = \"logrotate\"\n",
        ] {
            assert!(append.contains(line), "{series}: {append}");
        }
        // Every part that the layer's configuration loads is built in, chosen or asked for, and stays.
        let class = text(&tree, "meta-cell-gateway-distro/classes-recipe/cell_gateway_image.bbclass");
        let FilePlan::File { content, .. } = &plan.files["/etc/rsyslog.conf"].value else {
            panic!("no configuration")
        };
        let loaded: Vec<&str> =
            content.split("module(load=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(loaded.len() >= 4, "{loaded:?}");
        for part in loaded {
            assert!(append.contains(part), "{series}: nothing asks for `{part}`");
            assert!(!class.contains(&format!("/usr/lib/rsyslog/{part}.so")), "{series}: `{part}` is removed");
        }
    }
}

#[test]
fn a_responder_of_the_product_gives_strongswan_its_fetcher_on_every_series() {
    for series in ["wrynose", "scarthgap"] {
        let append = |plan: &Plan| {
            let tree = tree_of(plan).expect("a tree");
            text(&tree, "meta-plc-gateway-distro/recipes-append/strongswan/strongswan_%.bbappend")
        };
        let more = format!("yocto: {{series: {series}}}\nocsp: {{address: 192.0.2.40, service: status}}\n");
        let network = [
            ("\nservices:\n", "  status: {transport: tcp, port: 2560}\n"),
            (
                "\nconduits:\n",
                "  - {name: status, from: device, to: plant, service: status, peers: [192.0.2.40/32], reason: revoked ones}\n",
            ),
        ];
        let plan = load_edited("plc-gateway", "qemu-aarch64", &more, &network)
            .unwrap_or_else(|failure| panic!("{failure}"));
        let asked = append(&plan);
        assert!(asked.contains("PACKAGECONFIG:append:plc-gateway = \" curl\"\n"), "{series}: {asked}");
        assert!(asked.contains("PACKAGECONFIG:plc-gateway = \"openssl swanctl "), "{series}: {asked}");
        // What the configuration loads is there: the recipe puts each part into a package of its own.
        let FilePlan::File { content, .. } = &plan.files["/etc/strongswan.conf"].value else {
            panic!("no configuration")
        };
        assert!(content.contains(" pubkey curl kernel-netlink "), "{content}");
        assert!(!plan.removals.keys().any(|path| path.contains("strongswan-curl")), "{series}");
        // Who asks nobody has no fetcher.
        let without = append(&plan_for("plc-gateway", "qemu-aarch64", series));
        assert!(!without.contains("curl\""), "{series}: {without}");
    }
}

#[test]
fn a_key_in_the_tpm_brings_a_layer_that_no_other_product_needs() {
    let tree = tree_of(&plan_for("feeder-terminal", "qemu-aarch64", "wrynose")).expect("a tree");
    let top = "meta-feeder-terminal-distro";
    let append = text(&tree, &format!("{top}/recipes-append/strongswan/strongswan_%.bbappend"));
    for line in [
        "PACKAGECONFIG:append:feeder-terminal = \" tpm2\"\n",
        "DEPENDS:append:feeder-terminal = \" tpm2-tss\"\n",
    ] {
        assert!(append.contains(line), "no `{line}` in {append}");
    }
    let image = text(&tree, &format!("{top}/recipes-image/images/feeder-terminal-image.bb"));
    for package in ["libtss2", "libtss2-tcti-device", "tpm2-openssl"] {
        assert!(image.contains(&format!("    {package} \\\n")), "{image}");
    }
    // The package of the recipe's own name gives the TPM to an account.
    assert!(!image.contains("    tpm2-tss \\\n"), "{image}");
    let kas = "  \"meta-security\":\n    url: \"https://git.yoctoproject.org/meta-security\"\n    branch: \"wrynose\"\n    layers:\n      \"meta-tpm\":\n";
    assert!(text(&tree, "kas.yml").contains(kas));
    let conf = text(&tree, &format!("{top}/conf/layer.conf"));
    assert!(conf.contains("LAYERDEPENDS_feeder-terminal-distro = \"core openembedded-layer meta-python networking-layer tpm-layer\""), "{conf}");
    let distro = text(&tree, &format!("{top}/conf/distro/include/feeder-terminal.inc"));
    assert!(distro.contains("SKIP_META_TPM_SANITY_CHECK = \"1\"\n"), "{distro}");
    let features =
        distro.lines().find(|line| line.starts_with("DISTRO_FEATURES:append = ")).expect("features");
    assert!(!features.contains("tpm"), "{features}");
    for (path, node) in tree_of(&plan_for("plc-gateway", "qemu-aarch64", "wrynose")).expect("a tree").nodes()
    {
        let Node::File(text) = node else { panic!("`{path}`") };
        let named = ["meta-security", "tpm-layer", "META_TPM"].iter().any(|word| text.contains(word));
        assert!(!named, "`{path}`");
    }
    // A commit of a repository that is not needed is no mistake: the next product may need it.
    let pins = "yocto: {commits: {meta-security: 0123456789abcdef0123456789abcdef01234567}}\n";
    load("plc-gateway", "qemu-aarch64", pins).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_recipe_of_the_products_own_is_in_its_layer_with_its_sources() {
    let mut plan = plan();
    let facts = plan.yocto.as_mut().expect("facts");
    let files = [("frob.bb", "SRC_URI = \"file://src\"\n"), ("files/src/frob.c", "int frob;\n")];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    facts.recipes.insert("frob".to_owned(), files.into());
    let tree = tree_of(&plan).expect("a tree");
    // `recipes-*/*/*.bb` of the layer, and a folder where BitBake looks for its files.
    for (path, content) in [
        ("meta-cell-gateway-distro/recipes-own/frob/frob.bb", "SRC_URI = \"file://src\"\n"),
        ("meta-cell-gateway-distro/recipes-own/frob/files/src/frob.c", "int frob;\n"),
    ] {
        assert_eq!(text(&tree, path), content);
    }
}

#[test]
fn a_distro_and_a_machine_of_another_name_get_the_appends_too() {
    let tree = tree_of(&plan()).expect("a tree");
    let machine = text(&tree, "meta-cell-gateway-bsp/conf/machine/include/cell-gateway-qemu-aarch64.inc");
    assert!(machine.contains("MACHINEOVERRIDES =. \"cell-gateway-qemu-aarch64:\"\n"), "{machine}");
    let distro = text(&tree, "meta-cell-gateway-distro/conf/distro/include/cell-gateway.inc");
    assert!(distro.contains("DISTROOVERRIDES =. \"cell-gateway:\"\n"), "{distro}");
}

#[test]
fn the_pages_name_the_maintainer_and_his_address() {
    let wrong = load("cell-gateway", "qemu-aarch64", "yocto: {maintainer: nobody}\n").expect_err("refused");
    assert!(wrong.to_string().contains("expected a maintainer with an address, found `nobody`"), "{wrong}");
    let who = "The team <team@example.org>";
    let plan = load("cell-gateway", "qemu-aarch64", &format!("yocto: {{maintainer: \"{who}\"}}\n"));
    let plan = plan.expect("a plan");
    assert_eq!(backend::yocto::warnings(&plan), Vec::<String>::new());
    let tree = tree_of(&plan).expect("a tree");
    for layer in ["distro", "bsp"] {
        // What yocto-check-layer looks for.
        let page = text(&tree, &format!("meta-cell-gateway-{layer}/README.md"));
        assert!(page.contains(&format!("Maintainer: {who}. Send patches")), "{page}");
        assert!(!page.contains("README"), "{page}");
        assert!(text(&tree, &format!("meta-cell-gateway-{layer}/SECURITY.md")).contains(who));
    }
    // Nobody is made up: that an address is missing is said.
    let said = backend::yocto::warnings(&load("cell-gateway", "qemu-aarch64", "").expect("a plan"));
    let [said] = said.as_slice() else { panic!("{said:?}") };
    assert!(said.contains("`yocto-check-layer` fails a README without an address"), "{said}");
    assert!(said.contains("`yocto: {maintainer: "), "{said}");
}

#[test]
fn every_recipe_refers_to_the_text_of_its_licence() {
    let plan = plan_for("cell-gateway", "qemu-aarch64", "wrynose");
    let tree = tree_of(&plan).expect("a tree");
    let of_recipe = "file://${THISDIR}/../../licenses/LicenseRef-cell-gateway;md5=";
    let mut recipes = 0;
    for (path, node) in tree.nodes().iter().filter(|(path, _)| path.ends_with(".bb")) {
        let Node::File(recipe) = node else { panic!("`{path}`") };
        recipes += 1;
        assert!(recipe.contains("\nLICENSE = \"LicenseRef-cell-gateway\"\n"), "`{path}`");
        let md5 = recipe.split(of_recipe).nth(1).and_then(|rest| rest.split('"').next());
        // `${THISDIR}/../..` is the layer, where its configuration looks for the text, too.
        let parts: Vec<&str> = path.split('/').collect();
        assert_eq!(parts.len(), 4, "`{path}`");
        let license = text(&tree, &format!("{}/licenses/LicenseRef-cell-gateway", parts[0]));
        assert_eq!(md5, Some(md5sum(&license).as_str()), "`{path}`");
        let conf = text(&tree, &format!("{}/conf/layer.conf", parts[0]));
        assert!(conf.contains("\nLICENSE_PATH += \"${LAYERDIR}/licenses\"\n"), "{conf}");
    }
    assert!(recipes > 10, "{recipes}");
}

/// By coreutils, as BitBake's own would have it.
fn md5sum(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text");
    std::fs::write(&file, text).expect("written");
    let out = Command::new("md5sum").arg(&file).output().expect("coreutils' md5sum is needed");
    String::from_utf8_lossy(&out.stdout).split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_patch_says_how_it_stands_upstream() {
    let plan = load("cell-gateway", "qemu-aarch64", "signing: {algorithm: \"sha256,ecdsa256\", key: x}\n");
    let tree = tree_of(&plan.unwrap_or_else(|failure| panic!("{failure}"))).expect("a tree");
    let patches: Vec<_> = tree.nodes().iter().filter(|(path, _)| path.ends_with(".patch")).collect();
    // That of the layer `ecdsa`, and those of `verified-boot`, which every product has.
    assert_eq!(patches.len(), 5);
    let append =
        tree.nodes().keys().find(|path| path.ends_with("/u-boot_%.bbappend")).expect("U-Boot's append");
    let append = text(&tree, append);
    let fetched = append.lines().find(|line| line.starts_with("SRC_URI:append")).expect("what it fetches");
    for (path, node) in patches {
        // A patch that no SRC_URI names lies there and changes nothing.
        let name = path.rsplit('/').next().unwrap_or_default();
        assert!(fetched.split([' ', '"']).any(|word| word == format!("file://{name}")), "{name}: {fetched}");
        let Node::File(text) = node else { panic!("`{path}`") };
        let said = text.lines().find_map(|line| line.strip_prefix("Upstream-Status: "));
        // The only words without a place that BitBake's own test of patches takes.
        assert!(
            said.is_some_and(|said| said == "Pending" || said.starts_with("Inappropriate [")),
            "`{path}`"
        );
    }
    let older = load(
        "cell-gateway",
        "qemu-aarch64",
        "signing: {algorithm: \"sha256,ecdsa256\", key: x}\nyocto: {series: scarthgap}\n",
    );
    let refused = tree_of(&older.expect("a plan")).expect_err("refused").to_string();
    assert!(refused.contains("is for U-Boot 2025.01 and 2026.01, and this is 2024.01\n"), "{refused}");
    assert!(refused.contains("asked for by layer ecdsa at "), "{refused}");
}

/// The counter against older images: the patch is fetched, each of its symbols is in the fragment, and neither is in another product.
#[test]
fn the_rollback_patch_is_fetched_and_its_symbols_are_asked() {
    let name = "0001-fit-rollback.patch";
    let layer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../layers/rollback/uboot").join(name);
    let layer = fs::read_to_string(layer).expect("the layer's patch");
    let found = |more: &str| {
        let plan = load("cell-gateway", "qemu-aarch64", more).unwrap_or_else(|failure| panic!("{failure}"));
        let tree = tree_of(&plan).unwrap_or_else(|failure| panic!("{failure}"));
        let patch = tree.nodes().keys().find(|path| path.ends_with(name)).map(|path| text(&tree, path));
        let of = |end: &str| {
            let path = tree.nodes().keys().find(|path| path.contains("/u-boot/") && path.ends_with(end));
            text(&tree, path.unwrap_or_else(|| panic!("no `{end}`")))
        };
        (patch, of("u-boot_%.bbappend"), of("fastness.cfg"), of("asked.txt"))
    };
    let (patch, append, fragment, asked) = found("signing: {rollback_version: 3}\n");
    // Yocto wants its own word of where a patch stands, in front of what the layer says.
    let patch = patch.expect("the patch is in the layer");
    let body = |text: &str| text[text.find("\n--- ").expect("a first file")..].to_owned();
    assert_eq!(body(&patch), body(&layer));
    let fetched = append.lines().find(|line| line.starts_with("SRC_URI:append")).expect("what it fetches");
    assert!(fetched.contains(&format!("file://{name}")), "{fetched}");
    for line in ["CONFIG_FIT_ROLLBACK=y\n", "CONFIG_FIT_ROLLBACK_NV_INDEX=0x1504653\n", "CONFIG_TPM_V2=y\n"] {
        // As Kconfig writes a number, or as the layer does.
        let other = line.replace("0x1504653", "0x01504653");
        assert!(fragment.contains(line) || fragment.contains(&other), "`{line}`: {fragment}");
    }
    assert!(fragment.contains("CONFIG_FIT_ROLLBACK_PARTITION=\"proof\"\n"), "{fragment}");
    assert!(asked.contains("\nFIT_ROLLBACK\ty\t"), "{asked}");
    let (patch, append, fragment, asked) = found("");
    assert_eq!(patch, None);
    for text in [append, fragment, asked] {
        assert!(!text.to_lowercase().contains("rollback"), "{text}");
    }
    // U-Boot 2024.01 has no such patch: an error, and nothing that starts older images in silence.
    let older =
        load("cell-gateway", "qemu-aarch64", "signing: {rollback_version: 3}\nyocto: {series: scarthgap}\n");
    let refused = tree_of(&older.expect("a plan")).expect_err("refused").to_string();
    assert!(refused.contains("asked for by layer rollback at "), "{refused}");
}

#[test]
fn several_boards_are_multiconfigs_of_one_build() {
    let plans = ["qemu-aarch64", "qemu-arm"].map(|board| plan_for("cell-gateway", board, "wrynose"));
    let tree = tree_of_boards(&plans).unwrap_or_else(|failure| panic!("{failure}"));
    let conf = text(&tree, "meta-cell-gateway-bsp/conf/multiconfig/qemu-arm.conf");
    assert_eq!(conf, "MACHINE = \"cell-gateway-qemu-arm\"\nTMPDIR = \"${TOPDIR}/tmp-qemu-arm\"\n");
    let append = text(&tree, "meta-cell-gateway-bsp/recipes-kernel/linux/linux-yocto_%.bbappend");
    let single = tree_of(&plans[1]).expect("a tree");
    let of_arm = text(&single, "meta-cell-gateway-bsp/recipes-kernel/linux/linux-yocto_%.bbappend");
    assert!(append.contains(&of_arm) && append.contains(":cell-gateway-qemu-aarch64"), "{append}");
    // Audit rules differ: the package is one of the machine. The firewall's are the same.
    let folder = "meta-cell-gateway-distro/recipes-config";
    let audit =
        text(&tree, &format!("{folder}/cell-gateway-config-audit/cell-gateway-config-audit_1.0.0.bb"));
    assert!(audit.contains("PACKAGE_ARCH = \"${MACHINE_ARCH}\"") && !audit.contains("allarch"), "{audit}");
    for (board, plan) in ["qemu-aarch64", "qemu-arm"].iter().zip(&plans) {
        let rules = text(
            &tree,
            &format!(
                "{folder}/cell-gateway-config-audit/files/cell-gateway-{board}/rootfs/etc/audit/audit.rules"
            ),
        );
        let FilePlan::File { content, .. } = &plan.files["/etc/audit/audit.rules"].value else { panic!() };
        assert_eq!(&rules, content, "{board}");
    }
    let firewall =
        text(&tree, &format!("{folder}/cell-gateway-config-firewall/cell-gateway-config-firewall_1.0.0.bb"));
    assert!(firewall.contains("inherit allarch"), "{firewall}");
    let kas = text(&tree, "kas.yml");
    assert!(kas.contains("    BBMULTICONFIG = \"qemu-aarch64 qemu-arm\"\n"), "{kas}");
    assert!(kas.contains("\"mc:qemu-arm:cell-gateway-image\""), "{kas}");
    let page = text(&tree, "meta-cell-gateway-bsp/README.md");
    assert!(page.contains("for qemu-aarch64, qemu-arm,"), "{page}");
    // One board alone is what it always was; another product does not go with it.
    assert_eq!(tree_of_boards(&plans[..1]).expect("a tree"), tree_of(&plans[0]).expect("a tree"));
    let other = plan_for("plc-gateway", "qemu-arm", "wrynose");
    let refused = tree_of_boards(&[plans[0].clone(), other]).expect_err("refused").to_string();
    assert!(refused.contains("one build is for one product and one Yocto series"), "{refused}");
}
