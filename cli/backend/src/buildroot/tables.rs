//! Buildroot's users table and permissions table, from the plan's accounts and files.
//!
//! Source: the Buildroot manual, "Makeuser syntax" and "Makedev syntax". Nobody has a password: a
//! person's `*` lets sshd accept a key, all others are locked as well.

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::{FilePlan, Plan};

/// The users table: groups first, then users.
///
/// # Errors
/// When a user's group is one that nobody defines.
pub fn users(plan: &Plan) -> Outcome<String> {
    let mut out = String::from("# name uid group gid password home shell groups comment\n");
    for (name, group) in &plan.groups {
        out.push_str(&format!("- -1 {name} {} * - - - {name}\n", group.value.gid));
    }
    for (name, asked) in &plan.users {
        let user = &asked.value;
        let gid = match plan.groups.get(&user.group) {
            Some(group) => group.value.gid,
            None if user.group == *name => user.uid,
            None => {
                return Err(Failure::error(
                    ExitStatus::Input,
                    "unknown-group",
                    format!("the user `{name}` belongs to the group `{}`, which nobody defines", user.group),
                )
                .hint("define the group in the same layer"));
            }
        };
        let groups = if user.groups.is_empty() { "-".to_owned() } else { user.groups.join(",") };
        let password = if user.person { "*" } else { "!*" };
        out.push_str(&format!(
            "{name} {} {} {gid} {password} {} {} {groups} {}\n",
            user.uid, user.group, user.home, user.shell, user.comment
        ));
    }
    Ok(out)
}

/// The permissions table: every file and folder of the plan, and the modes of packaged files.
#[must_use]
pub fn permissions(plan: &Plan) -> String {
    let mut out = String::from("# name type mode uid gid major minor start inc count\n");
    for (path, asked) in &plan.files {
        let (kind, mode, owner, group) = match &asked.value {
            FilePlan::File { mode, owner, group, .. } | FilePlan::Program { mode, owner, group, .. } => {
                ('f', mode, owner, group)
            }
            FilePlan::Directory { mode, owner, group } => ('d', mode, owner, group),
            // A link has neither owner nor mode of its own: it belongs to root.
            FilePlan::Symlink { .. } => continue,
        };
        let (uid, gid) = (uid(plan, owner), gid(plan, group));
        out.push_str(&format!("{path} {kind} {} {uid} {gid} - - - - -\n", octal(mode)));
    }
    for (path, asked) in &plan.modes {
        out.push_str(&format!("{path} f {} 0 0 - - - - -\n", octal(&asked.value)));
    }
    out
}

/// Octal without the leading zero that makedevs would not mind but its table never has.
fn octal(mode: &str) -> &str {
    let short = mode.trim_start_matches('0');
    if short.is_empty() { "0" } else { short }
}

/// A number where the plan has one; else a name, which makedevs looks up in the image.
fn uid(plan: &Plan, name: &str) -> String {
    match plan.users.get(name) {
        Some(user) => user.value.uid.to_string(),
        None if name == "root" => "0".to_owned(),
        None => name.to_owned(),
    }
}

fn gid(plan: &Plan, name: &str) -> String {
    match (plan.groups.get(name), plan.users.get(name)) {
        (Some(group), _) => group.value.gid.to_string(),
        (None, Some(user)) if user.value.group == name => user.value.uid.to_string(),
        _ if name == "root" => "0".to_owned(),
        _ => name.to_owned(),
    }
}
