# chronyd leaves root and has its own system call filter
PACKAGECONFIG:pump-station = "scfilter privdrop"
# the plan's account, and where the layer `time` writes the configuration
PACKAGECONFIG_CONFARGS:append:pump-station = " --with-user=_chrony --sysconfdir=/etc/chrony"
