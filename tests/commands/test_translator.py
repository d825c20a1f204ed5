"""From Python comes the same image as from the command."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.commands import TINY, call_in, draw_image, ok
from PIL import Image

from translator import Translator
from util.errors import UserError


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_the_translator_is_the_command(direction, trained, dataset, tmp_path, capsys):
    (tmp_path / "checkpoints").symlink_to(trained)
    photo = dataset / "testA" / "00.png"
    ok(
        call_in(
            tmp_path,
            "test.py",
            *TINY,
            "--name",
            "tiny",
            "--dataroot",
            photo,
            "--direction",
            direction,
        )
    )
    file = tmp_path / "results" / "tiny" / "test_latest" / "images" / "00_fake.png"
    capsys.readouterr()
    how = {"checkpoints_dir": trained, "gpu_ids": -1, "precision": "fp32", "load_size": 36}
    translate = Translator("tiny", direction=direction, **how)
    assert capsys.readouterr().out == ""
    with Image.open(file) as written, Image.open(photo) as image:
        expected = np.asarray(written)
        for given in (photo, str(photo), image):
            assert np.array_equal(np.asarray(translate(given)), expected)


def test_images_of_any_mode_are_taken(trained):
    translate = Translator("tiny", checkpoints_dir=trained, gpu_ids=-1)
    for mode in ("L", "RGBA", "P", "CMYK"):
        assert translate(draw_image("x", (50, 40), "RGB").convert(mode)).mode == "RGB"


def test_a_run_that_is_not_there_is_named(trained):
    with pytest.raises(UserError, match="nothing: there is no such folder"):
        Translator("nothing", checkpoints_dir=trained, gpu_ids=-1)
