//! How strong each area is: a word that follows from the levels of the rules that apply, and can be worked out again
//! from the result itself. No weights, no sum: one critical finding is not made good by a hundred good files.

use std::collections::BTreeMap;

use super::model::{Area, Issue, Level, Strength};

/// The words, the weakest first. `unknown` stands apart: nothing of the kind was found or could be read.
pub const WORDS: [&str; 4] = ["broken", "weak", "fair", "good"];

/// The word for the worst level of an area.
#[must_use]
pub fn word(worst: Option<Level>) -> &'static str {
    match worst {
        Some(Level::Critical) => "broken",
        Some(Level::High) => "weak",
        Some(Level::Medium) => "fair",
        Some(Level::Low | Level::Note) | None => "good",
    }
}

/// What was counted in an area.
#[must_use]
pub fn unit(area: Area) -> &'static str {
    match area {
        Area::Reading => "parts",
        Area::Boot => "boot loaders and FITs",
        Area::Kernel => "kernels",
        Area::Accounts => "accounts",
        Area::Keys => "files that could hold keys",
        Area::Secrets => "files",
        Area::Services => "root file systems",
        Area::Privileges => "paths",
        Area::Programs => "programs and libraries",
        Area::Units => "services of systemd",
    }
}

/// Each area's strength, from what was looked at and what was found.
#[must_use]
pub fn strength(looked_at: &BTreeMap<Area, usize>, issues: &[Issue]) -> Vec<Strength> {
    let of = |area: Area| {
        let own = || issues.iter().filter(move |issue| issue.area == area);
        let mut counts = BTreeMap::new();
        for issue in own() {
            *counts.entry(issue.level.word().to_owned()).or_insert(0) += 1;
        }
        let looked = looked_at.get(&area).copied().unwrap_or_default();
        let worst = own().map(|issue| issue.level).max();
        // A note or two do not say that the rest was seen.
        let word = if looked == 0 && worst <= Some(Level::Low) { "unknown" } else { word(worst) };
        Strength { area, word: word.to_owned(), looked_at: looked, of: unit(area).to_owned(), issues: counts }
    };
    Area::ALL.into_iter().map(of).collect()
}

/// The word of the whole: the weakest area's; `unknown` when no area could be judged.
///
/// How well the image was read is no strength of the image: where nothing else could be judged, the whole is unknown,
/// however harmless the findings about reading are.
#[must_use]
pub fn overall(strength: &[Strength]) -> &'static str {
    if strength.iter().all(|area| area.area == Area::Reading || area.word == "unknown") {
        return "unknown";
    }
    let has = |word: &&&str| strength.iter().any(|area| area.word == ***word);
    WORDS.iter().find(has).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(area: Area, level: Level) -> Issue {
        Issue {
            rule: "x".into(),
            area,
            level,
            title: String::new(),
            advice: String::new(),
            places: Vec::new(),
        }
    }

    #[test]
    fn the_worst_finding_decides_and_nothing_seen_is_no_strength() {
        let looked = BTreeMap::from([(Area::Accounts, 3), (Area::Programs, 9), (Area::Kernel, 1)]);
        let issues = [
            issue(Area::Accounts, Level::Low),
            issue(Area::Programs, Level::High),
            issue(Area::Programs, Level::Note),
        ];
        let all = strength(&looked, &issues);
        let of = |area: Area| all.iter().find(|s| s.area == area).unwrap();
        assert_eq!(of(Area::Accounts).word, "good");
        assert_eq!(of(Area::Programs).word, "weak");
        assert_eq!(of(Area::Programs).issues, BTreeMap::from([("high".into(), 1), ("note".into(), 1)]));
        assert_eq!(of(Area::Kernel).word, "good");
        assert_eq!(of(Area::Boot).word, "unknown");
        assert_eq!(overall(&all), "weak");
        assert_eq!(overall(&strength(&BTreeMap::new(), &[])), "unknown");
    }

    #[test]
    fn an_image_that_was_not_understood_is_not_fair() {
        let unread = [issue(Area::Reading, Level::Medium)];
        assert_eq!(overall(&strength(&BTreeMap::from([(Area::Reading, 1)]), &unread)), "unknown");
        let partly = BTreeMap::from([(Area::Reading, 2), (Area::Kernel, 1)]);
        assert_eq!(overall(&strength(&partly, &unread)), "fair");
    }
}
