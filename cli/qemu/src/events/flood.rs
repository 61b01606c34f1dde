//! The device is flooded over its own network, and events come faster than they can be recorded: an allowed client is still served,
//! monitoring stays inside its bounds, and afterwards the device is as it was.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diag::Outcome;
use record::{EVENT_STORM, FLOODED, TrafficVerdict};
use traffic::flood::{Senders, Sent};

use super::chain::{collected, numbers};
use super::condition::{Condition, recovered};
use super::cost::SERVICES;
use super::service::{Answer, Service, goes_on, open};
use super::storm::{Counted, Judged, Kept, Look, bounds, inside, kept, look};
use super::{EventIdentities, MINUTE, Proof, parameter};

/// How long an answer may take: an emulated device on a busy host needs seconds for it at rest, and whoever loses one packet
/// waits some more until QEMU's TCP sends it again.
const ANSWER: Duration = Duration::from_secs(20);
/// How long until the device has to answer again once the flood is over.
const RECOVERY: Duration = Duration::from_secs(120);
/// Before the first client comes.
const LEAD: Duration = Duration::from_secs(3);
/// What one flood may be at most.
const MOST: (u64, Duration) = (2_000_000, Duration::from_secs(240));
/// Frames that the device has to have taken for certain: fewer are no flood.
const LEAST: u64 = 2_000;
/// New connections during each flood.
const CLIENTS: usize = 3;
/// What is audited at once, beside the packets that are dropped.
const STORM: &str = "(i=0; while [ $i -lt 300 ]; do : >/var/lib/fastness/bench; i=$((i + 1)); done) </dev/null >/dev/null 2>&1 &";

/// What the firewall counted, and what the kernel lost of the audit.
const COUNTED: &str = "nft list counters; auditctl -s";

const NEW: &str = "packets that nobody allows keep no allowed client out";
const BESIDE: &str = "connections of allowed addresses keep no other allowed client out";
const GOES_ON: &str = "an open connection goes on";
const AFTERWARDS: &str = "afterwards the device is as it was, and answers";
const BOUNDED: &str = "each service has bounds";
const KEPT: &str = "the records stay inside their bounds, and what is missing is told";
const SERVED: &str = "the service is not slowed beyond its limit";

fn flooded(name: &str) -> String {
    format!("{FLOODED}: {name}")
}

fn storm(name: &str) -> String {
    format!("{EVENT_STORM}: {name}")
}

fn stays(unit: &str) -> String {
    storm(&format!("{unit} stays inside its bounds"))
}

/// All classes, for when none of them can be shown.
fn classes() -> Vec<String> {
    let floods = [NEW, BESIDE, GOES_ON, AFTERWARDS].map(flooded);
    let storms = [BOUNDED, KEPT, SERVED].map(storm);
    floods.into_iter().chain(SERVICES.map(stays)).chain(storms).collect()
}

impl Proof<'_> {
    pub(super) fn flood(&mut self, identities: &EventIdentities) -> Outcome<()> {
        let (service, mut tap) = match (Service::of(self.plan), self.bench.machine.tap.take()) {
            (Ok(service), Some(tap)) => (service, tap),
            (service, _) => {
                let why = service.err().unwrap_or_else(|| "the device's network has no tap".to_owned());
                for name in classes() {
                    self.class(&name, TrafficVerdict::NotShown, Vec::new(), vec![why.clone()]);
                }
                return Ok(());
            }
        };
        let (port, pace, last) = (self.ports.ssh, service.pace(), self.last());
        let (condition, used) =
            (format!("condition {}", service.name), format!("used {}", SERVICES.join(" ")));
        let before = Condition::read(&self.bench.ask(&condition, MINUTE * 2)?);
        let counted = Counted::read(&self.bench.ask(COUNTED, MINUTE)?);
        // Whoever asked before took some of what the conduit's rate allows.
        thread::sleep(pace * 3);
        let calm = client(port, ANSWER * 3);
        let mut looks = vec![look(&self.bench.ask(&used, MINUTE)?)];
        self.bench.tell(STORM);
        let flood = &service.flood;
        let (sent, answers) =
            beside(|stop| flood.run(&mut tap, Senders::Strangers, stop, MOST), || clients(port, pace));
        looks.push(look(&self.asked(&used)?));
        let what =
            [service.what(), format!("before: {}", told(&calm)), format!("its rate: {}", service.flow.rate)];
        for name in [flooded(NEW), storm(SERVED)] {
            self.judged(&name, answered(&what, &sent, &answers));
        }
        if flood.allowed.is_empty() {
            let why = format!("the conduit `{}` allows nobody beside the client", service.flow.name);
            for name in [BESIDE, GOES_ON] {
                self.class(&flooded(name), TrafficVerdict::NotShown, Vec::new(), vec![why.clone()]);
            }
        } else {
            thread::sleep(pace * 3);
            // What is to go on has to have begun before.
            let held = open(port, ANSWER);
            let (sent, (went_on, answers)) = beside(
                |stop| flood.run(&mut tap, Senders::Allowed, stop, MOST),
                || (held.and_then(|(stream, _)| goes_on(stream, ANSWER)), clients(port, pace)),
            );
            self.judged(&flooded(BESIDE), answered(&what, &sent, &answers));
            self.judged(&flooded(GOES_ON), answered(&what, &sent, &[went_on]));
            looks.push(look(&self.asked(&used)?));
        }
        let over = Instant::now();
        let answer = again(port, pace, over)?;
        let waited = over.elapsed();
        self.bench.machine.tap = Some(tap);
        let after = Condition::read(&self.asked(&condition)?);
        let (seen, problems) = match &before {
            Some(before) => recovered(before, after.as_ref(), (&answer, waited)),
            None => (Vec::new(), vec!["the device did not tell how it was before the flood".to_owned()]),
        };
        self.verdict(&flooded(AFTERWARDS), seen, problems);
        self.settle()?;
        looks.push(look(&self.bench.ask(&used, MINUTE)?));
        self.monitoring(identities, &looks, counted, last)
    }

    /// What monitoring used until it had recorded all, and what it kept.
    fn monitoring(
        &mut self,
        identities: &EventIdentities,
        looks: &[Look],
        before: Option<Counted>,
        last: u64,
    ) -> Outcome<()> {
        for unit in SERVICES {
            self.judged(&stays(unit), inside(unit, looks));
        }
        self.judged(&storm(BOUNDED), bounds(&SERVICES, looks.last().unwrap_or(&Look::new())));
        let after = Counted::read(&self.bench.ask(COUNTED, MINUTE)?);
        let folder = self.parameter("events", "folder");
        let command = format!("cat {folder}/events.jsonl* | wc -c; cat /var/log/audit/audit.log* | wc -c");
        let lines = self.bench.ask(&command, MINUTE)?;
        let mut sizes = lines.iter().filter_map(|line| line.trim().parse().ok());
        let sizes = [(sizes.next(), self.events_bound()), (sizes.next(), self.audit_bound())];
        let new: Vec<&str> =
            self.device.range(last + 1..).map(|(_, (event, _))| event.r#type.as_str()).collect();
        let recorded = (new.iter().filter(|of| **of == "firewall.dropped").count(), new.len());
        let chain = collected(&self.collector.records().0, &identities.seal);
        let untold = chain.map(|chain| numbers(&chain.unexplained));
        let (seen, problems) = match before {
            Some(before) => kept(&Kept { before, after, recorded, sizes, untold }),
            None => (Vec::new(), vec!["what was dropped and lost was not told before".to_owned()]),
        };
        self.verdict(&storm(KEPT), seen, problems);
        Ok(())
    }

    fn judged(&mut self, name: &str, (verdict, seen, problems): Judged) {
        self.class(name, verdict, seen, problems);
    }

    /// Bytes that the records may have: what their writer adds to an event is not counted before it rotates.
    fn events_bound(&self) -> u64 {
        let files = number(&self.parameter("events", "logs")).saturating_add(1);
        number(&self.parameter("events", "log_size")).saturating_add(4_096).saturating_mul(files)
    }

    /// Bytes that the audit log may have: auditd looks at the size after it has written.
    fn audit_bound(&self) -> u64 {
        let size = number(&self.parameter("audit", "log_size"));
        size.saturating_mul(number(&self.parameter("audit", "logs"))).saturating_add(size / 2)
    }

    fn parameter(&self, layer: &str, name: &str) -> String {
        parameter(self.plan, layer, name)
    }

    /// Number of the last record that was seen.
    fn last(&self) -> u64 {
        self.device.keys().next_back().copied().unwrap_or_default()
    }

    /// No line from a device that does not answer any more: that is what is to be shown, not the end of the proof.
    fn asked(&mut self, command: &str) -> Outcome<Vec<String>> {
        let answer = self.bench.ask(command, MINUTE * 3);
        exec::check_interrupt()?;
        Ok(answer.unwrap_or_default())
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(u64::MAX)
}

/// Sends while something is done, and ends with it.
fn beside<T>(
    send: impl FnOnce(&AtomicBool) -> io::Result<Sent> + Send,
    work: impl FnOnce() -> T,
) -> (io::Result<Sent>, T) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| send(&stop));
        thread::sleep(LEAD);
        let done = work();
        stop.store(true, Ordering::Release);
        let sent = flood.join().unwrap_or_else(|_| Err(io::Error::other("the flood ended with a panic")));
        (sent, done)
    })
}

/// One new connection.
fn client(port: u16, limit: Duration) -> Answer {
    open(port, limit).map(|(_, after)| after)
}

/// New connections, no faster than the conduit's rate.
fn clients(port: u16, pace: Duration) -> Vec<Answer> {
    let one = |number| {
        if number > 0 {
            thread::sleep(pace);
        }
        client(port, ANSWER)
    };
    (0..CLIENTS).map(one).collect()
}

/// New connections until one is answered, or the device has had its time.
fn again(port: u16, pace: Duration, over: Instant) -> Outcome<Answer> {
    loop {
        let answer = client(port, ANSWER);
        exec::check_interrupt()?;
        if answer.is_ok() || over.elapsed() > RECOVERY {
            return Ok(answer);
        }
        thread::sleep(pace);
    }
}

fn told(answer: &Answer) -> String {
    match answer {
        Ok(after) => format!("answered after {:.1} s", after.as_secs_f64()),
        Err(why) => why.clone(),
    }
}

/// Whether there was a flood, and each client was answered.
fn answered(what: &[String], sent: &io::Result<Sent>, answers: &[Answer]) -> Judged {
    let mut problems: Vec<String> = answers.iter().filter(|answer| answer.is_err()).map(told).collect();
    if !problems.is_empty() {
        problems.insert(
            0,
            format!(
                "{} of {} times within {} s",
                answers.len() - problems.len(),
                answers.len(),
                ANSWER.as_secs()
            ),
        );
    }
    let mut verdict = if problems.is_empty() { TrafficVerdict::Pass } else { TrafficVerdict::Fail };
    let mut seen = what.to_vec();
    match sent {
        Ok(sent) => {
            let kinds: Vec<String> =
                sent.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            seen.push(format!(
                "{} frames in {} s ({} a second), of which the device took {} for certain: {}",
                sent.frames,
                sent.ms / 1_000,
                sent.rate(),
                sent.taken,
                kinds.join(", ")
            ));
            if sent.taken < LEAST {
                problems.push(format!(
                    "no flood: the device took {} frames, expected {LEAST} or more",
                    sent.taken
                ));
            }
        }
        Err(why) => problems.push(format!("the flood could not be sent: {why}")),
    }
    seen.extend(answers.iter().map(|answer| format!("during it {}", told(answer))));
    if verdict == TrafficVerdict::Fail {
        // The report shows what is wrong in place of what was seen: what the flood was belongs to it.
        problems.extend(seen.iter().cloned());
    } else if !problems.is_empty() || answers.is_empty() {
        verdict = TrafficVerdict::NotRun;
    }
    (verdict, seen, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(taken: u64) -> io::Result<Sent> {
        let kinds = [("UDP", 9_000), ("ICMP echo", 3_000)].into();
        Ok(Sent { frames: 12_000, taken, ms: 30_000, lost: 0, kinds })
    }

    fn judged(sent: &io::Result<Sent>, answers: &[Answer]) -> Judged {
        answered(&["`ssh` is asked".to_owned()], sent, answers)
    }

    #[test]
    fn a_client_that_is_answered_during_a_flood_is_a_pass() {
        let well = [Ok(Duration::from_millis(1_500)), Ok(Duration::from_millis(2_260))];
        let (verdict, seen, problems) = judged(&sent(11_968), &well);
        assert_eq!((verdict, problems), (TrafficVerdict::Pass, Vec::new()));
        assert_eq!(
            seen,
            [
                "`ssh` is asked",
                "12000 frames in 30 s (400 a second), of which the device took 11968 for certain: 3000 ICMP echo, 9000 UDP",
                "during it answered after 1.5 s",
                "during it answered after 2.3 s"
            ]
        );
        let worse = [well[0].clone(), Err("no answer within 20 s".to_owned())];
        for sent in [sent(11_968), sent(0)] {
            let (verdict, _, problems) = judged(&sent, &worse);
            assert_eq!((verdict, problems[0].as_str()), (TrafficVerdict::Fail, "1 of 2 times within 20 s"));
            assert!(problems[1..].contains(&"no answer within 20 s".to_owned()), "{problems:?}");
            assert!(
                problems.iter().any(|problem| problem.starts_with("12000 frames in 30 s")),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn no_flood_or_no_client_is_no_pass() {
        let well = [Ok(Duration::from_secs(1))];
        let (verdict, _, problems) = judged(&sent(1_999), &well);
        assert_eq!(verdict, TrafficVerdict::NotRun);
        assert_eq!(problems, ["no flood: the device took 1999 frames, expected 2000 or more"]);
        let (verdict, _, problems) = judged(&Err(io::Error::other("gone")), &well);
        assert_eq!((verdict, problems.len()), (TrafficVerdict::NotRun, 1));
        assert_eq!(judged(&sent(11_968), &[]).0, TrafficVerdict::NotRun);
    }

    #[test]
    fn the_flood_ends_with_what_is_done_beside_it() {
        let send = |stop: &AtomicBool| {
            while !stop.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(Sent { frames: 1, ..Sent::default() })
        };
        let (sent, done) = beside(send, || 7);
        assert_eq!((sent.unwrap().frames, done), (1, 7));
    }

    /// The report tells the classes from others by how their names begin, and no two are the same.
    #[test]
    fn each_class_has_a_name_of_one_of_the_findings() {
        let names: std::collections::BTreeSet<String> = classes().into_iter().collect();
        assert_eq!(names.len(), 10);
        assert!(
            names.iter().all(|name| name.starts_with(FLOODED) != name.starts_with(EVENT_STORM)),
            "{names:?}"
        );
    }
}
