# chronyd leaves root and has its own system call filter; a server may have an IPv6 address alone
PACKAGECONFIG:feeder-terminal = "scfilter privdrop ipv6"
# servers with Network Time Security (`nts: true`)
PACKAGECONFIG:append:feeder-terminal = " nts"
# the library of Network Time Security
DEPENDS:append:feeder-terminal = " gnutls"
# the plan's account, and where the layer `time` writes the configuration
PACKAGECONFIG_CONFARGS:append:feeder-terminal = " --with-user=_chrony --sysconfdir=/etc/chrony"
