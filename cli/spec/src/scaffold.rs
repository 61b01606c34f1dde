//! A first product file, with a comment for each choice.

/// The text of a first `product.yaml`. `name` should be a product name (lower-case letters,
/// digits, hyphens); what is none of that is left out of it.
#[must_use]
pub fn scaffold(name: &str) -> String {
    let mut clean: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(60)
        .collect();
    if clean.is_empty() {
        clean = "my-device".to_owned();
    }
    TEXT.replace("NAME", clean.trim_end_matches('-'))
}

const TEXT: &str = r#"# A product: what the device is and who may talk to it.
# Check it with `fastness check product.yaml`; `fastness layers` lists what can be set below `layers`.
name: NAME
version: 0.1.0
description: A hardened device that talks to a control network and to a service network
component_type: EDR           # IEC 62443-4-2: SAR software, EDR embedded, HDR host, NDR network device
security_level: 2             # target capability security level, 1 to 4
boards: [qemu-aarch64]        # the first is the default; `fastness boards` lists them

# The default layers (base, kernel-hardening, verified-boot, verity-root, firewall, ssh, audit, time,
# selfcheck) are always on. Their parameters go here, and others, such as updates in the field in two slots:
# layers:
#   ssh: {port: 22}
#   update: {}
# One can be left out, with a reason that the report prints:
# without:
#   - {layer: time, reason: "the device has no network time; its clock is set by the controller"}

# A zone is a part of the network with common security needs; an interface leads into one zone.
zones:
  control:
    description: The control network that the device serves
    interfaces: [eth0]

interfaces:
  eth0: {addresses: [192.0.2.10/24], gateway: 192.0.2.1}

services:
  ssh: {transport: tcp, port: 22}
  ntp: {transport: udp, port: 123}

# Allowed flows; everything else is denied, in both directions.
conduits:
  - {name: control-ssh, from: control, to: device, service: ssh, peers: [192.0.2.0/28], rate: 6/minute,
     reason: "maintenance from the engineering station"}
  - {name: control-time, from: device, to: control, service: ntp, peers: [192.0.2.1/32],
     reason: "correct time stamps in the audit log"}

time:
  servers:
    - {address: 192.0.2.1, nts: false}

# People who log in, with their public keys. Nobody has a password that works.
# users:
#   maintenance:
#     uid: 2000
#     comment: Maintenance
#     ssh_keys: ["ssh-ed25519 AAAA… maintenance@example"]

banner: |
  Access for authorised persons only. Use is recorded.
"#;
