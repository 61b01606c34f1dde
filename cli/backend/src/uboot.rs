//! What every backend needs for U-Boot.

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::{Asked, FilePlan, PatchPlan, Plan};

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

/// The plan's patches by file name.
pub(crate) fn patches(plan: &Plan) -> impl Iterator<Item = (&String, &Asked<PatchPlan>)> {
    plan.uboot_patches.iter()
}

/// Refuses a patch that is for other versions of U-Boot than the one that is built; `%` at the end of that one
/// stands for anything, as in BitBake.
///
/// # Errors
/// `uboot-patch`.
pub(crate) fn check_version(name: &str, patch: &Asked<PatchPlan>, version: &str) -> Outcome<()> {
    if patch.value.versions.iter().any(|known| known == version.trim_end_matches('%')) {
        return Ok(());
    }
    let who = patch.origins.first().map(|origin| origin.who.clone()).unwrap_or_default();
    let message = format!(
        "the patch `{name}` of {who} is for U-Boot {}, and this is {}",
        patch.value.versions.join(" and "),
        version.trim_end_matches('%')
    );
    let mut failure = Failure::error(ExitStatus::Input, "uboot-patch", message);
    for origin in &patch.origins {
        failure = failure.note(format!(
            "asked for by {} at {}:{}: {}",
            origin.who, origin.file, origin.line, origin.reason
        ));
    }
    Err(failure.hint("choose a series with such a U-Boot, or do without what needs the patch"))
}

#[cfg(test)]
mod tests {
    use spec::plan::Origin;

    use super::*;

    #[test]
    fn a_patch_for_another_version_is_refused() {
        let value = PatchPlan { text: String::new(), versions: vec!["2025.01".into(), "2026.01".into()] };
        let origin = Origin {
            who: "layer x".into(),
            file: "layers/x/layer.yaml".into(),
            line: 7,
            reason: "a reason".into(),
        };
        let patch = Asked { value, origins: vec![origin] };
        check_version("x.patch", &patch, "2025.01").unwrap();
        check_version("x.patch", &patch, "2026.01%").unwrap();
        let text = check_version("x.patch", &patch, "2024.01%").unwrap_err().to_string();
        assert!(
            text.contains("of layer x is for U-Boot 2025.01 and 2026.01, and this is 2024.01\n"),
            "{text}"
        );
        assert!(text.contains("asked for by layer x at layers/x/layer.yaml:7: a reason"), "{text}");
    }
}
