use super::super::tests::plan;
use super::*;

/// The same with other servers.
fn with(lines: &str) -> Plan {
    let mut plan = plan("logging-gateway");
    let asked = plan.files.get_mut(CONFIGURATION).expect("the configuration");
    let FilePlan::File { content, .. } = &mut asked.value else { panic!("expected a file") };
    *content = lines.to_owned();
    plan
}

#[test]
fn the_server_is_a_neighbour_that_need_not_show_who_it_is() {
    let (own, server) = (Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(source(&plan("logging-gateway")), Ok((0, own, server)));
    let (index, ends) = neighbour(&plan("logging-gateway"), &Arc::default()).unwrap();
    let text = format!("eth{index}: {} to {}", ends.device, ends.peer);
    assert_eq!(text, "eth0: 192.0.2.10:0 to 192.0.2.1:123");
    // The first one that is a neighbour.
    let several = "server time.example iburst\nserver 203.0.113.1 iburst\nserver 198.51.100.1 iburst\n";
    let (index, _, server) = source(&with(several)).unwrap();
    assert_eq!((index, server), (1, Ipv4Addr::new(198, 51, 100, 1)));
    for (lines, expected) in [
        ("", "the product has no time server"),
        ("#server 192.0.2.1 iburst\n", "the product has no time server"),
        ("server 192.0.2.1 iburst nts\n", "that shows who it is, as the product asks (`nts`)"),
        ("server 192.0.2.1 iburst\nserver 192.0.2.2 iburst nts\n", "that shows who it is"),
        ("server 203.0.113.1 iburst\n", "an IPv4 address on a network of the device"),
        ("server time.example iburst\n", "an IPv4 address on a network of the device"),
        ("server 192.0.2.10 iburst\n", "an IPv4 address on a network of the device"),
    ] {
        let why = source(&with(lines)).unwrap_err();
        assert!(why.contains(expected), "{lines}: {why}");
    }
}

#[test]
fn a_clock_that_does_not_follow_and_one_that_was_right_before_are_no_pass() {
    let clock = |device, asked, answered| {
        Some(Ahead::of(device, Duration::from_secs(asked), Duration::from_secs(answered)))
    };
    let problems = |before, after| followed(before, after).1.join("; ");
    let (behind, right) = (clock(1_000, 1_000, 1_000), clock(1_130, 1_100, 1_101));
    assert_eq!(problems(behind, right), "");
    let seen = followed(behind, right).0.join("");
    assert_eq!(
        seen,
        "before the server answered: between 29.0 and 30.0 s behind it; afterwards: between -1.0 and 1.0 s behind it"
    );
    // An answer that took long says little, and that is in favour of nobody.
    assert_eq!(problems(behind, clock(1_130, 1_090, 1_110)), "");
    let off = "the device's clock is more than 2 s off the server's";
    for after in [clock(1_100, 1_100, 1_101), clock(1_126, 1_100, 1_101), clock(1_135, 1_100, 1_101)] {
        assert_eq!(problems(behind, after), off);
    }
    assert!(problems(right, right).contains("the device had the server's time before that answered"));
    assert!(problems(None, right).contains("did not say its time"));
    assert!(problems(behind, None).contains("did not say its time"));
}

#[test]
fn what_is_waited_for_can_stand_in_the_quotes_of_a_shell() {
    assert!(TIME.iter().all(|kind| !kind.contains.contains('\'')));
    let command = said(UNIT, &TIME[2], 105);
    assert!(command.contains("-u chrony.service --since @100 "), "{command}");
    assert!(command.ends_with("| grep -c -e 'no selectable sources'"), "{command}");
}
