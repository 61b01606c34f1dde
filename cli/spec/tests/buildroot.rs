//! Plans for the Buildroot backend: packages become symbols, with who asked for them.

use std::path::Path;

use diag::{Diagnostic, Outcome};
use spec::Choice;
use spec::library::{Area, Library};
use spec::plan::Plan;
use spec::product::Backend;

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

/// The scaffold's product with a text behind it, and the folder's own definitions.
fn load_in(folder: &Path, more: &str) -> Outcome<Plan> {
    let product = folder.join("product.yaml");
    std::fs::write(&product, spec::scaffold("my-device") + more).expect("written");
    let choice = Choice { backend: Some(Backend::Buildroot), series: None };
    spec::load_as(&Library::built_in(Some(folder)), &product, None, choice)
}

fn load(more: &str) -> Outcome<Plan> {
    load_in(tempfile::tempdir().expect("a folder").path(), more)
}

fn refused(result: Outcome<Plan>, code: &str) -> Diagnostic {
    let failure = result.expect_err("must be refused");
    let found = failure.diagnostics.iter().find(|d| d.code == code).cloned();
    found.unwrap_or_else(|| panic!("no `{code}` in {failure}"))
}

const LAYER: &str = "\
title: A layer of the product
description: Tests
packages:
  - {name: frobnicator, reason: \"frobnicates\"}
";

#[test]
fn every_package_of_every_shipped_layer_has_a_meaning() {
    let plan = load("").unwrap_or_else(|failure| panic!("{failure}"));
    let facts = plan.buildroot.expect("a plan for Buildroot");
    assert_eq!((plan.backend.as_str(), facts.series.as_str()), ("buildroot", "2026.02"));
    assert_eq!(facts.external, "MY_DEVICE");
    assert_eq!(facts.symbols.symbols["BR2_PACKAGE_NFTABLES"].value, "y");
    assert_eq!(facts.symbols.symbols["BR2_FASTNESS_BOARD"].value, "\"qemu-aarch64\"");
}

/// Layers of another backend alone: a product that asks for one is refused (`no-sealed-storage`, and that `e2fsprogs` has no meaning).
const NOT_HERE: [&str; 2] = ["factory-reset", "measured-boot"];

/// What a product asks for on top: each layer that is not on by itself, with all that it needs.
const OPTIONAL: &str = "\nlayers: {events: {}}\nsigning: {algorithm: \"sha384,ecdsa384\"}\n";

#[test]
fn the_layers_of_every_product_mean_something_to_buildroot() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for layer in Library::built_in(None).names(Area::Layers).expect("layers") {
        if NOT_HERE.contains(&layer.as_str()) {
            continue;
        }
        let file = top.join(format!("layers/{layer}/layer.yaml"));
        let text = std::fs::read_to_string(file).expect("a layer");
        let Some((_, section)) = text.split_once("\npackages:\n") else { continue };
        let asks = section.lines().take_while(|line| line.starts_with("  "));
        let names = asks.filter_map(|line| {
            let elsewhere = line.split_once(" elsewhere: ").map(|(_, rest)| rest);
            elsewhere.or(line.trim().strip_prefix("- {name: "))?.split([',', '}']).next()
        });
        for package in names {
            let path = format!("packages/{package}.yaml");
            let found = Library::built_in(None).read(Area::Buildroot, &path).expect("readable");
            assert!(found.is_some(), "the layer `{layer}` asks for `{package}`: no buildroot/{path}");
        }
    }
    let plan = load(OPTIONAL).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(["events", "ecdsa"].iter().all(|name| plan.layer(name).is_some()));
    assert_eq!(plan.uboot.symbols["ECDSA_SOFTWARE"].value, "y");
    let origin =
        &plan.buildroot.expect("a plan for Buildroot").symbols.symbols["BR2_PACKAGE_RSYSLOG"].origins[0];
    assert_eq!(origin.who, "layer events");
}

/// Debian and Buildroot put rsyslog's parts into other folders: what goes in one may be all in the other.
#[test]
fn what_rsyslog_loads_is_never_removed() {
    let plan = load(OPTIONAL).unwrap_or_else(|failure| panic!("{failure}"));
    let spec::plan::FilePlan::File { content, .. } = &plan.files["/etc/rsyslog.conf"].value else {
        panic!("no settings")
    };
    let loaded = content.split("module(load=\"").skip(1).filter_map(|rest| rest.split('"').next());
    // And what its core loads by itself, for `net` and for the rules' regular expressions.
    let parts: Vec<&str> = loaded.chain(["lmnet", "lmregexp", "lmzlibw"]).collect();
    assert_eq!(parts, ["imjournal", "imfile", "mmutf8fix", "omprog", "lmnet", "lmregexp", "lmzlibw"]);
    for part in parts {
        let file = format!("/usr/lib/rsyslog/{part}.so");
        for pattern in plan.removals.keys() {
            let whole = pattern.trim_end_matches("/**");
            let inside =
                file.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let starts = pattern.split_once('*').is_some_and(|(start, end)| {
                file.starts_with(start)
                    && file[start.len()..].ends_with(end)
                    && !file[start.len()..].contains('/')
            });
            assert!(!inside && !starts, "`{pattern}` takes out `{file}`");
        }
    }
    assert!(plan.removals.contains_key("/usr/lib/rsyslog/imtcp.so"));
}

/// An option that only the suite's OpenSSH knows keeps every other from starting.
#[test]
fn what_only_one_backend_has_is_asked_of_that_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, spec::scaffold("my-device")).expect("written");
    let debian = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
    let buildroot = load("").unwrap_or_else(|failure| panic!("{failure}"));
    for (plan, has, shadow) in [(&debian, true, "/etc/gshadow"), (&buildroot, false, "/etc/shadow")] {
        let sshd = &plan.files["/etc/ssh/sshd_config"];
        assert_eq!(format!("{sshd:?}").contains("DebianBanner"), has, "{}", plan.backend);
        assert_eq!(plan.checks.contains_key("banner.suite"), has, "{}", plan.backend);
        assert!(plan.checks["fs.shadow-mode"].value.with.to_string().contains(shadow), "{}", plan.backend);
    }
}

#[test]
fn a_debian_plan_asks_nothing_of_buildroot() {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, spec::scaffold("my-device")).expect("written");
    let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((plan.backend.as_str(), plan.buildroot.is_none()), ("debian", true));
    assert!(!plan.to_json().contains("\"buildroot\":"));
}

#[test]
fn the_product_can_name_the_backend() {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, spec::scaffold("my-device") + "\nbackend: buildroot\n").expect("written");
    let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.backend, "buildroot");
}

#[test]
fn a_package_without_a_meaning_names_the_layer_and_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "layers/own/layer.yaml", LAYER);
    let problem = refused(load_in(folder.path(), "\nlayers: {own: {}}\n"), "unmapped-package");
    assert!(
        problem
            .message
            .contains("layer own asks for the package `frobnicator`, which has no meaning for Buildroot yet"),
        "{problem:?}"
    );
    let at = problem.location.expect("a place");
    assert!(at.file.ends_with("layers/own/layer.yaml"), "{at:?}");
    assert_eq!(at.line, 4);
    assert!(problem.hint.expect("a hint").contains("buildroot/packages/frobnicator.yaml"));
}

#[test]
fn a_product_says_itself_what_its_package_means() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "layers/own/layer.yaml", LAYER);
    let meaning = "\
symbols:
  - {symbol: BR2_PACKAGE_FROB, value: y, reason: frob}
  - {symbol: BR2_PACKAGE_FROB_OLD, value: y, before: \"2026.02\", reason: frob}
  - {symbol: BR2_PACKAGE_FROB_NEW, value: y, from: \"2026.02\", reason: frob}
remove:
  - {path: /usr/bin/frob-debug, reason: not on a device}
";
    write(folder.path(), "buildroot/packages/frobnicator.yaml", meaning);
    let plan = load_in(folder.path(), "\nlayers: {own: {}}\n").unwrap_or_else(|failure| panic!("{failure}"));
    let symbols = &plan.buildroot.as_ref().expect("a plan for Buildroot").symbols.symbols;
    let origin = &symbols["BR2_PACKAGE_FROB"].origins[0];
    assert_eq!(
        (origin.who.as_str(), origin.file.as_str(), origin.line),
        ("layer own", "layers/own/layer.yaml", 4)
    );
    assert!(symbols.contains_key("BR2_PACKAGE_FROB_NEW") && !symbols.contains_key("BR2_PACKAGE_FROB_OLD"));
    assert!(plan.removals.contains_key("/usr/bin/frob-debug"));
    let found = spec::explain(&plan, "BR2_PACKAGE_FROB");
    assert_eq!((found[0].what.as_str(), found[0].value.as_str()), ("buildroot symbol", "y"));
}

#[test]
fn a_package_that_buildroot_has_not_comes_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "layers/own/layer.yaml", LAYER);
    let meaning = "own: frob\nsymbols:\n  - {symbol: BR2_PACKAGE_FROB, value: y, reason: frob}\n";
    write(folder.path(), "buildroot/packages/frobnicator.yaml", meaning);
    write(folder.path(), "buildroot/package/frob/Config.in", "config BR2_PACKAGE_FROB\n\tbool \"frob\"\n");
    write(folder.path(), "buildroot/package/frob/frob.mk", "FROB_LICENSE = MIT\n");
    let asked = "\nlayers: {own: {}}\n";
    let problem = refused(load_in(folder.path(), asked), "missing-package-file");
    assert!(problem.message.contains("expected `buildroot/package/frob/frob.hash`"), "{problem:?}");
    write(folder.path(), "buildroot/package/frob/frob.hash", "sha256  0  frob-1.tar.gz\n");
    let problem = refused(load_in(folder.path(), asked), "no-licence");
    assert!(problem.message.contains("sets no `FROB_LICENSE_FILES`"), "{problem:?}");
    write(
        folder.path(),
        "buildroot/package/frob/frob.mk",
        "FROB_LICENSE = MIT\nFROB_LICENSE_FILES = COPYING\n",
    );
    let plan = load_in(folder.path(), asked).unwrap_or_else(|failure| panic!("{failure}"));
    let packages = plan.buildroot.expect("a plan for Buildroot").packages;
    assert_eq!(packages["frob"].keys().collect::<Vec<_>>(), ["Config.in", "frob.hash", "frob.mk"]);
}

#[test]
fn a_product_that_wants_another_init_is_told_why_there_is_none() {
    let more = "\nbuildroot: {symbols: [{symbol: BR2_INIT_BUSYBOX, value: y, reason: \"small\"}]}\n";
    let problem = refused(load(more), "conflict");
    assert!(problem.message.contains("`BR2_INIT_BUSYBOX`: `y` and `n`"), "{problem:?}");
    assert!(problem.notes.iter().any(|note| note.message.contains("systemd is the init")), "{problem:?}");
}

#[test]
fn a_product_that_disagrees_with_the_base_is_told_both() {
    let more =
        "\nbuildroot: {symbols: [{symbol: BR2_REPRODUCIBLE, value: n, reason: \"we like surprises\"}]}\n";
    let problem = refused(load(more), "conflict");
    assert!(problem.message.contains("product and backend buildroot disagree"), "{problem:?}");
    assert!(problem.message.contains("Buildroot symbol `BR2_REPRODUCIBLE`: `n` and `y`"), "{problem:?}");
}

#[test]
fn an_external_toolchain_takes_the_place_of_buildroots_own() {
    let more =
        "\nbuildroot: {symbols: [{symbol: BR2_TOOLCHAIN_EXTERNAL, value: y, reason: \"the vendor's\"}]}\n";
    let plan = load(more).unwrap_or_else(|failure| panic!("{failure}"));
    let symbols = plan.buildroot.expect("a plan for Buildroot").symbols.symbols;
    assert!(symbols.contains_key("BR2_TOOLCHAIN_EXTERNAL"));
    assert!(!symbols.contains_key("BR2_TOOLCHAIN_BUILDROOT_GLIBC"));
}

#[test]
fn a_series_outside_the_supported_ones_is_refused_with_those() {
    let problem = refused(load("\nbuildroot: {series: \"2019.02\"}\n"), "unknown-series");
    assert!(problem.message.contains("the Buildroot series `2019.02` is not supported"), "{problem:?}");
    assert_eq!(problem.hint.as_deref(), Some("supported are `2025.02`, `2026.02`, `2026.05`"));
    refused(load("\nbuildroot: {series: \"2026.03\"}\n"), "wrong-type");
}

#[test]
fn the_tree_that_is_given_decides_the_series_and_may_not_contradict_the_product() {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    let load = |more: &str| {
        std::fs::write(&product, spec::scaffold("my-device") + more).expect("written");
        let choice = Choice { backend: Some(Backend::Buildroot), series: Some("2025.02".into()) };
        spec::load_as(&Library::built_in(None), &product, None, choice)
    };
    let plan = load("").unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.buildroot.expect("a plan for Buildroot").series, "2025.02");
    let problem = refused(load("\nbuildroot: {series: \"2026.02\"}\n"), "other-series");
    assert!(
        problem.message.contains("series `2026.02`, but the tree that was given is `2025.02`"),
        "{problem:?}"
    );
}

#[test]
fn a_waiver_may_name_a_buildroot_symbol_that_is_asked_and_no_other() {
    let more =
        "\nwaivers: [{waives: \"buildroot:BR2_FORTIFY_SOURCE_3\", reason: \"the vendor's old gcc\"}]\n";
    load(more).unwrap_or_else(|failure| panic!("{failure}"));
    let more = "\nwaivers: [{waives: \"buildroot:BR2_NOBODY\", reason: \"nobody asked\"}]\n";
    refused(load(more), "unknown-waiver");
}

#[test]
fn every_shipped_series_resolves() {
    let library = Library::built_in(None);
    for series in library.file_names(Area::Buildroot, "series").expect("series") {
        let plan = load(&format!("\nbuildroot: {{series: \"{series}\"}}\n"))
            .unwrap_or_else(|failure| panic!("{failure}"));
        let facts = plan.buildroot.expect("a plan for Buildroot");
        assert!(facts.release.starts_with(&series));
    }
}

const RELEASE: &str = "
buildroot:
  release:
    version: 2025.02.16
    sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
";

#[test]
fn a_pinned_release_decides_the_series() {
    let facts = load(RELEASE).unwrap_or_else(|failure| panic!("{failure}")).buildroot.expect("facts");
    assert_eq!(facts.series, "2025.02");
    let source = facts.source.expect("a release");
    assert_eq!(source.version, "2025.02.16");
    assert_eq!(source.url, "https://buildroot.org/downloads/buildroot-2025.02.16.tar.xz");
    let mirror = format!("{RELEASE}    url: file:///srv/mirror/buildroot.tar.gz\n");
    let facts = load(&mirror).unwrap_or_else(|failure| panic!("{failure}")).buildroot.expect("facts");
    assert_eq!(facts.source.expect("a release").url, "file:///srv/mirror/buildroot.tar.gz");
}

#[test]
fn a_release_that_cannot_be_pinned_is_refused() {
    let problem = refused(load(&RELEASE.replace("2025.02.16", "2026.08-rc1")), "wrong-type");
    assert!(
        problem.message.contains("the version of a Buildroot release")
            && problem.message.contains("2026.08-rc1"),
        "{problem:?}"
    );
    let problem = refused(load(&RELEASE.replace("cdef\n", "\n")), "wrong-type");
    assert!(problem.message.contains("a SHA-256 (64 lower-case hexadecimal digits)"), "{problem:?}");
    let problem = refused(load(&format!("{RELEASE}    url: ftp://example.org/x.tar\n")), "wrong-type");
    assert!(problem.message.contains("the address of a file"), "{problem:?}");
    let problem = refused(load(&RELEASE.replace("2025.02.16", "2019.02.1")), "unknown-series");
    assert!(problem.message.contains("the Buildroot series `2019.02` is not supported"), "{problem:?}");
    assert!(problem.location.is_some_and(|at| at.line > 1), "it has no place");
}

#[test]
fn a_release_of_another_series_than_named_or_given_is_refused() {
    let problem = refused(load(&format!("{RELEASE}  series: 2026.02\n")), "other-series");
    assert!(
        problem.message.contains("one of the series `2025.02`, but `series` is `2026.02`"),
        "{problem:?}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, spec::scaffold("my-device") + RELEASE).expect("written");
    let choice = Choice { backend: Some(Backend::Buildroot), series: Some("2026.05".to_owned()) };
    let result = spec::load_as(&Library::built_in(None), &product, None, choice);
    let problem = refused(result, "other-series");
    assert!(problem.message.contains("but the tree that was given is `2026.05`"), "{problem:?}");
}

const BUSYBOX: &str = "
buildroot:
  busybox:
    - {symbol: VI, value: y, reason: \"maintenance edits a file\"}
";

#[test]
fn busybox_is_off_unless_the_product_asks_for_applets() {
    let facts = load("").unwrap_or_else(|failure| panic!("{failure}")).buildroot.expect("facts");
    assert_eq!(facts.symbols.symbols["BR2_PACKAGE_BUSYBOX"].value, "n");
    assert!(facts.busybox.is_none());
    let plan = load(BUSYBOX).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.modes["/usr/bin/busybox"].value, "0755");
    let facts = plan.buildroot.expect("facts");
    assert_eq!(facts.symbols.symbols["BR2_PACKAGE_BUSYBOX"].value, "y");
    let busybox = facts.busybox.expect("a plan for BusyBox").symbols;
    assert_eq!((busybox["VI"].value.as_str(), busybox["TELNETD"].value.as_str()), ("y", "n"));
    assert_eq!(busybox["VI"].origins[0].who, "product");
}

#[test]
fn an_applet_that_may_not_be_on_the_device_is_told_with_both_places() {
    let problem = refused(load(&BUSYBOX.replace("VI", "TELNETD")), "conflict");
    assert!(problem.message.contains("BusyBox symbol `TELNETD`"), "{problem:?}");
}

#[test]
fn a_symbol_of_busybox_can_be_waived_and_explained() {
    let waived = format!("{BUSYBOX}\nwaivers:\n  - {{waives: \"busybox:VI\", reason: \"as it comes\"}}\n");
    let plan = load(&waived).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(plan.waivers.contains_key("busybox:VI"));
    let text = format!("{:?}", spec::explain(&plan, "TELNETD"));
    assert!(text.contains("busybox symbol") && text.contains("no login in clear text"), "{text}");
}
