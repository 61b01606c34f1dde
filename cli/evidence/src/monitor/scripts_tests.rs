//! The two programs of the layer that `fastness monitor` writes, run as a device runs them, on files in the place of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

struct Device {
    folder: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        let device = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["stubs", "state", "slice/auditd.service", "log"] {
            fs::create_dir_all(device.path(folder)).unwrap();
        }
        device.stub("sleep", "exit 0");
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn stub(&self, name: &str, body: &str) {
        self.put(&format!("stubs/{name}"), &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(self.path(&format!("stubs/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str) -> (String, Option<i32>) {
        let at = |name: &str| self.path(name).display().to_string();
        let own = script
            .replace("/var/lib/fastness", &at("state"))
            .replace("/var/log/audit/audit.log", &at("log/audit.log"))
            .replace("/usr/lib/fastness/executables", &at("executables"))
            .replace("/sys/fs/cgroup/system.slice", &at("slice"))
            .replace("/var/log", &at("log"))
            .replace("/proc/[0-9]*/exe", &at("no-process-*"))
            .replace("/lib/ld-linux* /lib/ld-musl-* /lib64/ld-linux*", &at("no-loader"))
            .replace("ALL_MIB", "40")
            .replace("THOUSANDTHS", "30");
        self.put("script", &own);
        let places = format!("{}:{}", at("stubs"), std::env::var("PATH").unwrap_or_default());
        let out = Command::new("sh").arg(self.path("script")).env("PATH", places).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), out.status.code())
    }
}

/// What auditd writes of a refused copy: a call with its key, and behind it the kernel's own record of another event.
fn refused(key: &str) -> String {
    format!(
        "name=$(echo \"$2\"); {{ \
         echo 'type=SYSCALL msg=audit(1.1:7): syscall=221 success=no exit=-13 comm=\"sh\" exe=\"/usr/bin/dash\" key=\"{key}\"'; \
         echo \"type=PATH msg=audit(1.1:7): item=0 name=\\\"$name\\\"\"; \
         echo \"type=INTEGRITY_DATA msg=audit(1.2:8): op=appraise_data name=\\\"$name\\\" res=0\"; }} >>LOG; echo no program >\"$2\""
    )
}

#[test]
fn a_refused_copy_is_found_on_record_whatever_else_names_it() {
    let device = Device::new();
    let (log, script) = (device.path("log/audit.log").display().to_string(), include_str!("refused.sh"));
    device.put("executables", "0 0 /usr/bin/true\n");
    device.put("log/audit.log", "");
    // This machine runs what is copied.
    assert_eq!(device.run(script), ("a program on the data partition ran".to_owned(), Some(1)));
    device.stub("cp", &refused("data-exec").replace("LOG", &log));
    let (said, _) = device.run(script);
    assert!(said.starts_with("refused and recorded: success=no exit=-13 comm=\"sh\""), "{said}");
    // A call of another rule is no such record, and that of an earlier start is none of this one.
    device.put("log/audit.log", "");
    device.stub("cp", &refused("mount").replace("LOG", &log));
    assert_eq!(device.run(script), ("refused, and no record of it".to_owned(), Some(1)));
    device.put(
        "log/audit.log",
        "type=SYSCALL msg=audit(1.1:7): success=no key=\"data-exec\"\n\
         type=PATH msg=audit(1.1:7): name=\"/var/lib/fastness/monitor-probe.Abcdef\"\n",
    );
    device.stub("cp", "echo no program >\"$2\"");
    assert_eq!(device.run(script), ("refused, and no record of it".to_owned(), Some(1)));
    assert_eq!(fs::read_dir(device.path("state")).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn what_the_start_takes_is_waited_for_and_what_goes_on_fails() {
    let device = Device::new();
    let group = |name: &str| format!("slice/auditd.service/{name}");
    device.put(&group("memory.current"), "1048576\n");
    device.put(&group("memory.max"), "25165824\n");
    device.put(&group("memory.stat"), "inactive_file 0\n");
    let usage = device.path(&group("cpu.stat")).display().to_string();
    // Each pause takes so many microseconds of a processor: 5 s at 93 thousandths, twice, and then nothing.
    let busy = |times: u32| {
        device.put(&group("cpu.stat"), "usage_usec 0\n");
        device.put("times", "");
        let times_file = device.path("times").display().to_string();
        device.stub(
            "sleep",
            &format!(
                "echo >>{times_file}; n=$(wc -l <{times_file}); [ $n -gt {times} ] || echo usage_usec $((n * 465000)) >{usage}"
            ),
        );
        device.run(include_str!("bounds.sh"))
    };
    let (said, code) = busy(2);
    assert!(said.contains("; 0 of 30 thousandths of a core in 5 s (the 4. of at most 12 times)"), "{said}");
    assert_eq!(code, Some(0));
    let (said, code) = busy(99);
    assert!(said.contains("; 93 of 30 thousandths of a core in 5 s (the 12. of at most 12 times)"), "{said}");
    assert_eq!(code, Some(1));
    // Once quiet is not at rest.
    device.stub(
        "sleep",
        &format!(
            "sed -i '$a x' {times}; n=$(wc -l <{times}); echo usage_usec $((n / 2 * 465000)) >{usage}",
            times = device.path("times").display()
        ),
    );
    device.put("times", "x\n");
    device.put(&group("cpu.stat"), "usage_usec 0\n");
    assert_eq!(device.run(include_str!("bounds.sh")).1, Some(1));
    device.put(&group("memory.current"), "52428800\n");
    let (said, code) = busy(0);
    assert!(said.contains("together 51200 KiB of 40 MiB"), "{said}");
    assert_eq!(code, Some(1));
}
