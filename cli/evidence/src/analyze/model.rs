//! What an analysis says, as plain values that are also its JSON. Nothing here looks at anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much a rule's finding matters; `standards/analysis/rules.yaml` says what each word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// A fact that the reader should know.
    Note,
    /// Defence in depth.
    Low,
    /// Makes an attack easier, or hides one.
    Medium,
    /// One more step is needed, or a protection that matters is missing.
    High,
    /// Somebody gets in without knowing a secret.
    Critical,
}

impl Level {
    /// Every level, the least first.
    pub const ALL: [Self; 5] = [Self::Note, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// What could be read of the image.
    Reading,
    /// The chain of boot.
    Boot,
    /// Kernel and its command line.
    Kernel,
    /// Who may log in.
    Accounts,
    /// Keys and certificates.
    Keys,
    /// Passwords and tokens in text.
    Secrets,
    /// What listens, and how.
    Services,
    /// Rights of files.
    Privileges,
    /// How programs and libraries were built.
    Programs,
    /// What confines services.
    Units,
}

impl Area {
    /// Every area, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::Reading,
        Self::Boot,
        Self::Kernel,
        Self::Accounts,
        Self::Keys,
        Self::Secrets,
        Self::Services,
        Self::Privileges,
        Self::Programs,
        Self::Units,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Boot => "boot",
            Self::Kernel => "kernel",
            Self::Accounts => "accounts",
            Self::Keys => "keys",
            Self::Secrets => "secrets",
            Self::Services => "services",
            Self::Privileges => "privileges",
            Self::Programs => "programs",
            Self::Units => "units",
        }
    }
}

/// Where a rule applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The path, with its part in front where the image has several, such as `2 rootfs:/etc/shadow`.
    pub path: String,
    /// What was seen there.
    pub seen: String,
}

/// One rule that applies somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The rule, as `elf-no-pie`.
    pub rule: String,
    /// What it is about.
    pub area: Area,
    /// How much it matters.
    pub level: Level,
    /// One line.
    pub title: String,
    /// What to do.
    pub advice: String,
    /// Every place, sorted.
    pub places: Vec<Place>,
}

/// One piece of the image: what it was taken for, and whether it was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// Where it is, as `disk.img / 2 rootfs`.
    pub at: String,
    /// Bytes, where it has a size of its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// What it is.
    pub kind: String,
    /// Whether its contents were looked at.
    pub read: bool,
}

/// A piece of software and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The source package, where a database names another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// `dpkg`, `opkg`, `apk`, `buildroot`, `yocto`, `os-release`, `build` (recorded by one of ours) or `file`.
    pub by: String,
    /// The file that says so.
    pub at: String,
}

/// How one program or library was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its path.
    pub path: String,
    /// `program`, `static program`, `library` or `module`.
    pub kind: String,
    /// Such as `aarch64`.
    pub machine: String,
    /// Position independent.
    pub pie: bool,
    /// `none`, `partial` or `full`.
    pub relro: String,
    /// No executable stack.
    pub nx: bool,
    /// No segment both writable and executable.
    pub separate: bool,
    /// `yes`, `no` or `unknown`.
    pub canary: String,
    /// `none`, `partial`, `full`, `not-applicable` or `unknown`.
    pub fortify: String,
    /// RPATH, then RUNPATH.
    pub rpath: Vec<String>,
    /// Branch protections that its note marks: `bti`, `pac`, `ibt`, `shstk`.
    pub branch: Vec<String>,
    /// Without symbol table.
    pub stripped: bool,
    /// Functions that are easily misused and that it imports.
    pub risky: Vec<String>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name, with its part in front where the image has several roots.
    pub name: String,
    /// Its uid.
    pub uid: Option<u32>,
    /// Its shell.
    pub shell: String,
    /// `empty`, `locked`, `none` or the kind of hash, such as `yescrypt`.
    pub password: String,
    /// Whether the hash was tried against the list: `found`, `not in the list`, or why not; empty without a hash.
    pub tried: String,
}

/// A key or certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The file.
    pub path: String,
    /// `private key`, `encrypted private key`, `certificate`, `authorized key` or `public key`.
    pub kind: String,
    /// Such as `rsa2048` or `ed25519`; empty where it could not be read.
    pub algorithm: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo in DER), lower case; empty where it could not be read.
    pub fingerprint: String,
    /// Subject of a certificate, comment of an SSH key.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub name: String,
    /// End of a certificate's time in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_after: Option<u64>,
}

/// A file with rights of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileged {
    /// Its path.
    pub path: String,
    /// Mode in octal.
    pub mode: String,
    /// Owner and group as numbers.
    pub owner: String,
    /// File capabilities, as `cap_net_raw`.
    pub capabilities: Vec<String>,
}

/// Something that is started and listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Service {
    /// Such as `sshd`.
    pub name: String,
    /// What starts it.
    pub at: String,
    /// The command or address.
    pub how: String,
}

/// One unit and what confines it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Exposure in tenths, 0 (confined) to 100, as `systemd-analyze security` counts it.
    pub exposure: u32,
    /// The word for that exposure.
    pub word: String,
    /// Whether it stays (`Type=` other than `oneshot`).
    pub long_running: bool,
    /// Directives that would lower it, the weightiest first, with what each adds in tenths, rounded up.
    pub missing: Vec<(String, u32)>,
}

/// One kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Where it is.
    pub at: String,
    /// Its version; empty when it does not say.
    pub version: String,
    /// Where its configuration is from; empty when there is none.
    pub configuration: String,
    /// Its command line, where one was found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cmdline: Option<String>,
    /// Rows of the hardening table that hold, of those that could be judged.
    pub rows_held: usize,
    /// Rows that could be judged.
    pub rows: usize,
}

/// One boot loader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootLoader {
    /// Where it is.
    pub at: String,
    /// Its version; empty when it does not say.
    pub version: String,
    /// Keys of its control device tree: name, algorithm, what it is required for, fingerprint.
    pub keys: Vec<String>,
    /// What its configuration or environment says: `bootcmd`, `bootdelay` and more.
    pub settings: BTreeMap<String, String>,
}

/// How strong an area is, and from what that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    /// The area.
    pub area: Area,
    /// `broken`, `weak`, `fair`, `good`, or `unknown` where nothing of the kind was found.
    pub word: String,
    /// How many things of the kind were looked at.
    pub looked_at: usize,
    /// What was counted.
    pub of: String,
    /// Rules that apply by their level; only levels that occur.
    pub issues: BTreeMap<String, usize>,
}

/// The whole result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// Version of this format.
    pub schema_version: u32,
    /// The program that made it.
    pub generator: String,
    /// The file's or folder's name, no path.
    pub name: String,
    /// SHA-256 of the file; empty for a folder.
    pub sha256: String,
    /// Seconds since 1970 against which certificates were held; `None` when no date was given.
    pub at: Option<u64>,
    /// The overall word: that of the weakest area that could be judged.
    pub word: String,
    /// Each area's strength.
    pub strength: Vec<Strength>,
    /// What was found, the worst first.
    pub issues: Vec<Issue>,
    /// What the image is made of.
    pub parts: Vec<Part>,
    /// Software.
    pub components: Vec<Component>,
    /// Programs and libraries.
    pub programs: Vec<Program>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Keys and certificates.
    pub keys: Vec<Key>,
    /// Files with rights of their own.
    pub privileged: Vec<Privileged>,
    /// What listens.
    pub services: Vec<Service>,
    /// Units.
    pub units: Vec<Unit>,
    /// Kernels.
    pub kernels: Vec<Kernel>,
    /// Boot loaders.
    pub boot_loaders: Vec<BootLoader>,
}
