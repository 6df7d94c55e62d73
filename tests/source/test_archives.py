"""Projects in zip archives, from this machine and from a web server."""

from __future__ import annotations

import base64
import io
import logging
import random
import shutil
import socket
import stat
import zipfile

import pytest

from mlp.errors import (
    AuthenticationFailed,
    MlpError,
    SourceError,
    SourceInvalid,
    SourceNotFound,
    SourceUnavailable,
    UsageError,
)
from mlp.source import Access, Bounds, Location, fetch_archive, locate, repository_of
from tests.source import repositories, web

FILES = {"MLproject": "name: x\n", "sub dir/MLproject": "name: y\n", "sub dir/größe.txt": "é"}


def member(name, *, mode=0, system=3):
    info = zipfile.ZipInfo(name)
    info.create_system = system
    info.external_attr = mode << 16
    return info


def link(name, target):
    return member(name, mode=stat.S_IFLNK | 0o777), target


def packed(*members, compression=zipfile.ZIP_DEFLATED):
    """An archive of pairs of a name (or a ZipInfo) and a content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def unpack(tmp_path):
    """Unpack bytes from a file; the directory is `tmp_path/out`."""

    def call(data, fragment="", **options):
        archive = tmp_path / "project.zip"
        archive.write_bytes(data)
        return fetch_archive(locate(f"{archive}{fragment}", local=True), tmp_path / "out", **options)

    return call


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """Temporary files go away, however a call ends."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    yield
    assert list(temporary.iterdir()) == []


@pytest.fixture
def server():
    with web.serving() as server:
        server.answers["/p.zip"] = web.Answer(packed(*FILES.items()))
        yield server


class TestLocation:
    def test_an_archive_is_a_place_of_its_own(self, tmp_path, monkeypatch):
        (tmp_path / "my p.ZIP").touch()
        monkeypatch.chdir(tmp_path)
        for uri in ("my p.ZIP", "'my p.ZIP'", "./my p.ZIP", (tmp_path / "my p.ZIP").as_uri()):
            assert locate(uri, local=True) == Location(f"{tmp_path}/my p.ZIP", "", "archive")
        assert locate("my p.ZIP#a/b", local=True) == Location(f"{tmp_path}/my p.ZIP", "a/b", "archive")
        assert locate("https://h/a/p.zip#sub", local=True) == Location("https://h/a/p.zip", "sub", "archive")
        assert locate("http://h/p.zip?ref=main", local=True).kind == "archive"
        assert locate("https://h/a/p.zip", local=True).name == "p"

    def test_a_directory_or_a_repository_may_be_called_like_one(self, tmp_path):
        (tmp_path / "p.zip").mkdir()
        assert locate(str(tmp_path / "p.zip"), local=True).kind == "directory"
        assert locate("https://h/p.zip.git", local=True).kind == "git"
        assert locate("git@h:p.zip", local=True).kind == "git"

    @pytest.mark.parametrize("uri", ["https://h/p.zip", "p.zip", "./p.zip", "/srv/p.zip", "file:///srv/p.zip#sub"])
    def test_a_run_elsewhere_cannot_use_one(self, uri):
        with pytest.raises(SourceInvalid, match=r"zip archive, which only a run on one's own machine can use"):
            locate(uri, local=False)

    @pytest.mark.parametrize("uri", ["nix.zip", "/nowhere/nix.zip", "file:///nowhere/nix.zip#sub"])
    def test_one_that_is_not_there_is_told_as_such(self, uri):
        with pytest.raises(SourceNotFound, match=r"There is no zip archive '.*nix\.zip'"):
            locate(uri, local=True)

    def test_one_that_has_gone_meanwhile_is_told_as_such(self, tmp_path):
        location = Location(str(tmp_path / "gone.zip"), "", "archive")
        with pytest.raises(SourceNotFound, match="There is no zip archive"):
            fetch_archive(location, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("uri", ["https://bob:hunter2@h/p.zip", "https://h/p.zip?X-Amz-Signature=hunter2"])
    def test_credentials_in_its_address_are_refused_and_never_repeated(self, uri):
        with pytest.raises(SourceInvalid, match="credentials") as caught:
            locate(uri, local=True)
        assert "hunter2" not in str(caught.value)

    def test_a_version_of_one_is_refused_in_mlflows_words(self, tmp_path):
        (tmp_path / "p.zip").touch()
        for uri in (str(tmp_path / "p.zip"), "https://h/p.zip"):
            with pytest.raises(SourceInvalid, match="Setting a version is only supported for Git project URIs"):
                repository_of(locate(uri, local=True))


class TestContent:
    def test_all_files_are_unpacked(self, unpack, tmp_path):
        assert unpack(packed(*FILES.items())) == tmp_path / "out"
        assert repositories.files_below(tmp_path / "out") == set(FILES)
        assert (tmp_path / "out/sub dir/größe.txt").read_text() == "é"

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_any_compression_will_do(self, unpack, tmp_path, compression):
        unpack(packed(*FILES.items(), compression=compression))
        assert repositories.files_below(tmp_path / "out") == set(FILES)

    def test_a_subdirectory_is_the_project(self, unpack, tmp_path):
        assert unpack(packed(*FILES.items()), "#sub dir") == tmp_path / "out/sub dir"

    def test_a_missing_subdirectory_is_told_in_mlflows_words(self, unpack, tmp_path):
        with pytest.raises(SourceNotFound, match=r"Could not find subdirectory nix of .*project\.zip"):
            unpack(packed(*FILES.items()), "#nix")
        assert not (tmp_path / "out").exists()

    def test_the_only_directory_is_the_project_where_the_root_is_none(self, unpack, tmp_path, caplog):
        with caplog.at_level(logging.INFO, "mlp"):
            found = unpack(packed(("x-main/MLproject", "name: x\n"), ("x-main/a/b.py", ""), ("__MACOSX/._x", "")))
        assert found == tmp_path / "out/x-main"
        assert "only directory, x-main" in caplog.text

    def test_a_subdirectory_is_looked_for_in_the_only_directory_too(self, unpack, tmp_path):
        assert unpack(packed(("x-main/a/MLproject", "")), "#a") == tmp_path / "out/x-main/a"

    @pytest.mark.parametrize(
        ("members", "fragment", "expected"),
        [
            # As MLflow: without an MLproject file the root is a project too.
            ([("x-main/train.py", "")], "", ""),
            ([("x-main/MLproject", ""), ("README", "")], "", ""),
            ([("a/MLproject", ""), ("b/MLproject", "")], "", ""),
            ([("x-main/MLproject", "")], "#x-main", "x-main"),
            ([("x/x/MLproject", "")], "#x", "x"),
        ],
    )
    def test_the_root_is_the_root_otherwise(self, unpack, tmp_path, members, fragment, expected):
        assert unpack(packed(*members), fragment) == tmp_path / "out" / expected

    def test_modes_are_kept_but_for_what_others_could_abuse(self, unpack, tmp_path):
        unpack(
            packed(
                (member("run.sh", mode=stat.S_IFREG | 0o755), ""),
                (member("secret", mode=stat.S_IFREG | 0o600), ""),
                (member("evil", mode=stat.S_IFREG | 0o6777), ""),
                (member("sealed", mode=stat.S_IFREG | 0o444), ""),
                (member("dos.txt", mode=0o001, system=0), ""),
            )
        )
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
        assert modes["run.sh"] == 0o755
        assert modes["secret"] == 0o600
        assert modes["evil"] == 0o755
        assert modes["sealed"] == 0o644
        assert modes["dos.txt"] & 0o111 == 0

    def test_links_inside_are_kept(self, unpack, tmp_path):
        unpack(packed(("a/b/file", "content"), link("a/link", "b/file"), link("up", "a/b"), link("a/b/top", "../..")))
        assert (tmp_path / "out/a/link").read_text() == "content"
        assert (tmp_path / "out/up/file").read_text() == "content"
        assert (tmp_path / "out/a/b/top").resolve() == (tmp_path / "out").resolve()

    def test_an_empty_directory_that_exists_is_filled_and_another_is_left_alone(self, unpack, tmp_path):
        (tmp_path / "out").mkdir()
        before = (tmp_path / "out").stat().st_ino
        unpack(packed(*FILES.items()))
        assert (tmp_path / "out").stat().st_ino == before
        with pytest.raises(UsageError, match="is not empty"):
            unpack(packed(*FILES.items()))
        assert repositories.files_below(tmp_path / "out") == set(FILES)


class TestHostileArchives:
    @pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a/..", "//evil"])
    def test_a_name_that_leads_out_is_refused_in_mlflows_words(self, unpack, tmp_path, name):
        with pytest.raises(SourceInvalid) as caught:
            unpack(packed(("good", "1"), (name, "evil")))
        assert str(caught.value).startswith(f"Zip file member {name} attempts path traversal")
        assert not (tmp_path / "out").exists()
        assert {path.name for path in tmp_path.iterdir()} == {"project.zip", "temporary"}

    @pytest.mark.parametrize(
        "members",
        [
            [link("out", "/etc")],
            [link("out", "..")],
            [link("a/out", "../..")],
            [link("here", "{out}")],
            # Each stays inside by its letters; one through the other does not.
            [("a/b/f", ""), link("a/b/up", "../.."), link("a/out", "b/up/..")],
            [link("self", "self")],
            [link("one", "two"), link("two", "one")],
            [link("out", "x" * 5000)],
            [link("a/out", "../../{name}/x")],
        ],
    )
    def test_a_link_that_leads_out_is_refused(self, unpack, tmp_path, members):
        filled = [
            (info, text.format(out=tmp_path / "out", name=tmp_path.name) if isinstance(text, str) else text)
            for info, text in members
        ]
        with pytest.raises(SourceInvalid, match="has a link"):
            unpack(packed(*filled))
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("members", "words"),
        [
            ([link("d", "/tmp"), ("d/evil", "x")], "both a file and a directory called d"),
            ([("a", "1"), ("a/b", "2")], "both a file and a directory called a"),
            ([("a/b", "2"), ("a", "1")], "both a file and a directory called a"),
            ([("a", "1"), ("a/", "")], "both a file and a directory called a"),
            ([(".", "1")], r"both a file and a directory called \."),
            ([(member("pipe", mode=stat.S_IFIFO | 0o666), "")], "neither a file, a directory nor a link: pipe"),
            ([(member("disk", mode=stat.S_IFBLK | 0o666), "")], "neither a file, a directory nor a link: disk"),
            ([("x" * 300, "")], "has a name that cannot be written here"),
        ],
    )
    def test_what_cannot_be_on_a_disk_is_refused(self, unpack, tmp_path, members, words):
        with pytest.raises(SourceInvalid, match=words):
            unpack(packed(*members))
        assert not (tmp_path / "out").exists()

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_a_name_that_occurs_twice_is_refused(self, unpack, tmp_path):
        with pytest.raises(SourceInvalid, match="two members called a"):
            unpack(packed(("a", "1"), ("./a", "2")))
        assert not (tmp_path / "out").exists()

    def test_an_archive_that_unfolds_to_too_much_is_refused(self, unpack, tmp_path):
        bounds = Bounds(unpacked=1_000_000)
        unpack(packed(("zeros", bytes(1_000_000))), bounds=bounds)
        (tmp_path / "out/zeros").unlink()
        for members in ([("zeros", bytes(1_000_001))], [("a", bytes(600_000)), ("b", bytes(600_000))]):
            with pytest.raises(SourceInvalid, match="at most 1,000,000 are unpacked"):
                unpack(packed(*members), bounds=bounds)
            assert list((tmp_path / "out").iterdir()) == []

    def test_one_that_lies_about_its_sizes_is_refused_and_writes_no_more(self, unpack, tmp_path, monkeypatch):
        data = bytearray(packed(("zeros", bytes(5_000_000))))
        sizes = [position for position in range(len(data) - 3) if data[position : position + 4] == b"\x40\x4b\x4c\x00"]
        assert len(sizes) == 2  # beside the content, and in the directory
        for position in sizes:
            data[position : position + 4] = (1000).to_bytes(4, "little")
        written: list[int] = []
        clear = shutil.rmtree
        monkeypatch.setattr("shutil.rmtree", lambda path: (written.append(repositories.size_of(path)), clear(path)))
        with pytest.raises(SourceInvalid, match="is damaged"):
            unpack(bytes(data), bounds=Bounds(unpacked=1_000_000))
        assert len(written) == 1
        assert written[0] <= 1000
        assert not (tmp_path / "out").exists()

    def test_one_of_too_many_members_or_bytes_is_refused(self, unpack, tmp_path):
        data = packed(*((str(number), "") for number in range(11)))
        with pytest.raises(SourceInvalid, match="has 11 members, and 10 are allowed"):
            unpack(data, bounds=Bounds(members=10))
        with pytest.raises(SourceInvalid, match=r"is larger than 100 bytes"):
            unpack(data, bounds=Bounds(packed=100))
        assert not (tmp_path / "out").exists()

    def test_one_that_wants_a_password_is_refused(self, unpack, tmp_path):
        data = bytearray(packed(("a", "secret")))
        for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            data[data.index(signature) + offset] |= 1
        with pytest.raises(SourceInvalid, match=r"is encrypted \(a is\)"):
            unpack(bytes(data))
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html>", b"PK\5\6" + bytes(3)])
    def test_what_is_no_archive_is_refused(self, unpack, tmp_path, data):
        with pytest.raises(SourceInvalid, match="is damaged, or no zip archive"):
            unpack(data)
        assert not (tmp_path / "out").exists()

    def test_damage_is_always_noticed_or_harmless(self, unpack, tmp_path):
        contents = {f"d/{number}": repositories.noise(200, number) for number in range(8)}
        methods = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number, (name, content) in enumerate(contents.items()):
                archive.writestr(name, content, compress_type=methods[number % 4])
        whole, chance, refused = buffer.getvalue(), random.Random(3), 0
        (tmp_path / "out").mkdir()
        for _ in range(300):
            data = bytearray(whole)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            try:
                unpack(bytes(data))
            except SourceInvalid:
                refused += 1
            else:
                found = {path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
                assert found <= set(contents.values())
                for path in sorted((tmp_path / "out").rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
            assert list((tmp_path / "out").iterdir()) == []
        assert refused > 200


class TestDownload:
    def fetch(self, server, tmp_path, path="/p.zip", **options):
        return fetch_archive(locate(f"{server.url}{path}", local=True), tmp_path / "out", **options)

    def test_an_archive_comes_from_a_web_server(self, server, tmp_path):
        assert self.fetch(server, tmp_path, "/p.zip#sub dir") == tmp_path / "out/sub dir"
        assert repositories.files_below(tmp_path / "out") == set(FILES)

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (404, SourceNotFound),
            (410, SourceNotFound),
            (401, AuthenticationFailed),
            (403, AuthenticationFailed),
            (400, SourceInvalid),
            (429, SourceUnavailable),
            (500, SourceUnavailable),
            (503, SourceUnavailable),
        ],
    )
    def test_an_error_of_the_server_is_told_in_mlflows_words(self, server, tmp_path, status, error):
        server.answers["/p.zip"] = web.Answer(status=status)
        with pytest.raises(SourceError, match=rf"^Unable to retrieve ZIP file\. Reason: {status} ") as caught:
            self.fetch(server, tmp_path)
        assert type(caught.value) is error
        assert not (tmp_path / "out").exists()

    def test_a_server_that_cannot_be_reached_is_temporary(self, tmp_path):
        with socket.socket() as bound:  # and does not listen
            bound.bind(("127.0.0.1", 0))
            location = Location(f"http://127.0.0.1:{bound.getsockname()[1]}/p.zip", "", "archive")
            with pytest.raises(SourceUnavailable, match=r"^Unable to retrieve ZIP file\. Reason: "):
                fetch_archive(location, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_broken_connection_is_temporary(self, server, tmp_path):
        whole = server.answers["/p.zip"].body
        server.answers["/p.zip"] = web.Answer(whole[:-30], length=len(whole))
        with pytest.raises(SourceUnavailable, match="Unable to retrieve ZIP file"):
            self.fetch(server, tmp_path)
        assert not (tmp_path / "out").exists()

    def test_a_server_that_never_ends_is_given_up(self, server, tmp_path):
        server.answers["/p.zip"] = web.Answer(bytes(100_000), trickles=True)
        with pytest.raises(SourceUnavailable, match=r"not there within 0\.5 seconds"):
            self.fetch(server, tmp_path, timeout=0.5)
        assert not (tmp_path / "out").exists()

    def test_an_archive_that_is_too_large_is_given_up(self, server, tmp_path):
        server.answers["/p.zip"] = web.Answer(bytes(500_000))
        with pytest.raises(SourceInvalid, match="larger than 100,000 bytes"):
            self.fetch(server, tmp_path, bounds=Bounds(packed=100_000))
        assert not (tmp_path / "out").exists()

    def test_a_page_for_people_is_no_archive(self, server, tmp_path):
        server.answers["/p.zip"] = web.Answer(b"<html>Please log in</html>")
        with pytest.raises(SourceInvalid, match="no zip archive"):
            self.fetch(server, tmp_path)

    def test_given_credentials_open_it_and_are_for_its_own_host(self, server, tmp_path):
        basic = "Basic " + base64.b64encode("bob:hunter2-é€".encode()).decode()
        archive = server.answers["/p.zip"]
        with web.serving() as elsewhere:
            elsewhere.answers["/store"] = archive
            location = elsewhere.url.replace("127.0.0.1", "localhost") + "/store"
            server.answers["/p.zip"] = web.Answer(status=302, headers={"Location": location}, wants=basic)
            self.fetch(server, tmp_path, access=Access.ambient("bob", "hunter2-é€"))
            assert server.asked == [("/p.zip", basic)]
            assert elsewhere.asked == [("/store", None)]
        assert (tmp_path / "out/MLproject").is_file()

    def test_wrong_credentials_are_told_with_the_way_out(self, server, tmp_path):
        server.answers["/p.zip"] = web.Answer(wants="other")
        with pytest.raises(AuthenticationFailed, match="Correct --git-username and --git-password") as caught:
            self.fetch(server, tmp_path, access=Access.ambient("bob", "hunter2"))
        assert "hunter2" not in str(caught.value)
        with pytest.raises(AuthenticationFailed, match="--git-username and --git-password"):
            self.fetch(server, tmp_path)


def test_every_error_is_one_of_ours(unpack):
    for data in (b"x", packed(("../x", ""))):
        with pytest.raises(MlpError) as caught:
            unpack(data)
        assert caught.value.exit_code == 64
