//! One attack's file, as typed data.

use std::sync::Arc;

use diag::Diagnostic;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use spec::decode::{Decode, Decoder, Raw};
use spec::plan::{Plan, SigningPlan};
use spec::source::Source;
use spec::yaml::{Entry, Kind};

use crate::boot::USERSPACE;
use crate::mutate::{Mutation, Names, payload};
use crate::pattern::Pattern;

const KEYS: [&str; 6] = ["title", "threat", "source", "requirements", "mutations", "expect"];
/// May be left out.
const NEEDS: &str = "needs";

/// U-Boot's words for a configuration that its one required key did not sign, and for one that none of several did.
const REQUIRED_KEY: &str = "Failed to verify required signature 'key-{key}'";
const ANY_KEY: &str = "Failed to verify 'any' of the required signature(s)";

/// What an image must have for an attack to make sense; where it has not, `fastness attack` without names leaves
/// the attack out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A rollback version.
    Rollback,
    /// A sealed data partition.
    Sealed,
    /// A board on which SPL verifies U-Boot.
    Spl,
    /// A machine with a second flash bank.
    SecondFlash,
}

impl Need {
    /// Whether an image of that plan has it.
    #[must_use]
    pub fn is_met(self, plan: &Plan) -> bool {
        match self {
            Self::Rollback => plan.signing.rollback_version.is_some(),
            Self::Sealed => plan.storage.sealed.is_some(),
            Self::Spl => plan.board.boot.spl.is_some(),
            Self::SecondFlash => plan.board.qemu.as_ref().is_some_and(|qemu| !qemu.on_board),
        }
    }
}

/// How far the machine gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// SPL refuses; no U-Boot starts. What is changed is the FIT that SPL verifies, and SPL itself where others change U-Boot.
    Spl,
    /// U-Boot refuses; no kernel starts.
    UBoot,
    /// The kernel refuses; no program starts.
    Kernel,
    /// User space refuses.
    Userspace,
}

impl Stage {
    /// As files and records spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spl => "spl",
            Self::UBoot => "u-boot",
            Self::Kernel => "kernel",
            Self::Userspace => "userspace",
        }
    }
}

/// How the machine ends after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// SPL stops and waits for somebody to reset the board.
    Halt,
    /// U-Boot resets the machine, and QEMU confirms it.
    Reset,
    /// The kernel panics.
    Panic,
    /// The kernel restarts the machine.
    Restart,
}

impl Ending {
    /// The line that shows it.
    #[must_use]
    pub fn pattern(self) -> Pattern {
        Pattern::new(match self {
            Self::Halt => "### ERROR ### Please RESET the board ###",
            Self::Reset => "^resetting ...",
            Self::Panic => "Kernel panic - not syncing",
            Self::Restart => "reboot: Restarting system",
        })
    }
}

/// What must happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Where it is refused; where nothing is refused, how far it must get.
    pub stage: Stage,
    /// Lines of which one must appear. Empty where nothing is refused.
    pub refusal: Vec<Pattern>,
    /// Lines that must not appear, those of the stage among them.
    pub never: Vec<Pattern>,
    /// How the machine may end.
    pub ends_with: Vec<Ending>,
    /// Where nothing is refused: lines that must appear, in this order.
    pub boots: Vec<Pattern>,
    /// No attack, but a control of the harness.
    pub control: bool,
}

impl Expect {
    /// Whether the device must go on booting in spite of the change.
    #[must_use]
    pub fn must_boot(&self) -> bool {
        !self.boots.is_empty()
    }

    /// With the image's own names in place of `{key}`, `{algorithm}`, `{version}`, its rollback version, and the roles
    /// of its FIT's nodes.
    ///
    /// Where U-Boot trusts several keys, of which one is enough, it names none when it refuses (`boot/image-fit-sig.c`,
    /// `fit_config_verify_required_keys`).
    #[must_use]
    pub fn for_image(&self, key: &str, signing: &SigningPlan, nodes: &Names) -> Self {
        let version =
            signing.rollback_version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        let mut names =
            vec![("{key}", key), ("{algorithm}", signing.algorithm.as_str()), ("{version}", &version)];
        let nodes = nodes.pairs();
        names.extend(nodes.iter().map(|(role, name)| (role.as_str(), *name)));
        if !signing.also_trusts.is_empty() {
            names.insert(0, (REQUIRED_KEY, ANY_KEY));
        }
        let filled =
            |text: &str| names.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let fill = |patterns: &[Pattern]| {
            patterns.iter().map(|pattern| Pattern::new(&filled(pattern.text()))).collect()
        };
        Self {
            refusal: fill(&self.refusal),
            never: fill(&self.never),
            boots: fill(&self.boots),
            ..self.clone()
        }
    }
}

/// An attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// Its file's stem.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What the attacker wants and can do, as a sentence.
    pub threat: String,
    /// Where it is known from: a CVE, a document.
    pub source: String,
    /// Requirement ids it serves.
    pub requirements: Vec<String>,
    /// What the image must have.
    pub needs: Vec<Need>,
    /// What is changed, in order.
    pub mutations: Vec<Mutation>,
    /// What must happen.
    pub expect: Expect,
    /// The file, as a person would name it.
    pub defined_at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFile {
    stage: Stage,
    #[serde(default)]
    refusal: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    ends_with: Vec<Ending>,
    #[serde(default)]
    boots: Vec<String>,
    #[serde(default)]
    control: bool,
}

impl Attack {
    /// Reads an attack's file; everything that is wrong with it goes to `diagnostics`.
    pub fn read(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut decoder = Decoder::new(Arc::clone(source));
        let node = spec::yaml::parse(source, &mut decoder.diagnostics);
        let attack = node.and_then(|node| {
            let entries = decoder.mapping(&node, "an attack: a mapping")?;
            let known: Vec<&str> = KEYS.into_iter().chain([NEEDS]).collect();
            decoder.reject_unknown_keys(entries, &known);
            for key in KEYS.into_iter().filter(|key| entries.iter().all(|entry| entry.key != *key)) {
                let message = format!("expected the key `{key}`, found no such key");
                decoder.report(node.span, Diagnostic::error("missing-key", message));
            }
            let text = |decoder: &mut Decoder, key| value::<String>(decoder, entries, key);
            let title = text(&mut decoder, "title");
            let threat = text(&mut decoder, "threat");
            let origin = text(&mut decoder, "source");
            let requirements = value::<Vec<String>>(&mut decoder, entries, "requirements");
            let needs = match entry(entries, NEEDS) {
                Some(_) => value::<Vec<Need>>(&mut decoder, entries, NEEDS),
                None => Some(Vec::new()),
            };
            let mutations = mutations(&mut decoder, entries);
            let expect = expect(&mut decoder, entries);
            Some(Self {
                name: stem(source.name()),
                title: title?,
                threat: threat?,
                source: origin?,
                requirements: requirements?,
                needs: needs?,
                mutations: mutations?,
                expect: expect?,
                defined_at: source.name().to_owned(),
            })
        });
        let clean = decoder.diagnostics.is_empty();
        diagnostics.append(&mut decoder.diagnostics);
        attack.filter(|_| clean)
    }
}

fn stem(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".yaml").unwrap_or(name).to_owned()
}

fn entry<'e>(entries: &'e [Entry], key: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// A key's value by its serde type, problems at its place.
fn value<T: DeserializeOwned>(decoder: &mut Decoder, entries: &[Entry], key: &str) -> Option<T> {
    let node = &entry(entries, key)?.value;
    let json = Raw::decode(node, decoder)?.to_json();
    match serde_json::from_value(json) {
        Ok(value) => Some(value),
        Err(error) => {
            let message = format!("`{key}` cannot be read: {error}");
            decoder.report(node.span, Diagnostic::error("wrong-type", message));
            None
        }
    }
}

fn mutations(decoder: &mut Decoder, entries: &[Entry]) -> Option<Vec<Mutation>> {
    let node = &entry(entries, "mutations")?.value;
    let items = match &node.kind {
        Kind::List(items) if !items.is_empty() => items,
        _ => {
            decoder.wrong_type(node, "a list of at least one mutation");
            return None;
        }
    };
    let read = items.iter().map(|item| {
        let json = Raw::decode(item, decoder)?.to_json();
        match serde_json::from_value(json) {
            Ok(mutation) => Some(mutation),
            Err(error) => {
                let message = format!("the mutation cannot be read: {error}");
                let hint = "kinds and their fields are in attacks/README.md";
                decoder.report(item.span, Diagnostic::error("wrong-type", message).hint(hint));
                None
            }
        }
    });
    // Every item is read, so that every item's problems are reported.
    let read: Vec<Option<Mutation>> = read.collect();
    read.into_iter().collect()
}

fn expect(decoder: &mut Decoder, entries: &[Entry]) -> Option<Expect> {
    let span = entry(entries, "expect")?.value.span;
    let file: ExpectFile = value(decoder, entries, "expect")?;
    let wrong = match (file.refusal.is_empty(), file.boots.is_empty(), file.ends_with.is_empty()) {
        (true, true, _) => Some("expected `refusal` (or `boots` where nothing is refused), found neither"),
        (false, false, _) => Some("expected either `refusal` or `boots`, found both"),
        (false, true, true) => Some("expected `ends_with` with `refusal`, found none"),
        (true, false, false) => Some("expected no `ends_with` with `boots`, found one"),
        (false, _, _) if file.control => Some("expected `boots` with `control`, found `refusal`"),
        _ => None,
    };
    let empty = [&file.refusal, &file.never, &file.boots]
        .into_iter()
        .flatten()
        .any(|text| text.trim_matches(['*', '^', ' ']).is_empty());
    let wrong = wrong.or(empty.then_some("expected patterns with text in them, found an empty one"));
    if let Some(message) = wrong {
        decoder.report(span, Diagnostic::error("attack-expectation", message));
        return None;
    }
    let all = |texts: &[String]| Pattern::all(texts.iter().map(String::as_str));
    let boots = all(&file.boots);
    let mut never = all(&file.never);
    never.extend(forbidden(file.stage, &boots));
    Some(Expect {
        stage: file.stage,
        refusal: all(&file.refusal),
        never,
        ends_with: file.ends_with,
        boots,
        control: file.control,
    })
}

/// What no machine that was stopped at that stage writes.
fn forbidden(stage: Stage, boots: &[Pattern]) -> Vec<Pattern> {
    // A prompt of U-Boot is the end of every chain of trust.
    let mut texts = vec!["^=> ", payload::MARKER];
    if boots.is_empty() {
        if stage == Stage::Spl {
            texts.push(crate::boot::UBOOT);
        }
        if stage <= Stage::UBoot {
            texts.extend(["^Starting kernel", "Booting Linux on", "Linux version "]);
        }
        if stage <= Stage::Kernel {
            texts.extend(USERSPACE);
        }
    }
    Pattern::all(texts).into_iter().filter(|pattern| !boots.contains(pattern)).collect()
}

/// RSA with one trusted key.
#[cfg(test)]
pub(crate) fn plain_signing() -> SigningPlan {
    SigningPlan {
        algorithm: "sha256,rsa3072".into(),
        padding: "pss".into(),
        key: "dev".into(),
        release: false,
        rollback_version: None,
        also_trusts: Vec::new(),
        known_keys: std::collections::BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title: t\nthreat: s\nsource: n\nrequirements: [CR 3.4]\nmutations:\n  - {kind: remove-node, node: /x}\nexpect:\n  stage: u-boot\n  refusal: [\"{algorithm}:{key}-\"]\n  ends_with: [reset]\n";

    fn read(text: &str) -> (Option<Attack>, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let source = Source::new("attacks/some.yaml", "attacks/some.yaml", text.to_owned());
        (Attack::read(&source, &mut diagnostics), diagnostics)
    }

    #[test]
    fn a_whole_attack_is_read_and_knows_what_its_stage_forbids() {
        let (attack, diagnostics) = read(GOOD);
        assert_eq!(diagnostics, []);
        let attack = attack.unwrap();
        assert_eq!((attack.name.as_str(), attack.mutations.len()), ("some", 1));
        assert!(attack.expect.never.iter().any(|p| p.matches("Starting kernel ...")));
        let expect = attack.expect.for_image("dev", &plain_signing(), &Names::default());
        assert_eq!(expect.refusal[0].text(), "sha256,rsa3072:dev-");
    }

    #[test]
    fn among_several_trusted_keys_u_boot_names_none() {
        let refusal = "\"Failed to verify required signature 'key-{key}'\"";
        let (attack, _) = read(&GOOD.replace("\"{algorithm}:{key}-\"", refusal));
        let expect = attack.unwrap().expect;
        let mut signing = plain_signing();
        assert_eq!(
            expect.for_image("dev", &signing, &Names::default()).refusal[0].text(),
            "Failed to verify required signature 'key-dev'"
        );
        let next = spec::plan::TrustedKeyPlan {
            key: "next".into(),
            algorithm: String::new(),
            public: String::new(),
        };
        signing.also_trusts.push(next);
        let line = "Failed to verify 'any' of the required signature(s)";
        assert!(expect.for_image("dev", &signing, &Names::default()).refusal[0].matches(line));
    }

    #[test]
    fn every_mistake_is_said_with_its_line() {
        let (attack, diagnostics) = read(
            "titel: t\nthreat: s\nsource: n\nrequirements: CR\nmutations:\n  - {kind: remove-nod, node: /x}\n  - {kind: remove-node, node: /x, more: 1}\nexpect: {stage: moon}\n",
        );
        assert!(attack.is_none());
        let said: Vec<String> = diagnostics
            .iter()
            .map(|d| format!("{}: {}", d.location.as_ref().map_or(0, |l| l.line), d.message))
            .collect();
        for (at, part) in [
            (1, "unknown key `titel`"),
            (1, "expected the key `title`"),
            (4, "`requirements` cannot be read"),
            (6, "unknown variant `remove-nod`"),
            (7, "unknown field `more`"),
            (8, "unknown variant `moon`"),
        ] {
            let found = said.iter().any(|line| line.starts_with(&format!("{at}: ")) && line.contains(part));
            assert!(found, "line {at}: `{part}` is not in {said:#?}");
        }
    }

    #[test]
    fn every_kind_of_mutation_is_in_the_readme() {
        let readme = include_str!("../../../../attacks/README.md");
        // serde names every kind when it is given an unknown one.
        let json = serde_json::json!({"kind": "?"});
        let error = serde_json::from_value::<Mutation>(json).unwrap_err().to_string();
        let kinds: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert!(kinds.len() >= 25, "{error}");
        for kind in kinds {
            assert!(readme.contains(&format!("| `{kind}` |")), "`{kind}` is not in attacks/README.md");
        }
    }

    #[test]
    fn an_expectation_that_cannot_fail_is_refused() {
        for (from, to, message) in [
            ("  refusal: [\"{algorithm}:{key}-\"]\n", "", "found neither"),
            ("  ends_with: [reset]\n", "", "expected `ends_with`"),
            ("  ends_with", "  boots: [x]\n  ends_with", "found both"),
            ("\"{algorithm}:{key}-\"", "\"*\"", "found an empty one"),
        ] {
            let (attack, diagnostics) = read(&GOOD.replace(from, to));
            assert!(attack.is_none() && diagnostics[0].message.contains(message), "{diagnostics:?}");
        }
    }
}
