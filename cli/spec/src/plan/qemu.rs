//! The emulated machine of a board.

use serde::{Deserialize, Serialize};

/// The socket of the TPM emulator's control, in QEMU's working folder.
pub const TPM_SOCKET: &str = "tpm.sock";

/// The QEMU machine of a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QemuFacts {
    /// Program, such as `qemu-system-aarch64`.
    pub program: String,
    /// Value of `-machine`, without `dumpdtb`.
    pub machine: String,
    /// Value of `-cpu`.
    pub cpu: String,
    /// Number of processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Whether the boot loader is put in memory (`-bios`) instead of the first flash bank.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_memory: bool,
    /// Whether disk and network are the SoC's own, and no virtio devices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_board: bool,
    /// The serial port on which the device reports its self-check, where there is no virtio port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_port: Option<String>,
    /// The device that is a TPM 2.0, for products that use one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<String>,
    /// The device that is its hardware watchdog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
}

impl QemuFacts {
    /// The arguments that decide the device tree; the same for `dumpdtb` and for a run.
    ///
    /// With a TPM, QEMU connects to [`TPM_SOCKET`] in its working folder.
    #[must_use]
    pub fn machine_arguments(&self) -> Vec<String> {
        let (cpus, memory) = (self.cpus.to_string(), self.memory_mib.to_string());
        let mut words = vec!["-machine", &self.machine, "-cpu", &self.cpu, "-smp", &cpus, "-m", &memory];
        let socket = format!("socket,id=tpm-socket,path={TPM_SOCKET}");
        let device = self.tpm.as_ref().map(|device| format!("{device},tpmdev=tpm"));
        if let Some(device) = &device {
            words.extend(["-chardev", &socket, "-tpmdev", "emulator,id=tpm,chardev=tpm-socket"]);
            words.extend(["-device", device]);
        }
        if let Some(device) = &self.watchdog {
            // As hardware does; whoever started QEMU may otherwise have told it to ignore it.
            words.extend(["-device", device, "-action", "watchdog=reset"]);
        }
        words.into_iter().map(str::to_owned).collect()
    }
}
