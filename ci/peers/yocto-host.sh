# Sourced by ci/peers/yocto-packages and yocto-signing: a layer in which the host stands in for recipes of OE-core
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
