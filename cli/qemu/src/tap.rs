//! A tap on an interface's network: QEMU hands frames over to the device through one socket, and writes a copy of each
//! frame that the device sends to another. The network behind the interface stays as it is.

/// The name of the tap through which a test sends frames.
pub(crate) const TAP: &str = "tap";

/// The name of the tap behind which neighbours of the device are, on an interface.
pub(crate) fn relay_name(index: usize) -> String {
    format!("relay{index}")
}

/// Both sockets of a tap of a name, to the device and from it.
pub(crate) fn sockets(name: &str) -> [String; 2] {
    ["to", "from"].map(|way| format!("{name}-{way}.sock"))
}

/// QEMU's arguments for a tap of a name on an interface. Its filters' directions are those of the network behind the interface:
/// `tx` is what that network sends to the device, `rx` what it gets from it.
pub(crate) fn arguments(name: &str, index: usize) -> Vec<String> {
    let socket =
        |way: &str| ["-chardev".to_owned(), format!("socket,id={name}-{way},path={name}-{way}.sock")];
    let filter = |text: String| ["-object".to_owned(), text];
    [
        socket("to"),
        socket("from"),
        filter(format!("filter-redirector,id={name}-in,netdev=net{index},queue=tx,indev={name}-to")),
        filter(format!("filter-mirror,id={name}-out,netdev=net{index},queue=rx,outdev={name}-from")),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_as_the_network_s_and_a_copy_of_the_device_s_goes_out() {
        assert_eq!(
            arguments("tap", 1).join(" "),
            "-chardev socket,id=tap-to,path=tap-to.sock -chardev socket,id=tap-from,path=tap-from.sock \
             -object filter-redirector,id=tap-in,netdev=net1,queue=tx,indev=tap-to \
             -object filter-mirror,id=tap-out,netdev=net1,queue=rx,outdev=tap-from"
        );
        let relay = arguments(&relay_name(0), 0).join(" ");
        let [to, from] = sockets(&relay_name(0));
        for part in [to.as_str(), &from, "id=relay0-in,netdev=net0", "id=relay0-out,netdev=net0"] {
            assert!(relay.contains(part), "{relay}");
        }
        assert_eq!(sockets(TAP), ["tap-to.sock", "tap-from.sock"]);
    }
}
