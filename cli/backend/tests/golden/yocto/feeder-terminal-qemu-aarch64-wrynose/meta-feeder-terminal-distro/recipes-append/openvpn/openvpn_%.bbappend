# a tunnel does not compress
PACKAGECONFIG:feeder-terminal = "systemd"
