SUMMARY = "plc-gateway on a read-only root"
DESCRIPTION = "The root of plc-gateway as a squashfs, unsigned: verity, FIT and signatures are made outside of BitBake"
SECTION = "base"
LICENSE = "LicenseRef-plc-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-plc-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"

inherit plc_gateway_image

IMAGE_INSTALL = " \
    plc-gateway-accounts \
    plc-gateway-config-audit \
    plc-gateway-config-base \
    plc-gateway-config-firewall \
    plc-gateway-config-guide \
    plc-gateway-config-ipsec \
    plc-gateway-config-kernel-hardening \
    plc-gateway-config-opcua \
    plc-gateway-config-openvpn \
    plc-gateway-config-selfcheck \
    plc-gateway-config-ssh \
    plc-gateway-config-time \
    plc-gateway-config-verified-boot \
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
    udev \
    util-linux-dmesg \
    util-linux-findmnt \
    util-linux-lsblk \
    util-linux-mount \
    util-linux-nologin \
    util-linux-umount \
"
