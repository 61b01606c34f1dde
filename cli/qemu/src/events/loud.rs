//! Messages that come faster than the recording takes them: they are lost, and that has to be told, with their number.

use std::time::Duration;

use diag::Outcome;
use record::TrafficVerdict;

use super::kinds::LOUD;
use super::{MINUTE, Proof, parameter};

/// Messages of the bench's loud service; the journal takes 2000 of a service in 30 s.
const MESSAGES: u64 = 1_500;
/// What the recording counts its rate over, and a while.
const INTERVAL: Duration = Duration::from_secs(15);

impl Proof<'_> {
    pub(super) fn loud(&mut self, account: (&str, u32)) -> Outcome<()> {
        if let Some(why) = cannot(&parameter(self.plan, "events", "rate")) {
            for kind in LOUD {
                self.class(kind.name, TrafficVerdict::NotShown, Vec::new(), vec![why.clone()]);
            }
            return Ok(());
        }
        for kind in LOUD {
            self.windows.requested(kind.name, self.run_so_far().1);
            self.bench.ask(kind.command, MINUTE * 2)?;
        }
        // rsyslog tells how much it was with the first message behind its interval.
        std::thread::sleep(INTERVAL);
        self.bench.ask("systemctl start bench-once; systemctl stop bench-once", MINUTE)?;
        self.settle()?;
        self.judge_all(LOUD, account);
        Ok(())
    }
}

/// Why so many messages are none too many; none: they are.
fn cannot(rate: &str) -> Option<String> {
    let most = MESSAGES / 2;
    match rate.parse::<u64>() {
        Ok(rate) if rate <= most => None,
        _ => {
            Some(format!("the recording takes {rate} messages in ten seconds; the proof tries up to {most}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_the_proof_does_not_exceed_is_said_so() {
        assert_eq!(cannot("500"), None);
        assert_eq!(cannot("750"), None);
        for rate in ["751", "", "many"] {
            assert!(cannot(rate).unwrap().contains(&format!("takes {rate} messages")), "{rate}");
        }
        let bench = super::super::BENCH;
        assert!(bench.contains(&format!("-lt {MESSAGES} ]")) && bench.contains("bench-loud.service"));
    }
}
