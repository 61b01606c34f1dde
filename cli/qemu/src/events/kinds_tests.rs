#[path = "kinds_samples.rs"]
mod samples;

use super::*;

const LINE: &str = r#"{"seq":7,"prev":"00000000000000000000000000000000000000000000000000000000000000aa","clock":"synchronised","time":"2026-01-31T12:00:00Z","host":"gw","component":"/usr/bin/cat","type":"audit.access","subject":"eve","outcome":"failure","message":"m"}"#;

/// 2026-01-31T12:00:00Z.
const NOON: Window = (1_769_860_800, 1_769_860_800);

fn place(host: &str) -> Place {
    let text = |text: &str| text.to_owned();
    Place {
        host: text(host),
        collector: text("logs.example"),
        neighbour: text("192.0.2.2"),
        client: text("198.51.100.2"),
        peer: text("192.0.2.50"),
        source: text("192.0.2.1"),
    }
}

fn kind() -> &'static Kind {
    KINDS.iter().find(|kind| kind.r#type == "audit.access").unwrap()
}

#[test]
fn a_record_with_its_facts_at_both_ends_passes_and_any_other_fails() {
    let mut device = Records::new();
    // A long line comes in two parts.
    let (one, two) = LINE.split_at(100);
    read(&[one.to_owned(), two.to_owned()], &mut device).unwrap();
    let both = BTreeSet::from([LINE.to_owned()]);
    let of = |user: &str, host: &str, collected: &BTreeSet<String>| {
        judge(kind(), (user, 2000), &place(host), NOON, &device, collected)
    };
    let passed = of("eve", "gw", &both);
    assert_eq!(passed.verdict, TrafficVerdict::Pass);
    assert_eq!(
        passed.seen,
        ["record 7: 2026-01-31T12:00:00Z, synchronised; /usr/bin/cat on gw; eve; failure"]
    );
    assert!(of("adam", "gw", &both).problems[0].contains("no record of the type `audit.access`"));
    assert!(of("eve", "other", &both).problems[0].contains("expected the host `other`, found `gw`"));
    let none = of("eve", "gw", &BTreeSet::new());
    assert!(none.problems[0].contains("did not come to the collector"), "{none:?}");
    assert!(read(&["{\"seq\":x".to_owned()], &mut Records::new()).is_err());
    // Yocto's program has its package in its name; another's does not count.
    let of = |program: &str| {
        let line = LINE.replace("/usr/bin/cat", program);
        let mut device = Records::new();
        read(std::slice::from_ref(&line), &mut device).unwrap();
        judge(kind(), ("eve", 2000), &place("gw"), NOON, &device, &BTreeSet::from([line])).verdict
    };
    assert_eq!(of("/usr/bin/cat.coreutils"), TrafficVerdict::Pass);
    assert_eq!(of("/usr/bin/cat.other"), TrafficVerdict::Fail);
}

#[test]
fn a_record_from_another_time_than_that_in_which_it_happened_fails() {
    let mut device = Records::new();
    // Another one that fits, from before it was provoked, is passed over.
    let earlier = LINE.replace("\"seq\":7", "\"seq\":6").replace("T12:00:00Z", "T11:00:00Z");
    read(&[earlier, LINE.to_owned()], &mut device).unwrap();
    let both = BTreeSet::from([LINE.to_owned()]);
    let of = |window| judge(kind(), ("eve", 2000), &place("gw"), window, &device, &both);
    let (noon, _) = NOON;
    for window in [NOON, (noon + 5, noon + 9), (noon - 9, noon - 5), (noon - 60, noon + 60)] {
        let class = of(window);
        assert_eq!(class.verdict, TrafficVerdict::Pass, "{class:?}");
        assert!(class.seen[0].starts_with("record 7: "), "{class:?}");
    }
    for window in [(noon + 6, noon + 9), (noon - 9, noon - 6)] {
        let class = of(window);
        assert_eq!(class.verdict, TrafficVerdict::Fail, "{class:?}");
        assert!(class.problems[0].contains("by the machine's clock it was between "), "{class:?}");
    }
}

/// Of what a build system may leave out of an image the bench uses nothing: Buildroot has neither `setpriv` nor `unshare`
/// unless a package asks for them.
#[test]
fn the_bench_asks_for_no_program_that_an_image_may_lack() {
    let bench = super::super::BENCH;
    let all = ALL.into_iter().flatten();
    let mut words = all
        .map(|kind| kind.command)
        .chain([bench])
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    let lacking = ["setpriv", "unshare", "systemd-run", "su", "runuser"];
    assert_eq!(words.find(|word| lacking.contains(word)), None);
    assert!(bench.contains("User=%i") && bench.contains("systemctl start \"bench-as@$1\""));
}

/// The report tells what is a finding of its own from the other kinds by how its name begins.
#[test]
fn kinds_of_findings_of_their_own_begin_with_their_name() {
    let own = [
        (AUDIT_FULL, record::FULL_AUDIT_LOG),
        (KILLED, record::KILLED_RECORDER),
        (LOCKOUT, record::LOCKED_OUT),
        (LOGIN, record::PERSON_LOGS_IN),
    ];
    for kinds in ALL {
        for (of, begin) in own {
            let its = std::ptr::eq(kinds, of);
            assert!(kinds.iter().all(|kind| kind.name.starts_with(begin) == its), "{begin}");
        }
    }
}

#[test]
fn every_kind_has_its_own_name() {
    let all: Vec<&str> = ALL.into_iter().flatten().map(|kind| kind.name).collect();
    let names: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(names.len(), all.len());
}

/// What is found from the start, and what only some images and some calls of the proof have, does not count.
#[test]
fn at_least_25_kinds_are_provoked_in_every_proof() {
    let always = KINDS.iter().skip_while(|kind| kind.command.is_empty()).chain(AWAY).chain(AFTER);
    let count = always.count();
    assert!(count >= 25, "{count}");
}

#[test]
fn every_kind_says_who_and_which_component_and_none_of_them_is_unknown() {
    for kind in ALL.into_iter().flatten() {
        for fact in [kind.component, kind.subject] {
            assert!(!["", "unknown"].contains(&fact), "{}", kind.name);
        }
    }
}

#[test]
fn a_record_that_does_not_say_who_or_where_fails_and_the_failure_says_what_it_has() {
    for (from, to, said) in [
        (r#""subject":"eve""#, r#""subject":"unknown""#, "record 7 has /usr/bin/cat, unknown, failure"),
        (r#""component":"/usr/bin/cat""#, r#""component":"unknown""#, "record 7 has unknown, eve, failure"),
        (r#""outcome":"failure""#, r#""outcome":"unknown""#, "record 7 has /usr/bin/cat, eve, unknown"),
    ] {
        let line = LINE.replace(from, to);
        let mut device = Records::new();
        read(std::slice::from_ref(&line), &mut device).unwrap();
        let class = judge(kind(), ("eve", 2000), &place("gw"), NOON, &device, &BTreeSet::from([line]));
        assert_eq!(class.verdict, TrafficVerdict::Fail, "{to}");
        let expected = format!("its facts; {said}, expected /cat, eve, failure");
        assert!(class.problems[0].ends_with(&expected), "{class:?}");
    }
}

/// The device's records: type, component and words of each, from number 1 on, and the state of the clock that it tells.
fn told(records: &[(&str, &str, &str, &str)]) -> Records {
    let mut device = Records::new();
    let lines: Vec<String> = records
        .iter()
        .zip(1..)
        .map(|((r#type, component, message, clock), seq)| {
            LINE.replace("\"seq\":7", &format!("\"seq\":{seq}"))
                .replace("audit.access", r#type)
                .replace("/usr/bin/cat", component)
                .replace("\"m\"", &format!("\"{message}\""))
                .replace("synchronised", clock)
        })
        .collect();
    read(&lines, &mut device).expect("records");
    device
}

#[test]
fn a_clock_that_contradicts_what_chronyd_said_fails() {
    const SET: (&str, &str, &str, &str) =
        ("time.source", "chronyd", "Selected source 192.0.2.1", "synchronised");
    const LOST: (&str, &str, &str, &str) =
        ("time.source", "chronyd", "Can't synchronise: no selectable sources", "unsynchronised");
    const ENDS: (&str, &str, &str, &str) = ("time.source", "chronyd", "chronyd exiting", "unsynchronised");
    const STARTS: (&str, &str, &str, &str) =
        ("time.source", "chronyd", "chronyd version 4.6.1 starting", "unsynchronised");
    const BEGINS: (&str, &str, &str, &str) = ("log.started", "event-log", "m", "unsynchronised");
    let access = |clock| ("audit.access", "/usr/bin/cat", "m", clock);
    let of = |before: &[(&'static str, &'static str, &'static str, &'static str)], clock: &'static str| {
        let mut all = before.to_vec();
        all.push(access(clock));
        let device = told(&all);
        let lines = device.values().map(|(_, line)| line.clone()).collect();
        judge(kind(), ("eve", 2000), &place("gw"), NOON, &device, &lines).problems
    };
    let (yes, no) = ("synchronised", "unsynchronised");
    for (before, right, wrong) in [
        (vec![BEGINS], no, yes),
        (vec![BEGINS, SET], yes, no),
        (vec![SET, LOST], no, yes),
        (vec![SET, BEGINS], no, yes),
        (vec![SET, ENDS], no, yes),
        (vec![SET, STARTS], no, yes),
    ] {
        assert_eq!(of(&before, right), Vec::<String>::new());
        let problems = of(&before, wrong);
        assert!(
            problems.len() == 1 && problems[0].contains(&format!("the clock was {wrong}")),
            "{problems:?}"
        );
    }
    // What was said before the first record that is there, nobody knows; nor what another program says under that type.
    assert_eq!(of(&[], yes), Vec::<String>::new());
    assert_eq!(of(&[("time.source", "sshd", "Selected source 192.0.2.1", yes)], no), Vec::<String>::new());
}

/// What is a finding of its own, beside that of all events, is of kinds that there are.
#[test]
fn kinds_that_the_record_names_are_kinds_of_the_proof() {
    for named in record::NAMED_EVENTS {
        for name in named.kinds {
            let kind = ALL.into_iter().flatten().any(|kind| kind.name == *name);
            assert!(kind || *name == super::super::clock::FOLLOWS, "{name}");
        }
    }
}

const ALL: [&[Kind]; 18] = [
    KINDS, TIME, CALLED, POLICY, SUDO, UPDATE, BACKUP, RESET, TUNNEL, LOGIN, AWAY, KILLED, LOUD, LOCKOUT,
    AUDIT_FULL, FULL, AFTER, LAST_WORDS,
];
