//! `standards/protocols/NAME.yaml`: what a protocol uses of the network, and what security it has.
//!
//! Facts with their sources. What a product may do with a protocol is decided in `resolve`.

use std::collections::BTreeMap;

use diag::{Diagnostic, Outcome};

use crate::decode::{Spanned, choice, model};
use crate::library::{Area, Library, read_model};
use crate::product::Transport;
use crate::types::{EtherType, Flag, MulticastRange, Name, Port, Reason, Text};

/// The folder of `standards/` that they lie in.
pub const FOLDER: &str = "protocols";

model! {
    /// A protocol: what it uses of the network, and what security it has of its own.
    pub struct Protocol {
        /// Its name among people.
        title: Text,
        /// What it is for.
        kind: ProtocolKind,
        /// Transports and ports over IP.
        endpoints: Vec<Endpoint> = Vec::new(),
        /// Frames without IP.
        frames: Vec<Frames> = Vec::new(),
        /// Whether it has security of its own: proof of who speaks, and protection of what is said.
        security: Security,
        /// How, where it has.
        secured_by: Option<Reason> = None,
        /// The protocol that says the same with security.
        secure_variant: Option<Spanned<Name>> = None,
        /// Where this is written: a clause of its specification, an entry of a registry.
        sources: Vec<Text>,
        /// What one must know besides.
        notes: Option<Reason> = None,
    }
}

choice! {
    /// What a protocol is for.
    pub enum ProtocolKind {
        /// Talks to machines: without security of its own it passes through a tunnel.
        Industrial = "industrial",
        /// Serves the device itself: time, logs, maintenance.
        Supporting = "supporting",
        /// Carries others.
        Tunnel = "tunnel",
    }
}

choice! {
    /// Security of a protocol itself.
    pub enum Security {
        /// It has none.
        None = "none",
        /// The application may switch it on.
        Optional = "optional",
        /// It is never without.
        Always = "always",
    }
}

model! {
    /// A transport and its port.
    pub struct Endpoint {
        /// Transport.
        transport: Transport,
        /// Destination port; none: the specification gives none, and the service says it.
        port: Option<Port> = None,
    }
}

model! {
    /// Frames of one ethertype.
    pub struct Frames {
        /// The ethertype.
        ethertype: Spanned<EtherType>,
        /// What is in them.
        about: Text,
        /// Multicast destinations.
        multicast: Vec<MulticastRange> = Vec::new(),
        /// Whether nobody answers them.
        one_way: Flag = Flag(false),
    }
}

impl Protocol {
    /// Whether it may pass only through a tunnel, or with a risk that somebody accepted.
    #[must_use]
    pub fn needs_tunnel(&self) -> bool {
        self.kind == ProtocolKind::Industrial && self.security == Security::None
    }
}

/// Protocols by name.
pub type Protocols = BTreeMap<String, Protocol>;

/// Every protocol of a library; what is wrong with one goes to `trouble`.
///
/// # Errors
/// A file that is there cannot be read.
pub fn all(library: &Library, trouble: &mut Vec<Diagnostic>) -> Outcome<Protocols> {
    let mut protocols = Protocols::new();
    for name in library.file_names(Area::Standards, FOLDER)? {
        if let Some(source) = library.read(Area::Standards, &format!("{FOLDER}/{name}.yaml"))?
            && let Some(protocol) = read_model::<Protocol>(&source, trouble)
        {
            protocols.insert(name, protocol);
        }
    }
    Ok(protocols)
}
