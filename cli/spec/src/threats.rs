//! `standards/threats.yaml`, and what a product adds to it: assets, and threats to them at the places where somebody
//! gets at the device, each with the controls that answer it. Here is the file's form, and what it may not say;
//! which controls a plan really has is `evidence`'s to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};

use crate::decode::{Map, Spanned, choice, model, suggestion};
use crate::library::{Area, Library, read_model};
use crate::source::{At, Source};
use crate::types::{CheckId, Name, Reason, Text};

/// The file's name below `standards/`, here and in a product's own folder.
pub const FILE: &str = "threats.yaml";

choice! {
    /// What may happen (STRIDE).
    pub enum Stride {
        /// Somebody passes for another.
        Spoofing = "spoofing",
        /// Something is changed.
        Tampering = "tampering",
        /// Something was done, and nobody can show by whom.
        Repudiation = "repudiation",
        /// Something is read by who must not.
        InformationDisclosure = "information-disclosure",
        /// Something stops working.
        DenialOfService = "denial-of-service",
        /// Somebody gets more rights.
        ElevationOfPrivilege = "elevation-of-privilege",
    }
}

choice! {
    /// What an asset must keep.
    pub enum Need {
        /// Only who may reads it.
        Confidentiality = "confidentiality",
        /// Nobody changes it unseen.
        Integrity = "integrity",
        /// It is there when it is needed.
        Availability = "availability",
        /// It is whose it says.
        Authenticity = "authenticity",
    }
}

choice! {
    /// A kind of place where somebody gets at the device. The product's plan says which of them there are.
    pub enum EntryKind {
        /// The disk, in the hands of somebody.
        Disk = "disk",
        /// The data partition.
        Data = "data",
        /// What starts first and holds the key.
        BootFlash = "boot-flash",
        /// The console.
        Console = "console",
        /// The board itself: debug ports, memory bus, power.
        Hardware = "hardware",
        /// A network interface, for whoever is on its link.
        Link = "link",
        /// A service of the device that others reach.
        Service = "service",
        /// A service of others that the device reaches.
        Client = "client",
        /// Frames without IP.
        Frames = "frames",
        /// A tunnel to a peer.
        Tunnel = "tunnel",
        /// An OPC UA application.
        Opcua = "opcua",
        /// A program of the device that takes what comes from a network, once somebody has taken it over.
        Program = "program",
        /// A person's account.
        Login = "login",
        /// The image on its way to the device.
        Update = "update",
        /// What the image is built from, and by whom.
        Build = "build",
    }
}

choice! {
    /// How much a threat weighs. Three words and no sum.
    pub enum Risk {
        /// Little happens, or hardly ever.
        Low = "low",
        /// Something happens that is repaired.
        Medium = "medium",
        /// The device, or what is behind it, is somebody else's.
        High = "high",
    }
}

choice! {
    /// Who has to answer what the image cannot.
    pub enum Who {
        /// Who designs the board.
        Hardware = "hardware",
        /// Who runs the device.
        Operator = "operator",
        /// The application on the device.
        Application = "application",
        /// Who makes the product.
        Maker = "maker",
    }
}

choice! {
    /// What a plan gives at an entry point, more or less of it.
    pub enum Bound {
        /// A conduit's peers: everybody is no bound.
        Peers = "peers",
        /// New connections of a conduit.
        Rate = "rate",
        /// Connections of a conduit that may be open at a time.
        Connections = "connections",
        /// A person's groups: the system's own are no bound.
        Groups = "groups",
    }
}

model! {
    /// Which entry points of a kind are meant: every list that is there must have the entry point's word.
    pub struct Match {
        /// Security of the protocol itself: `none`, `optional`, `always` or `unknown`.
        security: Vec<Name> = Vec::new(),
        /// `clear` or `tunnel`.
        path: Vec<Name> = Vec::new(),
        /// `tcp`, `udp`, …
        transport: Vec<Name> = Vec::new(),
        /// Name of the protocol.
        protocol: Vec<Name> = Vec::new(),
        /// Names of protocols that are not meant.
        but_protocol: Vec<Name> = Vec::new(),
        /// Kind of a tunnel, stack of an OPC UA application.
        kind: Vec<Name> = Vec::new(),
        /// Role of an OPC UA application.
        role: Vec<Name> = Vec::new(),
    }
}

impl Match {
    /// The lists by the attribute that they are about.
    #[must_use]
    pub fn lists(&self) -> [(&'static str, &[Name]); 6] {
        [
            ("security", &self.security),
            ("path", &self.path),
            ("transport", &self.transport),
            ("protocol", &self.protocol),
            ("kind", &self.kind),
            ("role", &self.role),
        ]
    }
}

model! {
    /// Something worth protecting.
    pub struct Asset {
        /// Its name among people.
        title: Text,
        /// What it must keep.
        needs: Vec<Need>,
        /// What is lost with it.
        reason: Reason,
    }
}

model! {
    /// Something that answers a threat. It counts when the plan has every one of its checks.
    pub struct Control {
        /// What it does.
        title: Text,
        /// Checks that show it; the layers bring them.
        checks: Vec<Spanned<CheckId>>,
        /// Attacks, probes of traffic and checks of the running device that prove it, as findings name them. They
        /// are not asked of a plan; one that fails fails the control.
        proofs: Vec<Spanned<CheckId>> = Vec::new(),
        /// What the plan gives, on which it depends: it does not count where that is no bound, and is lost where
        /// a later plan gives more.
        bounds: Vec<Bound> = Vec::new(),
        /// Entry points that it is for; without it every one of the threat's.
        matches: Option<Match> = None,
    }
}

model! {
    /// Who answers what the image cannot, and how.
    pub struct LeftTo {
        /// Who.
        who: Who,
        /// What has to be done, and why the image cannot.
        reason: Reason,
    }
}

model! {
    /// What remains once the controls hold.
    pub struct Residual {
        /// How much it weighs.
        risk: Risk,
        /// Why.
        reason: Reason,
    }
}

model! {
    /// A threat at one kind of entry point.
    pub struct Threat {
        /// What may happen, as a sentence.
        title: Text,
        /// What kind of thing that is.
        stride: Stride,
        /// Where.
        at: EntryKind,
        /// Which of them; without it every one.
        matches: Option<Match> = None,
        /// Assets that it is about.
        assets: Vec<Spanned<Name>>,
        /// What it weighs without controls.
        risk: Risk,
        /// Controls that answer it, together: without one of them it is not answered. None, and nobody it is left to:
        /// there is nothing yet, and a product that lives with it has to say why.
        controls: Vec<Control> = Vec::new(),
        /// Controls that lessen it and do not decide.
        lessened_by: Vec<Control> = Vec::new(),
        /// Who answers it where no control of the image can.
        left_to: Option<LeftTo> = None,
        /// What remains once it is answered.
        residual: Residual,
    }
}

model! {
    /// Assets, and threats to them.
    pub struct ThreatFile {
        /// Assets by name.
        assets: Map<Name, Asset> = Map::new(),
        /// Threats by id.
        threats: Map<CheckId, Threat> = Map::new(),
    }
}

/// Assets and threats, the common ones and the product's own.
#[derive(Clone, Debug, Default)]
pub struct Threats {
    /// Assets by name.
    pub assets: BTreeMap<String, Asset>,
    /// Threats by id, in the order of the files.
    pub threats: Vec<(String, Threat)>,
}

impl Threats {
    /// Those that are compiled in and those that a product adds.
    ///
    /// # Errors
    /// Everything that is wrong with the files, each with its place.
    pub fn read(library: &Library) -> Outcome<Self> {
        let mut sources = Vec::new();
        sources.extend(Library::built_in(None).read(Area::Standards, FILE)?);
        sources.extend(library.read_own(Area::Standards, FILE)?);
        Self::of(&sources)
    }

    /// Those of some files.
    ///
    /// # Errors
    /// As [`Threats::read`].
    pub fn of(sources: &[Arc<Source>]) -> Outcome<Self> {
        let mut trouble = Vec::new();
        let mut all = Self::default();
        let mut seen = BTreeSet::new();
        for source in sources {
            let Some(file) = read_model::<ThreatFile>(source, &mut trouble) else { continue };
            for (name, asset) in file.assets.0 {
                if all.assets.insert(name.as_str().to_owned(), asset).is_some() {
                    trouble.push(twice("asset", name.as_str(), &name.at));
                }
            }
            for (id, threat) in file.threats.0 {
                if !seen.insert(id.as_str().to_owned()) {
                    trouble.push(twice("threat", id.as_str(), &id.at));
                }
                let wrong = |message: String, hint: &str| {
                    Diagnostic::error("wrong-threat", message).at(id.at.location()).hint(hint)
                };
                if !threat.controls.is_empty() && threat.left_to.is_some() {
                    trouble.push(wrong(
                        format!("`{}` has `controls` and `left_to`; it may have one of them", id.as_str()),
                        "what remains beside controls is said in `residual`",
                    ));
                }
                for control in threat.controls.iter().chain(&threat.lessened_by) {
                    if control.checks.is_empty() {
                        trouble.push(wrong(
                            format!("the control `{}` has no check that shows it", control.title.as_str()),
                            "a control without a check is a hope: name checks, or leave it out",
                        ));
                    }
                }
                all.threats.push((id.as_str().to_owned(), threat));
            }
        }
        for (_, threat) in &all.threats {
            for asset in threat.assets.iter().filter(|name| !all.assets.contains_key(name.as_str())) {
                let message = format!("there is no asset `{}`", asset.as_str());
                let hint = suggestion(asset.as_str(), all.assets.keys().map(String::as_str));
                trouble.push(Diagnostic::error("unknown-asset", message).at(asset.at.location()).hint(hint));
            }
        }
        if trouble.is_empty() {
            Ok(all)
        } else {
            Err(Failure { status: ExitStatus::Input, diagnostics: trouble })
        }
    }
}

fn twice(what: &str, name: &str, at: &At) -> Diagnostic {
    Diagnostic::error("duplicate-name", format!("the {what} `{name}` is there twice"))
        .at(at.location())
        .hint("a product adds threats and assets, and replaces none: give it another name")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
assets:
  zone: {title: Zone, needs: [availability], reason: It stands still}
threats:
  net.flood: {title: It is flooded, stride: denial-of-service, at: link, assets: [zone], risk: medium,
    controls: [{title: Rates, checks: [net.new-limited]}], residual: {risk: low, reason: The link itself}}
";

    fn read(text: &str) -> Outcome<Threats> {
        Threats::of(&[Source::new("threats.yaml", "threats.yaml", text.to_owned())])
    }

    #[test]
    fn what_is_shipped_is_valid_and_touches_every_kind_of_entry() {
        let all = Threats::read(&Library::built_in(None)).unwrap_or_else(|failure| panic!("{failure}"));
        let touched: BTreeSet<&str> = all.threats.iter().map(|(_, threat)| threat.at.as_str()).collect();
        for kind in EntryKind::WORDS {
            assert!(touched.contains(kind), "no threat at `{kind}`");
        }
        let meant: BTreeSet<&str> = all.threats.iter().map(|(_, threat)| threat.stride.as_str()).collect();
        assert_eq!(meant.len(), Stride::WORDS.len());
        let used: BTreeSet<&str> =
            all.threats.iter().flat_map(|(_, threat)| threat.assets.iter().map(|a| a.as_str())).collect();
        assert_eq!(used.len(), all.assets.len(), "an asset without a threat");
    }

    #[test]
    fn each_mistake_is_told() {
        assert_eq!(read(GOOD).unwrap().threats.len(), 1);
        for (from, to, expected) in [
            ("assets: [zone]", "assets: [zoned]", "there is no asset `zoned`"),
            ("checks: [net.new-limited]", "checks: []", "has no check that shows it"),
            ("risk: medium", "left_to: {who: operator, reason: x}, risk: medium", "it may have one of them"),
            ("stride: denial-of-service", "stride: denial", "denial-of-service"),
            ("at: link", "at: links", "link"),
        ] {
            let failure = read(&GOOD.replace(from, to)).unwrap_err();
            assert_eq!(failure.status, ExitStatus::Input);
            assert!(failure.to_string().contains(expected), "{to}: {failure}");
        }
        let source = Source::new("threats.yaml", "threats.yaml", GOOD.to_owned());
        let failure = Threats::of(&[Arc::clone(&source), source]).unwrap_err();
        assert!(failure.to_string().contains("the threat `net.flood` is there twice"), "{failure}");
    }
}
