//! The plan in Buildroot's symbols: board, base, packages and the product's own.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Outcome};
use serde_json::json;

use super::asks::Asker;
use super::kconfig::KconfigAsks;
use super::{NamedBoard, Resolver};
use crate::buildroot::{
    BuildrootAsk, BuildrootBase, BuildrootPackage, BuildrootSeries, BusyboxBase, DEFAULT_SERIES, Tarball,
};
use crate::decode::{Decode, Spanned, suggestion};
use crate::layer::RemoveAsk;
use crate::library::{Area, read_model};
use crate::plan::{BuildrootFacts, ReleaseFacts, SourceFacts};
use crate::product::BuildrootSource;
use crate::types::{KconfigSymbol, Name, Scalar, Series};

/// What the base and the packages' files ask, before its symbols are collected.
pub(super) struct Chosen {
    name: String,
    external: String,
    release: Option<ReleaseFacts>,
    busybox: bool,
    model: BuildrootSeries,
    unless: BTreeMap<String, String>,
    selected_by: BTreeMap<String, String>,
    packages: BTreeMap<String, BTreeMap<String, String>>,
    options: Vec<(String, String)>,
}

impl Chosen {
    /// The plan's part.
    pub(super) fn facts(self, symbols: KconfigAsks, busybox: KconfigAsks) -> BuildrootFacts {
        let names = |list: &[KconfigSymbol]| list.iter().map(|s| s.as_str().to_owned()).collect();
        let source = |tarball: &Tarball| SourceFacts {
            version: tarball.version.as_str().to_owned(),
            sha256: tarball.sha256.as_str().to_owned(),
        };
        BuildrootFacts {
            series: self.name,
            release: self.model.release.as_str().to_owned(),
            external: self.external,
            symbols: symbols.into_plan(""),
            unless: self.unless,
            selected_by: self.selected_by,
            packages: self.packages,
            options: self.options,
            order: names(&self.model.order),
            implied: names(&self.model.implied),
            linux: source(&self.model.linux),
            uboot: source(&self.model.uboot),
            busybox: self.busybox.then(|| busybox.into_plan("")),
            source: self.release,
        }
    }
}

/// The project's own server keeps every release under its version.
fn release_facts(source: &BuildrootSource) -> ReleaseFacts {
    let version = source.version.as_str();
    let url = match &source.url {
        Some(url) => url.as_str().to_owned(),
        None => format!("https://buildroot.org/downloads/buildroot-{version}.tar.xz"),
    };
    ReleaseFacts { version: version.to_owned(), url, sha256: source.sha256.as_str().to_owned() }
}

impl Resolver<'_> {
    /// Collects every Buildroot symbol and what must go from Buildroot's packages.
    pub(super) fn buildroot_asks(&mut self, board: &NamedBoard) -> Outcome<Option<Chosen>> {
        let Some((series, mut chosen)) = self.series()? else { return Ok(None) };
        if board.model.buildroot.is_empty() {
            let message =
                format!("the board `{}` cannot be built with Buildroot: it asks nothing of it", board.name);
            let hint = format!(
                "name its processor in `boards/{}/board.yaml`: `buildroot: [{{symbol: BR2_aarch64, …}}]`",
                board.name
            );
            let at = self.product.name.at.location();
            self.trouble.push(Diagnostic::error("no-buildroot-board", message).at(at).hint(hint));
        }
        let Some(uboot) = board.model.uboot.base.as_str().strip_suffix("_defconfig") else {
            let message = format!(
                "expected a `…_defconfig` as base of U-Boot for Buildroot, found `{}` on the board `{}`",
                board.model.uboot.base.as_str(),
                board.name
            );
            let at = self.product.name.at.location();
            self.trouble.push(Diagnostic::error("no-buildroot-board", message).at(at));
            return Ok(None);
        };
        let path = format!("$(BR2_EXTERNAL_{}_PATH)", chosen.external);
        self.renderer.set(
            "buildroot",
            json!({
                "path": path,
                "board_path": format!("{path}/board/{}", board.name),
                "linux_version": chosen.model.linux.version.as_str(),
                "uboot_version": chosen.model.uboot.version.as_str(),
                "uboot_defconfig": uboot,
            }),
        );
        self.renderer.set("parameters", serde_json::Value::Object(serde_json::Map::new()));
        let product = self.product;
        let own = product.buildroot.as_ref().map_or(&[][..], |buildroot| &buildroot.symbols);
        self.buildroot_symbols("product", own, &series, None);
        self.buildroot_symbols(&format!("board {}", board.name), &board.model.buildroot, &series, None);
        if let Some(base) = self.buildroot_file::<BuildrootBase>("base.yaml")? {
            let unless = |ask: &BuildrootAsk| {
                Some((ask.symbol.as_str().to_owned(), ask.unless.as_ref()?.as_str().to_owned()))
            };
            chosen.unless = base.symbols.iter().filter_map(unless).collect();
            self.buildroot_symbols("backend buildroot", &base.symbols, &series, None);
            self.buildroot_removals("backend buildroot", &base.remove);
            self.busybox(&base.busybox, &series);
        }
        self.buildroot_packages(&series, &mut chosen)?;
        chosen.unless.retain(|symbol, _| self.asked.buildroot.0.map.contains_key(symbol));
        self.renderer.unset("buildroot");
        Ok(Some(chosen))
    }

    /// BusyBox is off, or configured like the other Kconfigs.
    fn busybox(&mut self, base: &BusyboxBase, series: &Series) {
        let product = self.product;
        let asked = product.buildroot.as_ref().and_then(|buildroot| buildroot.busybox.as_ref());
        let Some(asked) = asked else {
            self.buildroot_symbols("backend buildroot", &base.without, series, None);
            return;
        };
        self.buildroot_symbols("backend buildroot", &base.with, series, None);
        let architecture = self.architecture;
        for (who, asks) in [("product", asked), ("backend buildroot", &base.symbols)] {
            for ask in asks.iter().filter(|ask| architecture.is_of(&ask.architectures)) {
                let Some(value) = self.symbol_value(ask) else { continue };
                let asker = Asker::new(who, &ask.symbol.at, &ask.reason);
                let value = value.as_str().to_owned();
                self.asked.busybox.0.ask(ask.symbol.as_str(), value, asker, &mut self.trouble);
            }
        }
        for ask in &base.modes {
            let asker = Asker::new("backend buildroot", &ask.path.at, &ask.reason);
            let mode = ask.mode.as_str().to_owned();
            self.asked.modes.ask(ask.path.as_str(), mode, asker, &mut self.trouble);
        }
    }

    /// The series that the product names.
    fn series(&mut self) -> Outcome<Option<(Series, Chosen)>> {
        let settings = self.product.buildroot.as_ref();
        let release = settings.and_then(|buildroot| buildroot.release.as_ref());
        let of_release = release.map(|release| (release.version.series(), &release.version.at));
        let by_name = settings.and_then(|buildroot| buildroot.series.as_ref());
        if let (Some(named), Some((series, at))) = (by_name, of_release)
            && named.as_str() != series
        {
            let message =
                format!("the release is one of the series `{series}`, but `series` is `{}`", named.as_str());
            let hint = "leave `series` out: the release decides";
            self.trouble.push(Diagnostic::error("other-series", message).at(at.location()).hint(hint));
        }
        let asked = of_release.or(by_name.map(|series| (series.as_str(), &series.at)));
        let given = self.choice.series.clone();
        let name = given.as_deref().or(asked.map(|(series, _)| series)).unwrap_or(DEFAULT_SERIES);
        if let (Some(given), Some((asked, at))) = (&given, asked.filter(|(asked, _)| *asked != name)) {
            let message = format!(
                "the product is for the Buildroot series `{asked}`, but the tree that was given is `{given}`"
            );
            let hint = "give a tree of that series, or change `buildroot: {series: …}`";
            self.trouble.push(Diagnostic::error("other-series", message).at(at.location()).hint(hint));
        }
        let file = format!("series/{name}.yaml");
        let model = self.buildroot_file::<BuildrootSeries>(&file)?;
        let (Some(model), Ok(series)) = (model, Series::parse(name, true)) else {
            let known = self.library.file_names(Area::Buildroot, "series")?;
            let message = format!("the Buildroot series `{name}` is not supported");
            let at = asked.map_or(&self.product.name.at, |(_, at)| at).location();
            let hint = format!("supported are `{}`", known.into_iter().collect::<Vec<_>>().join("`, `"));
            self.trouble.push(Diagnostic::error("unknown-series", message).at(at).hint(hint));
            return Ok(None);
        };
        // Buildroot makes a variable's name of it.
        let external = self.product.name.as_str().to_uppercase().replace('-', "_");
        Ok(Some((
            series,
            Chosen {
                name: name.to_owned(),
                external,
                release: release.map(release_facts),
                busybox: settings.is_some_and(|buildroot| buildroot.busybox.is_some()),
                model,
                unless: BTreeMap::new(),
                selected_by: BTreeMap::new(),
                packages: BTreeMap::new(),
                options: Vec::new(),
            },
        )))
    }

    /// What every package of the plan means; a package without a meaning is an error that names who asks.
    fn buildroot_packages(&mut self, series: &Series, chosen: &mut Chosen) -> Outcome<()> {
        let asked: Vec<(String, Vec<Asker>)> = {
            let packages = self.asked.packages.map.iter();
            packages.map(|(name, entry)| (name.clone(), entry.askers.clone())).collect()
        };
        for (name, askers) in asked {
            let path = format!("packages/{name}.yaml");
            if self.library.read(Area::Buildroot, &path)?.is_none() {
                let known = self.library.file_names(Area::Buildroot, "packages")?;
                let by = &askers[0];
                let message = format!(
                    "{} asks for the package `{name}`, which has no meaning for Buildroot yet",
                    by.who
                );
                let hint = format!(
                    "say which symbols bring it in `buildroot/packages/{name}.yaml` beside the product; {}",
                    suggestion(&name, known.iter().map(String::as_str))
                );
                let at = by.at.location();
                self.trouble.push(Diagnostic::error("unmapped-package", message).at(at).hint(hint));
                continue;
            }
            let Some(package) = self.buildroot_file::<BuildrootPackage>(&path)? else { continue };
            if package.symbols.is_empty() && package.note.is_none() {
                let message =
                    format!("`buildroot/{path}` has neither `symbols` nor a `note` why it needs none");
                let at = askers[0].at.location();
                self.trouble.push(Diagnostic::error("empty-package", message).at(at));
            }
            chosen.options.extend(
                package
                    .options
                    .iter()
                    .map(|option| (option.variable.as_str().to_owned(), option.add.as_str().to_owned())),
            );
            chosen.selected_by.extend(package.symbols.iter().filter_map(|ask| {
                Some((ask.symbol.as_str().to_owned(), ask.selected_by.as_ref()?.as_str().to_owned()))
            }));
            let sources = self.sources(package.own.as_ref(), &package.sources)?;
            if let Some(own) = &package.own {
                let mut files = self.own_package(own)?;
                files.extend(sources);
                chosen.packages.insert(own.as_str().to_owned(), files);
            }
            // Who asks is the layer: that is where the reader looks.
            for asker in &askers {
                self.buildroot_symbols(&asker.who, &package.symbols, series, Some(asker));
                self.buildroot_removals(&asker.who, &package.remove);
            }
        }
        Ok(())
    }

    /// The files of a package of our own: all three, or Buildroot could neither choose, build nor
    /// verify it.
    fn own_package(&mut self, own: &Spanned<Name>) -> Outcome<BTreeMap<String, String>> {
        let name = own.as_str();
        let mut files = BTreeMap::new();
        for file in ["Config.in".to_owned(), format!("{name}.mk"), format!("{name}.hash")] {
            let path = format!("package/{name}/{file}");
            match self.library.read(Area::Buildroot, &path)? {
                Some(source) => {
                    files.insert(file, source.text().to_owned());
                }
                None => {
                    let message = format!("expected `buildroot/{path}`, found no such file");
                    let hint = "a package of your own is `Config.in`, `NAME.mk` and `NAME.hash`, as the Buildroot manual has it";
                    self.trouble.push(
                        Diagnostic::error("missing-package-file", message).at(own.at.location()).hint(hint),
                    );
                }
            }
        }
        let makefile = files.get(&format!("{name}.mk")).cloned().unwrap_or_default();
        let variable = format!("{}_LICENSE", name.to_uppercase().replace('-', "_"));
        for needed in [format!("{variable} = "), format!("{variable}_FILES = ")] {
            if !makefile.is_empty() && !makefile.lines().any(|line| line.starts_with(&needed)) {
                let message = format!(
                    "`buildroot/package/{name}/{name}.mk` sets no `{}`",
                    needed.trim_end_matches(" = ")
                );
                let hint = "`make legal-info` collects what is set there";
                self.trouble.push(Diagnostic::error("no-licence", message).at(own.at.location()).hint(hint));
            }
        }
        Ok(files)
    }

    fn buildroot_symbols(&mut self, who: &str, asks: &[BuildrootAsk], series: &Series, by: Option<&Asker>) {
        let set: BTreeSet<String> = {
            let map = &self.asked.buildroot.0.map;
            map.iter().filter(|(_, entry)| entry.value != "n").map(|(name, _)| name.clone()).collect()
        };
        for ask in asks.iter().filter(|ask| ask.is_of(series)) {
            if ask.unless.as_ref().is_some_and(|symbol| set.contains(symbol.as_str())) {
                continue;
            }
            let symbol = ask.symbol.as_str();
            if !symbol.starts_with("BR2_") {
                let message = format!("expected a Buildroot symbol with its prefix `BR2_`, found `{symbol}`");
                self.trouble.push(Diagnostic::error("wrong-type", message).at(ask.symbol.at.location()));
                continue;
            }
            let Some(value) = self.templated(&ask.value, &ask.symbol.at) else { continue };
            let asker = match by {
                Some(layer) => {
                    let reason = format!("{} ({}, for {symbol})", layer.reason, ask.reason.0);
                    Asker::saying(who, &layer.at, &reason)
                }
                None => Asker::new(who, &ask.symbol.at, &ask.reason),
            };
            self.asked.buildroot.0.ask(symbol, value.as_str().to_owned(), asker, &mut self.trouble);
        }
    }

    fn buildroot_removals(&mut self, who: &str, asks: &[RemoveAsk]) {
        for ask in asks {
            let asker = Asker::new(who, &ask.path.at, &ask.reason);
            self.asked.removals.ask(ask.path.as_str(), (), asker, &mut self.trouble);
        }
    }

    fn buildroot_file<T: Decode>(&mut self, path: &str) -> Outcome<Option<T>> {
        let Some(source) = self.library.read(Area::Buildroot, path)? else { return Ok(None) };
        Ok(read_model::<T>(&source, &mut self.trouble))
    }
}
