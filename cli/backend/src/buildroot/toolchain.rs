//! An external toolchain: what it is, asked of the compiler itself, and whether it fits.
//!
//! Buildroot believes its symbols until it configures the toolchain, and some of them longer. Here the
//! compiler is asked before anything is built. Source: the Buildroot manual, "External toolchain backend".

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use spec::plan::{BuildrootFacts, Plan};

use super::source::usable;
use crate::unpack::unpack;
use crate::{Cache, key_of};

/// No toolchain is larger, unpacked.
const MAX_BYTES: u64 = 8 << 30;

/// What the preprocessor is asked; the rest of its answer is the headers' own text.
const PROBE: &str = "\
#if __has_include(<features.h>)
#include <features.h>
FASTNESS_libc_headers 1
#endif
#if __has_include(<linux/version.h>)
#include <linux/version.h>
FASTNESS_headers LINUX_VERSION_CODE
#endif
#if __has_include(<rpc/rpc.h>)
FASTNESS_rpc 1
#endif
#if __has_include(<omp.h>)
FASTNESS_openmp 1
#endif
#if defined __UCLIBC__
FASTNESS_uclibc 1
#elif defined __GLIBC__
FASTNESS_glibc 1
#endif
FASTNESS_gcc __GNUC__
";

/// C libraries that Buildroot knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    Glibc,
    Musl,
    Uclibc,
}

impl Libc {
    fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
            Self::Uclibc => "uClibc",
        }
    }
}

/// A toolchain as its compiler describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    folder: PathBuf,
    prefix: String,
    /// What it compiles for: `aarch64-linux-gnu`.
    target: String,
    gcc: u32,
    libc: Libc,
    /// Series of the kernel headers.
    headers: (u32, u32),
    cxx: bool,
    rpc: bool,
    /// What Buildroot wants to be told of, too, although nothing here uses it: OpenMP, Fortran, D.
    others: [(&'static str, bool); 3],
}

/// The folder of a toolchain: as given, or unpacked from a tarball into the cache.
///
/// # Errors
/// When it is not there, or a tarball that cannot be unpacked safely.
pub fn folder(given: &Path, cache: &Cache) -> Outcome<PathBuf> {
    let path = given.canonicalize().map_err(|e| Failure::io("open", given, &e))?;
    if path.is_dir() {
        usable(&path)?;
        return Ok(path);
    }
    let (sha256, _) = record::sha256_file(&path)?;
    let (folder, _) = cache
        .stage("buildroot-toolchains", &key_of(&["1", &sha256]), |part| unpack(&path, part, MAX_BYTES))?;
    Ok(folder)
}

impl Toolchain {
    /// Asks the compiler of a toolchain; `prefix` where its configuration names it.
    ///
    /// # Errors
    /// When there is no compiler, it cannot be run, or it finds no headers of its own.
    pub fn probe(folder: &Path, prefix: Option<&str>, log: &Path) -> Outcome<Self> {
        let prefix = match prefix {
            Some(prefix) if folder.join(format!("bin/{prefix}-gcc")).exists() => prefix.to_owned(),
            Some(prefix) => {
                return Err(misfit(folder, &format!("it has no `bin/{prefix}-gcc`")));
            }
            None => prefix_in(folder).ok_or_else(|| misfit(folder, "it has no `bin/…-gcc`"))?,
        };
        let compiler = folder.join(format!("bin/{prefix}-gcc"));
        let call = |arguments: &[&str]| {
            Ok::<_, Failure>(Call::new(tool("gcc")?).at(&compiler).args(arguments).log(log))
        };
        let ask = |arguments: &[&str]| -> Outcome<String> {
            Ok(String::from_utf8_lossy(&call(arguments)?.output()?).trim().to_owned())
        };
        let target = ask(&["-dumpmachine"])?;
        if ask(&["-print-sysroot"])? == "/" {
            return Err(misfit(
                folder,
                "its compiler takes the host's `/` as its sysroot, as a distribution's cross compiler does; Buildroot needs one with a sysroot of its own",
            ));
        }
        // Beside the log: a place of this build that surely can be written to.
        let probe = log.with_extension("c");
        fs::write(&probe, PROBE).map_err(|e| Failure::io("write", &probe, &e))?;
        let answer = call(&["-E", "-P", "-x", "c", "-"])?.input(&probe).output()?;
        let answer = facts_of(&String::from_utf8_lossy(&answer));
        let cxx = Self::has_cxx(&folder.join(format!("bin/{prefix}-g++")), &probe, log)?;
        let _ = fs::remove_file(&probe);
        let number = |key: &str| answer.get(key).and_then(|value| value.parse::<u32>().ok());
        if number("libc_headers").is_none() {
            return Err(misfit(folder, "its compiler finds no headers of a C library"));
        }
        let code = number("headers").ok_or_else(|| misfit(folder, "its compiler finds no kernel headers"))?;
        let libc = match (number("uclibc"), number("glibc")) {
            (Some(_), _) => Libc::Uclibc,
            (None, Some(_)) => Libc::Glibc,
            (None, None) => Libc::Musl,
        };
        let gcc = number("gcc").ok_or_else(|| misfit(folder, "its compiler is no GCC"))?;
        // KERNEL_VERSION(a, b, c) of <linux/version.h>.
        let headers = (code >> 16, (code >> 8) & 0xff);
        let rpc = number("rpc").is_some();
        let has = |program: &str| folder.join(format!("bin/{prefix}-{program}")).exists();
        // Buildroot refuses a toolchain that has more than its symbols say (toolchain/helpers.mk).
        let others =
            [("OPENMP", number("openmp").is_some()), ("FORTRAN", has("gfortran")), ("DLANG", has("gdc"))];
        Ok(Self { folder: folder.to_owned(), prefix, target, gcc, libc, headers, cxx, rpc, others })
    }

    /// Whether there is a C++ compiler that finds its library.
    fn has_cxx(compiler: &Path, probe: &Path, log: &Path) -> Outcome<bool> {
        if !compiler.exists() {
            return Ok(false);
        }
        fs::write(probe, "#include <cstddef>\n").map_err(|e| Failure::io("write", probe, &e))?;
        let call = Call::new(tool("gcc")?).at(compiler).args(["-E", "-x", "c++", "-"]).input(probe).log(log);
        match call.output() {
            Ok(_) => Ok(true),
            Err(failure) if failure.diagnostics.iter().all(|d| d.code == "tool-failed") => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// The symbols by which Buildroot knows it.
    #[must_use]
    pub fn symbols(&self) -> BTreeMap<String, String> {
        let yes = |on: bool| if on { "y" } else { "n" }.to_owned();
        let mut symbols: BTreeMap<String, String> = [
            ("EXTERNAL", yes(true)),
            ("EXTERNAL_CUSTOM", yes(true)),
            ("EXTERNAL_PREINSTALLED", yes(true)),
            ("EXTERNAL_PATH", format!("\"{}\"", self.folder.display())),
            ("EXTERNAL_CUSTOM_PREFIX", format!("\"{}\"", self.prefix)),
            ("EXTERNAL_CXX", yes(self.cxx)),
        ]
        .into_iter()
        .map(|(name, value)| (format!("BR2_TOOLCHAIN_{name}"), value))
        .collect();
        for name in self.claims() {
            symbols.insert(name, yes(true));
        }
        for (name, on) in self.others {
            symbols.insert(format!("BR2_TOOLCHAIN_EXTERNAL_{name}"), yes(on));
        }
        if self.libc != Libc::Musl {
            symbols.insert("BR2_TOOLCHAIN_EXTERNAL_INET_RPC".to_owned(), yes(self.rpc));
        }
        symbols
    }

    /// One symbol of each choice: compiler, headers, library.
    fn claims(&self) -> [String; 3] {
        [
            format!("BR2_TOOLCHAIN_EXTERNAL_GCC_{}", self.gcc),
            format!("BR2_TOOLCHAIN_EXTERNAL_HEADERS_{}_{}", self.headers.0, self.headers.1),
            format!("BR2_TOOLCHAIN_EXTERNAL_CUSTOM_{}", self.libc.name().to_uppercase()),
        ]
    }

    /// In words, for records.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "external, {}: GCC {}, {}, kernel headers {}.{}{}",
            self.target,
            self.gcc,
            self.libc.name(),
            self.headers.0,
            self.headers.1,
            if self.cxx { ", C++" } else { "" }
        )
    }

    /// Whether the plan can be built with it.
    ///
    /// # Errors
    /// When it compiles for another processor, for another C library, or against headers of a newer
    /// kernel than the device has.
    pub fn fits(&self, plan: &Plan, facts: &BuildrootFacts) -> Outcome<()> {
        let starts = crate::architecture(plan)?.compiler_targets();
        if !starts.iter().any(|start| self.target.starts_with(start)) {
            return Err(misfit(
                &self.folder,
                &format!(
                    "it compiles for `{}`, but the board `{}` is `{}`",
                    self.target, plan.board.name, plan.board.kernel_arch
                ),
            ));
        }
        if facts.symbols.symbols.contains_key("BR2_INIT_SYSTEMD") && self.libc != Libc::Glibc {
            return Err(misfit(
                &self.folder,
                &format!("its C library is {}, but systemd and FORTIFY_SOURCE need glibc", self.libc.name()),
            ));
        }
        let kernel = series(&facts.linux.version);
        if kernel.is_some_and(|kernel| self.headers > kernel) {
            return Err(misfit(
                &self.folder,
                &format!(
                    "its headers are those of Linux {}.{}, newer than the device's Linux {}: programs would use what the kernel has not",
                    self.headers.0, self.headers.1, facts.linux.version
                ),
            ));
        }
        Ok(())
    }

    /// Whether a final configuration says of it what it is.
    ///
    /// # Errors
    /// When one of its symbols claims another compiler, library, headers, or C++ that it has not.
    pub fn is_as_configured(&self, config: &BTreeMap<String, String>) -> Outcome<()> {
        let on = |symbol: &str| config.get(symbol).is_some_and(|value| value == "y");
        let mut wrong: Vec<String> = Vec::new();
        for claim in self.claims().iter().filter(|claim| !on(claim)) {
            // `…_GCC_12`: others of the same choice start alike.
            let choice = claim.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
            let choice = if claim.contains("_CUSTOM_") { "BR2_TOOLCHAIN_EXTERNAL_CUSTOM_" } else { choice };
            let said = config.iter().find(|(symbol, value)| symbol.starts_with(choice) && *value == "y");
            let said = said.map_or("nothing", |(symbol, _)| symbol);
            wrong.push(format!("`{claim}` holds, but the configuration says `{said}`"));
        }
        if on("BR2_TOOLCHAIN_EXTERNAL_CXX") && !self.cxx {
            wrong.push("it has no C++, but the configuration says `BR2_TOOLCHAIN_EXTERNAL_CXX`".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(misfit(&self.folder, &wrong.join("; "))) }
    }
}

/// The toolchain that a final configuration names, where it is a folder of this machine.
///
/// # Errors
/// When it is not what its symbols say, or does not fit the plan.
pub fn configured(
    plan: &Plan,
    facts: &BuildrootFacts,
    config: &BTreeMap<String, String>,
    log: &Path,
) -> Outcome<Option<Toolchain>> {
    let text =
        |symbol: &str| config.get(symbol).map(|value| value.trim_matches('"')).filter(|v| !v.is_empty());
    let custom = config.get("BR2_TOOLCHAIN_EXTERNAL_CUSTOM").is_some_and(|value| value == "y");
    let Some(path) = text("BR2_TOOLCHAIN_EXTERNAL_PATH").filter(|path| custom && !path.contains('$')) else {
        return Ok(None);
    };
    usable(Path::new(path))?;
    let prefix = text("BR2_TOOLCHAIN_EXTERNAL_CUSTOM_PREFIX").filter(|prefix| !prefix.contains('$'));
    let toolchain = Toolchain::probe(Path::new(path), prefix, log)?;
    toolchain.fits(plan, facts)?;
    toolchain.is_as_configured(config)?;
    Ok(Some(toolchain))
}

fn misfit(folder: &Path, why: &str) -> Failure {
    Failure::error(
        ExitStatus::Input,
        "toolchain-mismatch",
        format!("the toolchain `{}` does not fit: {why}", folder.display()),
    )
    .hint("take another toolchain, correct its symbols in the file of `--buildroot-config`, or leave it out: Buildroot then builds its own")
}

/// The longest prefix is the whole target; shorter ones are links to it.
fn prefix_in(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder.join("bin")).ok()?.filter_map(Result::ok);
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut prefixes: Vec<String> =
        names.filter_map(|name| name.strip_suffix("-gcc").map(str::to_owned)).collect();
    prefixes.sort_by_key(|prefix| (std::cmp::Reverse(prefix.len()), prefix.clone()));
    prefixes.into_iter().next()
}

/// `FASTNESS_key value` lines.
fn facts_of(answer: &str) -> BTreeMap<String, String> {
    let pairs = answer.lines().filter_map(|line| line.trim().strip_prefix("FASTNESS_")?.split_once(' '));
    pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
}

/// `6.12` of `6.12.91`.
fn series(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
#[path = "toolchain_tests.rs"]
mod tests;
