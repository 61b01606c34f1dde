//! The root file system: packages' files, then everything that the plan says, as squashfs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use serde::Serialize;
use spec::plan::{FilePlan, Plan, UnitState};

use super::about::{self, About, Abouts};
use super::accounts::Accounts;
use super::fetch::{Fetched, verify_cached};
use super::tree::{PutEntry, Tree};
use super::units;
use crate::{Cache, internal, key_of};

const RECIPE: &str = "8";
/// What packages say of themselves, beside their merged files.
const ABOUT: &str = "about.json";

/// The packages' files merged into one archive, without what the plan removes.
///
/// # Errors
/// When a package is damaged or two packages disagree.
pub fn base(plan: &Plan, fetched: &Fetched, cache: &Cache, log: &Path) -> Outcome<(PathBuf, bool)> {
    let removals: Vec<&str> = plan.removals.keys().map(String::as_str).collect();
    let packages = fetched.target.packages_key();
    let key = key_of(&[RECIPE, &packages, &removals.join("\n")]);
    let (folder, cached) = cache.stage("packages", &key, |part| {
        let mut tree = Tree::new(&part.join("spool"))?;
        let mut abouts = Abouts::new();
        // base-files first: it brings the links of the merged /usr.
        let mut order: Vec<(&String, &PathBuf)> = fetched.packages.iter().collect();
        order.sort_by_key(|(name, _)| (name.as_str() != "base-files", name.as_str()));
        for (name, path) in order {
            if let Some(pin) = fetched.target.packages.get(name) {
                verify_cached(path, pin)?;
            }
            add_package(&mut tree, name, path, log)?;
            let version = fetched.target.packages.get(name).map_or("", |pin| &pin.version);
            abouts.insert(name.clone(), about::package(&mut tree, name, version, path, log)?);
        }
        record::write_json_atomic(&part.join(ABOUT), &abouts)?;
        tree.follow_folder_links()?;
        for (pattern, asked) in &plan.removals {
            if tree.remove(pattern) == 0 {
                return Err(nothing_to_remove(pattern, &asked.origins));
            }
        }
        tree.write_tar(&part.join("base.tar"), 0)?;
        fs::remove_file(part.join("spool")).map_err(|e| Failure::io("remove", part, &e))
    })?;
    Ok((folder.join("base.tar"), cached))
}

fn nothing_to_remove(pattern: &str, origins: &[spec::plan::Origin]) -> Failure {
    let by = origins.first().map(|o| format!("{} ({}:{})", o.who, o.file, o.line)).unwrap_or_default();
    Failure::error(
        ExitStatus::Build,
        "nothing-to-remove",
        format!("{by} removes `{pattern}`, but no package brings such a path"),
    )
    .hint("the package changed or the pattern has a slip; a removal that removes nothing protects nothing")
}

fn add_package(tree: &mut Tree, name: &str, path: &Path, log: &Path) -> Outcome<()> {
    let call = Call::new(tool("dpkg-deb")?).arg("--fsys-tarfile").arg(path).log(log);
    let mut running = call.spawn_reading()?;
    let pipe = running.stream().ok_or_else(|| internal("a pipe is missing"))?;
    let added = tree.add_archive(name, std::io::BufReader::with_capacity(1 << 20, pipe));
    // A signal breaks the stream: that the package looks damaged then is not the reason.
    exec::check_interrupt()?;
    added?;
    let status = running.child.wait().map_err(|e| Failure::io("wait for", path, &e))?;
    call.judge(status)
}

/// Makes the squashfs from the base archive and the plan.
///
/// # Errors
/// When an owner or unit is unknown, or `mksquashfs` fails.
pub fn squashfs(plan: &Plan, base: &Path, cache: &Cache, log: &Path) -> Outcome<(PathBuf, bool)> {
    let wanted = serde_json::to_string(&(
        &plan.files,
        &plan.users,
        &plan.groups,
        &plan.units,
        &plan.modes,
        plan.product.epoch,
        plan.storage.zstd_level,
    ))
    .map_err(|e| internal(format!("the plan cannot be written: {e}")))?;
    let key = key_of(&[RECIPE, &base.to_string_lossy(), &wanted]);
    let (folder, cached) = cache.stage("rootfs", &key, |part| {
        let mut tree = Tree::new(&part.join("spool"))?;
        let archive = File::open(base).map_err(|e| Failure::io("read", base, &e))?;
        tree.add_archive("the merged packages", std::io::BufReader::with_capacity(1 << 20, archive))?;
        finish(plan, &mut tree)?;
        let tar = part.join("rootfs.tar");
        tree.write_tar(&tar, plan.product.epoch)?;
        pack(&tar, &part.join("rootfs.squashfs"), plan.storage.zstd_level, plan.product.epoch, log)?;
        for leftover in [tar, part.join("spool")] {
            fs::remove_file(&leftover).map_err(|e| Failure::io("remove", &leftover, &e))?;
        }
        Ok(())
    })?;
    Ok((folder.join("rootfs.squashfs"), cached))
}

/// A squashfs of an archive, the same bytes each time.
fn pack(tar: &Path, image: &Path, zstd_level: u32, epoch: u64, log: &Path) -> Outcome<()> {
    // Not sqfstar: that of squashfs-tools 4.5.1 does not understand compressor options.
    let (call, wrapped) = mksquashfs(rustix::process::geteuid().is_root())?;
    let packed = call
        .arg("-")
        .arg(image)
        .args(["-tar", "-comp", "zstd", "-Xcompression-level", &zstd_level.to_string()])
        // Without it, the root of an archive that does not list it may be written by everybody.
        .args(["-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"])
        .args(["-b", "128K", "-no-xattrs", "-quiet", "-no-progress"])
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .input(tar)
        .log(log)
        .run();
    packed.map_err(|failure| {
        let hint = "squashfs-tools before 4.6 need root or a user namespace to give `/` to root: install 4.6 or newer";
        if wrapped { failure.hint(hint) } else { failure }
    })
}

/// `mksquashfs`, so that `/` belongs to root.
///
/// Before squashfs-tools 4.6, `-root-uid` has no effect on an archive: `/` belongs to whoever calls, and
/// systemd follows no path below a folder of somebody else. There it is called as root of a user namespace.
/// Also tells whether it is.
fn mksquashfs(is_root: bool) -> Outcome<(Call, bool)> {
    let squash = tool("mksquashfs")?;
    // One that does not even say its version says what is wrong when it is to pack.
    let old = |output: Vec<u8>| version(&output) < Some((4, 6));
    if is_root || !Call::new(squash).arg("-version").output().is_ok_and(old) {
        return Ok((Call::new(squash), false));
    }
    Ok((Call::new(tool("unshare")?).arg("--map-root-user").arg(exec::find(&squash)?), true))
}

/// Major and minor of `mksquashfs version 4.5.1 (2022/03/17)`.
fn version(output: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(output).ok()?;
    let mut numbers = text.split_whitespace().nth(2)?.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Everything that the packages' own scripts would have done, and the plan's files.
fn finish(plan: &Plan, tree: &mut Tree) -> Outcome<()> {
    let accounts = collect_accounts(plan, tree)?;
    for (path, text, mode, group) in [
        ("/etc/passwd", accounts.passwd(), 0o644, "root"),
        ("/etc/group", accounts.group(), 0o644, "root"),
        ("/etc/shadow", accounts.shadow(), 0o640, "shadow"),
        ("/etc/gshadow", accounts.gshadow(), 0o640, "shadow"),
    ] {
        tree.put(path, PutEntry::File(text.as_bytes()), mode, 0, accounts.gid(group)?)?;
    }
    for (path, asked) in &plan.files {
        match &asked.value {
            FilePlan::File { mode, owner, group, .. } | FilePlan::Program { mode, owner, group, .. } => tree
                .put(
                    path,
                    PutEntry::File(&content(path, &asked.value)?),
                    octal(mode)?,
                    accounts.uid(owner)?,
                    accounts.gid(group)?,
                )?,
            FilePlan::Directory { mode, owner, group } => {
                tree.put(
                    path,
                    PutEntry::Directory,
                    octal(mode)?,
                    accounts.uid(owner)?,
                    accounts.gid(group)?,
                )?;
            }
            FilePlan::Symlink { target } => tree.put(path, PutEntry::Symlink(target), 0, 0, 0)?,
        }
    }
    for (path, asked) in &plan.modes {
        if !tree.set_mode(path, octal(&asked.value)?) {
            let by = asked
                .origins
                .first()
                .map(|o| format!("{} ({}:{})", o.who, o.file, o.line))
                .unwrap_or_default();
            return Err(Failure::error(
                ExitStatus::Build,
                "no-such-file",
                format!("{by} sets the mode of `{path}`, but no package brings it"),
            ));
        }
    }
    // Masks and removals last, so that an alias of an enabled unit cannot undo them.
    let order = |state: &UnitState| *state != UnitState::Enabled;
    let mut states: Vec<(&String, UnitState)> =
        plan.units.iter().map(|(unit, asked)| (unit, asked.value)).collect();
    states.sort_by_key(|(unit, state)| (order(state), (*unit).clone()));
    for (unit, state) in states {
        units::apply(tree, unit, state)?;
    }
    Ok(())
}

fn collect_accounts(plan: &Plan, tree: &mut Tree) -> Outcome<Accounts> {
    let mut text = |path: &str| -> Outcome<String> {
        let bytes = tree.read(path)?.ok_or_else(|| {
            Failure::error(ExitStatus::Build, "no-base-passwd", format!("no package brings `{path}`"))
                .hint("a layer must ask for the package `base-passwd`, and none may remove that path")
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let passwd = text("/usr/share/base-passwd/passwd.master")?;
    let group = text("/usr/share/base-passwd/group.master")?;
    let names: Vec<String> = tree
        .entries()
        .keys()
        .filter(|path| path.starts_with("/usr/lib/sysusers.d/") && path.ends_with(".conf"))
        .cloned()
        .collect();
    let mut sysusers = Vec::new();
    for name in names {
        if let Some(bytes) = tree.read(&name)? {
            sysusers.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Accounts::collect(&passwd, &group, &sysusers, plan)
}

/// The content of a file of the plan.
pub(super) fn content<'p>(path: &str, file: &'p FilePlan) -> Outcome<std::borrow::Cow<'p, [u8]>> {
    file.bytes().ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "bad-plan",
            format!("expected the content of `{path}` in base64, found something else"),
        )
        .hint("make the plan again from the product")
    })
}

fn octal(mode: &str) -> Outcome<u32> {
    u32::from_str_radix(mode, 8)
        .map_err(|_| internal(format!("the plan holds the mode `{mode}`, which is not octal")))
}

/// One package of the manifest.
#[derive(Debug, Serialize)]
struct ManifestEntry<'a> {
    version: &'a str,
    file: &'a str,
    sha256: &'a str,
    #[serde(flatten)]
    about: &'a About,
}

/// The packages of the image, as JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn write_manifest(fetched: &Fetched, base: &Path, path: &Path) -> Outcome<()> {
    let abouts: Abouts = record::read_json(&base.with_file_name(ABOUT))?;
    let entries: BTreeMap<&str, ManifestEntry<'_>> = fetched
        .packages
        .keys()
        .filter_map(|name| {
            let pin = fetched.target.packages.get(name)?;
            Some((
                name.as_str(),
                ManifestEntry {
                    version: &pin.version,
                    file: &pin.file,
                    sha256: &pin.sha256,
                    about: abouts.get(name)?,
                },
            ))
        })
        .collect();
    record::write_json_atomic(path, &entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_folder_may_be_written_by_root_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut tree = Tree::new(&at("spool")).unwrap();
        tree.put("/etc/hostname", PutEntry::File(b"gw\n"), 0o644, 0, 0).unwrap();
        tree.write_tar(&at("tar"), 1).unwrap();
        pack(&at("tar"), &at("image"), 1, 1, &at("log")).unwrap();
        let packed = image::tree::open_rootfs(&at("image")).unwrap();
        let root = packed.get("/").unwrap();
        assert_eq!((root.mode & 0o7777, root.uid, root.gid), (0o755, 0, 0));
        assert_eq!(packed.get("/etc/hostname").unwrap().mode & 0o7777, 0o644);
    }

    /// The test above as `nobody`, where the tests run as root.
    #[test]
    fn an_ordinary_users_number_is_not_in_the_image() {
        use std::os::unix::fs::PermissionsExt;
        if !rustix::process::geteuid().is_root() || std::env::var_os("FASTNESS_WITHOUT_NAMESPACES").is_some()
        {
            return;
        }
        // Where nobody may read it.
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("tests");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let output = std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(["--exact", "debian::rootfs::tests::the_root_folder_may_be_written_by_root_alone"])
            .env("TMPDIR", "/tmp")
            .current_dir("/")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    fn versions_are_read_as_squashfs_tools_print_them() {
        assert_eq!(version(b"mksquashfs version 4.5.1 (2022/03/17)\n"), Some((4, 5)));
        assert_eq!(version(b"mksquashfs version 4.6.1-1 (2023/03/25)\n"), Some((4, 6)));
        assert_eq!(version(b"mksquashfs version 4.7\ncopyright"), Some((4, 7)));
        assert!(version(b"unknown") < Some((4, 6)));
    }
}
