//! What plan and packages mean to Yocto: `yocto/` of the definitions, data only.
//!
//! `base.yaml` is asked for every product, `packages/NAME.yaml` for every package of that name,
//! `series/NAME.yaml` has what differs between releases of the Yocto Project.

use crate::decode::{Map, Spanned, choice, model};
use crate::layer::RemoveAsk;
use crate::types::{
    AbsPath, BitbakeValue, BitbakeVariable, Commit, Count, FileUrl, Flag, KconfigSymbol, KconfigValue,
    LocalPath, Name, PackageName, Reason, Release, Text, UserName, WaiverTarget, Word,
};

/// The series that is taken when the product names none: the newest long-term one.
pub const DEFAULT_SERIES: &str = "wrynose";

model! {
    /// A variable of the distro.
    pub struct YoctoSetting {
        /// The variable, with `:append`, `:prepend` or `:remove` where it is one of these.
        variable: Spanned<BitbakeVariable>,
        /// Its value.
        value: BitbakeValue,
        /// Whether it is taste, not hardening: a team's own distro that requires the include does not get it, and it is
        /// not read back.
        taste: Flag = Flag(false),
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A variable of a recipe, set for builds of the product's distro only.
    pub struct RecipeOption {
        /// The recipe, without version.
        recipe: PackageName,
        /// The variable.
        variable: BitbakeVariable,
        /// Its value.
        value: BitbakeValue,
        /// Series whose recipe does not know it: there it is not set.
        not_in: Vec<Name> = Vec::new(),
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A package that is installed, too, but for some series.
    pub struct YoctoAlso {
        /// The package (not the recipe).
        package: PackageName,
        /// Series whose recipe has no such package: there it is not installed.
        not_in: Vec<Name> = Vec::new(),
        /// What it brings, and where that is in the other series.
        reason: Spanned<Reason>,
    }
}

model! {
    /// What a package's name means to Yocto (`yocto/packages/NAME.yaml`).
    pub struct YoctoPackage {
        /// Packages (not recipes) that bring it.
        install: Vec<PackageName> = Vec::new(),
        /// Packages that bring the rest of it in some series: releases cut one recipe into other packages.
        also: Vec<YoctoAlso> = Vec::new(),
        /// The layer that has them, by its name in `base.yaml`; default: OpenEmbedded-Core.
        layer: Option<Spanned<Name>> = None,
        /// A recipe of the product's own, where no layer has one: `yocto/recipes/OWN.bb`.
        own: Option<Spanned<Name>> = None,
        /// Files of the product's folder that it is built from: they lie in the folder `src` of its files.
        sources: Vec<Spanned<LocalPath>> = Vec::new(),
        /// Variables of recipes.
        options: Vec<RecipeOption> = Vec::new(),
        /// Variables of the distro that products with it have.
        settings: Vec<YoctoSetting> = Vec::new(),
        /// What the packages bring and the device must not have.
        remove: Vec<RemoveAsk> = Vec::new(),
        /// Files of the packages that layers may write anew.
        overwrites: Vec<RemoveAsk> = Vec::new(),
        /// Why it needs no package, where it needs none.
        note: Option<Text> = None,
    }
}

model! {
    /// What must hold in a variable of the image.
    pub struct YoctoExpect {
        /// The variable.
        variable: BitbakeVariable,
        /// Text that must be in its value.
        contains: Option<Word> = None,
        /// Word that must not be in its value.
        lacks: Option<Word> = None,
        /// Why.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A file that is in a package of its own, not in that of the layer which asks for it.
    pub struct YoctoApart {
        /// The file.
        path: AbsPath,
        /// The last part of the package's name.
        name: Name,
        /// What the package holds.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A layer that holds recipes.
    pub struct YoctoLayer {
        /// Its folder's name.
        name: Name,
        /// Its name in `BBFILE_COLLECTIONS`.
        collection: Name,
        /// The repository that it is in, by its name in a series.
        source: Name,
        /// Layers that it needs, by name.
        needs: Vec<Name> = Vec::new(),
    }
}

model! {
    /// An account that the packages of others make.
    pub struct YoctoAccount {
        /// The group, and the user if it is one.
        name: Spanned<UserName>,
        /// Its number.
        id: Count,
        /// Whether it is a user, with a group of its own.
        user: Flag = Flag(false),
        /// Who makes it.
        reason: Spanned<Reason>,
    }
}

model! {
    /// What is asked of Yocto for every product (`yocto/base.yaml`).
    pub struct YoctoBase {
        /// Variables of the distro.
        settings: Vec<YoctoSetting>,
        /// What must hold in the image's variables.
        expect: Vec<YoctoExpect> = Vec::new(),
        /// Accounts of others' packages.
        accounts: Vec<YoctoAccount> = Vec::new(),
        /// Layers besides OpenEmbedded-Core.
        layers: Vec<YoctoLayer>,
        /// Files whose change is to rerun no recipe but their own.
        apart: Vec<YoctoApart> = Vec::new(),
        /// Files of packages that layers write anew.
        overwrites: Vec<RemoveAsk> = Vec::new(),
        /// What packages bring and the device must not have.
        remove: Vec<RemoveAsk> = Vec::new(),
    }
}

choice! {
    /// The variable that says where files of `SRC_URI` are unpacked.
    pub enum Unpack {
        /// Since 5.1.
        Unpackdir = "UNPACKDIR",
        /// Before.
        Workdir = "WORKDIR",
    }
}

model! {
    /// A repository of a series.
    pub struct YoctoSource {
        /// Its name.
        name: Name,
        /// Where it is.
        url: FileUrl,
        /// The series' branch.
        branch: Word,
    }
}

choice! {
    /// What is configured by Kconfig.
    pub enum Configured {
        /// The kernel.
        Linux = "linux",
        /// The boot loader.
        Uboot = "uboot",
    }
}

model! {
    /// A symbol that boards and layers ask for, and that this series' kernel or U-Boot has under another
    /// name, or not at all. Without `instead` it is waived with the reason.
    pub struct YoctoSymbol {
        /// Whose it is.
        of: Configured,
        /// The symbol as it is asked for.
        symbol: Spanned<KconfigSymbol>,
        /// The symbol that has taken its place.
        instead: Option<KconfigSymbol> = None,
        /// The value of that one, where it is not the same.
        value: Option<KconfigValue> = None,
        /// What is waived with the symbol: rows of the kernel-hardening-checker.
        waives: Vec<WaiverTarget> = Vec::new(),
        /// What became of it.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A package of layers, or a symbol of U-Boot, that a series has not as it is needed: one of the two.
    pub struct YoctoLack {
        /// The package, as layers ask for it.
        package: Option<PackageName> = None,
        /// The symbol of U-Boot.
        uboot: Option<Spanned<KconfigSymbol>> = None,
        /// What is wrong with what the series has.
        reason: Spanned<Reason>,
    }
}

model! {
    /// A release series of the Yocto Project (`yocto/series/NAME.yaml`).
    pub struct YoctoSeries {
        /// The release that this was tried with.
        release: Release,
        /// BitBake's branch.
        bitbake: Word,
        /// Words of `LAYERSERIES_COMPAT`.
        compatible: Vec<Name>,
        /// `PREFERRED_VERSION` of linux-yocto.
        linux: BitbakeValue,
        /// `PREFERRED_VERSION` of u-boot.
        uboot: BitbakeValue,
        /// Where files of `SRC_URI` are unpacked.
        unpack: Unpack,
        /// `BB_SIGNATURE_HANDLER` that asks a server of hash equivalence, where the release's default does not.
        signature_handler: Option<Word> = None,
        /// Configuration files that the distro requires, where the release does not by itself.
        includes: Vec<Word> = Vec::new(),
        /// The class that makes and signs a FIT in a recipe of its own; none: the release has it in the kernel's recipe.
        fit_class: Option<Word> = None,
        /// Symbols that its kernel and its U-Boot do not have by the names that are asked for.
        symbols: Vec<YoctoSymbol> = Vec::new(),
        /// Packages that it cannot bring: a product that needs one is refused.
        lacks: Vec<YoctoLack> = Vec::new(),
        /// Repositories.
        sources: Vec<YoctoSource>,
    }
}

model! {
    /// A board's processor in Yocto's words.
    pub struct YoctoBoard {
        /// The tuning file, as `require` takes it.
        require: Word,
        /// `DEFAULTTUNE`.
        tune: Word,
    }
}

model! {
    /// Settings of the Yocto backend in a product.
    pub struct Yocto {
        /// Series, such as `wrynose`; default: the newest long-term one.
        series: Option<Spanned<Name>> = None,
        /// Commits of repositories, by name; default: the series' branch.
        commits: Map<Name, Commit> = Map::new(),
        /// Who keeps the layers, with an address for patches and reports: `yocto-check-layer` wants one.
        maintainer: Option<Spanned<Text>> = None,
        /// Mirror of downloads that is asked before their own sites (`SOURCE_MIRROR_URL`).
        downloads: Option<FileUrl> = None,
        /// Mirror of shared state (`SSTATE_MIRRORS`).
        sstate: Option<FileUrl> = None,
        /// Server of hash equivalence, `HOST:PORT` or `wss://…` (`BB_HASHSERVE_UPSTREAM`).
        hash_server: Option<Word> = None,
    }
}
