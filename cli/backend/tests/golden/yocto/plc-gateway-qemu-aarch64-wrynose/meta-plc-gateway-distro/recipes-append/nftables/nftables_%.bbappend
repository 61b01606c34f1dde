# nft alone: no Python, no line editor, no JSON
PACKAGECONFIG:plc-gateway = "mini-gmp"
