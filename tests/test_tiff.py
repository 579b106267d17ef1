"""TIFF as microscopes, cameras and programs write it: used with its own pixels, or left out with a reason that is true."""

import zlib

import numpy as np
import pytest
from PIL import Image
from tiff_files import page, tiff

from scratchnet.data.images import UnusableImage, decode
from scratchnet.data.tiff import COMPRESSIONS, TiffError, directory, first_directory, one_page, pages

DEFLATE = {"compression": 8, "pack": zlib.compress}


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)


def channel(rgb, value=None):
    return np.roll(rgb[:, :, :1], 1) if value is None else np.full((*rgb.shape[:2], 1), value, np.uint8)


def with_channels(rgb, *more):
    return np.concatenate([rgb, *more], axis=2)


def decoded(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    image = decode(tmp_path / "a.tif")
    return np.asarray(image.image), image.alterations


def reason(tmp_path, content):
    with pytest.raises(UnusableImage) as caught:
        decoded(tmp_path, content)
    return str(caught.value)


@pytest.mark.parametrize("form", [{"big": True}, {"order": ">"}, {"big": True, "order": ">"}, {}])
@pytest.mark.parametrize("options", [{}, DEFLATE, {"planar": 2}, {"planar": 2, **DEFLATE}])
def test_plain_rgb_is_used_as_it_is(tmp_path, rgb, form, options):
    pixels, said = decoded(tmp_path, tiff(page(rgb, 2, **options), **form))
    np.testing.assert_array_equal(pixels, rgb)
    assert said == ()


@pytest.mark.parametrize("options", [{}, DEFLATE, {"planar": 2}, {"planar": 2, **DEFLATE}])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("photometric", "said"), [(0, "greyscale"), (1, "greyscale"), (3, "palette colours")])
def test_one_channel(tmp_path, rgb, options, order, photometric, said):
    grey = rgb[:, :, :1]
    table = np.stack([np.arange(255, -1, -1), np.zeros(256), np.arange(256)]).astype(np.uint8)
    more = {320: (3, [int(value) * 257 for value in table.ravel()])} if photometric == 3 else {}
    pixels, alterations = decoded(tmp_path, tiff(page(grey, photometric, more=more, **options), order=order))
    expected = {0: 255 - grey.repeat(3, axis=2), 1: grey.repeat(3, axis=2), 3: table.T[grey[:, :, 0]]}[photometric]
    np.testing.assert_array_equal(pixels, expected)
    assert alterations == (f"{said}, converted to RGB",)


@pytest.mark.parametrize("options", [{}, DEFLATE, {"planar": 2}, {"planar": 2, **DEFLATE}])
@pytest.mark.parametrize("form", [{}, {"big": True, "order": ">"}])
@pytest.mark.parametrize("value", [None, 0, 255, 7])
def test_a_fourth_channel_without_meaning_is_dropped_and_listed(tmp_path, rgb, options, form, value):
    four = with_channels(rgb, channel(rgb, value))
    pixels, said = decoded(tmp_path, tiff(page(four, 2, extra=[0], **options), **form))
    np.testing.assert_array_equal(pixels, rgb)
    assert said == ("a fourth channel, to which the file gives no meaning, dropped",)


@pytest.mark.parametrize("options", [{}, DEFLATE])
@pytest.mark.parametrize(
    ("extra", "value", "said"),
    [
        (None, 255, "every pixel was opaque"), (None, 0, "it was 0 in every pixel"), ([2], 255, "every pixel was opaque"),
        ([1], 255, "every pixel was opaque"),
    ],
)  # fmt: skip
def test_alpha_that_says_nothing_is_dropped_and_listed(tmp_path, rgb, options, extra, value, said):
    pixels, alterations = decoded(
        tmp_path, tiff(page(with_channels(rgb, channel(rgb, value)), 2, extra=extra, **options))
    )
    np.testing.assert_array_equal(pixels, rgb)
    assert len(alterations) == 1
    assert said in alterations[0]


@pytest.mark.parametrize(("extra", "value"), [([2], 0), ([2], 254), ([1], 0), (None, None)])
def test_transparent_pixels_are_left_out(tmp_path, rgb, extra, value):
    assert "transparent" in reason(tmp_path, tiff(page(with_channels(rgb, channel(rgb, value)), 2, extra=extra)))


LEFT_OUT = {
    "grey and another": (lambda rgb: page(rgb[..., :2], 1, extra=[0]), "a TIFF of 2 channels"),
    "grey and another, its own strips": (lambda rgb: page(rgb[..., :2], 1, extra=[0], planar=2), "a TIFF of 2 channels"),
    "three that are not colours": (lambda rgb: page(rgb, 1, extra=[0, 0]), "a TIFF of 3 channels"),
    "three of a palette": (lambda rgb: page(rgb, 3, extra=[0, 0]), "a TIFF of 3 channels"),
    "five": (lambda rgb: page(np.dstack([rgb, rgb[..., :2]]), 2, extra=[0, 0]), "a TIFF of 5 channels"),
    "five, the fourth alpha": (lambda rgb: page(np.dstack([rgb, rgb[..., :2]]), 2, extra=[2, 0]), "a TIFF of 5 channels"),
    "seven": (lambda rgb: page(np.dstack([rgb, rgb, rgb[..., :1]]), 2, extra=[0] * 4), "a TIFF of 7 channels"),
    "five, their own strips": (
        lambda rgb: page(np.dstack([rgb, rgb[..., :2]]), 2, extra=[0, 0], planar=2),
        "a TIFF of 5 channels",
    ),
    "two called RGB": (lambda rgb: page(rgb[..., :2], 2), "a TIFF of 2 channels"),
    "signed": (lambda rgb: page(rgb[..., :1].astype(np.int8), 1, more={339: (3, [2])}), "8 bits a channel, signed"),
    "signed RGB": (lambda rgb: page(rgb.astype(np.int8), 2, more={339: (3, [2] * 3)}), "8 bits a channel, signed"),
    "signed, 16 bits": (lambda rgb: page(rgb[..., :1].astype(np.int16), 1, more={339: (3, [2])}), "16 bits a channel, signed"),
    "float": (lambda rgb: page(rgb[..., :1].astype("f4"), 1, more={339: (3, [3])}), "32 bits a channel, floating-point"),
    "float RGB": (lambda rgb: page(rgb.astype("f4"), 2, more={339: (3, [3] * 3)}), "32 bits a channel, floating-point"),
    "double": (lambda rgb: page(rgb[..., :1].astype("f8"), 1, more={339: (3, [3])}), "64 bits a channel, floating-point"),
    "complex": (lambda rgb: page(rgb[..., :1].astype("f8"), 1, more={339: (3, [6])}), "complex numbers"),
    "32 bits": (lambda rgb: page(rgb[..., :1].astype("u4"), 1), "32 bits a channel"),
    "CMYK": (lambda rgb: page(np.dstack([rgb, rgb[..., :1]]), 5), "CMYK"),
    "CMYK and another": (lambda rgb: page(np.dstack([rgb, rgb[..., :2]]), 5, extra=[0]), "CMYK"),
    "Lab": (lambda rgb: page(rgb, 8), "the colour space Lab"),
    "RGB of 4 bits": (lambda rgb: page(rgb, 2, bits=4), "4 bits a channel in colours"),
    "bits that differ": (lambda rgb: page(rgb, 2, more={258: (3, [5, 6, 5])}), "channels of 5 and 6 bits"),
    "sensor": (lambda rgb: page(rgb[..., :1], 32803), "what a camera's sensor saw"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_channels_that_are_no_rgb_are_left_out_with_the_reason(tmp_path, rgb, name):
    make, said = LEFT_OUT[name]
    found = reason(tmp_path, tiff(make(rgb)))
    assert said in found
    assert "not an image" not in found
    assert "damaged" not in found


@pytest.mark.parametrize("method", sorted(set(COMPRESSIONS) - {2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001}))
def test_a_compression_that_is_not_read_is_named_with_the_next_step(tmp_path, rgb, method):
    said = reason(tmp_path, tiff(page(rgb, 2, compression=method)))
    assert f"a TIFF compressed with {COMPRESSIONS[method]}" in said
    assert "save it without compression" in said
    assert "not an image" not in said


def test_an_unknown_compression_is_named_by_its_number(tmp_path, rgb):
    assert "compressed with method 12345" in reason(tmp_path, tiff(page(rgb, 2, compression=12345)))


@pytest.mark.parametrize("method", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"])
def test_compressions_that_pillow_can_unpack_are_read(tmp_path, rgb, method):
    try:
        Image.fromarray(rgb).save(tmp_path / "a.tif", compression=method)
    except Exception:
        pytest.skip(f"this Pillow cannot write {method}")
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "a.tif").image), rgb)


REDUCED, OLD_REDUCED, MASK = {254: (4, [1])}, {255: (3, [2])}, {254: (4, [4])}


@pytest.mark.parametrize(
    "others",
    [
        [{"more": REDUCED}], [{"more": OLD_REDUCED}], [{"more": MASK}], [{"more": REDUCED}] * 5,
        [{"step": 2}], [{"step": 4}], [{"step": 2}, {"step": 4}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("first", [True, False])
def test_a_smaller_copy_beside_the_picture_is_passed_over(tmp_path, rgb, others, big, first):
    small = [
        page(rgb[:: other.get("step", 1), :: other.get("step", 1)], 2, more=other.get("more", ())) for other in others
    ]
    order = [page(rgb, 2), *small] if first else [*small, page(rgb, 2)]
    pixels, said = decoded(tmp_path, tiff(*order, big=big))
    np.testing.assert_array_equal(pixels, rgb)
    assert said == ("a smaller preview stored beside it, passed over",)


def test_smaller_copies_below_the_picture_are_listed(tmp_path, rgb):
    pixels, said = decoded(tmp_path, tiff(page(rgb, 2, more={330: (4, [8])})))
    np.testing.assert_array_equal(pixels, rgb)
    assert said == ("a smaller preview stored beside it, passed over",)


@pytest.mark.parametrize(
    "second", [lambda rgb: rgb, lambda rgb: rgb[::2], lambda rgb: rgb[:-1, :-1], lambda rgb: rgb[::4, ::2]]
)
def test_pages_that_may_be_pictures_are_left_out(tmp_path, rgb, second):
    assert "several frames or pages" in reason(tmp_path, tiff(page(rgb, 2), page(second(rgb), 2)))


@pytest.mark.parametrize("more", [{254: (4, [1]), 330: (4, [8])}, {50706: (1, [1, 4, 0, 0])}])
def test_the_preview_of_a_raw_file_is_no_picture(tmp_path, rgb, more):
    assert "raw file" in reason(tmp_path, tiff(page(rgb, 2, more=more)))


@pytest.mark.parametrize("more", [REDUCED, OLD_REDUCED, {**REDUCED, 330: (4, [2**31])}])
def test_a_picture_alone_that_calls_itself_a_smaller_copy_is_the_picture(tmp_path, rgb, more):
    pixels, said = decoded(tmp_path, tiff(page(rgb, 2, more=more)))
    np.testing.assert_array_equal(pixels, rgb)
    assert said == ()


def test_smaller_copies_that_are_not_in_the_file_are_not_listed(tmp_path, rgb):
    assert decoded(tmp_path, tiff(page(rgb, 2, more={330: (4, [2**31])})))[1] == ()


@pytest.mark.parametrize("options", [{}, DEFLATE, {"planar": 2}])
@pytest.mark.parametrize("samples", [1, 3])
def test_numbers_of_an_undefined_form_are_whole_ones(tmp_path, rgb, options, samples):
    only = rgb[:, :, :samples]
    pixels, _ = decoded(tmp_path, tiff(page(only, 2 if samples == 3 else 1, more={339: (3, [4] * samples)}, **options)))
    np.testing.assert_array_equal(pixels, np.broadcast_to(only, rgb.shape))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, DEFLATE])
def test_a_turned_tiff_is_turned_upright_and_listed(tmp_path, rgb, orientation, options):
    turned = {
        1: rgb, 2: rgb[:, ::-1], 3: rgb[::-1, ::-1], 4: rgb[::-1], 5: rgb.swapaxes(0, 1), 6: np.rot90(rgb, -1),
        7: np.rot90(rgb, 2).swapaxes(0, 1), 8: np.rot90(rgb, 1),
    }[orientation]  # fmt: skip
    pixels, said = decoded(tmp_path, tiff(page(rgb, 2, more={274: (3, [orientation])}, **options)))
    np.testing.assert_array_equal(pixels, turned)
    assert said == ((f"turned upright (EXIF orientation {orientation})",) if orientation > 1 else ())


@pytest.mark.parametrize(
    ("tag", "value"),
    [(34665, (4, [2**31])), (34853, (4, [3])), (700, (4, [2**31])), (34675, (1, [0] * 2**19)), (33723, (4, [7] * 9))],
)
def test_metadata_that_nobody_reads_changes_nothing(tmp_path, rgb, tag, value):
    pixels, said = decoded(tmp_path, tiff(page(rgb, 2, more={tag: value})))
    np.testing.assert_array_equal(pixels, rgb)
    assert said == ()


def test_a_large_profile_is_listed(tmp_path, rgb):
    pixels, said = decoded(tmp_path, tiff(page(rgb, 2, more={34675: (1, [0] * (2**20 + 1))})))
    np.testing.assert_array_equal(pixels, rgb)
    assert said == ("a colour profile of more than 1 MiB, not read",)


def test_values_outside_the_file_are_refused(rgb):
    content = tiff(page(rgb, 2))
    strips = content.index(b"\x11\1\4\0\1\0\0\0")  # one strip
    many = content[: strips + 4] + (2**31 - 1).to_bytes(4, "little") + content[strips + 8 :]
    with pytest.raises(TiffError, match="outside the file"):
        directory(many, first_directory(many)).numbers(273)


@pytest.mark.parametrize(
    "content", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0\xff\xff", b"BM" + bytes(50)]
)
def test_what_has_no_directory_is_refused(content):
    with pytest.raises(TiffError):
        pages(content)


def test_one_page_keeps_the_pixels_and_nothing_else(rgb):
    content = tiff(page(rgb, 2, more={700: (1, [1] * 99), 274: (3, [6])}), page(rgb, 2))
    (only,), more = pages(one_page(pages(content)[0][0], {}))
    assert not more
    assert not {700, 274} & set(only.tags)
    assert only.size == (16, 12)
