#!/bin/sh
# Buildroot's post-fakeroot hook, on the copy of target/ that becomes the image: takes out what
# the plan removes, and locks every account that is not a person's.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd -- "$1"
root=$(pwd -P)

# Removes what a pattern matches, but nothing that the plan itself puts there.
remove() {
	for match in $1; do
		[ -e "$match" ] || [ -h "$match" ] || continue
		case $(realpath -- "$(dirname -- "$match")")/ in
		"$root"/*) ;;
		*)
			echo "error: the removal of /$match leads out of the image" >&2
			exit 1
			;;
		esac
		find "$match" ! -type d | sed 's,^,/,' | grep -v -x -F -f "$here/overlay.txt" | while IFS= read -r path; do
			rm -f -- ".$path"
		done
		find "$match" -depth -type d | sed 's,^,/,' | grep -v -x -F -f "$here/overlay.txt" | while IFS= read -r path; do
			rmdir --ignore-fail-on-non-empty -- ".$path"
		done
	done
}

# Split at `*` and nowhere else: paths of an image may hold spaces.
IFS='
'
while IFS= read -r pattern; do
	remove "${pattern#/}"
done <"$here/removals.txt"

# A preset enables what the unit itself names with `Also=`, too: nothing starts but what the plan enables.
preset=$here/overlay/usr/lib/systemd/system-preset/00-fastness.preset
for link in etc/systemd/system/*.wants/* etc/systemd/system/*.requires/*; do
	[ -h "$link" ] || continue
	grep -q -x -F -e "enable ${link##*/}" "$preset" || rm -f -- "$link"
	rmdir --ignore-fail-on-non-empty -- "${link%/*}"
done

# mkusers makes the home of every account, also the one that says there is none (Debian Policy Manual, 9.2.3).
[ ! -d nonexistent ] || rmdir -- nonexistent

# Packages bring accounts, too: only persons have a shell, and nobody has a password.
persons=" $(tr '\n' ' ' <"$here/persons.txt")"
# A package's line for an account of the plan comes after the plan's: home and comment are set back.
awk -v OFS=: -v persons="$persons" '
	NR == FNR {
		if ($1 ~ /^[#-]/)
			next
		home[$1] = $6
		comment[$1] = $9
		for (i = 10; i <= NF; i++)
			comment[$1] = comment[$1] " " $i
		next
	}
	$1 in home { $5 = comment[$1]; $6 = home[$1] }
	index(persons, " " $1 " ") == 0 { $7 = "/usr/sbin/nologin" }
	{ print }
' FS=' ' "$here/users.txt" FS=: etc/passwd >etc/passwd.new
awk -F : -v OFS=: -v persons="$persons" '
	{ $2 = index(persons, " " $1 " ") == 0 ? "!*" : "*"; print }
' etc/shadow >etc/shadow.new
for file in passwd shadow; do
	cat "etc/$file.new" >"etc/$file"
	rm -f "etc/$file.new"
done
