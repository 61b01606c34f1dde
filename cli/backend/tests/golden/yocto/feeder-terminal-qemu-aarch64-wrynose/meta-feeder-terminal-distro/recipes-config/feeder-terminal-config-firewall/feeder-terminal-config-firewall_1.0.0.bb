# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: Default deny, both ways"
DESCRIPTION = "Files of the layer firewall, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "nftables.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir}
    install -m 0600 ${UNPACKDIR}/rootfs/etc/nftables-layer2.conf ${D}${sysconfdir}/nftables-layer2.conf
    install -d ${D}${datadir}/feeder-terminal/replace/etc
    install -m 0600 ${UNPACKDIR}/rootfs/etc/nftables.conf ${D}${datadir}/feeder-terminal/replace/etc/nftables.conf
    install -d ${D}${sysconfdir}/systemd/network/10-eth0.network.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/network/10-eth0.network.d/20-egress.conf ${D}${sysconfdir}/systemd/network/10-eth0.network.d/20-egress.conf
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/nftables.service ${D}${sysconfdir}/systemd/system/nftables.service
    install -d ${D}${sysconfdir}/systemd/system/systemd-networkd.service.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/systemd-networkd.service.d/10-firewall.conf ${D}${sysconfdir}/systemd/system/systemd-networkd.service.d/10-firewall.conf
    install -d ${D}${nonarch_libdir}/fastness/selfcheck.d
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.firewall ${D}${nonarch_libdir}/fastness/selfcheck.d/self.firewall
}

FILES:${PN} = "${datadir} ${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "feeder-terminal-accounts"
