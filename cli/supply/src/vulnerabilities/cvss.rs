//! The base score of CVSS 3.x, where a record has a vector and no word.
//!
//! Source: Common Vulnerability Scoring System v3.1, "7.1. Base Metrics Equations", "7.4. Metric Values" and "8. Qualitative
//! Severity Rating Scale". Vectors of version 4 are not computed: their severity stays unknown, which counts.

use super::Severity;

/// The severity of a vector such as `CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H`; unknown where it is none.
pub(super) fn severity(vector: &str) -> Severity {
    match score(vector) {
        // Of no impact by its own vector.
        Some(score) if score < 40 => Severity::Low,
        Some(score) if score < 70 => Severity::Medium,
        Some(score) if score < 90 => Severity::High,
        Some(_) => Severity::Critical,
        None => Severity::Unknown,
    }
}

/// Ten times the base score.
fn score(vector: &str) -> Option<u32> {
    let metrics = vector.strip_prefix("CVSS:3.1/").or_else(|| vector.strip_prefix("CVSS:3.0/"))?;
    let of = |name: &str| metrics.split('/').find_map(|one| one.strip_prefix(name)?.strip_prefix(':'));
    let changed = match of("S")? {
        "U" => false,
        "C" => true,
        _ => return None,
    };
    let vector = weight(of("AV")?, &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?;
    let complexity = weight(of("AC")?, &[("L", 0.77), ("H", 0.44)])?;
    let (low, high) = if changed { (0.68, 0.5) } else { (0.62, 0.27) };
    let privileges = weight(of("PR")?, &[("N", 0.85), ("L", low), ("H", high)])?;
    let interaction = weight(of("UI")?, &[("N", 0.85), ("R", 0.62)])?;
    let impact = |name: &str| weight(of(name)?, &[("H", 0.56), ("L", 0.22), ("N", 0.0)]);
    let base = 1.0 - (1.0 - impact("C")?) * (1.0 - impact("I")?) * (1.0 - impact("A")?);
    let impact =
        if changed { 7.52 * (base - 0.029) - 3.25 * (base - 0.02_f64).powi(15) } else { 6.42 * base };
    if impact <= 0.0 {
        return Some(0);
    }
    let exploitability = 8.22 * vector * complexity * privileges * interaction;
    let sum = if changed { 1.08 * (impact + exploitability) } else { impact + exploitability };
    Some(tenths_up(sum.min(10.0)))
}

fn weight(word: &str, weights: &[(&str, f64)]) -> Option<f64> {
    weights.iter().find(|(known, _)| *known == word).map(|(_, weight)| *weight)
}

/// Tenths, rounded up. Source: the same, "Appendix A - Floating Point Rounding".
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 10
fn tenths_up(score: f64) -> u32 {
    let exact = (score * 100_000.0).round() as u32;
    exact.div_ceil(10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_specification_s_examples() {
        // Source: CVSS v3.1 Examples.
        for (vector, expected) in [
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:N", 54),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 64),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 31),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 99),
            ("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 42),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 75),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100),
            ("CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
        ] {
            assert_eq!(score(vector), Some(expected), "{vector}");
        }
        for none in [
            "",
            "AV:N/AC:L/Au:N/C:P/I:P/A:P",
            "CVSS:4.0/AV:N",
            "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        ] {
            assert_eq!(score(none), None, "{none}");
        }
    }
}
