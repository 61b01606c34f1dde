//! A device that finds an update where a person would put it, and what it says of it.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use record::{BootRecord, ImageRecord};
use spec::plan::Plan;

use crate::boot::{absolute, on_device};
use crate::files::{own_filesystem, scratch_in};
use crate::machine::Machine;
use crate::pattern::Pattern;
use crate::until::watch;

/// Lines by which a device says what became of an update, and the last one before it restarts into it.
const UPDATE_ENDINGS: [&str; 3] =
    ["\"check\":\"refused\"", "\"check\":\"installed\",\"verdict\":\"fail\"", "reboot: "];
/// How long an emulated device may take to install one.
const UPDATE_LIMIT: Duration = Duration::from_secs(600);

/// [`boot_device`], which finds updates in its folder, under the names of the files. It runs on until it has said of each what
/// became of it, or restarts into one; the lines are returned.
///
/// # Errors
/// As [`boot_device`], and when the device's data partition cannot be written.
pub fn boot_with_updates(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    device: &Path,
    updates: &[PathBuf],
    limit: Duration,
) -> Outcome<(BootRecord, Vec<String>)> {
    let mut said = Vec::new();
    let mut ready = |whole: bool, machine: &mut Machine| {
        let (endings, deadline) = (Pattern::all(UPDATE_ENDINGS), Instant::now() + UPDATE_LIMIT);
        if !whole {
            return Ok(());
        }
        watch(&mut machine.console, &endings, deadline, |lines| {
            said = lines.iter().filter_map(|line| record_in(&line.text)).collect();
            let [refused, failed, restarts] =
                UPDATE_ENDINGS.map(|ending| lines.iter().filter(|line| line.text.contains(ending)).count());
            failed + restarts > 0 || refused == updates.len()
        })
    };
    let mut put = |disk: &Path| put_updates(record, disk, device, updates);
    let boot = on_device(plan, record, folder, device, limit, &mut put, &mut ready)?;
    Ok((boot, said))
}

/// What the device says of an update in a line of its console.
fn record_in(line: &str) -> Option<String> {
    line.contains("\"event\":\"update\"").then(|| line.find('{').map(|at| line[at..].to_owned()))?
}

/// Puts files where a member of `update-operators` would, in the place of what an interrupted start left there.
fn put_updates(record: &ImageRecord, disk: &Path, device: &Path, updates: &[PathBuf]) -> Outcome<()> {
    let part = record.partitions.iter().find(|part| part.name == "data").ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-data",
            "the image has no data partition, where a device finds updates",
        )
        .hint("build the image again with `fastness build`")
    })?;
    // Removed with all that is in it, however this ends.
    let scratch = scratch_in(&absolute(device)?)?;
    let at = |name: &str| scratch.path().join(name);
    // Before its first start a device has none of the folders.
    let mut commands = "mkdir /lib\nmkdir /lib/update\n".to_owned();
    for (number, update) in updates.iter().enumerate() {
        // Its own syntax knows no quoting: a plain name stands for whatever the file is called.
        let plain = format!("update-{number}");
        std::fs::copy(update, at(&plain)).map_err(|e| Failure::io("copy", update, &e))?;
        commands.push_str(&format!(
            "rm /lib/update/{number}.update\nwrite {plain} /lib/update/{number}.update\n"
        ));
    }
    std::fs::write(at("commands"), commands).map_err(|e| Failure::io("write", &at("commands"), &e))?;
    let (data, log) = (at("data"), at("log"));
    // What is in the journal comes first: replayed later, by the device, it would take all of this back.
    own_filesystem(disk, part, &data, &log)?;
    let put = Call::new(tool("debugfs")?).args(["-w", "-f", "commands", "data"]);
    put.folder(scratch.path()).log(&log).run()?;
    // It ends well whatever its commands did.
    let said = std::fs::read_to_string(&log).map_err(|e| Failure::io("read", &log, &e))?;
    let written = said.matches("Allocated inode").count();
    if written != updates.len() {
        let message =
            format!("expected room for {} updates on the device, {written} were put there", updates.len());
        let last: Vec<&str> = said.trim().lines().rev().take(2).collect();
        return Err(Failure::error(ExitStatus::Environment, "no-room", message)
            .note(format!("debugfs says: {}", last.join("; ")))
            .hint(
                "give the product's data partition more room (`storage.data`), or begin with a new device",
            ));
    }
    let failed = |e: std::io::Error| Failure::io("change the data partition of", disk, &e);
    let mut whole = File::options().write(true).open(disk).map_err(failed)?;
    let mut changed = File::open(&data).map_err(|e| Failure::io("read", &data, &e))?;
    whole.seek(SeekFrom::Start(part.offset)).map_err(failed)?;
    std::io::copy(&mut changed, &mut whole).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_behind_what_the_kernel_puts_in_front_of_it() {
        let record = "{\"event\":\"update\",\"check\":\"kept\",\"verdict\":\"pass\",\"seen\":\"version 2\"}";
        assert_eq!(record_in(&format!("[   31.7] update[165]: {record}")).as_deref(), Some(record));
        for other in ["", "\"event\":\"update\"", "{\"event\":\"selfcheck\",\"check\":\"self.update\"}"] {
            assert_eq!(record_in(other), None, "{other}");
        }
    }
}
