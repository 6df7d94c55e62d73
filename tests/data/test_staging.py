"""Uploads to a real store, SeaweedFS, in places through a proxy that harms what passes."""

from __future__ import annotations

import contextlib
import hashlib
import random
import uuid

import pytest

from mlp.data import download
from mlp.data.staging import stage, staged_uri
from mlp.errors import DataAccessDenied, DataInvalid

CONTENT = random.Random(1).randbytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def prefix(store):
    return f"s3://{store.bucket}/staging-{uuid.uuid4()}"


@pytest.fixture
def client(store):
    with contextlib.closing(store.client()) as client:
        yield client


def put(prefix, content=CONTENT):
    return stage(content, prefix, suffix=".tar.gz", media_type="application/gzip")


def test_a_content_is_sent_once_and_lies_under_its_digest(prefix, into):
    first, second = put(prefix), put(f"{prefix}/")

    assert first == (f"{prefix}/{DIGEST}.tar.gz", True)
    assert second == (first.uri, False)
    assert download(first.uri, into).read_bytes() == CONTENT


def test_what_lies_there_and_is_something_else_is_replaced(prefix, store, client, into):
    uri = staged_uri(prefix, DIGEST, suffix=".tar.gz")
    key = uri.removeprefix(f"s3://{store.bucket}/")
    for other in (b"something else", bytes(len(CONTENT))):
        client.put_object(Bucket=store.bucket, Key=key, Body=other)
        assert put(prefix).sent
    assert download(uri, into).read_bytes() == CONTENT


def test_a_store_that_is_busy_is_asked_again(flaky_store, store, into):
    prefix = f"s3://{store.bucket}/staging-{uuid.uuid4()}"
    flaky_store.faults.status, flaky_store.faults.refusals = 503, 3

    staged = put(prefix)

    assert staged.sent
    assert flaky_store.faults.refusals == 0
    assert download(staged.uri, into).read_bytes() == CONTENT


def test_credentials_that_are_wrong_or_missing_are_told_of(prefix, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(DataAccessDenied) as caught:
        put(prefix)
    assert "hunter2" not in str(caught.value)

    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(DataAccessDenied, match="needs credentials"):
        put(prefix)


@pytest.mark.parametrize("prefix", ["https://example.com/x", "s3:///x", "/tmp", "gs://bucket"])
def test_a_place_that_is_none_is_refused(prefix):
    with pytest.raises(DataInvalid):
        staged_uri(prefix, DIGEST, suffix="")
