"""JSON Schema with the Python packages jsonschema and regex, for the scripts beside this file."""
import copy
import importlib.util
import json


def missing():
    """The packages that are not installed."""
    return [name for name in ("jsonschema", "regex") if not importlib.util.find_spec(name)]


class Schema:
    """A schema of others, from its file."""

    def __init__(self, path):
        import jsonschema
        import regex

        def pattern(_, wanted, instance, __):
            # Schemas name classes of Unicode, which Python's own patterns do not have. `$` there does not fit before a last line feed.
            if isinstance(instance, str) and not regex.search(wanted.removesuffix("$") + r"\Z" if wanted.endswith("$") else wanted, instance):
                yield jsonschema.ValidationError(f"{instance!r} does not match {wanted!r}")

        schema = json.loads(path.read_text())
        kind = jsonschema.validators.validator_for(schema)
        # Its patterns are not those of Python: they are tried when it is used.
        kind.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=[]))
        self.id = schema.get("$id") or schema.get("id")
        self.validator = jsonschema.validators.extend(kind, {"pattern": pattern})(schema, format_checker=kind.FORMAT_CHECKER)

    def check(self, document, broken):
        """What is wrong with it, and one line that says how it went. `broken`: ways to break a copy, which has to be refused, by their names."""
        wrong = [f"{error.json_path}: {error.message[:200]}" for error in self.validator.iter_errors(document)]
        verdict = "NOT valid" if wrong else "valid"
        for name, damage in broken.items():
            copied = copy.deepcopy(document)
            damage(copied)
            if self.validator.is_valid(copied):
                wrong.append(f"the schema takes {name}")
        return wrong, f"{self.id}: {verdict}, {len(broken)} broken copies tried"
