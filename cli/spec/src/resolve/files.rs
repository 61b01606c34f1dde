//! Files and checks: rendered last, because their templates see everything that was asked.

use diag::Diagnostic;
use serde_json::{Value, json};

use super::Resolver;
use super::asks::Asker;
use super::layers::Applied;
use super::own_checks::Looks;
use crate::decode::{Spanned, suggestion};
use crate::layer::{CheckAsk, FileAsk, ForEach, SelfCheckAsk};
use crate::library::Area;
use crate::plan::{CheckPlan, FilePlan};
use crate::source::At;
use crate::types::{Templated, UserName};

/// Where a device keeps its own checks (docs/contract.md).
const SELFCHECK_FOLDER: &str = "/usr/lib/fastness/selfcheck.d";

/// A file in a few words, for conflicts.
pub fn show(file: &FilePlan) -> String {
    match file {
        FilePlan::File { mode, owner, group, content } => {
            let hash = record::sha256_hex(content.as_bytes());
            format!("a file {mode} {owner}:{group} with sha256 {}", &hash[..12])
        }
        FilePlan::Program { mode, owner, group, sha256, .. } => {
            format!("a program {mode} {owner}:{group} with sha256 {}", sha256.get(..12).unwrap_or(sha256))
        }
        FilePlan::Directory { mode, owner, group } => format!("a folder {mode} {owner}:{group}"),
        FilePlan::Symlink { target } => format!("a link to `{target}`"),
    }
}

/// Whether a text holds a private key in PEM (RFC 7468, 10 and 11, and the older forms of OpenSSL), of OpenSSH or
/// OpenPGP, or a static key of OpenVPN.
pub(super) fn holds_secret(content: &str) -> bool {
    content.split("-----BEGIN ").skip(1).any(|rest| {
        let label = rest.split_once("-----").map_or("", |(label, _)| label);
        label.ends_with("PRIVATE KEY")
            || label == "PGP PRIVATE KEY BLOCK"
            || (label.starts_with("OpenVPN ") && label.to_ascii_lowercase().contains("key"))
    })
}

impl Resolver<'_> {
    /// A template's text, rendered against what is known now.
    pub(super) fn template_file(&mut self, area: Area, path: &str, at: &At) -> Option<String> {
        let source = match self.library.read(area, path) {
            Ok(Some(source)) => source,
            Ok(None) => {
                let message = format!("expected the template `templates/{path}`, found no such file");
                self.trouble.push(Diagnostic::error("missing-template", message).at(at.location()));
                return None;
            }
            Err(mut failure) => {
                self.trouble.append(&mut failure.diagnostics);
                return None;
            }
        };
        match self.renderer.file(&source) {
            Ok(text) => Some(text),
            Err(problem) => {
                self.trouble.push(problem.note("it is rendered for this", Some(at.location())));
                None
            }
        }
    }

    /// Files, folders and links of a layer.
    pub(super) fn layer_files(&mut self, layer: &Applied) {
        for ask in &layer.model.files {
            for item in self.each(ask.for_each) {
                self.enter(&item);
                self.file(&layer.who(), ask);
                self.leave(&item);
            }
        }
        for ask in &layer.model.selfcheck {
            self.selfcheck(layer, ask);
        }
    }

    /// What an ask is made for: once, or once each with the item's name in templates and the item.
    pub(super) fn each(&self, each: Option<ForEach>) -> Vec<Option<(&'static str, Value)>> {
        let (name, items) = match each {
            None => return vec![None],
            Some(ForEach::Users) => ("user", self.renderer.get("users")),
            Some(ForEach::Interfaces) => ("interface", self.interfaces()),
            Some(kind @ (ForEach::Strongswan | ForEach::Openvpn | ForEach::Wireguard)) => {
                ("tunnel", self.renderer.get("ends")[kind.as_str()].clone())
            }
            Some(kind) => ("application", self.renderer.get("ends")[kind.as_str()].clone()),
        };
        items.as_array().into_iter().flatten().map(|item| Some((name, item.clone()))).collect()
    }

    /// Shows templates the item.
    pub(super) fn enter(&mut self, item: &Option<(&'static str, Value)>) {
        if let Some((name, item)) = item {
            self.renderer.set(name, item.clone());
        }
    }

    /// Takes it away again.
    pub(super) fn leave(&mut self, item: &Option<(&'static str, Value)>) {
        if let Some((name, _)) = item {
            self.renderer.unset(name);
        }
    }

    fn interfaces(&self) -> Value {
        let network = self.renderer.get("network");
        let interfaces = network["interfaces"].as_object().cloned().unwrap_or_default();
        interfaces
            .into_iter()
            .map(|(name, mut facts)| {
                facts["name"] = name.into();
                facts
            })
            .collect()
    }

    fn file(&mut self, who: &str, ask: &FileAsk) {
        let at = &ask.path.at;
        let Some(path) = self.templated(&ask.path.value, at) else { return };
        let mode = |default: &str| ask.mode.as_ref().map_or(default, |mode| mode.as_str()).to_owned();
        let plan = match (&ask.template, &ask.symlink, ask.directory.0) {
            (Some(template), None, false) => {
                let content = self.template_file(Area::Templates, template.as_str(), &template.at);
                let (owner, group) = (self.owner(ask.owner.as_ref()), self.owner(ask.group.as_ref()));
                let (Some(content), Some(owner), Some(group)) = (content, owner, group) else { return };
                FilePlan::File { mode: mode("0644"), owner, group, content }
            }
            (None, None, true) => {
                let (owner, group) = (self.owner(ask.owner.as_ref()), self.owner(ask.group.as_ref()));
                let (Some(owner), Some(group)) = (owner, group) else { return };
                FilePlan::Directory { mode: mode("0755"), owner, group }
            }
            (None, Some(target), false)
                if ask.mode.is_none() && ask.owner.is_none() && ask.group.is_none() =>
            {
                let Some(target) = self.templated(&target.value, &target.at) else { return };
                FilePlan::Symlink { target: target.as_str().to_owned() }
            }
            (None, Some(_), false) => {
                let message = format!(
                    "the link `{}` has a mode or an owner, which a link does not have",
                    path.as_str()
                );
                self.trouble.push(Diagnostic::error("file-kind", message).at(at.location()));
                return;
            }
            _ => {
                let message = format!(
                    "expected exactly one of `template`, `symlink` and `directory: true` for `{}`",
                    path.as_str()
                );
                self.trouble.push(Diagnostic::error("file-kind", message).at(at.location()));
                return;
            }
        };
        self.asked.files.ask(path.as_str(), plan, Asker::new(who, at, &ask.reason), &mut self.trouble);
    }

    fn owner(&mut self, ask: Option<&Spanned<Templated<UserName>>>) -> Option<String> {
        let Some(ask) = ask else { return Some("root".to_owned()) };
        self.templated(&ask.value, &ask.at).map(|name| name.as_str().to_owned())
    }

    fn selfcheck(&mut self, layer: &Applied, ask: &SelfCheckAsk) {
        let Some(content) = self.template_file(Area::Templates, ask.script.as_str(), &ask.script.at) else {
            return;
        };
        let asker = Asker::saying(&layer.who(), &ask.id.at, ask.title.as_str());
        let root = || "root".to_owned();
        let file = FilePlan::File { mode: "0755".to_owned(), owner: root(), group: root(), content };
        let path = format!("{SELFCHECK_FOLDER}/{}", ask.id.as_str());
        self.asked.files.ask(&path, file, asker.clone(), &mut self.trouble);
        self.known_requirements(&ask.requirements);
        let check = CheckPlan {
            title: ask.title.as_str().to_owned(),
            layer: layer.name.clone(),
            kind: "selfcheck".to_owned(),
            with: json!({}),
            requirements: ask.requirements.iter().map(|id| id.as_str().to_owned()).collect(),
            by_product: self.by_product(layer, &ask.id, ask.shows.0, Looks::Running),
        };
        self.asked.checks.ask(ask.id.as_str(), check, asker, &mut self.trouble);
    }

    /// Checks of a layer.
    pub(super) fn layer_checks(&mut self, layer: &Applied) {
        for ask in &layer.model.checks {
            self.known_requirements(&ask.requirements);
            let by_product = self.by_product(layer, &ask.id, ask.shows.0, Looks::Image);
            let elsewhere = ask.backend.is_some_and(|only| only != self.backend);
            if elsewhere || !self.architecture.is_of(&ask.architectures) {
                continue;
            }
            for item in self.each(ask.for_each) {
                self.enter(&item);
                let with = self.check_parameters(ask);
                self.leave(&item);
                let Some(mut with) = with else { continue };
                if ask.kind.as_str() == "uboot-config" {
                    self.rename_symbols(&mut with);
                }
                let check = CheckPlan {
                    title: ask.title.as_str().to_owned(),
                    layer: layer.name.clone(),
                    kind: ask.kind.as_str().to_owned(),
                    with,
                    requirements: ask.requirements.iter().map(|id| id.as_str().to_owned()).collect(),
                    by_product,
                };
                let id = match item.as_ref().and_then(|(_, item)| item["name"].as_str()) {
                    Some(name) => format!("{}.{name}", ask.id.as_str()),
                    None => ask.id.as_str().to_owned(),
                };
                let reason = ask.reason.as_ref().map_or(ask.title.as_str(), |reason| &reason.0);
                let asker = Asker::saying(&layer.who(), &ask.id.at, reason);
                self.asked.checks.ask(&id, check, asker, &mut self.trouble);
            }
        }
    }

    /// A check asks for U-Boot's symbols by the names that the plan has for them.
    fn rename_symbols(&self, with: &mut Value) {
        let Some(expect) = with.get_mut("expect").and_then(Value::as_object_mut) else { return };
        for (old, new) in &self.renamed_uboot {
            if let Some(value) = expect.remove(old) {
                expect.insert(new.clone(), value);
            }
        }
    }

    fn check_parameters(&mut self, ask: &CheckAsk) -> Option<Value> {
        let Some(with) = &ask.with else { return Some(json!({})) };
        match self.filled(with.to_json(), &with.at) {
            Ok(value @ Value::Object(_)) => Some(value),
            Ok(_) => {
                let message = format!("expected a mapping in `with` of the check `{}`", ask.id.as_str());
                self.trouble.push(Diagnostic::error("wrong-type", message).at(with.at.location()));
                None
            }
            Err(problem) => {
                self.trouble.push(*problem);
                None
            }
        }
    }

    /// Renders each text that holds `{{…}}`; `{{json x}}` alone becomes the value itself.
    fn filled(&self, value: Value, at: &At) -> Result<Value, Box<Diagnostic>> {
        Ok(match value {
            Value::String(text) if text.contains("{{") => {
                let rendered = self.renderer.inline(&text, at)?;
                let whole =
                    text.starts_with("{{json ") && text.ends_with("}}") && text.matches("{{").count() == 1;
                if whole {
                    serde_json::from_str(&rendered).unwrap_or(rendered.into())
                } else {
                    rendered.into()
                }
            }
            Value::Array(items) => items.into_iter().map(|v| self.filled(v, at)).collect::<Result<_, _>>()?,
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(key, v)| Ok((key, self.filled(v, at)?)))
                    .collect::<Result<_, Box<Diagnostic>>>()?,
            ),
            other => other,
        })
    }

    /// Owners that do not exist, and files below something that is no folder.
    pub(super) fn reject_bad_files(&mut self) {
        for (path, entry) in &self.asked.files.map {
            let at = || entry.askers[0].at.location();
            if let FilePlan::File { owner, group, .. } | FilePlan::Directory { owner, group, .. } =
                &entry.value
            {
                if !self.accounts.has_user(owner) {
                    let hint = suggestion(owner, self.accounts.user_names());
                    let message = format!("`{path}` belongs to the user `{owner}`, which does not exist");
                    self.trouble.push(Diagnostic::error("unknown-owner", message).at(at()).hint(hint));
                }
                if !self.accounts.has_group(group) {
                    let hint = suggestion(group, self.accounts.group_names());
                    let message = format!("`{path}` belongs to the group `{group}`, which does not exist");
                    self.trouble.push(Diagnostic::error("unknown-owner", message).at(at()).hint(hint));
                }
            }
            // One image is for many devices.
            if let FilePlan::File { content, .. } = &entry.value
                && holds_secret(content)
            {
                let message =
                    format!("`{path}` holds a private key, which every device with this image would share");
                let hint = "take it out, and replace it if others may have seen it; `fastness provision` writes a \
                            device's own secrets for its data partition, which is no part of the image";
                self.trouble.push(Diagnostic::error("secret-in-image", message).at(at()).hint(hint));
            }
            for (end, _) in path.match_indices('/').filter(|(end, _)| *end > 0) {
                let Some(parent) = self.asked.files.map.get(&path[..end]) else { continue };
                if !matches!(parent.value, FilePlan::Directory { .. }) {
                    let message =
                        format!("`{path}` is below `{}`, which is {}", &path[..end], show(&parent.value));
                    self.trouble.push(
                        Diagnostic::error("conflict", message)
                            .at(at())
                            .note("it is asked for here", Some(parent.askers[0].at.location())),
                    );
                }
            }
        }
    }
}
