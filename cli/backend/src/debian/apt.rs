//! apt in a root of its own: resolves, fetches and verifies, as an ordinary user.
//!
//! The host's sources and pins stay out; only the mirror is taken from the host's apt (or
//! from the product). Every file is verified by apt against the archive's signature.
//! Source: apt.conf(5), apt-get(8).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use spec::plan::DebianFacts;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const HELPER_LIMIT_SECONDS: u64 = 1800;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Address, as apt gives it.
    pub uri: String,
    /// File name.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// A private apt root for one suite and architecture.
#[derive(Debug)]
pub struct Apt {
    conf: PathBuf,
    log: PathBuf,
}

/// The host's mirrors: the archive's and, if there is one, the security archive's.
fn host_mirrors() -> Outcome<(String, Option<String>)> {
    let output = Call::new(tool("apt-get")?)
        .args(["indextargets", "--format", "$(SITE)"])
        .failing_as(ExitStatus::Environment)
        .output()?;
    let text = String::from_utf8_lossy(&output);
    let mut sites: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    sites.sort_unstable();
    sites.dedup();
    let security = sites.iter().find(|site| site.contains("security")).map(|s| (*s).to_owned());
    let main = sites.iter().find(|site| !site.contains("security")).map(|s| (*s).to_owned());
    match main {
        Some(main) => Ok((main, security)),
        None => Err(Failure::error(
            ExitStatus::Environment,
            "no-mirror",
            "the host's apt has no package source to take a mirror from",
        )
        .hint("run `apt-get update` once, or name one in the product: `debian: {mirror: …}`")),
    }
}

impl Apt {
    /// Sets the root up below `folder` and fetches the indexes.
    ///
    /// # Errors
    /// When there is no mirror, no keyring or no network.
    pub fn open(folder: &Path, facts: &DebianFacts, architecture: &str, log: &Path) -> Outcome<Self> {
        if !Path::new(KEYRING).is_file() {
            return Err(Failure::error(
                ExitStatus::Environment,
                "missing-keyring",
                format!("the archive's keyring `{KEYRING}` is not installed; packages cannot be verified"),
            )
            .hint("install the package `debian-archive-keyring`"));
        }
        let (mirror, security) = match &facts.mirror {
            Some(mirror) => (mirror.clone(), None),
            None => host_mirrors()?,
        };
        for sub in ["lists/partial", "cache/archives/partial", "etc", "log"] {
            let path = folder.join(sub);
            fs::create_dir_all(&path).map_err(|e| Failure::io("make", &path, &e))?;
        }
        let folder = folder.canonicalize().map_err(|e| Failure::io("open", folder, &e))?;
        write(&folder.join("status"), "")?;
        write(&folder.join("etc/sources.list"), &sources(&facts.suite, &mirror, security.as_deref()))?;
        let conf = folder.join("apt.conf");
        write(&conf, &configuration(&folder.to_string_lossy(), architecture))?;
        let apt = Self { conf, log: log.to_owned() };
        apt.call("apt-get")?.args(["update", "-q", "-o", "APT::Update::Error-Mode=any"]).run().map_err(
            |failure| {
                refused(failure, |failure| {
                    failure.hint(
                        "is the mirror reachable? with everything cached, `--offline` builds without it",
                    )
                })
            },
        )?;
        Ok(apt)
    }

    fn call(&self, program: &str) -> Outcome<Call> {
        Ok(Call::new(tool(program)?).env("APT_CONFIG", &self.conf).log(&self.log))
    }

    /// The closure of the packages (no recommendations), as `name` to `version`.
    ///
    /// # Errors
    /// When a package does not exist in the suite or cannot be installed with the others.
    pub fn resolve(&self, packages: &[&str]) -> Outcome<BTreeMap<String, String>> {
        let output = self
            .call("apt-get")?
            .args(["install", "-s", "-qq", "-y", "--no-install-recommends"])
            .args(packages)
            .output()
            .map_err(|failure| {
                refused(failure, |failure| {
                    failure.hint("a package of the plan does not exist in this suite; `fastness explain PACKAGE` says who asks for it")
                })
            })?;
        Ok(parse_simulation(&String::from_utf8_lossy(&output)))
    }

    /// Where the exact versions are, with hash.
    ///
    /// # Errors
    /// When a version has gone from the archive.
    pub fn locate(&self, pins: &BTreeMap<String, String>) -> Outcome<BTreeMap<String, Remote>> {
        let wanted = pins.iter().map(|(name, version)| format!("{name}={version}"));
        let output =
            self.call("apt-get")?.args(["download", "--print-uris", "-qq"]).args(wanted).output().map_err(
                |failure| {
                    refused(failure, |failure| {
                        failure
                        .note("a pinned version may have gone: the archive keeps one version a suite")
                        .hint("take the newest with `fastness build --update-lock`, and commit the new lock")
                    })
                },
            )?;
        let mut located = BTreeMap::new();
        for remote in parse_uris(&String::from_utf8_lossy(&output)) {
            let Some(name) = remote.name.split('_').next().map(str::to_owned) else { continue };
            located.insert(name, remote);
        }
        for (name, version) in pins {
            if !located.contains_key(name) {
                return Err(pin_gone(name, version));
            }
        }
        Ok(located)
    }

    /// The source package's tarballs (upstream's and the suite's), newest version.
    ///
    /// # Errors
    /// When the suite has no such source package.
    pub fn source(&self, package: &str) -> Outcome<Vec<Remote>> {
        let output = self.call("apt-get")?.args(["source", "--print-uris", "-qq", package]).output()?;
        let remotes: Vec<Remote> = parse_uris(&String::from_utf8_lossy(&output))
            .into_iter()
            .filter(|remote| remote.name.contains(".tar."))
            .filter(|remote| !remote.name.ends_with(".asc") && !remote.name.ends_with(".sig"))
            .collect();
        if remotes.is_empty() {
            return Err(Failure::error(
                ExitStatus::Build,
                "no-source",
                format!("the suite has no source package `{package}` with SHA-256 hashes"),
            ));
        }
        Ok(remotes)
    }

    /// Fetches a file to `path`; apt's helper verifies size and hash before it lands there.
    ///
    /// # Errors
    /// When it has gone, the network fails, or the hash differs.
    pub fn fetch(&self, remote: &Remote, path: &Path) -> Outcome<()> {
        let part = path.with_extension("part");
        Call::new(tool("apt-helper")?)
            .env("APT_CONFIG", &self.conf)
            .log(&self.log)
            .limit(std::time::Duration::from_secs(HELPER_LIMIT_SECONDS))
            .arg("download-file")
            .arg(&remote.uri)
            .arg(&part)
            .arg(format!("SHA256:{}", remote.sha256))
            .run()
            .map_err(|failure| {
                refused(failure, |failure| {
                    failure.note(format!("while fetching `{}`", remote.name)).hint(
                        "run the command again; if the archive dropped this version, use `--update-lock`",
                    )
                })
            })?;
        verify(&part, remote)?;
        fs::rename(&part, path).map_err(|e| Failure::io("write", path, &e))
    }
}

/// Adds what apt's refusal may mean; a missing tool, a full disk or a signal has its own way out.
fn refused(failure: Failure, explain: impl FnOnce(Failure) -> Failure) -> Failure {
    let by_apt = failure.diagnostics.iter().any(|d| ["tool-failed", "time-limit"].contains(&d.code.as_str()));
    if by_apt { explain(failure) } else { failure }
}

/// Compares size and hash; a file that differs is removed.
///
/// # Errors
/// When it differs.
pub fn verify(path: &Path, remote: &Remote) -> Outcome<()> {
    let (sha256, bytes) = record::sha256_file(path)?;
    if sha256 == remote.sha256 && bytes == remote.bytes {
        return Ok(());
    }
    let _ = fs::remove_file(path);
    Err(Failure::error(
        ExitStatus::Build,
        "corrupt-download",
        format!(
            "`{}` is not what the archive's index says: expected {} bytes with SHA-256 {}, found {bytes} bytes with {sha256}",
            remote.name, remote.bytes, remote.sha256
        ),
    )
    .hint("it was removed; run the command again to fetch it anew"))
}

/// The error for a pinned version that the archive no longer has.
#[must_use]
pub fn pin_gone(name: &str, version: &str) -> Failure {
    Failure::error(
        ExitStatus::Build,
        "pin-gone",
        format!("`{name}` {version} is pinned in the lock, but neither the cache nor the archive has it"),
    )
    .hint("take the newest with `fastness build --update-lock`, and commit the new lock")
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}

fn sources(suite: &str, mirror: &str, security: Option<&str>) -> String {
    let mut out = String::new();
    let mut add = |site: &str, suite: &str| {
        for kind in ["deb", "deb-src"] {
            out.push_str(&format!("{kind} [signed-by={KEYRING}] {site} {suite} main\n"));
        }
    };
    add(mirror, suite);
    if let Some(security) = security {
        add(mirror, &format!("{suite}-updates"));
        add(security, &format!("{suite}-security"));
    }
    out
}

fn configuration(folder: &str, architecture: &str) -> String {
    format!(
        r#"Dir "{folder}";
Dir::Etc "{folder}/etc";
Dir::Etc::sourcelist "{folder}/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::State::extended_states "{folder}/extended_states";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
Dir::Bin::methods "/usr/lib/apt/methods";
Dir::Bin::dpkg "/usr/bin/dpkg";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "3";
"#
    )
}

/// `Inst NAME (VERSION SUITE… [ARCH])` lines of `apt-get install -s`.
fn parse_simulation(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("Inst ")?.split_whitespace();
            let name = words.next()?.split(':').next()?;
            let version = words.find(|word| word.starts_with('('))?.trim_start_matches('(');
            Some((name.to_owned(), version.to_owned()))
        })
        .collect()
}

/// `'URI' NAME SIZE SHA256:HEX` lines of `--print-uris`.
fn parse_uris(text: &str) -> Vec<Remote> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let uri = words.next()?.strip_prefix('\'')?.strip_suffix('\'')?;
            let name = words.next()?;
            let bytes = words.next()?.parse().ok()?;
            let sha256 = words.next()?.strip_prefix("SHA256:")?;
            // A name decides a path in the cache: it may not leave the folder.
            if name.contains('/') || name.starts_with('.') {
                return None;
            }
            Some(Remote { uri: uri.to_owned(), name: name.to_owned(), bytes, sha256: sha256.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulation_lines_give_names_and_versions() {
        let text = "NOTE: x\nInst libc6 (2.41-12 Debian:13.2/stable [arm64]) []\nInst auditd (1:4.0.2-2 X [arm64])\nConf libc6 (2.41-12 X [arm64])\n";
        let found = parse_simulation(text);
        assert_eq!(found["libc6"], "2.41-12");
        assert_eq!(found["auditd"], "1:4.0.2-2");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn only_names_that_stay_in_their_folder_are_taken() {
        let text = "'mirror://x/a.deb' a_1_arm64.deb 12 SHA256:ab\n'mirror://x/b' ../b.deb 1 SHA256:cd\n'mirror://x/c' c.deb 1 MD5Sum:cd\n";
        let found = parse_uris(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "a_1_arm64.deb");
    }

    #[test]
    fn a_truncated_download_is_refused_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.deb");
        fs::write(&path, "hal").unwrap();
        let remote = Remote {
            uri: String::new(),
            name: "x.deb".into(),
            bytes: 4,
            sha256: record::sha256_hex(b"half"),
        };
        let failure = verify(&path, &remote).unwrap_err();
        assert_eq!(failure.diagnostics[0].code, "corrupt-download");
        assert!(failure.to_string().contains("expected 4 bytes"), "{failure}");
        assert!(!path.exists());
        fs::write(&path, "half").unwrap();
        verify(&path, &remote).unwrap();
    }
}
