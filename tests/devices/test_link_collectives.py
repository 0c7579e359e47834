"""Collectives: tasks against closed forms, bytes moved, protocols."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.contracts.tasks import Schedule, TaskGraph
from simulator.core.errors import ConfigError
from simulator.devices.link import Link
from simulator.devices.link_collectives import (
    ALGORITHMS,
    Collective,
    Protocol,
    collective_ps,
    fastest,
    lay_collective,
)
from simulator.devices.link_fabric import Fabric
from simulator.devices.scheduling import schedule

from .link_parts import links, part, plain, star, topology

NAMES = [(kind, algorithm) for kind, algorithms in ALGORITHMS.items() for algorithm in algorithms]


def full_mesh(link: Link, n: int) -> Fabric:
    devices = [f"device{index}" for index in range(n)]
    joins = [(one, other, link) for index, one in enumerate(devices) for other in devices[index + 1 :]]
    return Fabric(devices, {}, joins)


def run(fabric: Fabric, collective: Collective) -> Schedule:
    graph = TaskGraph()
    done = lay_collective(graph, fabric, collective)
    plan = schedule(graph)
    assert set(done) == set(collective.ranks)
    assert max(int(plan.end_ps[task]) for tasks in done.values() for task in tasks) == plan.makespan_ps
    return plan


@pytest.mark.parametrize(("kind", "algorithm"), NAMES)
@settings(max_examples=25, deadline=None)
@given(
    link=links(),
    n=st.integers(2, 9),
    n_bytes=st.integers(0, 200_000),
    step_ps=st.sampled_from([0, 1_700_000]),
    launch_ps=st.sampled_from([0, 5_000_000]),
    n_chunks=st.integers(1, 4),
    shape=st.sampled_from(["star", "packet", "no multicast", "mesh"]),
)
def test_tasks_equal_the_closed_form(
    kind: str,
    algorithm: str,
    link: Link,
    n: int,
    n_bytes: int,
    step_ps: int,
    launch_ps: int,
    n_chunks: int,
    shape: str,
) -> None:
    if ALGORITHMS[kind][algorithm].powers_of_two:
        n = 1 << (n.bit_length() - 1)
    fabric = {
        "star": lambda: star(link, n, 110_000),
        "packet": lambda: star(link, n, 110_000, forwarding="packet"),
        "no multicast": lambda: star(link, n, 110_000, multicast=False),
        "mesh": lambda: full_mesh(link, n),
    }[shape]()
    protocol = Protocol("drawn", launch_ps, step_ps, Fraction(15, 16))
    collective = Collective(kind, algorithm, n_bytes, fabric.devices, protocol, n_chunks)
    assert run(fabric, collective).makespan_ps == collective_ps(fabric, collective)


@pytest.mark.parametrize(
    ("kind", "algorithm", "n"),
    [(*name, n) for name in NAMES for n in (2, 3, 4, 8) if n != 3 or not ALGORITHMS[name[0]][name[1]].powers_of_two],
)
def test_bytes_are_conserved(kind: str, algorithm: str, n: int) -> None:
    """What leaves all devices, by what the algorithm must move at least; every picosecond here is a byte."""
    size = 24 * 100
    fabric = star(plain(8000), n)
    busy = run(fabric, Collective(kind, algorithm, size, fabric.devices)).resource_busy_ps()
    up = sum(time for resource, time in busy.items() if resource.endswith("->switch"))
    down = sum(time for resource, time in busy.items() if resource.startswith("switch->"))
    shards = size // n * n * (n - 1)
    copies = {"multicast": 1}.get(algorithm, n - 1)
    expected = {
        ("all_reduce", "tree"): 2 * size * (n - 1),
        ("all_reduce", "one_shot"): size * n * (n - 1),
        ("all_gather", "multicast"): size // n * n,
    }
    kinds = {"all_reduce": 2 * shards, "broadcast": size * copies}
    assert up == expected.get((kind, algorithm), kinds.get(kind, shards))
    if algorithm != "multicast":
        assert down == up
    else:
        assert down == {"all_gather": shards, "broadcast": size * (n - 1)}[kind]


def test_a_ring_moves_twice_all_but_a_share() -> None:
    """Large all-reduce on eight GPUs of 450 GB/s: the bus bandwidth that benchmarks print is the link's."""
    shape = topology("nvswitch")
    size = 1 << 30
    time_ps = collective_ps(shape.fabric, Collective("all_reduce", "ring", size, shape.devices))
    bus_gb_per_s = 2 * 7 / 8 * size / time_ps * 1e3
    assert bus_gb_per_s == pytest.approx(float(shape.link.payload_bytes_per_s) / 1e9, rel=2e-2)


def test_small_messages_want_few_steps_and_large_ones_few_bytes() -> None:
    shape = topology("nvswitch")
    protocol = Protocol("simple", 0, 2_000_000)

    def best(size: int) -> str:
        choices = [Collective("all_reduce", name, size, shape.devices, protocol) for name in ALGORITHMS["all_reduce"]]
        return fastest(shape.fabric, choices)[0].algorithm

    assert best(8_192) == "one_shot"
    assert best(1 << 30) in ("ring", "halving_doubling", "two_shot")


def test_protocols_switch_with_the_size() -> None:
    shape = topology("nvswitch")
    protocols = [Protocol("low latency", 0, 500_000, Fraction(1, 2)), Protocol("simple", 0, 3_000_000)]

    def best(size: int) -> str:
        choices = [Collective("all_reduce", "ring", size, shape.devices, protocol) for protocol in protocols]
        return fastest(shape.fabric, choices)[0].protocol.name

    assert (best(4_096), best(1 << 28)) == ("low latency", "simple")


def test_equal_choices_keep_their_order() -> None:
    fabric = star(plain(8), 2)
    choices = [Collective("all_gather", name, 100, fabric.devices) for name in ("direct", "ring")]
    assert fastest(fabric, choices)[0].algorithm == "direct"
    assert fastest(fabric, choices[::-1])[0].algorithm == "ring"


def test_collectives_follow_each_other_rank_by_rank() -> None:
    """Two in a row take twice the time of one, though nobody waits for a common end."""
    fabric = star(plain(8, 100), 4)
    collective = Collective("all_reduce", "ring", 4_000, fabric.devices)
    graph = TaskGraph()
    lay_collective(graph, fabric, collective, lay_collective(graph, fabric, collective))
    assert schedule(graph).makespan_ps == 2 * collective_ps(fabric, collective)


def test_a_collective_waits_for_work() -> None:
    fabric = star(plain(8, 100), 4)
    collective = Collective("all_gather", "ring", 4_000, fabric.devices)
    graph = TaskGraph()
    work = {rank: (graph.add("gemm", rank, 1_000 * index),) for index, rank in enumerate(fabric.devices)}
    lay_collective(graph, fabric, collective, work)
    assert schedule(graph).makespan_ps == 3_000 + collective_ps(fabric, collective)


def test_two_groups_share_a_switch_without_harm_and_a_link_with() -> None:
    link = plain(8, 100)
    apart = star(link, 4)
    graph = TaskGraph()
    groups = [Collective("all_reduce", "ring", 4_000, ranks) for ranks in (apart.devices[:2], apart.devices[2:])]
    for group in groups:
        lay_collective(graph, apart, group)
    assert schedule(graph).makespan_ps == collective_ps(apart, groups[0])
    joins = [("device0", "s", link), ("device1", "t", link), ("device2", "s", link), ("device3", "t", link)]
    shared = Fabric(apart.devices, {"s": 0, "t": 0}, [*joins, ("s", "t", link)])
    graph = TaskGraph()
    for group in groups:
        lay_collective(graph, shared, group)
    assert schedule(graph).makespan_ps == 2 * 2 * 2_000_000 + 300  # the link between is never idle


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("all_reduc", "ring", 8, ("a", "b")), ["all_reduc", "did you mean `all_reduce`"]),
        (("all_reduce", "rings", 8, ("a", "b")), ["rings", "did you mean `ring`"]),
        (("all_reduce", "ring", 8, ("a",)), ["1 ranks", "two or more"]),
        (("all_reduce", "ring", 8, ("a", "a")), ["two or more, once"]),
        (("all_reduce", "ring", -8, ("a", "b")), ["-8 bytes"]),
        (("all_reduce", "tree", 8, ("a", "b", "c")), ["power of two", "3"]),
    ],
)
def test_what_is_refused(arguments: tuple[str, str, int, tuple[str, ...]], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        Collective(*arguments)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_closed_form_refuses_unequal_links() -> None:
    fabric = Fabric(["a", "b", "c"], {"s": 0}, [("a", "s", plain(8)), ("b", "s", plain(8)), ("c", "s", plain(16))])
    with pytest.raises(ConfigError, match="equal links"):
        collective_ps(fabric, Collective("all_reduce", "ring", 300, fabric.devices))
    with pytest.raises(ConfigError, match="at least one"):
        fastest(fabric, [])


def test_all_reduce_of_four_h200_stays_below_what_was_measured() -> None:
    """NCCL on four H200: 67,108,864 bytes in 401 us. The link alone would take a little over half of that."""
    shape = topology("nvswitch", n_devices=4)
    time_ps = collective_ps(shape.fabric, Collective("all_reduce", "ring", 67_108_864, shape.devices))
    assert 0.5 < time_ps / 400_965_551 < 0.7


def test_rings_of_direct_links() -> None:
    shape = topology("nvswitch", shape="ring", n_devices=4)
    collective = Collective("all_reduce", "ring", 4_096, shape.devices)
    step = part("nvlink").message_ps(1_024)
    assert run(shape.fabric, collective).makespan_ps == collective_ps(shape.fabric, collective) == 6 * step
    with pytest.raises(ConfigError, match="no route"):
        collective_ps(shape.fabric, Collective("all_reduce", "two_shot", 4_096, shape.devices))
