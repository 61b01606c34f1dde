# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: Tunnels with IPsec"
DESCRIPTION = "Files of the layer ipsec, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "strongswan.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${datadir}/feeder-terminal/replace/etc
    install -m 0644 ${UNPACKDIR}/rootfs/etc/strongswan.conf ${D}${datadir}/feeder-terminal/replace/etc/strongswan.conf
    install -d ${D}${sysconfdir}
    install -d -m 0755 ${D}${sysconfdir}/swanctl
    install -d ${D}${datadir}/feeder-terminal/replace/etc/swanctl
    ln -s /var/lib/fastness/ipsec/private ${D}${datadir}/feeder-terminal/replace/etc/swanctl/private
    install -m 0600 ${UNPACKDIR}/rootfs/etc/swanctl/swanctl.conf ${D}${datadir}/feeder-terminal/replace/etc/swanctl/swanctl.conf
    ln -s /var/lib/fastness/ipsec/x509 ${D}${datadir}/feeder-terminal/replace/etc/swanctl/x509
    ln -s /var/lib/fastness/ipsec/x509ca ${D}${datadir}/feeder-terminal/replace/etc/swanctl/x509ca
    ln -s /var/lib/fastness/ipsec/x509crl ${D}${datadir}/feeder-terminal/replace/etc/swanctl/x509crl
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/strongswan.service ${D}${sysconfdir}/systemd/system/strongswan.service
    install -d ${D}${nonarch_libdir}/tmpfiles.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/tmpfiles.d/ipsec.conf ${D}${nonarch_libdir}/tmpfiles.d/ipsec.conf
}

FILES:${PN} = "${datadir} ${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "feeder-terminal-accounts"
