"""The certificates of a test cluster: an authority, a serving certificate, client certificates, kubeconfigs.

Uses the `openssl` program, which is on every machine that runs the suite. Knows nothing of processes.
"""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING, Final

from tests.cluster.layout import API_IP, NODE, NODE_IP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DAYS: Final = "30"
CLIENT: Final = "extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\n"
SERVER: Final = (
    "extendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n"
    "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    f"DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:{NODE_IP},IP:{API_IP}\n"
)
USERS: Final[Mapping[str, str]] = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "kube-proxy": "/CN=system:kube-proxy",
}
"""The kubeconfigs to make, and who they are to the API server."""


def create(directory: Path, *, server: str) -> None:
    """Make all keys, certificates and kubeconfigs (for `server`) in a new directory that only its owner can read."""
    directory.mkdir(mode=0o700)
    _key(directory, "ca")
    usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
    subject = ("-subj", "/CN=mlp-test-ca", "-days", DAYS, "-addext", usage)
    _openssl(directory, "req", "-x509", "-new", "-key", "ca.key", *subject, "-out", "ca.crt")
    _sign(directory, "apiserver", "/CN=kube-apiserver", SERVER)
    _sign(directory, "kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", CLIENT)
    _key(directory, "sa")
    _openssl(directory, "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    for name, subject_name in USERS.items():
        _sign(directory, name, subject_name, CLIENT)
        write_kubeconfig(directory, name, user=name, server=server)


def write_kubeconfig(directory: Path, name: str, *, user: str, server: str) -> Path:
    """Write NAME.kubeconfig (JSON, which is YAML) for one of the users above; it needs no other file."""

    def data(file: str) -> str:
        return base64.b64encode((directory / file).read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": data("ca.crt")}
    credentials = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "mlp-test", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "mlp-test", "context": {"cluster": "mlp-test", "user": user}}],
        "current-context": "mlp-test",
    }
    path = directory / f"{name}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2) + "\n")
    return path


def _sign(directory: Path, name: str, subject: str, extensions: str) -> None:
    _key(directory, name)
    request = directory / f"{name}.csr"
    lines = directory / f"{name}.ext"
    lines.write_text(extensions)
    _openssl(directory, "req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", request.name)
    authority = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS, "-extfile", lines.name)
    _openssl(directory, "x509", "-req", "-in", request.name, *authority, "-out", f"{name}.crt")
    request.unlink()
    lines.unlink()


def _key(directory: Path, name: str) -> None:
    _openssl(directory, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")


def _openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(arguments)} failed:\n{done.stderr}")
