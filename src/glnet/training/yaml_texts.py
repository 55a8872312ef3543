"""YAML that says the same to whoever reads it."""

import yaml


class _Quoting(yaml.SafeDumper):
    """Quotes texts that jsonargparse, unlike YAML 1.1, takes for numbers, such as 1e-3."""


def dumped(values: object) -> str:
    """Plain values as YAML, keys in their own order."""
    text: str = yaml.dump(values, Dumper=_Quoting, sort_keys=False)
    return text


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        float(text)
    except ValueError:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'")


_Quoting.add_representer(str, _quoted)
