"""A network that is judged on a folder: one class alone, folders of other names, without images, in other letters."""

import json

import pytest

from scratchnet.__main__ import main
from scratchnet.data.images import preprocessing
from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare.sources import find_images
from tests.small_data import save_image
from tests.small_runs import make_run, make_sides

NAMES = ("all", "hem")


def tree(folder, *paths):
    """A picture for each path; a text for a path that ends in .txt; a folder for one that ends in a slash."""
    for seed, path in enumerate(paths):
        if path.endswith("/"):
            (folder / path).mkdir(parents=True)
        elif path.endswith(".txt"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("x", encoding="utf-8")
        else:
            save_image(folder / path, seed)
    return folder


def found(folder, **options):
    result = find_images(folder, known=NAMES, **options)
    assert result.class_names == NAMES
    return {image.path: image.label for image in result.images}, {one.path: one.reason for one in result.left_out}


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["all/1.png", "all/2.png"], [0, 0]),
        (["HEM/1.png"], [1]),
        (["All/1.png", "HEM/1.png"], [0, 1]),
        (["P1/all/1.png", "P2/hem/1.png", "P2/all/3.png"], [0, 1, 0]),
        (["left/day 1/Hem/1.png"], [1]),
        (["all/hem/1.png"], [0]),  # the outer folder is the class
    ],
)
def test_a_folder_of_a_classs_name_is_that_class(tmp_path, paths, labels):
    assert found(tree(tmp_path, *paths))[0] == dict(zip(paths, labels, strict=True))


def test_folders_without_images_are_ignored_and_named(tmp_path):
    folder = tree(tmp_path, "all/1.png", "notes/readme.txt", "empty/", "hem/deep/", "stray.png")
    chosen, left_out = found(folder)
    assert chosen == {"all/1.png": 0}
    assert left_out == {
        "notes/": "1 file, none of them an image: ignored",
        "empty/": "an empty folder: ignored",
        "hem/": "an empty folder: ignored",
        "stray.png": "stands in no class folder",
    }


def test_a_class_folder_without_images_is_ignored_too(tmp_path):
    folder = tree(tmp_path, "all/1.png", "all/notes/a.txt", "hem/readme.txt", "x/y/b.txt")
    chosen, left_out = found(folder)
    assert chosen == {"all/1.png": 0}
    assert left_out == {place: "1 file, none of them an image: ignored" for place in ("all/notes/", "hem/", "x/")}
    assert list(found(folder, without=["hem"])[1]) == ["hem/", "all/notes/", "x/"]


def test_a_class_called_like_masks_is_judged(tmp_path):
    tree(tmp_path, "segmented/1.png", "band/1.png")
    result = find_images(tmp_path, known=("band", "segmented"))
    assert [image.label for image in result.images] == [0, 1]


def test_an_umlaut_may_be_written_in_two_ways(tmp_path):
    tree(tmp_path, "große Zellen u\N{COMBINING DIAERESIS}/1.png")
    result = find_images(tmp_path, known=("große Zellen ü", "andere"))
    assert [image.label for image in result.images] == [0]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["all/1.png", "blast/1.png"], "the folder 'blast' with 1 image is not one of the network's classes, which are all, hem: "
                                       "leave it out with --without blast"),
        (["all/1.png", "un known/raw/a", "un known/raw/b.txt"], '--without "un known/raw"'),
        (["x/1.png", "y/2.png"], "no folder in it is named like one of the network's classes, which are all, hem; it holds 'x', 'y'"),
        (["all/readme.txt"], "no image in it; its folder 'all' holds other files"),
        (["1.png"], "Put the images of a class into a folder of its name"),
        (["TRAIN/all/1.png", "TEST/all/1.png"], "holds the sides TEST, TRAIN: judge one of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused_with_the_remedy(tmp_path, paths, said):
    if any(path.endswith("/a") for path in paths):  # a picture without an extension
        save_image(tmp_path / "a.png").rename(tmp_path / "picture")
        (tmp_path / "un known/raw").mkdir(parents=True)
        (tmp_path / "picture").rename(tmp_path / "un known/raw/a")
        paths = [path for path in paths if not path.endswith("/a")]
    with pytest.raises(DataError) as error:
        found(tree(tmp_path, *paths))
    assert said in str(error.value)


def test_the_class_folder_itself_is_noticed(tmp_path):
    tree(tmp_path, "ALL/1.png")
    with pytest.raises(DataError, match="give the one above it"):
        found(tmp_path / "ALL")


@pytest.mark.parametrize("without", [["blast"], ["Blast"], ["blast/"]])
def test_a_folder_is_left_out_by_name(tmp_path, without):
    folder = tree(tmp_path, "all/1.png", "blast/1.png", "blast/2.png")
    chosen, left_out = found(folder, without=without)
    assert list(chosen) == ["all/1.png"]
    assert list(left_out.values()) == ["2 files, left out as asked"]


def test_a_side_is_left_out_by_name_and_a_slip_is_noticed(tmp_path):
    folder = tree(tmp_path, "TRAIN/all/1.png", "TEST/all/1.png", "TEST/hem/raw/1.png")
    assert list(found(folder, without=["train", "TEST/hem/raw"])[0]) == ["TEST/all/1.png"]
    with pytest.raises(ConfigError, match=r"--without trian: .* has no folder of that name"):
        found(folder, without=["trian"])


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Evaluates a network on a folder; returns the exit code and what was written as JSON."""
    folder = tmp_path_factory.mktemp("judged")
    run = make_run(folder / "run", make_sides(folder / "data"), about={"preprocessing": preprocessing(32)})

    def judge(data, *options):
        facts = folder / "facts.json"
        code = main(["evaluate", str(run.folder), str(data), "--json", str(facts), *options])
        return code, json.loads(facts.read_text(encoding="utf-8")) if code != 2 else {}

    return judge


@pytest.mark.parametrize("only", NAMES)
@pytest.mark.parametrize("subjects", [True, False])
def test_one_class_has_a_recall_and_no_area_under_the_curve(judge, tmp_path, capsys, only, subjects):
    tree(tmp_path, *(f"{only}/P{k // 2}_{k}.png" for k in range(6)), "notes/readme.txt")
    options = ["--bootstrap", "30", *(["--subject-pattern", r"(P\d+)_"] if subjects else [])]
    code, facts = judge(tmp_path, *options)
    printed = capsys.readouterr()
    assert code == 0
    images = facts["images"]
    assert images["count"] == 6
    assert (facts["subjects"] or {"count": None})["count"] == (3 if subjects else None)
    recall = images["per_class"][only]["recall"]
    assert recall["value"] == images["accuracy"]["value"] is not None
    found, undefined = ("sensitivity", "specificity") if only == "all" else ("specificity", "sensitivity")
    assert images[found]["value"] == recall["value"]
    for measure in (undefined, "roc_auc", "average_precision", "balanced_accuracy", "weighted_f1"):
        assert images[measure]["value"] is None
    assert f"All images are of '{only}'" in printed.out
    assert "ROC AUC and average precision are not defined" in printed.out
    assert "left out: notes/: 1 file" in printed.err
    assert "of 6 recognised" in printed.out


def test_a_class_of_shards_is_left_out(judge, tmp_path, capsys):
    data = make_sides(tmp_path / "data", ("all", "blast"))
    assert judge(data)[0] == 2
    assert (
        "class 'blast' is not one of the network's, which are all, hem: leave its images out" in capsys.readouterr().err
    )
    code, facts = judge(data, "--without", "blast", "--bootstrap", "0")
    assert code == 0
    assert facts["images"]["confusion"][1] == [0, 0]
    assert sum(facts["images"]["confusion"][0]) == facts["images"]["count"] == 6
