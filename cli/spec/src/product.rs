//! `product.yaml`: what the device is and who may talk to it.

mod application;
mod logging;
mod network;
mod opcua;

use crate::architecture::Architecture;
use crate::board::SymbolAsk;
use crate::buildroot::BuildrootAsk;
use crate::decode::{Map, Raw, Spanned, choice, model};
use crate::types::{
    AbsPath, Address, Algorithm, Banner, BuildrootRelease, Count, FileUrl, Flag, HostName, Integer,
    InterfaceName, KeyName, LocalPath, Mirror, Name, PackageName, ParameterName, Reason, SecurityLevel,
    Series, Sha256, Size, SshPublicKey, Text, UserName, Version, WaiverTarget, Word,
};
use crate::yocto::Yocto;

pub use application::{Application, ApplicationFile, ApplicationProof};
pub use logging::{Collector, Logging};
pub use network::{
    AcceptedRisk, Conduit, Interface, KeyPlace, Ocsp, Service, Transport, Tunnel, TunnelKind, TunnelLocal,
    TunnelPeer, Zone,
};
pub use opcua::{OpcuaApplication, OpcuaRole, OpcuaStack};

/// Layers that are on unless a product says `without` and why.
pub const DEFAULT_LAYERS: [&str; 9] = [
    "base",
    "kernel-hardening",
    "verified-boot",
    "verity-root",
    "firewall",
    "ssh",
    "audit",
    "time",
    "selfcheck",
];

/// The default time stamp of everything that is built: 2025-12-01T00:00:00Z.
pub const DEFAULT_EPOCH: u64 = 1_764_547_200;

model! {
    /// A product: what the device is and who may talk to it.
    pub struct Product {
        /// Name of the product.
        name: Spanned<Name>,
        /// Version of the product.
        version: Spanned<Version>,
        /// One line for people.
        description: Spanned<Text>,
        /// IEC 62443-4-2 component type.
        component_type: ComponentType,
        /// Target capability security level (IEC 62443-4-2), 1 to 4.
        security_level: SecurityLevel,
        /// Boards it is built for; the first is the default.
        boards: Vec<Spanned<Name>>,
        /// Host name of the device; default: the product's name.
        hostname: Option<Spanned<HostName>> = None,
        /// SOURCE_DATE_EPOCH in seconds: the time stamp of everything that is built.
        epoch: Option<Integer> = None,
        /// Build system that makes the parts; default `debian`.
        backend: Backend = Backend::Debian,
        /// Settings of the Debian backend.
        debian: Option<Debian> = None,
        /// Settings of the Buildroot backend.
        buildroot: Option<Buildroot> = None,
        /// Settings of the Yocto backend.
        yocto: Option<Yocto> = None,
        /// How the boot chain is signed; defaults come from the board.
        signing: Option<Signing> = None,
        /// Parameters by layer. A layer that is named here is applied.
        layers: Map<Name, Map<ParameterName, Raw>> = Map::new(),
        /// Default layers that are left out, each with a reason that the report prints.
        without: Vec<Without> = Vec::new(),
        /// Zones by name (IEC 62443-3-2).
        zones: Map<Name, Zone> = Map::new(),
        /// Interfaces by name, with their addresses.
        interfaces: Map<InterfaceName, Interface> = Map::new(),
        /// Services by name.
        services: Map<Name, Service> = Map::new(),
        /// Tunnels by name.
        tunnels: Map<Name, Tunnel> = Map::new(),
        /// Who is asked whether a tunnel's peer was revoked; it switches the layer `ocsp` on.
        ocsp: Option<Spanned<Ocsp>> = None,
        /// Allowed flows between the device and a zone; everything else is denied.
        conduits: Vec<Conduit> = Vec::new(),
        /// OPC UA applications by name.
        opcua: Map<Name, OpcuaApplication> = Map::new(),
        /// The product's own programs, by name.
        applications: Map<Name, Application> = Map::new(),
        /// People who log in, by account name.
        users: Map<UserName, Person> = Map::new(),
        /// Facts for the ssh layer.
        ssh: Option<Ssh> = None,
        /// Where the time comes from.
        time: Option<Time> = None,
        /// Where the records of security events go besides the device itself.
        logging: Option<Logging> = None,
        /// Sizes on the disk.
        storage: Option<Storage> = None,
        /// What is shown before a login.
        banner: Option<Banner> = None,
        /// Checks and symbols that may stay unmet, each with a reason that the report prints.
        waivers: Vec<Waiver> = Vec::new(),
    }
}

choice! {
    /// IEC 62443-4-2 component types.
    pub enum ComponentType {
        /// Software application.
        Sar = "SAR",
        /// Embedded device.
        Edr = "EDR",
        /// Host device.
        Hdr = "HDR",
        /// Network device.
        Ndr = "NDR",
    }
}

choice! {
    /// Build systems that can make the parts.
    pub enum Backend {
        /// Debian packages.
        Debian = "debian",
        /// A Buildroot external tree.
        Buildroot = "buildroot",
        /// Layers for Yocto.
        Yocto = "yocto",
    }
}

choice! {
    /// RSA signature paddings, as U-Boot spells them.
    pub enum Padding {
        /// RSASSA-PKCS1-v1_5.
        Pkcs15 = "pkcs-1.5",
        /// RSASSA-PSS.
        Pss = "pss",
    }
}

model! {
    /// Settings of the Debian backend.
    pub struct Debian {
        /// Suite.
        suite: Word = default_suite(),
        /// Mirror; nothing: the host's own apt configuration says which.
        mirror: Option<Mirror> = None,
        /// Source package of U-Boot; default `u-boot`.
        uboot_source: Option<PackageName> = None,
        /// Package of the kernel's source with the suite's patches; default `linux-source-6.12`, that of trixie.
        linux_source: Option<PackageName> = None,
    }
}

model! {
    /// Settings of the Buildroot backend.
    pub struct Buildroot {
        /// Buildroot series, such as `2026.02`; default: the newest long-term one.
        series: Option<Spanned<Series>> = None,
        /// The release that Fastness fetches when no tree is given; it decides the series.
        release: Option<BuildrootSource> = None,
        /// BusyBox symbols of the applets that the product wants; left out, BusyBox is off. Init is systemd.
        busybox: Option<Vec<SymbolAsk>> = None,
        /// Buildroot symbols of the product's own: a toolchain, a package's option.
        symbols: Vec<BuildrootAsk> = Vec::new(),
    }
}

model! {
    /// A Buildroot release, pinned: what is fetched is compared with the hash before it is unpacked.
    pub struct BuildrootSource {
        /// Its version, such as `2026.02.3`.
        version: Spanned<BuildrootRelease>,
        /// SHA-256 of the tarball (`.tar.xz` or `.tar.gz`).
        sha256: Sha256,
        /// Where the tarball is; default: the project's own server.
        url: Option<FileUrl> = None,
    }
}

/// The suite that is built when none is named.
#[must_use]
pub fn default_suite() -> Word {
    // A constant of the type's own alphabet; the other arm cannot be reached.
    match <Word as crate::types::Scalar>::parse("trixie", true) {
        Ok(word) => word,
        Err(_) => unreachable!("`trixie` is a word"),
    }
}

model! {
    /// How the boot chain is signed.
    pub struct Signing {
        /// Signature algorithm; one that the board's U-Boot verifies.
        algorithm: Option<Spanned<Algorithm>> = None,
        /// Padding; one that the board's U-Boot verifies.
        padding: Option<Spanned<Padding>> = None,
        /// Key name in the key store; default: the product's name and `-dev`.
        key: Option<Spanned<KeyName>> = None,
        /// Whether this is a release, which refuses development keys.
        release: Flag = Flag(false),
        /// Rollback version, 1 to 255: raised when older images must not start any more. Left out: they do. It needs a
        /// board with a counter.
        rollback_version: Option<Spanned<Integer>> = None,
        /// Keys that U-Boot trusts beside the product's own, while a key is being replaced: one signature is enough.
        also_trusts: Vec<TrustedKey> = Vec::new(),
    }
}

model! {
    /// A key that U-Boot trusts beside the product's own.
    pub struct TrustedKey {
        /// Its name: the `key-name-hint` of what it signs.
        key: Spanned<KeyName>,
        /// Algorithm of its signatures; default: the product's.
        algorithm: Option<Spanned<Algorithm>> = None,
        /// File in the product's folder with its public half, as `fastness keys show` and OpenSSL write it (PEM).
        public: Spanned<LocalPath>,
    }
}

model! {
    /// A default layer that is left out.
    pub struct Without {
        /// The layer.
        layer: Spanned<Name>,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A person who logs in. There is no password that works.
    pub struct Person {
        /// Fixed numeric id, 1000 to 59999.
        uid: Spanned<Count>,
        /// Comment (GECOS), such as the role.
        comment: Option<Text> = None,
        /// OpenSSH public keys, whole lines.
        ssh_keys: Vec<SshPublicKey> = Vec::new(),
        /// Further groups.
        groups: Vec<Spanned<UserName>> = Vec::new(),
        /// Home folder; default `/home/NAME`.
        home: Option<AbsPath> = None,
        /// Login shell; default `/bin/sh`.
        shell: Option<AbsPath> = None,
    }
}

model! {
    /// Facts for the ssh layer.
    pub struct Ssh {
        /// Certificate authorities whose user certificates are accepted.
        user_ca: Vec<SshPublicKey> = Vec::new(),
    }
}

model! {
    /// Where the time comes from.
    pub struct Time {
        /// Servers in order of preference.
        servers: Vec<TimeServer>,
        /// File in the product's folder with the certificates (PEM) of the authorities that certified the servers with `nts`; needed
        /// where one has it, since a device trusts no authority that its product does not name.
        roots: Option<Spanned<LocalPath>> = None,
    }
}

model! {
    /// A time server.
    pub struct TimeServer {
        /// Its address. With `nts` its certificate has to name it.
        address: Spanned<Address>,
        /// Whether it speaks Network Time Security (RFC 8915).
        nts: Flag = Flag(false),
    }
}

model! {
    /// Sizes on the disk that are the product's choice.
    pub struct Storage {
        /// Size of the data partition; default `64MiB`.
        data: Option<Spanned<Size>> = None,
        /// zstd level of the root file system, 1 to 22; default 6: a release may take the time for 19.
        zstd_level: Option<Spanned<Integer>> = None,
        /// The data partition is encrypted, its key sealed to what U-Boot measures; left out: it is plain.
        sealed: Option<Sealed> = None,
    }
}

model! {
    /// A data partition whose key the TPM gives only to the kernel, FDT and configuration that made it.
    pub struct Sealed {
        /// File in the product's folder with the public RSA key to which each device encrypts its recovery key (PEM).
        recovery: Spanned<LocalPath>,
    }
}

model! {
    /// Something that may stay unmet.
    pub struct Waiver {
        /// A check id, `linux:SYMBOL`, `uboot:SYMBOL`, `buildroot:SYMBOL`, `busybox:SYMBOL`, `kernel-hardening-checker:NAME`,
        /// `threat:ID` or `threat:ID:ENTRY` for a risk that is taken (`fastness threats`), or `facts:AREA:FACT` for a difference from
        /// another image (`*` in FACT stands for any text).
        waives: Spanned<WaiverTarget>,
        /// Architectures on which it is waived; none named: every one.
        architectures: Vec<Spanned<Architecture>> = Vec::new(),
        /// Why.
        reason: Spanned<Reason>,
    }
}
