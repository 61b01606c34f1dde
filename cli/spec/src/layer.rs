//! `layer.yaml`: one hardening capability.

use crate::architecture::Architecture;
use crate::board::{KernelArgument, SymbolAsk};
use crate::decode::{Map, Raw, Spanned, choice, model};
use crate::product::{Backend, Waiver};
use crate::types::{
    AbsPath, CheckId, CheckKind, Count, Flag, Glob, Integer, LinkTarget, Mode, Name, PackageName,
    ParameterName, PatchPath, Reason, RequirementId, SysctlKey, SysctlValue, TemplatePath, Templated, Text,
    UnitName, UserName, Word,
};

model! {
    /// A layer: one hardening capability, what it asks for and how that is proved.
    pub struct Layer {
        /// One line.
        title: Text,
        /// What it does, for people.
        description: Reason,
        /// Layers that must be applied too.
        needs: Vec<Spanned<Name>> = Vec::new(),
        /// Requirements that it serves.
        requirements: Vec<Spanned<RequirementId>> = Vec::new(),
        /// Parameters by name.
        parameters: Map<ParameterName, Parameter> = Map::new(),
        /// Symbols of U-Boot.
        uboot: Vec<SymbolAsk> = Vec::new(),
        /// Patches of U-Boot's source, in the order of their names.
        uboot_patches: Vec<PatchAsk> = Vec::new(),
        /// Symbols of the kernel.
        linux: Vec<SymbolAsk> = Vec::new(),
        /// Kernel arguments.
        cmdline: Vec<KernelArgument> = Vec::new(),
        /// Packages.
        packages: Vec<PackageAsk> = Vec::new(),
        /// Paths that are taken out of the packages' files.
        remove: Vec<RemoveAsk> = Vec::new(),
        /// Files, folders and links.
        files: Vec<FileAsk> = Vec::new(),
        /// Accounts of services: locked, without a shell.
        users: Vec<UserAsk> = Vec::new(),
        /// Groups.
        groups: Vec<GroupAsk> = Vec::new(),
        /// States of systemd units.
        units: Vec<UnitAsk> = Vec::new(),
        /// sysctl values.
        sysctl: Vec<SysctlAsk> = Vec::new(),
        /// Modes of packaged files that differ from what the package ships.
        modes: Vec<ModeAsk> = Vec::new(),
        /// What it keeps on the data partition, and how much of it at most: that much is reserved for root.
        kept: Vec<KeptAsk> = Vec::new(),
        /// Checks that prove it.
        checks: Vec<CheckAsk> = Vec::new(),
        /// Checks that the device runs on itself at boot.
        selfcheck: Vec<SelfCheckAsk> = Vec::new(),
        /// What may stay unmet.
        waivers: Vec<Waiver> = Vec::new(),
    }
}

model! {
    /// A parameter of a layer.
    pub struct Parameter {
        /// Its type.
        r#type: crate::parameter::ParameterType,
        /// Whether it is a list of such values.
        list: Flag = Flag(false),
        /// The only values allowed.
        choices: Vec<Raw> = Vec::new(),
        /// The smallest value that works, of a type that templates see as a number.
        least: Option<Raw> = None,
        /// Default; a parameter without one must be given.
        default: Option<Raw> = None,
        /// What it does.
        description: Reason,
    }
}

model! {
    /// A patch of U-Boot's source.
    pub struct PatchAsk {
        /// Its file below the layer's folder.
        file: Spanned<PatchPath>,
        /// Versions of U-Boot that it applies to, such as `2025.01`.
        versions: Vec<Word>,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// Files that root writes one after the other on the data partition, the oldest going when there are enough. What is
    /// asked of one folder adds up.
    pub struct KeptAsk {
        /// Their folder.
        path: Spanned<Templated<AbsPath>>,
        /// Bytes of one of them.
        file: Spanned<Templated<Integer>>,
        /// How many there are, with the one that is written.
        files: Spanned<Templated<Integer>>,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A package.
    pub struct PackageAsk {
        /// Its name.
        name: Spanned<PackageName>,
        /// What `buildroot/packages/` and `yocto/packages/` call it, where Debian's package holds more than is asked for.
        elsewhere: Option<PackageName> = None,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// Paths that are taken out.
    pub struct RemoveAsk {
        /// Path with `*` and `**`.
        path: Spanned<Glob>,
        /// Why.
        reason: Spanned<Reason>,
    }
}

choice! {
    /// What a file is made for, once each.
    pub enum ForEach {
        /// Every person; the path may hold `{{user.name}}`.
        Users = "users",
        /// Every interface; the path may hold `{{interface.name}}`.
        Interfaces = "interfaces",
        /// Every tunnel of strongSwan; the path may hold `{{tunnel.name}}`.
        Strongswan = "strongswan",
        /// Every tunnel of OpenVPN; the path may hold `{{tunnel.name}}`.
        Openvpn = "openvpn",
        /// Every tunnel of WireGuard; the path may hold `{{tunnel.name}}`.
        Wireguard = "wireguard",
        /// Every OPC UA application; the path may hold `{{application.name}}`.
        Opcua = "opcua",
        /// Every OPC UA application on open62541.
        OpcuaOpen62541 = "opcua-open62541",
        /// Every OPC UA application on the OPC Foundation's .NET Standard stack.
        OpcuaDotnetStandard = "opcua-dotnet-standard",
        /// Every OPC UA application on another stack.
        OpcuaGeneric = "opcua-generic",
    }
}

model! {
    /// A file (`template`), a folder (`directory: true`) or a link (`symlink`).
    pub struct FileAsk {
        /// Where it is.
        path: Spanned<Templated<AbsPath>>,
        /// Template of its content.
        template: Option<Spanned<TemplatePath>> = None,
        /// Target of a symbolic link.
        symlink: Option<Spanned<Templated<LinkTarget>>> = None,
        /// Whether it is a folder.
        directory: Flag = Flag(false),
        /// Octal mode; default `0644`, and `0755` for a folder.
        mode: Option<Mode> = None,
        /// Owner; default `root`.
        owner: Option<Spanned<Templated<UserName>>> = None,
        /// Group; default `root`.
        group: Option<Spanned<Templated<UserName>>> = None,
        /// Makes it once for each.
        for_each: Option<ForEach> = None,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// An account of a service.
    pub struct UserAsk {
        /// Its name.
        name: Spanned<UserName>,
        /// Fixed numeric id, below 1000 or 65534.
        uid: Spanned<Count>,
        /// Primary group; default: one of the same name.
        group: Option<Spanned<UserName>> = None,
        /// Further groups.
        groups: Vec<Spanned<UserName>> = Vec::new(),
        /// Home folder; default `/nonexistent`.
        home: Option<AbsPath> = None,
        /// Comment (GECOS).
        comment: Option<Text> = None,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A group.
    pub struct GroupAsk {
        /// Its name.
        name: Spanned<UserName>,
        /// Fixed numeric id.
        gid: Spanned<Count>,
        /// Why.
        reason: Spanned<Reason>,
    }
}

choice! {
    /// State of a unit.
    pub enum StateWord {
        /// Started at boot.
        Enabled = "enabled",
        /// Not started by itself.
        Disabled = "disabled",
        /// Cannot be started.
        Masked = "masked",
    }
}

model! {
    /// State of a systemd unit.
    pub struct UnitAsk {
        /// Its whole name.
        name: Spanned<Templated<UnitName>>,
        /// Its state.
        state: StateWord,
        /// Asks for one for each.
        for_each: Option<ForEach> = None,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A sysctl value.
    pub struct SysctlAsk {
        /// The key.
        key: Spanned<SysctlKey>,
        /// The value.
        value: Templated<SysctlValue>,
        /// Architectures that have it; none named: every one.
        architectures: Vec<Spanned<Architecture>> = Vec::new(),
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// The mode of a packaged file.
    pub struct ModeAsk {
        /// Its path.
        path: Spanned<AbsPath>,
        /// Octal mode.
        mode: Mode,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A check of a kind that the `evidence` room knows.
    pub struct CheckAsk {
        /// Its id.
        id: Spanned<CheckId>,
        /// What it asserts, as a sentence.
        title: Text,
        /// The only backend whose images it is for; otherwise every one's.
        backend: Option<Backend> = None,
        /// Its kind.
        kind: CheckKind,
        /// Makes it once for each, with the name behind the id.
        for_each: Option<ForEach> = None,
        /// The kind's own parameters; a text may hold `{{…}}`, and `{{json …}}` alone keeps its type.
        with: Option<Spanned<Raw>> = None,
        /// Architectures that it is for; none named: every one.
        architectures: Vec<Spanned<Architecture>> = Vec::new(),
        /// Requirements that it serves.
        requirements: Vec<Spanned<RequirementId>> = Vec::new(),
        /// In a layer of the product's own: this shows what the catalogue asks under this id, by the product's own word.
        shows: Flag = Flag(false),
        /// Why, where the title does not say it.
        reason: Option<Spanned<Reason>> = None,
    }
}

model! {
    /// A check that the device runs on itself at boot.
    pub struct SelfCheckAsk {
        /// Its id, and the script's file name.
        id: Spanned<CheckId>,
        /// What it asserts, as a sentence.
        title: Text,
        /// Template of the script.
        script: Spanned<TemplatePath>,
        /// What a person does when it fails; the security guide of the image says it.
        on_fail: Option<Reason> = None,
        /// In a layer of the product's own: this shows what the catalogue asks under this id, by the product's own word.
        shows: Flag = Flag(false),
        /// Requirements that it serves.
        requirements: Vec<Spanned<RequirementId>> = Vec::new(),
    }
}
