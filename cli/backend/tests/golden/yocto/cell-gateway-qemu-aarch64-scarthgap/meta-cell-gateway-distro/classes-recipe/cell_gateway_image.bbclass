# An image of the product's plan: packages first, then what is removed, put in place and locked.
# An image recipe of your own may inherit it.

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "systemd pam"
CONFLICT_DISTRO_FEATURES = "sysvinit"

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_FSTYPES = "squashfs-zst"
# nooelint: oelint.vars.specific
EXTRA_IMAGECMD:squashfs-zst = "-Xcompression-level 6 -b 131072"
IMAGE_LINGUAS = ""
NO_RECOMMENDATIONS = "1"

# After systemd's presets, which are the last of the packages' own doing. What is changed here has the time of its change:
# OE-Core's own last step, which gives every file the same time, has run before and is run once more.
IMAGE_PREPROCESS_COMMAND:append = " cell_gateway_finish; reproducible_final_image_task;"

# What is in the image, with versions and licences, beside it. In do_rootfs, which writes the list: IMAGE_NAME has the
# time of this run of BitBake, and another run that goes on behind do_rootfs would look for another name. Behind
# license_create_manifest of the same variable, which runs once packages that nothing needs are gone.
ROOTFS_POSTUNINSTALL_COMMAND:append = " cell_gateway_licences;"

cell_gateway_licences() {
    install -m 0644 ${LICENSE_DIRECTORY}/${SSTATE_PKGARCH}/${IMAGE_NAME}/license.manifest ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.licences
}

# Patterns of a shell, one a line.
cell_gateway_unwanted() {
    cat <<'END'
/etc/apparmor.d
/etc/audit/audisp-filter.conf
/etc/audit/audisp-remote.conf
/etc/audit/plugins.d/*
/etc/bash.bashrc
/etc/binfmt.d
/etc/build
/etc/chrony.conf
/etc/credstore
/etc/credstore.encrypted
/etc/dbus-1
/etc/default
/etc/dhcp
/etc/dpkg
/etc/gss
/etc/init.d
/etc/issue
/etc/issue.net
/etc/kernel
/etc/ld.so.conf.d
/etc/logrotate.d
/etc/modules-load.d
/etc/network
/etc/pam.conf
/etc/pam.d/*
/etc/pam.d/.[!.]*
/etc/ppp
/etc/profile.d
/etc/rcS.d
/etc/runit
/etc/security/namespace.init
/etc/selinux
/etc/skel
/etc/ssh/moduli
/etc/ssh/ssh_config
/etc/ssh/ssh_config.d
/etc/ssh/sshd_config_readonly
/etc/sv
/etc/systemd/*.conf
/etc/timezone
/etc/tmpfiles.d
/etc/ufw
/etc/update-motd.d
/etc/xattr.conf
/etc/xdg
/usr/bin/busctl
/usr/bin/chage
/usr/bin/chfn
/usr/bin/chsh
/usr/bin/dbus-*
/usr/bin/deb-systemd-*
/usr/bin/debconf*
/usr/bin/expiry
/usr/bin/gpasswd
/usr/bin/hostnamectl
/usr/bin/kernel-install
/usr/bin/localectl
/usr/bin/loginctl
/usr/bin/lslogins
/usr/bin/mawk
/usr/bin/passwd
/usr/bin/perl*
/usr/bin/run0
/usr/bin/scp
/usr/bin/sensible-*
/usr/bin/sftp
/usr/bin/ssh
/usr/bin/ssh-add
/usr/bin/ssh-agent
/usr/bin/ssh-argv0
/usr/bin/ssh-copy-id
/usr/bin/ssh-keyscan
/usr/bin/su
/usr/bin/systemd-ask-password
/usr/bin/systemd-confext
/usr/bin/systemd-creds
/usr/bin/systemd-firstboot
/usr/bin/systemd-hwdb
/usr/bin/systemd-mount
/usr/bin/systemd-run
/usr/bin/systemd-stdio-bridge
/usr/bin/systemd-sysext
/usr/bin/systemd-umount
/usr/bin/timedatectl
/usr/bin/ucf*
/usr/bin/varlinkctl
/usr/games
/usr/include
/usr/lib/*-linux-gnu*/gconv
/usr/lib/*-linux-gnu*/perl-base
/usr/lib/*-linux-gnu*/perl5
/usr/lib/*-linux-gnu*/security/pam_userdb.so
/usr/lib/NetworkManager
/usr/lib/environment.d
/usr/lib/init
/usr/lib/kernel
/usr/lib/lsb
/usr/lib/mime
/usr/lib/modprobe.d
/usr/lib/networkd-dispatcher
/usr/lib/openssh/sftp-server
/usr/lib/openssh/ssh-keysign
/usr/lib/openssh/ssh-pkcs11-helper
/usr/lib/openssh/ssh-sk-helper
/usr/lib/pcrlock.d
/usr/lib/sftp-server
/usr/lib/sysctl.d/*
/usr/lib/sysctl.d/.[!.]*
/usr/lib/systemd/catalog
/usr/lib/systemd/network/*
/usr/lib/systemd/network/.[!.]*
/usr/lib/systemd/ntp-units.d
/usr/lib/systemd/system-generators/systemd-debug-generator
/usr/lib/systemd/system-generators/systemd-getty-generator
/usr/lib/systemd/system-generators/systemd-gpt-auto-generator
/usr/lib/systemd/system-generators/systemd-hibernate-resume-generator
/usr/lib/systemd/system-generators/systemd-rc-local-generator
/usr/lib/systemd/system-generators/systemd-run-generator
/usr/lib/systemd/system-generators/systemd-ssh-generator
/usr/lib/systemd/system-generators/systemd-system-update-generator
/usr/lib/systemd/system-generators/systemd-sysv-generator
/usr/lib/systemd/system-generators/systemd-tpm2-generator
/usr/lib/systemd/system-preset
/usr/lib/systemd/system/*.wants/dbus*
/usr/lib/systemd/system/*getty*
/usr/lib/systemd/system/autovt*
/usr/lib/systemd/system/bluetooth*
/usr/lib/systemd/system/capsule*
/usr/lib/systemd/system/chrony-dnssrv*
/usr/lib/systemd/system/chrony-wait*
/usr/lib/systemd/system/chronyd-restricted*
/usr/lib/systemd/system/chronyd.service
/usr/lib/systemd/system/dbus*
/usr/lib/systemd/system/dbus-org*
/usr/lib/systemd/system/debug-shell.service
/usr/lib/systemd/system/dev-hugepages*
/usr/lib/systemd/system/dev-mqueue*
/usr/lib/systemd/system/emergency*
/usr/lib/systemd/system/factory-reset*
/usr/lib/systemd/system/fstrim*
/usr/lib/systemd/system/hibernate*
/usr/lib/systemd/system/hybrid*
/usr/lib/systemd/system/initrd*
/usr/lib/systemd/system/kexec*
/usr/lib/systemd/system/kmod*
/usr/lib/systemd/system/ldconfig*
/usr/lib/systemd/system/modprobe@*
/usr/lib/systemd/system/multi-user.target.wants/getty.target
/usr/lib/systemd/system/multi-user.target.wants/systemd-ask-password-wall.path
/usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service
/usr/lib/systemd/system/multi-user.target.wants/systemd-user-sessions.service
/usr/lib/systemd/system/nftables.service
/usr/lib/systemd/system/pam_namespace*
/usr/lib/systemd/system/printer*
/usr/lib/systemd/system/proc-sys-fs*
/usr/lib/systemd/system/procps.service
/usr/lib/systemd/system/quotaon*
/usr/lib/systemd/system/rc-local*
/usr/lib/systemd/system/rescue*
/usr/lib/systemd/system/runlevel*
/usr/lib/systemd/system/smartcard*
/usr/lib/systemd/system/sockets.target.wants/systemd-creds.socket
/usr/lib/systemd/system/sockets.target.wants/systemd-hostnamed.socket
/usr/lib/systemd/system/sockets.target.wants/systemd-pcrextend.socket
/usr/lib/systemd/system/sockets.target.wants/systemd-pcrlock.socket
/usr/lib/systemd/system/sockets.target.wants/systemd-sysext.socket
/usr/lib/systemd/system/sound*
/usr/lib/systemd/system/sshd-keygen*
/usr/lib/systemd/system/sshd.service
/usr/lib/systemd/system/sshd.socket
/usr/lib/systemd/system/sshd@*
/usr/lib/systemd/system/sshdgenkeys.service
/usr/lib/systemd/system/suspend*
/usr/lib/systemd/system/sys-fs*
/usr/lib/systemd/system/sys-kernel*
/usr/lib/systemd/system/sysinit.target.wants/dev-hugepages.mount
/usr/lib/systemd/system/sysinit.target.wants/dev-mqueue.mount
/usr/lib/systemd/system/sysinit.target.wants/kmod-static-nodes.service
/usr/lib/systemd/system/sysinit.target.wants/ldconfig.service
/usr/lib/systemd/system/sysinit.target.wants/proc-sys-fs-binfmt_misc.automount
/usr/lib/systemd/system/sysinit.target.wants/sys-fs-fuse-connections.mount
/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-config.mount
/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-debug.mount
/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-tracing.mount
/usr/lib/systemd/system/sysinit.target.wants/systemd-ask-password-console.path
/usr/lib/systemd/system/sysinit.target.wants/systemd-binfmt.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-firstboot.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-hibernate-clear.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-hwdb-update.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-journal-catalog-update.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-journal-flush.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-machine-id-commit.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-modules-load.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-pcrmachine.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-pcrphase-sysinit.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-pcrphase.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-random-seed.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-sysusers.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup-dev-early.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup-dev.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-tpm2-setup-early.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-tpm2-setup.service
/usr/lib/systemd/system/sysinit.target.wants/systemd-update-done.service
/usr/lib/systemd/system/system-update*
/usr/lib/systemd/system/systemd-ask-password*
/usr/lib/systemd/system/systemd-backlight*
/usr/lib/systemd/system/systemd-binfmt*
/usr/lib/systemd/system/systemd-boot-check*
/usr/lib/systemd/system/systemd-confext*
/usr/lib/systemd/system/systemd-creds*
/usr/lib/systemd/system/systemd-firstboot.service
/usr/lib/systemd/system/systemd-fsck*
/usr/lib/systemd/system/systemd-growfs*
/usr/lib/systemd/system/systemd-hibernate*
/usr/lib/systemd/system/systemd-hostnamed*
/usr/lib/systemd/system/systemd-hybrid*
/usr/lib/systemd/system/systemd-initctl*
/usr/lib/systemd/system/systemd-journal-catalog*
/usr/lib/systemd/system/systemd-journal-flush.service
/usr/lib/systemd/system/systemd-kexec*
/usr/lib/systemd/system/systemd-localed*
/usr/lib/systemd/system/systemd-logind.service
/usr/lib/systemd/system/systemd-machine-id*
/usr/lib/systemd/system/systemd-modules-load*
/usr/lib/systemd/system/systemd-network-generator*
/usr/lib/systemd/system/systemd-networkd-persistent-storage*
/usr/lib/systemd/system/systemd-networkd-wait-online*
/usr/lib/systemd/system/systemd-pcr*
/usr/lib/systemd/system/systemd-pstore*
/usr/lib/systemd/system/systemd-quotacheck*
/usr/lib/systemd/system/systemd-random-seed.service
/usr/lib/systemd/system/systemd-rfkill*
/usr/lib/systemd/system/systemd-storagetm*
/usr/lib/systemd/system/systemd-suspend*
/usr/lib/systemd/system/systemd-sysext*
/usr/lib/systemd/system/systemd-sysusers*
/usr/lib/systemd/system/systemd-timedated*
/usr/lib/systemd/system/systemd-tpm2*
/usr/lib/systemd/system/systemd-update-done*
/usr/lib/systemd/system/systemd-user-sessions.service
/usr/lib/systemd/system/systemd-volatile-root*
/usr/lib/systemd/system/usb-gadget*
/usr/lib/systemd/system/user-runtime*
/usr/lib/systemd/system/user@*
/usr/lib/systemd/systemd-backlight
/usr/lib/systemd/systemd-battery-check
/usr/lib/systemd/systemd-binfmt
/usr/lib/systemd/systemd-boot-check-no-failures
/usr/lib/systemd/systemd-bsod
/usr/lib/systemd/systemd-fsck
/usr/lib/systemd/systemd-growfs
/usr/lib/systemd/systemd-hibernate-resume
/usr/lib/systemd/systemd-hostnamed
/usr/lib/systemd/systemd-initctl
/usr/lib/systemd/systemd-localed
/usr/lib/systemd/systemd-logind
/usr/lib/systemd/systemd-makefs
/usr/lib/systemd/systemd-modules-load
/usr/lib/systemd/systemd-network-generator
/usr/lib/systemd/systemd-pcrextend
/usr/lib/systemd/systemd-pcrlock
/usr/lib/systemd/systemd-pstore
/usr/lib/systemd/systemd-quotacheck
/usr/lib/systemd/systemd-reply-password
/usr/lib/systemd/systemd-rfkill
/usr/lib/systemd/systemd-sleep
/usr/lib/systemd/systemd-socket-proxyd
/usr/lib/systemd/systemd-ssh-proxy
/usr/lib/systemd/systemd-storagetm
/usr/lib/systemd/systemd-sulogin-shell
/usr/lib/systemd/systemd-timedated
/usr/lib/systemd/systemd-tpm2-setup
/usr/lib/systemd/systemd-update-done
/usr/lib/systemd/systemd-user-runtime-dir
/usr/lib/systemd/systemd-user-sessions
/usr/lib/systemd/systemd-volatile-root
/usr/lib/systemd/user
/usr/lib/systemd/user-environment-generators
/usr/lib/systemd/user-generators
/usr/lib/systemd/user-preset
/usr/lib/tmpfiles.d/20-systemd-*
/usr/lib/tmpfiles.d/credstore.conf
/usr/lib/tmpfiles.d/debian.conf
/usr/lib/tmpfiles.d/home.conf
/usr/lib/tmpfiles.d/journal-nocow.conf
/usr/lib/tmpfiles.d/legacy.conf
/usr/lib/tmpfiles.d/libselinux1.conf
/usr/lib/tmpfiles.d/openssh-*
/usr/lib/tmpfiles.d/passwd.conf
/usr/lib/tmpfiles.d/provision.conf
/usr/lib/tmpfiles.d/systemd-nologin.conf
/usr/lib/tmpfiles.d/systemd-pstore.conf
/usr/lib/tmpfiles.d/x11.conf
/usr/lib/udev/hwdb.d
/usr/lib/udev/rules.d/60-autosuspend*
/usr/lib/udev/rules.d/60-cdrom*
/usr/lib/udev/rules.d/60-drm*
/usr/lib/udev/rules.d/60-evdev*
/usr/lib/udev/rules.d/60-fido*
/usr/lib/udev/rules.d/60-infiniband*
/usr/lib/udev/rules.d/60-input*
/usr/lib/udev/rules.d/60-persistent-alsa*
/usr/lib/udev/rules.d/60-persistent-input*
/usr/lib/udev/rules.d/60-persistent-storage-mtd*
/usr/lib/udev/rules.d/60-persistent-storage-tape*
/usr/lib/udev/rules.d/60-persistent-v4l*
/usr/lib/udev/rules.d/60-sensor*
/usr/lib/udev/rules.d/60-serial*
/usr/lib/udev/rules.d/64-btrfs*
/usr/lib/udev/rules.d/70-camera*
/usr/lib/udev/rules.d/70-joystick*
/usr/lib/udev/rules.d/70-memory*
/usr/lib/udev/rules.d/70-mouse*
/usr/lib/udev/rules.d/70-power-switch*
/usr/lib/udev/rules.d/70-touchpad*
/usr/lib/udev/rules.d/71-seat*
/usr/lib/udev/rules.d/73-seat*
/usr/lib/udev/rules.d/75-probe_mtd*
/usr/lib/udev/rules.d/78-sound*
/usr/lib/udev/rules.d/80-drivers*
/usr/lib/udev/rules.d/81-net-dhcp*
/usr/lib/udev/rules.d/90-*
/usr/libexec/dbus-daemon-launch-helper
/usr/sbin/adduser
/usr/sbin/agetty
/usr/sbin/aureport
/usr/sbin/blkdiscard
/usr/sbin/blkzone
/usr/sbin/chcpu
/usr/sbin/chpasswd
/usr/sbin/deluser
/usr/sbin/dpkg-*
/usr/sbin/fsck*
/usr/sbin/fsfreeze
/usr/sbin/fstrim
/usr/sbin/getty
/usr/sbin/group*
/usr/sbin/grp*
/usr/sbin/invoke-rc.d
/usr/sbin/isosize
/usr/sbin/ldattach
/usr/sbin/mkfs*
/usr/sbin/mkswap
/usr/sbin/newusers
/usr/sbin/pam-auth-update
/usr/sbin/pam_getenv
/usr/sbin/pivot_root
/usr/sbin/pw*
/usr/sbin/readprofile
/usr/sbin/rtcwake
/usr/sbin/runuser
/usr/sbin/service
/usr/sbin/sulogin
/usr/sbin/swapoff
/usr/sbin/swapon
/usr/sbin/switch_root
/usr/sbin/update-*
/usr/sbin/user*
/usr/sbin/vip*
/usr/sbin/wipefs
/usr/sbin/zramctl
/usr/share/apport
/usr/share/base-files
/usr/share/bash-completion
/usr/share/bug
/usr/share/common-licenses
/usr/share/dbus-1
/usr/share/debconf
/usr/share/debianutils
/usr/share/dict
/usr/share/doc-base
/usr/share/doc/*
/usr/share/doc/.[!.]*
/usr/share/factory
/usr/share/info
/usr/share/initramfs-tools
/usr/share/lintian
/usr/share/locale/*
/usr/share/locale/.[!.]*
/usr/share/man/*
/usr/share/man/.[!.]*
/usr/share/menu
/usr/share/mime
/usr/share/pam-configs
/usr/share/perl5
/usr/share/pixmaps
/usr/share/polkit-1
/usr/share/runit
/usr/share/systemd/kbd-model-map
/usr/share/systemd/language-fallback-map
/usr/share/ucf
/usr/share/zsh
/usr/src
/var/*
/var/.[!.]*
END
}

# What the plan itself puts there: removals spare it.
cell_gateway_keep() {
    cat <<'END'
/dev
/etc/audit
/etc/audit/audit.rules
/etc/audit/auditd.conf
/etc/audit/plugins.d
/etc/chrony/chrony.conf
/etc/chrony/nts-roots.pem
/etc/fstab
/etc/gnutls/config
/etc/hostname
/etc/hosts
/etc/image-id
/etc/issue
/etc/issue.net
/etc/localtime
/etc/login.defs
/etc/machine-id
/etc/mtab
/etc/nftables-layer2.conf
/etc/nftables.conf
/etc/nsswitch.conf
/etc/pam.d/other
/etc/pam.d/sshd
/etc/profile
/etc/resolv.conf
/etc/securetty
/etc/security/limits.conf
/etc/shells
/etc/ssh/authorized_keys.d/maintenance
/etc/ssh/sshd_config
/etc/ssh/user_ca.pub
/etc/ssl/openssl.cnf
/etc/systemd/journald.conf.d/10-fastness.conf
/etc/systemd/network/10-eth0.network
/etc/systemd/network/10-eth0.network.d/20-egress.conf
/etc/systemd/network/10-eth1.network
/etc/systemd/network/10-eth1.network.d/20-egress.conf
/etc/systemd/system.conf.d/10-fastness.conf
/etc/systemd/system/audit-rules.service
/etc/systemd/system/auditd.service
/etc/systemd/system/chrony.service
/etc/systemd/system/ctrl-alt-del.target
/etc/systemd/system/default.target
/etc/systemd/system/emergency.service
/etc/systemd/system/emergency.target
/etc/systemd/system/fastness-audit-space.path
/etc/systemd/system/fastness-audit-space.service
/etc/systemd/system/fastness-selfcheck.service
/etc/systemd/system/nftables.service
/etc/systemd/system/ssh-host-key.service
/etc/systemd/system/ssh.service
/etc/systemd/system/ssh.socket
/etc/systemd/system/systemd-journald-audit.socket
/etc/systemd/system/systemd-journald.service.d/10-limits.conf
/etc/systemd/system/systemd-journald@.service.d/10-limits.conf
/etc/systemd/system/systemd-networkd.service.d/10-firewall.conf
/etc/systemd/system/systemd-networkd.service.d/10-limits.conf
/etc/systemd/system/systemd-udev-trigger.service.d/10-fastness.conf
/proc
/root
/run
/sys
/tmp
/usr/lib/fastness/audit-space
/usr/lib/fastness/identity.d/machine-id
/usr/lib/fastness/identity.d/ssh-host-key
/usr/lib/fastness/selfcheck
/usr/lib/fastness/selfcheck.d/exec.unauthorised-refused
/usr/lib/fastness/selfcheck.d/kern.sysctl-live
/usr/lib/fastness/selfcheck.d/priv.denied
/usr/lib/fastness/selfcheck.d/self.audit
/usr/lib/fastness/selfcheck.d/self.firewall
/usr/lib/fastness/selfcheck.d/self.lockdown
/usr/lib/fastness/selfcheck.d/self.mounts
/usr/lib/fastness/selfcheck.d/self.no-failed-units
/usr/lib/fastness/selfcheck.d/self.root-read-only
/usr/lib/fastness/selfcheck.d/self.sshd
/usr/lib/fastness/selfcheck.d/self.time
/usr/lib/fastness/selfcheck.d/self.watchdog
/usr/lib/fastness/u-boot.env
/usr/lib/ssl/openssl.cnf
/usr/lib/sysctl.d/50-fastness.conf
/usr/lib/tmpfiles.d/fastness-ssh.conf
/usr/lib/tmpfiles.d/fastness.conf
/usr/lib/udev/rules.d/60-virtio-ports.rules
/usr/share/fastness/security-guide.txt
/var
END
}

cell_gateway_enabled() {
    cat <<'END'
multi-user.target
audit-rules.service
auditd.service
chrony.service
fastness-audit-space.path
fastness-audit-space.service
fastness-selfcheck.service
nftables.service
ssh-host-key.service
ssh.service
systemd-networkd.service
END
}

# Removes what a pattern matches, but nothing that the plan itself puts there.
cell_gateway_take_out() {
    for match in $1; do
        [ -e "$match" ] || [ -h "$match" ] || continue
        case $(realpath -- "$(dirname -- "$match")")/ in
        "$(realpath -- "${IMAGE_ROOTFS}")"/*) ;;
        *) bbfatal "the removal of /$match leads out of the image" ;;
        esac
        find "$match" ! -type d | sed 's,^,/,' | grep -v -x -F -f "${T}/cell_gateway-keep" | while IFS= read -r path; do
            rm -f -- ".$path"
        done
        [ -d "$match" ] && [ ! -h "$match" ] || continue
        find "$match" -depth -type d | sed 's,^,/,' | grep -v -x -F -f "${T}/cell_gateway-keep" | while IFS= read -r path; do
            rmdir --ignore-fail-on-non-empty -- ".$path"
        done
    done
}

cell_gateway_finish() {
    cd ${IMAGE_ROOTFS}
    cell_gateway_keep >${T}/cell_gateway-keep
    cell_gateway_enabled >${T}/cell_gateway-enabled

    cell_gateway_unwanted >${T}/cell_gateway-unwanted
    while IFS= read -r pattern; do
        cell_gateway_take_out "$(echo "$pattern" | cut -c 2-)"
    done <${T}/cell_gateway-unwanted

    # Files that a package of others owns, too, one by one: a folder that is there keeps its mode. A link in the place of
    # a file goes: written through, it would change what it points to.
    if [ -d ./usr/share/cell-gateway/replace ]; then
        (cd ./usr/share/cell-gateway/replace && find . -mindepth 1 | sort) >${T}/cell_gateway-aside
        while IFS= read -r path; do
            from=./usr/share/cell-gateway/replace/$path
            if [ -h "$from" ] || [ ! -d "$from" ]; then
                cp -a -T --remove-destination -- "$from" "$path"
            elif [ -h "$path" ]; then
                bbfatal "${path#.} is a link, expected a folder: the files below it would lead out of the image"
            elif [ ! -d "$path" ]; then
                install -d -- "$path"
                chown --reference="$from" -- "$path"
                chmod --reference="$from" -- "$path"
            fi
        done <${T}/cell_gateway-aside
        rm -rf ./usr/share/cell-gateway/replace
        rmdir --ignore-fail-on-non-empty -- "$(dirname ./usr/share/cell-gateway/replace)"
    fi
    install -d -m 0755 ${IMAGE_ROOTFS}/dev
    if [ -d ${IMAGE_ROOTFS}/etc/audit ]; then chmod 0750 ${IMAGE_ROOTFS}/etc/audit; fi
    if [ -d ${IMAGE_ROOTFS}/etc/audit/plugins.d ]; then chmod 0750 ${IMAGE_ROOTFS}/etc/audit/plugins.d; fi
    install -d -m 0555 ${IMAGE_ROOTFS}/proc
    install -d -m 0700 ${IMAGE_ROOTFS}/root
    install -d -m 0755 ${IMAGE_ROOTFS}/run
    install -d -m 0555 ${IMAGE_ROOTFS}/sys
    install -d -m 1777 ${IMAGE_ROOTFS}/tmp
    install -d -m 0755 ${IMAGE_ROOTFS}/var
    if [ -f ${IMAGE_ROOTFS}/usr/bin/mount ]; then chmod 0755 ${IMAGE_ROOTFS}/usr/bin/mount; fi
    if [ -f ${IMAGE_ROOTFS}/usr/bin/umount ]; then chmod 0755 ${IMAGE_ROOTFS}/usr/bin/umount; fi
    if [ -f ${IMAGE_ROOTFS}/usr/sbin/unix_chkpwd ]; then chmod 0755 ${IMAGE_ROOTFS}/usr/sbin/unix_chkpwd; fi

    # Nothing starts but what the plan enables.
    for link in etc/systemd/system/*.wants/* etc/systemd/system/*.requires/*; do
        [ -h "$link" ] || continue
        grep -q -x -F -e "$(basename "$link")" ${T}/cell_gateway-enabled || rm -f -- "$link"
        rmdir --ignore-fail-on-non-empty -- "$(dirname "$link")"
    done

    # Packages bring accounts, too: only persons have a shell, and nobody has a password.
    awk -F : -v OFS=: -v persons=" maintenance " '
        index(persons, " " $1 " ") == 0 { $7 = "/usr/sbin/nologin" }
        { print }
    ' etc/passwd >${T}/passwd
    awk -F : -v OFS=: -v persons=" maintenance " '
        { $2 = index(persons, " " $1 " ") == 0 ? "!*" : "*"; print }
    ' etc/shadow >${T}/shadow
    cat ${T}/passwd >etc/passwd
    cat ${T}/shadow >etc/shadow
}
