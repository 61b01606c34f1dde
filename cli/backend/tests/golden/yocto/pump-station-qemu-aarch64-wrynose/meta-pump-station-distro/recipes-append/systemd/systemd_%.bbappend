# starts and stops of services are records
PACKAGECONFIG:append:pump-station = " audit"
# service manager, udev, journal and static addresses; no resolver, no logins, no host name service
PACKAGECONFIG:pump-station = "acl kmod link-udev-shared networkd pam seccomp set-time-epoch"
