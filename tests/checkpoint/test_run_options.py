"""``train_opt.json`` and its checksum."""

from __future__ import annotations

import json
import math

import pytest

from checkpoint.run_options import CHECKSUM, OPTIONS_FILE, load_options, save_options
from util.errors import UserError

OPTIONS = {"netG": "resnet_9blocks", "ngf": 64, "lr": 2e-4, "no_dropout": True, "gpu_ids": [0],
           "num_test": math.inf, "name": "写真 \udcff"}  # fmt: skip


def test_options_are_restored(tmp_path):
    save_options(tmp_path, OPTIONS, "printed")
    assert load_options(tmp_path) == OPTIONS
    assert (tmp_path / "train_opt.txt").read_text("utf-8") == "printed\n"


def test_no_flipped_bit_changes_an_option_silently(tmp_path):
    save_options(tmp_path, OPTIONS, "")
    file = tmp_path / OPTIONS_FILE
    content = file.read_bytes()
    for position in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        file.write_bytes(flipped)
        try:
            options = load_options(tmp_path)
        except UserError as error:
            assert OPTIONS_FILE in str(error)
        else:
            assert {name: options.get(name) for name in OPTIONS} == OPTIONS


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_without_checksum_is_accepted(newline, tmp_path):
    text = json.dumps({"ngf": 32}, indent=1).replace("\n", newline)
    (tmp_path / OPTIONS_FILE).write_text(text, newline="")
    assert load_options(tmp_path) == {"ngf": 32}


def test_an_edited_file_names_the_remedy(tmp_path):
    save_options(tmp_path, OPTIONS, "")
    file = tmp_path / OPTIONS_FILE
    file.write_text(file.read_text("utf-8").replace("64", "32"))
    with pytest.raises(UserError, match=f"does not match its {CHECKSUM}.*delete its {CHECKSUM}"):
        load_options(tmp_path)


def test_deeply_nested_json_is_refused(tmp_path):
    (tmp_path / OPTIONS_FILE).write_text("[" * 100_000)
    with pytest.raises(UserError, match="cannot be read"):
        load_options(tmp_path)
