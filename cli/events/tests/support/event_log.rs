//! The device's program that writes the records (templates/events), run here in a folder.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use events::{Chain, Event, SealKey, Verifier};

/// The text of a template of the events.
pub fn template(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/events").join(name);
    fs::read_to_string(path).expect("a template")
}

/// The device's program with its parameters filled in.
pub fn program(folder: &Path, limit: usize, keep: usize) -> PathBuf {
    let text = template("event-log.sh.hbs")
        .replace("{{sh parameters.folder}}", &folder.to_string_lossy())
        .replace("{{parameters.log_size}}", &limit.to_string())
        .replace("{{parameters.logs}}", &keep.to_string())
        // As on a board with memory for the last words; here a folder of the test.
        .replace("{{#if crash_memory}}\n", "")
        .replace("{{/if}}\n", "")
        .replace("/sys/fs/pstore", &folder.join("pstore").to_string_lossy());
    assert!(!text.contains("{{"), "a parameter that this test does not know");
    let path = folder.join("event-log");
    fs::write(&path, text).expect("the program is written");
    let mut mode = fs::metadata(&path).expect("it is there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&path, mode).expect("it may be run");
    path
}

/// What the verifier says of files, the oldest first.
pub fn verify_with(folder: &Path, names: &[&str], key: Option<SealKey>) -> Result<Chain, String> {
    let mut verifier = Verifier::new(None).sealed(key);
    for name in names {
        let file = fs::File::open(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
        verifier.read(name, BufReader::new(file)).map_err(|e| e.to_string())?;
    }
    verifier.finish().map_err(|e| e.to_string())
}

/// The records of the newest file.
pub fn records(folder: &Path) -> Vec<Event> {
    let text = fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    text.lines().map(|line| Event::parse(line.as_bytes()).expect("a record")).collect()
}
