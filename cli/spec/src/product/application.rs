//! The product's own programs.

use crate::decode::{Spanned, model};
use crate::types::{
    AbsPath, Count, Flag, LocalPath, Mode, Name, PackageName, Percentage, Reason, Sha256, Size, Templated,
    UserName, Word,
};

model! {
    /// A program of the product's own: its files, what it needs, and the unit that runs it in a sandbox.
    pub struct Application {
        /// What it does, for people.
        description: Spanned<Reason>,
        /// Files that it brings.
        files: Vec<ApplicationFile> = Vec::new(),
        /// Packages that it needs.
        packages: Vec<Spanned<PackageName>> = Vec::new(),
        /// Packages in the place of `files` and `packages` where the backend is not Debian's: what `buildroot/packages/`
        /// and `yocto/packages/` beside the product call them. The build system builds the program then.
        elsewhere: Vec<Spanned<PackageName>> = Vec::new(),
        /// What is started, a word each, the program's path first. None: nothing runs by itself.
        command: Vec<Spanned<Word>> = Vec::new(),
        /// Account that it runs as; default: one of its own with its name, and `uid`.
        account: Option<Spanned<UserName>> = None,
        /// Fixed numeric id of its own account, below 1000.
        uid: Option<Spanned<Count>> = None,
        /// Services of the product that it serves: a port below 1024 gives it the right to take one.
        services: Vec<Spanned<Name>> = Vec::new(),
        /// Files without which it does not start, such as its key on the data partition.
        needs_files: Vec<AbsPath> = Vec::new(),
        /// Whether it keeps data: `/var/lib/NAME` is its own, and nothing else can be written.
        state: Flag = Flag(false),
        /// Memory that it may take; default: half of the device's.
        memory: Option<Size> = None,
        /// Part of one processor's time that it may take, from 1% to 99%; default: 80%.
        cpu: Option<Spanned<Percentage>> = None,
        /// Processes and threads that it may have; default: 64.
        tasks: Option<Count> = None,
        /// How the proof by traffic reads one of its values. Nothing of this gets into the image.
        proof: Option<ApplicationProof> = None,
        /// Why it is on the device.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A value that the proof by traffic reads from an OPC UA server, through the tunnels of its conduits.
    pub struct ApplicationProof {
        /// The OPC UA application that it is.
        opcua: Spanned<Name>,
        /// The program that reads, in the product's folder, built for the device's libraries; may hold `{{board.architecture}}`.
        reader: Spanned<Templated<LocalPath>>,
        /// What it is asked for: the identifier of a node.
        node: Spanned<Word>,
    }
}

model! {
    /// A file that was built elsewhere and lies in the product's folder. Debian's backend only.
    pub struct ApplicationFile {
        /// Where it is; may hold `{{board.architecture}}`.
        source: Spanned<Templated<LocalPath>>,
        /// SHA-256 that it must have; left out, what is there is taken.
        sha256: Option<Spanned<Sha256>> = None,
        /// Where it goes.
        path: Spanned<AbsPath>,
        /// Octal mode; default `0755`. It belongs to root.
        mode: Option<Mode> = None,
    }
}
