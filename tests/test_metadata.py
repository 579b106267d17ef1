"""What stands beside the pixels of a file, and nobody uses: it doesn't decide over them, however large or broken it is."""

import io
import struct
import zlib

import numpy as np
import pytest
from image_kinds import png_chunk
from PIL import Image

from scratchnet.data.images import UnusableImage, decode

LARGE = np.random.default_rng(0).integers(0, 256, 2**20 + 2, dtype=np.uint8).tobytes()
EXIF = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
BROKEN = b"II*\0" + struct.pack("<I", 2**30)
XMP = b"<x:xmpmeta><rdf:Description tiff:Orientation='6'/></x:xmpmeta>"


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)


def file_of(pixels, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(tmp_path, content, extension):
    (tmp_path / f"a{extension}").write_bytes(content)
    image = decode(tmp_path / f"a{extension}")
    return np.asarray(image.image), image.alterations


def wrong_sum(kind, body):
    return png_chunk(kind, body)[:-4] + b"oops"


def profile(content):
    return png_chunk(b"iCCP", b"name\0\0" + zlib.compress(content))


# The chunk before the pixels, and what is said of it.
CHUNKS = {
    "large profile": (profile(LARGE), "a colour profile of more than 1 MiB, not read"),
    "profile of zeros": (profile(bytes(2**26)), "a colour profile of more than 1 MiB, not read"),
    "small profile": (profile(b"x" * 3000), None),
    "profile of an unknown method": (png_chunk(b"iCCP", b"name\0\7" + bytes(9)), None),
    "profile that is none": (png_chunk(b"iCCP", b"name\0\0nothing"), None),
    "empty profile": (png_chunk(b"iCCP", b""), None),
    "profile with a wrong checksum": (wrong_sum(b"iCCP", b"name\0\0nothing"), "a damaged colour profile, not read"),
    "zTXt bomb": (png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**26))), "a comment of more than 1 MiB, not read"),
    "iTXt bomb": (png_chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(2**26))), "a comment of more than 1 MiB, not read"),
    "large tEXt": (png_chunk(b"tEXt", b"k\0" + LARGE), "a comment of more than 1 MiB, not read"),
    "a hundred texts": (png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**20))) * 100, None),
    "text without an end": (png_chunk(b"iTXt", b"k"), None),
    "text with a wrong checksum": (wrong_sum(b"tEXt", b"k\0v"), "a damaged comment, not read"),
    "short gamma": (png_chunk(b"gAMA", b"1"), None),
    "short resolution": (png_chunk(b"pHYs", b"1"), None),
    "short colours": (png_chunk(b"cHRM", b"1"), None),
    "empty colour space": (png_chunk(b"sRGB", b""), None),
    "broken EXIF": (png_chunk(b"eXIf", BROKEN), "a damaged EXIF block, not read"),
    "EXIF that is none": (png_chunk(b"eXIf", b"hello"), "a damaged EXIF block, not read"),
    "EXIF with a wrong checksum": (wrong_sum(b"eXIf", EXIF), "a damaged EXIF block, not read"),
    "raw profile that is none": (
        png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 4\nzzzz\n"),
        "a damaged EXIF block, not read",
    ),
    "private chunk": (png_chunk(b"prVt", LARGE), None),
}  # fmt: skip


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_of_a_png_that_nobody_uses(tmp_path, pixels, name):
    chunk, said = CHUNKS[name]
    content = file_of(pixels, "PNG")
    place = content.index(b"IDAT") - 4
    found, alterations = decoded(tmp_path, content[:place] + chunk + content[place:], ".png")
    np.testing.assert_array_equal(found, pixels)
    assert alterations == (() if said is None else (said,))


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (wrong_sum(b"prVt", b"1"), "checksum of its chunk 'prVt'"), (wrong_sum(b"tRNS", bytes(6)), "checksum of its chunk 'tRNS'"),
        (png_chunk(b"NEED", b"1"), "chunk 'NEED' that this program does not know"),
        (struct.pack(">I", 2**31 - 1) + b"tEXt", "before its end chunk"),
    ],
)  # fmt: skip
def test_chunks_of_a_png_that_may_matter(tmp_path, pixels, chunk, said):
    content = file_of(pixels, "PNG")
    place = content.index(b"IDAT") - 4
    with pytest.raises(UnusableImage, match=said):
        decoded(tmp_path, content[:place] + chunk + content[place:], ".png")


STILL = png_chunk(b"acTL", struct.pack(">II", 1, 0))
FRAME = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 16, 12, 0, 0, 1, 10, 0, 0))


@pytest.mark.parametrize(
    "chunks", [STILL, STILL + FRAME, png_chunk(b"acTL", struct.pack(">II", 2, 0)), png_chunk(b"acTL", b"")]
)
def test_a_png_of_one_frame_is_a_picture(tmp_path, pixels, chunks):
    content = file_of(pixels, "PNG")
    place = content.index(b"IDAT") - 4
    found, alterations = decoded(tmp_path, content[:place] + chunks + content[place:], ".png")
    np.testing.assert_array_equal(found, pixels)
    assert alterations == ()


def test_the_png_of_an_apple_device_is_called_so(tmp_path, pixels):
    content = file_of(pixels, "PNG")
    with pytest.raises(UnusableImage, match="Apple's variant of PNG"):
        decoded(tmp_path, content[:8] + png_chunk(b"CgBI", bytes(4)) + content[8:], ".png")


def segment(marker, body):
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def index_of_pictures(count):
    return b"MPF\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0xB001, 4, 1, count, 0)


SEVERAL = "several pictures in one file, as cameras write them: the first, the primary one, is used"
SEGMENTS = {
    "broken EXIF": (segment(0xE1, b"Exif\0\0" + BROKEN), "a damaged EXIF block, not read"),
    "EXIF that is none": (segment(0xE1, b"Exif\0\0"), "a damaged EXIF block, not read"),
    "small profile": (segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(3000)), None),
    "large profile": (
        b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes((k, 20)) + bytes(60_000)) for k in range(1, 21)),
        "a colour profile of more than 1 MiB, not read",
    ),
    "broken profile": (segment(0xE2, b"ICC_PROFILE\0"), None),
    "broken index": (segment(0xE2, b"MPF\0" + BROKEN), "a damaged index of several pictures, not read"),
    "two pictures": (segment(0xE2, index_of_pictures(2)), SEVERAL),
    "one picture": (segment(0xE2, index_of_pictures(1)), None),
    "comment": (segment(0xFE, bytes(65_000)), None),
    "Photoshop": (segment(0xED, b"Photoshop 3.0\x008BIM\xff\xff"), None),
    "another's": (segment(0xEB, b"???"), None),
}


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}])
def test_segments_of_a_jpeg_that_nobody_uses(tmp_path, pixels, name, options):
    more, said = SEGMENTS[name]
    content = file_of(pixels, "JPEG", **options)
    plain, nothing = decoded(tmp_path, content, ".jpg")
    found, alterations = decoded(tmp_path, content[:2] + more + content[2:], ".jpg")
    np.testing.assert_array_equal(found, plain)
    assert nothing == ()
    assert alterations == (() if said is None else (said,))


def test_of_a_camera_s_pictures_the_first_is_used(tmp_path, pixels):
    buffer = io.BytesIO()
    small = Image.fromarray(pixels[::2, ::2])
    Image.fromarray(pixels).save(buffer, "MPO", save_all=True, append_images=[small])
    found, alterations = decoded(tmp_path, buffer.getvalue(), ".jpg")
    np.testing.assert_array_equal(found, decoded(tmp_path, file_of(pixels, "JPEG"), ".jpg")[0])
    assert alterations == (SEVERAL,)
    assert decoded(tmp_path, buffer.getvalue(), ".mpo")[1] == (SEVERAL,)


@pytest.mark.parametrize(
    ("marker", "precision", "said"),
    [(0xC3, 8, "a lossless JPEG"), (0xF7, 8, "JPEG-LS"), (0xC1, 12, "12 bits a channel")],
)
def test_rare_kinds_of_jpeg_are_called_so(tmp_path, marker, precision, said):
    frame = segment(marker, struct.pack(">BHHB", precision, 12, 16, 1) + b"\1\x11\0")
    content = b"\xff\xd8" + frame + segment(0xDA, b"\1\1\0\0\x3f\0") + bytes(9)
    with pytest.raises(UnusableImage, match=said):
        decoded(tmp_path, content, ".jpg")


@pytest.mark.parametrize("colours", ["CMYK", "L", "RGB"])
def test_the_colours_of_a_jpeg_stay_what_they_were(tmp_path, pixels, colours):
    """The segments that say what its channels are have to stay."""
    plain = file_of(pixels, "JPEG")
    if colours == "CMYK":
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert("CMYK").save(buffer, "JPEG")
        with pytest.raises(UnusableImage, match="CMYK, the inks of a printer"):
            decoded(tmp_path, buffer.getvalue(), ".jpg")
        return
    expected = np.asarray(Image.open(io.BytesIO(plain)).convert(colours).convert("RGB"))
    buffer = io.BytesIO()
    Image.fromarray(expected).convert(colours).save(buffer, "JPEG", quality=100, subsampling=0)
    found = decoded(tmp_path, buffer.getvalue(), ".jpg")[0]
    np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")))


@pytest.mark.parametrize("block", [BROKEN, b"hello", b"II*\0"])
def test_broken_exif_of_a_webp(tmp_path, pixels, block):
    content = file_of(pixels, "WEBP", lossless=True, exif=block, icc_profile=LARGE)
    found, alterations = decoded(tmp_path, content, ".webp")
    np.testing.assert_array_equal(found, pixels)
    assert alterations == ("a damaged EXIF block, not read", "a colour profile of more than 1 MiB, not read")


RAW_PROFILE = b"\nexif\n      " + str(len(EXIF) + 6).encode() + b"\n" + (b"Exif\0\0" + EXIF).hex().encode() + b"\n"
TURNED = {
    "PNG, EXIF": ("PNG", png_chunk(b"eXIf", EXIF)),
    "PNG, EXIF after Exif": ("PNG", png_chunk(b"eXIf", b"Exif\0\0" + EXIF)),
    "PNG, XMP": ("PNG", png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
    "PNG, XMP, compressed": ("PNG", png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))),
    "PNG, ImageMagick": ("PNG", png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW_PROFILE))),
    "JPEG, EXIF": ("JPEG", segment(0xE1, b"Exif\0\0" + EXIF)),
    "JPEG, XMP": ("JPEG", segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)),
    "JPEG, EXIF before XMP": (
        "JPEG",
        segment(0xE1, b"Exif\0\0" + EXIF) + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.replace(b"6", b"3")),
    ),
    "WEBP, EXIF": ("WEBP", {"exif": EXIF}),
    "WEBP, XMP": ("WEBP", {"xmp": XMP}),
}


@pytest.mark.parametrize("name", TURNED)
def test_a_turned_picture_is_turned_upright_wherever_that_stands(tmp_path, pixels, name):
    kind, how = TURNED[name]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = file_of(pixels, kind, **options)
    plain = decoded(tmp_path, content, f".{kind.lower()}")[0]
    if kind == "WEBP":
        content = file_of(pixels, kind, **options, **how)
    else:
        place = content.index(b"IDAT") - 4 if kind == "PNG" else 2
        content = content[:place] + how + content[place:]
    found, alterations = decoded(tmp_path, content, f".{kind.lower()}")
    np.testing.assert_array_equal(found, np.rot90(plain, -1))
    assert alterations == ("turned upright (EXIF orientation 6)",)


def bmp(rows, alpha, *, header=108, compression=3, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)):
    """32 bits a pixel: blue, green, red, and a fourth byte."""
    height, width, _ = rows.shape
    body = np.dstack([rows[::-1, :, ::-1], np.broadcast_to(alpha, (height, width)).astype(np.uint8)]).tobytes()
    head = struct.pack("<IiiHHIIiiII", header, width, height, 1, 32, compression, len(body), 2835, 2835, 0, 0)
    head = (head + struct.pack("<IIII", *masks) if header > 40 else head).ljust(header, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


@pytest.mark.parametrize("header", [108, 124])
@pytest.mark.parametrize(
    ("alpha", "said"), [(0, "it was 0 in every pixel"), (255, "every pixel was opaque"), (9, None)]
)
def test_the_fourth_byte_of_a_bmp(tmp_path, pixels, header, alpha, said):
    content = bmp(pixels, alpha, header=header)
    if said is None:
        with pytest.raises(UnusableImage, match="transparent"):
            decoded(tmp_path, content, ".bmp")
        return
    found, alterations = decoded(tmp_path, content, ".bmp")
    np.testing.assert_array_equal(found, pixels)
    assert len(alterations) == 1
    assert said in alterations[0]


@pytest.mark.parametrize("alpha", [0, 255, np.arange(16)])
def test_a_fourth_byte_without_a_name(tmp_path, pixels, alpha):
    found, alterations = decoded(tmp_path, bmp(pixels, alpha, header=40, compression=0), ".bmp")
    np.testing.assert_array_equal(found, pixels)
    dropped = "the fourth byte of each pixel, which has no meaning in this kind of BMP, dropped"
    assert alterations == ((dropped,) if np.ndim(alpha) else ())


def test_a_bmp_that_pillow_does_not_read_is_not_called_damaged(tmp_path, pixels):
    content = bmp(pixels, 0, masks=(0xFF, 0xFF0000, 0xFF00, 0))
    with pytest.raises(UnusableImage, match=r"a BMP of an unsupported kind .*: save it as PNG"):
        decoded(tmp_path, content, ".bmp")


def test_16_bits_a_pixel_of_a_bmp_are_listed(tmp_path):
    body = struct.pack("<4H", 0x7FFF, 0, 0x7C00, 0x1F)
    head = struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, 16, 0, len(body), 0, 0, 0, 0)
    content = b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + head + body
    found, alterations = decoded(tmp_path, content, ".bmp")
    assert found.tolist() == [[[255, 0, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0]]]
    assert alterations == ("5 or 6 bits a channel, spread over 8",)
