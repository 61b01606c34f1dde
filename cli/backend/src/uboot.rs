//! What every backend needs for U-Boot.

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::{FilePlan, Plan};

/// Where the plan holds U-Boot's whole environment; the device carries the same file to read.
const ENVIRONMENT: &str = "/usr/lib/fastness/u-boot.env";

/// U-Boot's whole environment, as `DEFAULT_ENV_FILE` wants it.
///
/// Without a boot command that ends in `reset`, U-Boot would end at its prompt: that is
/// refused here. Source: U-Boot `doc/usage/environment.rst`.
///
/// # Errors
/// When the plan has none, or one that does not end in `reset`.
pub(crate) fn environment(plan: &Plan) -> Outcome<String> {
    let content = match plan.files.get(ENVIRONMENT).map(|asked| &asked.value) {
        Some(FilePlan::File { content, .. }) => content.clone(),
        _ => String::new(),
    };
    let command = content.lines().find_map(|line| line.strip_prefix("bootcmd="));
    match command {
        Some(command) if command.trim_end().ends_with("; reset") => Ok(content),
        _ => Err(Failure::error(
            ExitStatus::Input,
            "uboot-environment",
            format!(
                "expected `{ENVIRONMENT}` in the plan with a `bootcmd` that ends in `; reset`, found `{}`",
                command.unwrap_or("none")
            ),
        )
        .hint(
            "without it a refused image would end at U-Boot's prompt; the layer `verified-boot` brings it",
        )),
    }
}
