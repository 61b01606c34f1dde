//! What the layers ask of others' recipes and of BitBake: options, commits, servers, taste, numbers of accounts.

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
        kas.contains(
            "\n  \"cell-gateway\":\n    path: \".\"\n    layers:\n      \"meta-cell-gateway-distro\":\n"
        ),
        "{kas}"
    );
}

/// `on`, `null`, `1e3`: YAML reads another type in words that a product may be called.
#[test]
fn every_name_in_the_kas_file_is_in_quotes() {
    let mut plan = plan();
    plan.product.name = "on".to_owned();
    let kas = text(&tree_of(&plan).expect("a tree"), "kas.yml");
    for line in ["machine: \"on-qemu-aarch64\"", "distro: \"on\"", "  \"on\":", "      \"meta-on-bsp\":"] {
        assert!(kas.lines().any(|found| found == line), "no `{line}` in {kas}");
    }
    let ours = ["header:", "repos:", "layers:", "version: 14", "\".\": disabled"];
    for line in kas.lines().filter(|line| !line.starts_with('#') && !line.starts_with("target: [")) {
        let line = line.trim_start();
        let scalar = line.split_once(": ").map_or(line, |(_, value)| value).trim_end_matches(':');
        let quoted = scalar.len() > 2 && scalar.starts_with('"') && scalar.ends_with('"');
        assert!(quoted || ours.contains(&line), "`{line}` in {kas}");
    }
    assert!(kas.contains("target: [\"on-image\", \"virtual/kernel\", \"virtual/bootloader\"]\n"), "{kas}");
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
    // A team whose release has `cve-check` takes `vex` out: OE-Core refuses every recipe of a build with both.
    let inherits = |text: &str, class: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("INHERIT:append = \" "));
        lines.flat_map(|line| line.trim_end_matches('"').split(' ')).any(|word| word == class)
    };
    assert!(inherits(&conf, "vex") && !inherits(&include, "vex"), "{conf} {include}");
    assert!(inherits(&include, "create-spdx") && !inherits(&conf, "create-spdx"), "{conf} {include}");
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
        let rest = kas.split(&format!("  \"{name}\":\n    url: ")).nth(1).expect("a repository");
        let rest = rest.split("    layers:").next().unwrap_or_default();
        rest.lines()
            .find_map(|line| line.trim().strip_prefix("commit: "))
            .map(|found| found.trim_matches('"').to_owned())
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

/// The accounts of others' packages have numbers, too: `/var` is older than the image after an update. What the table leaves out
/// is as the recipe has it (`useradd-staticids.bbclass`), such as the home.
#[test]
fn accounts_of_others_packages_have_numbers_that_no_other_package_moves() {
    let plan = plan();
    let tree = tree_of(&plan).expect("a tree");
    let table = |name: &str| text(&tree, &format!("meta-cell-gateway-distro/files/cell-gateway-{name}"));
    let (passwd, group) = (table("passwd"), table("group"));
    for user in ["systemd-network", "messagebus", "chronyd"] {
        let line = passwd.lines().find(|line| line.starts_with(&format!("{user}:"))).expect("a user");
        let fields: Vec<&str> = line.split(':').collect();
        assert_eq!((fields.len(), fields[2], &fields[4..]), (7, fields[3], &["", "", ""][..]), "{line}");
        assert!(group.contains(&format!("\n{user}:x:{}:\n", fields[3])), "{group}");
    }
    for name in ["systemd-journal", "empower", "render"] {
        assert!(group.contains(&format!("\n{name}:x:9")), "{group}");
        assert!(!passwd.contains(&format!("{name}:")), "{passwd}");
    }
    for table in [passwd, group] {
        let mut numbers: Vec<&str> = table.lines().filter_map(|line| line.split(':').nth(2)).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "{table}");
    }
}

/// `useradd-staticids` takes the comment of the table, in single quotes, before that of the recipe. No product has such a
/// comment; a plan that somebody wrote might.
#[test]
fn no_comment_of_an_account_ends_the_quotes_that_it_stands_in() {
    let mut plan = plan();
    plan.users.get_mut("sshd").expect("a user").value.comment =
        "x' --password '' 'y; z | \"a\" `b` $c \\d: e,\n".to_owned();
    let tree = tree_of(&plan).expect("a tree");
    let table = text(&tree, "meta-cell-gateway-distro/files/cell-gateway-passwd");
    let line = table.lines().find(|line| line.starts_with("sshd:")).expect("a line");
    let recipe = text(
        &tree,
        "meta-cell-gateway-distro/recipes-config/cell-gateway-accounts/cell-gateway-accounts_1.0.0.bb",
    );
    let clean = "x  --password     y  z |  a   b   c  d  e";
    assert_eq!(line, format!("sshd:x:110:110:{clean}:/run/sshd:/usr/sbin/nologin"));
    assert!(recipe.contains(&format!(" --comment '{clean}' sshd")), "{recipe}");
}
