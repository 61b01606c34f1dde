# /var is the data partition: /var/run/sshd is not there
EXTRA_OECONF:append:feeder-terminal = " --with-privsep-path=/run/sshd"
