"""Combinations of training options, for ``--preset``; docs/evaluation.md has measurements."""

from dataclasses import dataclass, field

from options.parser import command_line_words


@dataclass(frozen=True)
class Preset:
    """Options in place of the defaults of ``train.py --model cycle_gan``."""

    options: dict[str, object] = field(default_factory=dict)

    @property
    def help(self) -> str:
        """The options as typed, for ``--help``."""
        return " ".join(command_line_words(self.options)) or "as in the paper"


PRESETS = {
    "classic": Preset(),
    "better": Preset(
        {
            "upsample": "resize",
            "skip": "add",
            "residual": "on",
            "spectral_norm": True,
            "lambda_A": 2.0,
            "lambda_B": 2.0,
            "lr": 0.0004,
            "ema": 0.999,
        }
    ),
}
