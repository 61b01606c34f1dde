# sshd's own records, of accounts that are not there, too
DEPENDS:append:pump-station = " audit"
# sshd's own records, of accounts that are not there, too
PACKAGECONFIG_CONFARGS:append:pump-station = " --with-audit=linux"
# /var is the data partition: /var/run/sshd is not there
EXTRA_OECONF:append:pump-station = " --with-privsep-path=/run/sshd"
# the layer `ssh` takes keys of security keys, and sshd ends at a type of key that it does not know
PACKAGECONFIG_CONFARGS:append:pump-station = " --enable-security-key"
