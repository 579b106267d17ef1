"""The segments of a JPEG before its pixels: those that a decoder needs, and what a camera wrote beside them.

ITU-T T.81, annex B, 1992; several pictures in one file: CIPA DC-007, 2009.
"""

from scratchnet.data.container import LARGE, MAX_METADATA, Container, UnusableImage
from scratchnet.data.orientation import UPRIGHT, from_exif, from_xmp
from scratchnet.data.tiff import TiffError, directory, first_directory

ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
START_OF_SCAN = 0xDA
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
JPEG_LS = 0xF7
COMMENT, ADOBE = 0xFE, 0xEE  # Adobe's segment says which colours the channels are, as JFIF's does, 0xE0
XMP = b"http://ns.adobe.com/xap/1.0/\0"
PICTURES = 0xB001  # the number of pictures, in the index of several
PICTURES_SAID = "several pictures in one file, as cameras write them: the first, the primary one, is used"
END = b"\xff\xd9"
UNWRITTEN = 64  # zero bytes at the end: more than a picture without an end marker may have by chance
SAVE = "save it as an ordinary JPEG, or as PNG"


def parse(data: bytes) -> Container:
    """The pixels of a JPEG, and its orientation. Of a file with several pictures, the first, which is the primary one.

    What cameras write beside the pixels is dropped; a remark says so if it is damaged. Raises UnusableImage
    for a kind of JPEG that no common program reads.
    """
    kept: list[bytes] = [data[:2]]
    remarks: list[str] = []
    orientation, bits, profile, offset = UPRIGHT, 8, 0, 2
    exif_seen = False
    while offset + 4 <= len(data):
        if data[offset] != 0xFF:
            return Container(data, bits, orientation, tuple(remarks))  # the decoder may find its way; we don't
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        if marker in ALONE:
            kept.append(data[offset : offset + 2])
            offset += 2
            continue
        end = offset + 2 + int.from_bytes(data[offset + 2 : offset + 4])
        body = data[offset + 4 : end]
        if marker == START_OF_SCAN:
            break
        if marker in LOSSLESS or marker == JPEG_LS:
            raise UnusableImage(
                f"a lossless JPEG{' (JPEG-LS)' if marker == JPEG_LS else ''}, which is not supported: {SAVE}"
            )
        if marker in FRAMES and body:
            bits = body[0]
            if bits != 8:
                raise UnusableImage(
                    f"a JPEG of {bits} bits a channel, which is not read: save it as TIFF or PNG with 16 bits"
                )
        if marker not in (COMMENT, *range(0xE1, 0xF0)) or marker == ADOBE:
            kept.append(data[offset:end])
        elif marker == 0xE1 and body.startswith(b"Exif\0") and not exif_seen:
            exif_seen = True
            try:
                orientation = from_exif(body[6:])
            except ValueError:
                remarks.append("a damaged EXIF block, not read")
        elif marker == 0xE1 and body.startswith(XMP) and orientation == UPRIGHT and not exif_seen:
            orientation = from_xmp(body)
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            profile += len(body)
        elif marker == 0xE2 and body.startswith(b"MPF\0") and (number := _pictures(body[4:])) != 1:
            remarks.append(PICTURES_SAID if number else "a damaged index of several pictures, not read")
        offset = end
    if profile > MAX_METADATA:
        remarks.append(LARGE.format("colour profile"))
    kept.append(data[offset:])
    if data.endswith(bytes(UNWRITTEN)) and END not in data[offset:]:
        raise UnusableImage(
            "truncated or damaged: it ends in zeros, as if its last part was never written: copy it again"
        )
    return Container(b"".join(kept), bits, orientation, tuple(dict.fromkeys(remarks)))


def _pictures(index: bytes) -> int:
    """How many pictures the index of a file names; 0 where it is damaged."""
    try:
        return directory(index, first_directory(index)).numbers(PICTURES, 0)[0]
    except TiffError:
        return 0
