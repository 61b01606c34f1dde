//! Recipes of our configuration packages: one for each layer of the plan, one for the accounts, and one for what `apart` of
//! the data names: a file that every layer's change changes reruns no layer's recipe.
//!
//! Files are the plan's, byte for byte. A file that a package of Yocto owns, too, is kept aside, since
//! two packages may not own one path; the image class puts it in place.

use std::collections::{BTreeMap, BTreeSet};

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::{FilePlan, Plan, UnitState, UserPlan, YoctoFacts};

use super::{Names, Tree, pv, quoted};
use crate::buildroot::overlay;

/// Folder of a recipe's files, laid out as in the image.
const FILES: &str = "rootfs";
const UNITS: &str = "/etc/systemd/system/";
/// oelint-adv wants a home page of every recipe, and a product's configuration has none.
const NO_HOMEPAGE: &str = "# nooelint: oelint.var.mandatoryvar.HOMEPAGE\n";

/// What one recipe installs.
#[derive(Default)]
struct Content {
    files: BTreeMap<String, FilePlan>,
    services: BTreeSet<String>,
}

/// Writes all recipes.
pub fn recipes(plan: &Plan, facts: &YoctoFacts, names: &Names, tree: &mut Tree) -> Outcome<()> {
    accounts(plan, names, tree)?;
    for (name, files) in &facts.recipes {
        for (path, text) in files {
            tree.file(format!("meta-{}/recipes-own/{name}/{path}", names.distro_layer), text);
        }
    }
    for (layer, content) in by_layer(plan, facts) {
        recipe(plan, facts, names, (&layer, &content), tree)?;
    }
    Ok(())
}

/// Names of the recipes that an image installs.
pub fn packages(plan: &Plan, facts: &YoctoFacts, names: &Names) -> Vec<String> {
    let recipes = by_layer(plan, facts).into_keys().map(|layer| package(names, &layer));
    std::iter::once(names.accounts()).chain(recipes).collect()
}

fn package(names: &Names, layer: &str) -> String {
    format!("{}-config-{layer}", names.distro)
}

/// Files by the layer that asks first, or by the package of their own. Folders of the root itself are the image's.
fn by_layer(plan: &Plan, facts: &YoctoFacts) -> BTreeMap<String, Content> {
    let mut all: BTreeMap<String, Content> = BTreeMap::new();
    let layer_of = |origins: &[spec::plan::Origin]| {
        origins
            .first()
            .map_or("product", |origin| origin.who.strip_prefix("layer ").unwrap_or("product"))
            .to_owned()
    };
    for (path, asked) in &plan.files {
        let apart = facts.apart.get(path).map(|apart| apart.name.clone());
        let content = all.entry(apart.unwrap_or_else(|| layer_of(&asked.origins))).or_default();
        if is_top(path) && matches!(asked.value, FilePlan::Directory { .. }) {
            continue;
        }
        content.files.insert(path.clone(), asked.value.clone());
        let unit = path.strip_prefix(UNITS).filter(|unit| !unit.contains('/'));
        if let Some(unit) = unit
            && plan.units.get(unit).is_some_and(|state| state.value == UnitState::Enabled)
        {
            content.services.insert(unit.to_owned());
        }
    }
    for (unit, asked) in plan.units.iter().filter(|(_, asked)| asked.value == UnitState::Masked) {
        let mask = FilePlan::Symlink { target: "/dev/null".to_owned() };
        all.entry(layer_of(&asked.origins)).or_default().files.insert(format!("{UNITS}{unit}"), mask);
    }
    all.retain(|_, content| !content.files.is_empty());
    all
}

/// Whether a path is directly below the root.
pub fn is_top(path: &str) -> bool {
    path.rfind('/') == Some(0)
}

/// A path with BitBake's words for its start.
pub fn spelled(path: &str) -> String {
    let starts = [
        ("/etc/", "${sysconfdir}/"),
        ("/usr/lib/", "${nonarch_libdir}/"),
        ("/usr/share/", "${datadir}/"),
        ("/var/", "${localstatedir}/"),
    ];
    let found = starts.iter().find_map(|(start, word)| Some(format!("{word}{}", path.strip_prefix(start)?)));
    found.unwrap_or_else(|| path.to_owned())
}

/// Whether a path is one of `patterns`: `*` stands within a name, a last `**` for all that is below.
pub fn is_one_of(path: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|pattern| matches(pattern, path))
}

fn matches(pattern: &str, path: &str) -> bool {
    if let Some(stem) = pattern.strip_suffix("/**") {
        return path.strip_prefix(stem).is_some_and(|rest| rest.starts_with('/'));
    }
    let (patterns, names): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == names.len()
        && patterns.iter().zip(names).all(|(pattern, name)| name_matches(pattern, name))
}

fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|left| {
            (0..=left.len()).filter(|at| left.is_char_boundary(*at)).any(|at| name_matches(rest, &left[at..]))
        }),
    }
}

/// Where the replacements of packages' files are kept in our packages.
pub fn aside(names: &Names) -> String {
    format!("/usr/share/{}/replace", names.distro)
}

fn recipe(
    plan: &Plan,
    facts: &YoctoFacts,
    names: &Names,
    (layer, content): (&str, &Content),
    tree: &mut Tree,
) -> Outcome<()> {
    let name = package(names, layer);
    let folder = format!("meta-{}/recipes-config/{name}", names.distro_layer);
    let (title, whose) = title(plan, facts, layer);
    let mut install = String::new();
    let mut folders = BTreeSet::new();
    let mut roots = BTreeSet::new();
    let mut owned = false;
    for (path, file) in &content.files {
        let to =
            if is_one_of(path, &facts.overwrites) { format!("{}{path}", aside(names)) } else { path.clone() };
        roots.insert(root_of(&to));
        let spelled = spelled(&to);
        if let Some((parent, _)) = spelled.rsplit_once('/')
            && folders.insert(parent.to_owned())
        {
            install.push_str(&format!("    install -d ${{D}}{parent}\n"));
        }
        match file {
            FilePlan::File { mode, owner, group, content } => {
                tree.file(format!("{folder}/files/{FILES}{path}"), content);
                install.push_str(&format!(
                    "    install -m {mode} ${{{}}}/{FILES}{path} ${{D}}{spelled}\n",
                    facts.unpack
                ));
                owned |= chown(owner, group, &spelled, &mut install);
            }
            FilePlan::Directory { mode, owner, group } => {
                folders.insert(spelled.clone());
                install.push_str(&format!("    install -d -m {mode} ${{D}}{spelled}\n"));
                owned |= chown(owner, group, &spelled, &mut install);
            }
            // What was built for Debian does not run with another C library.
            FilePlan::Program { .. } => return Err(program(path)),
            FilePlan::Symlink { target } => {
                install.push_str(&format!("    ln -s {target} ${{D}}{spelled}\n"));
            }
        }
    }
    if layer == "base" {
        // systemd.preset(5): what is enabled is the plan's to say.
        let preset = format!("00-{}.preset", names.distro);
        tree.file(format!("{folder}/files/{FILES}/{preset}"), overlay::preset(plan));
        install.push_str(&format!(
            "    install -d ${{D}}${{nonarch_libdir}}/systemd/system-preset\n    install -m 0644 ${{{}}}/{FILES}/{preset} ${{D}}${{nonarch_libdir}}/systemd/system-preset/\n",
            facts.unpack
        ));
        roots.insert("${nonarch_libdir}".to_owned());
    }
    let has_files = content.files.values().any(|file| matches!(file, FilePlan::File { .. }));
    let services: Vec<String> = content.services.iter().cloned().collect();
    let mut out = format!(
        "{NO_HOMEPAGE}SUMMARY = {}\nDESCRIPTION = \"Files {whose}, as fastness resolved them\"\n\
         SECTION = \"base\"\n{}",
        quoted(&format!("{}: {title}", names.distro))?,
        names.license_lines()
    );
    if owned {
        out.push_str(&format!("DEPENDS = \"{}\"\n", names.accounts()));
    }
    if has_files || layer == "base" {
        out.push_str(&format!("SRC_URI = \"file://{FILES}\"\n\n"));
    }
    out.push_str(&format!("S = \"${{{}}}\"\n\n", facts.unpack));
    out.push_str("INHIBIT_DEFAULT_DEPS = \"1\"\n\n");
    out.push_str(if services.is_empty() {
        "inherit allarch\n\n"
    } else {
        "inherit allarch systemd features_check\n\n"
    });
    if !services.is_empty() {
        out.push_str(&format!(
            "REQUIRED_DISTRO_FEATURES = \"systemd\"\n\nSYSTEMD_SERVICE:${{PN}} = \"{}\"\n\n",
            services.join(" ")
        ));
    }
    out.push_str("do_configure[noexec] = \"1\"\ndo_compile[noexec] = \"1\"\n\n");
    out.push_str(&format!("do_install() {{\n{install}}}\n\n"));
    out.push_str(&format!("FILES:${{PN}} = \"{}\"\n\n", roots.into_iter().collect::<Vec<_>>().join(" ")));
    out.push_str(&format!("RDEPENDS:${{PN}} = \"{}\"\n", names.accounts()));
    tree.file(format!("{folder}/{name}_{}.bb", pv(plan)), out);
    Ok(())
}

/// What a package holds, and whose files these are.
fn title<'a>(plan: &'a Plan, facts: &'a YoctoFacts, name: &str) -> (&'a str, String) {
    let layer = plan.layer(name);
    let apart = facts.apart.values().find(|apart| apart.name == name);
    match (layer, apart) {
        (None, Some(apart)) => (&apart.reason, "in a package of their own".to_owned()),
        (layer, _) => (layer.map_or("product", |layer| layer.title.as_str()), format!("of the layer {name}")),
    }
}

fn program(path: &str) -> Failure {
    let message = format!("`{path}` is a program of the product, which the backend `yocto` cannot take over");
    Failure::error(ExitStatus::Input, "program-of-another-build", message)
        .hint("bring it by a recipe of your own, and name its package in `yocto/packages/NAME.yaml`")
}

/// `chown` where it is not root's; whether it was.
fn chown(owner: &str, group: &str, path: &str, install: &mut String) -> bool {
    let other = (owner, group) != ("root", "root");
    if other {
        install.push_str(&format!("    chown {owner}:{group} ${{D}}{path}\n"));
    }
    other
}

/// The first part of a path, in BitBake's words.
fn root_of(path: &str) -> String {
    let spelled = spelled(path);
    match spelled.strip_prefix('/') {
        Some(rest) => format!("/{}", rest.split('/').next().unwrap_or_default()),
        None => spelled.split('/').next().unwrap_or_default().to_owned(),
    }
}

/// The comment of an account as recipe and table have it: in single quotes, which are within double ones of another shell.
/// Products with such characters are refused; this is for a plan that somebody wrote.
pub fn comment(user: &UserPlan) -> String {
    let special = |c: char| c.is_control() || "'\";$`\\:,".contains(c);
    user.comment.replace(special, " ").trim_end().to_owned()
}

/// The recipe that makes groups and users. Nobody has a password: useradd(8) leaves it locked.
fn accounts(plan: &Plan, names: &Names, tree: &mut Tree) -> Outcome<()> {
    let name = names.accounts();
    let groups: Vec<String> =
        plan.groups.iter().map(|(name, group)| format!("--gid {} {name}", group.value.gid)).collect();
    let mut users = Vec::new();
    for (name, asked) in &plan.users {
        let user = &asked.value;
        let groups = if user.groups.is_empty() {
            String::new()
        } else {
            format!("--groups {} ", user.groups.join(","))
        };
        users.push(format!(
            "--uid {} --gid {} {groups}--home-dir {} --no-create-home --shell {} --comment '{}' {name}",
            user.uid,
            user.group,
            user.home,
            user.shell,
            comment(user)
        ));
    }
    let list = |variable: &str, lines: &[String]| -> Outcome<String> {
        Ok(format!("{variable} = {}\n", quoted(&lines.join("; "))?))
    };
    let out = format!(
        "{NO_HOMEPAGE}SUMMARY = \"{}: accounts\"\nDESCRIPTION = \"Groups and users with fixed numbers, all without a password\"\n\
         SECTION = \"base\"\n{}SRC_URI = \"\"\n\n\
         INHIBIT_DEFAULT_DEPS = \"1\"\n\ninherit allarch useradd\n\n\
         USERADD_PACKAGES = \"${{PN}}\"\n{}{}\n\
         do_configure[noexec] = \"1\"\ndo_compile[noexec] = \"1\"\n\nALLOW_EMPTY:${{PN}} = \"1\"\n",
        names.distro,
        names.license_lines(),
        list("GROUPADD_PARAM:${PN}", &groups)?,
        list("USERADD_PARAM:${PN}", &users)?,
    );
    tree.file(format!("meta-{}/recipes-config/{name}/{name}_{}.bb", names.distro_layer, pv(plan)), out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_name_unless_they_end_in_two_stars() {
        assert!(matches("/etc/pam.d/*", "/etc/pam.d/sshd") && !matches("/etc/pam.d/*", "/etc/pam.d/a/b"));
        assert!(
            matches("/etc/swanctl/**", "/etc/swanctl/a/b") && !matches("/etc/swanctl/**", "/etc/swanctl")
        );
        assert!(matches("/a/x*y*", "/a/xxyz") && !matches("/a/x*y", "/a/xyz"));
    }

    #[test]
    fn paths_are_in_the_words_of_bitbake() {
        assert_eq!(spelled("/usr/lib/x/y"), "${nonarch_libdir}/x/y");
        assert_eq!((root_of("/etc/x").as_str(), root_of("/opt/x/y").as_str()), ("${sysconfdir}", "/opt"));
    }
}
