//! Mutations of what rollback protection rests on: the counter in the TPM, and the device's own word for a version.

use std::os::unix::fs::FileExt;

use diag::{ExitStatus, Failure, Outcome};

use super::{Case, CounterState, TpmChange, unfit};
use crate::tpm::Counter;

fn version(case: &Case<'_>) -> Outcome<u32> {
    case.subject.rollback_version.ok_or_else(|| unfit("the image carries no rollback version"))
}

pub(super) fn counter(case: &mut Case<'_>, state: CounterState) -> Outcome<String> {
    let version = version(case)?;
    let own = u64::from(version);
    let (counter, words) = match state {
        CounterState::Newer => (
            Counter::At(own + 1),
            format!("the TPM's counter is at {}, the image has version {own}", own + 1),
        ),
        CounterState::Older if own < 2 => {
            return Err(unfit("the image has the lowest rollback version, 1: it cannot be an update"));
        }
        CounterState::Older => (
            Counter::At(own - 1),
            format!("the TPM's counter is at {}, the image has version {own}", own - 1),
        ),
        CounterState::Same => {
            (Counter::At(own), format!("the TPM's counter is at the image's version {own}"))
        }
        CounterState::Unwritten => {
            (Counter::Unwritten, "the TPM's counter is made, and was never counted".to_owned())
        }
        CounterState::Foreign => {
            (Counter::Foreign, "the TPM's owner may write the index of the counter".to_owned())
        }
    };
    case.tpm = Some(TpmChange::Counter(counter));
    Ok(words)
}

pub(super) fn proof(case: &mut Case<'_>, text: &str) -> Outcome<String> {
    let text = text.replace("{version}", &version(case)?.to_string());
    let partition = case.subject.partition("proof")?;
    case.disk.write_all_at(text.as_bytes(), partition.offset).map_err(|e| {
        Failure::error(
            ExitStatus::Environment,
            "write",
            format!("the copy of the disk cannot be written: {e}"),
        )
    })?;
    Ok(format!("the partition `proof` says {text:?}"))
}

pub(super) fn remove_tpm(case: &mut Case<'_>) -> Outcome<String> {
    version(case)?;
    case.tpm = Some(TpmChange::Removed);
    Ok("the TPM is taken off the board".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Mutation;
    use super::super::testing::{Bench, VERSION};
    use super::*;

    #[test]
    fn the_counter_stands_relative_to_the_images_version() {
        let bench = Bench::new();
        let own = u64::from(VERSION);
        for (state, counter) in [
            (CounterState::Newer, Counter::At(own + 1)),
            (CounterState::Older, Counter::At(own - 1)),
            (CounterState::Same, Counter::At(own)),
            (CounterState::Unwritten, Counter::Unwritten),
            (CounterState::Foreign, Counter::Foreign),
        ] {
            let (words, case) = bench.run(&[Mutation::RollbackCounter { state }]);
            assert_eq!(case.tpm, Some(TpmChange::Counter(counter)), "{words}");
        }
        let (_, case) = bench.run(&[Mutation::RemoveTpm {}]);
        assert_eq!(case.tpm, Some(TpmChange::Removed));
    }

    #[test]
    fn the_proof_is_written_where_u_boot_reads_it() {
        let bench = Bench::new();
        let (words, case) = bench.run(&[Mutation::Proof { text: "proved {version}\n".into() }]);
        assert_eq!(words, "the partition `proof` says \"proved 3\\n\"");
        assert_eq!(bench.read("proof", 0, 10, &case), b"proved 3\n\0");
    }

    #[test]
    fn a_sealed_device_may_lose_its_tpm_and_find_a_plain_file_system() {
        let bench = Bench::new();
        let (words, case) = bench.run(&[Mutation::SealedDevice {}, Mutation::ExchangeTpm {}]);
        assert_eq!(case.tpm, Some(TpmChange::Exchanged));
        assert_eq!(
            words,
            "the device was started once, and sealed its data partition; another TPM is on the board"
        );
        let (_, case) = bench.run(&[Mutation::PlainData {}]);
        assert_eq!(bench.read("data", 1024 + 0x38, 2, &case), [0x53, 0xef]);
    }

    #[test]
    fn an_image_without_a_version_cannot_be_attacked_so() {
        let mut bench = Bench::new();
        bench.subject.rollback_version = None;
        let why = bench.fails(&[Mutation::RemoveTpm {}]);
        assert!(why.contains("the image carries no rollback version"), "{why}");
        bench.subject.rollback_version = Some(1);
        let why = bench.fails(&[Mutation::RollbackCounter { state: CounterState::Older }]);
        assert!(why.contains("it cannot be an update"), "{why}");
    }
}
