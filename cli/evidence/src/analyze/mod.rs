//! Reads any firmware image without a plan and without running anything of it, and says how strong it is.
//!
//! [`analyze`] opens the image ([`open`]), reads each file once and in parallel ([`scan`]), and turns what was found into
//! facts and findings by rules that are data (`standards/analysis`). It judges by those rules alone: what a product
//! asks for is [`crate::inspect`]'s. What is not understood is a finding, never a pass, and nothing that is read is trusted.

mod accounts;
mod bounds;
mod cmdline;
pub mod compare;
mod components;
pub mod crypt;
mod crypt_des;
mod crypt_slow;
pub mod exposure;
mod exposure_rows;
#[cfg(test)]
mod fat_tests;
mod guarded;
#[cfg(test)]
mod hostile_tests;
pub mod html;
mod kernels;
mod keys;
mod keys_der;
mod known;
pub mod model;
mod nested;
pub mod open;
mod pieces;
mod privileges;
pub mod probe;
mod programs;
#[cfg(test)]
mod rule_tests;
pub mod rules;
#[cfg(test)]
mod sample;
pub mod sarif;
mod scan;
pub mod schema;
mod secrets;
mod services;
mod ssh;
pub mod strength;
mod tails;
pub mod terminal;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use diag::{ExitStatus, Failure, Outcome};

pub(crate) use keys::KeyFound;
use model::{Analysis, Area, Component};
use open::{Pieces, Tree};
use rules::Found;
pub(crate) use scan::{Scanner, Unread};

use spec::known_keys::KnownKeys;

use crate::root::Root;

/// What an analysis is given beside the image.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seconds since 1970 against which certificates are held; without it their time is not judged.
    pub at: Option<u64>,
    /// Further passwords to try.
    pub passwords: Vec<String>,
    /// Published keys beyond those that are compiled in.
    pub known_keys: KnownKeys,
}

/// Values under construction.
struct Work<'a> {
    options: &'a Options,
    scanner: Scanner,
    passwords: Vec<String>,
    budget: crypt::Budget,
    /// Bytes of files that may still be looked through.
    files: bounds::Budget,
    found: Found,
    looked_at: BTreeMap<Area, usize>,
    result: Analysis,
}

/// Analyses an image.
///
/// # Errors
/// When it cannot be opened at all, or a file of the options is wrong. What is wrong inside the image is a finding.
pub fn analyze(path: &Path, options: &Options) -> Outcome<Analysis> {
    let mut found = Found::default();
    let (mut pieces, sha256) = open::open(path, &mut found)?;
    // What lies behind a file system may hold further ones, and the command line that names a hash tree.
    let mut lines = cmdline::lines(&pieces);
    while !pieces.tails.is_empty() {
        exec::check_interrupt()?;
        tails::look(&mut pieces, &lines, &mut found);
        lines = cmdline::lines(&pieces);
    }
    exec::check_interrupt()?;
    let internal = |why: String| Failure::error(ExitStatus::Internal, "analysis-data", why);
    let mut work = Work {
        options,
        scanner: Scanner::new().map_err(internal)?,
        passwords: accounts::passwords(&options.passwords),
        budget: crypt::Budget::default(),
        files: bounds::Budget::for_files(pieces.bytes),
        found,
        looked_at: BTreeMap::new(),
        result: empty(crate::subject::Subject::name_of(path), String::new(), options.at),
    };
    work.count(Area::Reading, pieces.parts.len());
    let roots = pieces.trees.iter().filter(|tree| tree.is_root).count();
    let mut first = None;
    let configurations = kernels::configurations(&pieces.trees);
    // Each tree is let go of when it was looked through: what a reader keeps is not kept of all of them.
    for tree in std::mem::take(&mut pieces.trees) {
        // A path alone is one of the root; where there are several, the part stands in front.
        let label = if tree.is_root && roots == 1 { String::new() } else { format!("{}:", tree.at) };
        let root = work.tree(&tree, &label);
        exec::check_interrupt()?;
        first = first.or(root);
    }
    work.boot(&pieces, &lines, configurations, first.as_ref());
    exec::check_interrupt()?;
    if roots == 0 {
        work.found.add("no-root", &work.result.name, "nothing with `etc` and `usr` or `bin`");
    }
    work.result.sha256 = sha256.wait()?;
    Ok(work.finish(pieces))
}

fn empty(name: String, sha256: String, at: Option<u64>) -> Analysis {
    Analysis {
        schema_version: 1,
        generator: format!("fastness {}", env!("CARGO_PKG_VERSION")),
        name,
        sha256,
        at,
        word: String::new(),
        strength: Vec::new(),
        issues: Vec::new(),
        parts: Vec::new(),
        components: Vec::new(),
        programs: Vec::new(),
        accounts: Vec::new(),
        keys: Vec::new(),
        privileged: Vec::new(),
        services: Vec::new(),
        units: Vec::new(),
        kernels: Vec::new(),
        boot_loaders: Vec::new(),
    }
}

/// A component that a file shows.
fn component(name: &str, version: &str, at: &str) -> Component {
    let (name, version, at) = (name.to_owned(), version.to_owned(), at.to_owned());
    Component { name, version, source: None, by: "file".to_owned(), at }
}

impl Work<'_> {
    fn count(&mut self, area: Area, number: usize) {
        *self.looked_at.entry(area).or_default() += number;
    }

    /// Everything that one tree's files say.
    fn tree(&mut self, tree: &Tree, label: &str) -> Option<Root> {
        let scans = self.scanner.tree(&tree.files, &mut self.files);
        self.count(Area::Keys, scans.len());
        self.count(Area::Secrets, scans.len());
        self.count(Area::Privileges, tree.files.entries().len());
        let mut scripts = std::collections::BTreeSet::new();
        for scan in &scans {
            let shown = format!("{label}{}", scan.path);
            match &scan.unread {
                Some(Unread::Limit(why)) => self.found.add("limit", &shown, why),
                Some(Unread::Broken(why)) => self.found.add("broken", &shown, why),
                None => {}
            }
            if scan.script {
                scripts.insert(scan.path.as_str());
            }
            self.program(tree, scan, &shown);
            for (name, version) in &scan.versions {
                self.result.components.push(component(name, version, &shown));
            }
            let rows = keys::judge(
                &shown,
                &scan.keys,
                scan.elf.is_some(),
                &self.options.known_keys,
                self.options.at,
                &mut self.found,
            );
            self.result.keys.extend(rows);
            secrets::judge(&shown, &scan.secrets, &mut self.found);
        }
        for (path, entry) in tree.files.entries() {
            let shown = format!("{label}{path}");
            let script = scripts.contains(path.as_str());
            self.result.privileged.extend(privileges::look(path, &shown, entry, script, &mut self.found));
        }
        tree.is_root.then(|| self.root(tree, label))
    }

    fn program(&mut self, tree: &Tree, scan: &scan::FileScan, shown: &str) {
        match &scan.elf {
            Some(Ok(facts)) => {
                let row = programs::row(shown, facts);
                if row.kind != "module" && row.kind != "other" {
                    self.count(Area::Programs, 1);
                }
                programs::judge(shown, tree.files.get(&scan.path), &row, &mut self.found);
                self.result.programs.push(row);
            }
            Some(Err(why)) => self.found.add("elf-broken", shown, why),
            None => {}
        }
    }

    /// What only a root has: accounts, packages, what it starts.
    fn root(&mut self, tree: &Tree, label: &str) -> Root {
        let root = crate::open::rootfs::shared(Arc::clone(&tree.files), String::new());
        let mut judge =
            accounts::Judge { list: &self.passwords, budget: &mut self.budget, found: &mut self.found };
        let accounts = accounts::look(&root, label, &mut judge);
        // Where passwords could not be read, the accounts that could be say nothing of the others.
        self.count(Area::Accounts, if accounts.unread { 0 } else { accounts.rows.len() });
        self.result.accounts.extend(accounts.rows);
        let packages = components::packages(&root, label);
        if packages.len() >= components::MAX_COMPONENTS {
            let why = format!("more than {} packages; the others are left out", components::MAX_COMPONENTS);
            self.found.add("limit", format!("{label}/var/lib"), why);
        }
        self.result.components.extend(packages);
        if let Some(path) = components::unread_database(&root) {
            self.found.add(
                "not-understood",
                format!("{label}{path}"),
                "a database of rpm; its packages are not listed",
            );
        }
        privileges::unseen(&root, &tree.files, label, &mut self.found);
        guarded::look(&root, label, &mut self.found);
        let (services, is_known) = services::look(&root, label, &mut self.found);
        // Where nothing is known to start anything, nothing is known of what is started.
        self.count(Area::Services, usize::from(is_known));
        self.result.services.extend(services);
        for (path, text) in ssh::authorized(&root, label, &mut self.found) {
            let shown = format!("{label}{path}");
            let (keys, more) = keys::authorized(&text);
            if more {
                self.found.add("limit", &shown, keys::too_many());
            }
            let options = self.options;
            self.result.keys.extend(keys::judge(
                &shown,
                &keys,
                false,
                &options.known_keys,
                options.at,
                &mut self.found,
            ));
        }
        let units = units::look(&root, label, &mut self.found);
        self.count(Area::Units, units.len());
        self.result.units.extend(units);
        root
    }

    /// Kernels and boot loaders; `root` is the one whose sysctl settings count.
    fn boot(
        &mut self,
        pieces: &Pieces,
        lines: &[(String, String)],
        configurations: Vec<(String, String)>,
        root: Option<&Root>,
    ) {
        cmdline::judge(lines, &mut self.found);
        self.result.kernels = kernels::look(pieces, configurations, root, lines, &mut self.found);
        self.count(Area::Kernel, self.result.kernels.len());
        for kernel in self.result.kernels.iter().filter(|kernel| !kernel.version.is_empty()) {
            self.result.components.push(component("linux", &kernel.version, &kernel.at));
        }
        self.result.boot_loaders = kernels::boot(pieces, &self.options.known_keys, &mut self.found);
        self.count(Area::Boot, pieces.boot_loaders.len() + pieces.fits.len());
        for loader in self.result.boot_loaders.iter().filter(|loader| !loader.version.is_empty()) {
            self.result.components.push(component("u-boot", &loader.version, &loader.at));
        }
    }

    fn finish(self, pieces: Pieces) -> Analysis {
        let mut result = self.result;
        let certificates = result.keys.iter().filter(|key| key.not_after.is_some()).count();
        let mut found = self.found;
        if result.at.is_none() && certificates > 0 {
            let seen = format!("{certificates} certificates; no `--at` and no SOURCE_DATE_EPOCH was given");
            found.add("certificate-undated", &result.name, seen);
        }
        result.parts = pieces.parts;
        result.components.extend(pieces.packages);
        result.components.sort();
        result.components.dedup();
        result.issues = found.issues();
        result.strength = strength::strength(&self.looked_at, &result.issues);
        result.word = strength::overall(&result.strength).to_owned();
        result
    }
}
