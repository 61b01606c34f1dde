"""Whether an image has what its units start, asked of BitBake: ci/peers/yocto calls it in a build folder.

Arguments: BitBake's folder `lib`, the facts (yocto-brings.txt), the series, the distro layer, the image's recipe. What the preset
enables and what units and scripts start, and is no file of the layer's own, has to be in a package that the image reaches
by IMAGE_INSTALL and RDEPENDS alone: it takes no recommendations. Which package of a recipe has a path is said by the
recipe's PACKAGES and FILES, as do_package goes through them: the first whose pattern fits has it. Source: OE-Core
lib/oe/package.py, populate_packages and do_split_packages.
"""

import os
import re
import sys

library, facts_file, series, layer, image = sys.argv[1:]
sys.path.insert(0, library)

import bb.tinfoil  # noqa: E402
import bb.utils  # noqa: E402

UNITS = "/usr/lib/systemd/system/"


def merged(path):
    return "/usr" + path if re.match("/s?bin/|/lib/", path) else path


def facts():
    """Path: recipe and package, of this series."""
    found = {}
    for line in open(facts_file):
        if not line.startswith("#"):
            path, recipe, package, of = line.split()
            if of in ("*", series):
                found[path] = (recipe, package)
    return found


def asked():
    """Units that the preset enables and programs that are started, but for the layer's own files."""
    files, texts = set(), []
    for folder, _, names in os.walk(layer):
        if "/rootfs" not in folder:
            continue
        for name in names:
            path = os.path.join(folder, name)
            files.add(merged(re.sub(".*/rootfs/", "/", path)))
            texts.append((name, open(path, encoding="utf-8", errors="replace").read()))
    units, programs = set(), set()
    for name, text in texts:
        if name.endswith(".preset"):
            units.update(re.findall(r"(?m)^enable (\S+)$", text))
        programs.update(merged(path) for path in re.findall(r"(?m)^Exec\w*=[-+!:@|]*(/\S+)", text))
        programs.update(merged(path) for path in re.findall(r"\A#! *(/\S+)", text))
    return {UNITS + unit for unit in units if "/etc/systemd/system/" + unit not in files} | (programs - files)


def fits(pattern, path):
    """As glob(3) and a walk through folders have it: a folder that fits brings what is below it."""
    regex = "".join({"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in os.path.normpath(pattern))
    return re.fullmatch(regex + "(/.*)?", path) is not None


def owner(data, path):
    """The package of a recipe that has the path; none if no package has it."""
    recipe, name = data.getVar("PN"), os.path.basename(path)
    # One package for each program, which do_split_packages puts before the others.
    apart = recipe + "-" + name
    if "/bin/" in path or "/sbin/" in path:
        if any(re.match(dynamic, apart) for dynamic in (data.getVar("PACKAGES_DYNAMIC") or "").split()):
            return apart
    packages = data.getVar("PACKAGES").split()
    # A link of update-alternatives.bbclass, which a script of its package makes: the file has another name.
    for package in packages:
        for alternative in (data.getVar("ALTERNATIVE:" + package) or "").split():
            link = data.getVarFlag("ALTERNATIVE_LINK_NAME", alternative) or data.getVar("bindir") + "/" + alternative
            if merged(link) == path:
                return package
    for package in packages:
        patterns = (data.getVar("FILES:" + package) or "").split()
        services = (data.getVar("SYSTEMD_SERVICE:" + package) or "").split()
        if any(fits(merged(pattern), path) for pattern in patterns) or path in [UNITS + unit for unit in services]:
            return package
    return None


def reached(recipes, install):
    """What comes with these packages, by RDEPENDS of the recipes that are looked at."""
    needs, names = {}, {}
    for data in recipes.values():
        for package in data.getVar("PACKAGES").split():
            needs[package] = bb.utils.explode_deps(data.getVar("RDEPENDS:" + package) or "")
            for name in bb.utils.explode_deps(data.getVar("RPROVIDES:" + package) or ""):
                names.setdefault(name, package)
    found, waiting = set(), list(install)
    while waiting:
        package = waiting.pop()
        package = package if package in needs else names.get(package, package)
        if package not in found:
            found.add(package)
            waiting += needs.get(package, [])
    return found


def wrong(tinfoil):
    known, wanted = facts(), asked()
    if not wanted:
        yield f"found no unit and no program in {layer}"
    recipes = {}
    for recipe in sorted({recipe for recipe, _ in known.values()}):
        try:
            recipes[recipe] = tinfoil.parse_recipe(recipe)
        except bb.providers.NoProvider:
            pass  # Of a layer that this product has not.
    of_image = tinfoil.parse_recipe(image)
    install = reached(recipes, of_image.getVar("PACKAGE_INSTALL").split())
    if of_image.getVar("NO_RECOMMENDATIONS") != "1":
        yield "the image takes recommendations"
    for path, (recipe, package) in sorted(known.items()):
        if recipe in recipes and owner(recipes[recipe], path) != package:
            yield f"{path}: {facts_file} says that `{package}` has it, the recipe `{recipe}` puts it in `{owner(recipes[recipe], path)}`"
    for path in sorted(wanted):
        recipe, _ = known.get(path, (None, None))
        if recipe not in recipes:
            yield f"{path}: expected a recipe that {facts_file} names for {series} and the layers have, found {recipe}"
        elif owner(recipes[recipe], path) not in install:
            yield f"{path}: it is of the package `{owner(recipes[recipe], path)}`, which the image does not reach without recommendations"
    if len(recipes) > 0:
        print(f"packages: {len(wanted)} units and programs that the image starts, of {len(recipes)} recipes, {len(known)} facts looked at")


with bb.tinfoil.Tinfoil() as tinfoil:
    tinfoil.prepare(quiet=2)
    found = list(wrong(tinfoil))
for line in found:
    print("error: " + line, file=sys.stderr)
sys.exit(1 if found else 0)
