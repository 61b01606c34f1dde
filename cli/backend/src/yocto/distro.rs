//! The distro layer's configuration: the distro, its variables, and appends to recipes of others.
//!
//! Appends set nothing without the distro's override: a build that does not use it keeps its signatures.

use std::collections::BTreeMap;

use diag::Outcome;
use spec::plan::{Plan, YoctoFacts};

use super::generate::{layer_conf, multiconfig};
use super::{Names, Tree, quoted, recipes};

/// Writes `conf/`, `files/` and the appends.
pub fn layer(plan: &Plan, facts: &YoctoFacts, names: &Names, tree: &mut Tree) -> Outcome<()> {
    let top = format!("meta-{}", names.distro_layer);
    let mut depends = vec!["core"];
    depends.extend(facts.layers.iter().map(|layer| layer.collection.as_str()));
    tree.file(format!("{top}/conf/layer.conf"), layer_conf(facts, &names.distro_layer, &depends));
    let distro = &names.distro;
    tree.file(
        format!("{top}/conf/distro/{distro}.conf"),
        format!(
            "# A distro of your own may require the same file and go on from it.\n\
             require conf/distro/include/{distro}.inc\n\n\
             DISTRO = \"{distro}\"\nDISTRO_NAME = \"{distro}\"\nDISTRO_VERSION = {}\n\n\
             # Taste: what is here and not in the include hardens nothing, and a distro of your own may do without.\n{}",
            quoted(&plan.product.version)?,
            settings(facts, true)?
        ),
    );
    tree.file(format!("{top}/conf/distro/include/{distro}.inc"), include(facts, distro)?);
    tree.file(format!("{top}/files/{distro}-passwd"), passwd(plan, facts));
    tree.file(format!("{top}/files/{distro}-group"), group(plan, facts));
    appends(facts, distro, &top, tree)?;
    templates(facts, names, "", &names.targets(), tree);
    Ok(())
}

/// The templates of a build of several boards.
pub(super) fn templates_of_boards(
    plans: &[Plan],
    names: &Names,
    targets: &[String],
    tree: &mut Tree,
) -> Outcome<()> {
    if let Some(first) = plans.first() {
        templates(super::facts(first)?, names, &multiconfig(plans), targets, tree);
    }
    Ok(())
}

fn include(facts: &YoctoFacts, distro: &str) -> Outcome<String> {
    let mut out = format!(
        "# A distro of another name gets the appends of this layer, too.\nDISTROOVERRIDES =. \"{distro}:\"\n\n"
    );
    for file in &facts.includes {
        out.push_str(&format!("require {file}\n\n"));
    }
    out.push_str(&settings(facts, false)?);
    out.push_str(&format!(
        "# numbers of the plan's accounts\nUSERADD_UID_TABLES = \"files/{distro}-passwd\"\n\
         USERADD_GID_TABLES = \"files/{distro}-group\"\n"
    ));
    Ok(out)
}

/// Variables of the distro: those that are taste, or those that are not.
fn settings(facts: &YoctoFacts, taste: bool) -> Outcome<String> {
    let mut out = String::new();
    for setting in facts.settings.iter().filter(|setting| setting.taste == taste) {
        out.push_str(&format!("# {}\n{} = {}\n", setting.reason, setting.variable, quoted(&setting.value)?));
    }
    Ok(out)
}

/// Mirrors and servers that the product names, as lines of a `local.conf`. Sources: OE-Core
/// `own-mirrors.bbclass`; the Yocto Project's reference manual, `SSTATE_MIRRORS`, `BB_HASHSERVE_UPSTREAM`.
pub(super) fn site(facts: &YoctoFacts) -> String {
    let mut out = String::new();
    if let Some(url) = &facts.downloads {
        out.push_str(&format!("INHERIT += \"own-mirrors\"\nSOURCE_MIRROR_URL ?= \"{url}\"\n"));
    }
    if let Some(url) = &facts.sstate {
        out.push_str(&format!("SSTATE_MIRRORS ?= \"file://.* {url}/PATH;downloadfilename=PATH\"\n"));
    }
    if let Some(server) = &facts.hash_server {
        out.push_str(&format!("BB_HASHSERVE ?= \"auto\"\nBB_HASHSERVE_UPSTREAM ?= \"{server}\"\n"));
        if let Some(handler) = &facts.signature_handler {
            out.push_str(&format!("BB_SIGNATURE_HANDLER ?= \"{handler}\"\n"));
        }
    }
    out
}

/// passwd(5): what useradd-staticids.bbclass gives to whichever recipe makes the account. What is left out is as that recipe has
/// it.
fn passwd(plan: &Plan, facts: &YoctoFacts) -> String {
    let line = |(name, asked): (&String, &spec::plan::Asked<spec::plan::UserPlan>)| {
        let user = &asked.value;
        let gid = plan.groups.get(&user.group).map_or(user.uid, |group| group.value.gid);
        format!("{name}:x:{}:{gid}:{}:{}:{}\n", user.uid, recipes::comment(user), user.home, user.shell)
    };
    let others = facts.accounts.iter().filter(|(_, account)| account.user);
    let others = others.map(|(name, account)| format!("{name}:x:{id}:{id}:::\n", id = account.id));
    plan.users.iter().map(line).chain(others).collect()
}

fn group(plan: &Plan, facts: &YoctoFacts) -> String {
    let ours = plan.groups.iter().map(|(name, group)| (name, group.value.gid));
    let others = facts.accounts.iter().map(|(name, account)| (name, account.id));
    ours.chain(others).map(|(name, gid)| format!("{name}:x:{gid}:\n")).collect()
}

fn appends(facts: &YoctoFacts, distro: &str, top: &str, tree: &mut Tree) -> Outcome<()> {
    let mut by_recipe: BTreeMap<&str, String> = BTreeMap::new();
    for option in &facts.options {
        let text = by_recipe.entry(&option.recipe).or_default();
        text.push_str(&format!(
            "# {}\n{}:{distro} = {}\n",
            option.reason,
            option.variable,
            quoted(&option.value)?
        ));
    }
    for (recipe, text) in by_recipe {
        tree.file(format!("{top}/recipes-append/{recipe}/{recipe}_%.bbappend"), text);
    }
    Ok(())
}

/// What `oe-init-build-env` copies with `TEMPLATECONF`.
fn templates(facts: &YoctoFacts, names: &Names, more: &str, targets: &[String], tree: &mut Tree) {
    let folder = format!("meta-{}/conf/templates/{}", names.distro_layer, names.distro);
    let mut layers = vec!["##OEROOT##/meta".to_owned()];
    layers.extend(facts.layers.iter().map(|layer| format!("##OEROOT##/../{}/{}", layer.source, layer.name)));
    layers.extend([&names.distro_layer, &names.bsp_layer].map(|layer| format!("##OEROOT##/../meta-{layer}")));
    tree.file(
        format!("{folder}/bblayers.conf.sample"),
        format!(
            "# Move the paths to where the layers are.\nLCONF_VERSION = \"7\"\nBBPATH = \"${{TOPDIR}}\"\nBBFILES ?= \"\"\n\nBBLAYERS ?= \" \\\n{}  \"\n",
            layers.iter().map(|layer| format!("  {layer} \\\n")).collect::<String>()
        ),
    );
    tree.file(
        format!("{folder}/local.conf.sample"),
        format!(
            "CONF_VERSION = \"2\"\nMACHINE = \"{}\"\nDISTRO = \"{}\"\n{}{more}",
            names.machine,
            names.distro,
            site(facts)
        ),
    );
    tree.file(
        format!("{folder}/conf-notes.txt"),
        format!("bitbake {}\nThe image is unsigned: `fastness build` signs it.\n", targets.join(" ")),
    );
}
