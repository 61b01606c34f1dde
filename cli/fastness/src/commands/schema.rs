//! `fastness schema`: the published JSON Schemas.

use diag::{ExitStatus, Failure, Outcome, did_you_mean};

use crate::output::Output;

const EXAMPLE: &str = "\
Example:
  fastness schema product > product.schema.json

Editors with the YAML language server take it by a first line in the product file:
  # yaml-language-server: $schema=product.schema.json";

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Such as `product`, `board`, `layer`, `report`, `facts`, `event`; otherwise the names are listed
    name: Option<String>,
}

/// Prints a schema; its JSON is the same with and without `--json`.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let mut schemas = evidence::schemas();
    schemas.push(("event", events::schema::event()));
    let names: Vec<&str> = schemas.iter().map(|(name, _)| *name).collect();
    let Some(name) = &arguments.name else {
        output.result(&names, |_| names.join("\n") + "\n");
        return Ok(ExitStatus::Success);
    };
    let Some((_, schema)) = schemas.iter().find(|(known, _)| known == name) else {
        let failure =
            Failure::error(ExitStatus::Usage, "unknown-schema", format!("there is no schema `{name}`"));
        return Err(failure.hint(match did_you_mean(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.join(", ")),
        }));
    };
    output.result(schema, |_| serde_json::to_string_pretty(schema).unwrap_or_default() + "\n");
    Ok(ExitStatus::Success)
}
