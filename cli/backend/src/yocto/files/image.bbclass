# An image of the product's plan: packages first, then what is removed, put in place and locked.
# An image recipe of your own may inherit it.

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "systemd pam"
CONFLICT_DISTRO_FEATURES = "sysvinit"

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_FSTYPES = "squashfs-zst"
# nooelint: oelint.vars.specific
EXTRA_IMAGECMD:squashfs-zst = "-Xcompression-level @LEVEL@ -b 131072"
IMAGE_LINGUAS = ""
NO_RECOMMENDATIONS = "1"

# After systemd's presets, which are the last of the packages' own doing. What is changed here has the time of its change:
# OE-Core's own last step, which gives every file the same time, has run before and is run once more.
IMAGE_PREPROCESS_COMMAND:append = " @PREFIX@_finish; reproducible_final_image_task;"

# What is in the image, with versions and licences, beside it. In do_rootfs, which writes the list: IMAGE_NAME has the
# time of this run of BitBake, and another run that goes on behind do_rootfs would look for another name. Behind
# license_create_manifest of the same variable, which runs once packages that nothing needs are gone.
ROOTFS_POSTUNINSTALL_COMMAND:append = " @PREFIX@_licences;"

@PREFIX@_licences() {
    install -m 0644 ${LICENSE_DIRECTORY}/${SSTATE_PKGARCH}/${IMAGE_NAME}/license.manifest ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.licences
}

# Patterns of a shell, one a line.
@PREFIX@_unwanted() {
    cat <<'END'
@REMOVALS@END
}

# What the plan itself puts there: removals spare it.
@PREFIX@_keep() {
    cat <<'END'
@KEEP@END
}

@PREFIX@_enabled() {
    cat <<'END'
@ENABLED@END
}

# Removes what a pattern matches, but nothing that the plan itself puts there.
@PREFIX@_take_out() {
    for match in $1; do
        [ -e "$match" ] || [ -h "$match" ] || continue
        case $(realpath -- "$(dirname -- "$match")")/ in
        "$(realpath -- "${IMAGE_ROOTFS}")"/*) ;;
        *) bbfatal "the removal of /$match leads out of the image" ;;
        esac
        find "$match" ! -type d | sed 's,^,/,' | grep -v -x -F -f "${T}/@PREFIX@-keep" | while IFS= read -r path; do
            rm -f -- ".$path"
        done
        [ -d "$match" ] && [ ! -h "$match" ] || continue
        find "$match" -depth -type d | sed 's,^,/,' | grep -v -x -F -f "${T}/@PREFIX@-keep" | while IFS= read -r path; do
            rmdir --ignore-fail-on-non-empty -- ".$path"
        done
    done
}

@PREFIX@_finish() {
    cd ${IMAGE_ROOTFS}
    @PREFIX@_keep >${T}/@PREFIX@-keep
    @PREFIX@_enabled >${T}/@PREFIX@-enabled

    @PREFIX@_unwanted >${T}/@PREFIX@-unwanted
    while IFS= read -r pattern; do
        @PREFIX@_take_out "$(echo "$pattern" | cut -c 2-)"
    done <${T}/@PREFIX@-unwanted

    # Files that a package of others owns, too, one by one: a folder that is there keeps its mode. A link in the place of
    # a file goes: written through, it would change what it points to.
    if [ -d .@ASIDE@ ]; then
        (cd .@ASIDE@ && find . -mindepth 1 | sort) >${T}/@PREFIX@-aside
        while IFS= read -r path; do
            from=.@ASIDE@/$path
            if [ -h "$from" ] || [ ! -d "$from" ]; then
                cp -a -T --remove-destination -- "$from" "$path"
            elif [ -h "$path" ]; then
                bbfatal "${path#.} is a link, expected a folder: the files below it would lead out of the image"
            elif [ ! -d "$path" ]; then
                install -d -- "$path"
                chown --reference="$from" -- "$path"
                chmod --reference="$from" -- "$path"
            fi
        done <${T}/@PREFIX@-aside
        rm -rf .@ASIDE@
        rmdir --ignore-fail-on-non-empty -- "$(dirname .@ASIDE@)"
    fi
@FOLDERS@@MODES@
    # Nothing starts but what the plan enables.
    for link in etc/systemd/system/*.wants/* etc/systemd/system/*.requires/*; do
        [ -h "$link" ] || continue
        grep -q -x -F -e "$(basename "$link")" ${T}/@PREFIX@-enabled || rm -f -- "$link"
        rmdir --ignore-fail-on-non-empty -- "$(dirname "$link")"
    done

    # Packages bring accounts, too: only persons have a shell, and nobody has a password.
    awk -F : -v OFS=: -v persons=" @PERSONS@ " '
        index(persons, " " $1 " ") == 0 { $7 = "/usr/sbin/nologin" }
        { print }
    ' etc/passwd >${T}/passwd
    awk -F : -v OFS=: -v persons=" @PERSONS@ " '
        { $2 = index(persons, " " $1 " ") == 0 ? "!*" : "*"; print }
    ' etc/shadow >${T}/shadow
    cat ${T}/passwd >etc/passwd
    cat ${T}/shadow >etc/shadow
}
