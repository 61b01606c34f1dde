# /var is the data partition: /var/run/sshd is not there
EXTRA_OECONF:append:pump-station = " --with-privsep-path=/run/sshd"
