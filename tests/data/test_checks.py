from __future__ import annotations

import base64
import hashlib
import itertools
import random
import zlib

import pytest

from mlp.data import checks
from mlp.data.checks import Check, Digests, available
from mlp.data.pieces import pieces
from mlp.data.s3.integrity import Parts, check_of

CONTENT = random.Random(3).randbytes(100_000)

# Of "123456789", from the catalogue of CRCs and the standards of the hashes.
KNOWN = {
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.fixture(params=["with awscrt", "without awscrt"])
def awscrt(request, monkeypatch):
    if request.param == "without awscrt":
        monkeypatch.setattr(checks, "_awscrt", lambda: None)
    return request.param == "with awscrt"


def digests(check, content, *, ends=(), block=777):
    """Those of a stream in small blocks."""
    made = Digests(check, 0, ends)
    for at in range(0, len(content), block):
        made.update(content[at : at + block])
    return made.close()


@pytest.mark.parametrize("algorithm", KNOWN)
def test_each_algorithm_gives_the_digest_that_is_known(algorithm, tmp_path):
    check = Check(algorithm, bytes.fromhex(KNOWN[algorithm]))

    assert available(algorithm)
    assert check.accepts(digests(check, b"123456789", block=2), tmp_path)
    assert not check.accepts(digests(check, b"123456780", block=2), tmp_path)


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "sha256", "md5"])
def test_a_file_in_pieces_is_checked_as_a_whole(awscrt, tmp_path, algorithm):
    if not available(algorithm):
        assert not awscrt
        return
    expected = digests(Check(algorithm, b""), CONTENT)[0][0]
    check = Check(algorithm, expected)
    for content, right in ((CONTENT, True), (CONTENT[:70_000] + b"!" + CONTENT[70_001:], False)):
        file = tmp_path / "file"
        file.write_bytes(content)
        useful = check if check.in_pieces else None
        made = [each for part in (content[:33_333], content[33_333:]) for each in digests(useful, part)]
        assert check.accepts(made, file) is right


def test_a_file_is_checked_by_its_parts_however_they_come(tmp_path):
    ends = (40_000, 80_000, 100_000)
    parts = [CONTENT[:40_000], CONTENT[40_000:80_000], CONTENT[80_000:]]
    expected = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).digest()
    check = Check("md5", expected, ends)

    assert check.accepts(digests(check, CONTENT, ends=ends), tmp_path)
    first, second = Digests(check, 0, ends[:2]), Digests(check, 80_000, ends[2:])
    first.update(CONTENT[:80_000])
    second.update(CONTENT[80_000:])
    assert check.accepts([*first.close(), *second.close()], tmp_path)
    assert not check.accepts(digests(check, CONTENT[::-1], ends=ends), tmp_path)


def test_an_empty_stream_has_a_digest(tmp_path):
    check = Check("md5", hashlib.md5(b"").digest())

    assert check.accepts(Digests(check, 0, ()).close(), tmp_path)


@pytest.mark.parametrize("size", [0, 1, 8 << 20, (8 << 20) + 1, 100 << 20, 5 << 30])
def test_pieces_are_without_gaps(size):
    found = pieces(size)

    assert found[0].begin == 0
    assert found[-1].end == size
    assert all(before.end == after.begin for before, after in itertools.pairwise(found))


def test_pieces_keep_parts_together():
    ends = tuple(range(5 << 20, (100 << 20) + 1, 5 << 20))

    found = pieces(100 << 20, ends)

    assert [end for piece in found for end in piece.ends] == list(ends)
    assert all(piece.end == piece.ends[-1] for piece in found)
    assert 1 < len(found) < len(ends)


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def test_the_cheapest_checksum_that_can_be_computed_counts(awscrt):
    headers = {
        "ContentLength": len(CONTENT),
        "ETag": f'"{hashlib.md5(CONTENT).hexdigest()}"',
        "ChecksumCRC64NVME": encoded(bytes(8)),
        "ChecksumSHA256": encoded(hashlib.sha256(CONTENT).digest()),
    }

    assert check_of(headers, None, bucket="b").algorithm == ("crc64nvme" if awscrt else "sha256")


@pytest.mark.parametrize(
    ("headers", "bucket"),
    [
        ({"ServerSideEncryption": "aws:kms"}, "b"),
        ({"ServerSideEncryption": "aws:kms:dsse"}, "b"),
        ({"SSECustomerAlgorithm": "AES256"}, "b"),
        ({}, "b--use1-az4--x-s3"),
        ({"ETag": '"opaque"'}, "b"),
        ({"ETag": '"0123456789abcdef0123456789abcdef-3"'}, "b"),
    ],
)
def test_an_etag_that_is_no_md5_is_not_taken_for_one(headers, bucket):
    etag = {"ContentLength": 5, "ETag": f'"{hashlib.md5(CONTENT).hexdigest()}"'}

    assert check_of(etag, None, bucket="b").algorithm == "md5"
    assert check_of(etag | {"ServerSideEncryption": "AES256"}, None, bucket="b").algorithm == "md5"
    assert check_of(etag | headers, None, bucket=bucket) is None


@pytest.mark.parametrize("sizes", [[5], [5, 5, 5], [5, 5, 2], [5, 2], [3, 5, 2], [5, 3, 4], [5, 5, 4, 6, 5]])
def test_the_ends_of_parts_are_found(sizes):
    asked = []

    def size_of(number):
        asked.append(number)
        return sizes[number - 1]

    for thorough in (False, True):
        ends = Parts(size_of, thorough=thorough).ends(len(sizes), sum(sizes))
        if thorough or sizes != [5, 5, 4, 6, 5]:  # those are taken for even ones, until they do not fit
            assert ends == tuple(sum(sizes[: number + 1]) for number in range(len(sizes)))


def test_many_parts_of_one_size_take_three_questions():
    asked = []

    def size_of(number):
        asked.append(number)
        return 5 if number < 10_000 else 3

    assert len(Parts(size_of).ends(10_000, 5 * 9_999 + 3)) == 10_000
    assert len(asked) == 3


def test_zlib_s_crc_and_awscrt_s_are_one():
    assert digests(Check("crc32", b""), CONTENT)[0][0] == zlib.crc32(CONTENT).to_bytes(4, "big")
