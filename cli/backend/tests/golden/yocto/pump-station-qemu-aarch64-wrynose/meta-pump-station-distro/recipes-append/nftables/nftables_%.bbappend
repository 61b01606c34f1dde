# nft alone: no Python, no line editor, no JSON
PACKAGECONFIG:pump-station = "mini-gmp"
