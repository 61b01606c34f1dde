//! Judges the kernel's rows on files, for `ci/peers/kernel-hardening`: `kernel-rows CONFIG CMDLINE SYSCTL` prints
//! one line `ROW<TAB>ok|fail` for each row. SYSCTL has lines `key = value`, the last of a key counts.

use std::io::Write;

use evidence::kernel_rows::{Facts, Rows};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, cmdline, sysctl] = arguments.as_slice() else {
        return Err("usage: kernel-rows CONFIG CMDLINE SYSCTL".into());
    };
    let mut facts = Facts::read(&std::fs::read_to_string(config)?, std::fs::read_to_string(cmdline)?.trim())?;
    for line in std::fs::read_to_string(sysctl)?.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            facts.sysctl.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    let mut out = std::io::stdout().lock();
    let rows = Rows::built_in()?;
    for row in rows.for_kernel(&facts)? {
        let (holds, _) = row.judge(&facts);
        writeln!(out, "{}\t{}", row.id, if holds { "ok" } else { "fail" })?;
    }
    Ok(())
}
