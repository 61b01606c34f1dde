//! The product's own programs: packages, files, account and a unit with a sandbox.
//!
//! They ask as layers do, so that a program and a layer that want different things are told of each other.

use base64ct::Encoding as _;
use diag::Diagnostic;
use serde_json::{Value, json};

use super::Resolver;
use super::asks::Asker;
use crate::decode::{Spanned, suggestion};
use crate::layer::UserAsk;
use crate::library::Area;
use crate::plan::{FilePlan, NetworkFacts, PackagePlan, ProofFacts, ReaderFacts, UnitState};
use crate::product::{Application, ApplicationFile, ApplicationProof, Backend, Product};
use crate::types::{Count, LocalPath, Name, Scalar, Templated, UserName};

const TEMPLATE: &str = "application/service.hbs";
/// Ports below need a right of their own (ip_unprivileged_port_start, ip-sysctl).
const UNPRIVILEGED: u16 = 1024;
/// What a program may take of one processor, in percent, and how many processes and threads it may have, where the
/// product does not say.
const CPU: u8 = 80;
const TASKS: u32 = 64;

type Named<'p> = (&'p Spanned<Name>, &'p Application);

fn all(product: &Product) -> impl Iterator<Item = Named<'_>> {
    product.applications.iter().map(|(name, application)| (name, application))
}

fn who(name: &Spanned<Name>) -> String {
    format!("application {}", name.as_str())
}

fn unit(name: &Spanned<Name>) -> String {
    format!("{}.service", name.as_str())
}

impl Resolver<'_> {
    /// Whether the build system builds the program: nothing of `files` is for this backend.
    fn is_elsewhere(&self, application: &Application) -> bool {
        self.backend != Backend::Debian && !application.elsewhere.is_empty()
    }

    /// Packages, accounts and units.
    pub(super) fn application_asks(&mut self) {
        let product = self.product;
        for (name, application) in all(product) {
            let who = who(name);
            let packages =
                if self.is_elsewhere(application) { &application.elsewhere } else { &application.packages };
            for package in packages {
                let asker = Asker::new(&who, &package.at, &application.reason);
                self.asked.packages.ask(package.as_str(), PackagePlan {}, asker, &mut self.trouble);
            }
            self.account((name, application));
            if application.command.is_empty() {
                continue;
            }
            let asker = Asker::new(&who, &name.at, &application.reason);
            self.asked.units.ask(&unit(name), UnitState::Enabled, asker, &mut self.trouble);
        }
    }

    /// An account of its own, unless it runs as another.
    fn account(&mut self, (name, application): Named) {
        let refuse = |message: String, at: &crate::source::At, hint: &str| {
            Diagnostic::error("application-account", message).at(at.location()).hint(hint.to_owned())
        };
        match (&application.account, &application.uid) {
            (Some(account), Some(uid)) => {
                let message =
                    format!("`{}` runs as `{}` and has a `uid` of its own", name.as_str(), account.as_str());
                self.trouble.push(refuse(message, &uid.at, "take one of the two away"));
            }
            (Some(account), None) if account.as_str() == "root" => {
                let message = format!("`{}` would run as root", name.as_str());
                self.trouble.push(refuse(
                    message,
                    &account.at,
                    "give it a `uid`; a port below 1024 needs no root, name the service in `services`",
                ));
            }
            (None, None) if !application.command.is_empty() => {
                let message = format!("expected `uid` or `account` for `{}`, found neither", name.as_str());
                self.trouble.push(refuse(
                    message,
                    &name.at,
                    "write `uid: 200`, a number below 1000 that nobody else has",
                ));
            }
            (None, Some(uid)) => {
                let Ok(user) = UserName::parse(name.as_str(), true) else {
                    let message = format!("`{}` is no name of an account", name.as_str());
                    self.trouble.push(refuse(message, &name.at, "shorten the name"));
                    return;
                };
                let ask = UserAsk {
                    name: Spanned { value: user, at: name.at.clone() },
                    uid: Spanned { value: Count(uid.0), at: uid.at.clone() },
                    group: None,
                    groups: Vec::new(),
                    home: None,
                    comment: None,
                    reason: application.reason.clone(),
                };
                self.accounts.service(&who(name), &ask, &mut self.trouble);
            }
            _ => {}
        }
    }

    /// Files and unit files, when the accounts are known.
    pub(super) fn application_files(&mut self) {
        let product = self.product;
        for (name, application) in all(product) {
            if !self.is_elsewhere(application) {
                application.files.iter().for_each(|file| self.program((name, application), file));
            }
            if !application.command.is_empty() {
                self.unit_file((name, application));
            }
        }
    }

    /// A file that was built for Debian's libraries, from the product's folder; what is wrong with it is said.
    fn built(
        &mut self,
        name: &Spanned<Name>,
        file: &Spanned<Templated<LocalPath>>,
    ) -> Option<(String, Vec<u8>)> {
        let at = &file.at;
        if self.backend != Backend::Debian {
            let message = format!(
                "`{}` brings a file that was built for Debian, and the backend is `{}`: its libraries are others",
                name.as_str(),
                self.backend.as_str()
            );
            let hint = format!(
                "let the build system build it: `elsewhere: [NAME]` names a package, and `{}/packages/NAME.yaml` beside \
                 the product says what it is",
                self.backend.as_str()
            );
            self.trouble.push(Diagnostic::error("program-elsewhere", message).at(at.location()).hint(hint));
            return None;
        }
        let source = self.templated(&file.value, at)?;
        match self.library.product_file(source.as_str()) {
            Ok(Some(content)) => return Some((source.as_str().to_owned(), content)),
            Ok(None) => {
                let message =
                    format!("expected the file `{}` of `{}`, found none", source.as_str(), name.as_str());
                let hint = "build it first; the path counts from the product file's folder";
                self.trouble.push(Diagnostic::error("missing-program", message).at(at.location()).hint(hint));
            }
            Err(mut failure) => self.trouble.append(&mut failure.diagnostics),
        }
        None
    }

    fn program(&mut self, (name, application): Named, file: &ApplicationFile) {
        let at = &file.source.at;
        let Some((source, content)) = self.built(name, &file.source) else { return };
        let sha256 = record::sha256_hex(&content);
        if let Some(pinned) = file.sha256.as_ref().filter(|pinned| pinned.as_str() != sha256) {
            let message =
                format!("`{source}` has the SHA-256 `{sha256}`, and the product says `{}`", pinned.as_str());
            let hint = "if the new content is right, write its SHA-256";
            self.trouble
                .push(Diagnostic::error("wrong-program", message).at(pinned.at.location()).hint(hint));
            return;
        }
        if super::files::holds_secret(&String::from_utf8_lossy(&content)) {
            let message = format!(
                "`{}` holds a private key, which every device with this image would share",
                file.path.as_str()
            );
            let hint = "`fastness provision` writes a device's own secrets for its data partition";
            self.trouble.push(Diagnostic::error("secret-in-image", message).at(at.location()).hint(hint));
            return;
        }
        let mode = file.mode.as_ref().map_or("0755", |mode| mode.as_str()).to_owned();
        let root = || "root".to_owned();
        let base64 = base64ct::Base64::encode_string(&content);
        let plan = FilePlan::Program { mode, owner: root(), group: root(), sha256, base64 };
        let asker = Asker::new(&who(name), &file.path.at, &application.reason);
        self.asked.files.ask(file.path.as_str(), plan, asker, &mut self.trouble);
    }

    /// What the proof by traffic is told of the programs.
    pub(super) fn application_proof(&mut self, network: &NetworkFacts) -> ProofFacts {
        let product = self.product;
        let mut out = ProofFacts::default();
        for (name, application) in all(product) {
            if !application.command.is_empty() {
                out.served.extend(application.services.iter().map(|service| service.as_str().to_owned()));
            }
            if let Some(proof) = &application.proof
                && let Some(reader) = self.reader((name, application), proof, network)
            {
                out.readers.insert(proof.opcua.as_str().to_owned(), reader);
            }
        }
        out.served.sort();
        out.served.dedup();
        out
    }

    fn reader(
        &mut self,
        (name, application): Named,
        proof: &ApplicationProof,
        network: &NetworkFacts,
    ) -> Option<ReaderFacts> {
        let opcua = &proof.opcua;
        let server = network.opcua.get(opcua.as_str()).filter(|facts| facts.role == "server");
        let serves = |service: &str| application.services.iter().any(|own| own.as_str() == service);
        if !server.is_some_and(|facts| serves(&facts.service)) {
            let message = format!(
                "expected an OPC UA server of the product whose service is one of `{}`, found `{}`",
                name.as_str(),
                opcua.as_str()
            );
            let servers = network.opcua.iter().filter(|(_, facts)| facts.role == "server");
            let hint = suggestion(opcua.as_str(), servers.map(|(name, _)| name.as_str()));
            self.trouble
                .push(Diagnostic::error("unknown-server", message).at(opcua.at.location()).hint(hint));
            return None;
        }
        // A reader is built for the device's libraries, and what those are is not known here.
        if self.is_elsewhere(application) {
            return None;
        }
        let (_, content) = self.built(name, &proof.reader)?;
        let sha256 = record::sha256_hex(&content);
        let base64 = base64ct::Base64::encode_string(&content);
        Some(ReaderFacts { node: proof.node.as_str().to_owned(), sha256, base64 })
    }

    fn unit_file(&mut self, (name, application): Named) {
        let facts = self.unit_facts(name, application);
        self.renderer.set("program", facts);
        let content = self.template_file(Area::Templates, TEMPLATE, &name.at);
        self.renderer.unset("program");
        let Some(content) = content else { return };
        let root = || "root".to_owned();
        let plan = FilePlan::File { mode: "0644".to_owned(), owner: root(), group: root(), content };
        let asker = Asker::new(&who(name), &name.at, &application.reason);
        let path = format!("/etc/systemd/system/{}", unit(name));
        self.asked.files.ask(&path, plan, asker, &mut self.trouble);
    }

    fn unit_facts(&mut self, name: &Spanned<Name>, application: &Application) -> Value {
        let account = application.account.as_ref().map_or(name.as_str(), |account| account.as_str());
        if !self.accounts.has_user(account) {
            let message = format!("`{}` runs as `{account}`, which does not exist", name.as_str());
            let at = application.account.as_ref().map_or(&name.at, |account| &account.at);
            let hint = suggestion(account, self.accounts.user_names());
            self.trouble.push(Diagnostic::error("unknown-owner", message).at(at.location()).hint(hint));
        }
        let command: Vec<&str> = application.command.iter().map(|word| word.as_str()).collect();
        if let Some(first) = application.command.first().filter(|word| !word.as_str().starts_with('/')) {
            let message =
                format!("expected the path of a program first in `command`, found `{}`", first.as_str());
            let hint = "systemd looks in no PATH here: write `/usr/bin/…`";
            self.trouble.push(Diagnostic::error("wrong-type", message).at(first.at.location()).hint(hint));
        }
        let mut privileged = false;
        for service in &application.services {
            let network = self.renderer.get("network");
            let flows = network["flows"].as_array().cloned().unwrap_or_default();
            let ports: Vec<u64> = flows
                .iter()
                .filter(|flow| flow["service"] == service.as_str() && flow["direction"] == "in")
                .filter_map(|flow| flow["port"].as_u64())
                .collect();
            if ports.is_empty() {
                let message =
                    format!("no conduit leads to the service `{}` of `{}`", service.as_str(), name.as_str());
                let hint = format!("add a conduit with `to: device` and `service: {}`", service.as_str());
                self.trouble.push(
                    Diagnostic::error("unreachable-service", message).at(service.at.location()).hint(hint),
                );
            }
            privileged |= ports.iter().any(|port| *port < u64::from(UNPRIVILEGED));
        }
        if let Some(cpu) = application.cpu.as_ref().filter(|cpu| !(1..=99).contains(&cpu.0)) {
            let message = format!("expected `cpu` of `{}` from 1% to 99%, found {}%", name.as_str(), cpu.0);
            let hint = "a program that may have all of a processor is not bounded";
            self.trouble
                .push(Diagnostic::error("application-bounds", message).at(cpu.at.location()).hint(hint));
        }
        let memory = application.memory.map_or_else(|| "50%".to_owned(), |size| size.0.to_string());
        let needs: Vec<&str> = application.needs_files.iter().map(|path| path.as_str()).collect();
        json!({
            "name": name.as_str(),
            "command": command,
            "account": account,
            "privileged": privileged,
            "needs_files": needs,
            "state": application.state.0,
            "memory": memory,
            "cpu": application.cpu.as_ref().map_or(CPU, |cpu| cpu.0),
            "tasks": application.tasks.map_or(TASKS, |tasks| tasks.0),
        })
    }
}
