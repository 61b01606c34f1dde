"""What our layers add to a parse: FILES, two figures without them, two with them, in hundredths of a second of processor time.

Ends with 1 where they add more than 2 %, and where one side differs from itself by more than 5 %: then the figures say nothing.
"""

import sys

files, *figures = sys.argv[1:]
without, with_ours = [float(one) / 100 for one in figures[:2]], [float(one) / 100 for one in figures[2:]]
added = sum(with_ours) / sum(without) - 1
noise = max(abs(side[0] - side[1]) / min(side) for side in (without, with_ours))
print(
    f"parse cost: {sum(with_ours) / 2:.1f} s of processor time with our layers, {sum(without) / 2:.1f} s without"
    f" (two cold parses each; the last: {files} files): {added:+.1%}"
)
if noise > 0.05:
    sys.exit(f"error: parse cost: one side differs from itself by {noise:.1%}, which says nothing of 2 %: measure on a quieter machine")
if added > 0.02:
    sys.exit(f"error: parse cost: our layers add {added:.1%}, expected at most 2 %")
