//! Software and its versions: what package databases list, then what files say of themselves.

use serde::Deserialize;

use super::model::Component;
use super::rules;
use crate::glob::part_matches;
use crate::root::Root;

/// Entries of all databases together.
pub const MAX_COMPONENTS: usize = 50_000;
/// Characters of a version.
const MAX_VERSION: usize = 48;

/// A text by which a file shows its version.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The software.
    pub name: String,
    /// What stands in front of the version.
    pub marker: String,
    /// Pattern of the file's name.
    pub file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    markers: Vec<Marker>,
}

/// The compiled-in markers.
///
/// # Errors
/// When the data are not right; a test proves that they are.
pub fn markers() -> Result<Vec<Marker>, String> {
    let file: File = rules::read(include_str!("../../../../standards/analysis/versions.yaml"))?;
    Ok(file.markers)
}

/// The version at the start of what follows a marker: from a digit on.
#[must_use]
pub fn version(rest: &[u8]) -> Option<String> {
    let end = rest
        .iter()
        .take(MAX_VERSION)
        .position(|b| !b.is_ascii_alphanumeric() && !b".+~_-:".contains(b))
        .unwrap_or(rest.len().min(MAX_VERSION));
    let text = String::from_utf8_lossy(&rest[..end]);
    let text = text.trim_end_matches(['.', '-', '_', ':', '+', '~']);
    // A format string such as `%s` or a lone number is no version.
    (text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('.')).then(|| text.to_owned())
}

impl Marker {
    /// Remembers the version behind one occurrence.
    pub fn take(&self, path: &str, rest: &[u8], versions: &mut Vec<(String, String)>) {
        let name = path.rsplit('/').next().unwrap_or_default();
        if !part_matches(&self.file, name) || versions.iter().any(|(known, _)| *known == self.name) {
            return;
        }
        versions.extend(version(rest).map(|version| (self.name.clone(), version)));
    }
}

/// What package databases of a root list.
#[must_use]
pub fn packages(root: &Root, label: &str) -> Vec<Component> {
    let mut all = Vec::new();
    let mut files = vec![
        ("/var/lib/dpkg/status".to_owned(), "dpkg"),
        ("/usr/lib/opkg/status".to_owned(), "opkg"),
        ("/var/lib/opkg/status".to_owned(), "opkg"),
        ("/lib/apk/db/installed".to_owned(), "apk"),
    ];
    files
        .extend(root.find("/var/lib/dpkg/status.d/*").into_iter().map(|(path, _)| (path.to_owned(), "dpkg")));
    for (path, by) in files {
        let Ok(Some(text)) = root.read_text(&path) else { continue };
        // Somebody edited it elsewhere: lines that end with CR and LF.
        let text = text.replace("\r\n", "\n");
        let at = format!("{label}{path}");
        if by == "apk" { apk(&text, &at, &mut all) } else { paragraphs(&text, by, &at, &mut all) }
    }
    for (pattern, by) in [
        ("/usr/share/buildroot/*manifest*", "buildroot"),
        ("/etc/buildroot/*manifest*", "buildroot"),
        ("/usr/lib/*.manifest", "yocto"),
        ("/etc/*.manifest", "yocto"),
    ] {
        for (path, _) in root.find(pattern) {
            let Ok(Some(text)) = root.read_text(path) else { continue };
            manifest(&text, by, &format!("{label}{path}"), &mut all);
        }
    }
    // OpenEmbedded takes the package manager's database out of an image, and may leave this in it.
    const LICENCES: &str = "/usr/share/common-licenses/license.manifest";
    if let Ok(Some(text)) = root.read_text(LICENCES) {
        licence_manifest(&text, &format!("{label}{LICENCES}"), &mut all);
    }
    os_release(root, label, &mut all);
    all.truncate(MAX_COMPONENTS);
    all
}

/// The database of rpm, which no library that we have reads.
pub fn unread_database(root: &Root) -> Option<&'static str> {
    const PLACES: [&str; 6] = [
        "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages",
        "/var/lib/rpm/Packages.db",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/Packages",
        "/usr/lib/sysimage/rpm/Packages.db",
    ];
    PLACES.into_iter().find(|path| root.resolve(path).is_some())
}

/// Paragraphs of `Field: value`, as dpkg and opkg keep them. Source: deb-control(5).
fn paragraphs(text: &str, by: &str, at: &str, all: &mut Vec<Component>) {
    for paragraph in text.split("\n\n").take(MAX_COMPONENTS) {
        let field = |name: &str| {
            paragraph
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(|value| value.trim().to_owned())
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
        // A removed package leaves its configuration behind: it is no software of the device.
        if field("Status").is_some_and(|status| !status.ends_with(" installed")) {
            continue;
        }
        let source = field("Source").map(|text| text.split(' ').next().unwrap_or_default().to_owned());
        all.push(Component { name, version, source, by: by.to_owned(), at: at.to_owned() });
    }
}

/// What `COPY_LIC_MANIFEST` leaves. Source: OpenEmbedded-Core, classes-recipe/license_image.bbclass.
fn licence_manifest(text: &str, at: &str, all: &mut Vec<Component>) {
    for paragraph in text.split("\n\n").take(MAX_COMPONENTS) {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
        };
        if let (Some(name), Some(version)) = (field("PACKAGE NAME"), field("PACKAGE VERSION")) {
            let (by, at) = ("yocto".to_owned(), at.to_owned());
            all.push(Component { name, version, source: field("RECIPE NAME"), by, at });
        }
    }
}

/// Alpine's database: `P:name` and `V:version`.
fn apk(text: &str, at: &str, all: &mut Vec<Component>) {
    for paragraph in text.split("\n\n").take(MAX_COMPONENTS) {
        let field =
            |mark: &str| paragraph.lines().find_map(|line| line.strip_prefix(mark)).map(str::to_owned);
        if let (Some(name), Some(version)) = (field("P:"), field("V:")) {
            all.push(Component {
                name,
                version,
                source: field("o:"),
                by: "apk".to_owned(),
                at: at.to_owned(),
            });
        }
    }
}

/// Yocto's image manifest (`name architecture version`) and Buildroot's table (`"PACKAGE","VERSION",…`).
fn manifest(text: &str, by: &str, at: &str, all: &mut Vec<Component>) {
    for line in text.lines().take(MAX_COMPONENTS) {
        let csv = line.starts_with('"');
        let words: Vec<&str> = if csv {
            line.split(',').map(|word| word.trim_matches('"')).collect()
        } else {
            line.split_whitespace().collect()
        };
        let (name, version) = match words.as_slice() {
            [name, version, ..] if csv && *name != "PACKAGE" => (*name, *version),
            [name, _, version] if !csv => (*name, *version),
            _ => continue,
        };
        if version.starts_with(|c: char| c.is_ascii_digit()) {
            let (name, version) = (name.to_owned(), version.to_owned());
            all.push(Component { name, version, source: None, by: by.to_owned(), at: at.to_owned() });
        }
    }
}

/// The packages that a build of ours recorded: `{NAME: {version}}`, or a list of `{name, version}`.
#[must_use]
pub fn of_build(text: &str, at: &str) -> Vec<Component> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let one = |name: &str, entry: &serde_json::Value| {
        let version = entry["version"].as_str()?.to_owned();
        let (by, at) = ("build".to_owned(), at.to_owned());
        Some(Component { name: name.to_owned(), version, source: None, by, at })
    };
    let of_map = value.as_object().into_iter().flatten().filter_map(|(name, entry)| one(name, entry));
    let of_list =
        value.as_array().into_iter().flatten().filter_map(|entry| one(entry["name"].as_str()?, entry));
    of_map.chain(of_list).take(MAX_COMPONENTS).collect()
}

/// The system itself. Source: os-release(5).
fn os_release(root: &Root, label: &str, all: &mut Vec<Component>) {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        let Ok(Some(text)) = root.read_text(path) else { continue };
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            Some(line.trim_matches(['"', '\'']).to_owned())
        };
        if let (Some(name), Some(version)) = (field("ID"), field("VERSION_ID").or_else(|| field("VERSION"))) {
            let at = format!("{label}{path}");
            all.push(Component { name, version, source: None, by: "os-release".to_owned(), at });
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tree;

    #[test]
    fn databases_are_read_and_removed_packages_are_not_there() {
        let root = Tree::base()
            .file(
                "/var/lib/dpkg/status",
                0o644,
                "Package: a\nStatus: install ok installed\nSource: aa (1.0)\nVersion: 1.0-1\n\n\
                 Package: b\nStatus: deinstall ok config-files\nVersion: 2\n\nPackage: c\n",
            )
            .file(
                "/usr/lib/opkg/status",
                0o644,
                "Package: o\r\nVersion: 3.1-r0\r\nStatus: install user installed\r\n\r\nPackage: p\r\nVersion: 2\r\n",
            )
            .file("/lib/apk/db/installed", 0o644, "C:Q1\nP:musl\nV:1.2.5-r0\no:musl\n\n")
            .file("/etc/image.manifest", 0o644, "base-files cortexa57 3.0.14\n# nothing\n")
            .file(
                "/etc/buildroot/manifest.csv",
                0o644,
                "\"PACKAGE\",\"VERSION\"\n\"zlib\",\"1.3.1\",\"Zlib\"\n",
            )
            .file(
                "/usr/share/common-licenses/license.manifest",
                0o644,
                "PACKAGE NAME: busybox\nPACKAGE VERSION: 1.36.1\nRECIPE NAME: busybox\nLICENSE: GPL-2.0-only\n\n\
                 PACKAGE NAME: half\n\n",
            )
            .file("/etc/os-release", 0o644, "ID=debian\nVERSION_ID=\"13\"\n")
            .root();
        let all = packages(&root, "");
        let shown: Vec<String> = all.iter().map(|c| format!("{} {} {}", c.by, c.name, c.version)).collect();
        assert_eq!(
            shown,
            [
                "dpkg a 1.0-1",
                "opkg o 3.1-r0",
                "opkg p 2",
                "apk musl 1.2.5-r0",
                "buildroot zlib 1.3.1",
                "yocto base-files 3.0.14",
                "yocto busybox 1.36.1",
                "os-release debian 13"
            ]
        );
        assert_eq!(all[0].source.as_deref(), Some("aa"));
        assert_eq!(unread_database(&root), None);
        let rpm = Tree::base().file("/var/lib/rpm/rpmdb.sqlite", 0o644, "x").root();
        assert_eq!(unread_database(&rpm), Some("/var/lib/rpm/rpmdb.sqlite"));
    }

    #[test]
    fn packages_of_a_build_are_read_in_both_forms_and_nonsense_is_none() {
        let map = r#"{"auditd": {"version": "1:4.0.2-2", "file": "x.deb"}, "odd": 1}"#;
        let list = r#"[{"name": "zlib", "version": "1.3.1"}, {"version": "1"}]"#;
        let shown = |text: &str| -> Vec<String> {
            of_build(text, "p").into_iter().map(|c| format!("{} {}", c.name, c.version)).collect()
        };
        assert_eq!(shown(map), ["auditd 1:4.0.2-2"]);
        assert_eq!(shown(list), ["zlib 1.3.1"]);
        assert!(shown("nonsense").is_empty());
    }

    #[test]
    fn a_version_begins_with_a_digit_and_has_a_dot() {
        for (text, expected) in [
            ("1.36.1 (2024)", Some("1.36.1")),
            ("3.0.15 3 Sep", Some("3.0.15")),
            ("10.0p1\0", Some("10.0p1")),
            ("2.41.\n", Some("2.41")),
            ("%s", None),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(version(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn markers_are_read_and_kept_to_their_files() {
        let all = markers().unwrap();
        let busybox = all.iter().find(|marker| marker.name == "busybox").unwrap();
        let mut versions = Vec::new();
        busybox.take("/bin/other", b"1.36.1", &mut versions);
        assert!(versions.is_empty());
        busybox.take("/bin/busybox.nosuid", b"1.36.1", &mut versions);
        busybox.take("/bin/busybox.nosuid", b"9.9", &mut versions);
        assert_eq!(versions, [("busybox".to_owned(), "1.36.1".to_owned())]);
    }
}
