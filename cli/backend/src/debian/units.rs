//! Unit states as links, made from the units' own `[Install]` sections.
//!
//! Source: systemd.unit(5), "[Install] section options"; systemctl(1), `enable` and `mask`.

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::UnitState;

use super::tree::{Kind, PutEntry, Tree};

const ETC: &str = "/etc/systemd/system";
const LIB: &str = "/usr/lib/systemd/system";

/// Makes the links for one unit.
///
/// # Errors
/// When a unit that is to be enabled is not in the tree or has no `[Install]` section.
pub fn apply(tree: &mut Tree, unit: &str, state: UnitState) -> Outcome<()> {
    match state {
        UnitState::Masked => tree.put(&format!("{ETC}/{unit}"), PutEntry::Symlink("/dev/null"), 0, 0, 0),
        UnitState::Disabled => {
            remove_links(tree, unit);
            Ok(())
        }
        UnitState::Enabled => enable(tree, unit, 0),
    }
}

fn enable(tree: &mut Tree, unit: &str, depth: u32) -> Outcome<()> {
    let found = unit_text(tree, unit)?;
    if found.is_none() && depth > 0 {
        // A companion (`Also=`) that a layer took out: as systemctl, go on without it.
        return Ok(());
    }
    let (path, text) = found.ok_or_else(|| {
        Failure::error(
            ExitStatus::Build,
            "unknown-unit",
            format!("the unit `{unit}` is to be enabled, but no package or layer brings it"),
        )
        .hint(format!("`fastness explain {unit}` says which layer asks for it"))
    })?;
    let install = install_section(&text);
    if install.is_empty() && depth == 0 {
        return Err(Failure::error(
            ExitStatus::Build,
            "unit-without-install",
            format!("the unit `{unit}` is to be enabled, but has no `[Install]` section"),
        )
        .hint("such a unit is started by others; take it out of the layer's `units`"));
    }
    let instance =
        unit.split_once('@').map(|(_, rest)| rest.rsplit_once('.').map_or(rest, |(i, _)| i)).unwrap_or("");
    for (key, value) in install {
        for name in value.split_whitespace() {
            let name = if instance.is_empty() { name.to_owned() } else { name.replace("%i", instance) };
            match key.as_str() {
                "WantedBy" => {
                    tree.put(&format!("{ETC}/{name}.wants/{unit}"), PutEntry::Symlink(&path), 0, 0, 0)?
                }
                "RequiredBy" => {
                    tree.put(&format!("{ETC}/{name}.requires/{unit}"), PutEntry::Symlink(&path), 0, 0, 0)?
                }
                "UpheldBy" => {
                    tree.put(&format!("{ETC}/{name}.upholds/{unit}"), PutEntry::Symlink(&path), 0, 0, 0)?
                }
                "Alias" => tree.put(&format!("{ETC}/{name}"), PutEntry::Symlink(&path), 0, 0, 0)?,
                "Also" if depth < 4 && name != unit => enable(tree, &name, depth + 1)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn unit_text(tree: &mut Tree, unit: &str) -> Outcome<Option<(String, String)>> {
    let template = unit.split_once('@').map(|(stem, rest)| {
        let suffix = rest.rsplit_once('.').map_or("service", |(_, suffix)| suffix);
        format!("{stem}@.{suffix}")
    });
    for name in [Some(unit.to_owned()), template].into_iter().flatten() {
        for folder in [ETC, LIB] {
            let path = format!("{folder}/{name}");
            if let Some(bytes) = tree.read(&path)? {
                return Ok(Some((path, String::from_utf8_lossy(&bytes).into_owned())));
            }
        }
    }
    Ok(None)
}

fn install_section(text: &str) -> Vec<(String, String)> {
    let mut inside = false;
    let mut out = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            out.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    out
}

fn remove_links(tree: &mut Tree, unit: &str) {
    let links: Vec<String> = tree
        .entries()
        .iter()
        .filter(|(path, entry)| {
            let stands = path.starts_with(ETC) || path.starts_with(LIB);
            let in_wants = path.contains(".wants/") || path.contains(".requires/");
            stands
                && in_wants
                && path.ends_with(&format!("/{unit}"))
                && matches!(entry.kind, Kind::Symlink(_))
        })
        .map(|(path, _)| path.clone())
        .collect();
    for link in links {
        tree.remove(&link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(&folder.path().join("spool")).unwrap();
        let unit = b"[Unit]\nDescription=x\n[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\nAlso=gone.socket\n";
        tree.put("/usr/lib/systemd/system/ssh.service", PutEntry::File(unit), 0o644, 0, 0).unwrap();
        tree.put("/usr/lib/systemd/system/bare.service", PutEntry::File(b"[Unit]\n"), 0o644, 0, 0).unwrap();
        (folder, tree)
    }

    #[test]
    fn enabling_makes_the_links_that_the_unit_wants() {
        let (_folder, mut tree) = tree();
        apply(&mut tree, "ssh.service", UnitState::Enabled).unwrap();
        let target = Kind::Symlink("/usr/lib/systemd/system/ssh.service".into());
        assert_eq!(tree.entries()["/etc/systemd/system/multi-user.target.wants/ssh.service"].kind, target);
        assert_eq!(tree.entries()["/etc/systemd/system/sshd.service"].kind, target);
        apply(&mut tree, "ssh.service", UnitState::Disabled).unwrap();
        assert!(!tree.entries().contains_key("/etc/systemd/system/multi-user.target.wants/ssh.service"));
    }

    #[test]
    fn a_unit_that_cannot_be_enabled_is_an_error() {
        let (_folder, mut tree) = tree();
        let text = apply(&mut tree, "ghost.service", UnitState::Enabled).unwrap_err().to_string();
        assert!(
            text.contains("`ghost.service` is to be enabled, but no package or layer brings it"),
            "{text}"
        );
        let text = apply(&mut tree, "bare.service", UnitState::Enabled).unwrap_err().to_string();
        assert!(text.contains("`bare.service` is to be enabled, but has no `[Install]` section"), "{text}");
    }

    #[test]
    fn masking_links_to_nothing() {
        let (_folder, mut tree) = tree();
        apply(&mut tree, "getty@tty1.service", UnitState::Masked).unwrap();
        assert_eq!(
            tree.entries()["/etc/systemd/system/getty@tty1.service"].kind,
            Kind::Symlink("/dev/null".into())
        );
    }
}
