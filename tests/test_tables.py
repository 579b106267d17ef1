"""Tables of subjects as people's programs write them."""

import re
import unicodedata

import pytest

from scratchnet.errors import DataError
from scratchnet.prepare.sources import find_images
from scratchnet.prepare.tables import find_rows, read_subjects

FILES = ("all/Zellé_1.png", "all/b.png", "hem/c.png", "hem/deep/d.v2.png")
ROWS = [(file, f"P{number}") for number, file in enumerate(FILES)]
SUBJECTS = dict(ROWS)


def written(rows=ROWS, head=("file", "subject"), separator=","):
    return "\n".join(separator.join(row) for row in (head, *rows)) + "\n"


def found(folder, content, files=FILES, elsewhere=()):
    """The subject of each file, and what is said of rows."""
    table = folder / "subjects.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    listed = find_rows(read_subjects(table), files, elsewhere)
    return {path: row.subject for path, row in listed.rows.items()}, [remark.reason for remark in listed.remarks]


NFD = unicodedata.normalize("NFD", written())
WAYS = {
    "plain": written(),
    "a mark": b"\xef\xbb\xbf" + written().encode(),
    "Excel's Unicode text": written(separator="\t").encode("utf-16"),
    "Excel's line on top": "sep=;\r\n" + written(separator=";").replace("\n", "\r\n"),
    "Excel's line in quotes": '"sep=,"\n' + written(),
    "European": written(separator=";"),
    "tabs": written(separator="\t"),
    "bars": written(separator="|"),
    "blank rows": "\n,,\n" + written() + ",\n\n,\n",
    "blank columns": "\n".join(line + ",," for line in written().splitlines()),
    "old newlines": written().replace("\n", "\r"),
    "spaces": written().replace(",", " , "),
    "quotes": "\n".join(",".join(f'"{cell}"' for cell in row) for row in (("File", "Patient ID"), *ROWS)),
    "a comma in quotes": written([*ROWS, ('"all/x, y.png"', "P9")]),
    "letters taken apart": NFD,
    "backslashes": written().replace("/", "\\"),
    "from here": written([(f"./{file}", subject) for file, subject in ROWS]),
    "absolute": written([(f"/data/cells/{file}", subject) for file, subject in ROWS]),
    "another machine's": written([(rf"C:\cells\{file}".replace("/", "\\"), subject) for file, subject in ROWS]),
    "with the folder above": written([(f"cells/{file}", subject) for file, subject in ROWS]),
    "names alone": written([(file.rpartition("/")[2], subject) for file, subject in ROWS]),
    "without extension": written([(file.removesuffix(".png"), subject) for file, subject in ROWS]),
    "a title above": "Table 1: patients,\n\n" + written(),
    "remarks above": "# made by a scanner; see file, subject\n#\n" + written(),
    "a title under Excel's line": "sep=;\nPatients of 2019;;\n" + written(separator=";"),
    "R's write.table": '"file" "subject"\n'
    + "".join(f'"{k + 1}" "{file}" "{subject}"\n' for k, (file, subject) in enumerate(ROWS)),
    "R's write.table with tabs": "file\tsubject\n"
    + "".join(f"{k + 1}\t{file}\t{subject}\n" for k, (file, subject) in enumerate(ROWS)),
    "spaces between": written(separator=" "),
    "commas in a name of a column": written(
        [(*row, "3") for row in ROWS], ("file", "subject", "age, years, at, visit"), ";"
    ),
    "semicolons in a name of a column": written([(*row, "3") for row in ROWS], ("file", "subject", '"a;b;c;d"')),
    "a column without a name": written([(*row, "a note") for row in ROWS]),
    "lines in a note": written([(*row, '"one\ntwo, three"') for row in ROWS], ("file", "subject", "note")),
    "twice the same": written(ROWS * 2),
    "other columns": written([("x", *row, "y") for row in ROWS], ("stain", "Image_Path", "patient no", "age")),
    **{
        f"called {head}": written(head=head)
        for head in (("filename", "patient_id"), ("Path", "Case ID"), ("Image", "DONOR"))
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_write_a_table(tmp_path, way):
    extra = ("all/x, y.png",) if way == "a comma in quotes" else ()
    subjects, said = found(tmp_path, WAYS[way], (*FILES, *extra))
    assert subjects == SUBJECTS | dict.fromkeys(extra, "P9")
    assert said == []


def test_subjects_are_composed(tmp_path):
    nfd = unicodedata.normalize("NFD", "Zoë")
    assert found(tmp_path, written([("all/b.png", nfd)]))[0] == {"all/b.png": "Zoë"}


def test_files_that_are_named_in_letters_taken_apart(tmp_path):
    name = unicodedata.normalize("NFD", "all/Zellé_1.png")
    subjects, said = found(tmp_path, written(), (name, *FILES[1:]))
    assert (subjects[name], said) == ("P0", [])


def test_a_name_that_several_files_have(tmp_path):
    subjects, said = found(tmp_path, written([("a.png", "P1"), ("hem/a.png", "P2")]), ("all/a.png", "hem/a.png"))
    assert subjects == {"hem/a.png": "P2"}
    assert said == ["a row may mean several files: line 2, 'a.png', 'all/a.png' or 'hem/a.png'; write the path"]


def test_rows_that_give_one_file_two_subjects(tmp_path):
    with pytest.raises(DataError, match=r"line 3 gives 'all\\\\b.png' a second subject, 'P2' after 'P1'"):
        found(tmp_path, written([("all/b.png", "P1"), ("all\\b.png", "P2")]))
    with pytest.raises(
        DataError, match=r"lines 2 and 3: both mean 'all/b.png', and give it the subjects 'P1' and 'P2'"
    ):
        found(tmp_path, written([("all/b.png", "P1"), ("/data/all/b.png", "P2")]))


def test_rows_of_files_that_are_not_asked_for_are_no_mistake(tmp_path):
    subjects, said = found(tmp_path, written(), FILES[:2], FILES[2:])
    assert subjects == {file: SUBJECTS[file] for file in FILES[:2]}
    assert said == []


def test_another_folder_of_the_same_name_is_not_meant(tmp_path):
    subjects, said = found(tmp_path, written([("elsewhere/b.png", "P1")]))
    assert subjects == {}
    assert said == ["a row names a file that is not in the source, 'elsewhere/b.png'"]


@pytest.mark.parametrize("name", ["HEM/C.PNG", "C.png", "C", "deep/D.V2.PNG", "/data/cells/Hem/c.png"])
def test_upper_and_lower_case_are_hinted_at_however_the_file_is_named(tmp_path, name):
    (tmp_path / "subjects.csv").write_text(written([(name, "P1")]), encoding="utf-8")
    listed = find_rows(read_subjects(tmp_path / "subjects.csv"), FILES)
    there = "hem/deep/d.v2.png" if "V2" in name else "hem/c.png"
    assert (listed.rows, listed.other_case) == ({}, {there})
    assert listed.remarks[0].reason.endswith(f"{name!r}; there is {there!r}, upper and lower case must agree")


@pytest.mark.parametrize("name", ["Nadia", "NA1", "N", "E+12", "1E5", "P1.0", "Null-7"])
def test_names_that_only_look_like_none(tmp_path, name):
    assert found(tmp_path, written([("all/b.png", name)]))[0] == {"all/b.png": name}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (written().encode("cp1252"), "line 2 has the byte 0xE9, which is not UTF-8"),
        (
            "file,age\na,1\n",
            r"needs the columns 'file' and 'subject' \(or 'patient'\), separated by commas; it has file, age",
        ),
        ("subject\nP1\n", "it has subject"),
        ("", "it has none"),
        ("file;subject\na;\n", "line 2: file or subject is empty: take the row out, and the image is left out"),
        ("file,subject\n", "has no rows below the names of its columns, file, subject"),
        *(
            (
                f"file,subject\na,P1\nb,{name}\n",
                f"line 3: the subject is '{re.escape(name)}', which stands for a missing one",
            )
            for name in ("NA", "#N/A", "nan", "<NA>", "None", "#VALUE!", "?", "Unknown")
        ),
        (
            "file,subject\na,1.23457E+12\nb,1.23457E+12\n",
            r"line 2: '1.23457E\+12' is a number that Excel has shortened",
        ),
        ("file;subject\na;1,2E+09\n", r"line 2: '1,2E\+09' is a number that Excel has shortened"),
        ("file,subject\n2E+11,P1\n", r"'2E\+11' is a number that Excel"),
        ('file,subject\na,P1\nb,"P2\nc,P3\nd,P4\n', "line 3: a quotation mark is opened and never closed"),
        ('file,subject,note\na,P1,"x\nb,P2,y\n', "line 2: a quotation mark is opened and never closed"),
        (
            'file,subject\na,"P1\nb,P2\nc,"P3"\n',
            "line 2: 'P1' goes on in the next line: is a quotation mark not closed",
        ),
        ('[\n {"file": "a", "subject": "b"}\n]', 'is a file of JSON; expected a table. In Excel: Save As, "CSV UTF-8"'),
        ("<html><table><tr><td>file</td></tr></table></html>", "is a web page .HTML.; expected a table"),
        ('<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>', "is a file of XML; expected a table"),
        ("ID;PWXL;N;E\r\n", "is a file of SYLK; expected a table"),
        (b"PK\x03\x04\x00", "is a ZIP archive; expected a text"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, content, expected):
    with pytest.raises(DataError, match=expected) as error:
        found(tmp_path, content)
    assert "subjects.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_whole_way(tmp_path):
    for file in FILES:
        (tmp_path / "cells" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cells" / unicodedata.normalize("NFD", file)).write_text(file, encoding="utf-8")
    table = tmp_path / "subjects.csv"
    table.write_bytes(("sep=;\r\n" + written(separator=";")).encode("utf-16"))
    images = find_images(tmp_path / "cells", subjects=read_subjects(table)).images
    assert sorted(image.subject for image in images) == ["P0", "P1", "P2", "P3"]
