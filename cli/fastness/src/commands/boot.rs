//! `fastness boot`: the untouched image, in QEMU.

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::{BootRecord, EventClass, SelfcheckVerdict, TrafficRecord, TrafficVerdict};

use super::login;
use crate::output::{Output, clean};
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness boot                          the image of product.yaml
  fastness boot out/qemu-aarch64
  fastness boot --device dev             the same device again: what it wrote is still there
  fastness boot --device dev --update new.update     it finds an update (`fastness bundle`)
  fastness boot --device dev --until '\"check\":\"made\"'   and runs on until it says that
  fastness boot --network                also probe every port of every interface, tunnels and firewall
  fastness boot --events                 provoke the security events and look for them at a collector
  fastness boot --events --login maintenance=id_ed25519";

/// Arguments of `boot`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file, or the output folder of one board
    #[arg(default_value = PRODUCT)]
    path: PathBuf,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Output folder, when PATH is a product file; otherwise `out` beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A device that lasts: disk and TPM in this folder stay as this start leaves them; made at the first
    #[arg(long, value_name = "DIR", conflicts_with_all = ["network", "events"])]
    device: Option<PathBuf>,
    /// An update that the device finds in its folder, once its self-checks have passed; may be given again
    #[arg(long, value_name = "FILE", requires = "device")]
    update: Vec<PathBuf>,
    /// Once its self-checks have passed, let the device run on until its console has a line with this text (`*` any text, `^` in
    /// front the line's start), at most ten minutes; may be given again, for each of them
    #[arg(long, value_name = "TEXT", requires = "device", conflicts_with = "update", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    until: Vec<String>,
    /// Probe all ports of every interface, prove the tunnels, and put the firewall under stress
    #[arg(long)]
    network: bool,
    /// Measure what gets through the tunnels, with and without firewall rules, instead of proving anything
    #[arg(long, conflicts_with_all = ["network", "events"])]
    throughput: bool,
    /// Leave out the firewall under stress: reloads, broken files, too many connections, a full table
    #[arg(long, requires = "network")]
    without_stress: bool,
    /// Provoke the security events of a product with a collector, and look for their records at both ends
    #[arg(long, conflicts_with = "network")]
    events: bool,
    /// A user of the product and the private key that opens a login, for what only a login shows
    #[arg(long, value_name = "USER=FILE", value_parser = login::parse)]
    login: Option<login::Given>,
}

/// Boots and prints what the boot showed.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    // Before the lock, which would make the folder; and again behind it, when no other run changes it.
    Built::open(&folder)?;
    let _lock = FolderLock::take(&folder)?;
    let built = Built::open(&folder)?;
    let steps = Steps::new(*output);
    let login = arguments.login.as_ref().map(|given| login::of(given, &built.plan)).transpose()?;
    if arguments.events {
        let classes = stages::boot_events(&built, login.as_ref(), &steps)?;
        drop(steps);
        output.result(&classes, |_| events_text(&classes));
        let good =
            |class: &EventClass| matches!(class.verdict, TrafficVerdict::Pass | TrafficVerdict::NotShown);
        return Ok(if classes.iter().all(good) { ExitStatus::Success } else { ExitStatus::Proof });
    }
    if arguments.throughput {
        let found = stages::throughput(&built, &steps)?;
        drop(steps);
        output.result(&found, |_| throughput_text(&found));
        return Ok(ExitStatus::Success);
    }
    if arguments.network {
        let (boot, traffic) =
            stages::boot_network(&built, login.as_ref(), &steps, !arguments.without_stress)?;
        drop(steps);
        output.result(&traffic, |_| text(&boot) + &traffic_text(&traffic));
        return Ok(if boot.passed && traffic.passed { ExitStatus::Success } else { ExitStatus::Proof });
    }
    let (mut said, mut missing) = (Vec::new(), Vec::new());
    let boot = match &arguments.device {
        Some(device) if !arguments.until.is_empty() => {
            let (boot, not_said) = stages::boot_until(&built, device, &arguments.until, &steps)?;
            missing = not_said;
            boot
        }
        Some(device) => {
            let (boot, updates) = stages::boot_device(&built, device, &arguments.update, &steps)?;
            said = updates;
            boot
        }
        None => stages::boot(&built, &steps)?,
    };
    drop(steps);
    output.result(&boot, |_| {
        let said: String = said.iter().map(|line| format!("update  {}\n", clean(line))).collect();
        text(&boot) + &said
    });
    if let (true, Some(text)) = (boot.passed, missing.first()) {
        let message = format!("no line of the console has `{}`", text.escape_debug());
        return Err(Failure::error(ExitStatus::Proof, "never-said", message)
            .note(format!("of {} that were waited for {} never came", arguments.until.len(), missing.len()))
            .hint(format!("look at `{}`", boot.console_log)));
    }
    if said.is_empty() && !arguments.update.is_empty() {
        let message = "the device said nothing of the update";
        return Err(Failure::error(ExitStatus::Proof, "no-update", message)
            .hint("it takes updates when its image has the layer `update` and its self-checks have passed"));
    }
    Ok(if boot.passed { ExitStatus::Success } else { ExitStatus::Proof })
}

fn word(verdict: TrafficVerdict) -> &'static str {
    match verdict {
        TrafficVerdict::Pass => "pass",
        TrafficVerdict::Fail => "FAIL",
        TrafficVerdict::NotRun => "NOT RUN",
        TrafficVerdict::NotShown => "no test",
    }
}

fn throughput_text(found: &[qemu::Throughput]) -> String {
    let line = |one: &qemu::Throughput| format!("{:>8.2} MB/s  {}\n", one.megabytes_per_second, one.way);
    match found.is_empty() {
        true => "no tunnel has a conduit over TCP: nothing to measure\n".to_owned(),
        false => found.iter().map(line).collect(),
    }
}

fn events_text(classes: &[EventClass]) -> String {
    let mut out = String::new();
    for class in classes {
        let seen: Vec<String> = class.seen.iter().map(|line| clean(line)).collect();
        let kind = if class.r#type.is_empty() { String::new() } else { format!(" ({})", class.r#type) };
        out.push_str(&format!("{}  {}{kind}: {}\n", word(class.verdict), class.kind, seen.join("; ")));
        for problem in &class.problems {
            out.push_str(&format!("      {}\n", clean(problem)));
        }
    }
    let count = |verdict| classes.iter().filter(|class| class.verdict == verdict).count();
    out.push_str(&format!(
        "{} pass, {} fail, {} have no test here\n",
        count(TrafficVerdict::Pass),
        count(TrafficVerdict::Fail),
        count(TrafficVerdict::NotShown)
    ));
    out
}

fn traffic_text(traffic: &TrafficRecord) -> String {
    let mut out = String::new();
    for interface in &traffic.interfaces {
        for class in &interface.classes {
            let word = word(class.verdict);
            let answered =
                if class.answered.is_empty() { "silent".to_owned() } else { class.answered.join(", ") };
            out.push_str(&format!(
                "{word}  {} {}: {} probes from {} to {}: {answered}\n",
                interface.interface, class.class, class.probes, class.source, class.target
            ));
            for problem in &class.problems {
                out.push_str(&format!("      {problem}\n"));
            }
        }
        for unasked in &interface.unasked {
            out.push_str(&format!("FAIL  {unasked}\n"));
        }
        out.push_str(&format!("      {} ms, all frames in {}\n", interface.ms, interface.pcap));
    }
    let tunnels = traffic.tunnels.iter().map(|class| {
        (format!("tunnel {}: {}", class.tunnel, class.class), class.verdict, &class.seen, &class.problems)
    });
    let firewall = traffic
        .firewall
        .iter()
        .map(|class| (format!("firewall: {}", class.class), class.verdict, &class.seen, &class.problems));
    for (name, verdict, seen, problems) in tunnels.chain(firewall) {
        let seen: Vec<String> = seen.iter().map(|line| clean(line)).collect();
        out.push_str(&format!("{}  {name}: {}\n", word(verdict), seen.join("; ")));
        for problem in problems {
            out.push_str(&format!("      {}\n", clean(problem)));
        }
    }
    if !traffic.events.is_empty() {
        out.push_str(&events_text(&traffic.events));
    }
    out.push_str(&format!("{}\n", traffic.summary));
    out
}

fn text(boot: &BootRecord) -> String {
    let mut out = String::new();
    for milestone in &boot.timeline {
        let (name, line) = (&milestone.name, &milestone.line);
        let seconds = format!("{}.{}", line.ms / 1000, line.ms % 1000 / 100);
        out.push_str(&format!("{seconds:>6} s  {name:<14} {}\n", clean(&line.text)));
    }
    for event in &boot.selfcheck {
        let word = if event.verdict == SelfcheckVerdict::Pass { "pass" } else { "FAIL" };
        out.push_str(&format!("{word}  {}: {}\n", clean(&event.check), clean(&event.seen)));
    }
    out.push_str(&format!("{}\n", boot.summary));
    out
}
