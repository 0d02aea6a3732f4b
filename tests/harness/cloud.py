"""The cloud of these tests, on this host: the reference registrar over TLS, a stand-in of Cloudflare's API, an identity
provider that is one key, and the authority that all certificates come from.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from harness.machine import free_port
from harness.tools import ToolError

HOST = "registrar.test"
DOMAIN = "boxes.test"
_ISSUER, _AUDIENCE = "https://id.test/", "coffer"
# Also for "wait until held", which takes as long as the box needs to get there.
_CALL_LIMIT_S = 180.0
_DAY = datetime.timedelta(days=1)
Json = dict[str, Any]


class Authority:
    """A certificate authority for these tests alone."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the system test")])
        self._certificate = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(True, 0), HOST)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, host: str, directory: Path) -> tuple[Path, Path]:
        """Certificate and key of a host, in files there."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._sign(name, key.public_key(), x509.BasicConstraints(False, None), host)
        files = directory / "certificate.pem", directory / "key.pem"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_secret(
            files[1],
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return files

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, constraints: x509.BasicConstraints, host: str
    ) -> x509.Certificate:
        # Not valid before yesterday, so that a box whose clock was never set cannot take it for good.
        now = datetime.datetime.now(datetime.UTC)
        number, until = x509.random_serial_number(), now + 30 * _DAY
        builder = x509.CertificateBuilder(self._name, name, key, number, now - _DAY, until)
        if not constraints.ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())


class Cloud:
    """Runs until `stop`. `programs` holds this host's own builds of the registrar and of the stand-in."""

    def __init__(self, programs: Path, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.authority = Authority()
        self._directory = directory
        self._identity = ed25519.Ed25519PrivateKey.generate()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        self._cloudflare = f"http://127.0.0.1:{self._start_stand_in(programs / 'examples/cloudflare_stand_in')}"
        self._start_registrar(programs / "coffer-registrar")

    @property
    def url(self) -> str:
        """As boxes and phones are told."""
        return f"https://{HOST}"

    def user_token(self, person: str) -> str:
        """A person's token, as an identity provider issues it."""
        now = int(time.time())
        claims = {"sub": person, "iss": _ISSUER, "aud": _AUDIENCE, "iat": now, "exp": now + 3600}
        signed = f"{_base64url_json({'alg': 'EdDSA', 'kid': 'one'})}.{_base64url_json(claims)}"
        return f"{signed}.{_base64url(self._identity.sign(signed.encode()))}"

    def ticket(self, person: str) -> str:
        return str(self._call("POST", "/claim-tickets", person)["ticket"])

    def device_token(self, person: str, device_id: str) -> str:
        return str(self._call("POST", "/device-tokens", person, {"device_id": device_id})["token"])

    def tunnels(self) -> Json:
        """What Cloudflare would hold, by tunnel id."""
        return dict(self._stand_in("GET", "/stand-in/world")["tunnels"])

    def records(self) -> list[Json]:
        return list(self._stand_in("GET", "/stand-in/world")["records"].values())

    def hold(self, operation: str) -> None:
        """Cloudflare does the next such call, but its reply does not come before `let_go`."""
        self._stand_in("PUT", "/stand-in/fault", {"operation": operation, "kind": "held", "times": 1})

    def wait_until_held(self) -> None:
        self._stand_in("GET", "/stand-in/held")

    def let_go(self) -> None:
        self._stand_in("DELETE", "/stand-in/fault")

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()

    def _start_stand_in(self, program: Path) -> int:
        token = self._directory / "cloudflare-token"
        _write_secret(token, b"api-token-of-the-system-test")
        port = free_port()
        self._start(program, port, "--listen", f"127.0.0.1:{port}", "--token-file", str(token))
        return port

    def _start_registrar(self, program: Path) -> None:
        certificate, key = self.authority.issue(HOST, self._directory)
        _write_secret(self._directory / "sealing-key", os.urandom(32).hex().encode())
        public = self._identity.public_key().public_bytes_raw()
        key_set = {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public), "kid": "one", "alg": "EdDSA", "use": "sig"}
        (self._directory / "jwks.json").write_text(json.dumps({"keys": [key_set]}))
        configuration = self._directory / "registrar.toml"
        configuration.write_text(f"""
listen = "127.0.0.1:{self.port}"
sealing_key_file = "sealing-key"
[tls]
certificate_file = "{certificate.name}"
key_file = "{key.name}"
[database]
sqlite = "{self._directory / "registrar.db"}"
[users]
issuer = "{_ISSUER}"
audience = "{_AUDIENCE}"
jwks_file = "jwks.json"
[cloudflare]
account_id = "account"
zone_id = "zone"
token_file = "cloudflare-token"
api = "{self._cloudflare}/client/v4"
[devices]
domain = "{DOMAIN}"
""")
        self._start(program, self.port, "serve", "--config", str(configuration))

    def _start(self, program: Path, port: int, *arguments: str) -> None:
        """Returns when the program has said on its standard output that it listens."""
        if not program.is_file():
            raise ToolError(f"{program} is missing: cargo build -p coffer-registrar --bins --examples")
        with open(self._directory / f"{program.name}.log", "wb") as log:
            process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=log)
        self._processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f":{port}".encode() in line, f"{program.name} did not start; see {log.name}"

    def _call(self, method: str, path: str, person: str, body: Json | None = None) -> Json:
        trust = ssl.create_default_context(cadata=self.authority.pem.decode())
        trust.check_hostname = False  # by its address; the box checks the name
        headers = {"Authorization": f"Bearer {self.user_token(person)}"}
        return _send(f"https://127.0.0.1:{self.port}{path}", method, body, headers, trust)

    def _stand_in(self, method: str, path: str, body: Json | None = None) -> Json:
        return _send(f"{self._cloudflare}{path}", method, body, {}, None)


def _send(url: str, method: str, body: Json | None, headers: dict[str, str], trust: ssl.SSLContext | None) -> Json:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_CALL_LIMIT_S, context=trust) as reply:
            text = reply.read()
    except urllib.error.HTTPError as refused:
        raise AssertionError(f"{method} {url}: {refused.code} {refused.read()!r}") from refused
    return dict(json.loads(text)) if text else {}


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _base64url_json(value: Json) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
