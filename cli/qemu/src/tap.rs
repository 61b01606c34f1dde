//! A tap on an interface's network: QEMU hands frames over to the device through one socket, and writes a copy of each
//! frame that the device sends to another. The network behind the interface stays as it is.

/// Where QEMU takes frames for the device, in its working folder.
pub(crate) const TO_DEVICE: &str = "tap-to.sock";
/// Where it writes what the device sends.
pub(crate) const FROM_DEVICE: &str = "tap-from.sock";

/// QEMU's arguments for a tap on an interface. Its filters' directions are those of the network behind the interface:
/// `tx` is what that network sends to the device, `rx` what it gets from it.
pub(crate) fn arguments(index: usize) -> Vec<String> {
    let socket = |id: &str, path: &str| ["-chardev".to_owned(), format!("socket,id={id},path={path}")];
    let filter = |text: String| ["-object".to_owned(), text];
    [
        socket("tap-to", TO_DEVICE),
        socket("tap-from", FROM_DEVICE),
        filter(format!("filter-redirector,id=tap-in,netdev=net{index},queue=tx,indev=tap-to")),
        filter(format!("filter-mirror,id=tap-out,netdev=net{index},queue=rx,outdev=tap-from")),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_as_the_network_s_and_a_copy_of_the_device_s_goes_out() {
        assert_eq!(
            arguments(1).join(" "),
            "-chardev socket,id=tap-to,path=tap-to.sock -chardev socket,id=tap-from,path=tap-from.sock \
             -object filter-redirector,id=tap-in,netdev=net1,queue=tx,indev=tap-to \
             -object filter-mirror,id=tap-out,netdev=net1,queue=rx,outdev=tap-from"
        );
    }
}
