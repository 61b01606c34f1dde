# Sourced by ci/peers/yocto-packages, yocto-image, yocto-minimal and yocto-signing: a layer in which the host stands in for recipes of OE-core
# whose sources are not at hand. `host` is its folder, `series` the word of LAYERSERIES_COMPAT.
# shellcheck shell=bash

# host_layer: the layer's configuration.
host_layer() {
	cat >"$host/conf/layer.conf" <<-END
		BBPATH .= ":\${LAYERDIR}"
		BBFILES += "\${LAYERDIR}/recipes-*/*/*.bb"
		BBFILE_COLLECTIONS += "host"
		BBFILE_PATTERN_host = "^\${LAYERDIR}/"
		BBFILE_PRIORITY_host = "1"
		LAYERSERIES_COMPAT_host = "$series"
	END
}

# stand_in NAME CLASS [LINE]: an empty recipe. What stands in a task's `depends` of a restored task cannot be
# taken for provided: BitBake 2.18 stops with an IndexError.
stand_in() {
	printf 'SUMMARY = "The host has it"\nLICENSE = "CLOSED"\nINHIBIT_DEFAULT_DEPS = "1"\ninherit %s\n%s\n' "$2" "${3:-}" >"$host/recipes-host/stand-in/$1_1.0.bb"
}

# host_fakeroot: lines of a local.conf that take the host's pseudo. It ignores what tasks without it write, too.
host_fakeroot() {
	cat <<-END
		PSEUDO_SYSROOT = ""
		FAKEROOTCMD = "$(command -v pseudo)"
		FAKEROOTBASEENV = "PSEUDO_PREFIX=/usr PSEUDO_BINDIR=/usr/bin PSEUDO_LIBDIR=$(dirname "$(find /usr/lib -name libpseudo.so 2>/dev/null | head -n 1)") PSEUDO_DISABLED=1 PYTHONDONTWRITEBYTECODE=1"
		FAKEROOTENV = "PSEUDO_PREFIX=/usr PSEUDO_LOCALSTATEDIR=\${PSEUDO_LOCALSTATEDIR} PSEUDO_PASSWD=\${PSEUDO_PASSWD} PSEUDO_NOSYMLINKEXP=1 PSEUDO_DISABLED=0 PSEUDO_IGNORE_PATHS=/usr/,/etc/,/lib,/dev/,/run/,\${T},\${WORKDIR}/recipe-sysroot,\${WORKDIR}/pkgdata-,\${WORKDIR}/spdx,\${WORKDIR}/deploy-,\${SSTATE_DIR},\${STAMPS_DIR},\${TMPDIR}/pkgdata,\${TMPDIR}/sstate-control,\${TMPDIR}/sysroots-components,\${TMPDIR}/buildstats,\${TMPDIR}/cache,\${DEPLOY_DIR},\${COREBASE}"
	END
}

# host_base_passwd UNPACKDIR: base-passwd, of the host's passwd and group. As OE-core's own does it, a script puts both files
# into the sysroot of each recipe that depends on it, and calls what makes the accounts; the package makes them before
# any other is unpacked.
host_base_passwd() {
	local files=$host/recipes-host/base-passwd/files
	mkdir -p "$files"
	cp /usr/share/base-passwd/passwd.master "$files/passwd"
	cp /usr/share/base-passwd/group.master "$files/group"
	cat >"$host/recipes-host/base-passwd/base-passwd_1.0.bb" <<-END
		SUMMARY = "The host's accounts"
		LICENSE = "CLOSED"
		SRC_URI = "file://passwd file://group"
		S = "\${$1}"
		INHIBIT_DEFAULT_DEPS = "1"
		inherit allarch
		do_install() {
		    install -d \${D}\${datadir}/base-passwd
		    install -m 0644 \${$1}/passwd \${$1}/group \${D}\${datadir}/base-passwd/
		}
		SYSROOT_PREPROCESS_FUNCS += "put_accounts"
		put_accounts() {
		    install -d \${SYSROOT_DESTDIR}\${bindir}
		    script=\${SYSROOT_DESTDIR}\${bindir}/postinst-\${PN}
		    echo '#!/bin/sh -e' >\$script
		    echo 'install -d \${STAGING_DIR_TARGET}\${sysconfdir}' >>\$script
		    echo 'install -m 0644 \${STAGING_DIR_TARGET}\${datadir}/base-passwd/* \${STAGING_DIR_TARGET}\${sysconfdir}/' >>\$script
		    echo 'for script in \${STAGING_DIR_TARGET}\${bindir}/postinst-useradd-*; do [ ! -f "\$script" ] || "\$script"; done' >>\$script
		    chmod 0755 \$script
		}
	END
}

# host_useradd: Debian's useradd cannot open the files below --root under Debian's pseudo; below --prefix it can.
host_useradd() {
	local tool
	for tool in useradd groupadd; do
		# shellcheck disable=SC2016 # the wrapper expands it
		printf '#!/bin/sh\n[ "$1" != --root ] || { shift; set -- --prefix "$@"; }\nexec %s "$@"\n' "$(command -v "$tool")" >"$build/tools/$tool"
		chmod 0755 "$build/tools/$tool"
	done
}

# host_dpkg: as OE-core's dpkg does it, a script of a package is not run in the root, which is another processor's, but told where that is.
host_dpkg() {
	cat >"$build/tools/dpkg" <<-END
		#!/bin/sh
		for word in "\$@"; do case \$word in --root=*) export D="\${word#--root=}" ;; --instdir=*) export D="\${word#--instdir=}" ;; esac; done
		exec $(command -v dpkg) --force-script-chrootless --force-bad-path --log='$build/apt/dpkg.log' "\$@"
	END
	chmod 0755 "$build/tools/dpkg"
}

# host_apt: where do_rootfs finds what apt needs.
host_apt() {
	cat >"$host/recipes-host/stand-in/apt-native_1.0.bb" <<-END
		SUMMARY = "Where the host's apt finds what"
		LICENSE = "CLOSED"
		INHIBIT_DEFAULT_DEPS = "1"
		inherit native
		do_install() {
		    install -d \${D}\${sysconfdir}/apt
		    cat >\${D}\${sysconfdir}/apt/apt.conf.sample <<'EOF'
		Dir::State "$build/apt/state";
		Dir::State::Lists "#APTCONF#/lists/";
		Dir::State::status "#ROOTFS#/var/lib/dpkg/status";
		Dir::Cache "$build/apt/cache";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		Dir::Log "$build/apt";
		Dir::Bin::dpkg "$build/tools/dpkg";
		Dir::Etc "#APTCONF#";
		Dir::Etc::Preferences "preferences";
		APT {
		  Sandbox::User "root";
		  Install-Recommends "true";
		  Immediate-Configure "false";
		  Architecture "amd64";
		  Get::Assume-Yes "true";
		};
		Acquire::AllowInsecureRepositories "true";
		DPkg::Options {"--root=#ROOTFS#";"--admindir=#ROOTFS#/var/lib/dpkg";"--force-all";"--no-force-overwrite";"--no-debsig"};
		DPkg::Path "";
		EOF
		}
	END
}

# host_image: a class for all: nobody builds an SDK of the image, whose parts would have to be there.
host_image() {
	mkdir -p "$host/classes"
	cat >"$host/classes/host-image.bbclass" <<-END
		python () {
		    for task in ("do_populate_sdk", "do_populate_sdk_ext", "do_sdk_depends"):
		        bb.build.deltask(task, d)
		}
	END
}
