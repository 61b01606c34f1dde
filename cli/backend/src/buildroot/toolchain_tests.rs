use std::os::unix::fs::PermissionsExt;

use spec::Choice;
use spec::library::Library;
use spec::product::Backend;

use super::*;

/// What a made-up compiler says of itself.
struct Said {
    target: &'static str,
    sysroot: &'static str,
    answer: &'static str,
    cxx: bool,
}

const FITS: Said = Said {
    target: "aarch64-none-linux-gnu",
    sysroot: "/opt/x/sysroot",
    answer: "FASTNESS_libc_headers 1\nFASTNESS_headers 393659\nFASTNESS_glibc 1\nFASTNESS_gcc 12",
    cxx: true,
};

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn toolchain(said: &Said) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let compiler = folder.path().join(format!("t/bin/{}-gcc", said.target));
    script(
        &compiler,
        &format!(
            "case $1 in -dumpmachine) echo {} ;; -print-sysroot) echo {} ;; *) cat >/dev/null; echo '{}' ;; esac",
            said.target, said.sysroot, said.answer
        ),
    );
    std::os::unix::fs::symlink(&compiler, folder.path().join("t/bin/aarch64-linux-gcc")).unwrap();
    if said.cxx {
        script(&folder.path().join(format!("t/bin/{}-g++", said.target)), "cat");
    }
    folder
}

fn probed(folder: &tempfile::TempDir) -> Outcome<Toolchain> {
    // The file was written by this process: a child of another test may hold it open for a moment.
    loop {
        match Toolchain::probe(&folder.path().join("t"), None, &folder.path().join("log")) {
            Err(failure) if failure.to_string().contains("Text file busy") => {}
            other => return other,
        }
    }
}

fn plan() -> Plan {
    let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
    let choice = Choice { backend: Some(Backend::Buildroot), series: None };
    spec::load_as(&Library::built_in(None), &product, None, choice).unwrap()
}

fn judged(said: &Said) -> Outcome<Toolchain> {
    let toolchain = probed(&toolchain(said))?;
    let plan = plan();
    toolchain.fits(&plan, plan.buildroot.as_ref().unwrap())?;
    Ok(toolchain)
}

fn refused(said: &Said, what: &str) {
    let failure = judged(said).unwrap_err();
    assert_eq!(failure.diagnostics[0].code, "toolchain-mismatch");
    assert!(failure.to_string().contains(what), "expected `{what}` in {failure}");
}

#[test]
fn a_toolchain_that_fits_is_described_in_buildroots_symbols() {
    let toolchain = judged(&FITS).unwrap();
    let words = "external, aarch64-none-linux-gnu: GCC 12, glibc, kernel headers 6.1, C++";
    assert_eq!(toolchain.words(), words);
    let symbols = toolchain.symbols();
    let on = |name: &str| symbols[&format!("BR2_TOOLCHAIN_EXTERNAL_{name}")].clone();
    assert_eq!(on("CUSTOM_PREFIX"), "\"aarch64-none-linux-gnu\"");
    for name in ["GCC_12", "HEADERS_6_1", "CUSTOM_GLIBC", "CXX", "CUSTOM", "PREINSTALLED"] {
        assert_eq!(on(name), "y", "{name}");
    }
    assert_eq!(on("INET_RPC"), "n");
    assert_eq!((on("OPENMP"), on("FORTRAN"), on("DLANG")), ("n".to_owned(), "n".to_owned(), "n".to_owned()));
}

#[test]
fn what_a_toolchain_has_beyond_need_is_told_too_as_buildroot_refuses_it_otherwise() {
    let answer = "FASTNESS_libc_headers 1\nFASTNESS_headers 393659\nFASTNESS_openmp 1\nFASTNESS_glibc 1\nFASTNESS_gcc 12";
    let folder = toolchain(&Said { answer, ..FITS });
    script(&folder.path().join("t/bin/aarch64-none-linux-gnu-gfortran"), "cat");
    let symbols = probed(&folder).unwrap().symbols();
    let on = |name: &str| symbols[&format!("BR2_TOOLCHAIN_EXTERNAL_{name}")].as_str();
    assert_eq!((on("OPENMP"), on("FORTRAN"), on("DLANG")), ("y", "y", "n"));
}

#[test]
fn a_toolchain_that_does_not_fit_is_told_why() {
    refused(
        &Said { target: "arm-linux-gnueabihf", ..FITS },
        "compiles for `arm-linux-gnueabihf`, but the board",
    );
    refused(&Said { sysroot: "/", ..FITS }, "takes the host's `/` as its sysroot");
    let musl = "FASTNESS_libc_headers 1\nFASTNESS_headers 393659\nFASTNESS_gcc 12";
    refused(&Said { answer: musl, ..FITS }, "its C library is musl, but systemd");
    let uclibc = "FASTNESS_libc_headers 1\nFASTNESS_headers 393659\nFASTNESS_uclibc 1\nFASTNESS_gcc 12";
    refused(&Said { answer: uclibc, ..FITS }, "its C library is uClibc, but systemd");
    let newer = "FASTNESS_libc_headers 1\nFASTNESS_headers 460288\nFASTNESS_glibc 1\nFASTNESS_gcc 15";
    refused(
        &Said { answer: newer, ..FITS },
        "headers are those of Linux 7.6, newer than the device's Linux 6.12",
    );
    refused(&Said { answer: "FASTNESS_gcc 12", ..FITS }, "finds no headers of a C library");
    refused(&Said { answer: "FASTNESS_libc_headers 1\nFASTNESS_glibc 1", ..FITS }, "finds no kernel headers");
    let empty = tempfile::tempdir().unwrap();
    let failure = Toolchain::probe(empty.path(), None, &empty.path().join("log")).unwrap_err();
    assert!(failure.to_string().contains("it has no `bin/…-gcc`"), "{failure}");
}

#[test]
fn symbols_that_say_something_else_than_the_compiler_are_refused() {
    let toolchain = judged(&Said { cxx: false, ..FITS }).unwrap();
    let mut config = toolchain.symbols();
    toolchain.is_as_configured(&config).unwrap();
    config.insert("BR2_TOOLCHAIN_EXTERNAL_CXX".into(), "y".into());
    config.remove("BR2_TOOLCHAIN_EXTERNAL_GCC_12");
    config.insert("BR2_TOOLCHAIN_EXTERNAL_GCC_14".into(), "y".into());
    config.remove("BR2_TOOLCHAIN_EXTERNAL_HEADERS_6_1");
    config.remove("BR2_TOOLCHAIN_EXTERNAL_CUSTOM_GLIBC");
    config.insert("BR2_TOOLCHAIN_EXTERNAL_CUSTOM_MUSL".into(), "y".into());
    let text = toolchain.is_as_configured(&config).unwrap_err().to_string();
    for part in [
        "`BR2_TOOLCHAIN_EXTERNAL_GCC_12` holds, but the configuration says `BR2_TOOLCHAIN_EXTERNAL_GCC_14`",
        "`BR2_TOOLCHAIN_EXTERNAL_HEADERS_6_1` holds, but the configuration says `nothing`",
        "`BR2_TOOLCHAIN_EXTERNAL_CUSTOM_GLIBC` holds, but the configuration says `BR2_TOOLCHAIN_EXTERNAL_CUSTOM_MUSL`",
        "it has no C++, but the configuration says `BR2_TOOLCHAIN_EXTERNAL_CXX`",
    ] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
}

#[test]
fn a_toolchain_of_a_file_of_symbols_is_asked_too() {
    let folder = toolchain(&FITS);
    let mut config = probed(&folder).unwrap().symbols();
    let plan = plan();
    let facts = plan.buildroot.as_ref().unwrap();
    let log = folder.path().join("log");
    assert!(configured(&plan, facts, &config, &log).unwrap().is_some());
    config.insert("BR2_TOOLCHAIN_EXTERNAL_CUSTOM_PREFIX".into(), "\"other\"".into());
    let text = configured(&plan, facts, &config, &log).unwrap_err().to_string();
    assert!(text.contains("it has no `bin/other-gcc`"), "{text}");
    config.insert("BR2_TOOLCHAIN_EXTERNAL_PATH".into(), "\"/opt/my tools\"".into());
    let text = configured(&plan, facts, &config, &log).unwrap_err().to_string();
    assert!(text.contains("Buildroot cannot work in `/opt/my tools`: the path holds ` `"), "{text}");
    config.remove("BR2_TOOLCHAIN_EXTERNAL_CUSTOM");
    assert!(configured(&plan, facts, &config, &log).unwrap().is_none());
}

#[test]
fn a_real_compiler_answers_the_probe() {
    if let Err(failure) = exec::require(&["gcc"]) {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{failure}");
        std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {failure}\n").as_bytes())
            .unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let wrapper = folder.path().join("t/bin/host-gcc");
    script(&wrapper, "[ \"$1\" = -print-sysroot ] && { echo /own; exit; }\nexec gcc \"$@\"");
    let toolchain = probed(&folder).unwrap();
    assert!(toolchain.gcc >= 10 && toolchain.headers >= (4, 0), "{toolchain:?}");
    assert_eq!((toolchain.libc, toolchain.cxx), (Libc::Glibc, false));
}

#[test]
fn a_tarball_is_unpacked_once() {
    let folder = toolchain(&FITS);
    let tarball = folder.path().join("toolchain.tar");
    let mut builder = tar::Builder::new(fs::File::create(&tarball).unwrap());
    builder.follow_symlinks(false);
    builder.append_dir_all("toolchain-1", folder.path().join("t")).unwrap();
    builder.finish().unwrap();
    let cache = Cache::new(&folder.path().join("cache"));
    let unpacked = super::folder(&tarball, &cache).unwrap();
    assert!(unpacked.join("bin/aarch64-none-linux-gnu-gcc").is_file());
    assert_eq!(super::folder(&tarball, &cache).unwrap(), unpacked);
    fs::write(&tarball, "no archive").unwrap();
    let text = super::folder(&tarball, &cache).unwrap_err().to_string();
    assert!(text.contains("no tar archive"), "{text}");
}
