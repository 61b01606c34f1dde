# chronyd leaves root and has its own system call filter
PACKAGECONFIG:feeder-terminal = "scfilter privdrop"
# the plan's account, and where the layer `time` writes the configuration
PACKAGECONFIG_CONFARGS:append:feeder-terminal = " --with-user=_chrony --sysconfdir=/etc/chrony"
