//! What the layers ask of others' recipes and of BitBake: options, commits, servers, taste.

mod plans;

use std::fs;

use backend::yocto::{Tree, tree_of};
use plans::{load, plan, plan_for, text};
use spec::plan::FilePlan;

/// The line of an append that sets a recipe's PACKAGECONFIG, and those that append to it.
fn configured(tree: &Tree, recipe: &str) -> Vec<String> {
    let append = text(tree, &format!("meta-cell-gateway-distro/recipes-append/{recipe}/{recipe}_%.bbappend"));
    let lines = append.lines().filter(|line| line.starts_with("PACKAGECONFIG:"));
    let values = lines.filter_map(|line| line.split('"').nth(1)).flat_map(str::split_whitespace);
    values.map(str::to_owned).collect()
}

#[test]
fn what_our_layers_need_of_others_recipes_is_built_in() {
    for series in ["wrynose", "scarthgap"] {
        let plan = plan_for("cell-gateway", "qemu-aarch64", series);
        let tree = tree_of(&plan).expect("a tree");
        let has = |recipe: &str, word: &str| {
            let found = configured(&tree, recipe);
            assert!(found.iter().any(|one| one == word), "{series}: {recipe} has no `{word}`: {found:?}");
        };
        // A server that has an IPv6 address alone, and one with `nts`.
        has("chrony", "ipv6");
        // Starts and stops of services are audit records.
        has("systemd", "audit");
        // Who logged in and who was refused, too.
        has("libpam", "audit");
        let append = |recipe: &str| {
            text(&tree, &format!("meta-cell-gateway-distro/recipes-append/{recipe}/{recipe}_%.bbappend"))
        };
        let ssh = append("openssh");
        assert!(ssh.contains("DEPENDS:append:cell-gateway = \" audit\"\n"), "{ssh}");
        assert!(
            ssh.contains("PACKAGECONFIG_CONFARGS:append:cell-gateway = \" --with-audit=linux\"\n"),
            "{ssh}"
        );
        // sshd ends with "Bad key types" at a type of key that it was built without.
        let FilePlan::File { content, .. } = &plan.files["/etc/ssh/sshd_config"].value else { panic!() };
        assert!(content.contains("sk-ssh-ed25519@openssh.com"), "{content}");
        assert!(
            ssh.contains("PACKAGECONFIG_CONFARGS:append:cell-gateway = \" --enable-security-key\"\n"),
            "{ssh}"
        );
        // The recipe of scarthgap has no choice for NTS: `configure` takes it where GnuTLS is.
        let nts = configured(&tree, "chrony").contains(&"nts".to_owned());
        assert_eq!(nts, series == "wrynose", "{series}");
        assert!(append("chrony").contains("DEPENDS:append:cell-gateway = \" gnutls\"\n"), "{series}");
    }
}

#[test]
fn kas_finds_our_layers_in_the_folder_where_it_is_called() {
    let kas = text(&tree_of(&plan()).expect("a tree"), "kas.yml");
    // Without a path kas takes the top of the work tree of git that the product lies in.
    assert!(
        kas.contains("\n  cell-gateway:\n    path: .\n    layers:\n      meta-cell-gateway-distro:\n"),
        "{kas}"
    );
}

#[test]
fn a_hash_server_has_the_handler_that_asks_it_on_every_series() {
    for (series, said) in [("wrynose", false), ("scarthgap", true)] {
        let more = format!("yocto: {{series: {series}, hash_server: \"hash.example:8686\"}}\n");
        let plan = load("cell-gateway", "qemu-aarch64", &more).unwrap_or_else(|failure| panic!("{failure}"));
        let tree = tree_of(&plan).expect("a tree");
        let sample = "meta-cell-gateway-distro/conf/templates/cell-gateway/local.conf.sample";
        for path in ["kas.yml", sample] {
            let found = text(&tree, path).contains("BB_SIGNATURE_HANDLER ?= \"OEEquivHash\"\n");
            assert_eq!(found, said, "{series}: {path}");
        }
        let without = tree_of(&plan_for("cell-gateway", "qemu-aarch64", series)).expect("a tree");
        assert!(!text(&without, sample).contains("BB_SIGNATURE_HANDLER"), "{series}");
    }
}

#[test]
fn the_include_hardens_and_taste_is_the_distros_own() {
    let tree = tree_of(&plan()).expect("a tree");
    let conf = text(&tree, "meta-cell-gateway-distro/conf/distro/cell-gateway.conf");
    let include = text(&tree, "meta-cell-gateway-distro/conf/distro/include/cell-gateway.inc");
    for taste in ["DISTRO_FEATURES:remove = ", "LICENSE_FLAGS_ACCEPTED = ", "COPY_LIC_MANIFEST = "] {
        assert!(conf.contains(&format!("\n{taste}")), "{taste}: {conf}");
        assert!(!include.contains(taste), "{taste}: {include}");
    }
    assert!(include.contains("\nINIT_MANAGER = \"systemd\"\n"), "{include}");
    assert!(!include.contains("BUILD_REPRODUCIBLE_BINARIES"), "no supported release knows it: {include}");
}

#[test]
fn a_version_with_a_hyphen_is_one_of_bitbake_in_every_recipe() {
    let mut plan = plan();
    plan.product.version = "1.0.0-rc1".to_owned();
    let tree = tree_of(&plan).expect("a tree");
    let recipes: Vec<&String> =
        tree.nodes().keys().filter(|path| path.contains("-rc1") || path.contains("+rc1")).collect();
    assert!(recipes.len() > 10, "{recipes:?}");
    for path in recipes {
        assert!(path.ends_with("_1.0.0+rc1.bb"), "`{path}`");
    }
}

#[test]
fn commits_of_the_lock_are_in_the_kas_file_and_the_products_go_before_them() {
    let (ours, locked) = ("0123456789abcdef0123456789abcdef01234567", "f".repeat(40));
    let more = format!("yocto: {{commits: {{bitbake: {ours}}}}}\n");
    let plan = load("cell-gateway", "qemu-aarch64", &more).unwrap_or_else(|failure| panic!("{failure}"));
    let folder = tempfile::tempdir().expect("a folder");
    let lock = folder.path().join("fastness.lock");
    let of = |names: &[&str]| -> String {
        let pins: Vec<String> = names.iter().map(|name| format!("\"{name}\": \"{locked}\"")).collect();
        format!("{{{}}}", pins.join(", "))
    };
    fs::write(
        &lock,
        format!(
            "{{\"schema_version\": 1, \"targets\": {{}}, \"yocto\": {{\"wrynose\": {}, \"scarthgap\": {}}}}}",
            of(&["bitbake", "openembedded-core"]),
            of(&["meta-openembedded"])
        ),
    )
    .expect("written");
    let out = folder.path().join("generated");
    backend::generate(&plan, &out, &lock).unwrap_or_else(|failure| panic!("{failure}"));
    let kas = fs::read_to_string(out.join("kas.yml")).expect("a file");
    let pinned = |name: &str| {
        let rest = kas.split(&format!("  {name}:\n    url: ")).nth(1).expect("a repository");
        let rest = rest.split("    layers:").next().unwrap_or_default();
        rest.lines().find_map(|line| line.trim().strip_prefix("commit: ")).map(str::to_owned)
    };
    assert_eq!(pinned("bitbake").as_deref(), Some(ours));
    assert_eq!(pinned("openembedded-core"), Some(locked));
    // Pinned for another series alone.
    assert_eq!(pinned("meta-openembedded"), None);
    fs::write(&lock, "{}").expect("written");
    let refused = backend::generate(&plan, &out, &lock).expect_err("refused");
    assert_eq!(refused.status, diag::ExitStatus::Input);
    assert!(refused.to_string().contains("restore it from version control"), "{refused}");
}
