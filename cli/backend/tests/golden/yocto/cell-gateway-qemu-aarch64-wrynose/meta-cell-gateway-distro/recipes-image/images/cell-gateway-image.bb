SUMMARY = "cell-gateway on a read-only root"
DESCRIPTION = "The root of cell-gateway as a squashfs, unsigned: verity, FIT and signatures are made outside of BitBake"
SECTION = "base"
LICENSE = "LicenseRef-cell-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-cell-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"

inherit cell_gateway_image

IMAGE_INSTALL = " \
    cell-gateway-accounts \
    cell-gateway-config-audit \
    cell-gateway-config-base \
    cell-gateway-config-firewall \
    cell-gateway-config-guide \
    cell-gateway-config-kernel-hardening \
    cell-gateway-config-selfcheck \
    cell-gateway-config-ssh \
    cell-gateway-config-time \
    cell-gateway-config-verified-boot \
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
    pam-plugin-access \
    pam-plugin-deny \
    pam-plugin-env \
    pam-plugin-faillock \
    pam-plugin-limits \
    pam-plugin-nologin \
    pam-plugin-permit \
    pam-plugin-unix \
    sed \
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
