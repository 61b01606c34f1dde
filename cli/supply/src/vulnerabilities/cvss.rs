//! The severity that a vector of CVSS comes to, where nobody says it in a word. Source: the specifications of CVSS 2.0, 3.0, 3.1 and
//! 4.0, "Qualitative Severity Rating Scale", by the crate `cvss`.

use cvss::Cvss;

use super::Severity;

/// The severity of a vector such as `CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H`; unknown where it is none.
pub(super) fn severity(vector: &str) -> Severity {
    let Ok(vector) = vector.parse::<Cvss>() else { return Severity::Unknown };
    // The crate takes a vector of version 3 without all metrics of the base, and counts what is missing as nothing.
    if let Cvss::CvssV30(base) | Cvss::CvssV31(base) = &vector {
        let exploit = base.av.is_some() && base.ac.is_some() && base.pr.is_some() && base.ui.is_some();
        if !exploit || base.s.is_none() || base.c.is_none() || base.i.is_none() || base.a.is_none() {
            return Severity::Unknown;
        }
    }
    match vector.severity() {
        // Of no impact by its own vector.
        cvss::Severity::None | cvss::Severity::Low => Severity::Low,
        cvss::Severity::Medium => Severity::Medium,
        cvss::Severity::High => Severity::High,
        cvss::Severity::Critical => Severity::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_those_of_the_specifications_examples_and_what_is_no_whole_vector_has_none() {
        // Source: CVSS v3.1 Examples, with their scores; the last two are of 2.0 (7.5) and 4.0 (10.0).
        for (vector, expected) in [
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:N", Severity::Medium),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Severity::Medium),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", Severity::Medium),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", Severity::Low),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", Severity::Critical),
            ("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", Severity::Medium),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", Severity::High),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity::Critical),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", Severity::Critical),
            ("CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Severity::Low),
            ("AV:N/AC:L/Au:N/C:P/I:P/A:P", Severity::High),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", Severity::Critical),
        ] {
            assert_eq!(severity(vector), expected, "{vector}");
        }
        for none in [
            "",
            "AV:N/AC:L",
            "CVSS:3.1/AV:N",
            "CVSS:4.0/AV:N",
            "CVSS:5.0/AV:N/AC:L",
            "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        ] {
            assert_eq!(severity(none), Severity::Unknown, "{none}");
        }
    }
}
