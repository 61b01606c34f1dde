//! The kernel's command line: the plan's arguments, then root and verity.
//!
//! The whole line stands in the FDT that the FIT signature covers; U-Boot has no `bootargs` variable that could
//! replace it. Table syntax: `Documentation/admin-guide/device-mapper/dm-init.rst` and `verity.rst`.

use diag::{ExitStatus, Failure, Outcome};
use spec::Architecture;
use spec::plan::Plan;

use crate::verity::{VerityTree, hex};

/// Arguments that assembly decides: whoever else sets one could take verity away.
const RESERVED: &[&str] =
    &["root=", "rootfstype=", "rootflags=", "dm-mod.", "dm_mod.", "initrd=", "noinitrd"];

/// The whole command line; `root_guid` is the GUID of the partition with data and hash tree.
///
/// A corrupt block panics the kernel (`panic_on_corruption`, Linux 5.9) rather than restarting it
/// (`restart_on_corruption`): both end a boot from a changed disk, but a panic says `dm-verity device
/// corrupted` on the console, runs no reboot notifiers while the system's own files cannot be read, and leaves
/// how long to wait to `panic=`. `PARTUUID=` and `dm-mod.waitfor` are resolved by the kernel itself
/// (`early_lookup_bdev`), so that no device numbering matters.
///
/// # Errors
/// `cmdline-conflict` when the plan sets one of the arguments that are set here, `cmdline-too-long`, or
/// `cmdline-argument` for an argument that the kernel would read as something else.
pub fn command_line(plan: &Plan, tree: &VerityTree, root_guid: &str) -> Outcome<String> {
    let mut words = Vec::new();
    for asked in &plan.cmdline {
        let word = asked.value.as_str();
        let by = asked
            .origins
            .first()
            .map_or_else(String::new, |o| format!(" ({}, {}:{})", o.who, o.file, o.line));
        refuse(word, &by)?;
        words.push(word.to_owned());
    }
    let device = format!("PARTUUID={root_guid}");
    let blocks = tree.data_blocks;
    words.push("root=/dev/dm-0 rootfstype=squashfs ro".to_owned());
    words.push(format!(
        "dm-mod.create=\"root,,,ro,0 {sectors} verity 1 {device} {device} 4096 4096 {blocks} {blocks} sha256 \
         {root} {salt} 1 panic_on_corruption\"",
        sectors = blocks * 8,
        root = hex(&tree.root_hash),
        salt = hex(&tree.salt),
    ));
    words.push(format!("dm-mod.waitfor={device}"));
    let line = words.join(" ");
    // The kernel cuts a longer line without a word.
    let longest = Architecture::of(&plan.board.kernel_arch).map_or(0, Architecture::command_line_bytes);
    if line.len() >= longest {
        return Err(Failure::error(
            ExitStatus::Input,
            "cmdline-too-long",
            format!(
                "the kernel's command line has {} bytes, and the kernel takes {}",
                line.len(),
                longest.saturating_sub(1)
            ),
        )
        .hint("take arguments out of the layers; `fastness plan` shows who asked for which"));
    }
    Ok(line)
}

fn refuse(word: &str, by: &str) -> Outcome<()> {
    let plain = word.chars().all(|c| (' '..='\u{7e}').contains(&c));
    // Behind `--` everything goes to init, the verity arguments too (kernel/params.c, `parse_args`).
    if !plain || word.trim() == "--" || word.matches('"').count() % 2 == 1 {
        return Err(Failure::error(
            ExitStatus::Input,
            "cmdline-argument",
            format!("`{}`{by} cannot stand on the kernel's command line", word.escape_debug()),
        )
        .hint("expected one argument of printable ASCII with paired quotes, and not `--`"));
    }
    for part in word.split(' ') {
        // The kernel takes `-` and `_` in a name as the same (`parameqn`).
        let name = part.trim_start_matches('"').replace('_', "-");
        let taken = RESERVED.iter().find(|r| name.starts_with(&r.replace('_', "-")));
        if let Some(taken) = taken.copied().or((name == "rw" || name == "--").then_some("rw")) {
            return Err(Failure::error(
                ExitStatus::Input,
                "cmdline-conflict",
                format!("`{part}`{by} sets `{taken}`, which assembly sets for the verified root"),
            )
            .hint("take it out of the layer or product"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asked, plan};

    fn tree() -> VerityTree {
        VerityTree {
            root_hash: [0xab; 32],
            salt: vec![1, 2],
            data_blocks: 10,
            hash_blocks: 1,
            data_sha256: String::new(),
        }
    }

    fn line(words: &[&str]) -> Outcome<String> {
        let mut plan = plan();
        plan.cmdline = words.iter().map(|w| asked((*w).to_owned())).collect();
        command_line(&plan, &tree(), "GUID")
    }

    #[test]
    fn the_line_says_where_the_verified_root_is() {
        let expected = format!(
            "console=ttyAMA0 panic=5 root=/dev/dm-0 rootfstype=squashfs ro dm-mod.create=\"root,,,ro,0 80 verity 1 \
             PARTUUID=GUID PARTUUID=GUID 4096 4096 10 10 sha256 {} 0102 1 panic_on_corruption\" \
             dm-mod.waitfor=PARTUUID=GUID",
            "ab".repeat(32)
        );
        assert_eq!(line(&["console=ttyAMA0", "panic=5"]).unwrap(), expected);
    }

    #[test]
    fn an_argument_that_takes_verity_away_is_refused() {
        for word in ["root=/dev/vda3", "rw", "dm-mod.create=x", "dm_mod.create=x", "quiet rootfstype=ext4"] {
            let failure = line(&[word]).unwrap_err();
            assert_eq!(failure.diagnostics[0].code, "cmdline-conflict", "{word}");
            assert!(failure.to_string().contains("(layer test, layer.yaml:3)"), "{failure}");
        }
    }

    #[test]
    fn an_argument_that_swallows_the_rest_is_refused() {
        for word in ["--", "a=\"b", "a\nb", "ä"] {
            let failure = line(&[word]).unwrap_err();
            assert_eq!(failure.diagnostics[0].code, "cmdline-argument", "{word}");
        }
        assert!(line(&["quiet -- x"]).is_err());
    }

    #[test]
    fn a_line_that_the_kernel_would_cut_is_refused() {
        let failure = line(&[&"x".repeat(2000)]).unwrap_err();
        assert!(failure.to_string().contains("and the kernel takes 2047"), "{failure}");
        let mut plan = plan();
        plan.cmdline = vec![asked("x".repeat(900))];
        assert!(command_line(&plan, &tree(), "GUID").is_ok());
        plan.board.kernel_arch = "arm".into();
        let failure = command_line(&plan, &tree(), "GUID").unwrap_err();
        assert!(failure.to_string().contains("and the kernel takes 1023"), "{failure}");
    }
}
