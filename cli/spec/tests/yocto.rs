//! Plans for the Yocto backend: what a package means, and who is told when it means nothing or two things.

use std::path::Path;

use diag::{Diagnostic, Outcome};
use spec::Choice;
use spec::library::Library;
use spec::plan::Plan;
use spec::product::Backend;

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

/// A product with two layers of its own; `meaning` is what the packages `frob` and `twiddle` mean.
fn load(frob: Option<&str>, twiddle: &str, more: &str) -> Outcome<Plan> {
    let folder = tempfile::tempdir().expect("a folder");
    for (layer, package) in [("one", "frob"), ("two", "twiddle")] {
        let text = format!(
            "title: A layer of the product\ndescription: Tests\npackages:\n  - {{name: {package}, reason: \"needs it\"}}\n"
        );
        write(folder.path(), &format!("layers/{layer}/layer.yaml"), &text);
    }
    if let Some(text) = frob {
        write(folder.path(), "yocto/packages/frob.yaml", text);
    }
    write(folder.path(), "yocto/packages/twiddle.yaml", twiddle);
    let product = folder.path().join("product.yaml");
    let text = spec::scaffold("my-device") + "\nlayers: {one: {}, two: {}}\n" + more;
    std::fs::write(&product, text).expect("written");
    let choice = Choice { backend: Some(Backend::Yocto), series: None };
    spec::load_as(&Library::built_in(Some(folder.path())), &product, None, choice)
}

fn refused(result: Outcome<Plan>, code: &str) -> Diagnostic {
    let failure = result.expect_err("must be refused");
    assert_eq!(failure.status, diag::ExitStatus::Input);
    let found = failure.diagnostics.iter().find(|d| d.code == code).cloned();
    found.unwrap_or_else(|| panic!("no `{code}` in {failure}"))
}

/// A package's file that sets a variable of the recipe `frob`.
fn sets(variable: &str, value: &str) -> String {
    format!(
        "install: [frob]\noptions:\n  - {{recipe: frob, variable: \"{variable}\", value: \"{value}\", reason: \"so much of it\"}}\n"
    )
}

fn options(plan: Plan) -> Vec<(String, String)> {
    let options = plan.yocto.expect("a plan for Yocto").options.into_iter();
    options.filter(|o| o.recipe == "frob").map(|o| (o.variable, o.value)).collect()
}

#[test]
fn two_layers_that_want_one_variable_otherwise_are_both_named() {
    let one = sets("PACKAGECONFIG", "tls");
    let problem = refused(load(Some(&one), &sets("PACKAGECONFIG", "tls debug"), ""), "conflict");
    assert!(
        problem.message.contains(
            "layer one and layer two disagree about the variable of a recipe `frob: PACKAGECONFIG`: `tls` and `tls debug`"
        ),
        "{problem:?}"
    );
    let at = problem.location.expect("a place");
    assert!(at.file.ends_with("yocto/packages/twiddle.yaml") && at.line == 3, "{at:?}");
    let other = problem.notes[0].location.as_ref().expect("the other place");
    assert!(other.file.ends_with("yocto/packages/frob.yaml") && other.line == 3, "{other:?}");
}

#[test]
fn the_same_value_is_said_once_and_what_is_appended_adds_up() {
    let said = |one: &str, two: &str| {
        let plan = load(Some(one), two, "").unwrap_or_else(|failure| panic!("{failure}"));
        options(plan)
    };
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let tls = sets("PACKAGECONFIG", "tls");
    assert_eq!(said(&tls, &tls), owned(&[("PACKAGECONFIG", "tls")]));
    let more = sets("PACKAGECONFIG:append", " curl");
    assert_eq!(said(&tls, &more), owned(&[("PACKAGECONFIG", "tls"), ("PACKAGECONFIG:append", " curl")]));
    let other = sets("PACKAGECONFIG:append", " zlib");
    assert_eq!(
        said(&more, &other),
        owned(&[("PACKAGECONFIG:append", " curl"), ("PACKAGECONFIG:append", " zlib")])
    );
}

#[test]
fn a_package_without_a_meaning_names_the_layer_and_its_line() {
    let twiddle = "install: [twiddle]\n";
    let problem = refused(load(None, twiddle, ""), "unmapped-package");
    assert!(
        problem.message.contains("layer one asks for the package `frob`, which has no meaning for Yocto yet"),
        "{problem:?}"
    );
    let at = problem.location.expect("a place");
    assert!(at.file.ends_with("layers/one/layer.yaml") && at.line == 4, "{at:?}");
    assert!(problem.hint.expect("a hint").contains("yocto/packages/frob.yaml"));
    let problem = refused(load(Some("install: []\n"), twiddle, ""), "empty-package");
    assert!(problem.message.contains("has neither `install` nor a `note`"), "{problem:?}");
    let problem =
        refused(load(Some("install: [frob]\nlayer: meta-netwrking\n"), twiddle, ""), "unknown-layer");
    assert!(problem.message.contains("names the layer `meta-netwrking`"), "{problem:?}");
    assert!(problem.hint.expect("a hint").contains("meta-networking"));
}

#[test]
fn a_board_that_says_nothing_to_yocto_is_told_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let board = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards/qemu-aarch64/board.yaml"),
    )
    .expect("the board");
    let without: String =
        board.lines().filter(|line| !line.starts_with("yocto:")).map(|line| format!("{line}\n")).collect();
    assert_ne!(board, without);
    write(folder.path(), "boards/qemu-aarch64/board.yaml", &without);
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, spec::scaffold("my-device")).expect("written");
    let choice = Choice { backend: Some(Backend::Yocto), series: None };
    let result = spec::load_as(&Library::built_in(Some(folder.path())), &product, None, choice);
    let problem = refused(result, "no-yocto-board");
    assert!(problem.message.contains("the board `qemu-aarch64` cannot be built with Yocto"), "{problem:?}");
    assert!(problem.hint.expect("a hint").contains("boards/qemu-aarch64/board.yaml"));
}

/// A package's file that sets a variable of the distro.
fn of_distro(package: &str, variable: &str, value: &str) -> String {
    format!(
        "install: [{package}]\nsettings:\n  - {{variable: \"{variable}\", value: \"{value}\", reason: \"so much of it\"}}\n"
    )
}

#[test]
fn two_that_want_one_variable_of_the_distro_otherwise_are_both_named() {
    let one = of_distro("frob", "FROB_MODE", "strict");
    let problem = refused(load(Some(&one), &of_distro("twiddle", "FROB_MODE", "lax"), ""), "conflict");
    assert!(
        problem.message.contains(
            "layer one and layer two disagree about the variable of the distro `FROB_MODE`: `strict` and `lax`"
        ),
        "{problem:?}"
    );
    let at = problem.location.expect("a place");
    assert!(at.file.ends_with("yocto/packages/twiddle.yaml") && at.line == 3, "{at:?}");
    let other = problem.notes[0].location.as_ref().expect("the other place");
    assert!(other.file.ends_with("yocto/packages/frob.yaml") && other.line == 3, "{other:?}");
    // The base is asked first.
    let own = of_distro("frob", "INIT_MANAGER", "sysvinit");
    let problem = refused(load(Some(&own), "install: [twiddle]\n", ""), "conflict");
    assert!(
        problem.message.contains("backend yocto and layer one disagree about the variable of the distro `INIT_MANAGER`: `systemd` and `sysvinit`"),
        "{problem:?}"
    );
}

#[test]
fn a_setting_that_is_said_twice_is_there_once_and_what_is_appended_adds_up() {
    let said = |one: &str, two: &str, variable: &str| -> Vec<String> {
        let plan = load(Some(one), two, "").unwrap_or_else(|failure| panic!("{failure}"));
        let settings = plan.yocto.expect("a plan for Yocto").settings.into_iter();
        settings.filter(|s| s.variable == variable).map(|s| s.value).collect()
    };
    let (one, two) = (of_distro("frob", "FROB", "x"), of_distro("twiddle", "FROB", "x"));
    assert_eq!(said(&one, &two, "FROB"), ["x"]);
    let (one, two) = (of_distro("frob", "FROB:append", " x"), of_distro("twiddle", "FROB:append", " y"));
    assert_eq!(said(&one, &two, "FROB:append"), [" x", " y"]);
}

/// A product of this name.
fn named(name: &str) -> Outcome<Plan> {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, spec::scaffold(name)).expect("written");
    let choice = Choice { backend: Some(Backend::Yocto), series: None };
    spec::load_as(&Library::built_in(Some(folder.path())), &product, None, choice)
}

#[test]
fn a_name_that_bitbake_takes_for_something_else_is_refused() {
    for name in [
        "linux",
        "linux-gnu",
        "aarch64",
        "arm",
        "riscv64",
        "x86-64",
        "qemuall",
        "qemux86-64",
        "armv8a",
        "nodistro",
        "poky",
        "forcevariable",
        "class-target",
        "task-compile",
        "pn-busybox",
        "libc-glibc",
        "toolchain-gcc",
        "layer-core",
    ] {
        let problem = refused(named(name), "reserved-name");
        assert!(
            problem.message.contains(&format!("the name `{name}` is an override of BitBake's own")),
            "{problem:?}"
        );
        assert!(problem.location.expect("a place").file.ends_with("product.yaml"));
        assert!(problem.hint.expect("a hint").contains("another name"));
    }
    for name in ["append", "remove", "snow-remover", "x-prepended-y", "remover"] {
        let problem = refused(named(name), "reserved-name");
        assert!(
            problem.message.contains("expected no part that begins with `append`, `prepend` or `remove`"),
            "{name}: {problem:?}"
        );
        assert!(problem.message.contains(&format!("found `{name}`")), "{problem:?}");
    }
    for (name, what) in [
        ("bitbake", "a repository of the series `wrynose`"),
        ("openembedded-core", "a repository of the series `wrynose`"),
        // Of the series, although no product of this kind needs it.
        ("meta-security", "a repository of the series `wrynose`"),
        ("systemd", "a package of the image"),
        ("nftables", "a package of the image"),
        ("audit-userspace", ""),
        // Not installed under its own name.
        ("libpam", "a recipe that the layers append to"),
    ] {
        if what.is_empty() {
            named(name).unwrap_or_else(|failure| panic!("{name}: {failure}"));
            continue;
        }
        let problem = refused(named(name), "reserved-name");
        assert_eq!(
            problem.message,
            format!("the name `{name}` is that of {what}, and would be taken for it")
        );
        assert!(problem.location.expect("a place").file.ends_with("product.yaml"));
    }
    let problem = refused(named("core-image-minimal"), "reserved-name");
    assert!(problem.message.contains("`core-image-minimal` is that of an image of OE-Core"), "{problem:?}");
    for name in ["my-device", "linux-box", "preremover", "tasks", "arm-rest", "pnp"] {
        named(name).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    }
}

/// A number of the product's that an account of others' packages has: groupadd(8) would fail when the image is made.
#[test]
fn a_number_that_others_packages_have_is_refused_at_the_products_line() {
    for (layer, message) in [
        (
            "users:\n  - {name: other, uid: 953, reason: \"x\"}\n",
            "`other` and `systemd-network` have the same uid, 953",
        ),
        (
            "groups:\n  - {name: other, gid: 950, reason: \"x\"}\n",
            "`other` and `systemd-journal` have the same gid, 950",
        ),
        (
            "users:\n  - {name: systemd-network, uid: 200, reason: \"x\"}\n",
            "`systemd-network` has the uid 953 in every image by Yocto, found `200`",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("title: A layer of the product\ndescription: Tests\n{layer}");
        write(folder.path(), "layers/one/layer.yaml", &text);
        let product = folder.path().join("product.yaml");
        std::fs::write(&product, spec::scaffold("my-device") + "\nlayers: {one: {}}\n").expect("written");
        let choice = Choice { backend: Some(Backend::Yocto), series: None };
        let library = Library::built_in(Some(folder.path()));
        let problem = refused(spec::load_as(&library, &product, None, choice), "number-clash");
        assert_eq!(problem.message, message);
        let at = problem.location.expect("a place");
        assert!(at.file.ends_with("layers/one/layer.yaml") && at.line == 4, "{at:?}");
        // Another backend makes no such account.
        let choice = Choice { backend: Some(Backend::Debian), series: None };
        spec::load_as(&library, &product, None, choice).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Releases cut a recipe into other packages: what is not in a series is not installed there, and in every other one it is.
#[test]
fn a_package_that_a_series_does_not_have_is_installed_in_the_others_alone() {
    let twiddle = "install: [twiddle]\nalso:\n  - {package: twiddle-more, not_in: [scarthgap], reason: \"cut since\"}\n";
    for (series, there) in [("wrynose", true), ("scarthgap", false)] {
        let plan = load(Some("install: [frob]\n"), twiddle, &format!("yocto: {{series: {series}}}\n"));
        let install = plan.unwrap_or_else(|failure| panic!("{failure}")).yocto.expect("facts").install;
        assert!(install.contains_key("twiddle"), "{series}");
        let who = install.get("twiddle-more").map(|asked| asked.origins[0].who.as_str());
        assert_eq!(who, there.then_some("layer two"), "{series}");
    }
}

#[test]
fn what_a_refused_layer_would_have_needed_is_not_told_again() {
    let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sealed-logger/product.yaml");
    let choice = Choice { backend: Some(Backend::Yocto), series: None };
    let failure =
        spec::load_as(&Library::built_in(product.parent()), &product, None, choice).expect_err("refused");
    let codes: Vec<&str> = failure.diagnostics.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["no-sealed-storage"], "{failure}");
}
