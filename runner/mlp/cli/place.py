"""``-n``, ``--context`` and ``--kubeconfig``, for every command that talks to a cluster."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from mlp.cli.program import program_name
from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.backends.kubernetes import Cluster

Command = TypeVar("Command", bound="Callable[..., Any]")

__all__ = ["Place", "place_options"]


@dataclass(frozen=True, slots=True)
class Place:
    """The cluster and the namespace that a command line names."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None

    def connect(self) -> Cluster:
        """Find the cluster; its connections are closed by leaving it as a context.

        Raises:
            UsageError: It is not to be found, or the Kubernetes client is not installed.
        """
        try:
            from mlp.backends.kubernetes import Cluster  # noqa: PLC0415 -- a third of a second
        except ModuleNotFoundError as error:
            if error.name and error.name.partition(".")[0] == "kubernetes":
                raise UsageError(
                    "Commands that talk to a cluster need the Kubernetes client: pip install 'mlp-operator[kubernetes]'"
                ) from None
            raise
        return Cluster.connect(kubeconfig=self.kubeconfig, context=self.context, namespace=self.namespace)

    def call(self, command: str, *arguments: str) -> str:
        """The command line of another command about a run in the same place, to be copied by the user."""
        given = {"-n": self.namespace, "--context": self.context, "--kubeconfig": self.kubeconfig}
        options = [word for option, value in given.items() if value for word in (option, value)]
        return f"{program_name()} {command} {shlex.join([*arguments, *options])}"


def place_options(function: Command) -> Command:
    """Add the options to a command; they arrive together, as ``place``."""

    @functools.wraps(function)
    def call(*args: Any, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> Any:  # noqa: ANN401 -- the command's own
        return function(*args, place=Place(namespace, context, kubeconfig), **options)

    for option in (
        click.option("--kubeconfig", metavar="FILE", help="[default: $KUBECONFIG, or ~/.kube/config]"),
        click.option("--context", metavar="NAME", help="A context of the kubeconfig.  [default: its current one]"),
        click.option("-n", "--namespace", metavar="NAME", help="[default: the context's]"),
    ):
        option(call)
    return cast("Command", call)
