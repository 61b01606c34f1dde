# chronyd leaves root and has its own system call filter; a server may have an IPv6 address alone
PACKAGECONFIG:pump-station = "scfilter privdrop ipv6"
# servers with Network Time Security (`nts: true`)
PACKAGECONFIG:append:pump-station = " nts"
# the library of Network Time Security
DEPENDS:append:pump-station = " gnutls"
# the plan's account, and where the layer `time` writes the configuration
PACKAGECONFIG_CONFARGS:append:pump-station = " --with-user=_chrony --sysconfdir=/etc/chrony"
