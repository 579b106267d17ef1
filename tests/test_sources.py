"""Folders of images and tables of subjects: what is found in them, and what is refused."""

import os

import pytest
from file_systems import made_pipe, require_names
from small_data import make_cnmc, save_image

from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare.sources import find_images
from scratchnet.prepare.tables import read_prelim_labels, read_subjects

needs_links = pytest.mark.skipif(os.name == "nt", reason="links need a right there")


def touch(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def left_out(found):
    return {remark.path: remark.reason for remark in found.left_out}


def test_a_cnmc_tree(tmp_path):
    found = find_images(make_cnmc(tmp_path, subjects=3, images=2))
    assert found.layout == "C-NMC"
    assert found.class_names == ("all", "hem")
    assert len(found.images) == 12
    assert [image.path for image in found.images] == sorted(image.path for image in found.images)
    assert {image.subject for image in found.images if image.label == 0} == {"1", "2", "3"}
    assert {image.subject for image in found.images if image.label == 1} == {"H1", "H2", "H3"}
    assert {image.part for image in found.images} == {"fold_0", "fold_1"}
    assert all(image.file.is_file() for image in found.images)
    assert found.left_out == ()


def test_names_match_without_regard_to_case(tmp_path):
    for name in ("fold_0/ALL/uid_1_1_1_ALL.bmp", "FOLD_1/Hem/UID_h3_1_1_hem.BMP", "fold_1/hem/UID_H3_1_2_HEM.bmp"):
        touch(tmp_path / name)
    found = find_images(tmp_path)
    assert sorted((image.label, image.subject) for image in found.images) == [(0, "1"), (1, "H3"), (1, "H3")]


def test_the_folds_may_lie_deeper(tmp_path):
    touch(tmp_path / "C-NMC_Leukemia" / "training_data" / "fold_0" / "all" / "UID_1_1_1_all.bmp")
    assert find_images(tmp_path).images[0].path == "C-NMC_Leukemia/training_data/fold_0/all/UID_1_1_1_all.bmp"


def test_what_stands_outside_the_folds_is_said(tmp_path):
    make_cnmc(tmp_path)
    touch(tmp_path / "prelim_test" / "all" / "1.bmp")
    touch(tmp_path / "prelim_test" / "all" / "2.bmp")
    touch(tmp_path / "index.csv")
    touch(tmp_path / "fold_0" / "notes.txt")
    assert left_out(find_images(tmp_path)) == {
        "prelim_test/all/": "2 files, the preliminary test set: only --split prelim reads it",
        "index.csv": "stands outside the training folds",
        "fold_0/": "1 file, outside the training folds",
    }


def test_mislabelled_and_unnamed_files_in_the_folds(tmp_path):
    make_cnmc(tmp_path)
    touch(tmp_path / "fold_0" / "all" / "UID_H9_1_1_hem.bmp")
    touch(tmp_path / "fold_0" / "hem" / "UID_9_1_1_ALL.bmp")
    touch(tmp_path / "fold_0" / "all" / "Thumbs.db")
    touch(tmp_path / "fold_0" / "all" / "UID_1_1_all.bmp")
    reasons = left_out(find_images(tmp_path))
    assert reasons["fold_0/all/UID_H9_1_1_hem.bmp"] == "mislabelled: the folder says all, the name says hem"
    assert reasons["fold_0/hem/UID_9_1_1_ALL.bmp"] == "mislabelled: the folder says hem, the name says all"
    assert reasons["fold_0/all/Thumbs.db"] == "left by the operating system, not an image"
    assert "subject unknown" in reasons["fold_0/all/UID_1_1_all.bmp"]
    assert len(reasons) == 4


@pytest.fixture
def by_class(tmp_path):
    for name in ("sick/C1_a.png", "sick/C2_b.png", "well/more/C1_c.png", "well/C3_d.png"):
        touch(tmp_path / name)
    return tmp_path


def test_one_folder_per_class(by_class):
    touch(by_class / "readme.txt")
    found = find_images(by_class)
    assert found.layout == "{class}"
    assert found.class_names == ("sick", "well")
    assert [(image.path, image.label, image.subject) for image in found.images] == [
        ("sick/C1_a.png", 0, None),
        ("sick/C2_b.png", 0, None),
        ("well/C3_d.png", 1, None),
        ("well/more/C1_c.png", 1, None),
    ]
    assert left_out(found) == {"readme.txt": "stands in no class folder"}


@pytest.mark.parametrize("pattern", [r"/(C\d)_", r"(well|sick)/(?:more/)?(?P<subject>C\d)"])
def test_subjects_from_a_pattern(by_class, pattern):
    assert [image.subject for image in find_images(by_class, subject_pattern=pattern).images] == [
        "C1",
        "C2",
        "C3",
        "C1",
    ]


def test_a_pattern_that_does_not_match(by_class):
    reasons = left_out(find_images(by_class, subject_pattern=r"sick/(C\d)"))
    assert set(reasons) == {"well/C3_d.png", "well/more/C1_c.png"}
    assert "--subject-pattern" in reasons["well/C3_d.png"]
    touch(by_class / "readme.txt")  # what stands outside the classes is not the reason
    with pytest.raises(DataError) as error:
        find_images(by_class, subject_pattern=r"zzz(\d+)")
    assert str(error.value) == (
        rf"{by_class}: no image to use: --subject-pattern 'zzz(\d+)' finds no subject in any file's name, e.g. in 'C1_a.png'."
    )


def test_patterns_that_cannot_work(by_class):
    with pytest.raises(ConfigError, match="not a regular expression"):
        find_images(by_class, subject_pattern="(")
    with pytest.raises(ConfigError, match="no group"):
        find_images(by_class, subject_pattern="C[0-9]")


@pytest.mark.parametrize("header", ["file,subject", "file,label,patient", "\ufeffFile,Patient"])
def test_subjects_from_a_csv_file(by_class, header):
    label = "sick," if "label" in header else ""
    table = by_class / "subjects.csv"
    table.write_text(f"{header}\nsick/C1_a.png,{label}p1\nsick\\C2_b.png,{label}p2\n", encoding="utf-8")
    found = find_images(by_class, subjects=read_subjects(table))
    assert [image.subject for image in found.images] == ["p1", "p2"]
    assert left_out(found)["well/C3_d.png"] == "subject unknown: the table does not list it"


def test_rows_that_name_no_file(by_class):
    table = by_class / "subjects.csv"
    rows = ["sick/C1_a.png,p1", "sick/C2_b.png,p2", "well/C3_d.png,p3"]
    table.write_text("\n".join(["file,subject", *rows, "sick/gone.png,p4"]), encoding="utf-8")
    found = find_images(by_class, subjects=read_subjects(table))
    assert len(found.images) == 3
    reasons = [remark.reason for remark in found.left_out if remark.path == "subjects.csv"]
    assert "a row names a file that is not in the source, 'sick/gone.png'" in reasons
    table.write_text("\n".join(["file,subject", *rows[:2], "well/C3_d.PNG,p3", "sick/gone.png,p4"]), encoding="utf-8")
    found = find_images(by_class, subjects=read_subjects(table))
    reasons = [remark.reason for remark in found.left_out if remark.path == "subjects.csv"]
    assert (
        "2 rows name files that are not in the source, the first 'well/C3_d.PNG'; there is 'well/C3_d.png', "
        "upper and lower case must agree" in reasons
    )
    assert "upper and lower case" in left_out(found)["well/C3_d.png"]
    assert left_out(found)["well/more/C1_c.png"] == "subject unknown: the table does not list it"


@pytest.mark.parametrize(("ending", "hint"), [("png", "."), ("PNG", ". Upper and lower case must agree.")])
def test_a_csv_file_of_another_folder(by_class, ending, hint):
    folder = "sick" if ending == "PNG" else "elsewhere"
    table = touch(by_class / "subjects.csv", f"file,subject\n{folder}/C1_a.{ending},p1\n")
    with pytest.raises(DataError) as error:
        find_images(by_class, subjects=read_subjects(table))
    assert str(error.value) == (
        f"{by_class}: no image to use: subjects.csv lists none of the files. It names '{folder}/C1_a.{ending}'; "
        f"expected paths in the source, such as 'sick/C1_a.png'{hint}"
    )


def test_a_label_that_contradicts_the_folder(by_class):
    table = by_class / "subjects.csv"
    table.write_text(
        "file,label,patient\nsick/C1_a.png,well,p1\nsick/C2_b.png,Sick,p2\nwell/C3_d.png,well,p3\n", encoding="utf-8"
    )
    found = find_images(by_class, subjects=read_subjects(table))
    assert left_out(found)["sick/C1_a.png"] == "mislabelled: the folder says sick, the table says well"
    assert len(found.images) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n1,2\n", b"file\nx\n", b"file,subject\nx,\n", b"file,subject\n,p\n", b"file,subject\nx\n",
     b"file,subject\nx,p\nx,q\n", b"file,subject\n\xff\xfe,p\n", b"file,subject\n" + b"x" * 200_000],
)  # fmt: skip
def test_csv_files_that_cannot_work(tmp_path, content):
    (tmp_path / "subjects.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"subjects\.csv"):
        read_subjects(tmp_path / "subjects.csv")


def test_a_missing_csv_file(tmp_path):
    with pytest.raises(DataError, match=r"subjects\.csv cannot be read"):
        read_subjects(tmp_path / "subjects.csv")


def test_folders_that_are_no_source(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_images(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"README\.md is a text; expected a folder of images"):
        find_images(touch(tmp_path / "README.md"))
    with pytest.raises(DataError, match=r"holds no folder with images.*at least two folders"):
        find_images(tmp_path)
    touch(tmp_path / "only" / "a.png")
    with pytest.raises(DataError, match=r"holds one folder with images \(only\).*at least two folders"):
        find_images(tmp_path)


@needs_links
def test_links(by_class, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    secret = save_image(outside / "secret.png")
    (by_class / "sick" / "out.png").symlink_to(secret)
    (by_class / "sick" / "relative.png").symlink_to(os.path.relpath(secret, by_class / "sick"))
    (by_class / "sick" / "inside.png").symlink_to(by_class / "well" / "C3_d.png")
    (by_class / "sick" / "nowhere.png").symlink_to(outside / "missing.png")
    (by_class / "sick" / "circle.png").symlink_to(by_class / "sick" / "circle.png")
    (by_class / "folder").symlink_to(outside)
    (by_class / "well" / "up").symlink_to(by_class)
    found = find_images(by_class)
    assert left_out(found) == {
        "sick/out.png": "a link that leads out of the source, not followed",
        "sick/relative.png": "a link that leads out of the source, not followed",
        "sick/nowhere.png": "a link that leads nowhere",
        "sick/circle.png": "a link that leads nowhere",
        "folder": "a link to a folder, not followed",
        "well/up": "a link to a folder, not followed",
    }
    assert "sick/inside.png" in [image.path for image in found.images]


def test_pipes_and_hidden_folders(by_class):
    pipe = {"sick/pipe.png": "not a regular file"} if made_pipe(by_class / "sick" / "pipe.png") else {}
    touch(by_class / ".cache" / "a.png")
    assert left_out(find_images(by_class)) == {**pipe, ".cache/": "a hidden folder, not read"}


def test_names_of_all_kinds(tmp_path):
    require_names(tmp_path, "line\nbreak", "quote'\"", "\udcff.png")
    names = ["fold_0/all/UID_1_1_1_all.bmp", "sp ace/ü.png", "line\nbreak/細胞.png", "quote'\"/a.png"]
    for name in names[1:]:
        touch(tmp_path / name)
    with open(os.fsencode(tmp_path) + b"/sp ace/\xff.png", "wb") as file:
        file.write(b"x")
    paths = [image.path for image in find_images(tmp_path).images]
    assert set(names[1:]) < set(paths)
    assert "sp ace/\udcff.png" in paths


PRELIM_ROWS = [("UID_57_29_1_all.bmp", 1), ("UID_57_22_2_all.bmp", 1), ("UID_H49_35_1_hem.bmp", 0)]


def make_prelim(folder, table, rows=PRELIM_ROWS, extension=".bmp"):
    """The preliminary test set: numbered files, and the table that tells who they are."""
    for number in range(1, len(rows) + 1):
        touch(folder / f"{number}{extension}")
    lines = [f"{name},{number}.bmp,{label}" for number, (name, label) in enumerate(rows, 1)]
    touch(table, "\n".join(["Patient_ID,new_names,labels", *lines]) + "\n")


TREES = {  # as published by The Cancer Imaging Archive, by the challenge, on Kaggle, and by those who unpack with care
    "tcia": (
        "PKG - C-NMC 2019/C-NMC_training_data/fold_{fold}/fold_{fold}",
        "PKG - C-NMC 2019/C-NMC_test_prelim_phase_data/C-NMC_test_prelim_phase_data",
        "PKG - C-NMC 2019/C-NMC_test_prelim_phase_data/C-NMC_test_prelim_phase_data_labels.csv",
        "PKG - C-NMC 2019/C-NMC_test_final_phase_data",
    ),
    "kaggle": (
        "C-NMC_Leukemia/training_data/fold_{fold}",
        "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data",
        "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data_labels.csv",
        "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data",
    ),
    "challenge": ("fold_{fold}", "phase2", "phase2.csv", "phase3"),
    "shouted": ("FOLD_{fold}", "C-NMC_TEST_PRELIM_PHASE_DATA", "c-nmc_test_prelim_phase_data_labels.CSV", "FINAL"),
}


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("prelim", [True, False])
@pytest.mark.parametrize("extension", [".bmp", ".BMP", ".png"])
def test_cnmc_as_it_is_distributed(tmp_path, tree, prelim, extension):
    folds, test_set, table, final = TREES[tree]
    for fold, name in enumerate(("all/UID_11_10_1_all", "hem/UID_H10_2_1_hem", "hem/UID_h3_1_1_hem")):
        touch(tmp_path / folds.format(fold=fold) / f"{name}{extension}")
    make_prelim(tmp_path / test_set, tmp_path / table, extension=extension)
    for number in range(1, 6):
        touch(tmp_path / final / f"{number}{extension}")  # the same numbers, other cells, no labels
    touch(tmp_path / "__MACOSX" / "fold_0" / "all" / "._UID_11_10_1_all.bmp")
    found = find_images(tmp_path, prelim=prelim)
    folds_only = {("fold_0", 0, "11"), ("fold_1", 1, "H10"), ("fold_2", 1, "H3")}
    listed = [(image.part, image.label, image.subject) for image in found.images]
    assert folds_only <= set(listed)
    assert sorted(set(listed) - folds_only) == ([("prelim", 0, "57"), ("prelim", 1, "H49")] if prelim else [])
    assert len(listed) == (6 if prelim else 3)
    reasons = left_out(found)
    assert reasons["__MACOSX/"] == "a hidden folder, not read"
    assert reasons[f"{final}/"] == "5 files, outside the training folds"
    assert (reasons.get(f"{test_set}/") is None) == prelim
    if prelim:
        assert set(reasons) == {"__MACOSX/", f"{final}/"}


def test_the_preliminary_test_set_sorted_into_classes(tmp_path):
    make_cnmc(tmp_path)
    touch(tmp_path / "prelim_test" / "ALL" / "UID_57_8_11_all.png")
    touch(tmp_path / "prelim_test" / "hem" / "UID_H49_29_2_hem.png")
    touch(tmp_path / "prelim_test" / "hem" / "UID_50_29_2_all.png")
    found = find_images(tmp_path, prelim=True)
    assert [(image.label, image.subject) for image in found.images if image.part == "prelim"] == [(0, "57"), (1, "H49")]
    assert (
        left_out(found)["prelim_test/hem/UID_50_29_2_all.png"] == "mislabelled: the folder says hem, the name says all"
    )


def test_what_table_and_files_of_the_preliminary_test_set_miss(tmp_path):
    make_cnmc(tmp_path)
    folder, table = tmp_path / "prelim", tmp_path / "labels.csv"
    make_prelim(folder, table, [*PRELIM_ROWS, ("UID_60_1_1_all.bmp", 0), ("UID_61_1_1_all.bmp", 1)])
    touch(folder / "77.bmp")
    (folder / "5.bmp").unlink()
    assert left_out(find_images(tmp_path, prelim=True)) == {
        "prelim/77.bmp": "label unknown: labels.csv does not list it",
        "prelim/4.bmp": "mislabelled: the table says hem, the name says all",
        "labels.csv": "1 row without a file in the source",
    }
    table.unlink()
    with pytest.raises(DataError, match="no labelled image of a preliminary test set"):
        find_images(tmp_path, prelim=True)
    touch(folder / "all" / "UID_60_1_1_all.bmp")
    assert (
        left_out(find_images(tmp_path, prelim=True))["prelim/"]
        == "5 files, label unknown: the source lacks C-NMC_test_prelim_phase_data_labels.csv"
    )


def test_no_preliminary_test_set(tmp_path, by_class):
    with pytest.raises(DataError, match="has no fold_0/all"):
        find_images(by_class, prelim=True)
    with pytest.raises(DataError, match="no labelled image of a preliminary test set"):
        find_images(make_cnmc(tmp_path / "cnmc"), prelim=True)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("UID_1_1_1_all.bmp,1.bmp,2", r"line 3: .*; expected a name, a new name, and 1 \(all\) or 0 \(hem\)"),
        (",1.bmp,1", "line 3"),
        ("UID_1_1_1_all.bmp,,1", "line 3"),
        ("UID_1_1_1_all.bmp", "line 3"),
        ("UID_1_1_1_all.bmp,9.BMP,1", r"line 3: a second row for '9\.BMP'"),
    ],
)
def test_rows_of_the_preliminary_table_that_make_no_sense(tmp_path, row, expected):
    table = touch(tmp_path / "labels.csv", f"Patient_ID,new_names,labels\nUID_2_1_1_all.bmp,9.bmp,1\n{row}\n")
    with pytest.raises(DataError, match=expected):
        read_prelim_labels(table)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"file,subject\na,b\n", b"Patient_ID new_names labels\n"])
def test_other_tables_are_not_the_preliminary_one(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert read_prelim_labels(tmp_path / "a.csv") is None


def test_two_tables_of_the_preliminary_test_set(tmp_path):
    make_cnmc(tmp_path)
    make_prelim(tmp_path / "prelim", tmp_path / "prelim" / "labels.csv")
    make_prelim(tmp_path / "prelim", tmp_path / "copy.csv")
    assert len(find_images(tmp_path, prelim=True).images) == 33
    make_prelim(tmp_path / "prelim", tmp_path / "copy.csv", PRELIM_ROWS[::-1])
    with pytest.raises(DataError, match="name other cells by the same numbers"):
        find_images(tmp_path, prelim=True)
    assert len(find_images(tmp_path).images) == 30  # tables that are not needed do no harm


def test_cnmc_names_tell_subjects_without_the_folds_too(tmp_path):
    for name in ("ALL/UID_7_1_1_all.bmp", "ALL/7.bmp", "hem/UID_h9_1_1_hem.bmp", "hem/UID_8_1_1_all.bmp"):
        touch(tmp_path / name)
    found = find_images(tmp_path)
    assert found.class_names == ("ALL", "hem")
    assert [(image.path, image.subject) for image in found.images] == [
        ("ALL/UID_7_1_1_all.bmp", "7"),
        ("hem/UID_h9_1_1_hem.bmp", "H9"),
    ]
    assert set(left_out(found)) == {"ALL/7.bmp", "hem/UID_8_1_1_all.bmp"}
