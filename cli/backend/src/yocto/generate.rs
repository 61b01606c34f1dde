//! Both layers, the kas file and the templates of a build folder.

use std::path::Path;

use diag::Outcome;
use spec::plan::{Plan, YoctoFacts};

use super::signing::Signing;
use super::{LICENSE, Names, Tree, bsp, distro, facts, image, recipes, together};
use crate::lock::Lock;

const README: &str = include_str!("files/README.md");
const SECURITY: &str = include_str!("files/SECURITY.md");

/// Brings `folder` to the layers of the plan; unchanged files keep their time stamps. Commits that the product does not
/// pin are those of the lock.
///
/// # Errors
/// As [`tree_of`], when the lock is none, or when the folder cannot be written.
pub fn generate(plan: &Plan, folder: &Path, lock: &Path) -> Outcome<()> {
    tree_of(&pinned(plan, lock)?)?.bring_to(folder)
}

/// The plan with the commits of the lock where the product pins none: whoever builds by the kas file builds what
/// `fastness build` did.
///
/// # Errors
/// When the file is there and is no lock.
pub fn pinned(plan: &Plan, lock: &Path) -> Outcome<Plan> {
    let mut plan = plan.clone();
    let Some(facts) = &mut plan.yocto else { return Ok(plan) };
    let content = Lock::read(lock)?;
    if let Some(known) = content.yocto.get(&facts.series) {
        for source in facts.sources.iter_mut().filter(|source| source.commit.is_none()) {
            source.commit = known.get(&source.name).cloned();
        }
    }
    Ok(plan)
}

/// What a person should know of layers that are nonetheless written.
#[must_use]
pub fn warnings(plan: &Plan) -> Vec<String> {
    let Some(facts) = &plan.yocto else { return Vec::new() };
    if facts.maintainer.is_some() {
        return Vec::new();
    }
    vec![format!(
        "the layers of `{}` name nobody who keeps them, and `yocto-check-layer` fails a README without an address: \
         name one in the product, `yocto: {{maintainer: \"The team <team@example.org>\"}}`",
        plan.product.name
    )]
}

/// The layers of the plan.
///
/// # Errors
/// When the plan is one for another backend, or asks for something that layers cannot express.
pub fn tree_of(plan: &Plan) -> Outcome<Tree> {
    let facts = facts(plan)?;
    let names = Names::of(plan);
    let mut tree = Tree::default();
    distro::layer(plan, facts, &names, &mut tree)?;
    recipes::recipes(plan, facts, &names, &mut tree)?;
    image::image(plan, facts, &names, &mut tree)?;
    bsp::layer(plan, facts, &names, &mut tree)?;
    fill_pages(std::slice::from_ref(plan), &mut tree)?;
    tree.file("kas.yml", kas_of_boards(std::slice::from_ref(plan))?);
    tree.file("expect.txt", expectations(facts));
    Ok(tree)
}

/// The layers of several boards of one product, for one build: a multiconfig for each board.
///
/// # Errors
/// As [`tree_of`], or when the plans do not go together.
pub fn tree_of_boards(plans: &[Plan]) -> Outcome<Tree> {
    let mut trees = plans.iter().map(tree_of).collect::<Outcome<Vec<_>>>()?;
    if let ([_], Some(tree)) = (plans, trees.pop_if(|_| plans.len() == 1)) {
        return Ok(tree);
    }
    together::merged(plans, trees)
}

/// The pages of both layers, which speak of all boards.
pub(super) fn fill_pages(plans: &[Plan], tree: &mut Tree) -> Outcome<()> {
    let Some(first) = plans.first() else { return Ok(()) };
    let facts = facts(first)?;
    let names: Vec<Names> = plans.iter().map(Names::of).collect();
    for layer in [&names[0].distro_layer, &names[0].bsp_layer] {
        tree.file(format!("meta-{layer}/README.md"), filled(README, plans, facts, &names, layer));
        tree.file(format!("meta-{layer}/SECURITY.md"), filled(SECURITY, plans, facts, &names, layer));
        tree.file(format!("meta-{layer}/licenses/{}", names[0].license()), LICENSE);
    }
    Ok(())
}

fn filled(text: &str, plans: &[Plan], facts: &YoctoFacts, names: &[Names], layer: &str) -> String {
    let all = |values: Vec<&str>, between: &str| values.join(between);
    let (plan, several) = (&plans[0], plans.len() > 1);
    let boards = all(plans.iter().map(|plan| plan.board.name.as_str()).collect(), ", ");
    let machines = all(names.iter().map(|names| names.machine.as_str()).collect(), "`, `");
    let targets =
        if several { together::targets(plans, names) } else { names[0].targets().to_vec() }.join(" ");
    let maintainer = facts.maintainer.clone().unwrap_or_else(|| {
        format!(
            "the team of {} (`yocto: {{maintainer: …}}` in the product names an address)",
            plan.product.name
        )
    });
    let signed = signed(plans, facts, names);
    let names = &names[0];
    let depends: Vec<String> = facts.layers.iter().map(|layer| layer.name.clone()).collect();
    let depends = if depends.is_empty() { "none".to_owned() } else { depends.join(", ") };
    [
        ("@LAYER@", layer),
        ("@PRODUCT@", plan.product.name.as_str()),
        ("@VERSION@", &plan.product.version),
        ("@BOARD@", &boards),
        ("@DISTRO@", &names.distro),
        ("@MACHINE@", &machines),
        ("@TARGETS@", &targets),
        ("@MAINTAINER@", &maintainer),
        ("@SERIES@", &facts.series),
        ("@RELEASE@", &facts.release),
        ("@BITBAKE@", &facts.bitbake),
        ("@DEPENDS@", &depends),
        ("@SIGNING@", &signed),
    ]
    .iter()
    .fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

/// How a build signs by itself, or why it cannot.
fn signed(plans: &[Plan], facts: &YoctoFacts, names: &[Names]) -> String {
    let why = plans.iter().find_map(|plan| Signing::of(plan, facts).err());
    if let Some(why) = why {
        return format!("The classes of the release cannot sign this product within the build: {why}.");
    }
    let recipes: Vec<String> = names.iter().map(|names| format!("`{}-fit`", names.machine)).collect();
    format!(
        "To sign within the build instead, by the release's own classes, set `UBOOT_SIGN_ENABLE = \"1\"` and `UBOOT_SIGN_KEYDIR` in `local.conf`, an absolute path \
         outside of every build folder and layer with `NAME.key` (mkimage asks for no passphrase) and `NAME.crt`, and build {} and `u-boot`, too. Another key changes the signatures \
         of the tasks that sign and of what depends on them, and of no other.",
        recipes.join(", ")
    )
}

/// `conf/layer.conf`.
pub(super) fn layer_conf(facts: &YoctoFacts, collection: &str, depends: &[&str]) -> String {
    format!(
        "BBPATH .= \":${{LAYERDIR}}\"\n\
         BBFILES += \"${{LAYERDIR}}/recipes-*/*/*.bb ${{LAYERDIR}}/recipes-*/*/*.bbappend\"\n\n\
         BBFILE_COLLECTIONS += \"{collection}\"\n\
         BBFILE_PATTERN_{collection} = \"^${{LAYERDIR}}/\"\n\
         BBFILE_PRIORITY_{collection} = \"10\"\n\
         LAYERDEPENDS_{collection} = \"{}\"\n\
         LAYERSERIES_COMPAT_{collection} = \"{}\"\n\n\
         LICENSE_PATH += \"${{LAYERDIR}}/licenses\"\n",
        depends.join(" "),
        facts.compatible.join(" "),
    )
}

/// A word in YAML's quotes: `on`, `null` or a commit of digits alone would be no text. None has a quote or a backslash in it: names,
/// addresses and commits have alphabets of their own.
fn scalar(word: &str) -> String {
    format!("\"{word}\"")
}

/// A project file of kas: repositories, layers, distro, machine and targets.
pub(super) fn kas_of_boards(plans: &[Plan]) -> Outcome<String> {
    let all: Vec<Names> = plans.iter().map(Names::of).collect();
    let (Some(first), [names, ..]) = (plans.first(), all.as_slice()) else { return Ok(String::new()) };
    let facts = facts(first)?;
    let targets = match plans {
        [_] => names.targets().to_vec(),
        _ => together::targets(plans, &all),
    };
    let targets: Vec<String> = targets.iter().map(|target| scalar(target)).collect();
    let mut out = format!(
        "# kas build kas.yml, in this folder. The image is unsigned: `fastness build` signs it.\n\
         header:\n  version: 14\nmachine: {}\ndistro: {}\ntarget: [{}]\nrepos:\n",
        scalar(&names.machine),
        scalar(&names.distro),
        targets.join(", "),
    );
    // Without a path kas takes the top of the work tree of git that this file lies in, which is the product's.
    // Relative ones begin at KAS_WORK_DIR, which is the folder where kas is called unless it is set.
    out.push_str(&format!(
        "  {}:\n    path: \".\"\n    layers:\n      {}:\n      {}:\n",
        scalar(&names.distro),
        scalar(&format!("meta-{}", names.distro_layer)),
        scalar(&format!("meta-{}", names.bsp_layer))
    ));
    for source in &facts.sources {
        out.push_str(&format!(
            "  {}:\n    url: {}\n    branch: {}\n",
            scalar(&source.name),
            scalar(&source.url),
            scalar(&source.branch)
        ));
        if let Some(commit) = &source.commit {
            out.push_str(&format!("    commit: {}\n", scalar(commit)));
        }
        let of = facts.layers.iter().filter(|layer| layer.source == source.name);
        let layers: Vec<&str> = match source.name.as_str() {
            "openembedded-core" => vec!["meta"],
            _ => of.map(|layer| layer.name.as_str()).collect(),
        };
        if layers.is_empty() {
            // A repository without layers: kas would take its top for one.
            out.push_str("    layers:\n      \".\": disabled\n");
        } else {
            out.push_str("    layers:\n");
            layers.iter().for_each(|layer| out.push_str(&format!("      {}:\n", scalar(layer))));
        }
    }
    let site = distro::site(facts) + &multiconfig(plans);
    if !site.is_empty() {
        let lines: String = site.lines().map(|line| format!("    {line}\n")).collect();
        out.push_str(&format!("local_conf_header:\n  site: |\n{lines}"));
    }
    Ok(out)
}

/// The line of `local.conf` that names several boards.
pub(super) fn multiconfig(plans: &[Plan]) -> String {
    let boards: Vec<&str> = plans.iter().map(|plan| plan.board.name.as_str()).collect();
    if boards.len() < 2 { String::new() } else { format!("BBMULTICONFIG = \"{}\"\n", boards.join(" ")) }
}

/// What must hold in variables of the image: variable, `contains` or `lacks`, the word, and why; separated by tabs.
fn expectations(facts: &YoctoFacts) -> String {
    let line = |variable: &str, verb: &str, word: &str, reason: &str| {
        format!("{variable}\t{verb}\t{word}\t{reason}\n")
    };
    let mut out = String::new();
    for expect in &facts.expect {
        for (verb, word) in [("contains", &expect.contains), ("lacks", &expect.lacks)] {
            if let Some(word) = word {
                out.push_str(&line(&expect.variable, verb, word, &expect.reason));
            }
        }
    }
    out
}
