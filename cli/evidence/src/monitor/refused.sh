#!/bin/sh
# Made by `fastness monitor` (layers/LAYER) for one image; make it again when the image changes.
# A copy of a program on the data partition is refused, by itself and by the loader, and recorded; whatever
# runs is on the list. It leaves nothing behind.
set -u
export LC_ALL=C
log=/var/log/audit/audit.log
# A name of its own: the log has those of earlier starts, too.
if ! probe=$(mktemp -p /var/lib/fastness monitor-probe.XXXXXXXX); then
	printf 'no file could be made in /var/lib/fastness'
	exit 1
fi
trap 'rm -f "$probe"' EXIT
if ! cp /usr/bin/true "$probe" || ! chmod 0755 "$probe"; then
	printf 'no copy could be made'
	exit 1
fi
if "$probe" 2>/dev/null; then
	printf 'a program on the data partition ran'
	exit 1
fi
for loader in /lib/ld-linux* /lib/ld-musl-* /lib64/ld-linux*; do
	[ -x "$loader" ] || continue
	if "$loader" "$probe" 2>/dev/null; then
		printf '%s ran a program of the data partition' "$loader"
		exit 1
	fi
done
# The record: a system call that failed, of one of the events that name the copy. Where the kernel appraises programs
# (layer exec-policy), its own record of the loader is an event without such a call.
record=
tries=0
while [ -z "$record" ] && [ "$tries" -lt 20 ]; do
	for event in $(grep -F "name=\"$probe\"" "$log" | sed -n 's/.*\(audit([0-9.]*:[0-9]*)\).*/\1/p' | uniq); do
		record=$(grep -F "$event" "$log" | grep -F 'type=SYSCALL' | grep -E 'success=no.*key="(monitor-refused|data-exec)"' | tail -n 1)
		[ -z "$record" ] || break
	done
	[ -n "$record" ] || sleep 1
	tries=$((tries + 1))
done
if [ -z "$record" ]; then
	printf 'refused, and no record of it'
	exit 1
fi
printf 'refused and recorded: %s; ' "$(printf '%s' "$record" | tr '\035' ' ' | grep -oE '(success|exit|comm|exe|key)=[^ ]*' | tr '\n' ' ')"
known=" $(cut -d' ' -f3 /usr/lib/fastness/executables | tr '\n' ' ') "
running=0
other=
for link in /proc/[0-9]*/exe; do
	# Threads of the kernel have none.
	program=$(readlink "$link" 2>/dev/null) || continue
	[ -n "$program" ] || continue
	running=$((running + 1))
	case $known in
	*" $program "*) ;;
	*) other="$other $program" ;;
	esac
done
printf '%s processes, not on the list:%s' "$running" "${other:- none}"
[ "$running" -gt 0 ] && [ -z "$other" ]
