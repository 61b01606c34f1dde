# chronyd leaves root and has its own system call filter; a server may have an IPv6 address alone
PACKAGECONFIG:cell-gateway = "scfilter privdrop ipv6"
# servers with Network Time Security (`nts: true`)
PACKAGECONFIG:append:cell-gateway = " nts"
# the library of Network Time Security
DEPENDS:append:cell-gateway = " gnutls"
# the plan's account, and where the layer `time` writes the configuration
PACKAGECONFIG_CONFARGS:append:cell-gateway = " --with-user=_chrony --sysconfdir=/etc/chrony"
