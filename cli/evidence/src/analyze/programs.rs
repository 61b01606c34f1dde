//! How programs and libraries were built: facts of `image::elf` as values and findings.

use image::elf::{ElfType, Facts, Fortify, Known, Relro};
use image::tree::Entry;

use super::model::Program;
use super::rules::Found;

/// Functions that copy text without a bound.
const COPY: [&str; 8] = ["getwd", "sprintf", "stpcpy", "strcat", "strcpy", "vsprintf", "wcscat", "wcscpy"];
const TEMPORARY: [&str; 4] = ["mktemp", "tempnam", "tmpnam", "tmpnam_r"];
const SHELL: [&str; 2] = ["popen", "system"];

/// The facts as a row.
#[must_use]
pub fn row(path: &str, facts: &Facts) -> Program {
    let kind = match facts.kind {
        ElfType::SharedLibrary => "library",
        ElfType::Executable | ElfType::PieExecutable if facts.static_linked => "static program",
        ElfType::Executable | ElfType::PieExecutable => "program",
        ElfType::Relocatable => "module",
        ElfType::Core | ElfType::Other(_) => "other",
    };
    let marks = [
        ("bti", facts.properties.bti),
        ("pac", facts.properties.pac),
        ("ibt", facts.properties.ibt),
        ("shstk", facts.properties.shadow_stack),
    ];
    Program {
        path: path.to_owned(),
        kind: kind.to_owned(),
        machine: facts.machine.clone(),
        pie: facts.kind != ElfType::Executable,
        relro: match facts.relro {
            Relro::None => "none",
            Relro::Partial => "partial",
            Relro::Full => "full",
        }
        .to_owned(),
        nx: facts.nx,
        separate: !facts.writable_code,
        canary: match facts.canary {
            Known::Yes => "yes",
            Known::No => "no",
            Known::Unknown => "unknown",
        }
        .to_owned(),
        fortify: match facts.fortify {
            Fortify::None => "none",
            Fortify::Partial => "partial",
            Fortify::Full => "full",
            Fortify::NotApplicable => "not-applicable",
            Fortify::Unknown => "unknown",
        }
        .to_owned(),
        rpath: facts.rpath.iter().chain(&facts.runpath).cloned().collect(),
        branch: marks.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()).collect(),
        stripped: facts.stripped,
        risky: facts.risky.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Whether an entry of a library path can be filled by somebody else than the maker.
fn unsafe_folder(folder: &str) -> bool {
    let origin = folder.starts_with("$ORIGIN") || folder.starts_with("${ORIGIN}");
    let anybody = ["/tmp", "/var/tmp", "/dev/shm", "/home", "/media", "/mnt"]
        .iter()
        .any(|start| folder == *start || folder.starts_with(&format!("{start}/")));
    !origin && (!folder.starts_with('/') || anybody)
}

/// What there is to say of one program; `shown` is its path with its part.
pub fn judge(shown: &str, entry: Option<&Entry>, program: &Program, found: &mut Found) {
    if !matches!(program.kind.as_str(), "program" | "static program" | "library") {
        return;
    }
    let what = || program.kind.clone();
    if !program.nx {
        found.add("elf-executable-stack", shown, what());
    }
    if !program.separate {
        found.add("elf-writable-code", shown, what());
    }
    if !program.pie {
        found.add("elf-no-pie", shown, what());
    }
    match program.relro.as_str() {
        "none" if program.kind != "static program" => found.add("elf-no-relro", shown, what()),
        "partial" => found.add("elf-partial-relro", shown, what()),
        _ => {}
    }
    if program.canary == "no" {
        found.add("elf-no-canary", shown, what());
    }
    if program.fortify == "none" {
        found.add("elf-no-fortify", shown, what());
    }
    if program.canary == "unknown" {
        let why = if program.kind == "static program" { "" } else { ", its imports cannot be read" };
        found.add("elf-unknown", shown, format!("{}{why}", what()));
    }
    let bad: Vec<&str> =
        program.rpath.iter().map(String::as_str).filter(|folder| unsafe_folder(folder)).collect();
    if !bad.is_empty() {
        found.add("elf-rpath-unsafe", shown, format!("`{}`", bad.join(":")));
    }
    if program.machine == "aarch64" && program.branch.len() < 2 {
        let has = if program.branch.is_empty() { "none".to_owned() } else { program.branch.join(" ") };
        found.add("elf-no-bti", shown, format!("marked: {has}"));
    }
    if !program.stripped {
        found.add("elf-not-stripped", shown, what());
    }
    privileged(shown, entry, program, found);
    imports(shown, program, found);
}

/// A setuid program or one with capabilities has to have everything.
fn privileged(shown: &str, entry: Option<&Entry>, program: &Program, found: &mut Found) {
    if !entry.is_some_and(|entry| entry.mode & 0o6000 != 0 || entry.has_capabilities()) {
        return;
    }
    let mut lacks = Vec::new();
    for (name, had) in [
        ("PIE", program.pie),
        ("full RELRO", program.relro == "full"),
        ("NX", program.nx && program.separate),
        ("stack canary", program.canary == "yes"),
    ] {
        if !had {
            lacks.push(name);
        }
    }
    if !lacks.is_empty() {
        found.add("elf-privileged-weak", shown, format!("no {}", lacks.join(", no ")));
    }
}

fn imports(shown: &str, program: &Program, found: &mut Found) {
    let of = |list: &[&str]| -> Vec<&str> {
        program.risky.iter().map(String::as_str).filter(|name| list.contains(name)).collect()
    };
    if program.risky.iter().any(|name| name == "gets") {
        found.add("import-gets", shown, "gets");
    }
    for (rule, list) in
        [("import-temporary", &TEMPORARY[..]), ("import-shell", &SHELL), ("import-copy", &COPY)]
    {
        let names = of(list);
        if !names.is_empty() {
            found.add(rule, shown, names.join(", "));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A program with every protection.
    pub fn good() -> Program {
        Program {
            path: "/usr/bin/x".into(),
            kind: "program".into(),
            machine: "aarch64".into(),
            pie: true,
            relro: "full".into(),
            nx: true,
            separate: true,
            canary: "yes".into(),
            fortify: "partial".into(),
            rpath: vec!["$ORIGIN/../lib".into(), "/usr/lib/x".into()],
            branch: vec!["bti".into(), "pac".into()],
            stripped: true,
            risky: vec![],
        }
    }

    fn rules(change: impl FnOnce(&mut Program)) -> Vec<String> {
        let mut program = good();
        change(&mut program);
        let mut found = Found::default();
        judge("/usr/bin/x", None, &program, &mut found);
        found.issues().into_iter().map(|issue| issue.rule).collect()
    }

    #[test]
    fn a_program_with_everything_has_no_finding() {
        assert!(rules(|_| {}).is_empty());
    }

    #[test]
    fn each_lack_is_found_by_its_rule() {
        assert_eq!(rules(|p| p.nx = false), ["elf-executable-stack"]);
        assert_eq!(rules(|p| p.separate = false), ["elf-writable-code"]);
        assert_eq!(rules(|p| p.pie = false), ["elf-no-pie"]);
        assert_eq!(rules(|p| p.relro = "none".into()), ["elf-no-relro"]);
        assert_eq!(rules(|p| p.relro = "partial".into()), ["elf-partial-relro"]);
        assert_eq!(rules(|p| p.canary = "no".into()), ["elf-no-canary"]);
        assert_eq!(rules(|p| p.canary = "unknown".into()), ["elf-unknown"]);
        assert_eq!(rules(|p| p.fortify = "none".into()), ["elf-no-fortify"]);
        assert_eq!(rules(|p| p.stripped = false), ["elf-not-stripped"]);
        assert_eq!(rules(|p| p.branch.clear()), ["elf-no-bti"]);
        for folder in ["", "lib", "/tmp/build/lib", "/home/me/lib"] {
            assert_eq!(rules(|p| p.rpath.push(folder.into())), ["elf-rpath-unsafe"], "{folder}");
        }
        assert_eq!(rules(|p| p.risky = vec!["gets".into()]), ["import-gets"]);
        let all = vec!["mktemp".into(), "system".into(), "strcpy".into()];
        assert_eq!(rules(|p| p.risky = all), ["import-temporary", "import-copy", "import-shell"]);
        // A kernel module is no program of the loader's.
        assert!(rules(|p| (p.kind, p.nx) = ("module".into(), false)).is_empty());
    }
}
