SUMMARY = "pump-station on a read-only root"
DESCRIPTION = "The root of pump-station as a squashfs, unsigned: verity, FIT and signatures are made outside of BitBake"
SECTION = "base"
LICENSE = "LicenseRef-pump-station"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-pump-station;md5=3958ec0e23986b1ec4d31abc719cbb4e"

inherit pump_station_image

IMAGE_INSTALL = " \
    pump-station-accounts \
    pump-station-config-audit \
    pump-station-config-base \
    pump-station-config-firewall \
    pump-station-config-guide \
    pump-station-config-ipsec \
    pump-station-config-kernel-hardening \
    pump-station-config-selfcheck \
    pump-station-config-ssh \
    pump-station-config-time \
    pump-station-config-verified-boot \
    pump-station-config-wireguard \
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
    wireguard-tools \
"
