use super::*;
use std::net::TcpListener;
use std::path::Path;
use std::thread;

/// The plan of a shipped example.
fn plan() -> Plan {
    let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
    spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn the_service_is_the_first_in_clear_that_the_image_answers() {
    let plan = plan();
    let service = Service::of(&plan).unwrap();
    assert_eq!(
        service.what(),
        "`ssh` (tcp/22 of 198.51.100.10 on eth1, conduit `service-ssh`) is asked by 198.51.100.1"
    );
    assert_eq!((service.interface, service.pace()), (1, Duration::from_secs(10)));
    let flood = &service.flood;
    assert_eq!((flood.mac, flood.helper.to_string()), ([2, 0, 0, 0, 0, 1], "198.51.100.14".to_owned()));
    // The device, the client, QEMU's other address and the helper send nothing.
    assert_eq!((flood.allowed.len(), flood.strangers.len()), (10, 120));
    let taken = ["198.51.100.10", "198.51.100.1", "198.51.100.2", "198.51.100.14"];
    let senders = flood.allowed.iter().chain(&flood.strangers);
    assert!(senders.map(ToString::to_string).all(|address| !taken.contains(&address.as_str())));
    assert!(flood.strangers.iter().all(|address| !flood.allowed.contains(address)));
}

#[test]
fn a_plan_without_a_service_that_can_be_asked_says_why() {
    type Change = fn(&mut Plan);
    let changes: [(Change, &str); 6] = [
        (|plan| plan.network.flows.retain(|flow| flow.direction != "in"), "opens no TCP port in clear"),
        (|plan| plan.network.flows[0].tunnel = Some("t".into()), "opens no TCP port in clear"),
        (|plan| plan.network.flows[0].service = "hmi".into(), "answers `service-ssh`: that is sshd alone"),
        (|plan| plan.network.flows[0].interfaces.clear(), "comes in by no interface"),
        (
            |plan| plan.network.flows[0].peers_v4 = vec!["198.51.100.7/32".into()],
            "198.51.100.1, whom the conduit `service-ssh` does not allow",
        ),
        (
            |plan| {
                let facts = plan.network.interfaces.get_mut("eth1").expect("an interface");
                facts.addresses = vec!["198.51.100.1/30".into()];
            },
            "too few addresses",
        ),
    ];
    for (change, expected) in changes {
        let mut plan = plan();
        assert_eq!(plan.network.flows[0].name, "service-ssh");
        change(&mut plan);
        let why = Service::of(&plan).map(|service| service.what()).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn the_client_keeps_within_the_conduit_s_rate() {
    let seconds = |rate| pace(rate).as_secs();
    assert_eq!(
        [seconds("6/minute"), seconds("7/minute"), seconds("100/second"), seconds("1/day"), seconds("?")],
        [10, 9, 5, 60, 60]
    );
}

/// A server that says something to one client, and something else once that has spoken.
fn server(first: &'static [u8], then: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(first).expect("a client that reads");
        if first.is_empty() {
            thread::sleep(Duration::from_secs(3));
        }
        let mut line = [0_u8; 18];
        if stream.read_exact(&mut line).is_ok() && !then.is_empty() {
            stream.write_all(then).expect("a client that reads");
        } else if then.is_empty() {
            thread::sleep(Duration::from_secs(3));
        }
    });
    port
}

#[test]
fn only_the_version_of_an_ssh_server_is_an_answer() {
    let second = Duration::from_secs(1);
    let (stream, after) = open(server(b"SSH-2.0-x\r\n", b"keys"), second * 20).unwrap();
    assert!(after < second * 20);
    assert!(goes_on(stream, second * 20).is_ok());
    let refused = open(server(b"Not allowed at this time\r\n", b""), second * 20).unwrap_err();
    assert_eq!(refused, "it said `Not allowed at this time`");
    assert_eq!(open(server(b"", b""), second).unwrap_err(), "no answer within 1 s");
    let (stream, _) = open(server(b"SSH-2.0-x\r\n", b""), second * 20).unwrap();
    assert_eq!(goes_on(stream, second).unwrap_err(), "no answer within 1 s");
    // As QEMU's own TCP/IP does when the device does not take the connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let closes = thread::spawn(move || drop(listener.accept()));
    assert!(open(port, second * 20).unwrap_err().starts_with("it ended after"), "closed");
    closes.join().unwrap();
}
