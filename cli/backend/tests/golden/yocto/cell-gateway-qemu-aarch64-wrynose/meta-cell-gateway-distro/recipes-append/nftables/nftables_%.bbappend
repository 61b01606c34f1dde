# nft alone: no Python, no line editor, no JSON
PACKAGECONFIG:cell-gateway = "mini-gmp"
