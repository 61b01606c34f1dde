//! The board's device tree, where a QEMU machine has it.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, Tpm, tool};
use spec::plan::{Plan, QemuFacts};

use crate::{Cache, key_of};

/// The board's QEMU machine, whose device tree is taken.
///
/// # Errors
/// `no-device-tree` when it has none.
pub(crate) fn machine(plan: &Plan) -> Outcome<&QemuFacts> {
    plan.board.qemu.as_ref().ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-device-tree",
            format!("the board `{}` has no QEMU machine to take its device tree from", plan.board.name),
        )
        .hint("images of such boards are built with `backend: debian`; the tree for this backend can be generated: `fastness generate`")
    })
}

/// QEMU's own device tree for exactly the machine that the board describes.
///
/// # Errors
/// When the board has no QEMU machine, or QEMU is missing or fails.
pub(crate) fn device_tree(plan: &Plan, cache: &Cache, log: &Path) -> Outcome<(PathBuf, bool)> {
    let qemu = machine(plan)?;
    let program = tool(&qemu.program)?;
    let version = Call::new(program).arg("--version").output()?;
    let mut arguments = qemu.machine_arguments();
    let key = key_of(&[&qemu.program, &arguments.join(" "), &String::from_utf8_lossy(&version)]);
    let (folder, cached) = cache.stage("dtb", &key, |part| {
        let folder = tempfile::tempdir().map_err(|e| Failure::io("make", &std::env::temp_dir(), &e))?;
        let file = std::path::absolute(part.join("board.dtb")).map_err(|e| Failure::io("find", part, &e))?;
        if let Some(machine) = arguments.get_mut(1) {
            machine.push_str(&format!(",dumpdtb={}", file.display()));
        }
        let _tpm = match qemu.tpm {
            Some(_) => Some(dumped_tpm(folder.path(), log)?),
            None => None,
        };
        Call::new(program)
            .args(&arguments)
            .args(["-display", "none", "-nodefaults"])
            .folder(folder.path())
            .log(log)
            .run()
    })?;
    Ok((folder.join("board.dtb"), cached))
}

/// A TPM for QEMU to connect to: without one it makes no node for it. Nobody talks to it.
fn dumped_tpm(folder: &Path, log: &Path) -> Outcome<Tpm> {
    let state = folder.join("tpm");
    std::fs::create_dir(&state).map_err(|e| Failure::io("make", &state, &e))?;
    let log = log.with_extension("tpm.log");
    Tpm::start(&state, &folder.join(spec::plan::TPM_SOCKET), &log)
}
