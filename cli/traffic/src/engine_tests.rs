use std::os::unix::net::UnixDatagram;

use spec::plan::{InterfaceFacts, Surface};

use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 0];
const DEVICE: [u8; 4] = [192, 0, 2, 10];

fn network() -> NetworkFacts {
    let facts =
        |address: &str| InterfaceFacts { zone: "z".into(), addresses: vec![address.into()], gateway: None };
    let line = Surface {
        interface: "eth1".into(),
        address: Some("192.0.2.10".into()),
        transport: "tcp".into(),
        port: Some(22),
        peers: vec!["192.0.2.64/28".into()],
        limit: Some("6/minute".into()),
        connections: Some(3),
        conduit: Some("plant-ssh".into()),
        ..Surface::default()
    };
    NetworkFacts {
        interfaces: [
            ("eth0".to_owned(), facts("198.51.100.10/28")),
            ("eth1".to_owned(), facts("192.0.2.10/24")),
        ]
        .into(),
        surface: vec![line],
        ..NetworkFacts::default()
    }
}

/// A device that answers ARP, takes the connections of `allowed` up to a number, and perhaps a stranger's.
fn device(socket: &UnixDatagram, wire: &std::path::Path, limit: usize, leaky: bool, stop: &AtomicBool) {
    let mut taken = BTreeSet::new();
    let mut buffer = [0; 2_048];
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while !stop.load(Ordering::Acquire) {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let answer = match frame::read(&buffer[..length]) {
            Heard::Arp { operation: 1, sender, .. } => {
                Some(frame::arp(2, (MAC, DEVICE.into()), (OUR_MAC, sender)))
            }
            Heard::Tcp { ends, ports, flags: (_, _, true) } => {
                taken.remove(&(ends.0, ports.0));
                None
            }
            Heard::Tcp { ends, ports, .. } if ports.1 == 22 => {
                let allowed = ends.0.to_string().starts_with("192.0.2.7") && taken.len() < limit;
                (allowed || leaky).then(|| {
                    taken.insert((ends.0, ports.0));
                    syn_ack(ends.1, ends.0, ports)
                })
            }
            _ => None,
        };
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, wire);
        }
    }
}

fn syn_ack(from: IpAddr, to: IpAddr, ports: (u16, u16)) -> Vec<u8> {
    let path = Path { from_mac: MAC, to_mac: OUR_MAC, from, to };
    let mut frame = frame::probe(path, Ask::Tcp(ports.0), ports.1).unwrap();
    // SYN and ACK; nobody of the tests looks at the checksum.
    frame[47] = 0x12;
    frame
}

fn with_device<T>(limit: usize, leaky: bool, test: impl FnOnce(&mut Engine<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    let socket = UnixDatagram::bind(&near).unwrap();
    let network = network();
    let own = vec![IpAddr::from(DEVICE)];
    let wire = Wire::bind(&far, near, &folder.path().join("x.pcap"), own).unwrap();
    let mut engine = Engine::new(wire, &network, "eth1", MAC).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| device(&socket, &far, limit, leaky, &stop));
        let result = test(&mut engine);
        stop.store(true, Ordering::Release);
        result
    })
}

#[test]
fn the_interface_with_a_service_in_clear_is_chosen() {
    let names = ["eth0".to_owned(), "eth1".to_owned()];
    assert_eq!(choose(&network(), &names), Some(1));
    assert_eq!(choose(&network(), &names[..1]), Some(0));
    assert_eq!(choose(&network(), &["eth7".to_owned()]), None);
}

#[test]
fn who_is_allowed_is_served_up_to_the_limit_and_a_stranger_is_not() {
    with_device(3, false, |engine| {
        assert!(engine.hears().unwrap());
        assert_eq!(engine.stranger().unwrap(), Vec::<String>::new());
        assert!(engine.served().unwrap());
        assert_eq!(engine.open(8, true).unwrap(), 3);
        assert!(!engine.served().unwrap(), "nobody gave one back");
        engine.release(11).unwrap();
        assert!(engine.served().unwrap());
        assert!(engine.flood(600).unwrap());
    });
}

#[test]
fn a_stranger_that_is_answered_is_told() {
    with_device(9, true, |engine| {
        let problems = engine.stranger().unwrap();
        assert!(problems[0].starts_with("`eth1`: tcp/22 accepts of `192.0.2.10` to"), "{problems:?}");
    });
}
