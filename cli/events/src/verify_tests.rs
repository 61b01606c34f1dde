use super::*;

const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Records as a device writes them.
fn lines(count: u64) -> Vec<String> {
    let mut prev = NONE.to_owned();
    (1..=count)
        .map(|seq| {
            let kind = if seq == 3 { "log.lost" } else { "ssh.login" };
            let line = format!(
                r#"{{"seq":{seq},"prev":"{prev}","clock":"synchronised","time":"2026-01-31T12:00:00Z","host":"gw","component":"sshd","type":"{kind}","subject":"maintenance","outcome":"success","message":"n {seq}"}}"#
            );
            prev = Sha256::digest(&line).iter().map(|byte| format!("{byte:02x}")).collect();
            line
        })
        .collect()
}

fn verify(lines: &[String], anchor: Option<Anchor>) -> Result<Chain, String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut verifier = Verifier::new(anchor);
    verifier.read("events.jsonl", text.as_bytes()).map_err(|e| e.to_string())?;
    verifier.finish().map_err(|e| e.to_string())
}

fn broken(lines: &[String]) -> String {
    verify(lines, None).unwrap_err()
}

#[test]
fn a_whole_chain_is_counted() {
    let chain = verify(&lines(5), None).unwrap();
    assert_eq!((chain.records, chain.first, chain.last.unwrap().seq), (5, 1, 5));
    assert_eq!(chain.losses, [3]);
    assert_eq!(chain.types["ssh.login"], 4);
}

#[test]
fn a_chain_goes_on_over_files_and_may_begin_later() {
    let all = lines(6);
    let mut verifier = Verifier::new(None);
    verifier.read("events.jsonl.1", format!("{}\n{}\n", all[2], all[3]).as_bytes()).unwrap();
    verifier.read("events.jsonl", format!("{}\n{}\n", all[4], all[5]).as_bytes()).unwrap();
    assert_eq!(verifier.finish().unwrap().first, 3);
}

#[test]
fn a_changed_record_is_named() {
    let mut changed = lines(5);
    changed[1] = changed[1].replace("maintenance", "nobody");
    let message = broken(&changed);
    assert!(message.contains("line 3 of `events.jsonl`: record 2 is not the one that record 3"), "{message}");
}

#[test]
fn a_gap_a_double_and_a_move_are_named() {
    let mut cut = lines(5);
    cut.drain(1..3);
    assert!(broken(&cut).contains("expected record 2, found 4: 2 records are missing"));
    let mut twice = lines(3);
    twice.insert(1, twice[0].clone());
    assert!(broken(&twice).contains("expected record 2, found 1: a record is there twice"));
}

#[test]
fn a_false_beginning_is_named() {
    let mut late = lines(3);
    let first = late[0].clone();
    late.truncate(1);
    late[0] = first.replace("\"seq\":1", "\"seq\":7");
    assert!(broken(&late).contains("only record 1 may have"));
    late[0] = first.replace(NONE, &NONE.replace('0', "a"));
    assert!(broken(&late).contains("only record 1 may have"));
}

#[test]
fn an_end_within_a_record_and_an_endless_one_are_named() {
    let text = lines(2).join("\n");
    let error = Verifier::new(None).read("f", text.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("line 2 of `f`: the file ends within this record"));
    let endless = vec![b'x'; MAX_RECORD * 2];
    let error = Verifier::new(None).read("f", endless.as_slice()).unwrap_err();
    assert!(error.to_string().contains("longer than 65536 bytes"));
}

#[test]
fn a_cut_end_and_a_chain_written_anew_show_against_an_anchor() {
    let all = lines(5);
    let known = verify(&all, None).unwrap().last;
    assert!(verify(&all, known.clone()).is_ok());
    assert!(
        verify(&all[..4], known.clone()).unwrap_err().contains("record 5, known from elsewhere, is not here")
    );
    let mut anew = all;
    anew[4] = anew[4].replace("n 5", "n 6");
    assert!(verify(&anew, None).is_ok());
    assert!(verify(&anew, known).unwrap_err().contains("record 5 is not the one"));
    assert!("5:zz".parse::<Anchor>().unwrap_err().contains("number and SHA-256"));
}

fn collected(lines: &[String]) -> Result<Chain, String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut verifier = Verifier::new(None).collected();
    verifier.read("collected.jsonl", text.as_bytes()).map_err(|e| e.to_string())?;
    verifier.finish().map_err(|e| e.to_string())
}

#[test]
fn a_collector_may_get_records_twice_and_what_it_lacks_is_listed() {
    let all = lines(8);
    let again = [&all[..3], &all[1..6]].concat();
    let chain = collected(&again).unwrap();
    assert_eq!((chain.records, chain.repeats, chain.gaps), (6, 2, vec![]));
    let lacking = [&all[..2], &all[5..]].concat();
    let chain = collected(&lacking).unwrap();
    assert_eq!((chain.records, chain.gaps), (5, vec![(3, 5)]));
    assert_eq!(chain.unexplained, vec![(3, 5)]);
    assert!(explained((3, 5), &[(5, 9), (1, 4)]) && !explained((3, 5), &[(1, 3), (5, 5)]));
    let said = "records 19 to 25 were dropped before the collector had them";
    assert_eq!((dropped(said), dropped("records 1 to x were dropped")), (Some((19, 25)), None));
    // What comes from before a gap cannot be told from a forgery.
    let late = [&all[..2], &all[5..], &all[2..3]].concat();
    assert!(collected(&late).unwrap_err().contains("record 3 is there twice, with different content"));
    let mut changed = again;
    changed[3] = changed[3].replace("n 2", "n 9");
    assert!(collected(&changed).unwrap_err().contains("record 2 is there twice, with different content"));
    let mut forged = all;
    forged[3] = forged[3].replace("n 4", "n 9");
    assert!(collected(&forged).unwrap_err().contains("record 4 is not the one that record 5"));
}

/// The records of [`lines`], with seals from one on, as the device writes them.
fn sealed_from(count: u64, first: u64) -> String {
    use sha2::Sha512;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (mut key, mut prev, mut out) = ("5a".repeat(32), NONE.to_owned(), String::new());
    for (seq, line) in (1..).zip(lines(count)) {
        let at = line.find("\"prev\":\"").unwrap() + 8;
        let body = format!("{}{prev}{}", &line[..at], line[at + 64..].trim_end_matches('}'));
        let mark = &hex(&Sha512::digest(format!("{key}\n{body}\n")))[..64];
        let line = if seq >= first { format!("{body},\"seal\":\"{mark}\"}}") } else { format!("{body}}}") };
        prev = hex(&Sha256::digest(&line));
        key = hex(&Sha512::digest(format!("{key}\n"))).split_off(64);
        out.push_str(&format!("{line}\n"));
    }
    out
}

fn with_key(text: &str, begin: u64) -> Result<Chain, String> {
    let mut verifier = Verifier::new(None).sealed(SealKey::first(&"5a".repeat(32))).seals_begin(begin);
    verifier.read("f", text.as_bytes()).map_err(|e| e.to_string())?;
    verifier.finish().map_err(|e| e.to_string())
}

#[test]
fn a_key_without_a_sealed_record_is_refused() {
    let text: String = lines(2).iter().map(|line| format!("{line}\n")).collect();
    let why = with_key(&text, 0).unwrap_err();
    assert!(why.starts_with("line 1 of `f`: record 1: it has no seal: every record"), "{why}");
    assert!(with_key(&text, 9).unwrap_err().contains("no record is sealed"));
    // Of an empty file there is no line to name.
    assert!(with_key("", 0).unwrap_err().starts_with("`f`: no record is sealed"));
}

#[test]
fn records_before_the_first_seal_are_refused_unless_the_seal_began_later() {
    assert_eq!(with_key(&sealed_from(5, 1), 0).unwrap().sealed_from, Some(1));
    // Rotated files begin later, and are sealed all the same.
    let rotated: String = sealed_from(5, 1).lines().skip(2).map(|line| format!("{line}\n")).collect();
    assert_eq!(with_key(&rotated, 0).unwrap().sealed_from, Some(3));
    let late = sealed_from(5, 4);
    let why = with_key(&late, 0).unwrap_err();
    assert!(why.contains("record 1: it has no seal: every record"), "{why}");
    assert!(with_key(&late, 3).unwrap_err().contains("record 3: it has no seal"));
    assert_eq!(with_key(&late, 4).unwrap().sealed_from, Some(4));
    // Once it began, none may be without.
    let ends = [sealed_from(3, 1), late.lines().nth(3).unwrap().to_owned() + "\n"].concat();
    assert!(with_key(&ends, 9).is_err());
}

#[test]
fn what_is_no_text_is_refused_without_a_panic() {
    let error = Verifier::new(None).read("f", b"\xff\xfe\n".as_slice()).unwrap_err();
    assert!(error.to_string().contains("expected one JSON object"));
}
