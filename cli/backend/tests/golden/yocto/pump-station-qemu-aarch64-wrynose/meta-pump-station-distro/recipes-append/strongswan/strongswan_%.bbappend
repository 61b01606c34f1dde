# IKEv2 with OpenSSL's cryptography, loaded by swanctl; no IKEv1 tools
PACKAGECONFIG:pump-station = "openssl swanctl systemd-charon curve25519"
