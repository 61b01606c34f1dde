//! A tap on an interface's network: QEMU hands frames over to the device through one socket, and writes a copy of each
//! frame that the device sends to another. The network behind the interface stays as it is.

/// Where QEMU takes frames for the device, in its working folder.
pub(crate) const TO_DEVICE: &str = "tap-to.sock";
/// Where it writes what the device sends.
pub(crate) const FROM_DEVICE: &str = "tap-from.sock";
/// The same of the tap behind which a tunnel's peer is.
pub(crate) const TO_DEVICE_OF_PEER: &str = "peer-to.sock";
/// Where it writes what the device sends to that.
pub(crate) const FROM_DEVICE_TO_PEER: &str = "peer-from.sock";

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
        let peer = arguments("peer", 0).join(" ");
        for part in
            [TO_DEVICE_OF_PEER, FROM_DEVICE_TO_PEER, "id=peer-in,netdev=net0", "id=peer-out,netdev=net0"]
        {
            assert!(peer.contains(part), "{peer}");
        }
    }
}
