use std::fs;

use image::elf::{ElfType, Facts, Fortify, Known, Relro, facts};

use crate::support::tool;

const PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    char buffer[64];
    if (argc > 1) strcpy(buffer, argv[1]); else buffer[0] = 0;
    printf("%s\n", buffer);
    return (int)strlen(buffer);
}
"#;

fn compiled(compiler: &str, flags: &[&str]) -> Option<(Facts, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("program.c"), PROGRAM).unwrap();
    let argv = [&[compiler, "-o", "program", "program.c"], flags].concat();
    tool(folder.path(), &argv)?;
    let bytes = fs::read(folder.path().join("program")).unwrap();
    Some((facts(&bytes).unwrap(), bytes))
}

const HARD: &[&str] = &[
    "-O2",
    "-fPIE",
    "-pie",
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=2",
    "-Wl,-z,relro,-z,now,-z,noexecstack",
];
const SOFT: &[&str] = &[
    "-O2",
    "-fno-pie",
    "-no-pie",
    "-fno-stack-protector",
    "-U_FORTIFY_SOURCE",
    "-Wl,-z,norelro,-z,lazy,-z,execstack",
    "-Wl,--disable-new-dtags,-rpath,/opt/lib:$ORIGIN",
];

#[test]
fn a_hardened_program_and_a_soft_one() {
    for (compiler, machine) in [("gcc", "x86-64"), ("aarch64-linux-gnu-gcc", "aarch64")] {
        let Some((hard, _)) = compiled(compiler, HARD) else { continue };
        if compiler != "gcc" {
            assert_eq!(hard.machine, machine);
        }
        assert_eq!((hard.kind, hard.relro, hard.nx), (ElfType::PieExecutable, Relro::Full, true), "{hard:?}");
        assert_eq!(hard.canary, Known::Yes);
        // `printf` of a line becomes `__printf_chk` or `puts`, which is not fortifiable.
        assert_eq!(hard.fortify, Fortify::Full, "{hard:?}");
        assert!(hard.fortified.contains(&"__strcpy_chk".to_owned()));
        assert!(!hard.writable_code && !hard.static_linked && !hard.stripped);
        assert!(hard.interpreter.is_some() && hard.needed.iter().any(|name| name == "libc.so.6"));
        assert!(hard.rpath.is_empty() && hard.runpath.is_empty());
        let (soft, _) = compiled(compiler, SOFT).unwrap();
        assert_eq!((soft.kind, soft.relro, soft.nx), (ElfType::Executable, Relro::None, false), "{soft:?}");
        assert_eq!((soft.canary, soft.fortify), (Known::No, Fortify::None));
        assert_eq!(soft.unfortified, ["strcpy"]);
        assert_eq!(soft.rpath, ["/opt/lib", "$ORIGIN"]);
    }
}

#[test]
fn partial_relro_runpath_and_stripping() {
    let flags = ["-O2", "-pie", "-fPIE", "-s", "-Wl,-z,relro,-z,lazy,--enable-new-dtags,-rpath,/opt/lib"];
    let Some((found, _)) = compiled("gcc", &flags) else { return };
    assert_eq!((found.relro, found.stripped), (Relro::Partial, true), "{found:?}");
    assert_eq!((found.rpath.len(), found.runpath), (0, vec!["/opt/lib".to_owned()]));
}

#[test]
fn libraries_static_programs_and_objects() {
    let Some((library, _)) = compiled("gcc", &["-shared", "-fPIC", "-Wl,-soname,libx.so.1"]) else { return };
    assert_eq!((library.kind, library.soname.as_deref()), (ElfType::SharedLibrary, Some("libx.so.1")));
    let (fixed, _) = compiled("gcc", &["-static", "-no-pie"]).unwrap();
    assert!(fixed.static_linked && fixed.kind == ElfType::Executable, "{fixed:?}");
    assert_eq!((fixed.canary, fixed.fortify), (Known::Unknown, Fortify::Unknown));
    let (position_independent, _) = compiled("gcc", &["-static-pie", "-fPIE"]).unwrap();
    assert!(position_independent.static_linked && position_independent.pie(), "{position_independent:?}");
    let (object, _) = compiled("gcc", &["-c", "-O2", "-fstack-protector-strong"]).unwrap();
    assert_eq!((object.kind, object.canary), (ElfType::Relocatable, Known::Yes));
    assert!(!object.loadable());
}

#[test]
fn aarch64_branch_protection() {
    // The note is the AND over all objects, so the C runtime's files are left out.
    let bare = ["-nostdlib", "-nostartfiles", "-shared", "-fPIC", "-fno-builtin", "-O2"];
    let with = [&bare[..], &["-mbranch-protection=standard"]].concat();
    let Some((found, _)) = compiled("aarch64-linux-gnu-gcc", &with) else { return };
    assert!(found.properties.bti && found.properties.pac, "{found:?}");
    let without = [&bare[..], &["-mbranch-protection=none"]].concat();
    let (found, _) = compiled("aarch64-linux-gnu-gcc", &without).unwrap();
    assert!(!found.properties.bti && !found.properties.pac, "{found:?}");
}

#[test]
fn a_file_without_section_headers_still_tells_what_the_loader_sees() {
    let Some((whole, mut bytes)) = compiled("gcc", HARD) else { return };
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x40].fill(0);
    let found = facts(&bytes).unwrap();
    assert_eq!((found.relro, found.nx, &found.needed), (whole.relro, whole.nx, &whole.needed));
    assert_eq!((found.canary, found.fortify), (whole.canary, whole.fortify));
}

/// As `sstrip` leaves a file: no section headers, and nothing that names them.
fn without_sections(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[0x28..0x30].fill(0);
    bytes[0x3a..0x40].fill(0);
    bytes
}

#[test]
fn imports_are_read_without_section_headers() {
    for hash in ["-Wl,--hash-style=gnu", "-Wl,--hash-style=sysv"] {
        for flags in [HARD, SOFT] {
            let Some((whole, bytes)) = compiled("gcc", &[flags, &[hash]].concat()) else { continue };
            let cut = facts(&without_sections(bytes)).unwrap();
            assert_eq!((cut.canary, cut.fortify), (whole.canary, whole.fortify), "{hash}");
            assert_eq!((cut.risky, cut.fortified), (whole.risky, whole.fortified), "{hash}");
            assert!(!cut.static_linked);
        }
    }
    // A count that is a lie is an error.
    let Some((_, bytes)) = compiled("gcc", HARD) else { return };
    for cut in (64..bytes.len().min(4096)).step_by(37) {
        let mut broken = without_sections(bytes.clone());
        broken[cut..cut + 8].fill(0xff);
        let _ = facts(&broken);
    }
}

#[test]
fn hostile_files_are_errors_and_not_panics() {
    let Some((_, bytes)) = compiled("gcc", HARD) else { return };
    for len in (0..bytes.len()).step_by(7) {
        let _ = facts(&bytes[..len]);
    }
    let mut random = crate::support::Random(11);
    for _ in 0..20_000 {
        let mut broken = bytes.clone();
        for _ in 0..1 + random.below(6) {
            // Headers and the dynamic section are where the structure is.
            let limit = if random.below(2) == 0 { 0x400 } else { broken.len() };
            broken[random.below(limit)] = random.next() as u8;
        }
        let _ = facts(&broken);
    }
    let error = facts(&bytes[..40]).unwrap_err().to_string();
    assert!(error.starts_with("ELF: header: "), "{error}");
}
