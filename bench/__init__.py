"""Benchmarks of mlp: `python -m bench`, described in docs/performance.md.

    results      what a figure hands back: tables; how they are printed and stored
    spread       percentiles
    processes    memory and processor time of a process, from /proc
    stage/       what runs on Kubernetes are measured on: control plane or node, operator, repository, observer, player
    figures/     one module a figure

A figure is a module with a function `measure() -> Result`; bench.figures lists them. Figures compare things that ran
in the same minutes on the same machine; bare times say little about another machine.
"""
