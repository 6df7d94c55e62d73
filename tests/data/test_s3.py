"""Downloads from a real store, SeaweedFS, in places through a proxy that harms what passes."""

from __future__ import annotations

import collections
import contextlib
import io
import random
import re
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from mlp.data import download
from mlp.data.origin import Later
from mlp.data.s3.diagnosis import explained
from mlp.errors import DataAccessDenied, DataCorrupt, DataInvalid, DataNotFound, DataUnavailable, RunCancelled
from tests.data.names import everything, tree

pytestmark = pytest.mark.usefixtures("store")

MIB = 1 << 20
LARGE = random.Random(1).randbytes(20 * MIB)
SMALL = LARGE[:100_000]

# How an object of 20 MiB may have been uploaded: in parts or at once, with the checksum of either kind or none.
WAYS = {
    "parts-crc32": "CRC32",
    "parts-crc32c": "CRC32C",
    "parts-sha256": "SHA256",
    "parts-sha1": "SHA1",
    "parts-crc64nvme": "CRC64NVME",
    "parts-none": None,
    "once-crc32": "CRC32",
    "once-crc64nvme": "CRC64NVME",
    "once-sha256": "SHA256",
    "once-none": None,
}
PLACES = (0, 8 * MIB - 1, 8 * MIB, 13_000_000, 20 * MIB - 1)
ANY = (13_000_000,)


@pytest.fixture(scope="module")
def client(s3):
    with contextlib.closing(s3.client()) as client:
        yield client


@pytest.fixture(scope="module")
def plain_client(s3):
    """One that sends no checksums, as clients did until 2025."""
    with contextlib.closing(s3.client(request_checksum_calculation="when_required")) as client:
        yield client


@pytest.fixture(scope="module")
def large(s3, client, plain_client):
    """The keys of the large object, by the way in which it was uploaded."""
    for name, algorithm in WAYS.items():
        extra = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        one = client if algorithm else plain_client
        if name.startswith("parts"):
            one.upload_fileobj(io.BytesIO(LARGE), s3.bucket, f"large/{name}", ExtraArgs=extra)
        else:
            one.put_object(Bucket=s3.bucket, Key=f"large/{name}", Body=LARGE, **extra)
    return {name: f"s3://{s3.bucket}/large/{name}" for name in WAYS}


@pytest.fixture
def prefix(s3, client):
    """Puts objects below a prefix of the test's own; gives its URI."""
    own = f"test-{uuid.uuid4()}"

    def put(objects):
        with ThreadPoolExecutor(8) as pool:
            for done in [
                pool.submit(client.put_object, Bucket=s3.bucket, Key=f"{own}/{key}", Body=body)
                for key, body in objects.items()
            ]:
                done.result()
        return f"s3://{s3.bucket}/{own}"  # fmt: skip

    return put


@pytest.mark.parametrize("way", WAYS)
def test_a_large_object_arrives_whole_however_it_was_uploaded(large, into, way):
    assert download(large[way], into) == into / way
    assert (into / way).read_bytes() == LARGE
    assert everything(into) == [way]


@pytest.mark.parametrize("way", WAYS)
def test_a_flipped_byte_of_a_large_object_is_always_noticed(flaky_store, large, into, way):
    faults = flaky_store.faults
    for place in PLACES if way in {"parts-crc32", "once-crc32"} else ANY:
        faults.flip, faults.flips, faults.only = {place}, 1, way
        before = len(flaky_store.seen)

        assert download(large[way], into).read_bytes() == LARGE

        assert faults.flips == 0, f"the byte at {place} never passed"
        # Noticed means: brought once more.
        brought = sum(seen.sent for seen in flaky_store.seen[before:] if seen.method == "GET")
        assert brought == 2 * len(LARGE), place


@pytest.mark.parametrize("way", ["parts-crc32", "parts-none", "once-crc32", "once-none"])
def test_an_object_that_always_arrives_with_a_flipped_byte_is_refused(flaky_store, large, into, way):
    flaky_store.faults.flip = {11 * MIB}

    with pytest.raises(DataCorrupt, match="arrived with other bytes than are stored: they do not fit") as caught:
        download(large[way], into)
    assert large[way] in str(caught.value)
    assert caught.value.temporary
    assert everything(into) == []


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME", "SHA256", None])
def test_a_flipped_byte_of_a_small_object_is_noticed(flaky_store, s3, client, plain_client, into, algorithm):
    key = f"small/{uuid.uuid4()}"
    extra = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    (client if algorithm else plain_client).put_object(Bucket=s3.bucket, Key=key, Body=SMALL, **extra)
    flaky_store.faults.flip = {77_777}

    with pytest.raises(DataCorrupt):
        download(f"s3://{s3.bucket}/{key}", into)
    assert everything(into) == []


def test_parts_of_any_sizes_are_checked(flaky_store, s3, plain_client, into):
    sizes = (6 * MIB, 5 * MIB, 9 * MIB)
    upload = {"Bucket": s3.bucket, "Key": "uneven"}
    upload["UploadId"] = plain_client.create_multipart_upload(**upload)["UploadId"]
    parts, begin = [], 0
    for number, size in enumerate(sizes, 1):
        body = LARGE[begin : begin + size]
        etag = plain_client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
        begin += size
    plain_client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    assert download(f"s3://{s3.bucket}/uneven", into).read_bytes() == LARGE

    flaky_store.faults.flip = {7 * MIB}
    with pytest.raises(DataCorrupt, match="ETag"):
        download(f"s3://{s3.bucket}/uneven", into)


def test_a_store_whose_etags_are_no_md5_can_be_read_unchecked(flaky_store, large, into, monkeypatch, caplog):
    caplog.set_level("INFO", "mlp.data")
    monkeypatch.setenv("MLP_S3_ETAG_IS_MD5", "false")
    flaky_store.faults.flip = {11 * MIB}

    assert download(large["once-none"], into).read_bytes() != LARGE
    assert [each.message for each in caplog.records if "without a checksum" in each.message]


@pytest.mark.parametrize("way", ["parts-crc32", "once-crc32"])
def test_a_broken_connection_is_taken_up_where_it_broke(flaky_store, large, into, way):
    flaky_store.faults.cut_after, flaky_store.faults.cuts = 3 * MIB, 1

    assert download(large[way], into).read_bytes() == LARGE

    got = [seen for seen in flaky_store.seen if seen.method == "GET"]
    begins = collections.defaultdict(list)
    for seen in got:
        begin, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", seen.range).groups())
        begins[last].append(begin)
    ((first, second),) = [each for each in begins.values() if len(each) > 1]
    assert first < second <= first + 3 * MIB
    # No more is lost than what had not been written yet.
    assert len(LARGE) <= sum(seen.sent for seen in got) < len(LARGE) + MIB


def test_a_store_that_always_breaks_is_given_up(flaky_store, large, into):
    flaky_store.faults.cut_after = 1000

    with pytest.raises(DataUnavailable, match="broke"):
        download(large["parts-crc32"], into)
    assert everything(into) == []


def test_a_store_that_is_busy_is_asked_again(flaky_store, large, into):
    flaky_store.faults.status, flaky_store.faults.refusals = 503, 4

    assert download(large["once-crc32"], into).read_bytes() == LARGE


def test_an_object_that_is_replaced_meanwhile_arrives_as_one_of_the_two(flaky_store, s3, client, into):
    new = LARGE[::-1]
    client.put_object(Bucket=s3.bucket, Key="replaced", Body=LARGE)
    replaced = threading.Event()

    def replace(done, _total, _what):
        if done and not replaced.is_set():
            replaced.set()
            client.put_object(Bucket=s3.bucket, Key="replaced", Body=new)

    # Without the cuts, everything might have arrived before the first report.
    flaky_store.faults.cut_after, flaky_store.faults.cuts = MIB + MIB // 2, 20
    flaky_store.faults.only = "replaced"
    arrived = download(f"s3://{s3.bucket}/replaced", into, progress=replace).read_bytes()

    assert replaced.is_set()
    assert arrived in {LARGE, new}


def test_a_thousand_and_more_small_objects_arrive_whole(prefix, into):
    objects = {f"{number % 7}/{number:04}.bin": f"{number}".encode() * (number % 50) for number in range(1010)}

    arrived = download(prefix(objects), into)

    assert tree(arrived) == objects


def test_odd_names_arrive_as_they_are(prefix, into):
    objects = {
        "ü/ñ 日本.txt": b"1", "a+b": b"2", "a%20b": b"3", "a b": b"4", "q?x=1": b"5", "h#1": b"6", ".hidden": b"7",
        "…": b"8", "-rf": b"9", "a:b": b"10", "*": b"11", "'\"": b"12", "&amp;<x>": b"13", "...": b"14",
    }  # fmt: skip

    assert tree(download(prefix(objects), into)) == objects


@pytest.mark.parametrize("key", ["a+b", "a%20b", "ü", "q?x=1#2"])
def test_an_object_with_an_odd_name_is_found_by_it(prefix, into, key):
    arrived = download(f"{prefix({key: SMALL})}/{key}", into)

    assert arrived == into / key
    assert arrived.read_bytes() == SMALL


def test_a_prefix_is_a_directory_s_name_and_no_beginning_of_one(prefix, into):
    uri = prefix({"part/a": b"a", "partly/b": b"b", "part.txt": b"c"})

    assert tree(download(f"{uri}/part", into)) == {"a": b"a"}
    with pytest.raises(DataNotFound):
        download(f"{uri}/par", into)


def test_placeholders_of_directories_are_directories(prefix, into):
    arrived = download(prefix({"d/": b"", "d/empty/": b"", "d/a": b"a"}) + "/d", into)

    assert everything(arrived) == ["a", "empty"]
    assert (arrived / "empty").is_dir()


def test_a_key_that_is_an_object_and_a_prefix_is_the_object_unless_a_slash_follows(s3, client, prefix, into):
    uri = prefix({"x": b"object"})
    client.put_object(Bucket=s3.bucket, Key=f"{uri.rpartition('/')[2]}/x/y", Body=b"below")

    assert download(f"{uri}/x", into).read_bytes() == b"object"
    assert tree(download(f"{uri}/x/", into)) == {"y": b"below"}
    with pytest.raises(DataInvalid, match="has both an object 'x' and objects below 'x/'"):
        download(uri, into / "all")
    assert not (into / "all").exists() or everything(into / "all") == []


def test_small_objects_need_one_request_each(flaky_store, prefix, into):
    uri = prefix({f"{number}": SMALL for number in range(20)})

    download(uri, into)

    asked = [seen.method for seen in flaky_store.seen]
    # One more to see that the prefix is no object, and one for the list.
    assert sorted(asked) == ["GET"] * 21 + ["HEAD"]


def test_memory_does_not_grow_with_the_object(s3, client, into):
    import tracemalloc  # noqa: PLC0415 -- slows everything that follows it

    client.upload_fileobj(io.BytesIO(LARGE * 3), s3.bucket, "larger")
    tracemalloc.start()
    try:
        download(f"s3://{s3.bucket}/larger", into)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * MIB


def test_a_missing_object_a_missing_bucket_and_missing_rights_are_told_apart(s3, into, monkeypatch):
    with pytest.raises(DataNotFound, match="neither an object of that key nor one below it"):
        download(f"s3://{s3.bucket}/missing", into)
    with pytest.raises(DataNotFound, match="There is no bucket 'missing-bucket'"):
        download("s3://missing-bucket/a", into)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-0123456789")
    with pytest.raises(DataAccessDenied, match="does not accept the credentials") as wrong:
        download(f"s3://{s3.bucket}/a", into)
    assert "wrong-secret" not in str(wrong.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown-key")
    with pytest.raises(DataAccessDenied, match="InvalidAccessKeyId"):
        download(f"s3://{s3.bucket}/a", into)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DataAccessDenied, match="AWS_SECRET_ACCESS_KEY"):
        download(f"s3://{s3.bucket}/a", into)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(DataAccessDenied, match="needs credentials of AWS, and there are none"):
        download(f"s3://{s3.bucket}/a", into)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(DataAccessDenied, match="nobody"):
        download(f"s3://{s3.bucket}/a", into)


def test_a_store_that_is_not_there_is_unavailable(into, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    with pytest.raises(DataUnavailable, match="could not be reached"):
        download("s3://bucket/a", into)


def test_the_endpoint_and_the_profile_may_be_named_in_every_way_that_boto3_and_mlflow_know(
    s3, client, into, monkeypatch, tmp_path
):
    client.put_object(Bucket=s3.bucket, Key="reachable", Body=SMALL)
    for name in s3.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "credentials").write_text(
        f"[mine]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.setenv(name, s3.endpoint)
        assert download(f"s3://{s3.bucket}/reachable", into / name).read_bytes() == SMALL
        monkeypatch.delenv(name)


def test_a_download_that_is_cancelled_leaves_nothing(large, into):
    cancelled = threading.Event()
    with pytest.raises(RunCancelled):
        download(large["parts-crc32"], into, cancelled=cancelled, progress=lambda *_: cancelled.set())
    assert everything(into) == []


def test_without_boto3_the_package_is_named(into, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in {"boto3", "botocore"}]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith(("mlp.data.s3", "mlp.data.schemes.s3"))]:
        monkeypatch.delitem(sys.modules, name)

    with pytest.raises(DataInvalid, match=re.escape("pip install 'mlp-operator[data]'")):
        download("s3://bucket/a", into)


def client_error(code, status, *, operation="GetObject", headers=None, **error):
    answer = {
        "Error": {"Code": code, "Message": "what the store says", **error},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
    }
    return ClientError(answer, operation)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (client_error("AccessDenied", 403), DataAccessDenied, "s3:GetObject"),
        (client_error("403", 403, operation="HeadObject"), DataAccessDenied, "s3:ListBucket"),
        (client_error("ExpiredToken", 400), DataAccessDenied, "does not accept the credentials"),
        (client_error("AccessDenied", 403, operation="AssumeRoleWithWebIdentity"), DataAccessDenied, "role"),
        (client_error("RequestTimeTooSkewed", 403), DataAccessDenied, "clock"),
        (client_error("PermanentRedirect", 301, headers={"x-amz-bucket-region": "eu-west-1"}), DataInvalid,
         "region eu-west-1: set AWS_REGION=eu-west-1"),
        (client_error("AuthorizationHeaderMalformed", 400, Region="eu-west-2"), DataInvalid, "AWS_REGION=eu-west-2"),
        (client_error("IllegalLocationConstraintException", 400), DataInvalid, "in another region"),
        (client_error("InvalidObjectState", 403), DataInvalid, "archived"),
        (client_error("NoSuchBucket", 404), DataNotFound, "no bucket 'bucket'"),
        (client_error("NoSuchKey", 404), DataNotFound, "There is no s3://bucket/key"),
        (client_error("SlowDown", 503), DataUnavailable, "could not give"),
        (client_error("Whatever", 500), DataUnavailable, "could not give"),
        (client_error("Whatever", 400), DataInvalid, "refuses the request"),
    ],
    ids=lambda value: value.response["Error"]["Code"] if isinstance(value, ClientError) else "",
)  # fmt: skip
def test_each_error_of_a_store_says_what_it_means(error, kind, said):
    with pytest.raises(kind, match=re.escape(said)) as caught, explained("s3://bucket/key"):
        raise error
    assert "what the store says" in str(caught.value)
    assert type(caught.value) is kind


def test_a_store_that_wants_to_be_left_alone_for_a_while_is():
    with pytest.raises(Later) as caught, explained("s3://bucket/key"):
        raise client_error("SlowDown", 503, headers={"retry-after": "7"})
    assert caught.value.seconds == 7


def test_what_may_not_be_read_is_denied(flaky_store, large, into):
    flaky_store.faults.status = 403

    with pytest.raises(DataAccessDenied, match="do not allow to read"):
        download(large["once-crc32"], into)
