# starts and stops of services are records
PACKAGECONFIG:append:feeder-terminal = " audit"
# service manager, udev, journal and static addresses; no resolver, no logins, no host name service
PACKAGECONFIG:feeder-terminal = "acl kmod link-udev-shared networkd pam seccomp set-time-epoch"
