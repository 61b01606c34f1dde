use super::*;

const UNIT: &str = "fastness-events.service";
const FIRST: &str = "memory.current=5000000 memory.peak=6000000 memory.max=50331648 pids.current=4 pids.peak=5 pids.max=20 \
                     cpu.max=20000/100000 cpu.usage_usec=1000000 events.oom_kill=0";
const THEN: &str = "memory.current=7000000 memory.peak=9437184 memory.max=50331648 pids.current=4 pids.peak=9 pids.max=20 \
                    cpu.max=20000/100000 cpu.usage_usec=3000000 events.oom_kill=0";

fn one(up: &str, text: &str) -> Look {
    look(&["noise".to_owned(), format!("used {UNIT} up={up} {text}")])
}

fn judged(change: &[(&str, &str)]) -> Judged {
    let mut then = THEN.to_owned();
    for (from, to) in change {
        assert!(then.contains(from), "{from}");
        then = then.replace(from, to);
    }
    inside(UNIT, &[one("100.00", FIRST), one("120.00", &then)])
}

#[test]
fn a_service_inside_of_its_bounds_passes() {
    let (verdict, seen, problems) = judged(&[]);
    assert_eq!((verdict, problems), (TrafficVerdict::Pass, Vec::new()));
    assert_eq!(
        seen,
        [
            "memory: at most 9216 KiB, of 49152 KiB",
            "tasks: at most 9, of 20",
            "processor: at most 10.0 % of one, of 20.0 %",
            "not ended by its bound of memory"
        ]
    );
}

#[test]
fn a_service_beyond_a_bound_or_ended_by_it_fails() {
    for (from, to, expected) in [
        ("memory.peak=9437184", "memory.peak=60000000", "memory 58593 KiB, of 49152 KiB"),
        ("pids.peak=9", "pids.peak=21", "tasks 21, of 20"),
        ("usage_usec=3000000", "usage_usec=5500000", "processor: at most 22.5 % of one, of 20.0 %"),
        ("oom_kill=0", "oom_kill=1", "was ended by its bound of memory"),
        ("events.oom_kill=0", "x=0", "whether its bound of memory ended it was not told"),
        ("cpu.usage_usec=3000000", "x=0", "its processor time was not told"),
    ] {
        let (verdict, _, problems) = judged(&[(from, to)]);
        assert_eq!(verdict, TrafficVerdict::Fail);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
    }
    // A tenth more than the quota is the kernel's own coarseness.
    assert_eq!(judged(&[("usage_usec=3000000", "usage_usec=5390000")]).0, TrafficVerdict::Pass);
}

#[test]
fn without_a_peak_the_most_of_all_looks_counts() {
    let bare = |text: &str| text.replace("memory.peak", "x").replace("pids.peak", "y");
    let high = bare(FIRST).replace("memory.current=5000000", "memory.current=60000000");
    let looks = [one("1.00", &bare(FIRST)), one("2.00", &high), one("99.00", &bare(THEN))];
    let problems = inside(UNIT, &looks).2;
    assert!(problems[0].contains("memory 58593 KiB"), "{problems:?}");
}

#[test]
fn a_service_that_was_not_there_at_each_look_is_no_pass() {
    let gone = [one("1.00", FIRST), Look::new(), one("2.00", THEN)];
    let (verdict, _, problems) = inside(UNIT, &gone);
    assert_eq!(
        (verdict, problems[0].as_str()),
        (TrafficVerdict::Fail, "what fastness-events.service used was not told at each look")
    );
    for looks in [&gone[..1], &[]] {
        let (verdict, _, problems) = inside(UNIT, looks);
        assert_eq!(verdict, TrafficVerdict::Fail);
        assert!(problems[0].contains("not told before and after"), "{problems:?}");
    }
}

#[test]
fn what_has_no_bound_is_told_and_not_claimed() {
    let with = |text: &str| one("1.00", text);
    let names = [UNIT];
    assert_eq!(bounds(&names, &with(FIRST)).0, TrafficVerdict::Pass);
    for (from, to, expected) in [
        ("cpu.max=20000/100000 ", "", "processor time (its control group has no cpu.max)"),
        ("cpu.max=20000", "cpu.max=max", "has no bound of processor time"),
        ("memory.max=50331648", "memory.max=max", "has no bound of memory"),
        ("pids.max=20", "pids.max=max", "has no bound of tasks"),
    ] {
        let (verdict, _, problems) = bounds(&names, &with(&FIRST.replace(from, to)));
        assert_eq!(verdict, TrafficVerdict::NotShown);
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    assert_eq!(bounds(&names, &Look::new()).2, ["fastness-events.service does not run"]);
    // What is there is still measured.
    let (verdict, seen, _) = judged(&[("cpu.max=20000/100000 ", "")]);
    assert_eq!(verdict, TrafficVerdict::Pass);
    assert!(seen.contains(&"processor: at most 10.0 % of one, without a bound".to_owned()), "{seen:?}");
    let none = [
        ("cpu.max=20000", "cpu.max=max"),
        ("memory.max=50331648", "memory.max=max"),
        ("pids.max=20", "pids.max=max"),
    ];
    let (verdict, _, problems) = judged(&none);
    assert_eq!(verdict, TrafficVerdict::NotShown);
    assert!(problems[0].contains("has no bound; memory: at most 9216 KiB, without a bound"), "{problems:?}");
}

#[test]
fn counters_are_the_firewall_s_and_the_kernel_s() {
    let lines = "table inet fastness {\n\tcounter spoofed {\n\t\tcomment \"x\"\n\t\tpackets 7 bytes 420\n\t}\n\tcounter dropped_in {\n\
                 \t\tpackets 5 bytes 300\n\t}\n}\nenabled 2\nlost 3\nbacklog 0\n";
    let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    assert_eq!(Counted::read(&lines), Some(Counted { dropped: 12, lost: 3 }));
    assert_eq!(Counted::read(&lines[..9]), None);
    assert_eq!(Counted::read(&lines[9..]), None);
}

#[test]
fn what_is_missing_is_told_by_a_counter_or_by_a_record() {
    let well = Kept {
        before: Counted { dropped: 10, lost: 2 },
        after: Some(Counted { dropped: 5_010, lost: 2 }),
        recorded: (300, 612),
        sizes: [(Some(180_000), 196_608), (Some(1_000_000), 2_097_152)],
        untold: Ok(String::new()),
    };
    let (seen, problems) = kept(&well);
    assert_eq!(problems, Vec::<String>::new());
    assert!(
        seen[0].starts_with(
            "the firewall counted 5000 packets that it dropped, and 300 records of them were seen"
        ),
        "{seen:?}"
    );
    type Change = fn(&mut Kept);
    let changes: [(Change, &str); 8] = [
        (|kept| kept.after = None, "was not told afterwards"),
        (|kept| kept.after = Some(Counted { dropped: 10, lost: 2 }), "0 dropped packets were counted"),
        (|kept| kept.recorded.0 = 0, "5000 dropped packets were counted, and 0 recorded"),
        (|kept| kept.after = Some(Counted { dropped: 99, lost: 5 }), "the kernel lost 3 audit records"),
        (|kept| kept.sizes[0].0 = Some(196_609), "the records: 196609 bytes, expected at most 196608"),
        (|kept| kept.sizes[1].0 = None, "the size of the audit log was not told"),
        (
            |kept| kept.untold = Ok("7 to 9".to_owned()),
            "the collector lacks 7 to 9, and the device does not say so",
        ),
        (|kept| kept.untold = Err("cannot read".to_owned()), "cannot read"),
    ];
    for (change, expected) in changes {
        let mut worse = well.clone();
        change(&mut worse);
        let problems = kept(&worse).1;
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
    }
}

/// The bench's functions, run by this host's shell on a folder that looks like the device's control groups.
#[test]
fn the_bench_tells_what_is_read_here() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join(UNIT);
    std::fs::create_dir(&unit).unwrap();
    for (file, text) in [
        ("memory.current", "5000000\n"),
        ("memory.max", "max\n"),
        ("pids.current", "4\n"),
        ("pids.max", "20\n"),
        ("cpu.max", "20000 100000\n"),
        ("cpu.stat", "usage_usec 77\nuser_usec 50\n"),
        ("memory.events", "low 0\nmax 3\noom_kill 1\n"),
    ] {
        std::fs::write(unit.join(file), text).unwrap();
    }
    std::fs::write(folder.path().join("memory.events"), "low 0\noom_kill 4\n").unwrap();
    let bench = super::super::BENCH.replace("/sys/fs/cgroup/system.slice", folder.path().to_str().unwrap());
    let (_, functions) = bench.split_once("# What services have used and what").unwrap();
    let (functions, _) = functions.split_once("echo @@ready").unwrap();
    let told = |call: &str| {
        let script =
            format!("systemctl() {{ printf 'Id=a.service\\nActiveState=active\\n'; }}\n#{functions}\n{call}");
        let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let found = look(&told(&format!("used {UNIT} nobody.service")));
    assert_eq!(found.keys().collect::<Vec<_>>(), [UNIT]);
    let used = &found[UNIT];
    assert_eq!((used.most("memory"), used.most("pids")), ((Some(5_000_000), None), (Some(4), Some(20))));
    assert_eq!((used.share(), used.number("cpu.usage_usec")), (Some(200), Some(77)));
    assert_eq!((used.number("events.oom_kill"), used.lacks()), (Some(1), vec!["memory"]));
    assert!(super::super::condition::Condition::read(&told("condition lo")).is_some());
}
