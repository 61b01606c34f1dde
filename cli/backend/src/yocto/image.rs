//! The image recipe and the class that finishes its root: what is removed, replaced, locked.

use diag::Outcome;
use spec::plan::{Asked, FilePlan, Plan, YoctoFacts};

use super::{Names, Tree, recipes, written};
use crate::buildroot::overlay;

const CLASS: &str = include_str!("files/image.bbclass");

/// Writes both.
pub fn image(plan: &Plan, facts: &YoctoFacts, names: &Names, tree: &mut Tree) -> Outcome<()> {
    let top = format!("meta-{}", names.distro_layer);
    let persons: Vec<&str> =
        plan.users.iter().filter(|(_, user)| user.value.person).map(|(name, _)| name.as_str()).collect();
    let class = [
        ("@PREFIX@", names.function()),
        ("@ASIDE@", recipes::aside(names)),
        ("@LEVEL@", plan.storage.zstd_level.to_string()),
        ("@REMOVALS@", overlay::removals(plan)?),
        ("@KEEP@", overlay::paths(plan)),
        ("@PERSONS@", persons.join(" ")),
        ("@FOLDERS@", folders(plan)),
        ("@MODES@", modes(plan)),
        ("@ENABLED@", enabled(plan)),
    ]
    .iter()
    .fold(CLASS.to_owned(), |text, (word, value)| text.replace(word, value));
    tree.file(format!("{top}/classes-recipe/{}_image.bbclass", names.function()), class);
    let packages = written::packages(plan, facts, names);
    let install: String = packages.iter().map(|name| format!("    {name} \\\n")).collect();
    tree.file(
        format!("{top}/recipes-image/images/{}.bb", names.image()),
        format!(
            "SUMMARY = \"{product} on a read-only root\"\n\
             DESCRIPTION = \"The root of {product} as a squashfs, unsigned: verity, FIT and signatures are made outside of BitBake\"\n\
             SECTION = \"base\"\n{license}\n\
             inherit {class}_image\n\nIMAGE_INSTALL = \" \\\n{install}\"\n",
            product = names.distro,
            license = names.license_lines(),
            class = names.function()
        ),
    );
    Ok(())
}

/// Folders directly below the root, which are the image's, and the modes of the plan's others: which of the packages that
/// bring a folder comes first is the package manager's to say, and that one's mode stays.
fn folders(plan: &Plan) -> String {
    let line = |(path, asked): (&String, &Asked<FilePlan>)| match &asked.value {
        FilePlan::Directory { mode, .. } if recipes::is_top(path) => {
            Some(format!("    install -d -m {mode} ${{IMAGE_ROOTFS}}{path}\n"))
        }
        FilePlan::Directory { mode, .. } => Some(format!(
            "    if [ -d ${{IMAGE_ROOTFS}}{path} ]; then chmod {mode} ${{IMAGE_ROOTFS}}{path}; fi\n"
        )),
        _ => None,
    };
    plan.files.iter().filter_map(line).collect()
}

/// Modes of packages' files; one that is not there is no error: a package may not bring it.
fn modes(plan: &Plan) -> String {
    let line = |(path, asked): (&String, &Asked<String>)| {
        format!(
            "    if [ -f ${{IMAGE_ROOTFS}}{path} ]; then chmod {} ${{IMAGE_ROOTFS}}{path}; fi\n",
            asked.value
        )
    };
    plan.modes.iter().map(line).collect()
}

/// Units that may be started.
fn enabled(plan: &Plan) -> String {
    let preset = overlay::preset(plan);
    let names = preset.lines().filter_map(|line| line.strip_prefix("enable "));
    names.map(|name| format!("{name}\n")).collect()
}
