"""Stands for BitBake's `bb.tinfoil` and `bb.data`: variables of a recipe are what the appends of ours set."""
import glob, os, re, subprocess, sys, time
top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
mode = open(f"{top}/mode").read().split() if os.path.exists(f"{top}/mode") else []


class Data(dict):
    def getVar(self, name):
        return self.get(name)


class Tinfoil:
    def __init__(self, tracking):
        assert tracking, "without it there is no history"
        self.parsed = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def prepare(self, quiet):
        print("NOTE: Reconnecting to bitbake server...", flush=True)
        if "half-recipes" in mode:
            server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", "bitbake-server"], start_new_session=True)
            open("bitbake.lock", "w").write(f"{server.pid}\n")
            open(f"{top}/half", "w").write(f"{server.pid}\n")
            time.sleep(300)

    def get_runtime_providers(self, package):
        """Each package is of the recipe with its name's first part; nobody provides one."""
        best = None if package == "dash" else f"/srv/{package.split('-')[0]}_1.bb"
        return [best] if best else [], best

    def parse_recipe_file(self, file):
        name = os.path.basename(file).split("_")[0]
        assert name not in self.parsed, f"{name} is parsed twice"
        self.parsed.append(name)
        found = self.parse_recipe(name)
        found["PN"] = name
        return found

    def parse_recipe(self, name):
        if "unknown" in mode and name == "systemd":
            print("ERROR: Nothing PROVIDES 'systemd'")
            sys.exit(1)
        layers = open("conf/bblayers.conf").read().split('BBLAYERS = "')[1].split('"')[0].replace("\\", "").split()
        found = Data({"SECURITY_CFLAGS": "-fstack-protector-strong -D_FORTIFY_SOURCE=3", "SECURITY_LDFLAGS": "-z,relro -z,now"})
        lines = []
        ends = (f"recipes-append/{name}/*.bbappend", f"recipes-*/*/{name}_%.bbappend")
        for path in sorted({path for layer in layers for end in ends for path in glob.glob(f"{layer}/{end}")}):
            for variable, value in re.findall(r'^([^ #(\n]+):[a-z0-9-]+ = "(.*)"$', open(path).read(), re.M):
                base, operator = re.fullmatch(r"(.*?)(?::(append|prepend|remove))?", variable).groups()
                lines.append((operator or "", base, value))
        # What is appended comes last, wherever it stands.
        for operator, base, value in sorted(lines):
            if operator != "remove":
                found[base] = found.get(base, "") + value if operator else value
        if "undone" in mode and name == "systemd":
            found["PACKAGECONFIG"] = found["PACKAGECONFIG"].replace("seccomp", "")
            found["SECURITY_CFLAGS"] = ""
        # `of=RECIPE=VARIABLE=WORD`: another layer takes a word away or, where it is not there, adds it.
        for _, recipe, variable, word in [one.split("=") for one in mode if one.startswith("of=")]:
            if recipe == name:
                words = found.get(variable, "").split()
                found[variable] = " ".join([one for one in words if one != word] if word in words else [*words, word])
        if "nopie" in mode and name == "bash":
            found["SECURITY_CFLAGS"] = "-O2"
        return found


def emit_var(name, o, d, all):
    if name in d:
        print(f"#\n# ${name} [2 operations]\n#   set /srv/x.bb:1\n#     \"\"\n#   :remove /srv/meta-evil/y.bbappend:2", file=o)
        print(f'{name}="{d[name]}"', file=o)
