//! Product × board × layers: merged, checked and rendered into the plan.
//!
//! Two passes over the layers: the first collects what they ask, the second renders files and
//! checks, so that a file such as the one of all sysctl keys sees everything that was asked.

mod accounts;
mod applications;
mod asks;
mod boards;
mod buildroot;
mod conduits;
mod context;
mod ends;
mod facts;
mod fat;
mod files;
mod firewall;
mod guide;
mod hardware;
mod kconfig;
mod kept;
mod layers;
mod logging;
mod mud;
mod network;
mod nts;
mod ocsp;
mod opcua;
mod outside;
mod own_checks;
mod references;
mod requirements;
mod rollback;
mod sealed;
mod services;
mod sources;
mod surface;
mod tpm_keys;
mod trust;
mod tunnels;
mod updates;
mod vendor;
mod waivers;
mod yocto;

use std::collections::BTreeMap;
use std::sync::Arc;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};

use crate::architecture::Architecture;
use crate::board::KernelArgument;
use crate::known_keys::KnownKeys;
use crate::library::{Area, Library, read_model};
use crate::plan::{
    Asked, BoardFacts, CheckPlan, DebianFacts, FilePlan, LayerFacts, NetworkFacts, PackagePlan, PatchPlan,
    Plan, ProductFacts, SigningPlan, StoragePlan, UnitState,
};
use crate::product::{Backend, Product, TunnelKind, default_suite};
use crate::render::Renderer;
use crate::source::Source;
use crate::types::{Scalar, Templated};
use accounts::Accounts;
use asks::{Asker, Asks};
use boards::{NamedBoard, choose_board};
use facts::{product_facts, signing, storage};
use kconfig::KconfigAsks;
use layers::Applied;
use own_checks::CatalogueChecks;
use requirements::{RequirementIds, known_requirements};

/// What a call decides in the product's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The backend.
    pub backend: Option<Backend>,
    /// The series of a Buildroot tree that was given; a product that names another is refused.
    pub series: Option<String>,
}

/// The plan of a product on one of its boards.
///
/// `choice` takes the place of what the product names.
///
/// # Errors
/// Everything that is wrong with the product, its board, its layers and their templates.
pub fn resolve(
    library: &Library,
    source: &Arc<Source>,
    board: Option<&str>,
    choice: Choice,
) -> Outcome<Plan> {
    let mut trouble = Vec::new();
    let Some(product) = read_model::<Product>(source, &mut trouble) else {
        references::of_unread(library, source, &mut trouble)?;
        return Err(input(trouble));
    };
    let board = choose_board(library, &product, board, &mut trouble)?;
    let facts = board.as_ref().map(|board| rollback::facts(&product, &board.model, &board.name));
    let standards = network::Standards {
        protocols: crate::protocol::all(library, &mut trouble)?,
        algorithms: crate::algorithms::table(library, &mut trouble)?,
        build: build_of(&product, &choice),
        opcua: crate::opcua::table(library, &mut trouble)?,
    };
    let mut network = network::resolve(&product, facts.as_ref(), &standards, &mut trouble);
    let backend = choice.backend.unwrap_or(product.backend);
    network.tpm = tpm_keys::plan(&product, board.as_ref(), &network, &mut trouble);
    network.strongswan_in_tpm = tpm_keys::asked_for(&product, TunnelKind::Strongswan).is_some();
    // The catalogue is as long as all layers together, and does not depend on them.
    let (layers, requirements) = std::thread::scope(|scope| {
        let catalogue = scope.spawn(|| known_requirements(library));
        let layers = layers::choose(library, &product, source, &mut trouble);
        (layers, catalogue.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let layers = layers?;
    network.surface = surface::of(&network, layers::answers_ping(&layers));
    let product_facts = product_facts(&product);
    // Without a board nothing can be rendered; what was found so far is said.
    let (Some(board), Some(mut facts)) = (board, facts) else { return Err(input(trouble)) };
    // Only for products that read it: the others' kernel and device tree stay what they are.
    facts.crash_memory = facts.crash_memory.filter(|_| layers::reads_crash_memory(&layers));
    let mut signing = signing(&product, &board, &mut trouble);
    signing.also_trusts = trust::keys(library, &product, &board, &signing, &mut trouble)?;
    match KnownKeys::of_product(library) {
        Ok(own) => {
            signing.known_keys = own.sources().map(|(key, at)| (key.to_owned(), at.to_owned())).collect()
        }
        Err(mut failure) => trouble.append(&mut failure.diagnostics),
    }
    let mut storage = storage(&product, &board, &mut trouble);
    storage.sealed = sealed::plan(library, &product, &board, backend, &mut trouble)?;
    let nts_roots = nts::roots(library, &product, &mut trouble)?;
    let resolver = Resolver {
        library,
        product: &product,
        requirements: requirements?,
        catalogue_checks: own_checks::catalogue_checks(library, &layers)?,
        renderer: Renderer::new(serde_json::Value::Object(serde_json::Map::new())),
        accounts: Accounts::of(&product, &mut trouble),
        asked: Everything::new(),
        backend,
        architecture: board.model.kernel_arch,
        choice,
        renamed_uboot: BTreeMap::new(),
        trouble,
    };
    resolver.finish(
        &board,
        Fixed {
            product: product_facts,
            board: facts,
            firewall: firewall::facts(&network, &standards.protocols),
            network,
            signing,
            storage,
            nts_roots,
        },
        &layers,
    )
}

/// What builds the programs; a series that does not exist is told by its backend.
fn build_of(product: &Product, choice: &Choice) -> crate::algorithms::Build {
    let backend = choice.backend.unwrap_or(product.backend);
    let series = match backend {
        Backend::Debian => product.debian.as_ref().map(|debian| debian.suite.as_str().to_owned()),
        Backend::Buildroot => choice.series.clone().or_else(|| {
            let settings = product.buildroot.as_ref()?;
            let release = settings.release.as_ref().map(|release| release.version.series());
            release.or(settings.series.as_ref().map(|series| series.as_str())).map(str::to_owned)
        }),
        Backend::Yocto => product
            .yocto
            .as_ref()
            .and_then(|yocto| yocto.series.as_ref())
            .map(|name| name.as_str().to_owned()),
    };
    let default = || match backend {
        Backend::Debian => crate::product::default_suite().as_str().to_owned(),
        Backend::Buildroot => crate::buildroot::DEFAULT_SERIES.to_owned(),
        Backend::Yocto => crate::yocto::DEFAULT_SERIES.to_owned(),
    };
    crate::algorithms::Build { backend: backend.as_str().to_owned(), series: series.unwrap_or_else(default) }
}

fn input(diagnostics: Vec<Diagnostic>) -> Failure {
    Failure { status: ExitStatus::Input, diagnostics }
}

/// Facts that no layer changes.
struct Fixed {
    product: ProductFacts,
    board: BoardFacts,
    network: NetworkFacts,
    firewall: serde_json::Value,
    signing: SigningPlan,
    storage: StoragePlan,
    /// Certificates (PEM) of the authorities of time servers; may be empty.
    nts_roots: String,
}

/// Everything that layers ask.
struct Everything {
    uboot: KconfigAsks,
    uboot_patches: Asks<PatchPlan>,
    linux: KconfigAsks,
    buildroot: KconfigAsks,
    busybox: KconfigAsks,
    cmdline: Vec<(String, Vec<Asker>)>,
    packages: Asks<PackagePlan>,
    files: Asks<FilePlan>,
    removals: Asks<()>,
    units: Asks<UnitState>,
    sysctl: Asks<String>,
    modes: Asks<String>,
    checks: Asks<CheckPlan>,
    waivers: Asks<()>,
}

impl Everything {
    fn new() -> Self {
        Self {
            uboot: KconfigAsks::new("U-Boot symbol"),
            uboot_patches: Asks::new("patch", |_| "another text".to_owned()),
            linux: KconfigAsks::new("Linux symbol"),
            buildroot: KconfigAsks::new("Buildroot symbol"),
            busybox: KconfigAsks::new("BusyBox symbol"),
            cmdline: Vec::new(),
            packages: Asks::new("package", |_| String::new()),
            files: Asks::new("file", files::show),
            removals: Asks::new("removal", |()| String::new()),
            units: Asks::new("unit", |state| format!("`{}`", format!("{state:?}").to_lowercase())),
            sysctl: Asks::new("sysctl key", |value| format!("`{value}`")),
            modes: Asks::new("mode of", |mode| format!("`{mode}`")),
            checks: Asks::new("check", |check| format!("`{}` with {}", check.kind, check.with)),
            waivers: Asks::new("waiver", |()| String::new()),
        }
    }
}

struct Resolver<'a> {
    library: &'a Library,
    product: &'a Product,
    requirements: Option<RequirementIds>,
    catalogue_checks: CatalogueChecks,
    renderer: Renderer,
    accounts: Accounts,
    asked: Everything,
    backend: Backend,
    /// Of the board.
    architecture: Architecture,
    choice: Choice,
    /// U-Boot's symbols that a series of Yocto has under another name.
    renamed_uboot: BTreeMap<String, String>,
    trouble: Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn finish(mut self, board: &NamedBoard, mut fixed: Fixed, layers: &[Applied]) -> Outcome<Plan> {
        for (name, value) in context::fixed(self.product, &fixed, layers, self.architecture) {
            self.renderer.set(&name, value);
        }
        self.renderer.set("backend", self.backend.as_str().into());
        self.board_asks(board);
        for layer in layers {
            self.renderer.set("parameters", layer.parameters.clone().into());
            self.layer_asks(layer);
        }
        self.kept(&mut fixed.storage, layers);
        self.renderer.set("storage", context::storage(&fixed.storage));
        self.application_asks();
        let buildroot = match self.backend {
            Backend::Buildroot => self.buildroot_asks(board)?,
            Backend::Debian | Backend::Yocto => None,
        };
        let yocto = match self.backend {
            Backend::Yocto => self.yocto_asks(board)?,
            Backend::Debian | Backend::Buildroot => None,
        };
        self.accounts.finish(&mut self.trouble);
        for (name, value) in context::resolved(&self.asked, &self.accounts, layers, self.architecture) {
            self.renderer.set(&name, value);
        }
        self.renderer.set("guide", guide::facts(&self, &fixed, layers)?);
        // A template's mistakes are worth reading only when what it sees is right.
        if self.trouble.is_empty() {
            for layer in layers {
                self.renderer.set("parameters", layer.parameters.clone().into());
                self.layer_files(layer);
                self.layer_checks(layer);
            }
            self.application_files();
            self.reject_bad_files();
        }
        let proof = match self.trouble.is_empty() {
            true => self.application_proof(&fixed.network),
            false => crate::plan::ProofFacts::default(),
        };
        self.waivers(layers);
        let outside = match self.trouble.is_empty() {
            true => self.outside(&fixed.product, &fixed.board, &fixed.network, &self.product.name.at.clone()),
            false => BTreeMap::new(),
        };
        if !self.trouble.is_empty() {
            return Err(input(self.trouble));
        }
        Ok(Plan { outside, yocto, proof, ..self.into_plan(board, fixed, layers, buildroot) })
    }

    fn board_asks(&mut self, board: &NamedBoard) {
        let who = format!("board {}", board.name);
        self.renderer.set("parameters", serde_json::Value::Object(serde_json::Map::new()));
        self.symbols(&who, &board.model.uboot.symbols, &board.model.linux.symbols);
        self.patches(&who, Area::Boards, &board.name, &board.model.uboot_patches);
        self.arguments(&who, &board.model.cmdline);
    }

    fn layer_asks(&mut self, layer: &Applied) {
        let (who, model) = (layer.who(), &layer.model);
        self.known_requirements(&model.requirements);
        self.symbols(&who, &model.uboot, &model.linux);
        self.patches(&who, Area::Layers, &layer.name, &model.uboot_patches);
        self.arguments(&who, &model.cmdline);
        let trouble = &mut self.trouble;
        for ask in &model.packages {
            let asker = Asker::new(&who, &ask.name.at, &ask.reason);
            let elsewhere = ask.elsewhere.as_ref().filter(|_| self.backend != Backend::Debian);
            let name = elsewhere.map_or(ask.name.as_str(), |other| other.as_str());
            self.asked.packages.ask(name, PackagePlan {}, asker, trouble);
        }
        for ask in &model.remove {
            self.asked.removals.ask(
                ask.path.as_str(),
                (),
                Asker::new(&who, &ask.path.at, &ask.reason),
                trouble,
            );
        }
        for ask in &model.groups {
            let group = crate::plan::GroupPlan { gid: ask.gid.0 };
            let asker = Asker::new(&who, &ask.name.at, &ask.reason);
            self.accounts.groups.ask(ask.name.as_str(), group, asker, trouble);
        }
        for ask in &model.users {
            self.accounts.service(&who, ask, trouble);
        }
        for ask in &model.units {
            let state = match ask.state {
                crate::layer::StateWord::Enabled => UnitState::Enabled,
                crate::layer::StateWord::Disabled => UnitState::Disabled,
                crate::layer::StateWord::Masked => UnitState::Masked,
            };
            for item in self.each(ask.for_each) {
                self.enter(&item);
                if let Some(name) = self.templated(&ask.name.value, &ask.name.at) {
                    let asker = Asker::new(&who, &ask.name.at, &ask.reason);
                    self.asked.units.ask(name.as_str(), state, asker, &mut self.trouble);
                }
                self.leave(&item);
            }
        }
        for ask in &model.modes {
            let asker = Asker::new(&who, &ask.path.at, &ask.reason);
            self.asked.modes.ask(ask.path.as_str(), ask.mode.as_str().to_owned(), asker, &mut self.trouble);
        }
        let architecture = self.architecture;
        for ask in model.sysctl.iter().filter(|ask| architecture.is_of(&ask.architectures)) {
            if let Some(value) = self.templated(&ask.value, &ask.key.at) {
                let asker = Asker::new(&who, &ask.key.at, &ask.reason);
                self.asked.sysctl.ask(ask.key.as_str(), value.as_str().to_owned(), asker, &mut self.trouble);
            }
        }
    }

    /// Kernel arguments: equal ones join, one name with two values is a conflict unless the
    /// kernel lets it repeat.
    fn arguments(&mut self, who: &str, asks: &[KernelArgument]) {
        const REPEATABLE: [&str; 4] = ["console", "earlycon", "initcall_blacklist", "module_blacklist"];
        let architecture = self.architecture;
        for ask in asks.iter().filter(|ask| architecture.is_of(&ask.architectures)) {
            let Some(argument) = self.templated(&ask.argument.value, &ask.argument.at) else { continue };
            let text = argument.as_str();
            let asker = Asker::new(who, &ask.argument.at, &ask.reason);
            let name = text.split('=').next().unwrap_or(text);
            let same = |other: &str| other == text;
            let rival = |other: &str| other.split('=').next() == Some(name) && !REPEATABLE.contains(&name);
            match self.asked.cmdline.iter_mut().find(|(other, _)| same(other) || rival(other)) {
                Some((other, askers)) if same(other) => askers.push(asker),
                Some((other, askers)) => {
                    let first = &askers[0];
                    let message = format!(
                        "{} and {who} disagree about the kernel argument `{name}`: `{other}` and `{text}`",
                        first.who
                    );
                    self.trouble.push(
                        Diagnostic::error("conflict", message)
                            .at(asker.at.location())
                            .note(
                                format!("{} asks for `{other}`: {}", first.who, first.reason),
                                Some(first.at.location()),
                            )
                            .hint("change one of the two, or leave one of the layers out"),
                    );
                }
                None => self.asked.cmdline.push((text.to_owned(), vec![asker])),
            }
        }
    }

    /// A value that may hold `{{…}}`, rendered and read as its type.
    fn templated<T: Scalar + Clone>(&mut self, value: &Templated<T>, at: &crate::source::At) -> Option<T> {
        if let Some(ready) = &value.ready {
            return Some(ready.clone());
        }
        let text = match self.renderer.inline(&value.text, at) {
            Ok(text) => text,
            Err(problem) => {
                self.trouble.push(*problem);
                return None;
            }
        };
        match T::parse(&text, true) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                let message =
                    format!("expected {}, found `{text}` after rendering {}", T::EXPECTED, why.reason);
                let mut problem = Diagnostic::error("wrong-type", message.trim_end()).at(at.location());
                problem.hint = why.hint;
                self.trouble.push(problem);
                None
            }
        }
    }

    fn into_plan(
        self,
        board: &NamedBoard,
        fixed: Fixed,
        layers: &[Applied],
        buildroot: Option<buildroot::Chosen>,
    ) -> Plan {
        let debian = self.product.debian.as_ref();
        let source = |name: Option<&crate::types::PackageName>, default: &str| {
            name.map_or(default, |name| name.as_str()).to_owned()
        };
        Plan {
            schema_version: 1,
            product: fixed.product,
            board: fixed.board,
            backend: self.backend.as_str().to_owned(),
            buildroot: buildroot.map(|chosen| chosen.facts(self.asked.buildroot, self.asked.busybox)),
            yocto: None,
            debian: DebianFacts {
                suite: debian.map_or_else(default_suite, |d| d.suite.clone()).as_str().to_owned(),
                mirror: debian.and_then(|d| d.mirror.as_ref()).map(|mirror| mirror.as_str().to_owned()),
                uboot_source: source(debian.and_then(|d| d.uboot_source.as_ref()), "u-boot"),
                linux_source: source(debian.and_then(|d| d.linux_source.as_ref()), "linux-source-6.12"),
            },
            uboot: self.asked.uboot.into_plan(board.model.uboot.base.as_str()),
            uboot_patches: self.asked.uboot_patches.into_plan(),
            linux: self.asked.linux.into_plan(board.model.linux.base.as_str()),
            cmdline: self
                .asked
                .cmdline
                .into_iter()
                .map(|(value, askers)| Asked { value, origins: askers.iter().map(Asker::origin).collect() })
                .collect(),
            packages: self.asked.packages.into_plan(),
            files: self.asked.files.into_plan(),
            removals: self.asked.removals.into_plan(),
            users: self.accounts.users.into_plan(),
            groups: self.accounts.groups.into_plan(),
            units: self.asked.units.into_plan(),
            sysctl: self.asked.sysctl.into_plan(),
            modes: self.asked.modes.into_plan(),
            network: fixed.network,
            outside: BTreeMap::new(),
            proof: crate::plan::ProofFacts::default(),
            signing: fixed.signing,
            storage: fixed.storage,
            checks: self.asked.checks.into_plan(),
            waivers: self.asked.waivers.into_plan(),
            layers: layers
                .iter()
                .map(|layer| LayerFacts {
                    name: layer.name.clone(),
                    title: layer.model.title.as_str().to_owned(),
                    requirements: layer.model.requirements.iter().map(|id| id.as_str().to_owned()).collect(),
                    parameters: layer.parameters.clone(),
                })
                .collect(),
        }
    }
}
