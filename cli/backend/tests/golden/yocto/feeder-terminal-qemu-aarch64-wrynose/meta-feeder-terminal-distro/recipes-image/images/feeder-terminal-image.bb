SUMMARY = "feeder-terminal on a read-only root"
DESCRIPTION = "The root of feeder-terminal as a squashfs, unsigned: verity, FIT and signatures are made outside of BitBake"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"

inherit feeder_terminal_image

IMAGE_INSTALL = " \
    feeder-terminal-accounts \
    feeder-terminal-config-audit \
    feeder-terminal-config-base \
    feeder-terminal-config-firewall \
    feeder-terminal-config-guide \
    feeder-terminal-config-ipsec \
    feeder-terminal-config-kernel-hardening \
    feeder-terminal-config-openvpn \
    feeder-terminal-config-selfcheck \
    feeder-terminal-config-ssh \
    feeder-terminal-config-time \
    feeder-terminal-config-tpm-keys \
    feeder-terminal-config-verified-boot \
    auditd \
    base-files \
    base-passwd \
    bash \
    chrony \
    coreutils \
    dash \
    grep \
    iproute2-ip \
    libpam-runtime \
    libtss2 \
    libtss2-tcti-device \
    nftables \
    openssh-keygen \
    openssh-sshd \
    openvpn \
    pam-plugin-access \
    pam-plugin-deny \
    pam-plugin-env \
    pam-plugin-faillock \
    pam-plugin-limits \
    pam-plugin-nologin \
    pam-plugin-permit \
    pam-plugin-unix \
    sed \
    strongswan \
    systemd \
    systemd-networkd \
    tpm2-openssl \
    udev \
    util-linux-dmesg \
    util-linux-findmnt \
    util-linux-lsblk \
    util-linux-mount \
    util-linux-nologin \
    util-linux-umount \
"
