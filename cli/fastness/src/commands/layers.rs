//! `fastness layers`.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome, did_you_mean};
use spec::LayerSummary;

use crate::output::Output;
use crate::places;

const EXAMPLE: &str = "\
Examples:
  fastness layers
  fastness layers firewall               parameters and checks of one layer";

/// Arguments of `layers`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Only this layer, with its parameters and checks
    name: Option<String>,
    /// Folder whose own layers/ are listed with the built-in ones
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Lists the layers.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let mut layers = spec::layers(&places::definitions(&arguments.folder)?)?;
    if let Some(name) = &arguments.name {
        let near = did_you_mean(name, layers.iter().map(|layer| layer.name.as_str())).map(str::to_owned);
        layers.retain(|layer| layer.name == *name);
        if layers.is_empty() {
            let failure =
                Failure::error(ExitStatus::Input, "unknown-layer", format!("there is no layer `{name}`"));
            return Err(failure.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`fastness layers` lists them".to_owned(),
            }));
        }
    }
    let whole = arguments.name.is_some();
    output.result(&layers, |_| layers.iter().map(|layer| text(layer, whole)).collect());
    Ok(ExitStatus::Success)
}

fn text(layer: &LayerSummary, whole: bool) -> String {
    let on = if layer.default { "" } else { " (only when a product names it)" };
    let mut out = format!("{}: {}{on}\n", layer.name, layer.title);
    if !whole {
        return out;
    }
    out.push_str(&format!("  {}\n", layer.description.trim()));
    if !layer.needs.is_empty() {
        out.push_str(&format!("  needs: {}\n", layer.needs.join(", ")));
    }
    out.push_str(&format!("  serves: {}\n", layer.requirements.join(", ")));
    for parameter in &layer.parameters {
        let default = match &parameter.default {
            Some(value) => format!("default {value}"),
            None => "must be given".to_owned(),
        };
        out.push_str(&format!(
            "  parameter {} ({}, {default}): {}\n",
            parameter.name, parameter.r#type, parameter.description
        ));
    }
    for check in &layer.checks {
        out.push_str(&format!("  check {check}\n"));
    }
    out
}
