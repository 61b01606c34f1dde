# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "cell-gateway: Remote access with keys, for named persons, from named zones"
DESCRIPTION = "Files of the layer ssh, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-cell-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-cell-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "ssh-host-key.service ssh.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${datadir}/cell-gateway/replace/etc/pam.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/pam.d/sshd ${D}${datadir}/cell-gateway/replace/etc/pam.d/sshd
    install -d ${D}${sysconfdir}/ssh/authorized_keys.d
    install -m 0644 ${UNPACKDIR}/rootfs/etc/ssh/authorized_keys.d/maintenance ${D}${sysconfdir}/ssh/authorized_keys.d/maintenance
    install -d ${D}${datadir}/cell-gateway/replace/etc/ssh
    install -m 0600 ${UNPACKDIR}/rootfs/etc/ssh/sshd_config ${D}${datadir}/cell-gateway/replace/etc/ssh/sshd_config
    install -d ${D}${sysconfdir}/ssh
    install -m 0644 ${UNPACKDIR}/rootfs/etc/ssh/user_ca.pub ${D}${sysconfdir}/ssh/user_ca.pub
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/ssh-host-key.service ${D}${sysconfdir}/systemd/system/ssh-host-key.service
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/ssh.service ${D}${sysconfdir}/systemd/system/ssh.service
    ln -s /dev/null ${D}${sysconfdir}/systemd/system/ssh.socket
    install -d ${D}${nonarch_libdir}/fastness/identity.d
    ln -s /var/lib/fastness/ssh/ssh_host_ed25519_key.pub ${D}${nonarch_libdir}/fastness/identity.d/ssh-host-key
    install -d ${D}${nonarch_libdir}/fastness/selfcheck.d
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.sshd ${D}${nonarch_libdir}/fastness/selfcheck.d/self.sshd
    install -d ${D}${nonarch_libdir}/tmpfiles.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/tmpfiles.d/fastness-ssh.conf ${D}${nonarch_libdir}/tmpfiles.d/fastness-ssh.conf
}

FILES:${PN} = "${datadir} ${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "cell-gateway-accounts"
