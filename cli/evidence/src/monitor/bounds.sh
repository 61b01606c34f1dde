#!/bin/sh
# Made by `fastness monitor` (layers/LAYER) for one image; make it again when the image changes.
# What the monitoring takes of time and memory, by its own control groups; a bound that does not hold fails.
# Memory is what cannot be given back at once: memory.current without inactive_file (cgroup-v2.rst).
set -u
seconds=5
windows=12
units=
for unit in auditd.service systemd-journald.service fastness-events.service fastness-forward.service rsyslog.service; do
	if [ -r "/sys/fs/cgroup/system.slice/$unit/cpu.stat" ]; then
		units="$units $unit"
	fi
done
if [ -z "$units" ]; then
	printf 'there is no control group to measure'
	exit 1
fi
used() {
	all=0
	for unit in $units; do
		one=$(sed -n 's/^usage_usec //p' "/sys/fs/cgroup/system.slice/$unit/cpu.stat")
		all=$((all + one))
	done
	printf '%s' "$all"
}
# At rest: what the start itself records is still being worked through, so it is waited until the bound holds twice in a row.
window=0
held=0
while [ "$held" -lt 2 ] && [ "$window" -lt "$windows" ]; do
	before=$(used)
	sleep "$seconds"
	after=$(used)
	share=$(((after - before) / (seconds * 1000)))
	window=$((window + 1))
	if [ "$share" -le THOUSANDTHS ]; then held=$((held + 1)); else held=0; fi
done
memory=0
for unit in $units; do
	group=/sys/fs/cgroup/system.slice/$unit
	if [ ! -r "$group/memory.current" ]; then
		printf 'the memory of %s is not counted' "$unit"
		exit 1
	fi
	now=$(cat "$group/memory.current")
	cold=$(sed -n 's/^inactive_file //p' "$group/memory.stat")
	kib=$(((now - cold) / 1024))
	memory=$((memory + kib))
	printf '%s %s KiB, at most %s; ' "$unit" "$kib" "$(cat "$group/memory.max")"
done
logs=$(du -sk /var/log | cut -f1)
printf 'together %s KiB of ALL_MIB MiB; %s of THOUSANDTHS thousandths of a core in %s s (the %s. of at most %s times); %s KiB of logs' "$memory" "$share" "$seconds" "$window" "$windows" "$logs"
[ "$held" -eq 2 ] && [ "$memory" -le $((ALL_MIB * 1024)) ]
