# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: Read-only root, no passwords, volatile state"
DESCRIPTION = "Files of the layer base, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${datadir}/feeder-terminal/replace/etc
    install -m 0644 ${UNPACKDIR}/rootfs/etc/fstab ${D}${datadir}/feeder-terminal/replace/etc/fstab
    install -d ${D}${sysconfdir}/gnutls
    install -m 0644 ${UNPACKDIR}/rootfs/etc/gnutls/config ${D}${sysconfdir}/gnutls/config
    install -m 0644 ${UNPACKDIR}/rootfs/etc/hostname ${D}${datadir}/feeder-terminal/replace/etc/hostname
    install -m 0644 ${UNPACKDIR}/rootfs/etc/hosts ${D}${datadir}/feeder-terminal/replace/etc/hosts
    install -d ${D}${sysconfdir}
    install -m 0644 ${UNPACKDIR}/rootfs/etc/image-id ${D}${sysconfdir}/image-id
    install -m 0644 ${UNPACKDIR}/rootfs/etc/issue ${D}${datadir}/feeder-terminal/replace/etc/issue
    install -m 0644 ${UNPACKDIR}/rootfs/etc/issue.net ${D}${datadir}/feeder-terminal/replace/etc/issue.net
    ln -s /usr/share/zoneinfo/UTC ${D}${datadir}/feeder-terminal/replace/etc/localtime
    install -m 0644 ${UNPACKDIR}/rootfs/etc/login.defs ${D}${datadir}/feeder-terminal/replace/etc/login.defs
    install -m 0444 ${UNPACKDIR}/rootfs/etc/machine-id ${D}${datadir}/feeder-terminal/replace/etc/machine-id
    ln -s ../proc/self/mounts ${D}${datadir}/feeder-terminal/replace/etc/mtab
    install -m 0644 ${UNPACKDIR}/rootfs/etc/nsswitch.conf ${D}${datadir}/feeder-terminal/replace/etc/nsswitch.conf
    install -d ${D}${datadir}/feeder-terminal/replace/etc/pam.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/pam.d/other ${D}${datadir}/feeder-terminal/replace/etc/pam.d/other
    install -m 0644 ${UNPACKDIR}/rootfs/etc/profile ${D}${datadir}/feeder-terminal/replace/etc/profile
    install -m 0644 ${UNPACKDIR}/rootfs/etc/resolv.conf ${D}${datadir}/feeder-terminal/replace/etc/resolv.conf
    install -m 0644 ${UNPACKDIR}/rootfs/etc/securetty ${D}${datadir}/feeder-terminal/replace/etc/securetty
    install -d ${D}${datadir}/feeder-terminal/replace/etc/security
    install -m 0644 ${UNPACKDIR}/rootfs/etc/security/limits.conf ${D}${datadir}/feeder-terminal/replace/etc/security/limits.conf
    install -m 0644 ${UNPACKDIR}/rootfs/etc/shells ${D}${datadir}/feeder-terminal/replace/etc/shells
    install -d ${D}${sysconfdir}/ssl
    install -m 0644 ${UNPACKDIR}/rootfs/etc/ssl/openssl.cnf ${D}${sysconfdir}/ssl/openssl.cnf
    install -d ${D}${sysconfdir}/systemd/journald.conf.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/journald.conf.d/10-fastness.conf ${D}${sysconfdir}/systemd/journald.conf.d/10-fastness.conf
    install -d ${D}${sysconfdir}/systemd/network
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/network/10-eth0.network ${D}${sysconfdir}/systemd/network/10-eth0.network
    install -d ${D}${sysconfdir}/systemd/system.conf.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system.conf.d/10-fastness.conf ${D}${sysconfdir}/systemd/system.conf.d/10-fastness.conf
    install -d ${D}${sysconfdir}/systemd/system
    ln -s /dev/null ${D}${sysconfdir}/systemd/system/ctrl-alt-del.target
    install -d ${D}${datadir}/feeder-terminal/replace/etc/systemd/system
    ln -s /usr/lib/systemd/system/multi-user.target ${D}${datadir}/feeder-terminal/replace/etc/systemd/system/default.target
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/emergency.service ${D}${sysconfdir}/systemd/system/emergency.service
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/emergency.target ${D}${sysconfdir}/systemd/system/emergency.target
    install -d ${D}${sysconfdir}/systemd/system/systemd-journald.service.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/systemd-journald.service.d/10-limits.conf ${D}${sysconfdir}/systemd/system/systemd-journald.service.d/10-limits.conf
    install -d ${D}${sysconfdir}/systemd/system/systemd-journald@.service.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/systemd-journald@.service.d/10-limits.conf ${D}${sysconfdir}/systemd/system/systemd-journald@.service.d/10-limits.conf
    install -d ${D}${sysconfdir}/systemd/system/systemd-networkd.service.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/systemd-networkd.service.d/10-limits.conf ${D}${sysconfdir}/systemd/system/systemd-networkd.service.d/10-limits.conf
    install -d ${D}${sysconfdir}/systemd/system/systemd-udev-trigger.service.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/systemd-udev-trigger.service.d/10-fastness.conf ${D}${sysconfdir}/systemd/system/systemd-udev-trigger.service.d/10-fastness.conf
    install -d ${D}${nonarch_libdir}/fastness/selfcheck.d
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/exec.unauthorised-refused ${D}${nonarch_libdir}/fastness/selfcheck.d/exec.unauthorised-refused
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/priv.denied ${D}${nonarch_libdir}/fastness/selfcheck.d/priv.denied
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.mounts ${D}${nonarch_libdir}/fastness/selfcheck.d/self.mounts
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.no-failed-units ${D}${nonarch_libdir}/fastness/selfcheck.d/self.no-failed-units
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.root-read-only ${D}${nonarch_libdir}/fastness/selfcheck.d/self.root-read-only
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.watchdog ${D}${nonarch_libdir}/fastness/selfcheck.d/self.watchdog
    install -d ${D}${nonarch_libdir}/ssl
    ln -s /etc/ssl/openssl.cnf ${D}${nonarch_libdir}/ssl/openssl.cnf
    install -d ${D}${datadir}/feeder-terminal/replace/usr/lib/sysctl.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/sysctl.d/50-fastness.conf ${D}${datadir}/feeder-terminal/replace/usr/lib/sysctl.d/50-fastness.conf
    install -d ${D}${nonarch_libdir}/tmpfiles.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/tmpfiles.d/fastness.conf ${D}${nonarch_libdir}/tmpfiles.d/fastness.conf
    install -d ${D}${nonarch_libdir}/udev/rules.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/udev/rules.d/60-virtio-ports.rules ${D}${nonarch_libdir}/udev/rules.d/60-virtio-ports.rules
    install -d ${D}${nonarch_libdir}/systemd/system-preset
    install -m 0644 ${UNPACKDIR}/rootfs/00-feeder-terminal.preset ${D}${nonarch_libdir}/systemd/system-preset/
}

FILES:${PN} = "${datadir} ${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "feeder-terminal-accounts"
