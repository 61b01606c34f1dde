//! `guide-entries`: the security guide in the image has an entry for everything that it has to name.
//!
//! What has to be named is taken from the plan, and again from the image: a self-check that a device would run and that the
//! guide leaves out, or an account that a person can log in to, is found there, whatever the plan says.

use std::collections::BTreeSet;

use serde::Deserialize;
use spec::plan::Plan;

use super::Kind;
use super::accounts::NO_SHELLS;
use crate::root::{NodeKind, Root};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct GuideEntries;

/// Where a device keeps its own checks.
const SELFCHECKS: &str = "/usr/lib/fastness/selfcheck.d";

/// What entries are of.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Subject {
    Accounts,
    Flows,
    Tunnels,
    SelfChecks,
    Waivers,
}

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// The guide.
    path: String,
    /// What it has to name: `accounts`, `flows`, `tunnels`, `self-checks`, `waivers`.
    of: Vec<Subject>,
}

impl Kind for GuideEntries {
    const NAME: &'static str = "guide-entries";
    const DESCRIPTION: &'static str = "the guide is what the plan has, and has an entry for each account, flow, tunnel, self-check and waiver, of those in `of`: of the plan and of the image";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = super::file_absent::path_problems(std::slice::from_ref(&with.path));
        if with.of.is_empty() {
            problems.push("`of` is empty, so that no entry would be looked for".to_owned());
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let (root, plan, path) = (context.root()?, context.plan()?, with.path.as_str());
        let expected = format!("`{path}`, as planned, with an entry for each");
        let Some(text) = root.read_text(path)? else {
            return Ok(Conclusion::of(
                &[format!("`{path}` is missing")],
                expected,
                String::new(),
                &root.sha256,
            ));
        };
        let mut problems = Vec::new();
        let planned = plan.files.get(path).and_then(|asked| asked.value.bytes());
        if planned.is_some_and(|planned| planned != text.as_bytes()) {
            problems.push(format!("`{path}` is not what the plan has"));
        }
        let lines: BTreeSet<&str> = text.lines().map(str::trim_end).collect();
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        wanted.insert(format!("{} {} on {}", plan.product.name, plan.product.version, plan.board.name));
        for subject in &with.of {
            wanted.extend(of_plan(*subject, plan));
            match subject {
                Subject::SelfChecks => self_checks(root, plan, &lines, &mut problems),
                Subject::Accounts => logins(root, &lines, &mut problems)?,
                Subject::Flows | Subject::Tunnels | Subject::Waivers => {}
            }
        }
        let missing = wanted.iter().filter(|line| !lines.contains(line.as_str()));
        problems.extend(missing.map(|line| format!("`{path}` lacks the entry `{line}`")));
        Ok(Conclusion::of(&problems, expected, format!("{} entries, all there", wanted.len()), &root.sha256))
    }
}

/// The first lines of the entries that the plan asks for.
fn of_plan(subject: Subject, plan: &Plan) -> Vec<String> {
    let network = &plan.network;
    match subject {
        Subject::Accounts => {
            let what = |person| if person { "a person" } else { "a service" };
            let users = plan.users.iter().map(|(name, user)| (name, &user.value));
            users
                .map(|(name, user)| format!("account {name}: {}, uid {}", what(user.person), user.uid))
                .collect()
        }
        Subject::Flows => {
            let flows = network.flows.iter().map(|flow| {
                format!(
                    "flow {}: {}, {}/{}, zone {}",
                    flow.name, flow.direction, flow.transport, flow.port, flow.zone
                )
            });
            let frames = network.frames.iter().map(|frame| {
                format!(
                    "frames {}: {}, {}, zone {}",
                    frame.name, frame.direction, frame.ethertype, frame.zone
                )
            });
            flows.chain(frames).collect()
        }
        Subject::Tunnels => {
            let tunnels = network.tunnels.iter();
            tunnels
                .map(|(name, tunnel)| format!("tunnel {name}: {}, peer {}", tunnel.kind, tunnel.peer_address))
                .collect()
        }
        Subject::SelfChecks => {
            let checks = plan.checks.iter().filter(|(_, asked)| asked.value.kind == "selfcheck");
            checks.map(|(id, _)| self_check(id)).collect()
        }
        Subject::Waivers => plan
            .waivers
            .iter()
            .flat_map(|(what, asked)| {
                asked.origins.iter().map(move |by| format!("waiver {what}: {}", by.who))
            })
            .collect(),
    }
}

fn self_check(id: &str) -> String {
    format!("self-check {id}: expected result pass")
}

/// Programs of the image that run as self-checks and have no entry, and entries of self-checks that are none of the plan's.
fn self_checks(root: &Root, plan: &Plan, lines: &BTreeSet<&str>, problems: &mut Vec<String>) {
    let found = root.find(&format!("{SELFCHECKS}/*"));
    for (path, _) in found.into_iter().filter(|(_, node)| node.kind != NodeKind::Directory) {
        let id = path.rsplit('/').next().unwrap_or(path);
        if !plan.checks.contains_key(id) && !lines.contains(self_check(id).as_str()) {
            problems
                .push(format!("the device runs `{path}`, and the guide does not say what it should give"));
        }
    }
    for line in lines {
        let id = line.strip_prefix("self-check ").and_then(|rest| rest.split_once(':')).map(|(id, _)| id);
        if let Some(id) = id.filter(|id| root.entry(&format!("{SELFCHECKS}/{id}")).is_none()) {
            problems.push(format!("the guide names the self-check `{id}`, which the image does not have"));
        }
    }
}

/// Accounts of the image that have a shell and that the guide does not name as a person's.
fn logins(root: &Root, lines: &BTreeSet<&str>, problems: &mut Vec<String>) -> Result<(), Unable> {
    let text =
        root.read_text("/etc/passwd")?.ok_or_else(|| Unable::broken("the image has no `/etc/passwd`"))?;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, .., shell] = fields.as_slice() else { continue };
        // root's lock is `accounts`' to assert; a service may ask for its shell.
        let none = *name == "root" || NO_SHELLS.contains(&shell.trim());
        if !none && !lines.contains(format!("account {name}: a person, uid {uid}").as_str()) {
            problems.push(format!(
                "the account `{name}` has the shell `{shell}`, and the guide names it as no person's"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use spec::plan::{Asked, CheckPlan, FilePlan, Flow, FrameFlow, Origin, Plan, UserPlan};

    use crate::subject::Subject;
    use crate::testing::*;
    use crate::{Conclusion, Unable};

    const PATH: &str = "/usr/share/fastness/security-guide.txt";
    const GUIDE: &str = "SECURITY GUIDE\ndevice 1.0 on bench\n\
        account eve: a person, uid 2000\naccount _chrony: a service, uid 120\n\
        flow ssh: in, tcp/22, zone plant\nframes drives: both, 0x8892, zone cell\n\
        self-check self.time: expected result pass\n    If it fails: look\n\
        waiver threat:data.read: product\n";

    fn with() -> Value {
        json!({"path": PATH, "of": ["accounts", "flows", "tunnels", "self-checks", "waivers"]})
    }

    fn plan() -> Plan {
        let mut plan = crate::report::sample::plan();
        (plan.product.name, plan.product.version) = ("device".into(), "1.0".into());
        plan.board.name = "bench".into();
        plan.files.clear();
        plan.network.tunnels.clear();
        plan.network.flows = vec![Flow {
            name: "ssh".into(),
            direction: "in".into(),
            transport: "tcp".into(),
            port: 22,
            zone: "plant".into(),
            ..Flow::default()
        }];
        plan.network.frames = vec![FrameFlow {
            name: "drives".into(),
            direction: "both".into(),
            zone: "cell".into(),
            interfaces: Vec::new(),
            service: "drives".into(),
            protocol: "profinet".into(),
            ethertype: "0x8892".into(),
            multicast: Vec::new(),
            rate: "1/second".into(),
            accepted_risk: None,
            reason: "why".into(),
        }];
        let user = |uid, person| UserPlan {
            uid,
            group: "x".into(),
            groups: Vec::new(),
            home: "/x".into(),
            shell: "/bin/sh".into(),
            comment: String::new(),
            person,
            ssh_keys: Vec::new(),
        };
        plan.users = [("eve", user(2000, true)), ("_chrony", user(120, false))]
            .map(|(name, value)| (name.to_owned(), Asked { value, origins: Vec::new() }))
            .into();
        let check = |kind: &str| CheckPlan {
            title: "t".into(),
            layer: "l".into(),
            kind: kind.into(),
            with: json!({}),
            requirements: Vec::new(),
            by_product: false,
        };
        plan.checks = [("self.time", check("selfcheck")), ("fs.owners", check("owned-by-root"))]
            .map(|(id, value)| (id.to_owned(), Asked { value, origins: Vec::new() }))
            .into();
        let by = Origin { who: "product".into(), file: "p".into(), line: 1, reason: "r".into() };
        plan.waivers = [("threat:data.read".to_owned(), Asked { value: (), origins: vec![by] })].into();
        plan
    }

    fn tree(guide: &str) -> Tree {
        Tree::base()
            .file(PATH, 0o644, guide)
            .file("/usr/lib/fastness/selfcheck.d/self.time", 0o755, "#!/bin/sh\n")
            .file(
                "/etc/passwd",
                0o644,
                "root:x:0:0:root:/root:/usr/sbin/nologin\n_chrony:x:120:120::/:/bin/false\neve:x:2000:2000::/home/eve:/bin/bash\n",
            )
    }

    fn check(tree: Tree, plan: &Plan) -> Result<Conclusion, Unable> {
        run_on("guide-entries", with(), &Subject::of_root(tree.root()), Some(plan))
    }

    #[test]
    fn pass() {
        assert_eq!(passes(check(tree(GUIDE), &plan())), "7 entries, all there");
        let only = json!({"path": PATH, "of": ["self-checks"]});
        let guide = "device 1.0 on bench\nself-check self.time: expected result pass\n";
        let subject = Subject::of_root(tree(guide).root());
        assert_eq!(passes(run_on("guide-entries", only, &subject, Some(&plan()))), "2 entries, all there");
    }

    #[test]
    fn each_entry_that_is_missing_or_says_something_else_is_found() {
        for (from, to, lacks) in [
            ("device 1.0 on bench", "device 0.9 on bench", "device 1.0 on bench"),
            ("account eve: a person, uid 2000", "", "account eve: a person, uid 2000"),
            ("uid 120", "uid 121", "account _chrony: a service, uid 120"),
            ("tcp/22", "tcp/23", "flow ssh: in, tcp/22, zone plant"),
            ("frames drives", "frames motors", "frames drives: both, 0x8892, zone cell"),
            ("expected result pass", "expected result fail", "self-check self.time: expected result pass"),
            ("data.read: product", "data.read: layer x", "waiver threat:data.read: product"),
        ] {
            let guide = GUIDE.replace(from, to);
            assert_ne!(guide, GUIDE, "{from}");
            fails(check(tree(&guide), &plan()), &format!("lacks the entry `{lacks}`"));
        }
    }

    #[test]
    fn a_tunnel_has_an_entry_too() {
        let tunnel = serde_json::from_value(json!({
            "kind": "strongswan", "zone": "plant", "interface": "eth0", "local_address": "192.0.2.10", "local_name": "a",
            "peer_address": "192.0.2.20", "peer_name": "b", "networks_v4": [], "networks_v6": [], "inner_address": null,
            "inner_peer": null, "device": null, "reqid": 1, "ports": [], "proposals": [], "esp_proposals": [], "reason": "r",
        }));
        let mut plan = plan();
        plan.network.tunnels = [("scada".to_owned(), tunnel.expect("the facts of a tunnel"))].into();
        let entry = "tunnel scada: strongswan, peer 192.0.2.20";
        fails(check(tree(GUIDE), &plan), &format!("lacks the entry `{entry}`"));
        assert_eq!(passes(check(tree(&format!("{GUIDE}{entry}\n")), &plan)), "8 entries, all there");
    }

    #[test]
    fn what_the_image_has_and_the_guide_does_not_name_is_found() {
        let more = tree(GUIDE).file("/usr/lib/fastness/selfcheck.d/self.own", 0o755, "x");
        fails(check(more, &plan()), "the device runs `/usr/lib/fastness/selfcheck.d/self.own`");
        fails(
            check(tree(GUIDE).without("/usr/lib/fastness/selfcheck.d/self.time"), &plan()),
            "the guide names the self-check `self.time`, which the image does not have",
        );
        let open = tree(GUIDE).file("/etc/passwd", 0o644, "sync:x:4:65534::/bin:/bin/sync\n");
        fails(check(open, &plan()), "the account `sync` has the shell `/bin/sync`");
    }

    #[test]
    fn a_guide_that_is_missing_or_that_somebody_wrote_anew_is_found() {
        fails(
            check(tree(GUIDE).without(PATH), &plan()),
            "`/usr/share/fastness/security-guide.txt` is missing",
        );
        let mut planned = plan();
        let root = || "root".to_owned();
        let value =
            FilePlan::File { mode: "0644".into(), owner: root(), group: root(), content: GUIDE.to_owned() };
        planned.files.insert(PATH.to_owned(), Asked { value, origins: Vec::new() });
        passes(check(tree(GUIDE), &planned));
        fails(check(tree(&format!("{GUIDE}more\n")), &planned), "is not what the plan has");
    }

    #[test]
    fn without_a_plan_there_is_no_conclusion() {
        cannot(run("guide-entries", with(), tree(GUIDE).root()), "no plan");
    }

    #[test]
    fn parameters() {
        let validate = crate::kinds::find("guide-entries").expect("the kind is registered").validate;
        assert!(validate(&json!({"path": "guide.txt", "of": []})).join("; ").contains("`of` is empty"));
        assert!(validate(&json!({"path": PATH, "of": ["x"]})).join("; ").contains("unknown variant `x`"));
    }
}
