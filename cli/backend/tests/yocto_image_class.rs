//! What the image class does to a root, run by a shell as BitBake runs it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The committed class, which `yocto_tree` compares with the generated one.
const CLASS: &str = "tests/golden/yocto/cell-gateway-qemu-aarch64-wrynose/meta-cell-gateway-distro/classes-recipe/cell_gateway_image.bbclass";

struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// Packages as Yocto leaves them, ours with what is to be put in place.
    fn new() -> Self {
        let root = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir_all(root.folder.path().join("temp")).expect("made");
        root.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nmaintenance:x:2000:2000:M:/h:/bin/sh\n");
        root.write("etc/shadow", "root::1:0:99999:7:::\nmaintenance:$6$x$y:1:0:99999:7:::\n");
        root.write("usr/share/cell-gateway/replace/etc/hosts", "127.0.0.1 localhost\n");
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn link(&self, name: &str, target: &str) {
        fs::create_dir_all(self.path(name).parent().expect("a folder")).expect("made");
        symlink(target, self.path(name)).expect("linked");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("`{name}`: {e}"))
    }

    fn finish(&self) -> Output {
        let class = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(CLASS)).expect("the class");
        let start = class.find("\ncell_gateway_unwanted()").expect("functions");
        // BitBake's own way to end a task.
        let fatal = "bbfatal() { echo \"$1\" >&2; exit 1; }\n";
        Command::new("sh")
            .args(["-e", "-c", &format!("{fatal}{}\ncell_gateway_finish\n", &class[start..])])
            .env("IMAGE_ROOTFS", self.path(""))
            .env("T", self.folder.path().join("temp"))
            .output()
            .expect("started")
    }

    fn finished(&self) {
        let output = self.finish();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_list_of_packages_is_put_aside_by_the_task_that_writes_it_and_times_are_given_last() {
    let class = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(CLASS)).expect("the class");
    let value = |variable: &str| {
        let line = class.lines().find(|line| line.starts_with(&format!("{variable}:append = ")));
        line.and_then(|line| line.split('"').nth(1)).map(str::to_owned)
    };
    // IMAGE_NAME has the time of one run of BitBake: another run does not find what do_rootfs named by it.
    // OE-Core's license_image.bbclass writes the list in this one, behind ROOTFS_POSTPROCESS_COMMAND.
    assert_eq!(value("ROOTFS_POSTUNINSTALL_COMMAND").as_deref(), Some(" cell_gateway_licences;"));
    assert_eq!(value("IMAGE_POSTPROCESS_COMMAND"), None);
    assert_eq!(
        value("IMAGE_PREPROCESS_COMMAND").as_deref(),
        Some(" cell_gateway_finish; reproducible_final_image_task;")
    );
}

#[test]
fn what_was_kept_aside_takes_the_place_of_another_packages_file_and_of_its_link() {
    let root = Root::new();
    root.write("etc/hosts", "of netbase\n");
    // Written through, a link would change what it points to, which may be the host's.
    let outside = root.folder.path().join("outside");
    fs::write(&outside, "not the image's\n").expect("written");
    root.link("etc/resolv.conf", outside.to_str().expect("text"));
    root.write("usr/share/cell-gateway/replace/etc/resolv.conf", "ours\n");
    root.finished();
    assert_eq!(
        (root.read("etc/hosts"), root.read("etc/resolv.conf")),
        ("127.0.0.1 localhost\n".into(), "ours\n".into())
    );
    assert!(!root.path("etc/resolv.conf").is_symlink());
    assert_eq!(fs::read_to_string(outside).expect("a file"), "not the image's\n");
    assert!(!root.path("usr/share/cell-gateway").exists(), "the folder that is kept aside is left");
}

/// Found by an image of a real BitBake: `/etc/audit` had 0755 after its files were put in place.
#[test]
fn a_folder_keeps_its_mode_and_the_plans_have_theirs() {
    let mode = |path: PathBuf| {
        let found = fs::metadata(&path).unwrap_or_else(|e| panic!("`{}`: {e}", path.display()));
        found.permissions().mode() & 0o7777
    };
    let root = Root::new();
    // A package's folder, one of the plan that two packages bring, and one that is in the folder kept aside alone.
    root.write("etc/ssh/moduli", "\n");
    fs::set_permissions(root.path("etc/ssh"), Permissions::from_mode(0o700)).expect("changed");
    root.write("etc/audit/audit-stop.rules", "\n");
    root.write("usr/share/cell-gateway/replace/etc/audit/auditd.conf", "ours\n");
    root.write("usr/share/cell-gateway/replace/etc/ssh/sshd_config", "ours\n");
    root.write("usr/share/cell-gateway/replace/etc/new/of/ours", "ours\n");
    fs::set_permissions(
        root.path("usr/share/cell-gateway/replace/etc/new/of"),
        Permissions::from_mode(0o750),
    )
    .expect("changed");
    root.finished();
    let found = ["etc/ssh", "etc/audit", "etc/new/of"].map(|name| mode(root.path(name)));
    assert_eq!(found, [0o700, 0o750, 0o750]);
    assert_eq!(root.read("etc/ssh/sshd_config"), "ours\n");
    assert_eq!(root.read("etc/new/of/ours"), "ours\n");
}

#[test]
fn a_folder_that_is_a_link_in_the_image_stops_the_build() {
    let root = Root::new();
    let outside = root.folder.path().join("outside");
    fs::create_dir_all(&outside).expect("made");
    root.link("etc/chrony", outside.to_str().expect("text"));
    root.write("usr/share/cell-gateway/replace/etc/chrony/chrony.conf", "ours\n");
    let output = root.finish();
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/etc/chrony is a link, expected a folder"), "{said}");
    assert_eq!(fs::read_dir(outside).expect("a folder").count(), 0);
}

#[test]
fn a_file_does_not_go_into_a_folder_of_its_name() {
    let root = Root::new();
    root.write("etc/hosts/of-a-package", "\n");
    let output = root.finish();
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot overwrite directory './etc/hosts'"), "{said}");
    assert!(!root.path("etc/hosts/hosts").exists());
}

#[test]
fn removals_spare_what_the_plan_puts_there_and_never_leave_the_root() {
    let root = Root::new();
    root.write("etc/init.d/README", "scripts\n");
    root.write("etc/ssh/sshd_config_readonly", "\n");
    root.write("etc/pam.d/su", "of a package\n");
    root.write("etc/pam.d/sshd", "of the plan\n");
    root.finished();
    let left =
        ["etc/init.d", "etc/ssh/sshd_config_readonly", "etc/pam.d/su"].map(|name| root.path(name).exists());
    assert_eq!(left, [false; 3]);
    assert_eq!(root.read("etc/pam.d/sshd"), "of the plan\n");

    let root = Root::new();
    let outside = root.folder.path().join("outside");
    fs::create_dir_all(&outside).expect("made");
    fs::write(outside.join("moduli"), "the host's\n").expect("written");
    root.link("etc/ssh", outside.to_str().expect("text"));
    let output = root.finish();
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the removal of /etc/ssh/moduli leads out of the image"), "{said}");
    assert!(outside.join("moduli").exists());
}

#[test]
fn nothing_starts_unasked_and_nobody_has_a_password() {
    let root = Root::new();
    let wants = "etc/systemd/system/multi-user.target.wants";
    root.link(&format!("{wants}/nftables.service"), "/etc/systemd/system/nftables.service");
    root.link(&format!("{wants}/telnetd.service"), "/usr/lib/systemd/system/telnetd.service");
    root.link(
        "etc/systemd/system/sockets.target.wants/telnetd.socket",
        "/usr/lib/systemd/system/telnetd.socket",
    );
    root.finished();
    assert!(root.path(&format!("{wants}/nftables.service")).is_symlink());
    assert!(!root.path(&format!("{wants}/telnetd.service")).is_symlink());
    assert!(!root.path("etc/systemd/system/sockets.target.wants").exists());
    assert_eq!(
        root.read("etc/passwd"),
        "root:x:0:0:root:/root:/usr/sbin/nologin\nmaintenance:x:2000:2000:M:/h:/bin/sh\n"
    );
    assert_eq!(root.read("etc/shadow"), "root:!*:1:0:99999:7:::\nmaintenance:*:1:0:99999:7:::\n");
}
