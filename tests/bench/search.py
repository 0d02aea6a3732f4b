"""How long searches take in a vault with many files, for ten kinds of questions."""

from __future__ import annotations

import math
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from urllib.parse import quote

from bench.box import ADMIN, ADMIN_PASSWORD, Box, Client, Unexpected
from bench.measurements import Line, Quantiles

TARGET_MS = 50.0
UPLOADERS = 8
FOLDERS = 100
ASKED = 200
# Names of three words and texts of forty: with these, a vault of 100,000 files knows 20,000 words, the commonest of
# which is in nearly all files, as in real languages (Zipf).
VOCABULARY, NAME_WORDS, TEXT_WORDS = 20_000, 3, 40
PRIVATE_EVERY, TAGGED_EVERY = 10, 50
# The index may be behind when the last upload is answered.
INDEX_LIMIT_S = 3600.0


class Words:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = "abcdefghijklmnoprstuvwz"
        self.all = ["".join(self._random.choices(letters, k=self._random.randint(3, 9))) for _ in range(VOCABULARY)]
        total, self._cumulative = 0.0, []
        for rank in range(VOCABULARY):
            total += 1 / (rank + 1)
            self._cumulative.append(total)

    def some(self, count: int) -> str:
        return " ".join(self._random.choices(self.all, cum_weights=self._cumulative, k=count))


def search_among_many(box: Box, files: int) -> Iterator[Line]:
    """Ten kinds of questions, each asked many times with other words, of an index that has caught up."""
    words = Words(1)
    started = time.perf_counter()
    session = Session(box)
    folders = _fill(box, session, words, files)
    uploaded = time.perf_counter() - started
    yield Line(f"{files} uploads by {UPLOADERS}", f"{files / uploaded:.0f} a second")
    waited = _catch_up(box, session)
    yield Line("the index behind the last upload", f"{waited:.1f} s")
    box.accounts(["somebody"])
    somebody = Session(box, "somebody", "quiet marble lantern")
    for name, make in _questions(words, folders).items():
        times, found = [], 0
        with box.client() as client:
            who = somebody if name.startswith("somebody") else session
            for number in range(ASKED):
                path, token = f"/api/v1/search?{make(number)}", who.token()
                begun = time.perf_counter()
                reply = client.call("GET", path, token=token)
                times.append((time.perf_counter() - begun) * 1000)
                found += len(reply.expect(HTTPStatus.OK)["items"])
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        result = Quantiles(cuts[49], cuts[94], cuts[98])
        verdict = "met" if result.p95 <= TARGET_MS else "MISSED"
        yield Line(f"search, {name}", str(result), f"{found / ASKED:.0f} found; p95 target {TARGET_MS:.0f} ms {verdict}")


def _questions(words: Words, folders: list[str]) -> dict[str, Callable[[int], str]]:
    def common(number: int) -> str:
        return words.all[number % 20]

    def rare(number: int) -> str:
        return words.all[5000 + number]

    return {
        "a common word": lambda n: f"q={common(n)}%20",
        "a rare word": lambda n: f"q={rare(n)}%20",
        "two common words": lambda n: f"q={common(n)}%20{common(n + 7)}%20",
        "the beginning of two letters": lambda n: f"q={words.all[n][:2]}",
        "a word and a beginning of four": lambda n: f"q={common(n)}%20{words.all[100 + n][:4]}",
        "a common word in one folder": lambda n: f"q={common(n)}%20&folder_id={folders[n % FOLDERS]}",
        "a common word by type and size": lambda n: f"q={common(n)}%20&type=text&size__ge={250 + n % 50}",
        "a rare word by date": lambda n: f"q={rare(n)}%20&modified__ge=2020-01-01T00:00:00Z",
        "a tag, without words": lambda n: f"tag={quote('a tag')}&limit={20 + n % 30}",
        "somebody's common word, some hidden": lambda n: f"q={common(n)}%20",
    }


def _fill(box: Box, session: Session, words: Words, files: int) -> list[str]:
    folders = []
    with box.client() as client:
        for number in range(FOLDERS):
            body = {"name": f"folder {number}"}
            folder = client.call("POST", "/api/v1/folders", body, box.token).expect(HTTPStatus.CREATED)["id"]
            folders.append(folder)
            if number % PRIVATE_EVERY == 0:
                path = f"/api/v1/folders/{folder}/access"
                client.call("PUT", path, {"private": True}, box.token).expect(HTTPStatus.OK)
    lock = threading.Lock()

    def upload(client: Client, number: int) -> None:
        with lock:
            name, text = f"{words.some(NAME_WORDS)} {number}.txt", words.some(TEXT_WORDS)
        _upload(client, session.token(), folders[number % FOLDERS], name, text, tagged=number % TAGGED_EVERY == 0)

    by_many(box, upload, files)
    return folders


def by_many(box: Box, work: Callable[[Client, int], None], count: int) -> None:
    """Does something for each number below `count`, with a connection for each of several who work at once."""
    numbers, lock, failures = iter(range(count)), threading.Lock(), []

    def go_on() -> None:
        try:
            with box.client() as client:
                while not failures:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    work(client, number)
        except Exception as error:  # the other threads stop, and the caller tells
            failures.append(error)

    threads = [threading.Thread(target=go_on) for _ in range(UPLOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _upload(client: Client, token: str, folder: str, name: str, text: str, *, tagged: bool) -> None:
    path = f"/api/v1/files?folder_id={folder}&name={quote(name)}"
    item = client.send(path, text.encode(), token).expect(HTTPStatus.CREATED)["id"]
    if tagged:
        client.call("PUT", f"/api/v1/items/{item}/tags/a%20tag", token=token).expect(HTTPStatus.NO_CONTENT)


def _catch_up(box: Box, session: Session) -> float:
    """Changes are indexed in their order: what comes last is found last."""
    started = time.perf_counter()
    with box.client() as client:
        client.call("POST", "/api/v1/folders", {"name": "lastofall"}, session.token()).expect(HTTPStatus.CREATED)
        while time.perf_counter() - started < INDEX_LIMIT_S:
            reply = client.call("GET", "/api/v1/search?q=lastofall", token=session.token())
            if reply.expect(HTTPStatus.OK)["items"]:
                return time.perf_counter() - started
            time.sleep(0.2)
    raise Unexpected("the index does not catch up")


class Session:
    """Somebody who is logged in. Access tokens last fifteen minutes, which filling a vault may not."""

    RENEWED_AFTER_S = 600.0

    def __init__(self, box: Box, name: str = ADMIN, password: str = ADMIN_PASSWORD) -> None:
        self._box, self._account = box, {"username": name, "password": password}
        self._lock = threading.Lock()
        self._token, self._since = "", -math.inf

    def token(self) -> str:
        # One login for all who ask: many at once are taken for guesses.
        with self._lock:
            if time.monotonic() - self._since > self.RENEWED_AFTER_S:
                with self._box.client() as client:
                    reply = client.call("POST", "/api/v1/sessions", self._account)
                self._token, self._since = reply.expect(HTTPStatus.CREATED)["access_token"], time.monotonic()
            return self._token
