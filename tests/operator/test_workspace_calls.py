"""Who gets how many of the threads in which workspaces are asked."""

from __future__ import annotations

import asyncio

from mlp_operator.runs.workspace_calls import Places


async def test_a_namespace_with_many_hosts_leaves_places_for_others():
    places = Places(8)
    inside = set()

    async def visit(namespace, host):
        async with places.of(namespace, host):
            inside.add((namespace, host))
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(visit("greedy", f"host-{number}")) for number in range(20)]
    tasks += [asyncio.create_task(visit("greedy", "shared")) for _ in range(20)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(inside) == 6
    tasks += [asyncio.create_task(visit("modest", host)) for host in ("own", "shared")]
    for _ in range(100):
        await asyncio.sleep(0)
    assert {("modest", "own"), ("modest", "shared")} <= inside
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_host_that_hangs_leaves_places_for_the_others_of_its_namespace():
    places = Places(8)
    inside = []

    async def visit(host):
        async with places.of("team-a", host):
            inside.append(host)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(visit("hangs")) for _ in range(20)] + [asyncio.create_task(visit("goes on"))]
    for _ in range(100):
        await asyncio.sleep(0)
    assert sorted(inside) == ["goes on", *["hangs"] * 4]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
