//! Small trees for tests.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;
use spec::plan::{CheckPlan, Plan};

use crate::kinds;
use crate::root::{Node, NodeKind, Root};
use crate::subject::Subject;
use crate::{Conclusion, Context, Unable};

/// A tree under construction.
#[derive(Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    contents: BTreeMap<String, Vec<u8>>,
}

impl Tree {
    /// The least that counts as a whole root file system.
    pub fn base() -> Self {
        Self::default()
            .file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/usr/sbin/nologin\n")
            .file("/etc/shadow", 0o600, "root:*:20000::::::\n")
            .file("/etc/group", 0o644, "root:x:0:\n")
            .file("/usr/lib/os-release", 0o644, "ID=debian\n")
            .dir("/usr/bin", 0o755)
    }

    fn node(mut self, path: &str, kind: NodeKind, mode: u32) -> Self {
        let mut at = 0;
        while let Some(slash) = path[at + 1..].find('/') {
            at += 1 + slash;
            self.nodes.entry(path[..at].to_owned()).or_insert(Node {
                kind: NodeKind::Directory,
                mode: 0o755,
                uid: 0,
                gid: 0,
                capabilities: false,
            });
        }
        self.nodes.insert(path.to_owned(), Node { kind, mode, uid: 0, gid: 0, capabilities: false });
        self
    }

    pub fn file(mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.contents.insert(path.to_owned(), content.to_vec());
        self.node(path, NodeKind::File(content.len() as u64), mode)
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.node(path, NodeKind::Directory, mode)
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.node(path, NodeKind::Symlink(target.to_owned()), 0o777)
    }

    pub fn without(mut self, path: &str) -> Self {
        self.nodes.remove(path).expect("path is in the tree");
        self
    }

    pub fn change(mut self, path: &str, change: impl FnOnce(&mut Node)) -> Self {
        change(self.nodes.get_mut(path).expect("path is in the tree"));
        self
    }

    pub fn root(self) -> Root {
        Root::new(self.nodes, Box::new(self.contents), "ab".repeat(32))
    }
}

/// A small program of this host: position independent, full RELRO, no canary.
pub fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("program.c");
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let built = folder.path().join("program");
        let compiler = std::process::Command::new("gcc")
            .args(["-fPIE", "-pie", "-Wl,-z,relro,-z,now", "-fno-stack-protector", "-o"])
            .args([&built, &source])
            .status()
            .unwrap();
        assert!(compiler.success());
        std::fs::read(built).unwrap()
    })
}

/// Runs a kind on a tree.
pub fn run(kind: &str, with: Value, root: Root) -> Result<Conclusion, Unable> {
    run_on(kind, with, &Subject::of_root(root), None)
}

/// Runs a kind on a subject.
pub fn run_on(kind: &str, with: Value, subject: &Subject, plan: Option<&Plan>) -> Result<Conclusion, Unable> {
    let entry = kinds::find(kind).expect("the kind is registered");
    let problems = (entry.validate)(&with);
    assert!(problems.is_empty(), "{problems:?}");
    let check = CheckPlan {
        title: "a test".into(),
        layer: "test".into(),
        kind: kind.into(),
        with: with.clone(),
        requirements: vec![],
        by_product: false,
    };
    (entry.run)(&with, &Context { id: "test.check", check: &check, plan, subject })
}

/// The conclusion must hold; gives what was seen.
#[track_caller]
pub fn passes(result: Result<Conclusion, Unable>) -> String {
    let conclusion = result.expect("it can run");
    assert!(conclusion.holds, "{}", conclusion.seen);
    conclusion.seen
}

/// The conclusion must not hold, and say so.
#[track_caller]
pub fn fails(result: Result<Conclusion, Unable>, says: &str) {
    let conclusion = result.expect("it can run");
    assert!(!conclusion.holds, "{}", conclusion.seen);
    assert!(conclusion.seen.contains(says), "`{says}` is not in: {}", conclusion.seen);
}

/// It must not be able to run, and say why.
#[track_caller]
pub fn cannot(result: Result<Conclusion, Unable>, says: &str) {
    let why = result.expect_err("it cannot run").to_string();
    assert!(why.contains(says), "`{says}` is not in: {why}");
}
