//! The proof by traffic: probes on the device's own wires, and what answers, against the plan.
//!
//! - [`frame`] builds probes and reads answers;
//! - [`wire`] carries frames to a virtual machine over Unix datagrams and keeps all of them;
//! - [`sweep`] asks everything of one interface;
//! - [`engine`] asks again and again while something happens to the device;
//! - [`tap`] hands frames to a device whose network is somebody else's, and [`flood`] sends many of them;
//! - [`relay`] stands for neighbours of the device, and [`ntp`] tells one of its networks the time;
//! - [`hub`] joins the device with a peer machine;
//! - [`industrial`] reads what Modbus and OPC UA answered through a tunnel;
//! - [`tunnel`] reads what both ends of a tunnel say;
//! - [`wireguard`] reads what the peer's end of WireGuard says;
//! - [`judge`] compares the answers with the plan's surface.
//!
//! No root, no interface and no network of the host. Nothing here starts a machine (that is `qemu`).

pub mod engine;
pub mod flood;
pub mod frame;
pub mod hub;
pub mod industrial;
pub mod judge;
pub mod ntp;
pub mod pcap;
pub mod rekey;
pub mod relay;
mod special;
pub mod sweep;
pub mod tap;
pub mod tunnel;
pub mod wire;
pub mod wireguard;

pub use engine::Engine;
pub use flood::Flood;
pub use relay::Relay;
pub use sweep::Sweep;
pub use tap::Tap;
pub use wire::Wire;
