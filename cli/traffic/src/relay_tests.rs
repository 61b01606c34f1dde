use super::*;

use std::io::Read;
use std::net::Ipv4Addr;

const DEVICE: Mac = [2, 0, 0, 0, 0, 1];

fn ends(program: SocketAddrV4) -> Ends {
    Ends {
        device: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 10), 1194),
        peer: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 50), 1194),
        behind: Behind::Program {
            socket: Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a socket")),
            address: program,
        },
    }
}

/// The relay's own end of a program.
fn own(ends: &Ends) -> std::net::SocketAddr {
    match &ends.behind {
        Behind::Program { socket, .. } => socket.local_addr().expect("an address"),
        Behind::Time(_) => panic!("expected a program"),
    }
}

fn v4(socket: &UdpSocket) -> SocketAddrV4 {
    match socket.local_addr().expect("an address") {
        std::net::SocketAddr::V4(address) => address,
        other => panic!("expected an IPv4 address, found {other}"),
    }
}

/// A datagram of the device's network.
fn sent(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ethernet2(DEVICE, PEER_MAC)
        .ipv4(from.ip().octets(), to.ip().octets(), 64)
        .udp(from.port(), to.port())
        .write(&mut out, payload)
        .expect("a frame");
    // A short frame is filled up, as the device's driver does.
    out.resize(out.len().max(60), 0);
    out
}

fn put(stream: &mut UnixStream, frame: &[u8]) {
    let length = u32::try_from(frame.len()).expect("a short frame").to_be_bytes();
    stream.write_all(&[&length, frame].concat()).expect("the relay reads");
}

fn get(stream: &mut UnixStream) -> Vec<u8> {
    let mut buffer = Vec::new();
    assert!(tap::read(stream, &mut buffer).expect("the relay writes"));
    buffer
}

#[test]
fn the_peer_s_program_gets_what_the_device_sends_it_and_answers_as_the_peer() {
    let program = UdpSocket::bind("127.0.0.1:0").unwrap();
    let limit = Some(Duration::from_secs(20));
    program.set_read_timeout(limit).unwrap();
    let ends = ends(v4(&program));
    let ((to, mut device_in), (from, mut device_out)) =
        (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    device_in.set_read_timeout(limit).unwrap();
    let relay = Relay::start(to, from, vec![ends.clone()]).unwrap();

    // Questions for others, and datagrams to others, are none of the relay's: the first answer is that of the question for the peer.
    let (device, peer) = (ends.device, ends.peer);
    let other = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 40), 1194);
    let ask = |target| frame::arp(1, (DEVICE, *device.ip()), ([0; 6], target));
    put(&mut device_out, &ask(*other.ip()));
    for (from, to) in
        [(device, other), (other, peer), (device, SocketAddrV4::new(*peer.ip(), 53)), (other, other)]
    {
        put(&mut device_out, &sent(from, to, b"no"));
    }
    put(&mut device_out, &[0; 9]);
    put(&mut device_out, &ask(*peer.ip()));
    let answer = get(&mut device_in);
    assert_eq!(
        (&answer[..12], frame::read(&answer)),
        (
            &[DEVICE, PEER_MAC].concat()[..],
            Heard::Arp { operation: 2, sender: *peer.ip(), target: *device.ip() }
        )
    );

    put(&mut device_out, &sent(device, peer, b"hello"));
    let mut buffer = [0_u8; 64];
    let (length, whose) = program.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], whose), (&b"hello"[..], own(&ends)));

    // Somebody else on this host is not the peer.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"no", whose).unwrap();
    program.send_to(b"welcome", whose).unwrap();
    let frame = get(&mut device_in);
    let heard = Heard::Udp { ends: ((*peer.ip()).into(), (*device.ip()).into()), ports: (1194, 1194) };
    assert_eq!((frame::read(&frame), &frame[42..], &frame[..6]), (heard, &b"welcome"[..], &DEVICE[..]));

    // It ends with the test, and the device's streams with it.
    drop(relay);
    assert_eq!(device_in.read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn a_relay_ends_with_its_machine_and_leaves_the_socket_to_the_next_one() {
    let program = UdpSocket::bind("127.0.0.1:0").unwrap();
    program.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let ends = ends(v4(&program));
    let ((to, _device_in), (from, device_out)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let first = Relay::start(to, from, vec![ends.clone()]).unwrap();
    drop(device_out);
    let ((to, _device_in), (from, mut device_out)) =
        (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let _second = Relay::start(to, from, vec![ends.clone()]).unwrap();
    drop(first);
    put(&mut device_out, &sent(ends.device, ends.peer, b"again"));
    let mut buffer = [0_u8; 64];
    let (length, _) = program.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"again");
}

#[test]
fn torn_frames_are_nothing_and_no_panic() {
    let ends = ends(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));
    let whole = sent(ends.device, ends.peer, &[7; 30]);
    assert_eq!(said(&whole, &ends), Some(Said::Sends { mac: DEVICE, port: 1194, payload: &[7; 30] }));
    for end in 0..whole.len() {
        assert_eq!(said(&whole[..end], &ends), None, "{end} bytes");
    }
    // A length that is not the datagram's.
    for length in [0_u16, 7, 600] {
        let mut torn = whole.clone();
        torn[38..40].copy_from_slice(&length.to_be_bytes());
        assert!(
            !matches!(said(&torn, &ends), Some(Said::Sends { payload, .. }) if payload.len() > 30),
            "{length}"
        );
    }
}

#[test]
fn a_time_server_answers_each_port_of_the_device_beside_a_program() {
    let program = UdpSocket::bind("127.0.0.1:0").unwrap();
    program.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let tunnel = ends(v4(&program));
    let server = Arc::new(TimeServer::default());
    server.tell(std::time::Instant::now(), Duration::from_secs(1_700_000_000));
    let peer = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 123);
    let any = SocketAddrV4::new(*tunnel.device.ip(), 0);
    let time = Ends { device: any, peer, behind: Behind::Time(server) };
    let ((to, mut device_in), (from, mut device_out)) =
        (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    device_in.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _relay = Relay::start(to, from, vec![tunnel.clone(), time]).unwrap();

    let mut question = vec![0x23];
    question.resize(48, 0);
    for port in [40_000, 50_001] {
        let device = SocketAddrV4::new(*tunnel.device.ip(), port);
        // Another's question, another port of the server's, and what is no question: nothing comes before the answer.
        let other = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 11), port);
        put(&mut device_out, &sent(other, peer, &question));
        put(&mut device_out, &sent(device, SocketAddrV4::new(*peer.ip(), 124), &question));
        put(&mut device_out, &sent(device, peer, b"what time is it?"));
        put(&mut device_out, &sent(device, peer, &question));
        let frame = get(&mut device_in);
        let heard = Heard::Udp { ends: ((*peer.ip()).into(), (*device.ip()).into()), ports: (123, port) };
        assert_eq!((frame::read(&frame), frame[42], &frame[..6]), (heard, 0x24, &DEVICE[..]));
    }
    put(&mut device_out, &sent(tunnel.device, tunnel.peer, b"hello"));
    let mut buffer = [0_u8; 64];
    let (length, _) = program.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"hello");
}
