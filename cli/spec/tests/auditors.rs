//! The self-check of auditors, run as the device runs it, on folders that are right and on such as are not.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");

#[test]
fn an_auditor_who_can_do_more_than_read_and_a_stranger_who_can_read_are_found() {
    let id = Command::new("id").arg("-u").output().expect("id");
    if id.stdout != b"0\n" {
        #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
        {
            eprintln!("SKIPPED: only root can act as somebody else");
        }
        return;
    }
    // Below a folder that everybody may enter.
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let product = folder.path().join("product.yaml");
    fs::write(&product, format!("{EXAMPLE}\nlayers: {{auditors: {{}}, events: {{}}}}\n")).unwrap();
    let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
    let path = "/usr/lib/fastness/selfcheck.d/audit.reader-ro";
    let spec::plan::FilePlan::File { content, .. } = &plan.files[path].value else { panic!("no {path}") };
    let records = folder.path().join("events");
    let own = content.replace("folder=/var/log/events", &format!("folder={}", records.display()));
    assert_ne!(&own, content);
    let script = folder.path().join("script");
    fs::write(&script, own).unwrap();
    let run = |group: u32, folder_mode: u32, file_mode: u32| {
        let _ = fs::remove_dir_all(&records);
        fs::create_dir_all(records.join("state")).unwrap();
        let file = records.join("events.jsonl");
        fs::write(&file, "{\"seq\":1}\n").unwrap();
        for (path, mode) in [(&file, file_mode), (&records.join("state"), 0o700), (&records, folder_mode)] {
            chown(path, Some(0), Some(group)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let out = Command::new("sh").arg(&script).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), out.status.code())
    };
    let (said, code) = run(804, 0o2750, 0o640);
    assert!(said.starts_with("an auditor reads the records, and cannot write"), "{said}");
    assert_eq!(code, Some(0));
    for (group, folder_mode, file_mode, says) in [
        (804, 0o2750, 0o660, "an auditor can do more than read: : >>"),
        (804, 0o2770, 0o640, "an auditor can do more than read: rm -f "),
        (804, 0o2755, 0o644, "who is no auditor can do: head -n 1 "),
        (804, 0o2755, 0o640, "who is no auditor can do: ls "),
        (0, 0o700, 0o640, "an auditor cannot read "),
    ] {
        let (said, code) = run(group, folder_mode, file_mode);
        assert!(said.starts_with(says), "{says}: {said}");
        assert_eq!(code, Some(1), "{said}");
    }
}
