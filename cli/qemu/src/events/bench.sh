# First process of the device under test: adds one unit below /run, then goes on as the device's own. The
# unit takes commands from the port of the self-check once that has ended. Nothing of the image is changed.
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
mkdir -p /run/systemd/system/multi-user.target.wants /run/systemd/system.conf.d
# An emulated device on a busy host finds its disk late.
printf '[Manager]\nDefaultDeviceTimeoutSec=15min\nDefaultTimeoutStartSec=15min\n' >/run/systemd/system.conf.d/bench.conf
cat >/run/systemd/system/bench.service <<'@end'
[Unit]
After=fastness-selfcheck.service
[Service]
ExecStart=/bin/sh /run/bench
@end
ln -s ../bench.service /run/systemd/system/multi-user.target.wants/bench.service
printf '[Service]\nExecStart=/bin/sleep 1000\n' >/run/systemd/system/bench-once.service
printf '[Unit]\nStartLimitBurst=3\nStartLimitIntervalSec=60\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=100ms\n' >/run/systemd/system/bench-crash.service
# More than the recording takes in ten seconds, and less than what the journal itself takes of one service.
printf '[Service]\nExecStart=/bin/sh -c "i=0; while [ $$i -lt 1500 ]; do echo loud $$i; i=$$((i + 1)); done"\n' >/run/systemd/system/bench-loud.service
cat >/run/systemd/system/bench-as@.service <<'@end'
[Service]
Type=oneshot
User=%i
ExecStart=/bin/sh -c "echo %i >/proc/self/loginuid; exec /bin/sh /run/bench-command"
@end
cat >/run/bench <<'@end'
for folder in /sys/class/virtio-ports/*; do
	[ "$(cat "$folder/name")" != org.fastness.selfcheck ] || port=/dev/${folder##*/}
done
# The port opens once at a time.
exec 0<>"$port" 1>&0 2>&0
# As somebody who logged in: uid of the login, command.
person() { sh -c 'echo "$0" >/proc/self/loginuid; eval "$1"' "$1" "$2"; }
# The same without root's rights: the service manager gives them up, since an image need not have a program for it.
unprivileged() { echo "$2" >/run/bench-command; systemctl start "bench-as@$1"; }
# Microseconds of processor time and bytes of memory of services, all processes of each.
cost() {
	for unit in "$@"; do
		cd "/sys/fs/cgroup/system.slice/$unit" 2>/dev/null || continue
		read -r _ used <cpu.stat
		read -r held <memory.current
		read -r rest </proc/uptime
		anon=0
		while read -r key value; do [ "$key" != anon ] || anon=$value; done <memory.stat
		echo "cost $unit $used $held $anon ${rest%% *}"
	done
}
# What services have used and what they may use, a line each: values of their control groups by name.
used() {
	read -r up _ </proc/uptime
	for unit in "$@"; do
		cd "/sys/fs/cgroup/system.slice/$unit" 2>/dev/null || continue
		line="used $unit up=$up"
		for file in memory.current memory.peak memory.max pids.current pids.peak pids.max cpu.max; do
			value=
			[ ! -r $file ] || read -r value more <$file
			[ -z "$value" ] || line="$line $file=$value${more:+/$more}"
		done
		while read -r key value; do line="$line cpu.$key=$value"; done <cpu.stat
		while read -r key value; do line="$line events.$key=$value"; done <memory.events
		echo "$line"
	done
}
# How the device is: its start, its memory, what an interface took, units that failed, and its services.
condition() {
	read -r up _ </proc/uptime
	read -r boot </proc/sys/kernel/random/boot_id
	line="condition up=$up boot=$boot"
	while read -r key value _; do
		case $key in MemTotal: | MemAvailable:) line="$line ${key%:}=$value" ;; esac
	done </proc/meminfo
	while read -r key value; do
		[ "$key" != oom_kill ] || line="$line oom_kill=$value"
	done </sys/fs/cgroup/system.slice/memory.events
	read -r value <"/sys/class/net/$1/statistics/rx_packets"
	echo "$line rx=$value"
	systemctl show --no-pager -p Id -p ActiveState -p MainPID -p NRestarts '*.service'
}
echo @@ready
while read -r line; do eval "$line"; done
@end
exec /usr/lib/systemd/systemd
