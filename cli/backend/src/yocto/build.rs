//! Drives BitBake, or takes what another build left, and hands the parts to the common assembly.
//!
//! The build folder is in the cache, one for each output folder of ours, and is never removed: an
//! interrupted or failed build goes on in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::Artefacts;
use spec::plan::Plan;

use super::bitbake::Build;
use super::checkouts::{self, Checkouts};
use super::hand_over::{Parts, hand_over};
use super::{Names, facts, generate, read_back, variables, written};
use crate::device_tree::device_tree;
use crate::{BuildOptions, Cache, Progress, key_of, step};

/// Builds everything that the plan asks for with the checkouts that were given.
///
/// # Errors
/// See [`crate::build`].
pub fn build(plan: &Plan, options: &BuildOptions, progress: &dyn Progress) -> Outcome<Artefacts> {
    let facts = facts(plan)?;
    let names = Names::of(plan);
    fs::create_dir_all(&options.cache).map_err(|e| Failure::io("make", &options.cache, &e))?;
    let root = options.cache.canonicalize().map_err(|e| Failure::io("open", &options.cache, &e))?;
    let cache = Cache::new(&root);
    let log = |name: &str| options.out.join("logs").join(format!("{name}.log"));
    let dtb_log = log("dtb");
    let tree = || step(progress, "device tree", Some(&dtb_log), || device_tree(plan, &cache, &dtb_log));
    if let Some(deploy) = &options.yocto.deploy {
        checkouts::is_folder(deploy, "no-deploy", "the folder of BitBake's images").map_err(|failure| {
            failure.hint("give DEPLOY_DIR_IMAGE of a build of these layers: `bitbake -e` prints it")
        })?;
        let dtb = tree()?;
        return step(progress, "take BitBake's images", None, || {
            let link = names.image_link();
            let mut provenance = BTreeMap::from([("yocto".to_owned(), facts.series.clone())]);
            provenance.insert("built".to_owned(), "by another build, given with `--yocto-deploy`".to_owned());
            let parts = Parts { deploy, image: &link, dtb: &dtb, provenance };
            Ok((hand_over(plan, options, parts)?, false))
        });
    }
    checkouts::usable(&root)?;
    let folder = options.yocto.checkouts.as_deref().ok_or_else(nothing_given)?;
    let checkouts = Checkouts::open(facts, folder, &log("yocto-checkouts"))?;
    checkouts.hold_to(&options.lock, facts, options.update_lock)?;
    let work = work_folder(plan, options, &cache, folder)?;
    let _lock = FolderLock::take(&work)?;
    let layers = work.join("layers");
    generate(plan, &layers, &options.lock)?;
    let build =
        Build { folder: work.join("build"), checkouts: &checkouts, names: &names, log: log("bitbake") };
    build.configure(facts, &layers, &cache, options)?;
    let dtb = tree()?;
    step(progress, "parse the layers", Some(&build.log), || Ok((build.parse(progress)?, false)))?;
    // A layer that weakens what was asked is told before an hour of building.
    let found = step(progress, "read BitBake's variables", Some(&build.log), || {
        let found = build.variables(progress)?;
        let written = written::written(plan, facts, &names);
        let of_recipes = build.variables_of_recipes(facts, &written, progress)?;
        read_back::hold(facts, &written, &found, &of_recipes)?;
        Ok((found, false))
    })?;
    let besides = written::besides(plan, facts, &names, &found);
    if !besides.is_empty() {
        let named = besides.join("`, `");
        progress.warn(&format!(
            "another layer or configuration adds to the image, besides the plan's packages: `{named}`"
        ));
    }
    let deploy = PathBuf::from(value(&found, "DEPLOY_DIR_IMAGE")?);
    let link = value(&found, "IMAGE_LINK_NAME")?;
    step(progress, "build with BitBake", Some(&build.log), || Ok((build.build(progress)?, false)))?;
    step(progress, "record artefacts", None, || {
        let mut provenance = checkouts.provenance.clone();
        provenance.insert("yocto".to_owned(), facts.series.clone());
        if let Some(version) = found.get("BB_VERSION") {
            provenance.insert("bitbake-version".to_owned(), version.value.clone());
        }
        let parts = Parts { deploy: &deploy, image: &link, dtb: &dtb, provenance };
        Ok((hand_over(plan, options, parts)?, false))
    })
}

fn nothing_given() -> Failure {
    Failure::error(
        ExitStatus::Input,
        "no-checkouts",
        "the backend `yocto` needs BitBake and layers: neither checkouts nor finished images are given",
    )
    .hint(
        "`fastness generate --backend yocto`, then `kas checkout kas.yml` in the folder that it names, which makes the checkouts: give that folder, `--yocto DIR`; \
         or build with BitBake yourself and give its folder of images, `--yocto-deploy DIR`",
    )
}

fn value(found: &BTreeMap<String, variables::Variable>, name: &str) -> Outcome<String> {
    let value = found.get(name).map(|variable| variable.value.trim()).filter(|value| !value.is_empty());
    value.map(str::to_owned).ok_or_else(|| {
        Failure::error(
            ExitStatus::Build,
            "no-variable",
            format!("expected the variable `{name}` in what `bitbake -e` prints, found none"),
        )
    })
}

/// One folder for each of our output folders, product, board and set of checkouts: variants never meet.
fn work_folder(plan: &Plan, options: &BuildOptions, cache: &Cache, checkouts: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(&options.out).map_err(|e| Failure::io("make", &options.out, &e))?;
    let out = options.out.canonicalize().map_err(|e| Failure::io("open", &options.out, &e))?;
    let checkouts = checkouts.canonicalize().map_err(|e| Failure::io("open", checkouts, &e))?;
    let key =
        key_of(&[&out.to_string_lossy(), &plan.product.name, &plan.board.name, &checkouts.to_string_lossy()]);
    cache.folder(&format!("yocto/{}-{}-{}", plan.product.name, plan.board.name, &key[..12]))
}
