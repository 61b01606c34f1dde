//! The plan's part for the Yocto backend.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Asked;

/// Facts for the Yocto backend: the plan's packages and the board in Yocto's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoFacts {
    /// Series, such as `wrynose`.
    pub series: String,
    /// The release of that series that this was tried with.
    pub release: String,
    /// BitBake's branch.
    pub bitbake: String,
    /// Words of `LAYERSERIES_COMPAT`.
    pub compatible: Vec<String>,
    /// `PREFERRED_VERSION` of linux-yocto.
    pub linux: String,
    /// `PREFERRED_VERSION` of u-boot.
    pub uboot: String,
    /// Configuration files of OpenEmbedded-Core that the distro requires, where the release does not by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
    /// The class that makes and signs a FIT in a recipe of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit_class: Option<String>,
    /// `BB_SIGNATURE_HANDLER` that asks a server of hash equivalence, where the release's default does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_handler: Option<String>,
    /// The variable that says where files of `SRC_URI` are unpacked.
    pub unpack: String,
    /// The tuning file, as `require` takes it.
    pub tune_file: String,
    /// `DEFAULTTUNE`.
    pub tune: String,
    /// Variables of the distro, in order.
    pub settings: Vec<YoctoSettingFacts>,
    /// What must hold in the image's variables.
    pub expect: Vec<YoctoExpectFacts>,
    /// Packages that are installed, by name.
    pub install: BTreeMap<String, Asked<()>>,
    /// Variables of recipes, in order.
    pub options: Vec<YoctoOptionFacts>,
    /// Recipes of the product's own, by name: their files by path, whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recipes: BTreeMap<String, BTreeMap<String, String>>,
    /// Accounts that others' packages make, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, YoctoAccountFacts>,
    /// Layers that are needed besides OpenEmbedded-Core, in order.
    pub layers: Vec<YoctoLayerFacts>,
    /// Repositories.
    pub sources: Vec<YoctoSourceFacts>,
    /// Who keeps the layers, with an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintainer: Option<String>,
    /// `SOURCE_MIRROR_URL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloads: Option<String>,
    /// `SSTATE_MIRRORS`, without BitBake's pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sstate: Option<String>,
    /// `BB_HASHSERVE_UPSTREAM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_server: Option<String>,
    /// Patterns of paths that packages own and the plan may write anew.
    pub overwrites: Vec<String>,
    /// Files that are in a package of their own, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apart: BTreeMap<String, YoctoApartFacts>,
}

/// The number of an account that others' packages make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoAccountFacts {
    /// Of the group, and of the user.
    pub id: u32,
    /// Whether there is a user of that name.
    pub user: bool,
}

/// A package for files that change with what other layers ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoApartFacts {
    /// The last part of its name.
    pub name: String,
    /// What it holds.
    pub reason: String,
}

/// A variable of the distro.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoSettingFacts {
    /// The variable.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// Whether it is taste, not hardening: it stays out of what a team's own distro requires, and is not read back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taste: bool,
    /// Why.
    pub reason: String,
}

/// A variable of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoOptionFacts {
    /// The recipe.
    pub recipe: String,
    /// The variable.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// What must hold in a variable of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoExpectFacts {
    /// The variable.
    pub variable: String,
    /// Text that must be in its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Word that must not be in its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// Why.
    pub reason: String,
}

/// A layer that holds recipes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoLayerFacts {
    /// Its folder's name.
    pub name: String,
    /// Its name in `BBFILE_COLLECTIONS`.
    pub collection: String,
    /// The repository that it is in.
    pub source: String,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YoctoSourceFacts {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// The series' branch.
    pub branch: String,
    /// The commit that the product pins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}
