//! `file-absent`: paths that must not be in the image.

use serde::Deserialize;

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct FileAbsent;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    paths: Vec<String>,
}

/// What is wrong with a list of paths.
pub fn path_problems(paths: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    if paths.is_empty() {
        problems.push("`paths` is empty, so that nothing would be checked".to_owned());
    }
    for path in paths.iter().filter(|path| !path.starts_with('/')) {
        problems.push(format!("`{path}` is not an absolute path"));
    }
    problems
}

impl Kind for FileAbsent {
    const NAME: &'static str = "file-absent";
    const DESCRIPTION: &'static str = "nothing matches";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        path_problems(&with.paths)
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut problems: Vec<String> = with
            .paths
            .iter()
            .flat_map(|pattern| root.find(pattern))
            .map(|(path, _)| format!("`{path}` is there"))
            .collect();
        problems.sort();
        problems.dedup();
        let count = root.nodes().count();
        Ok(Conclusion::of(
            &problems,
            format!("no {}", with.paths.join(", ")),
            format!("none among {count} paths"),
            &root.sha256,
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;
    use crate::{kinds, testing};

    #[test]
    fn pass() {
        let tree = Tree::base();
        passes(run("file-absent", json!({"paths": ["/etc/ssh/ssh_host_*_key"]}), tree.root()));
    }

    #[test]
    fn fail() {
        let tree = Tree::base().link("/bin", "usr/bin").file("/usr/bin/gdb", 0o755, "x");
        fails(run("file-absent", json!({"paths": ["/bin/gdb"]}), tree.root()), "`/usr/bin/gdb` is there");
    }

    #[test]
    fn nothing_is_absent_from_a_tree_that_is_not_whole() {
        let result = run("file-absent", json!({"paths": ["/x"]}), testing::Tree::default().root());
        cannot(result, "not a whole root file system");
    }

    #[test]
    fn an_empty_list_is_refused_at_plan_time() {
        let problems = (kinds::find("file-absent").unwrap().validate)(&json!({"paths": []}));
        assert_eq!(problems, ["`paths` is empty, so that nothing would be checked"]);
    }
}
