//! Rows of [`super::exposure`] that differ only in names: facts of systemd 252, `src/analyze/analyze-security.c`.

/// Id, weight, names.
pub(super) type CapabilityRow = (&'static str, u64, &'static [&'static str]);

/// Capabilities that the bounding set should lack.
pub(super) const CAPABILITY_ROWS: &[CapabilityRow] = &[
    ("CapabilityBoundingSet=~CAP_SYS_ADMIN", 1500, &["cap_sys_admin"]),
    ("CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)", 1500, &["cap_setuid", "cap_setgid", "cap_setpcap"]),
    ("CapabilityBoundingSet=~CAP_SYS_PTRACE", 1500, &["cap_sys_ptrace"]),
    ("CapabilityBoundingSet=~CAP_SYS_TIME", 1000, &["cap_sys_time"]),
    ("CapabilityBoundingSet=~CAP_NET_ADMIN", 1000, &["cap_net_admin"]),
    ("CapabilityBoundingSet=~CAP_SYS_RAWIO", 1000, &["cap_sys_rawio"]),
    ("CapabilityBoundingSet=~CAP_SYS_MODULE", 1000, &["cap_sys_module"]),
    ("CapabilityBoundingSet=~CAP_AUDIT_*", 500, &["cap_audit_control", "cap_audit_read", "cap_audit_write"]),
    ("CapabilityBoundingSet=~CAP_SYSLOG", 500, &["cap_syslog"]),
    ("CapabilityBoundingSet=~CAP_SYS_(NICE|RESOURCE)", 500, &["cap_sys_nice", "cap_sys_resource"]),
    ("CapabilityBoundingSet=~CAP_MKNOD", 500, &["cap_mknod"]),
    ("CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)", 1000, &["cap_chown", "cap_fsetid", "cap_setfcap"]),
    (
        "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)",
        1000,
        &["cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_ipc_owner"],
    ),
    ("CapabilityBoundingSet=~CAP_KILL", 500, &["cap_kill"]),
    (
        "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
        500,
        &["cap_net_bind_service", "cap_net_broadcast", "cap_net_raw"],
    ),
    ("CapabilityBoundingSet=~CAP_SYS_BOOT", 100, &["cap_sys_boot"]),
    ("CapabilityBoundingSet=~CAP_MAC_*", 100, &["cap_mac_admin", "cap_mac_override"]),
    ("CapabilityBoundingSet=~CAP_LINUX_IMMUTABLE", 75, &["cap_linux_immutable"]),
    ("CapabilityBoundingSet=~CAP_IPC_LOCK", 50, &["cap_ipc_lock"]),
    ("CapabilityBoundingSet=~CAP_SYS_CHROOT", 50, &["cap_sys_chroot"]),
    ("CapabilityBoundingSet=~CAP_BLOCK_SUSPEND", 25, &["cap_block_suspend"]),
    ("CapabilityBoundingSet=~CAP_WAKE_ALARM", 25, &["cap_wake_alarm"]),
    ("CapabilityBoundingSet=~CAP_LEASE", 25, &["cap_lease"]),
    ("CapabilityBoundingSet=~CAP_SYS_TTY_CONFIG", 25, &["cap_sys_tty_config"]),
    ("CapabilityBoundingSet=~CAP_SYS_PACCT", 25, &["cap_sys_pacct"]),
    ("CapabilityBoundingSet=~CAP_BPF", 25, &["cap_bpf"]),
];

/// Namespaces that should not be made.
pub(super) const NAMESPACE_ROWS: &[(&str, u64, &str)] = &[
    ("RestrictNamespaces=~user", 1500, "user"),
    ("RestrictNamespaces=~mnt", 500, "mnt"),
    ("RestrictNamespaces=~ipc", 500, "ipc"),
    ("RestrictNamespaces=~pid", 500, "pid"),
    ("RestrictNamespaces=~cgroup", 500, "cgroup"),
    ("RestrictNamespaces=~net", 500, "net"),
    ("RestrictNamespaces=~uts", 100, "uts"),
];

/// Address families that should not be used; none stands for all without a row.
pub(super) const FAMILY_ROWS: &[CapabilityRow] = &[
    ("RestrictAddressFamilies=~AF_(INET|INET6)", 1500, &["AF_INET", "AF_INET6"]),
    ("RestrictAddressFamilies=~AF_UNIX", 25, &["AF_UNIX"]),
    ("RestrictAddressFamilies=~AF_NETLINK", 200, &["AF_NETLINK"]),
    ("RestrictAddressFamilies=~AF_PACKET", 1000, &["AF_PACKET"]),
    ("RestrictAddressFamilies=~…", 1250, &[]),
];

/// Sets of system calls that should not be allowed.
pub(super) const CALL_ROWS: &[(&str, u64, &str)] = &[
    ("SystemCallFilter=~@swap", 1000, "@swap"),
    ("SystemCallFilter=~@obsolete", 250, "@obsolete"),
    ("SystemCallFilter=~@clock", 1000, "@clock"),
    ("SystemCallFilter=~@cpu-emulation", 250, "@cpu-emulation"),
    ("SystemCallFilter=~@debug", 1000, "@debug"),
    ("SystemCallFilter=~@mount", 1000, "@mount"),
    ("SystemCallFilter=~@module", 1000, "@module"),
    ("SystemCallFilter=~@raw-io", 1000, "@raw-io"),
    ("SystemCallFilter=~@reboot", 1000, "@reboot"),
    ("SystemCallFilter=~@privileged", 700, "@privileged"),
    ("SystemCallFilter=~@resources", 700, "@resources"),
];
