"""Tables of flags → one parser, and typed texts → values."""

import argparse
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from util.errors import UserError, did_you_mean
from util.flags import Flag

Tables = Mapping[str, Mapping[str, Flag]]  # title of a group → its flags by name


def parse_typed(tables: Tables, args: Sequence[str] | None, about: str) -> dict[str, object]:
    """The values of the flags that were really typed. Raises `UserError` for anything unknown.

    ``args`` stands in for ``sys.argv[1:]``. ``--help`` prints every flag of ``tables`` and exits.
    """
    parser = _Parser(
        description=about, allow_abbrev=False, argument_default=argparse.SUPPRESS,
        formatter_class=_Help,
    )  # fmt: skip
    for title, flags in tables.items():
        group = parser.add_argument_group(title)
        for name, flag in flags.items():
            _add(group, name, flag)
    known, unknown = parser.parse_known_args(args)
    if unknown:
        _refuse(unknown, [f"--{name}" for flags in tables.values() for name in flags])
    return vars(known)


def is_value(flag: Flag, value: object) -> bool:
    """Whether ``value``, which comes from a file, is one that could have been typed."""
    if flag.kind is None:
        return isinstance(value, bool)
    try:
        return _converter(flag)(_shown(value)) == value
    except argparse.ArgumentTypeError:
        return False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """argparse's messages in our form: the flag first."""
        match = re.match(r"argument (\S+): (.*)", message, re.DOTALL)
        raise UserError(f"{match[1]}: {match[2]}" if match else message)


class _Help(argparse.HelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=28, width=100)


def _add(group, name: str, flag: Flag) -> None:
    text = flag.help.replace("%", "%%")
    if flag.kind is None:
        group.add_argument(f"--{name}", action="store_true", help=text)
        return
    if flag.choices is not None:
        text += f" ({' | '.join(_explained(flag.choices))})"
    if flag.default not in (None, ""):
        text += f" [{_shown(flag.default)}]"
    group.add_argument(f"--{name}", type=_converter(flag), metavar=name.upper(), help=text)


def _explained(choices: Collection[str]) -> list[str]:
    """The names, with the helps of those registries whose entries have one."""
    entries = choices if isinstance(choices, Mapping) else dict.fromkeys(choices)
    helps = {name: getattr(entry, "help", None) for name, entry in entries.items()}
    return [f"{name}: {text}" if text else name for name, text in helps.items()]


def _shown(default: object) -> str:
    """A default as one would type it."""
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)


def _converter(flag: Flag):
    def convert(text: str) -> object:
        try:
            value = flag.kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is {_grammar(str(error))}") from None
        if flag.choices is not None and value not in flag.choices:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not one of {', '.join(flag.choices)}"
                + did_you_mean(text, flag.choices)
            )
        return value

    return convert


def _grammar(reason: str) -> str:
    return reason if reason.startswith("not ") else f"refused: {reason}"


def _refuse(unknown: Sequence[str], known: Iterable[str]) -> None:
    word = next((word for word in unknown if word.startswith("-")), unknown[0])
    if word.startswith("-"):
        flag = word.split("=")[0]
        raise UserError(f"unknown option {flag}{did_you_mean(flag, known)}; --help lists all")
    raise UserError(f"{word!r} belongs to no option; values with spaces need quotes")
