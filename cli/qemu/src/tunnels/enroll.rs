//! A device whose tunnels' key is in its TPM: its first start, in which it makes the key and asks for a certificate, and a
//! start with another TPM, in which the certificate is worth nothing.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use record::{ImageRecord, Role, TunnelClass};
use spec::plan::Plan;

use super::{Ends, Subject, class, ipsec, log, openvpn};
use crate::boot::{absolute, file};
use crate::console::Seen;
use crate::files::{kernel_of, scratch_in};
use crate::machine::{Direct, Machine, MachineSpec};
use crate::pattern::Pattern;

const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const END: &str = "-----END CERTIFICATE REQUEST-----";
/// What the device says of a certificate that is not of its TPM's key (`templates/tpm/tpm-key.sh.hbs`).
const ANOTHER: &str = "the certificate is of another key than this TPM's: the tunnels stay down";

/// Starts the image's kernel and disk with a TPM whose memory is the folder `tpm`, and reads the request that the device
/// shows on its console. Nothing that it writes to the disk is kept; its log is `boot/enroll`.
///
/// # Errors
/// When the machine cannot be started, or shows no request within `limit`.
pub fn enroll(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    tpm: &Path,
    epoch: u64,
    limit: Duration,
) -> Outcome<Vec<u8>> {
    let logs = folder.join("boot/enroll");
    fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
    let scratch = scratch_in(&logs)?;
    let kernel = absolute(scratch.path())?.join("Image");
    let fit = folder.join(&file(record, Role::Fit)?.path);
    fs::write(&kernel, kernel_of(&fit)?).map_err(|e| Failure::io("write", &kernel, &e))?;
    let disk = absolute(&folder.join(&file(record, Role::Disk)?.path))?;
    let mut spec = MachineSpec::new(plan, Path::new(""), &disk, &logs)?;
    spec.epoch = epoch;
    spec.tpm_state = Some(tpm.to_owned());
    spec.direct = Some(Direct { kernel, append: record.cmdline.clone(), second: None, device_tree: None });
    let mut machine = Machine::start(&spec)?;
    let shown = machine.console.wait_for(&Pattern::all([END]), Instant::now() + limit)?;
    let lines = log(&machine, 0);
    let request = match shown {
        Seen::Line { .. } => request(&lines),
        _ => None,
    };
    request.ok_or_else(|| {
        let message = format!("the device did not show its request within {} s", limit.as_secs());
        let said: Vec<&String> = lines.iter().filter(|line| line.contains("fastness-tpm-key")).collect();
        Failure::error(ExitStatus::Environment, "no-request", message)
            .note(format!("it said of its key: {said:?}"))
            .hint("see `boot/enroll/console.log`")
    })
}

/// The request between its marks. The console puts the program's name before each line, and the kernel's own lines
/// may stand between.
fn request(lines: &[String]) -> Option<Vec<u8>> {
    let text = lines.iter().map(|line| line.rsplit(": ").next().unwrap_or_default().trim());
    let mut out = String::new();
    for line in text.skip_while(|line| !line.ends_with(BEGIN)) {
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        if line.ends_with(END) {
            out.push_str(END);
            out.push('\n');
            return Some(out.into_bytes());
        } else if line.ends_with(BEGIN) {
            BEGIN.clone_into(&mut out);
            out.push('\n');
        } else if line.len() <= 64 && !line.is_empty() && line.chars().all(base64) {
            out.push_str(line);
            out.push('\n');
        }
    }
    None
}

/// The peer asks for the tunnel of a device whose TPM is another one than that of its certificate, or waits to be asked.
pub(super) fn other_tpm(
    plan: &Plan,
    (name, facts, _): Subject<'_>,
    Ends { device, peer }: Ends<'_>,
) -> Outcome<Vec<TunnelClass>> {
    let up = if facts.kind == "openvpn" {
        // Its own lines are in the journal, whatever reaches the peer.
        openvpn::is_asked(peer, name)? || log(device, 0).iter().any(|line| line.contains("openvpn["))
    } else {
        let sas = ipsec::connect(peer, plan, name, name)?;
        ipsec::disconnect(peer)?;
        sas.iter().any(|line| line.contains("ESTABLISHED"))
    };
    let lines = log(device, 0);
    let mut problems = Vec::new();
    if up {
        problems.push("the tunnel came up, or was asked for, with another TPM".to_owned());
    }
    let said = lines.iter().find(|line| line.contains(ANOTHER)).cloned();
    if said.is_none() {
        problems.push(format!("the device's console does not say `{ANOTHER}`"));
    }
    Ok(vec![class(name, "other-tpm", said.into_iter().collect(), problems)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_request_is_read_past_names_and_other_lines() {
        let shown = lines(&[
            "[    8.1] systemd[1]: Started it.",
            "[    9.0] tpm-key[120]: -----BEGIN CERTIFICATE REQUEST-----",
            "[    9.0] tpm-key[120]: MIIBKz+/",
            "[    9.1] random: crng init done",
            "[    9.1] tpm-key[120]: AB==",
            "[    9.2] tpm-key[120]: -----END CERTIFICATE REQUEST-----",
        ]);
        let expected = format!("{BEGIN}\nMIIBKz+/\nAB==\n{END}\n");
        assert_eq!(request(&shown), Some(expected.into_bytes()));
    }

    #[test]
    fn without_its_end_there_is_no_request() {
        assert_eq!(request(&lines(&[BEGIN, "MIIB"])), None);
        assert_eq!(request(&[]), None);
    }

    #[test]
    fn what_the_device_says_of_another_tpm_is_in_its_program() {
        let program = include_str!("../../../../templates/tpm/tpm-key.sh.hbs");
        let (what, end) = ANOTHER.split_once(": ").expect("two parts");
        assert!(program.contains(&format!("stop \"{what}\"")) && program.contains(&format!("$*: {end}")));
    }
}
