//! `fastness boot`: the untouched image, in QEMU.

use std::path::PathBuf;

use diag::{ExitStatus, Outcome};
use exec::FolderLock;
use record::{BootRecord, SelfcheckVerdict, TrafficRecord, TrafficVerdict};

use crate::output::{Output, clean};
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness boot                          the image of product.yaml
  fastness boot out/qemu-aarch64
  fastness boot --network                also probe every port of every interface";

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
    /// Probe all ports of every interface, and compare what answers with the plan
    #[arg(long)]
    network: bool,
    /// Also put the firewall under stress: reloads, broken files, too many connections, a full table
    #[arg(long, requires = "network")]
    stress: bool,
}

/// Boots and prints what the boot showed.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    // Before the lock, which would make the folder; and again behind it, when no other run changes it.
    Built::open(&folder)?;
    let _lock = FolderLock::take(&folder)?;
    let built = Built::open(&folder)?;
    let steps = Steps::new(*output);
    if arguments.network {
        let (boot, traffic) = stages::boot_network(&built, &steps, arguments.stress)?;
        drop(steps);
        output.result(&traffic, |_| text(&boot) + &traffic_text(&traffic));
        return Ok(if boot.passed && traffic.passed { ExitStatus::Success } else { ExitStatus::Proof });
    }
    let boot = stages::boot(&built, &steps)?;
    drop(steps);
    output.result(&boot, |_| text(&boot));
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
