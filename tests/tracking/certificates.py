"""An authority of our own, and certificates that it signs, made with the `openssl` program."""

from __future__ import annotations

import ssl
import subprocess


def make(directory):
    """Give `ca.pem`, `server.pem` and `client.pem` (certificate and key in one file)."""
    directory.mkdir()
    _run(directory, "req", "-x509", *_key("ca"), "-subj", "/CN=tests", "-out", "ca.pem", "-days", "30")
    for name, extensions in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        (directory / "extensions").write_text(extensions)
        _run(directory, "req", *_key(name), "-subj", f"/CN={name}", "-out", "request.pem")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions", "-days", "30")
        _run(directory, "x509", "-req", "-in", "request.pem", *signing, "-out", f"{name}.crt")
        (directory / f"{name}.pem").write_text(
            (directory / f"{name}.crt").read_text() + (directory / f"{name}.key").read_text()
        )
    return directory


def serving_context(directory, *, clients=False):
    """What a server needs; with `clients`, it asks for their certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(directory / "ca.pem")
    return context


def _key(name):
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")


def _run(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)
