# chronyd leaves root and has its own system call filter
PACKAGECONFIG:plc-gateway = "scfilter privdrop"
# the plan's account, and where the layer `time` writes the configuration
PACKAGECONFIG_CONFARGS:append:plc-gateway = " --with-user=_chrony --sysconfdir=/etc/chrony"
