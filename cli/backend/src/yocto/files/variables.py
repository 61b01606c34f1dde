"""Variables of recipes with their history, in the words of `bitbake -e`, all in one run of BitBake.

Arguments: BitBake's folder `lib`, then RECIPE=VARIABLE,VARIABLE… Before each recipe's stands a line `=== RECIPE`.
"""
import sys

sys.path.insert(0, sys.argv[1])

import bb.data
import bb.tinfoil

with bb.tinfoil.Tinfoil(tracking=True) as tinfoil:
    tinfoil.prepare(quiet=2)
    for asked in sys.argv[2:]:
        recipe, variables = asked.split("=", 1)
        data = tinfoil.parse_recipe(recipe)
        print("=== " + recipe, flush=True)
        for variable in variables.split(","):
            bb.data.emit_var(variable, o=sys.stdout, d=data, all=True)
        sys.stdout.flush()
