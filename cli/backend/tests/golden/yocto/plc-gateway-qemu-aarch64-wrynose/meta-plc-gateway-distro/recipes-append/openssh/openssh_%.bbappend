# /var is the data partition: /var/run/sshd is not there
EXTRA_OECONF:append:plc-gateway = " --with-privsep-path=/run/sshd"
