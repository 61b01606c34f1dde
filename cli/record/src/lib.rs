//! The typed values that pass between the stages, each also a JSON file in the output folder.
//!
//! Rooms of one floor do not see each other; what one stage hands to the next is a type of
//! this room (or the `Plan` of `spec`). Nothing here computes anything beyond reading and
//! writing these values and hashing files.

mod artefact;
mod effective;
mod finding;
mod proof;
mod read;
mod store;
mod traffic;

pub use artefact::{Artefact, Artefacts, ImageRecord, KeyMark, PartitionRecord, Role, VendorRecord};
pub use effective::{EffectiveSymbol, SymbolState};
pub use finding::{Finding, Part, Stage, Verdict};
pub use proof::{
    AttackOutcome, AttackResult, BootRecord, ConsoleLine, Milestone, SelfcheckEvent, SelfcheckVerdict,
};
pub use read::{
    LARGEST_RECORD, Unread, is_inside, open_inside, open_regular, read_inside, read_json, read_regular,
    sha256_inside,
};
pub use store::{json_bytes, refuse_odd_place, sha256_file, sha256_hex, write_atomic, write_json_atomic};
pub use traffic::{
    DISABLED_FUNCTION, EVENT_STORM, EventClass, FLOODED, FORGOTTEN, FULL_AUDIT_LOG, FirewallClass, HUNG,
    KILLED_RECORDER, LOCKED_OUT, NAMED_EVENTS, NamedEvents, PERSON_LOGS_IN, TrafficClass, TrafficInterface,
    TrafficRecord, TrafficVerdict, TunnelClass,
};
