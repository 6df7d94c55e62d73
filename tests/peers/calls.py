"""The projects and calls that we and MLflow are given, and where we mean to differ.

`./record` in every project writes the arguments that it was called with to a file. Where a call has no `Difference`,
both sides must leave the same records and the same exit status.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Difference:
    """What each side does where we do not follow MLflow: exit status and records."""

    reason: str
    mlflow: tuple[int, list[list[str]]]
    ours: tuple[int, list[list[str]]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of ``run``. `{project}` and `{caller}` in expected records are the two directories."""

    name: str
    files: dict[str, str]
    arguments: list[str] = field(default_factory=list)
    difference: Difference | None = None


def project(command: str, parameters: str = "", top: str = "") -> dict[str, str]:
    """An MLproject with one entry point. The command is a YAML scalar, the parameters a flow mapping."""
    declared = f"    parameters: {parameters}\n" if parameters else ""
    return {"MLproject": f"{top}entry_points:\n  main:\n{declared}    command: {command}\n"}


def given(*parameters: str) -> list[str]:
    return [argument for parameter in parameters for argument in ("-P", parameter)]


RECORD_A = '"./record {a}"'
SCRIPTS = {
    "train.py": "import runpy, sys\nrunpy.run_path('record', run_name='__main__')\n",
    "prepare.sh": './record sh "$@"\n',
    "src/deep er.py": "import runpy, sys\nrunpy.run_path('record', run_name='__main__')\n",
    "model.R": "",
}

NASTY = {
    "spaces": "a  b ",
    "quotes": """it's "so" `x`""",
    "dollar": "$HOME $(id) ${X}",
    "separators": "a; b && c | d > e &",
    "newline": "one\ntwo\n",
    "unicode": "größe 数据 🍷",
    "empty": "",
    "dash": "--help",
    "backslash": "a\\b\\\\ \\",
    "equals": "k=v=w",
    "braces": "{a} {{b}}",
    "glob": "* ?",
    "hash": "#x",
    "long": "0123456789" * 1000,
}

SAME = [
    # Values of declared and undeclared parameters.
    *(Call(f"declared, {name}", project(RECORD_A, "{a: string}"), given(f"a={text}")) for name, text in NASTY.items()),
    *(Call(f"undeclared, {name}", project("./record"), given(f"x={text}", "y=1")) for name, text in NASTY.items()),
    Call("an undeclared name with punctuation", project("./record"), given("x-y.z=1")),
    Call("120 undeclared parameters", project("./record"), given(*(f"k{number}={number}" for number in range(120)))),
    Call("declared before undeclared", project(RECORD_A, "{a: string}"), given("z=1", "a=2", "b=3")),
    Call("names differ by case", project('"./record {a} {A}"', "{a: string, A: string}"), given("a=1", "A=2")),
    # Defaults.
    *(
        Call(f"default {default}", project(RECORD_A, f"{{a: {{default: {default}}}}}"))
        for default in [
            "0",
            "False",
            "''",
            "yes",
            "0.10",
            "1e-3",
            "1.0e-3",
            "010",
            "1:30",
            "1_000",
            ".inf",
            "None",
            "[1, 2]",
            "{k: v}",
            "2024-01-31",
            "'x y'",
        ]
    ),
    Call("a default that is overridden", project(RECORD_A, "{a: {type: float, default: 0.1}}"), given("a=0.25")),
    Call("null is no default", project(RECORD_A, "{a: {type: float, default: null}}")),
    Call("a type alone in the long form", project(RECORD_A, "\n      a:\n        type: float"), given("a=1")),
    Call("an empty declaration", project(RECORD_A, "{a: {}}"), given("a=1")),
    Call("missing parameters", project(RECORD_A, "{a: float, b: string, c: {default: 1}}"), given("c=2")),
    # Types.
    *(Call(f"float {value}", project(RECORD_A, "{a: float}"), given(f"a={value}")) for value in ["0.5", "1e-3", "nan"]),
    Call("int", project(RECORD_A, "{a: int}"), given("a=007")),
    Call("bool", project(RECORD_A, "{a: bool}"), given("a=TRUE")),
    Call("an absolute path", project(RECORD_A, "{a: path}"), given("a=/usr/bin")),
    Call("a path from the caller's directory", project(RECORD_A, "{a: path}"), given("a=data.csv")),
    Call("a path with dots", project(RECORD_A, "{a: path}"), given("a=./sub/../data.csv")),
    Call("a file URI as a path", project(RECORD_A, "{a: path}"), given("a=file:///usr/bin")),
    Call("a path that is missing", project(RECORD_A, "{a: path}"), given("a=missing.csv")),
    Call("a default path from the caller's directory", project(RECORD_A, "{a: {type: path, default: data.csv}}")),
    *(
        Call(f"uri {value}", project(RECORD_A, "{a: uri}"), given(f"a={value}"))
        for value in ["s3://bucket/key", "file:/x", "dbfs:/x y"]
    ),
    # Commands.
    Call("doubled braces", project('"./record {{x}} {a}"', "{a: string}"), given("a=1")),
    Call("a placeholder twice", project('"./record {a} {a}"', "{a: string}"), given("a=x y")),
    Call("format specifications", project('"./record [{a:>5}] {a!r}"', "{a: string}"), given("a=x")),
    Call("the author's quotes", project("""'./record "{a}"'""", "{a: string}"), given("a=x y")),
    Call("shell syntax", project('"cd src && ../record $PWD | cat; ../record {a}"', "{a: string}"), given("a=1")),
    Call("several lines", project("|\n      ./record one\n      ./record {a}\n", "{a: string}"), given("a=2")),
    Call("a line that fails before the last", project("|\n      false\n      ./record {a}\n", "{a: {default: 1}}")),
    Call("a pipe that fails before its end", project("'false | cat; ./record'")),
    Call("the project's directory is the working directory", project("./record $PWD")),
    Call("an undeclared placeholder", project('"./record {b}"'), given("b=1")),
    Call("braces of awk", project("\"echo | awk '{print $1}'\"")),
    Call("an empty placeholder", project('"./record {}"')),
    Call("a lone brace", project("'./record }'")),
    Call("a number's format for a text", project('"./record {a:.2f}"', "{a: float}"), given("a=1")),
    # Entry points.
    Call("main of two", {"MLproject": "entry_points: {a: {command: ./record a}, main: {command: ./record main}}"}),
    Call("a named entry point", {"MLproject": "entry_points: {a: {command: ./record a}}"}, ["-e", "a"]),
    Call("a script of python", SCRIPTS, ["-e", "train.py", *given("b=2", "a=1 2")]),
    Call("a script of a shell", SCRIPTS, ["-e", "prepare.sh", *given("b=2")]),
    Call("a script in a directory with a blank in its name", SCRIPTS, ["-e", "src/deep er.py", *given("b=2")]),
    Call("a script of R", SCRIPTS, ["-e", "model.R", *given("b=x y")]),
    Call("a script beside an MLproject", {**SCRIPTS, **project("./record main")}, ["-e", "train.py"]),
    Call(
        "a declared name that looks like a script",
        {**SCRIPTS, "MLproject": "entry_points: {train.py: {command: ./record declared}}"},
        ["-e", "train.py"],
    ),
    Call("an unknown entry point", project("./record"), ["-e", "evaluate"]),
    Call("a script that is missing", {}, ["-e", "missing.py"]),
    Call("a notebook", {"note.ipynb": "{}"}, ["-e", "note.ipynb"]),
    Call("no main without a file", SCRIPTS),
    # Files.
    Call("mlproject in small letters", {"mlproject": project("./record")["MLproject"]}),
    Call("MLproject.yaml is not read", {"MLproject.yaml": project("./record")["MLproject"]}),
    Call("unknown keys", project("./record", top="author: me\n")),
    Call("a name that is a number", project("./record", top="name: 7\n")),
    Call("a conda_env", {**project("./record", top="conda_env: c.yaml\n"), "c.yaml": "dependencies: []"}),
    Call("a conda_env that is missing", project("./record", top="conda_env: c.yaml\n")),
    Call("a python_env that is missing", project("./record", top="python_env: p.yaml\n")),
    Call("a null conda_env", project("./record", top="conda_env:\n")),
    Call("a conda.yaml by convention", {**project("./record"), "conda.yaml": "dependencies: []"}),
    Call("two environments", project("./record", top="conda_env: a\npython_env: b\n")),
    Call("docker_env without an image", project("./record", top="docker_env: {volumes: []}\n")),
    Call("wrong volumes", project("./record", top="docker_env: {image: x, volumes: a}\n")),
    Call("wrong variables", project("./record", top="docker_env: {image: x, environment: {A: b}}\n")),
    Call("a spark job and an environment", project("./record", top="databricks_spark_job: {}\nconda_env: x\n")),
    Call("a spark job without anything", {"MLproject": "databricks_spark_job: {}"}),
    *(
        Call(f"malformed: {text!r}", {"MLproject": text})
        for text in [
            "",
            "- a",
            "a: b: c",
            "entry_points:",
            "entry_points: {main: }",
            "entry_points: {main: ./record}",
            "entry_points: {main: {command: }}",
            "entry_points: {main: {parameters: , command: ./record}}",
            "entry_points: {main: {parameters: {a: }, command: ./record}}",
            "entry_points: {main: {}}",
            "entry_points: {main: {command: true}}",
        ]
    ),
    # The command line.
    Call("a parameter without a value", project("./record"), ["-P", "a"]),
    Call("a parameter twice", project("./record"), given("a=1", "a=2")),
]

DIFFERENT = [
    Call(
        "a float that is none",
        project(RECORD_A, "{a: float}"),
        given("a=much"),
        Difference("the documentation promises that numbers are validated", (0, [["much"]]), (1, [])),
    ),
    Call(
        "an int that is none",
        project(RECORD_A, "{a: int}"),
        given("a=1.5"),
        Difference("the documentation promises that numbers are validated", (0, [["1.5"]]), (1, [])),
    ),
    Call(
        "a bool that is none",
        project(RECORD_A, "{a: bool}"),
        given("a=maybe"),
        Difference("types are validated", (0, [["maybe"]]), (1, [])),
    ),
    Call(
        "a type that is none",
        project(RECORD_A, "{a: banana}"),
        given("a=1"),
        Difference("a misspelt type would be a string silently", (0, [["1"]]), (1, [])),
    ),
    Call(
        "a default that does not fit",
        project(RECORD_A, "{a: {type: int, default: x}}"),
        [],
        Difference("types are validated", (0, [["x"]]), (1, [])),
    ),
    Call(
        "a relative uri",
        project(RECORD_A, "{a: uri}"),
        given("a=data.csv"),
        Difference(
            "the documentation promises that relative paths become absolute", (1, []), (0, [["{caller}/data.csv"]])
        ),
    ),
    Call(
        "an absolute path as a uri",
        project(RECORD_A, "{a: uri}"),
        given("a=/usr/bin"),
        Difference("the documentation allows local paths", (1, []), (0, [["/usr/bin"]])),
    ),
    Call(
        "a default path from the project's directory",
        {**project(RECORD_A, "{a: {type: path, default: own.csv}}"), "own.csv": ""},
        [],
        Difference("an author means a file of the project", (1, []), (0, [["{project}/own.csv"]])),
    ),
    Call(
        "extras behind a block",
        project("|\n      ./record {a}\n", "{a: string}"),
        given("a=1", "b=2"),
        Difference(
            "the newline at a block's end would make a command of the extras", (1, [["1"]]), (0, [["1", "--b", "2"]])
        ),
    ),
    Call(
        "an exit status",
        project('"./record; exit 3"'),
        [],
        Difference("the command's own exit status comes through", (1, [[]]), (3, [[]])),
    ),
    Call(
        "a command that a signal ends",
        project('"./record; kill -9 $$"'),
        [],
        Difference("the command's own exit status comes through, as a shell has it", (1, [[]]), (137, [[]])),
    ),
    Call(
        "an attribute in a placeholder",
        project('"./record {a.__class__.__name__}"', "{a: string}"),
        given("a=x"),
        Difference("a placeholder names a parameter, nothing inside Python", (0, [["str"]]), (1, [])),
    ),
    Call(
        "a character in a placeholder",
        project('"./record {a[0]}"', "{a: string}"),
        given("a=xy"),
        Difference("a part of a quoted value need not be quoted", (0, [["x"]]), (1, [])),
    ),
    Call(
        "a dotted name",
        project('"./record {a.b}"', "{a.b: string}"),
        given("a.b=x y"),
        Difference("MLflow looks for an attribute and crashes", (1, []), (0, [["x y"]])),
    ),
    Call(
        "an empty command", project("''"), [], Difference("a run that does nothing must not succeed", (0, []), (1, []))
    ),
    Call(
        "a misspelt key",
        {**SCRIPTS, "MLproject": "entrypoints: {}"},
        ["-e", "train.py"],
        Difference("a misspelt key would be ignored silently", (0, [[]]), (1, [])),
    ),
    Call(
        "docker_env that is empty",
        project("./record", top="docker_env: {}\n"),
        [],
        Difference("a container was asked for; without one the command would run on the host", (0, [[]]), (1, [])),
    ),
    Call(
        "an environment file outside the project",
        project("./record", top="conda_env: ../caller/data.csv\n"),
        [],
        Difference("a project is what is in its directory", (0, [[]]), (1, [])),
    ),
    Call(
        "a script outside the project",
        {},
        ["-e", "../caller/outside.sh"],
        Difference("a project is what is in its directory", (0, [["outside"]]), (1, [])),
    ),
    Call(
        "a command that is not there",
        project("no-such-program-anywhere"),
        [],
        Difference("the command's own exit status comes through", (1, []), (127, [])),
    ),
    Call(
        "a script whose name has braces",
        {"a{b}.sh": "./record braces\n"},
        ["-e", "a{b}.sh"],
        Difference("a file's name is no format string", (1, []), (0, [["braces"]])),
    ),
    Call(
        "a script whose name begins with a dash",
        {"-x.sh": "./record dash\n"},
        ["-e", "-x.sh"],
        Difference("a shell would take the name for options", (1, []), (0, [["dash"]])),
    ),
    Call(
        "a directory called mlproject",
        {**SCRIPTS, "mlproject/x": ""},
        ["-e", "train.py"],
        Difference("MLflow crashes with IsADirectoryError", (1, []), (0, [[]])),
    ),
    Call(
        "an undeclared name with shell syntax",
        project("./record"),
        given("x;y z=1"),
        Difference("MLflow's tracking refuses the quoted name", (1, []), (0, [["--x;y z", "1"]])),
    ),
]


CALLS = [*SAME, *DIFFERENT]
