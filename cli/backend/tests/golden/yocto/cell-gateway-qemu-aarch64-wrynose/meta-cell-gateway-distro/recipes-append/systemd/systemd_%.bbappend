# starts and stops of services are records
PACKAGECONFIG:append:cell-gateway = " audit"
# service manager, udev, journal and static addresses; no resolver, no logins, no host name service
PACKAGECONFIG:cell-gateway = "acl kmod link-udev-shared networkd pam seccomp set-time-epoch"
