//! Files of docs/ that are made from the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use spec::library::Library;
use xshell::{Shell, cmd};

use crate::Problems;

/// Relative path and content.
type Files = BTreeMap<PathBuf, String>;

/// Writes all of them; returns how many.
pub fn write(top: &Path) -> Result<usize, String> {
    let files = files(top)?;
    for (path, text) in &files {
        let path = top.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| format!("cannot make `{}`: {e}", parent.display()))?;
        }
        fs::write(&path, text).map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
    }
    for stray in strays(top, &files)? {
        fs::remove_file(top.join(&stray)).map_err(|e| format!("cannot remove `{}`: {e}", stray.display()))?;
    }
    Ok(files.len())
}

/// Those that are not what the code would write.
pub fn stale(top: &Path) -> Result<Problems, String> {
    let files = files(top)?;
    let mut problems: Problems = files
        .iter()
        .filter(|(path, text)| fs::read_to_string(top.join(path)).ok().as_ref() != Some(*text))
        .map(|(path, _)| format!("`{}` is out of date; run `cargo xtask generate`", path.display()))
        .collect();
    for stray in strays(top, &files)? {
        problems.push(format!("`{}` is no longer generated; run `cargo xtask generate`", stray.display()));
    }
    Ok(problems)
}

fn files(top: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    let mut schemas = evidence::schemas();
    schemas.push(("event", events::schema::event()));
    for (name, schema) in schemas {
        let text = serde_json::to_string_pretty(&schema).map_err(|e| format!("schema `{name}`: {e}"))?;
        files.insert(PathBuf::from(format!("docs/schemas/{name}.schema.json")), text + "\n");
    }
    man_pages(top, &mut files)?;
    files.insert(PathBuf::from("docs/exit-codes.md"), exit_codes());
    files.insert(PathBuf::from("docs/layers.md"), layers()?);
    Ok(files)
}

/// Files in the wholly generated folders that nothing makes any more.
fn strays(top: &Path, files: &Files) -> Result<Vec<PathBuf>, String> {
    let mut strays = Vec::new();
    for folder in ["docs/schemas", "docs/man"] {
        let Ok(listing) = fs::read_dir(top.join(folder)) else { continue };
        for entry in listing {
            let entry = entry.map_err(|e| format!("cannot list `{folder}`: {e}"))?;
            let path = Path::new(folder).join(entry.file_name());
            if !files.contains_key(&path) {
                strays.push(path);
            }
        }
    }
    Ok(strays)
}

fn man_pages(top: &Path, files: &mut Files) -> Result<(), String> {
    let shell = Shell::new().map_err(|e| e.to_string())?;
    shell.change_dir(top);
    let folder = shell.create_temp_dir().map_err(|e| e.to_string())?;
    let to = folder.path();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    cmd!(shell, "{cargo} run --locked --quiet -p fastness -- man --quiet --dir {to}")
        .ignore_stdout()
        .quiet()
        .run()
        .map_err(|e| e.to_string())?;
    for path in shell.read_dir(to).map_err(|e| e.to_string())? {
        let text = shell.read_file(&path).map_err(|e| e.to_string())?;
        let name = path.file_name().unwrap_or_default();
        files.insert(Path::new("docs/man").join(name), text);
    }
    Ok(())
}

const GENERATED: &str = "<!-- Written by `cargo xtask generate`; do not edit. -->\n";

fn exit_codes() -> String {
    let mut text = format!(
        "# Exit codes\n{GENERATED}\n\
         They are part of the interface. With `--json`, a failure is a JSON document on standard error whose \
         `status` is the name.\n\n| code | name | meaning |\n|---:|---|---|\n"
    );
    for status in diag::ExitStatus::ALL {
        let name = serde_json::to_value(status).ok();
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        text.push_str(&format!("| {} | `{name}` | {} |\n", status.code(), status.meaning()));
    }
    text.push_str(
        "\nA command that does several things ends with the gravest: `proof` (7) weighs more than `check` (6).\n\
         A second Ctrl-C ends the program at once, also with 130; so does a first one that nothing notices within three seconds, as when a pipe is waited for.\n",
    );
    text
}

fn layers() -> Result<String, String> {
    let layers = spec::layers(&Library::built_in(None)).map_err(|failure| failure.to_string())?;
    let mut text = format!("# Layers\n{GENERATED}\n");
    for layer in layers {
        text.push_str(&format!("## {}\n{}. {}\n\n", layer.name, layer.title, layer.description.trim()));
        if !layer.default {
            text.push_str("Only applied when a product names it.\n\n");
        }
        if !layer.needs.is_empty() {
            text.push_str(&format!("Needs: {}.\n\n", layer.needs.join(", ")));
        }
        text.push_str(&format!("Serves: {}.\n\n", layer.requirements.join(", ")));
        if !layer.parameters.is_empty() {
            text.push_str("| parameter | type | default | meaning |\n|---|---|---|---|\n");
            for parameter in &layer.parameters {
                let default = match &parameter.default {
                    Some(value) => format!("`{value}`"),
                    None => "must be given".to_owned(),
                };
                text.push_str(&format!(
                    "| `{}` | {} | {default} | {} |\n",
                    parameter.name, parameter.r#type, parameter.description
                ));
            }
            text.push('\n');
        }
        let checks: Vec<String> = layer.checks.iter().map(|check| format!("`{check}`")).collect();
        text.push_str(&format!("Checks: {}.\n\n", checks.join(", ")));
    }
    Ok(text.trim_end().to_owned() + "\n")
}
