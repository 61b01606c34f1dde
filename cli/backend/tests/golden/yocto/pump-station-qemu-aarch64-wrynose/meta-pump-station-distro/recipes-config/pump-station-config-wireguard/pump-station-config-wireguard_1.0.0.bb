# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "pump-station: Tunnels with WireGuard"
DESCRIPTION = "Files of the layer wireguard, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-pump-station"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-pump-station;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "wireguard-readings.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/wireguard-readings.service ${D}${sysconfdir}/systemd/system/wireguard-readings.service
    install -d ${D}${sysconfdir}
    install -d -m 0755 ${D}${sysconfdir}/wireguard
    install -m 0600 ${UNPACKDIR}/rootfs/etc/wireguard/readings.conf ${D}${sysconfdir}/wireguard/readings.conf
    install -d ${D}${nonarch_libdir}/tmpfiles.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/tmpfiles.d/fastness-wireguard.conf ${D}${nonarch_libdir}/tmpfiles.d/fastness-wireguard.conf
}

FILES:${PN} = "${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "pump-station-accounts"
