# a tunnel does not compress
PACKAGECONFIG:plc-gateway = "systemd"
