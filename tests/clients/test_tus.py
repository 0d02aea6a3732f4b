"""Resumable uploads with tuspy, the tus project's own client for Python."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from bench.box import ADMIN, ADMIN_PASSWORD, MASTER_PASSWORD, Box
from tusclient import client, exceptions
from tusclient.storage import filestorage


def content(length: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(length)


def tus(box: Box, token: str = "") -> client.TusClient:
    headers = {"Authorization": f"Bearer {token or box.token}"}
    return client.TusClient(f"http://127.0.0.1:{box.port}/api/v1/uploads", headers=headers)


def files(box: Box, token: str = "") -> list[dict[str, Any]]:
    with box.client() as connection:
        reply = connection.call("GET", "/api/v1/files", token=token or box.token)
        return reply.expect(HTTPStatus.OK)["items"]


def expect_stored(box: Box, name: str, data: bytes, token: str = "") -> None:
    (file,) = [file for file in files(box, token) if file["name"] == name]
    assert (file["size_bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    with box.client() as connection:
        path = f"/api/v1/files/{file['id']}/content"
        assert connection.call("GET", path, token=token or box.token).body == data


@pytest.mark.parametrize(
    ("length", "chunk", "checksum"),
    [(1, 1 << 20, False), (20_000, 1000, True), (3_000_000, 1 << 20, True), (3_000_000, 999_999, False)],
)
def test_a_file_arrives_in_chunks_of_any_size(box: Box, length: int, chunk: int, checksum: bool) -> None:
    data = content(length, chunk)
    uploader = tus(box).uploader(
        file_stream=io.BytesIO(data), chunk_size=chunk, metadata={"filename": "Größe.bin"}, upload_checksum=checksum
    )
    uploader.upload()
    assert uploader.offset == length
    expect_stored(box, "Größe.bin", data)


def test_an_upload_goes_on_where_it_stopped_also_after_a_lock(box: Box, tmp_path: Path) -> None:
    data = content(3_000_001, 1)
    source = tmp_path / "source"
    source.write_bytes(data)
    known = filestorage.FileStorage(str(tmp_path / "known"))

    def uploader(token: str = "") -> Any:
        return tus(box, token).uploader(
            str(source), chunk_size=999_999, metadata={"filename": "f"}, store_url=True, url_storage=known
        )

    first = uploader()
    first.upload_chunk()
    with box.client() as connection:
        connection.call("POST", "/api/v1/vault/lock", {}, box.token).expect(HTTPStatus.OK)
        with pytest.raises(exceptions.TusCommunicationError) as refused:
            first.upload_chunk()
        assert refused.value.status_code == HTTPStatus.LOCKED
        connection.call("POST", "/api/v1/vault/unlock", {"master_password": MASTER_PASSWORD}).expect(HTTPStatus.OK)
        admin = {"username": ADMIN, "password": ADMIN_PASSWORD}
        token = connection.call("POST", "/api/v1/sessions", admin).expect(HTTPStatus.CREATED)["access_token"]
    assert files(box, token) == []
    second = uploader(token)
    assert (second.url, second.offset) == (first.url, 999_999)
    second.upload()
    expect_stored(box, "f", data, token)


def test_the_asynchronous_client_works_too(box: Box) -> None:
    data = content(2_500_000, 2)
    uploader = tus(box).async_uploader(
        file_stream=io.BytesIO(data), chunk_size=1 << 20, metadata={"filename": "f"}, upload_checksum=True
    )
    asyncio.run(uploader.upload())
    expect_stored(box, "f", data)


def test_what_is_refused_is_an_error_of_the_client(box: Box) -> None:
    with pytest.raises(exceptions.TusCommunicationError) as refused:
        tus(box).uploader(file_stream=io.BytesIO(b"x"), metadata={"filename": "a/b"}).upload()
    assert refused.value.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
