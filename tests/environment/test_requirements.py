"""Requirements files inside of each other. Nothing is built here."""

from __future__ import annotations

import pytest

from mlp.environment import read
from mlp.environment.requirements import Line, inline, local_paths
from mlp.errors import EnvironmentInvalid


def texts(lines):
    return [line.text for line in lines]


@pytest.mark.parametrize(
    "written", ["-r more.txt", "-rmore.txt", "--requirement more.txt", "--requirement=more.txt", "-r 'more.txt'  # x"]
)
def test_files_are_put_in_their_place(tmp_path, written):
    (tmp_path / "more.txt").write_text("b\n\n# a remark\nc # another\n")
    found = inline([Line("a", "here"), Line(written, "here"), Line("d", "here")], [tmp_path])
    assert texts(found.lines) == ["a", "b", "c", "d"]
    assert found.lines[2].place == "more.txt:4"


@pytest.mark.parametrize("written", ["-c limits.txt", "--constraint=limits.txt"])
def test_constraints_are_kept_apart(tmp_path, written):
    (tmp_path / "limits.txt").write_text("-c nested.txt\na<2\n")
    (tmp_path / "nested.txt").write_text("b<3\n")
    found = inline([Line("a", "here"), Line(written, "here")], [tmp_path])
    assert (texts(found.lines), texts(found.constraints)) == (["a"], ["b<3", "a<2"])


def test_files_are_looked_for_beside_the_one_that_names_them(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "sub" / "b.txt").write_text("inner\n")
    (tmp_path / "b.txt").write_text("outer\n")
    assert texts(inline([Line("-r sub/a.txt", "here")], [tmp_path]).lines) == ["inner"]


def test_lines_can_be_continued(tmp_path):
    (tmp_path / "a.txt").write_text("numpy==1.0 \\\n  --hash=sha256:1 \\\n  --hash=sha256:2\nscipy\n")
    found = inline([Line("-r a.txt", "here")], [tmp_path]).lines
    assert [(" ".join(line.text.split()), line.place) for line in found] == [
        ("numpy==1.0 --hash=sha256:1 --hash=sha256:2", "a.txt:1"),
        ("scipy", "a.txt:4"),
    ]


def test_a_fragment_is_no_remark(tmp_path):
    url = "git+https://example.com/a.git#egg=a"
    assert texts(inline([Line(url, "here")], [tmp_path]).lines) == [url]


def test_a_file_on_a_server_is_left_to_uv(tmp_path):
    assert texts(inline([Line("-r https://example.com/a.txt", "here")], [tmp_path]).lines) == [
        "-r https://example.com/a.txt"
    ]


def test_files_that_include_each_other_are_told(tmp_path):
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("\n-r a.txt\n")
    with pytest.raises(EnvironmentInvalid, match=r"^b\.txt:2: a\.txt includes itself"):
        inline([Line("-r a.txt", "here")], [tmp_path])


def test_the_projects_root_is_where_files_are_looked_for(tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "requirements.txt").write_text("root\n")
    (tmp_path / "envs" / "python_env.yaml").write_text("dependencies: [-r requirements.txt]\n")
    assert read("python", tmp_path / "envs" / "python_env.yaml", project=tmp_path).pip == ("root",)


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (".", "."),
        (".[extra]", "."),
        ("-e .", "."),
        ("--editable=./lib[a,b]", "lib"),
        ("./lib ; python_version > '3'", "lib"),
        ("lib/pkg-1.0.tar.gz --hash=sha256:1", "lib/pkg-1.0.tar.gz"),
        ("pkg.whl", "pkg.whl"),
        ("numpy", None),
        ("numpy[a/b]", None),
        ("-e git+https://example.com/a.git", None),
        ("pkg @ https://example.com/pkg.whl", None),
        ("--find-links ./wheels", None),
        ("${HOME}/lib", None),
    ],
)
def test_what_lies_on_this_machine_is_recognized(tmp_path, line, target):
    (tmp_path / "lib").mkdir()
    for file in ("lib/pkg-1.0.tar.gz", "pkg.whl"):
        (tmp_path / file).touch()
    found = [path for _, path in local_paths([Line(line, "here")], tmp_path)]
    assert found == ([] if target is None else [(tmp_path / target).resolve()])


def test_a_direct_reference_to_this_machine_is_recognized(tmp_path):
    wheel = tmp_path / "a b.whl"
    wheel.touch()
    assert [path for _, path in local_paths([Line(f"pkg @ {wheel.as_uri()}", "here")], tmp_path)] == [wheel]
