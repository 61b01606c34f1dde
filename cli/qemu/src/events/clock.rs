//! A time server comes and goes: the device's clock follows it, and that is recorded.
//!
//! The device starts with a clock that is behind. The server is the proof's own, since it has to tell the machine's time and not
//! the host's; a relay on a tap of the device's network makes it a neighbour of the device, at the address of the product's.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use diag::Outcome;
use spec::plan::{FilePlan, Plan};
use traffic::ntp::TimeServer;
use traffic::relay::{Behind, Ends};

use super::kinds::TIME;
use super::session::Link;
use super::tunnel::said;
use super::{MINUTE, Proof};

/// What is measured beside the records.
pub(super) const FOLLOWS: &str = "the device's clock follows the time server";
const CONFIGURATION: &str = "/etc/chrony/chrony.conf";
const UNIT: &str = "chrony.service";
/// RFC 5905, 7.2.
const PORT: u16 = 123;
/// How far the server's time is ahead of the device's clock: more than any delay of the test, and more than the second from which on
/// the layer steps the clock; less than the 100 s at which it gives up.
const AHEAD: Duration = Duration::from_secs(30);
/// How far a clock that follows may be off: the server's answer takes its time on a busy host.
const OFF: f64 = 2.0;
/// How long the device may take until it has chosen a source: it asks four times, with two seconds between.
const CHOOSES: Duration = Duration::from_secs(180);
/// And until it has lost one: eight questions without an answer, with 64 s between (`minpoll` of chrony.conf(5)), and twice that.
const LOSES: Duration = Duration::from_secs(1_100);

/// The time servers of the device's configuration, and whether each has to show who it is.
pub(super) fn servers(plan: &Plan) -> impl Iterator<Item = (&str, bool)> {
    let text = match plan.files.get(CONFIGURATION).map(|asked| &asked.value) {
        Some(FilePlan::File { content, .. }) => content.as_str(),
        _ => "",
    };
    text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("server ")?.split_whitespace();
        Some((words.next()?, words.any(|word| word == "nts")))
    })
}

/// The server that the proof has: the interface's number, the device's address there, and the server's.
///
/// # Errors
/// Why there is none.
pub(super) fn source(plan: &Plan) -> Result<(usize, Ipv4Addr, Ipv4Addr), String> {
    if servers(plan).next().is_none() {
        return Err("the product has no time server: `time` of the product names none".to_owned());
    }
    if servers(plan).any(|(_, shows)| shows) {
        return Err(
            "the proof has no time server that shows who it is, as the product asks (`nts`)".to_owned()
        );
    }
    let addresses: Vec<Ipv4Addr> = servers(plan).filter_map(|(address, _)| address.parse().ok()).collect();
    let neighbour = |(index, name): (usize, &String)| {
        let link = Link::of(&plan.network.interfaces.get(name)?.addresses)?;
        let server = addresses.iter().find(|address| link.holds(**address) && **address != link.own)?;
        Some((index, link.own, *server))
    };
    plan.board.interfaces.iter().enumerate().find_map(neighbour).ok_or_else(|| {
        "the proof has a time server only where the product's has an IPv4 address on a network of the device".to_owned()
    })
}

/// The interface's number, and what a relay on its network passes on to the server.
///
/// # Errors
/// As [`source`].
pub(super) fn neighbour(plan: &Plan, server: &Arc<TimeServer>) -> Result<(usize, Ends), String> {
    let (index, own, address) = source(plan)?;
    // A client takes another port for each question.
    let (device, peer) = (SocketAddrV4::new(own, 0), SocketAddrV4::new(address, PORT));
    Ok((index, Ends { device, peer, behind: Behind::Time(Arc::clone(server)) }))
}

/// By how many seconds the device's clock is ahead of the machine's, at least and at most.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ahead {
    least: f64,
    most: f64,
}

impl Ahead {
    /// The device said a whole second of its clock between two times of the machine.
    fn of(device: u32, asked: Duration, answered: Duration) -> Self {
        let device = f64::from(device);
        Self { least: device - answered.as_secs_f64(), most: device + 1.0 - asked.as_secs_f64() }
    }
}

impl Proof<'_> {
    /// The server comes, the device follows it, and the server goes. What is recorded of it is judged later. `Err` says why there is
    /// no server.
    pub(super) fn follow(&mut self) -> Outcome<Result<(), String>> {
        if let Err(why) = source(self.plan) {
            return Ok(Err(why));
        }
        let before = self.ahead_of_the_machine()?;
        let (_, from) = self.run_so_far();
        let start = Duration::from_secs(self.spec.epoch);
        self.time.tell(self.bench.machine.started, start + AHEAD);
        // It asks at once, and not when it has given up the server that was away.
        self.bench.ask(&format!("systemctl restart {UNIT}"), MINUTE * 2)?;
        self.said(&said(UNIT, &TIME[1], from), CHOOSES)?;
        let after = self.ahead_of_the_machine()?;
        self.time.leave();
        if after.is_some_and(|after| after.most > AHEAD.as_secs_f64() / 2.0) {
            self.ahead = AHEAD;
        }
        let (_, to) = self.run_so_far();
        // Nothing follows from it: what the device's start shows is judged by the start.
        self.windows.happened(TIME[..2].iter().map(|kind| kind.name), (from, to));
        let (seen, problems) = followed(before, after);
        self.verdict(FOLLOWS, seen, problems);
        Ok(Ok(()))
    }

    /// Until the device has said that its source is gone.
    pub(super) fn loses(&mut self) -> Outcome<()> {
        let (start, _) = self.run_so_far();
        self.said(&said(UNIT, &TIME[2], start), LOSES)
    }

    fn ahead_of_the_machine(&mut self) -> Outcome<Option<Ahead>> {
        let (epoch, started) = (Duration::from_secs(self.spec.epoch), self.bench.machine.started);
        let asked = epoch + started.elapsed();
        let answer = self.bench.ask("date -u +%s", MINUTE)?;
        let answered = epoch + started.elapsed();
        let device = answer.iter().find_map(|line| line.parse().ok());
        Ok(device.map(|device| Ahead::of(device, asked, answered)))
    }
}

/// What was measured, and what is wrong with it.
fn followed(before: Option<Ahead>, after: Option<Ahead>) -> (Vec<String>, Vec<String>) {
    let (Some(before), Some(after)) = (before, after) else {
        return (Vec::new(), vec!["the device did not say its time".to_owned()]);
    };
    let ahead = AHEAD.as_secs_f64();
    let said = |at: Ahead| format!("between {:.1} and {:.1} s behind it", ahead - at.most, ahead - at.least);
    let seen = format!("before the server answered: {}; afterwards: {}", said(before), said(after));
    let mut problems = Vec::new();
    if before.most > ahead - OFF {
        problems.push("the device had the server's time before that answered: nothing was shown".to_owned());
    }
    if after.most < ahead - OFF || after.least > ahead + OFF {
        problems.push(format!("the device's clock is more than {OFF} s off the server's"));
    }
    (vec![seen], problems)
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
