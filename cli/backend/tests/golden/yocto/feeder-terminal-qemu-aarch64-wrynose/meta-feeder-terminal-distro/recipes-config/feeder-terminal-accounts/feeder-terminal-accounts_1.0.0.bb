# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: accounts"
DESCRIPTION = "Groups and users with fixed numbers, all without a password"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = ""

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch useradd

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--gid 120 _chrony; --gid 2000 maintenance; --gid 130 openvpn; --gid 800 ssh-operators; --gid 110 sshd"
USERADD_PARAM:${PN} = "--uid 120 --gid _chrony --home-dir /var/lib/chrony --no-create-home --shell /usr/sbin/nologin --comment 'chrony' _chrony; --uid 2000 --gid maintenance --groups ssh-operators --home-dir /var/home/maintenance --no-create-home --shell /bin/sh --comment 'Maintenance staff' maintenance; --uid 130 --gid openvpn --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin --comment 'OpenVPN' openvpn; --uid 110 --gid sshd --home-dir /run/sshd --no-create-home --shell /usr/sbin/nologin --comment 'sshd privilege separation' sshd"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

ALLOW_EMPTY:${PN} = "1"
