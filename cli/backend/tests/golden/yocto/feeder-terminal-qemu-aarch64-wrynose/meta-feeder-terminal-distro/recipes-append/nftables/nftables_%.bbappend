# nft alone: no Python, no line editor, no JSON
PACKAGECONFIG:feeder-terminal = "mini-gmp"
