//! Runs BitBake in a build folder of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use rustix::process::{Pid, Signal, kill_process};
use spec::plan::YoctoFacts;

use super::checkouts::Checkouts;
use super::written::Written;
use super::{Names, distro, log, quoted, read_back, variables};
use crate::buildroot::Tree;
use crate::{BuildOptions, Cache, Progress, follow};

/// A whole build on a slow machine.
const LIMIT: Duration = Duration::from_secs(48 * 3600);
/// BitBake says itself which locale it wants. Source: BitBake `lib/bb/utils.py`, `check_system_locale`.
const LOCALE: &str = "en_US.UTF-8";

/// Where BitBake keeps what it has read of code, below a build folder. Source: BitBake `lib/bb/codeparser.py`.
const CODE_CACHE: &str = "cache/bb_codeparser.dat";

/// What prints variables of recipes.
const VARIABLES: &str = include_str!("files/variables.py");

/// A build folder with its configuration.
pub struct Build<'a> {
    /// `TOPDIR`.
    pub folder: PathBuf,
    pub checkouts: &'a Checkouts,
    pub names: &'a Names,
    pub log: PathBuf,
}

impl Build<'_> {
    /// Writes `bblayers.conf` and `local.conf`; unchanged ones are not touched, so that nothing is parsed anew.
    ///
    /// # Errors
    /// When they cannot be written, or a path cannot be said in BitBake's words.
    pub fn configure(
        &self,
        facts: &YoctoFacts,
        layers: &Path,
        cache: &Cache,
        options: &BuildOptions,
    ) -> Outcome<()> {
        let mut paths = vec![self.checkouts.core.join("meta")];
        paths.extend(self.checkouts.layers.iter().cloned());
        paths.extend(
            [&self.names.distro_layer, &self.names.bsp_layer].map(|name| layers.join(format!("meta-{name}"))),
        );
        let paths: String = paths.iter().map(|path| format!("  {} \\\n", path.display())).collect();
        let mut tree = Tree::default();
        tree.file(
            "bblayers.conf",
            format!("LCONF_VERSION = \"7\"\nBBPATH = \"${{TOPDIR}}\"\nBBFILES ?= \"\"\nBBLAYERS = \" \\\n{paths}\"\n"),
        );
        tree.file("local.conf", self.local(facts, cache, options)?);
        tree.bring_to(&self.folder.join("conf"))
    }

    fn local(&self, facts: &YoctoFacts, cache: &Cache, options: &BuildOptions) -> Outcome<String> {
        let mut out = format!(
            "CONF_VERSION = \"2\"\nMACHINE = {}\nDISTRO = {}\n\
             BB_NUMBER_THREADS ?= \"{jobs}\"\nPARALLEL_MAKE ?= \"-j{jobs}\"\n\
             BB_HASHSERVE_DB_DIR ?= \"${{SSTATE_DIR}}\"\n\
             DL_DIR ?= \"{}\"\nSSTATE_DIR ?= \"{}\"\n{}",
            quoted(&self.names.machine)?,
            quoted(&self.names.distro)?,
            cache.folder("yocto-downloads")?.display(),
            cache.folder("yocto-sstate")?.display(),
            distro::site(facts),
            jobs = options.jobs,
        );
        if options.offline {
            out.push_str("BB_NO_NETWORK = \"1\"\n");
        }
        if let Some(path) = &options.yocto.local {
            let text = fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))?;
            out.push_str(&format!("\n# {}\n{text}", path.display()));
        }
        Ok(out)
    }

    /// Reads every recipe once. What `bitbake -e` reads it does not keep for the build that follows, and
    /// takes from here.
    ///
    /// # Errors
    /// When a layer cannot be parsed.
    pub fn parse(&self, progress: &dyn Progress) -> Outcome<()> {
        self.fresh(&self.log)?;
        let all = "--parse-only".to_owned();
        if !self.folder.join(CODE_CACHE).exists() {
            // In a fresh folder BitBake 2.18 reads all recipes twice: it hashes what it has just read of Python modules
            // otherwise than what it finds in its cache of them. One recipe fills that cache.
            let folder = self.folder.join("fastness-first");
            let mut tree = Tree::default();
            tree.file("one.conf", format!("BBMASK = \"^(?!.*/{}_)\"\n", self.names.accounts()));
            tree.bring_to(&folder)?;
            let one = folder.join("one.conf").to_string_lossy().into_owned();
            self.run(&["--postread".to_owned(), one, all.clone()], &self.log, progress)?;
            self.fresh(&self.log)?;
        }
        self.run(&[all], &self.log, progress)
    }

    /// The image's variables, with their history.
    ///
    /// # Errors
    /// When a layer cannot be parsed.
    pub fn variables(&self, progress: &dyn Progress) -> Outcome<BTreeMap<String, variables::Variable>> {
        let folder = self.folder.join("fastness");
        fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
        let printed = folder.join("variables.txt");
        self.fresh(&printed)?;
        self.run(&["-e".to_owned(), self.names.image()], &printed, progress)?;
        let text = fs::read_to_string(&printed).map_err(|e| Failure::io("read", &printed, &e))?;
        Ok(variables::parse(&text))
    }

    /// Variables of recipes, with their history: of each that we append to, what is asked of it; of the others whose
    /// packages are installed, the compiler's hardening. One run of BitBake for all of them, since each run reads the
    /// layers' configuration anew.
    ///
    /// # Errors
    /// When a layer cannot be parsed, or a recipe is not there.
    pub fn variables_of_recipes(
        &self,
        facts: &YoctoFacts,
        written: &[Written],
        progress: &dyn Progress,
    ) -> Outcome<BTreeMap<String, BTreeMap<String, variables::Variable>>> {
        let (asked, hardening) = (read_back::asked(facts, written), read_back::hardening(facts));
        let folder = self.folder.join("fastness");
        let mut tree = Tree::default();
        tree.file("variables.py", VARIABLES);
        // What the image's variables were printed to stays: only our own file is brought there.
        tree.bring_to(&folder.join("script"))?;
        let printed = folder.join("recipes.txt");
        self.fresh(&printed)?;
        let library = self.checkouts.bitbake.ancestors().nth(2).unwrap_or(&self.folder).join("lib");
        let mut arguments = vec![library.to_string_lossy().into_owned()];
        let joined =
            |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        arguments.extend(asked.iter().map(|(recipe, names)| format!("{recipe}={}", joined(names))));
        if !hardening.is_empty() {
            let names = joined(&hardening);
            arguments.extend(facts.install.keys().map(|package| format!("{package}@{names}")));
        }
        if arguments.len() == 1 {
            return Ok(BTreeMap::new());
        }
        self.run_program(&folder.join("script/variables.py"), &arguments, &printed, progress)?;
        let text = fs::read_to_string(&printed).map_err(|e| Failure::io("read", &printed, &e))?;
        let mut found = BTreeMap::new();
        for part in format!("\n{text}").split("\n=== ").skip(1) {
            let (recipe, rest) = part.split_once('\n').unwrap_or((part, ""));
            found.insert(recipe.to_owned(), variables::parse(rest));
        }
        let absent: Vec<&str> =
            asked.keys().filter(|recipe| !found.contains_key(*recipe)).map(String::as_str).collect();
        if !absent.is_empty() {
            return Err(Failure::error(
                ExitStatus::Build,
                "no-variable",
                format!("expected BitBake to print variables of `{}`, found none", absent.join("`, `")),
            )
            .hint(format!("what it said is in `{}`", printed.display())));
        }
        Ok(found)
    }

    /// Builds the image, the kernel and the boot loader.
    ///
    /// # Errors
    /// When a task fails, with the recipe, the task and the end of its log.
    pub fn build(&self, progress: &dyn Progress) -> Outcome<()> {
        self.fresh(&self.log)?;
        self.run(&self.names.targets(), &self.log, progress)
    }

    /// A log tells of one run only, since a failure's reason is looked for in it.
    fn fresh(&self, log: &Path) -> Outcome<()> {
        match fs::remove_file(log) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", log, &e)),
            _ => Ok(()),
        }
    }

    fn run(&self, arguments: &[String], log: &Path, progress: &dyn Progress) -> Outcome<()> {
        self.run_program(&self.checkouts.bitbake, arguments, log, progress)
    }

    /// Runs BitBake, or a program of Python that uses it.
    fn run_program(
        &self,
        program: &Path,
        arguments: &[String],
        log: &Path,
        progress: &dyn Progress,
    ) -> Outcome<()> {
        let mut path = vec![self.checkouts.core.join("scripts")];
        path.extend(self.checkouts.bitbake.parent().map(Path::to_owned));
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let path = std::env::join_paths(path).map_err(|e| {
            Failure::error(ExitStatus::Input, "unusable-path", format!("a folder cannot be in PATH: {e}"))
        })?;
        let call = Call::new(tool("python3")?)
            .arg(program)
            .args(arguments)
            .folder(&self.folder)
            .env("PATH", path)
            .env("BBPATH", &self.folder)
            .env("BUILDDIR", &self.folder)
            .env("LANG", LOCALE)
            .env("LC_ALL", LOCALE)
            .log(log)
            .limit(LIMIT);
        let result = follow::run(&call, log, log::doing, progress);
        if result.is_err() {
            self.stop_server();
        }
        result.map_err(|whole| log::failure(log, &follow::end_of(log), whole))
    }

    /// BitBake's server is in a session of its own and outlives its client by the end of its tasks: it is
    /// told to end. Its process id is in `bitbake.lock`. Source: BitBake `lib/bb/server/process.py`.
    fn stop_server(&self) {
        let text = fs::read_to_string(self.folder.join("bitbake.lock")).unwrap_or_default();
        let number = text.split_whitespace().next().and_then(|word| word.parse::<i32>().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { return };
        // The number may be another process's by now.
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains("bitbake-server") {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
