//! The chain of what was recorded, and how it is told.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use events::{Chain, SealKey, Verifier};

use super::{EventIdentities, Proof};

/// The chain of what a collector got.
pub fn collected(path: &Path, seal: &SealKey) -> Result<Chain, String> {
    let file = File::open(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
    let mut verifier = Verifier::new(None).sealed(Some(seal.clone())).collected();
    verifier.read("collected.jsonl", BufReader::new(file)).map_err(|e| e.to_string())?;
    verifier.finish().map_err(|e| e.to_string())
}

/// The chain of what the device has.
pub fn whole(lines: &str, seal: &SealKey) -> Result<Chain, String> {
    let mut verifier = Verifier::new(None).sealed(Some(seal.clone()));
    verifier.read("events.jsonl", lines.as_bytes()).map_err(|e| e.to_string())?;
    verifier.finish().map_err(|e| e.to_string())
}

/// Numbers of records, as people write them.
pub fn numbers(ranges: &[(u64, u64)]) -> String {
    let range = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

/// From which record on there are seals.
pub fn sealed(from: Option<u64>) -> String {
    from.map_or_else(|| "without a seal".to_owned(), |number| format!("sealed from record {number} on"))
}

impl Proof<'_> {
    /// The chain on the device and at the collector, with its seals.
    pub(super) fn chains(&mut self, identities: &EventIdentities) {
        let (path, _) = self.collector.records();
        let (seen, problems) = match collected(&path, &identities.seal) {
            Ok(chain) if chain.sealed_from == Some(1) => {
                (vec![format!("{} records, sealed from the first on", chain.records)], vec![])
            }
            Ok(chain) => (vec![], vec![format!("{}, expected from record 1 on", sealed(chain.sealed_from))]),
            Err(why) => (vec![], vec![why]),
        };
        self.verdict("chain and seals verify at the collector, over the restart", seen, problems);
        let (seen, problems) = match whole(&self.held, &identities.seal) {
            Ok(chain) => (
                vec![format!(
                    "{} records from number {} on, {}",
                    chain.records,
                    chain.first,
                    sealed(chain.sealed_from)
                )],
                vec![],
            ),
            Err(why) => (vec![], vec![why]),
        };
        self.verdict("chain and seals verify on the device, over the restart", seen, problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_seals_are_told_in_words() {
        assert_eq!(numbers(&[(219, 287), (300, 300)]), "219 to 287, 300");
        assert_eq!(sealed(Some(519)), "sealed from record 519 on");
        assert_eq!(sealed(None), "without a seal");
    }
}
