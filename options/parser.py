"""Conversion of tables of flags to an argument parser, and of command-line arguments to values."""

import argparse
import math
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from util.errors import UserError, did_you_mean
from util.flags import Flag

FlagGroups = Mapping[str, Mapping[str, Flag]]  # title of the group in --help → flags by name

HELP_WIDTH = 100  # columns
HELP_INDENT = 28  # columns before the description of a flag
OFF = "off"  # --switch=off: for switches that a preset or the resumed run has on
METAVARS = {"dataroot": "DIR", "init_from": "DIR", "output": "FILE", "display_server": "URL"}


def parse_explicit(
    groups: FlagGroups,
    args: Sequence[str] | None,
    *,
    usage: str = "[options]",
    description: str = "",
    examples: str = "",
    hidden: Collection[str] = (),
) -> dict[str, object]:
    """Return the values of the flags in ``args``, by default ``sys.argv[1:]``, and no defaults.

    ``--help`` prints the flags that are not ``hidden`` and exits. Raises `UserError` for unknown
    flags and invalid values.
    """
    parser = _Parser(
        usage=f"%(prog)s {usage}",
        description=description,
        epilog=examples,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=_HelpFormatter,
    )
    for title, flags in groups.items():
        group = parser.add_argument_group(title)
        for name, flag in flags.items():
            _add_flag(group, name, flag, hidden=name in hidden)

    words, switched_off = _split_switched_off(groups, sys.argv[1:] if args is None else args)
    known, unknown = parser.parse_known_args(words)
    explicit = {**vars(known), **dict.fromkeys(switched_off, False)}
    if unknown:
        names = [f"--{name}" for flags in groups.values() for name in flags]
        raise UserError(_explain_unknown(unknown, names, "dataroot" in explicit))
    return explicit


def _split_switched_off(groups: FlagGroups, args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words without ``--switch=off``, and the names of these switches."""
    switches = {
        f"--{name}={OFF}": name
        for flags in groups.values()
        for name, flag in flags.items()
        if flag.kind is None
    }
    words = [word for word in args if word not in switches]
    return words, [switches[word] for word in args if word in switches]


def is_valid(flag: Flag, value: object) -> bool:
    """Return whether ``value``, read from a file, is one that the command line accepts."""
    if flag.kind is None:
        return isinstance(value, bool)
    try:
        return _converter(flag.kind, flag.choices)(format_value(value)) == value
    except (argparse.ArgumentTypeError, UserError):
        return False


def format_value(value: object) -> str:
    """Format a value as on the command line."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-1"  # the CPU, for --gpu_ids
    return str(value)


def command_line_words(explicit: Mapping[str, object]) -> list[str]:
    """Return the words of a command line that sets the flags ``explicit``."""
    words = []
    for name, value in explicit.items():
        text = format_value(value)
        if value is True:
            words.append(f"--{name}")
        elif value is False:
            words.append(f"--{name}={OFF}")
        elif text.startswith("-"):
            words.append(f"--{name}={text}")
        else:
            words += [f"--{name}", text]
    return words


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """Raise argparse's message as `UserError` that begins with the flag."""
        match = re.match(r"argument (\S+): (.*)", message, re.DOTALL)
        if match is None:
            raise UserError(message)
        flag, reason = match.groups()
        if reason == "expected one argument":
            reason += f"; if its value starts with '-', type {flag}=VALUE"
        raise UserError(f"{flag}: {reason}")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=HELP_INDENT, width=HELP_WIDTH)


def _add_flag(group, name: str, flag: Flag, hidden: bool) -> None:
    text = argparse.SUPPRESS if hidden else _help_text(flag)
    if flag.kind is None:
        group.add_argument(f"--{name}", action="store_true", help=text)
        return
    convert = _converter(flag.kind, flag.choices)
    group.add_argument(f"--{name}", type=convert, metavar=_metavar(name, flag), help=text)


def _help_text(flag: Flag) -> str:
    """Return the description with the allowed values and the default."""
    text = flag.help
    if flag.choices is not None:
        text += f" ({' | '.join(_describe_choices(flag.choices))})"
    if flag.kind is not None and flag.default not in (None, ""):
        text += f" [{format_value(flag.default)}]"
    return text.replace("%", "%%")


def _describe_choices(choices: Collection[str]) -> list[str]:
    """Return the names, with the help texts of those registry entries that have one."""
    entries = choices if isinstance(choices, Mapping) else dict.fromkeys(choices)
    helps = {name: getattr(entry, "help", None) for name, entry in entries.items()}
    return [f"{name}: {text}" if text else name for name, text in helps.items()]


def _metavar(name: str, flag: Flag) -> str:
    """Return the placeholder of the value: ``N`` for an integer, ``X`` for a float, else a word."""
    if flag.default == math.inf or isinstance(flag.default, int):
        return "N"
    if isinstance(flag.default, float):
        return "X"
    return METAVARS.get(name, name.split("_")[-1].upper())


def _converter(
    kind: Callable[[str], object], choices: Collection[str] | None
) -> Callable[[str], object]:
    """Return the conversion of a flag's text for argparse."""

    def convert(text: str) -> object:
        try:
            value = kind(text)
        except ValueError as error:
            reason = str(error)
            joint = "is" if reason.startswith("not ") else "is invalid:"
            raise argparse.ArgumentTypeError(f"{text!r} {joint} {reason}") from None
        if choices is not None and value not in choices:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not one of {', '.join(choices)}{did_you_mean(text, choices)}"
            )
        return value

    return convert


def _explain_unknown(unknown: Sequence[str], names: Iterable[str], has_dataroot: bool) -> str:
    """Return the message for words that are neither flags nor values of flags."""
    word = next((word for word in unknown if word.startswith("-")), unknown[0])
    if word.startswith("-"):
        flag = word.split("=")[0]
        return f"unknown option {flag}{did_you_mean(flag, names)}; --help lists all options"

    remedy = "put a value that contains spaces in quotes"
    if not has_dataroot:
        remedy = f"for the dataset type --dataroot {shlex.quote(word)}; {remedy}"
    return f"unexpected word {word!r}: {remedy}"
