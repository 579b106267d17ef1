import os

import pytest
from small_data import make_cnmc, save_image

from data_prep.sources import find_images, read_subjects
from scratchnet.errors import ConfigError, DataError

needs_posix = pytest.mark.skipif(os.name == "nt", reason="names and links that Windows does not have")


def touch(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
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
        "prelim_test/all/": "2 files, the preliminary test set: only the training folds are read",
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
    assert "subject unknown" in reasons["fold_0/all/Thumbs.db"]
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
    assert found.layout == "by class"
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
        rf"{by_class}: no image to use: --subject-pattern 'zzz(\d+)' finds no subject in any path, e.g. in 'sick/C1_a.png'."
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
    assert left_out(found)["well/C3_d.png"] == "subject unknown: the CSV file does not list it"


def test_rows_that_name_no_file(by_class):
    table = by_class / "subjects.csv"
    rows = ["sick/C1_a.png,p1", "sick/C2_b.png,p2", "well/C3_d.png,p3"]
    table.write_text("\n".join(["file,subject", *rows, "sick/gone.png,p4"]))
    found = find_images(by_class, subjects=read_subjects(table))
    assert len(found.images) == 3
    reasons = [remark.reason for remark in found.left_out if remark.path == "subjects.csv"]
    assert "a row names a file that is not in the source, 'sick/gone.png'" in reasons
    table.write_text("\n".join(["file,subject", *rows[:2], "well/C3_d.PNG,p3", "sick/gone.png,p4"]))
    found = find_images(by_class, subjects=read_subjects(table))
    reasons = [remark.reason for remark in found.left_out if remark.path == "subjects.csv"]
    assert (
        "2 rows name files that are not in the source, the first 'well/C3_d.PNG'; there is 'well/C3_d.png', "
        "upper and lower case must agree" in reasons
    )
    assert "upper and lower case" in left_out(found)["well/C3_d.png"]
    assert left_out(found)["well/more/C1_c.png"] == "subject unknown: the CSV file does not list it"


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


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_with_another_separator(tmp_path, separator):
    table = touch(tmp_path / "subjects.csv", f"file{separator}subject\na.png{separator}p1\n")
    with pytest.raises(DataError, match=r"separated by .*; expected commas"):
        read_subjects(table)


def test_a_label_that_contradicts_the_folder(by_class):
    table = by_class / "subjects.csv"
    table.write_text("file,label,patient\nsick/C1_a.png,well,p1\nsick/C2_b.png,Sick,p2\nwell/C3_d.png,well,p3\n")
    found = find_images(by_class, subjects=read_subjects(table))
    assert left_out(found)["sick/C1_a.png"] == "mislabelled: the folder says sick, the CSV file says well"
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
    with pytest.raises(DataError, match=r"subjects\.csv: cannot be read"):
        read_subjects(tmp_path / "subjects.csv")


def test_folders_that_are_no_source(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_images(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"README\.md: is a file; expected a folder of images"):
        find_images(touch(tmp_path / "README.md"))
    with pytest.raises(DataError, match=r"holds no folder with files.*at least two folders"):
        find_images(tmp_path)
    touch(tmp_path / "only" / "a.png")
    with pytest.raises(DataError, match=r"holds one folder with files.*at least two folders"):
        find_images(tmp_path)


def test_train_and_test_are_no_classes(tmp_path):
    touch(tmp_path / "train" / "sick" / "a.png")
    touch(tmp_path / "Test" / "sick" / "a.png")
    with pytest.raises(DataError, match="no classes"):
        find_images(tmp_path)


@needs_posix
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


@needs_posix
def test_pipes_and_hidden_folders(by_class):
    os.mkfifo(by_class / "sick" / "pipe.png")
    touch(by_class / ".cache" / "a.png")
    assert left_out(find_images(by_class)) == {
        "sick/pipe.png": "not a regular file",
        ".cache/": "a hidden folder, not read",
    }


@needs_posix
def test_names_of_all_kinds(tmp_path):
    names = ["fold_0/all/UID_1_1_1_all.bmp", "sp ace/ü.png", "line\nbreak/細胞.png", "quote'\"/a.png"]
    for name in names[1:]:
        touch(tmp_path / name)
    with open(os.fsencode(tmp_path) + b"/sp ace/\xff.png", "wb") as file:
        file.write(b"x")
    paths = [image.path for image in find_images(tmp_path).images]
    assert set(names[1:]) < set(paths)
    assert "sp ace/\udcff.png" in paths
