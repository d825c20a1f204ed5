"""Differentiable augmentation, by what each function may do to an image."""

from __future__ import annotations

import pytest
import torch
from helpers.models import batch, new_model, weights_of

from models.augmentation import AUGMENTATIONS, DiffAugment, augmentation_names

N = 200


def test_color_is_an_affine_map_of_each_image():
    """Brightness b, then saturation s, then contrast c: recovered from the output."""
    torch.manual_seed(0)
    images = torch.randn(N, 3, 4, 5, dtype=torch.float64)
    colored = AUGMENTATIONS["color"](images)

    def chroma(x):
        return (x - x.mean(dim=1, keepdim=True)).flatten(1)

    def gray(x):
        x = x.mean(dim=1)
        return (x - x.mean(dim=(1, 2), keepdim=True)).flatten(1)

    contrast = (gray(colored) / gray(images)).mean(dim=1)
    torch.testing.assert_close(gray(colored), gray(images) * contrast[:, None])
    saturation = (chroma(colored) / chroma(images)).mean(dim=1) / contrast
    torch.testing.assert_close(chroma(colored), chroma(images) * (saturation * contrast)[:, None])
    brightness = colored.mean(dim=(1, 2, 3)) - images.mean(dim=(1, 2, 3))

    for values, low, high in (
        (contrast, 0.5, 1.5),
        (saturation, 0.0, 2.0),
        (brightness, -0.5, 0.5),
    ):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high


def test_translation_shifts_each_image_by_up_to_an_eighth():
    torch.manual_seed(0)
    height, width = 16, 24
    image = torch.arange(1.0, 1 + height * width).view(1, 1, height, width)
    shifted = AUGMENTATIONS["translation"](image.expand(N, 1, height, width))

    found = set()
    for one in shifted[:, 0]:
        row, column = torch.nonzero(one)[0].tolist()
        y, x = divmod(int(one[row, column]) - 1, width)
        found.add((row - y, column - x))
        expected = torch.zeros(height, width)
        for i in range(height):
            for j in range(width):
                source_row, source_column = i - (row - y), j - (column - x)
                if 0 <= source_row < height and 0 <= source_column < width:
                    expected[i, j] = image[0, 0, source_row, source_column]
        assert torch.equal(one, expected)
    assert {dy for dy, _ in found} == set(range(-2, 3))
    assert {dx for _, dx in found} == set(range(-3, 4))


def test_cutout_removes_a_rectangle_of_half_the_sides():
    torch.manual_seed(0)
    images = torch.ones(N, 2, 8, 12)
    removed = AUGMENTATIONS["cutout"](images) == 0
    for one in removed:
        assert torch.equal(one[0], one[1])
        rows, columns = one[0].any(dim=1), one[0].any(dim=0)
        assert torch.equal(one[0], rows[:, None] & columns[None, :])
        assert 2 <= rows.sum() <= 4  # at the border half of it is outside
        assert 3 <= columns.sum() <= 6
    assert {4} <= {int(one[0].any(dim=1).sum()) for one in removed}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_pass(name):
    """The gradient of the output agrees with differences of the outputs, for the same draw."""
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def augmented(x):
        torch.manual_seed(3)
        return AUGMENTATIONS[name](x)

    assert torch.autograd.gradcheck(augmented, images)


def test_images_of_a_batch_differ():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 16, 16).expand(4, 3, 16, 16)
    for name in AUGMENTATIONS:
        augmented = DiffAugment(name)(images)
        assert augmented.shape == images.shape
        assert not any(torch.equal(augmented[0], other) for other in augmented[1:])


def test_names():
    assert augmentation_names("") == ""
    assert augmentation_names("color, cutout,color") == "color,cutout"
    with pytest.raises(ValueError, match="'colour' is none of color, translation, cutout"):
        augmentation_names("colour")


def test_without_names_nothing_is_drawn():
    """Random numbers and losses are those of a run without the option."""
    images, state = torch.randn(1, 3, 4, 4), torch.get_rng_state()
    assert DiffAugment("")(images) is images
    assert torch.equal(torch.get_rng_state(), state)


def test_discriminators_see_augmented_images_only():
    model = new_model(diffaug="translation")
    seen = []
    for net in (model.netD_A, model.netD_B):
        net.register_forward_pre_hook(lambda _, args: seen.extend(args))
    model.augment = lambda images: images * 0 + 7
    model.set_input(batch(0))
    before = weights_of(model)
    model.optimize_parameters()
    assert seen
    assert all((images == 7).all() for images in seen)
    # The cycle and identity losses compare images as they are.
    assert any(
        not torch.equal(value, before["G_A"][key])
        for key, value in model.netG_A.state_dict().items()
    )
