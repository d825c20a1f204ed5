"""Reading image files: orientation, transparency, gray, 16 bits, broken files."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from helpers.commands import draw_image, make_images
from helpers.orientation import ORIENTATION, UPRIGHT
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo

from data.image_io import image_size, list_images, read_image
from util.errors import UserError

LEVELS_16 = np.array([[0, 16383, 32767, 49151, 65535]], dtype=np.uint16)
LEVELS_AS_8_BITS = [[0, 64, 127, 191, 255]]


def pixels(path) -> np.ndarray:
    image = read_image(path)
    assert image.mode in ("L", "RGB")
    return np.asarray(image)


@pytest.mark.parametrize("how", [{}, {"compression": "tiff_lzw"}], ids=["raw", "lzw"])
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_of_a_tiff(tmp_path, orientation, mode, how):
    """Pillow transposes some of them while loading, and reports the size before or after that."""
    path = tmp_path / "scan.tiff"
    stored = draw_image("scan", (7, 4), "RGB" if mode == "RGB" else "L")
    plain = np.asarray(stored)
    if mode == "I;16":
        stored = Image.fromarray(plain.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.save(path, exif=exif, **how)
    expected = UPRIGHT[orientation](plain)
    assert np.array_equal(pixels(path), expected)
    assert image_size(path) == expected.shape[1::-1]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_of_a_png(tmp_path, orientation, mode):
    path = tmp_path / "phone.png"
    stored = draw_image("phone", (7, 4), "RGB" if mode != "L" else "L")
    plain = np.asarray(stored)
    if mode == "I;16":
        plain = np.asarray(stored.convert("L"))
        stored = Image.fromarray(plain.astype(np.uint16) * 257)
    elif mode == "RGBA":
        stored = stored.convert("RGBA")
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.save(path, exif=exif)
    expected = UPRIGHT[orientation](plain)
    assert np.array_equal(pixels(path), expected)
    assert image_size(path) == expected.shape[1::-1]


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def move_metadata_to_end(content: bytes) -> bytes:
    """Move all metadata of a PNG behind the pixels, where ExifTool writes it."""
    chunks = []
    at = 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        chunks.append(content[at:end])
        at = end
    order = {b"IHDR": 0, b"IDAT": 1, b"IEND": 3}
    return content[:8] + b"".join(sorted(chunks, key=lambda chunk: order.get(chunk[4:8], 2)))


def orientation_metadata(how: str) -> dict:
    """The metadata of a PNG that is rotated by 90°, written in one of four ways."""
    info = PngInfo()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    content = exif.tobytes()
    if how == "exif":
        return {"exif": content}
    if how == "xmp":
        info.add_itxt("XML:com.adobe.xmp", XMP)
    else:
        text = f"\nexif\n{len(content):8}\n{content.hex()}\n"
        info.add_text("Raw profile type exif", text, zip=how == "compressed profile")
    return {"pnginfo": info}


@pytest.mark.parametrize("place", [bytes, move_metadata_to_end], ids=["before", "after"])
@pytest.mark.parametrize("how", ["exif", "profile", "compressed profile", "xmp"])
def test_png_orientation_before_and_after_the_pixels(tmp_path, how, place):
    path = tmp_path / "phone.png"
    draw_image("phone", (7, 4)).save(path, **orientation_metadata(how))
    path.write_bytes(place(path.read_bytes()))
    assert image_size(path) == read_image(path).size == (4, 7)


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".tiff"])
def test_orientation_in_xmp(tmp_path, ending):
    """Not every version of Pillow reads it, but size and pixels must agree."""
    path = tmp_path / f"phone{ending}"
    metadata = {"tiffinfo": {700: XMP.encode()}} if ending == ".tiff" else {"xmp": XMP.encode()}
    draw_image("phone", (7, 4)).save(path, **metadata)
    assert image_size(path) == read_image(path).size


def test_other_pngs_are_not_decoded_to_find_their_size(tmp_path, monkeypatch):
    info = PngInfo()
    info.add_text("date:create", "2020-02-02")  # as ImageMagick writes it
    draw_image("phone", (7, 4)).save(tmp_path / "plain.png", pnginfo=info)
    content = move_metadata_to_end((tmp_path / "plain.png").read_bytes())
    (tmp_path / "plain.png").write_bytes(content)
    monkeypatch.setattr(PngImageFile, "load", lambda file: pytest.fail("decoded"))
    assert image_size(tmp_path / "plain.png") == (7, 4)


def test_exif_orientation_of_a_jpeg(tmp_path):
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 8, 16))  # the left side as stored, the top of the upright image
    image.save(path, exif=exif, quality=95)
    upright = pixels(path)
    assert upright.shape == (32, 16, 3)
    assert upright[:6].min() > 240
    assert upright[10:].max() < 15


HIDDEN_RED = {
    "RGBA": lambda: Image.new("RGBA", (3, 2), (255, 0, 0, 0)),
    "LA": lambda: Image.new("LA", (3, 2), (0, 0)),
    "P": lambda: Image.new("P", (3, 2), 0),
    "RGB": lambda: Image.new("RGB", (3, 2), (255, 0, 0)),
    "L": lambda: Image.new("L", (3, 2), 17),
}
#: which color of the file is transparent, where there is no alpha channel
TRANSPARENT = {"P": 0, "RGB": (255, 0, 0), "L": 17}


@pytest.mark.parametrize("mode", HIDDEN_RED)
def test_transparent_parts_show_white(tmp_path, mode):
    path, image = tmp_path / "icon.png", HIDDEN_RED[mode]()
    if mode == "P":
        image.putpalette([255, 0, 0, 0, 0, 255])
        image.putpixel((1, 1), 1)
    about = {"transparency": TRANSPARENT[mode]} if mode in TRANSPARENT else {}
    image.save(path, **about)
    expected = np.full((2, 3, 3), 255)
    if mode == "P":
        expected[1, 1] = (0, 0, 255)
    assert np.array_equal(pixels(path), expected)


def test_half_transparent_parts_are_mixed_with_white(tmp_path):
    Image.new("RGBA", (2, 2), (255, 0, 100, 51)).save(tmp_path / "glass.png")  # a fifth
    expected = [255, 0.8 * 255, 0.8 * 255 + 0.2 * 100]
    assert np.abs(pixels(tmp_path / "glass.png") - np.array(expected)).max() <= 1


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_common_color_formats(tmp_path, ending):
    path = tmp_path / f"image{ending}"
    color = draw_image("day", (48, 40))
    color.save(path, **({} if ending == ".jpg" else {"lossless": True}))
    difference = np.abs(pixels(path).astype(int) - np.asarray(color).astype(int))
    assert difference.mean() <= (8 if ending == ".jpg" else 0)


def test_gray_stays_gray_and_bilevel_becomes_gray(tmp_path):
    gray = draw_image("gray", (9, 5), "L")
    gray.save(tmp_path / "gray.png")
    assert np.array_equal(pixels(tmp_path / "gray.png"), np.asarray(gray))
    gray.point(lambda v: 255 * (v > 128)).convert("1").save(tmp_path / "fax.png")
    assert np.array_equal(pixels(tmp_path / "fax.png"), 255 * (np.asarray(gray) > 128))


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    assert np.abs(pixels(tmp_path / "print.jpg").astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_16_bits_are_scaled(tmp_path, ending):
    path = tmp_path / f"deep{ending}"
    Image.fromarray(LEVELS_16).save(path)
    assert pixels(path).tolist() == LEVELS_AS_8_BITS


def test_big_endian_16_bits_are_scaled(tmp_path):
    Image.fromarray(LEVELS_16.astype(">u2")).save(tmp_path / "mac.tiff")
    assert pixels(tmp_path / "mac.tiff").tolist() == LEVELS_AS_8_BITS


def test_32_bit_integers_within_16_bits_are_scaled(tmp_path):
    Image.fromarray(LEVELS_16.astype(np.int32)).save(tmp_path / "wide.tiff")
    assert pixels(tmp_path / "wide.tiff").tolist() == LEVELS_AS_8_BITS


def test_floats_from_0_to_1_are_scaled(tmp_path):
    values = np.array([[0, 0.25, 0.5, 0.75, 1]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "float.tiff")
    assert pixels(tmp_path / "float.tiff").tolist() == [[0, 64, 128, 191, 255]]


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        (np.array([[0, 0.5, 300]], dtype=np.float32), "0", "300"),
        (np.array([[-1.5, 1]], dtype=np.float32), "-1.5", "1"),
        (np.array([[0, 70000]], dtype=np.int32), "0", "70000"),
        (np.array([[0.5, np.nan]], dtype=np.float32), "nan", "nan"),
    ],
    ids=["above", "below", "integers", "nan"],
)
def test_values_of_unknown_range_are_refused(tmp_path, values, low, high):
    Image.fromarray(values).save(tmp_path / "ct.tiff")
    with pytest.raises(UserError, match=rf"ct\.tiff.* {low} to {high}\b"):
        read_image(tmp_path / "ct.tiff")


BROKEN = {
    "empty.jpg": lambda whole: b"",
    "text.jpg": lambda whole: b"not an image\n" * 20,
    "truncated.png": lambda whole: whole[: len(whole) // 2],
    "garbled.png": lambda whole: whole[:60] + bytes(len(whole) - 60),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named_in_the_error(tmp_path, name):
    draw_image("whole", (64, 64)).save(tmp_path / "whole.png")
    (tmp_path / name).write_bytes(BROKEN[name]((tmp_path / "whole.png").read_bytes()))
    with pytest.raises(UserError, match=rf"{name} cannot be read as an image"):
        read_image(tmp_path / name)


def claim_size(header: bytes, width: int, height: int) -> bytes:
    """Change the canvas size in the header of a GIF."""
    return header[:6] + struct.pack("<HH", width, height) + header[10:]


def test_a_short_file_that_claims_a_huge_image_is_refused_before_decoding(tmp_path, monkeypatch):
    path = tmp_path / "huge.gif"
    draw_image("small", (8, 8)).save(path)
    path.write_bytes(claim_size(path.read_bytes(), 9000, 9000))
    monkeypatch.setattr(GifImageFile, "load", lambda file: pytest.fail("decoded"))
    for read in (image_size, read_image):
        with pytest.raises(UserError, match=r"huge\.gif cannot .* it claims 81\.0 million pixels"):
            read(path)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("flat.gif", {}),
        ("lzw.tiff", {"compression": "tiff_lzw"}),
        ("deflate.tiff", {"compression": "tiff_adobe_deflate"}),
        ("fax.tiff", {"compression": "group4"}),
    ],
)
def test_large_images_of_one_color_are_accepted(tmp_path, name, how):
    mode = "1" if name == "fax.tiff" else "L"
    Image.new(mode, (2000, 3000)).save(tmp_path / name, **how)
    assert image_size(tmp_path / name) == read_image(tmp_path / name).size == (2000, 3000)


def test_images_are_found_in_subfolders_but_not_if_hidden(tmp_path):
    make_images(tmp_path / "b" / "deeper", 1)
    make_images(tmp_path / "a", 1)
    make_images(tmp_path / ".trash", 2)
    make_images(tmp_path / "b" / ".cache", 1)
    draw_image("x").save(tmp_path / "UPPER.JPG")
    draw_image("y").save(tmp_path / "._mac.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["UPPER.JPG", "a/00.png", "b/deeper/00.png"]


def test_hidden_parent_folders_do_not_matter(tmp_path):
    assert len(list_images(make_images(tmp_path / ".data" / "trainA", 2))) == 2
