# sshd's own records, of accounts that are not there, too
DEPENDS:append:cell-gateway = " audit"
# sshd's own records, of accounts that are not there, too
PACKAGECONFIG_CONFARGS:append:cell-gateway = " --with-audit=linux"
# /var is the data partition: /var/run/sshd is not there
EXTRA_OECONF:append:cell-gateway = " --with-privsep-path=/run/sshd"
# the layer `ssh` takes keys of security keys, and sshd ends at a type of key that it does not know
PACKAGECONFIG_CONFARGS:append:cell-gateway = " --enable-security-key"
