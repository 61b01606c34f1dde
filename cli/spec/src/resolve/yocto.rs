//! The plan in Yocto's words: board, base, packages and series.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Outcome};

use super::asks::{Asker, Asks};
use super::{NamedBoard, Resolver};
use crate::decode::{Decode, Spanned, suggestion};
use crate::library::{Area, read_model};
use crate::plan::{
    YoctoAccountFacts, YoctoApartFacts, YoctoExpectFacts, YoctoFacts, YoctoLayerFacts, YoctoOptionFacts,
    YoctoSettingFacts, YoctoSourceFacts,
};
use crate::types::{Name, PackageName};
use crate::yocto::{
    Configured, DEFAULT_SERIES, RecipeOption, YoctoBase, YoctoLack, YoctoLayer, YoctoPackage, YoctoSeries,
    YoctoSetting, YoctoSource, YoctoSymbol,
};

mod names;

/// Who asks for what a sealed partition needs.
const SEALS: &str = "layer measured-boot";

/// What packages mean, while they are collected.
struct Meant {
    install: Asks<()>,
    options: Vec<YoctoOptionFacts>,
    settings: Vec<YoctoSettingFacts>,
    /// The variables of the distro that stand alone, to see two that are not the same.
    distro: Asks<String>,
    recipes: BTreeMap<String, BTreeMap<String, String>>,
    /// The options that stand alone, to see two that are not the same.
    variables: Asks<String>,
    overwrites: Vec<String>,
    layers: BTreeSet<String>,
}

/// What a layer asks, and the series has not.
fn not_in_series(what: &str, series: &str, asker: &Asker, lack: &YoctoLack) -> Diagnostic {
    let message =
        format!("{} asks for {what}, which the series `{series}` has not: {}", asker.who, lack.reason.0);
    Diagnostic::error("not-in-series", message)
        .at(asker.at.location())
        .note("that is known of the series here", Some(lack.reason.at.location()))
        .hint("take another series, or leave out what asks for it")
}

impl Resolver<'_> {
    /// Collects what the plan means to Yocto, and what must go from its packages.
    pub(super) fn yocto_asks(&mut self, board: &NamedBoard) -> Outcome<Option<YoctoFacts>> {
        let Some((name, series)) = self.yocto_series()? else { return Ok(None) };
        let product = &self.product.name;
        self.trouble.extend(names::refused(product.as_str(), product.at.location()));
        let Some(machine) = &board.model.yocto else {
            let message =
                format!("the board `{}` cannot be built with Yocto: it asks nothing of it", board.name);
            let hint = format!(
                "name its processor in `boards/{}/board.yaml`: `yocto: {{require: conf/machine/include/…, tune: …}}`",
                board.name
            );
            let at = self.product.name.at.location();
            self.trouble.push(Diagnostic::error("no-yocto-board", message).at(at).hint(hint));
            return Ok(None);
        };
        let Some(base) = self.yocto_file::<YoctoBase>("base.yaml")? else { return Ok(None) };
        for ask in &base.remove {
            let asker = Asker::new("backend yocto", &ask.path.at, &ask.reason);
            self.asked.removals.ask(ask.path.as_str(), (), asker, &mut self.trouble);
        }
        for lack in &series.lacks {
            let Some(symbol) = lack.uboot.as_ref().map(|symbol| symbol.as_str()) else { continue };
            let asked = self.asked.uboot.0.map.get(symbol).filter(|entry| entry.value != "n");
            if let Some(asker) = asked.and_then(|entry| entry.askers.first()) {
                let what = format!("the symbol `{symbol}` of U-Boot");
                self.trouble.push(not_in_series(&what, &name, asker, lack));
            }
        }
        series.symbols.iter().for_each(|symbol| self.yocto_symbol(symbol));
        for account in &base.accounts {
            let (name, id) = (account.name.as_str(), account.id.0);
            let clashes = self.accounts.clashes(name, id, account.user.0, "in every image by Yocto");
            self.trouble.extend(clashes);
        }
        let meant = self.yocto_packages(&base, &name, &series)?;
        let others = names::Others {
            repositories: series.sources.iter().map(|source| source.name.as_str()).collect(),
            packages: meant.install.map.keys().map(String::as_str).collect(),
            recipes: meant.options.iter().map(|option| option.recipe.as_str()).collect(),
        };
        let product = &self.product.name;
        self.trouble.extend(names::taken(product.as_str(), &name, &others, product.at.location()));
        let mut overwrites: Vec<String> =
            base.overwrites.iter().map(|o| o.path.as_str().to_owned()).collect();
        overwrites.extend(meant.overwrites);
        overwrites.sort_unstable();
        overwrites.dedup();
        let site = self.product.yocto.as_ref();
        let maintainer = site.and_then(|site| site.maintainer.as_ref());
        if let Some(other) = maintainer.filter(|words| !words.as_str().contains('@')) {
            let message = format!("expected a maintainer with an address, found `{}`", other.as_str());
            let hint = "such as `Product security team <security@example.org>`";
            self.trouble.push(Diagnostic::error("wrong-type", message).at(other.at.location()).hint(hint));
        }
        Ok(Some(YoctoFacts {
            series: name,
            release: series.release.as_str().to_owned(),
            bitbake: series.bitbake.as_str().to_owned(),
            compatible: series.compatible.iter().map(|word| word.as_str().to_owned()).collect(),
            linux: series.linux.as_str().to_owned(),
            uboot: series.uboot.as_str().to_owned(),
            includes: series.includes.iter().map(|file| file.as_str().to_owned()).collect(),
            fit_class: series.fit_class.as_ref().map(|class| class.as_str().to_owned()),
            unpack: series.unpack.as_str().to_owned(),
            tune_file: machine.require.as_str().to_owned(),
            tune: machine.tune.as_str().to_owned(),
            signature_handler: series.signature_handler.as_ref().map(|word| word.as_str().to_owned()),
            settings: meant.settings,
            expect: expectations(&base),
            accounts: accounts(&base),
            install: meant.install.into_plan(),
            options: meant.options,
            recipes: meant.recipes,
            sources: self.yocto_sources(&base, &meant.layers, &series),
            layers: in_order(&base.layers, &meant.layers),
            maintainer: maintainer.map(|words| words.as_str().to_owned()),
            downloads: site.and_then(|site| site.downloads.as_ref()).map(|url| url.as_str().to_owned()),
            sstate: site.and_then(|site| site.sstate.as_ref()).map(|url| url.as_str().to_owned()),
            hash_server: site.and_then(|site| site.hash_server.as_ref()).map(|at| at.as_str().to_owned()),
            overwrites,
            apart: apart(&base),
        }))
    }

    /// The series that the product names.
    fn yocto_series(&mut self) -> Outcome<Option<(String, YoctoSeries)>> {
        let asked = self.product.yocto.as_ref().and_then(|yocto| yocto.series.as_ref());
        let name = asked.map_or(DEFAULT_SERIES, |series| series.as_str());
        if let Some(model) = self.yocto_file::<YoctoSeries>(&format!("series/{name}.yaml"))? {
            return Ok(Some((name.to_owned(), model)));
        }
        let known = self.library.file_names(Area::Yocto, "series")?;
        if !known.contains(name) {
            let message = format!("the Yocto series `{name}` is not supported");
            let at = asked.map_or(&self.product.name.at, |series| &series.at).location();
            let hint = format!("supported are `{}`", known.into_iter().collect::<Vec<_>>().join("`, `"));
            self.trouble.push(Diagnostic::error("unknown-series", message).at(at).hint(hint));
        }
        Ok(None)
    }

    /// A symbol by the name that the series has for it; one that it does not have is waived, so that the
    /// report says so.
    fn yocto_symbol(&mut self, symbol: &YoctoSymbol) {
        const WHO: &str = "backend yocto";
        let asks = match symbol.of {
            Configured::Linux => &mut self.asked.linux.0,
            Configured::Uboot => &mut self.asked.uboot.0,
        };
        let old = symbol.symbol.as_str();
        if !asks.map.contains_key(old) {
            return;
        }
        let by = Asker::new(WHO, &symbol.symbol.at, &symbol.reason);
        let Some(new) = &symbol.instead else {
            let own = format!("{}:{old}", symbol.of.as_str());
            for target in symbol.waives.iter().map(|target| target.as_str()).chain([own.as_str()]) {
                self.asked.waivers.ask(target, (), by.clone(), &mut self.trouble);
            }
            return;
        };
        let Some(entry) = asks.map.remove(old) else { return };
        let value = symbol.value.as_ref().map_or(entry.value, |value| value.as_str().to_owned());
        for asker in entry.askers.into_iter().chain([by]) {
            asks.ask(new.as_str(), value.clone(), asker, &mut self.trouble);
        }
        if symbol.value.is_none() && matches!(symbol.of, Configured::Uboot) {
            self.renamed_uboot.insert(old.to_owned(), new.as_str().to_owned());
        }
    }

    /// The repositories of a series, at the commits that the product pins: one that has layers, only if one of them is
    /// needed.
    fn yocto_sources(
        &mut self,
        base: &YoctoBase,
        needed: &BTreeSet<String>,
        series: &YoctoSeries,
    ) -> Vec<YoctoSourceFacts> {
        let product = self.product;
        let pinned = product.yocto.iter().flat_map(|yocto| yocto.commits.iter());
        let known: Vec<&str> = series.sources.iter().map(|source| source.name.as_str()).collect();
        for (name, _) in pinned.clone().filter(|(name, _)| !known.contains(&name.as_str())) {
            let message = format!("the commit of an unknown repository is pinned: `{}`", name.as_str());
            let hint = suggestion(name.as_str(), known.clone());
            let at = product.name.at.location();
            self.trouble.push(Diagnostic::error("unknown-repository", message).at(at).hint(hint));
        }
        let is_needed = |source: &&YoctoSource| {
            let mut layers =
                base.layers.iter().filter(|layer| layer.source.as_str() == source.name.as_str()).peekable();
            layers.peek().is_none() || layers.any(|layer| needed.contains(layer.name.as_str()))
        };
        let sources = series.sources.iter().filter(is_needed).map(|source| YoctoSourceFacts {
            name: source.name.as_str().to_owned(),
            url: source.url.as_str().to_owned(),
            branch: source.branch.as_str().to_owned(),
            commit: pinned
                .clone()
                .find(|(name, _)| name.as_str() == source.name.as_str())
                .map(|(_, commit)| commit.as_str().to_owned()),
        });
        sources.collect()
    }

    /// What every package of the plan means; a package without a meaning is an error that names who asks.
    fn yocto_packages(&mut self, base: &YoctoBase, of_series: &str, series: &YoctoSeries) -> Outcome<Meant> {
        let mut meant = Meant {
            install: Asks::new("package of Yocto", |()| String::new()),
            options: Vec::new(),
            settings: Vec::new(),
            distro: Asks::new("variable of the distro", |value| format!("`{value}`")),
            recipes: BTreeMap::new(),
            variables: Asks::new("variable of a recipe", |value| format!("`{value}`")),
            overwrites: Vec::new(),
            layers: BTreeSet::new(),
        };
        for setting in &base.settings {
            self.yocto_setting(setting, "backend yocto", &mut meant);
        }
        // What a sealed partition needs is no other backend's: that is told at the product's line.
        let sealed = super::sealed::asked(self.product).is_some();
        let packages = self.asked.packages.map.iter();
        let asked: Vec<(String, Vec<Asker>)> =
            packages.map(|(name, entry)| (name.clone(), entry.askers.clone())).collect();
        for (name, askers) in asked {
            let lacks = |lack: &&YoctoLack| lack.package.as_ref().is_some_and(|one| one.as_str() == name);
            if let Some(lack) = series.lacks.iter().find(lacks) {
                let what = format!("the package `{name}`");
                self.trouble.push(not_in_series(&what, of_series, &askers[0], lack));
                continue;
            }
            let path = format!("packages/{name}.yaml");
            if self.library.read(Area::Yocto, &path)?.is_none() {
                if sealed && askers.iter().all(|asker| asker.who == SEALS) {
                    continue;
                }
                self.unmapped(&name, &askers[0])?;
                continue;
            }
            let Some(package) = self.yocto_file::<YoctoPackage>(&path)? else { continue };
            if package.install.is_empty() && package.note.is_none() {
                let message = format!("`yocto/{path}` has neither `install` nor a `note` why it needs none");
                let at = askers[0].at.location();
                self.trouble.push(Diagnostic::error("empty-package", message).at(at));
            }
            if let Some(layer) = &package.layer {
                if !base.layers.iter().any(|known| known.name.as_str() == layer.as_str()) {
                    let names: Vec<&str> = base.layers.iter().map(|layer| layer.name.as_str()).collect();
                    let message = format!(
                        "`yocto/{path}` names the layer `{}`, which `yocto/base.yaml` does not",
                        layer.as_str()
                    );
                    let at = layer.at.location();
                    let hint = suggestion(layer.as_str(), names);
                    self.trouble.push(Diagnostic::error("unknown-layer", message).at(at).hint(hint));
                }
                need(&base.layers, layer.as_str(), &mut meant.layers);
            }
            // Who asks is the layer: that is where the reader looks.
            let also = package.also.iter().filter(|also| here(&also.not_in, of_series));
            let install: Vec<&PackageName> =
                package.install.iter().chain(also.map(|also| &also.package)).collect();
            for asker in &askers {
                for word in &install {
                    meant.install.ask(word.as_str(), (), asker.clone(), &mut self.trouble);
                }
                for ask in &package.remove {
                    let by = Asker::new(&asker.who, &ask.path.at, &ask.reason);
                    self.asked.removals.ask(ask.path.as_str(), (), by, &mut self.trouble);
                }
            }
            let sources = self.sources(package.own.as_ref(), &package.sources)?;
            if let Some(own) = &package.own {
                let mut files = self.own_recipe(own)?;
                files.extend(sources.into_iter().map(|(path, text)| (format!("files/{path}"), text)));
                meant.recipes.insert(own.as_str().to_owned(), files);
            }
            for setting in &package.settings {
                self.yocto_setting(setting, &askers[0].who, &mut meant);
            }
            meant.overwrites.extend(package.overwrites.iter().map(|ask| ask.path.as_str().to_owned()));
            for option in package.options.iter().filter(|option| here(&option.not_in, of_series)) {
                self.yocto_option(option, &askers[0].who, &mut meant);
            }
        }
        Ok(meant)
    }

    /// A recipe of the product's own. BitBake wants its licence, and so does whoever ships the device.
    fn own_recipe(&mut self, own: &Spanned<Name>) -> Outcome<BTreeMap<String, String>> {
        let name = own.as_str();
        let path = format!("recipes/{name}.bb");
        let at = own.at.location();
        let Some(recipe) = self.library.read(Area::Yocto, &path)? else {
            let message = format!("expected `yocto/{path}`, found no such file");
            let hint = "a recipe of your own lies there, and its sources are named by `sources`";
            self.trouble.push(Diagnostic::error("missing-package-file", message).at(at).hint(hint));
            return Ok(BTreeMap::new());
        };
        for needed in ["LICENSE = ", "LIC_FILES_CHKSUM = "] {
            if !recipe.text().lines().any(|line| line.starts_with(needed)) {
                let message = format!("`yocto/{path}` sets no `{}`", needed.trim_end_matches(" = "));
                let hint = "what is on the device is listed with its licence";
                self.trouble.push(Diagnostic::error("no-licence", message).at(at.clone()).hint(hint));
            }
        }
        Ok(BTreeMap::from([(format!("{name}.bb"), recipe.text().to_owned())]))
    }

    /// A variable of a recipe. What is appended adds up; of two values, the one that is read last would win in silence.
    fn yocto_option(&mut self, option: &RecipeOption, who: &str, meant: &mut Meant) {
        let variable = option.variable.as_str();
        if !adds_up(variable) {
            let by = Asker::new(who, &option.reason.at, &option.reason);
            let value = option.value.as_str().to_owned();
            let known = meant.variables.map.len();
            meant.variables.ask(
                &format!("{}: {variable}", option.recipe.as_str()),
                value,
                by,
                &mut self.trouble,
            );
            if meant.variables.map.len() == known {
                return;
            }
        }
        meant.options.push(YoctoOptionFacts {
            recipe: option.recipe.as_str().to_owned(),
            variable: variable.to_owned(),
            value: option.value.as_str().to_owned(),
            reason: option.reason.0.clone(),
        });
    }

    /// A variable of the distro, likewise.
    fn yocto_setting(&mut self, setting: &YoctoSetting, who: &str, meant: &mut Meant) {
        let variable = setting.variable.as_str();
        if !adds_up(variable) {
            let by = Asker::new(who, &setting.variable.at, &setting.reason);
            let known = meant.distro.map.len();
            meant.distro.ask(variable, setting.value.as_str().to_owned(), by, &mut self.trouble);
            if meant.distro.map.len() == known {
                return;
            }
        }
        meant.settings.push(YoctoSettingFacts {
            variable: variable.to_owned(),
            value: setting.value.as_str().to_owned(),
            taste: setting.taste.0,
            reason: setting.reason.0.clone(),
        });
    }

    fn unmapped(&mut self, name: &str, by: &Asker) -> Outcome<()> {
        let known = self.library.file_names(Area::Yocto, "packages")?;
        let message = format!("{} asks for the package `{name}`, which has no meaning for Yocto yet", by.who);
        let hint = format!(
            "say which packages bring it in `yocto/packages/{name}.yaml` beside the product; {}",
            suggestion(name, known.iter().map(String::as_str))
        );
        self.trouble.push(Diagnostic::error("unmapped-package", message).at(by.at.location()).hint(hint));
        Ok(())
    }

    fn yocto_file<T: Decode>(&mut self, path: &str) -> Outcome<Option<T>> {
        let Some(source) = self.library.read(Area::Yocto, path)? else { return Ok(None) };
        Ok(read_model::<T>(&source, &mut self.trouble))
    }
}

/// Whether what is not in some series is in this one.
fn here(not_in: &[Name], series: &str) -> bool {
    !not_in.iter().any(|other| other.as_str() == series)
}

/// Whether values of a variable add up, so that none of them wins.
fn adds_up(variable: &str) -> bool {
    variable.split(':').any(|part| ["append", "prepend", "remove"].contains(&part))
}

/// A layer and what it needs.
fn need(layers: &[YoctoLayer], name: &str, into: &mut BTreeSet<String>) {
    if into.insert(name.to_owned()) {
        let of = layers.iter().find(|layer| layer.name.as_str() == name);
        for other in of.into_iter().flat_map(|layer| &layer.needs) {
            need(layers, other.as_str(), into);
        }
    }
}

fn in_order(layers: &[YoctoLayer], needed: &BTreeSet<String>) -> Vec<YoctoLayerFacts> {
    let needed = layers.iter().filter(|layer| needed.contains(layer.name.as_str()));
    needed
        .map(|layer| YoctoLayerFacts {
            name: layer.name.as_str().to_owned(),
            collection: layer.collection.as_str().to_owned(),
            source: layer.source.as_str().to_owned(),
        })
        .collect()
}

fn expectations(base: &YoctoBase) -> Vec<YoctoExpectFacts> {
    let expect = base.expect.iter().map(|expect| YoctoExpectFacts {
        variable: expect.variable.as_str().to_owned(),
        contains: expect.contains.as_ref().map(|word| word.as_str().to_owned()),
        lacks: expect.lacks.as_ref().map(|word| word.as_str().to_owned()),
        reason: expect.reason.0.clone(),
    });
    expect.collect()
}

fn accounts(base: &YoctoBase) -> BTreeMap<String, YoctoAccountFacts> {
    let facts = base.accounts.iter().map(|account| {
        (account.name.as_str().to_owned(), YoctoAccountFacts { id: account.id.0, user: account.user.0 })
    });
    facts.collect()
}

fn apart(base: &YoctoBase) -> BTreeMap<String, YoctoApartFacts> {
    let facts = base.apart.iter().map(|apart| {
        let facts = YoctoApartFacts { name: apart.name.as_str().to_owned(), reason: apart.reason.0.clone() };
        (apart.path.as_str().to_owned(), facts)
    });
    facts.collect()
}
