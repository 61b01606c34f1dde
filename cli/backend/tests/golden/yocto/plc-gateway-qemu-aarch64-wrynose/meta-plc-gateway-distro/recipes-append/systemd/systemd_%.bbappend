# starts and stops of services are records
PACKAGECONFIG:append:plc-gateway = " audit"
# service manager, udev, journal and static addresses; no resolver, no logins, no host name service
PACKAGECONFIG:plc-gateway = "acl kmod link-udev-shared networkd pam seccomp set-time-epoch"
