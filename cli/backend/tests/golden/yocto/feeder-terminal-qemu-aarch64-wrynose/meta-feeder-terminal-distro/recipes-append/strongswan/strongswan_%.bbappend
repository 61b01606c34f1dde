# IKEv2 with OpenSSL's cryptography, loaded by swanctl; no IKEv1 tools
PACKAGECONFIG:feeder-terminal = "openssl swanctl systemd-charon curve25519"
# the plugin that signs by the TPM
PACKAGECONFIG:append:feeder-terminal = " tpm2"
# the library that the plugin is built with
DEPENDS:append:feeder-terminal = " tpm2-tss"
