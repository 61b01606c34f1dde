# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "cell-gateway: Security events are recorded"
DESCRIPTION = "Files of the layer audit, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-cell-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-cell-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${WORKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "audit-rules.service auditd.service fastness-audit-space.path fastness-audit-space.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir}
    install -d -m 0750 ${D}${sysconfdir}/audit
    install -d ${D}${datadir}/cell-gateway/replace/etc/audit
    install -m 0640 ${WORKDIR}/rootfs/etc/audit/audit.rules ${D}${datadir}/cell-gateway/replace/etc/audit/audit.rules
    install -m 0640 ${WORKDIR}/rootfs/etc/audit/auditd.conf ${D}${datadir}/cell-gateway/replace/etc/audit/auditd.conf
    install -d -m 0750 ${D}${datadir}/cell-gateway/replace/etc/audit/plugins.d
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${WORKDIR}/rootfs/etc/systemd/system/audit-rules.service ${D}${sysconfdir}/systemd/system/audit-rules.service
    install -m 0644 ${WORKDIR}/rootfs/etc/systemd/system/auditd.service ${D}${sysconfdir}/systemd/system/auditd.service
    install -m 0644 ${WORKDIR}/rootfs/etc/systemd/system/fastness-audit-space.path ${D}${sysconfdir}/systemd/system/fastness-audit-space.path
    install -m 0644 ${WORKDIR}/rootfs/etc/systemd/system/fastness-audit-space.service ${D}${sysconfdir}/systemd/system/fastness-audit-space.service
    ln -s /dev/null ${D}${sysconfdir}/systemd/system/systemd-journald-audit.socket
    install -d ${D}${nonarch_libdir}/fastness
    install -m 0755 ${WORKDIR}/rootfs/usr/lib/fastness/audit-space ${D}${nonarch_libdir}/fastness/audit-space
    install -d ${D}${nonarch_libdir}/fastness/selfcheck.d
    install -m 0755 ${WORKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.audit ${D}${nonarch_libdir}/fastness/selfcheck.d/self.audit
}

FILES:${PN} = "${datadir} ${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "cell-gateway-accounts"
