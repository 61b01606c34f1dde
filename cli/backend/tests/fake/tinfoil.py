"""Stands for BitBake's `bb.tinfoil` and `bb.data`: variables of a recipe are what the appends of ours set."""
import glob, os, re, sys
top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
mode = open(f"{top}/mode").read().split() if os.path.exists(f"{top}/mode") else []


class Tinfoil:
    def __init__(self, tracking):
        assert tracking, "without it there is no history"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def prepare(self, quiet):
        print("NOTE: Reconnecting to bitbake server...")

    def parse_recipe(self, name):
        if "unknown" in mode and name == "systemd":
            print("ERROR: Nothing PROVIDES 'systemd'")
            sys.exit(1)
        layers = open("conf/bblayers.conf").read().split('BBLAYERS = "')[1].split('"')[0].replace("\\", "").split()
        found = {"SECURITY_CFLAGS": "-fstack-protector-strong -D_FORTIFY_SOURCE=3", "SECURITY_LDFLAGS": "-z,relro -z,now"}
        lines = []
        for path in [path for layer in layers for path in glob.glob(f"{layer}/recipes-append/{name}/*.bbappend")]:
            for variable, value in re.findall(r'^([^ #]+):[a-z-]+ = "(.*)"$', open(path).read(), re.M):
                base, operator = re.fullmatch(r"(.*?)(?::(append|prepend|remove))?", variable).groups()
                lines.append((operator or "", base, value))
        # What is appended comes last, wherever it stands.
        for operator, base, value in sorted(lines):
            if operator != "remove":
                found[base] = found.get(base, "") + value if operator else value
        if "undone" in mode and name == "systemd":
            found["PACKAGECONFIG"] = found["PACKAGECONFIG"].replace("seccomp", "")
            found["SECURITY_CFLAGS"] = ""
        return found


def emit_var(name, o, d, all):
    if name in d:
        print(f"#\n# ${name} [2 operations]\n#   set /srv/x.bb:1\n#     \"\"\n#   :remove /srv/meta-evil/y.bbappend:2", file=o)
        print(f'{name}="{d[name]}"', file=o)
