"""How help reads: what the parser knows of an option, in words for those who type it."""

import re
from argparse import SUPPRESS, Action

from jsonargparse import ArgumentParser, DefaultHelpFormatter

FILE_OF_A_GROUP = "Path to a configuration file."
"""Help of the options that jsonargparse adds for whole groups of keys; nobody needs them."""

REWORDINGS = (
    (
        r"type: (?:Union\[)?Literal\[([^\]]*)\](?:,| \|) tuple\[float, \.\.\.\]\]?",
        r"one of \1, or a list of numbers",
    ),
    # Other choices stand beside the option's name, or in the words of its help.
    (r"type: (?:Literal|Optional|Union|list|dict|tuple)\[.*\](?=, (?:default|required)|\)|$)", ""),
    (r"type: int\b", "a whole number"),
    (r"type: float\b", "a number"),
    (r"type: \w+( \| null)?", ""),
    (r"required,(?=.*default:)", ""),  # Of a section that has a default as a whole.
    (r"default: null", ""),
    (r"default: True", "default: true"),
    (r"default: False", "default: false"),
    (r"(\(|, )(?:, )+", r"\1"),
    (r"(?:, )+\)", ")"),
    (r"\s*\(\s*\)", ""),
    (r"\(\s+", "("),
    (r"``", ""),
)


class HelpFormatter(DefaultHelpFormatter):
    """Says a value's kind and default where they tell something."""

    def _expand_help(self, action: Action) -> str:
        text: str = super()._expand_help(action)
        if action.nargs == 0:  # A flag: there or not.
            text = text.replace("default: False", "")
        for pattern, replacement in REWORDINGS:
            text = re.sub(pattern, replacement, text)
        return text


def make_readable(parser: ArgumentParser, command: str) -> ArgumentParser:
    """Let a command's parser speak as the others do."""
    parser.prog = f"glnet {command}"
    parser.formatter_class = HelpFormatter
    for action in parser._actions:
        if action.help == FILE_OF_A_GROUP:
            action.help = SUPPRESS
    return parser
