//! `events verify`: what holds, what is named, exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use sha2::{Digest as _, Sha256, Sha512};

use crate::support::{Place, Run};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of every test here.
const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Ten records as a device writes them, sealed from one on; `third` is what the third says.
fn records(sealed_from: u64, third: &str) -> Vec<String> {
    let (mut prev, mut key) = ("0".repeat(64), KEY.to_owned());
    let one = |seq: u64| {
        let said = if seq == 3 { third } else { "password of eve was wrong" };
        let mut line = format!(
            r#"{{"seq":{seq},"prev":"{prev}","clock":"synchronised","time":"2026-01-31T12:00:00Z","host":"gw","component":"sshd","type":"ssh.login","subject":"eve","outcome":"failure","message":"{said}""#
        );
        if seq >= sealed_from {
            let mark = hex(&Sha512::digest(format!("{key}\n{line}\n")));
            line.push_str(&format!(r#","seal":"{}""#, &mark[..64]));
        }
        line.push('}');
        prev = hex(&Sha256::digest(&line));
        key = hex(&Sha512::digest(format!("{key}\n"))).split_off(64);
        line
    };
    (1..=10).map(one).collect()
}

fn place(lines: &[String]) -> Place {
    let place = Place::new();
    fs::write(place.path("e.jsonl"), lines.iter().map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    fs::write(place.path("seal"), format!("{KEY}\n")).unwrap();
    fs::set_permissions(place.path("seal"), fs::Permissions::from_mode(0o600)).unwrap();
    place
}

fn verify(place: &Place, more: &[&str]) -> Run {
    place.run(&[&["events", "verify", "e.jsonl"], more].concat())
}

#[test]
fn a_whole_chain_is_told_and_a_changed_one_names_its_record() {
    let all = records(1, "password of eve was wrong");
    let run = verify(&place(&all), &["--seal", "seal"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out.contains("10 records, 1 to 10") && run.out.contains("sealed from record 1 on"),
        "{run:?}"
    );
    let mut changed = all;
    changed[2] = changed[2].replace("eve was", "eve is");
    let run = verify(&place(&changed), &[]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.err.contains("record 3 is not the one that record 4 was chained to"), "{run:?}");
}

#[test]
fn history_that_was_rewritten_without_seals_is_refused() {
    let place = place(&records(8, "nothing happened"));
    let run = verify(&place, &["--seal", "seal"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.err.contains("line 1 of `e.jsonl`: record 1: it has no seal: every record"), "{run:?}");
    assert!(run.err.contains("--sealed-from"), "{run:?}");
    // Whoever knows that the key came later says so, and gets what can be held: seals from there on.
    let run = verify(&place, &["--seal", "seal", "--sealed-from", "8"]);
    assert!(run.code == 0 && run.out.contains("sealed from record 8 on"), "{run:?}");
    assert_eq!(verify(&place, &["--seal", "seal", "--sealed-from", "7"]).code, 6);
    assert_eq!(verify(&place, &["--sealed-from", "8"]).code, 2);
}

#[test]
fn a_cut_end_shows_against_a_known_record_and_an_empty_file_has_no_line() {
    let all = records(1, "x");
    let known = format!("10:{}", hex(&Sha256::digest(&all[9])));
    assert_eq!(verify(&place(&all), &["--known", &known]).code, 0);
    let run = verify(&place(&all[..9]), &["--known", &known]);
    assert!(run.code == 6 && run.err.contains("record 10, known from elsewhere, is not here"), "{run:?}");
    let run = verify(&place(&[]), &["--seal", "seal"]);
    assert!(run.code == 6 && run.err.contains("`e.jsonl`: no record is sealed"), "{run:?}");
    assert!(!run.err.contains("line 0"), "{run:?}");
    for more in [&[][..], &["--collected"]] {
        let run = verify(&place(&[]), more);
        assert!(run.code == 6 && run.out.starts_with("DOES NOT HOLD  there are no records"), "{run:?}");
    }
    let run = verify(&place(&all), &["--known", "10:abc"]);
    assert!(run.code == 2 && run.err.contains("a record's number and SHA-256"), "{run:?}");
}

#[test]
fn a_gap_at_a_collector_that_nothing_explains_fails() {
    let all = records(1, "x");
    let twice = place(&[&all[..4], &all[2..]].concat());
    let run = verify(&twice, &["--collected"]);
    assert!(run.code == 0 && run.out.contains("2 records came again"), "{run:?}");
    assert_eq!(verify(&twice, &[]).code, 6);
    let run = verify(&place(&[&all[..4], &all[6..]].concat()), &["--collected", "--seal", "seal"]);
    assert!(
        run.code == 6 && run.out.contains("missing: 5 to 6; no record of the device says why"),
        "{run:?}"
    );
}

#[test]
fn a_collector_s_file_that_begins_later_lacks_its_beginning() {
    let all = records(1, "x");
    let cut = place(&all[4..]);
    let run = verify(&cut, &["--collected"]);
    assert!(
        run.code == 6 && run.out.contains("missing: 1 to 4; no record of the device says why"),
        "{run:?}"
    );
    assert!(
        run.out.contains("6 records, 5 to 10, chained without a break but for what is missing"),
        "{run:?}"
    );
    // Whoever knows that it begins there says so, by its number or by what the last run printed of it.
    let run = verify(&cut, &["--collected", "--from", "5"]);
    assert!(run.code == 0 && !run.out.contains("missing"), "{run:?}");
    let run = verify(&cut, &["--collected", "--from", "3"]);
    assert!(run.code == 6 && run.out.contains("missing: 3 to 4"), "{run:?}");
    let known = format!("5:{}", hex(&Sha256::digest(&all[4])));
    assert_eq!(verify(&cut, &["--collected", "--known", &known]).code, 0);
    let known = format!("10:{}", hex(&Sha256::digest(&all[9])));
    assert_eq!(verify(&cut, &["--collected", "--known", &known]).code, 6);
    assert_eq!(verify(&cut, &["--from", "5"]).code, 2);
}
