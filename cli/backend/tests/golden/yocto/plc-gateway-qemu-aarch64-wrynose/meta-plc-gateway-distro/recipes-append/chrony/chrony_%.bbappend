# chronyd leaves root and has its own system call filter; a server may have an IPv6 address alone
PACKAGECONFIG:plc-gateway = "scfilter privdrop ipv6"
# servers with Network Time Security (`nts: true`)
PACKAGECONFIG:append:plc-gateway = " nts"
# the library of Network Time Security
DEPENDS:append:plc-gateway = " gnutls"
# the plan's account, and where the layer `time` writes the configuration
PACKAGECONFIG_CONFARGS:append:plc-gateway = " --with-user=_chrony --sysconfdir=/etc/chrony"
