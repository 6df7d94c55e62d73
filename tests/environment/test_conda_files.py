"""What conda.yaml may say, and what is made of it. Nothing is built here."""

from __future__ import annotations

import pytest

from mlp.environment import read
from mlp.errors import EnvironmentInvalid, PreparationError

ALIAS = "https://conda.anaconda.org"


@pytest.fixture
def spec(project):
    def specification(text, **options):
        file = project / "conda.yaml"
        file.write_text(text)
        return read("conda", file, **options)

    return specification


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[]", [f"{ALIAS}/conda-forge"]),
        ("", [f"{ALIAS}/conda-forge"]),
        ("[conda-forge]", [f"{ALIAS}/conda-forge"]),
        ("[pytorch]", [f"{ALIAS}/pytorch", f"{ALIAS}/conda-forge"]),
        ("[pytorch, nodefaults]", [f"{ALIAS}/pytorch"]),
        ("[nodefaults]", []),
        ("[defaults]", ["https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"]),
        ("[pkgs/main, nodefaults]", ["https://repo.anaconda.com/pkgs/main"]),
        ("[me/label/dev, nodefaults]", [f"{ALIAS}/me/label/dev"]),
        ("['https://example.com/channel/', nodefaults]", ["https://example.com/channel"]),
        ("['file:///srv/channel', /srv/other, nodefaults]", ["file:///srv/channel", "file:///srv/other"]),
        ("[a, b, a, nodefaults]", [f"{ALIAS}/a", f"{ALIAS}/b"]),
    ],
)
def test_channels_become_addresses_in_their_order(spec, written, expected):
    assert list(spec(f"channels: {written}\n").channels) == expected


def test_a_relative_channel_begins_at_the_file(spec, project):
    assert spec("channels: [./local, nodefaults]\n").channels == ((project / "local").as_uri(),)


def test_default_channels_and_the_alias_are_settings(spec, monkeypatch):
    monkeypatch.setenv("MLP_CONDA_CHANNELS", "mine, https://example.com/theirs")
    monkeypatch.setenv("MLP_CONDA_CHANNEL_ALIAS", "https://mirror.example.com/conda")
    assert spec("channels: [extra]\n").channels == (
        "https://mirror.example.com/conda/extra",
        "https://mirror.example.com/conda/mine",
        "https://example.com/theirs",
    )


def test_a_dependency_that_insists_on_a_channel_adds_it(spec):
    found = spec("channels: [a, nodefaults]\ndependencies: [b::numpy=1.2, c/linux-64::scipy]\n")
    assert found.channels == (f"{ALIAS}/a", f"{ALIAS}/b", f"{ALIAS}/c")
    assert found.conda == (f"{ALIAS}/b::numpy 1.2.*", f"{ALIAS}/c/linux-64::scipy")


@pytest.mark.parametrize(
    "written", ["https://me:s3cret@example.com/c::numpy", "numpy[channel='https://me:s3cret@example.com/c']"]
)
def test_an_address_with_credentials_in_a_dependency_is_split(spec, written):
    found = spec(f'channels: [nodefaults]\ndependencies: ["{written}"]\n')
    assert (found.channels, found.conda) == (("https://example.com/c",), ("https://example.com/c::numpy",))
    assert [credential.secret for credential in found.credentials] == ["s3cret"]


def test_variables_are_filled_into_channels(spec):
    text = "channels: ['https://${NAME}:${PASS}@example.com/c', nodefaults]\n"
    found = spec(text, variables={"NAME": "bob", "PASS": "s3cret"})
    assert found.channels == ("https://example.com/c",)
    assert found.secrets.mask("it was s3cret") == "it was ****"


def test_every_kind_of_entry_is_read(spec, project):
    (project / "requirements.txt").write_text("pandas\n")
    found = spec(
        "name: ignored\nprefix: /ignored\nchannels: [a, nodefaults]\n"
        "dependencies:\n- python=3.11\n- numpy>=1.2,<2\n- pip\n- pip:\n  - -r requirements.txt\n  - requests  # web\n"
        "variables: {A: 1, B: 'two words', C: true}\n"
    )
    assert (found.kind, found.conda, found.pip) == (
        "conda",
        ("python 3.11.*", "numpy >=1.2,<2", "pip"),
        ("pandas", "requests"),
    )
    assert found.variables == {"A": "1", "B": "two words", "C": "True"}
    assert not found.warnings


def test_an_empty_file_is_an_empty_environment(spec):
    found = spec("")
    assert (found.conda, found.pip) == ((), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", r"^conda\.yaml:1:1: the file is a list, but it must be a mapping"),
        ("dependencies: numpy\n", r"^conda\.yaml:1:15: dependencies is a text, but it must be a list"),
        ("dependencies: [3]\n", r"^conda\.yaml:1:16: Invalid conda dependency: 3\. Must be str or dict in the form of"),
        (
            "dependencies:\n- npm: [x]\n",
            r'^conda\.yaml:2:3: Invalid conda dependency: .* in the form of {"pip": \[\.\.\.\]}',
        ),
        ("dependencies:\n- pip: x\n", r"^conda\.yaml:2:8: the pip section is a text, but it must be a list"),
        (
            "dependencies:\n- pip: [1.0]\n",
            r"^conda\.yaml:2:9: an entry of the pip section is a number.* put 1\.0 in quotes",
        ),
        ("dependencies: ['numpy >=']\n", r"^conda\.yaml:1:16: 'numpy >=' is no conda dependency: .* Write such as"),
        ("channels: x\n", r"^conda\.yaml:1:11: channels is a text, but it must be a list"),
        ("channels: [1]\n", r"^conda\.yaml:1:12: a channel is a number"),
        ("variables: [A]\n", r"^conda\.yaml:1:12: variables is a list, but it must be a mapping"),
        ("variables: {A-B: 1}\n", r"^conda\.yaml:1:13: 'A-B' is no name of a variable"),
        ("variables: {A: [1]}\n", r"^conda\.yaml:1:16: the variable A is a list"),
        ("dependancies: []\n", r"^conda\.yaml:1:1: .*'dependancies'\. Did you mean 'dependencies'\?"),
        ("dependencies: [\n", r"^conda\.yaml:2:1: not readable as YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place(spec, text, message):
    with pytest.raises(EnvironmentInvalid, match=message):
        spec(text)


def test_a_file_that_is_missing_or_no_text_is_told(project):
    with pytest.raises(EnvironmentInvalid, match=r"There is no environment file .*conda\.yaml"):
        read("conda", project / "conda.yaml")
    (project / "conda.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EnvironmentInvalid, match="is not text in UTF-8"):
        read("conda", project / "conda.yaml")


def test_a_key_that_means_nothing_is_a_warning(spec):
    (warning,) = spec("remark: hello\n").warnings
    assert warning.startswith("conda.yaml:1:1: 'remark' in the file is ignored; the keys known are name, channels,")


def test_an_unusual_dependency_needs_the_package_that_can_read_it(spec, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rattler", None)
    assert spec("dependencies: [numpy=1.2]\n").conda == ("numpy 1.2.*",)
    with pytest.raises(PreparationError, match=r"needs py-rattler: pip install 'mlp-operator\[conda\]'"):
        spec("dependencies: ['numpy=1.2=py*']\n")
