"""Variables of recipes with their history, in the words of `bitbake -e`, all in one run of BitBake.

Arguments: BitBake's folder `lib`, then RECIPE=VARIABLE,VARIABLE… and PACKAGE@VARIABLE,VARIABLE… for the recipe that a package
comes from, unless it was asked for by name. Before each recipe's stands a line `=== RECIPE`.
"""
import sys

sys.path.insert(0, sys.argv[1])

import bb.data
import bb.tinfoil


def tell(recipe, variables, data):
    print("=== " + recipe, flush=True)
    for variable in variables.split(","):
        bb.data.emit_var(variable, o=sys.stdout, d=data, all=True)
    sys.stdout.flush()


with bb.tinfoil.Tinfoil(tracking=True) as tinfoil:
    tinfoil.prepare(quiet=2)
    told, files = set(), set()
    for asked in sys.argv[2:]:
        if "=" in asked:
            recipe, variables = asked.split("=", 1)
            tell(recipe, variables, tinfoil.parse_recipe(recipe))
            told.add(recipe)
            continue
        package, variables = asked.split("@", 1)
        # All that have it, and the one that is preferred. One that nobody has is the build's to refuse, with the reason.
        _, file = tinfoil.get_runtime_providers(package)
        if not file or file in files:
            continue
        files.add(file)
        data = tinfoil.parse_recipe_file(file)
        recipe = data.getVar("PN")
        if recipe not in told:
            tell(recipe, variables, data)
            told.add(recipe)
