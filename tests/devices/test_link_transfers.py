"""Routes and transfers over fabrics: closed forms, sharing, and what holds of any set of transfers."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.contracts.tasks import TaskGraph
from simulator.core.errors import ConfigError
from simulator.devices.link import PS_PER_S
from simulator.devices.link_fabric import Fabric, Forwarding
from simulator.devices.link_transfers import Transfer, TransferPlan, alone_ps, lay_transfer, run_transfers
from simulator.devices.scheduling import schedule

from .link_parts import links, part, plain, star, topology

FORWARDING = st.sampled_from(["cut_through", "packet", "message"])


def one(name: str, source: str, destination: str, n_bytes: int, start_ps: int = 0) -> Transfer:
    return Transfer(name, source, (destination,), n_bytes, start_ps)


def ends(plan: TransferPlan) -> dict[str, int]:
    return {delivery.transfer.name: delivery.end_ps for delivery in plan.deliveries}


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """Two switches with devices of their own links, joined by a link that all share."""
    shared, kinds = draw(links()), draw(st.lists(links(), min_size=2, max_size=2))
    n = draw(st.integers(2, 5))
    devices = [f"device{index}" for index in range(n)]
    joins = [(device, f"switch{index % 2}", kinds[index % 2]) for index, device in enumerate(devices)]
    switches = {"switch0": draw(st.integers(0, 200_000)), "switch1": draw(st.integers(0, 200_000))}
    forwarding: Forwarding = draw(FORWARDING)
    return Fabric(
        devices,
        switches,
        [*joins, ("switch0", "switch1", shared)],
        forwarding=forwarding,
        multicast=draw(st.booleans()),
    )


@st.composite
def transfers(draw: st.DrawFn, devices: tuple[str, ...], *, max_count: int = 6) -> list[Transfer]:
    """Transfers that begin together, or nearly, to one or several devices."""
    found = []
    for index in range(draw(st.integers(1, max_count))):
        source, *others = draw(st.permutations(devices))
        destinations = others[: draw(st.integers(1, len(others)))]
        start_ps = draw(st.sampled_from([0, 0, 0, 1_000, 77_777]))
        found.append(Transfer(f"t{index}", source, tuple(sorted(destinations)), draw(st.integers(0, 20_000)), start_ps))
    return found


def cases(max_count: int = 6) -> st.SearchStrategy[tuple[Fabric, list[Transfer]]]:
    return fabrics().flatmap(lambda fabric: st.tuples(st.just(fabric), transfers(fabric.devices, max_count=max_count)))


def test_one_link() -> None:
    fabric = Fabric(["a", "b"], {}, [("a", "b", plain(8, 500))])
    assert run_transfers(fabric, [one("x", "a", "b", 1000)]).schedule.makespan_ps == 500 + 1_000_000
    assert fabric.message_ps("a", "b", 1000) == plain(8, 500).message_ps(1000) == 500 + 1_000_000
    assert fabric.message_ps("b", "a", 1000) == fabric.message_ps("a", "b", 1000)


def test_through_a_switch_the_bytes_count_once() -> None:
    fabric = star(plain(8, 500), 3, switch_ps=70)
    assert fabric.latency_ps("device0", "device2") == 2 * 500 + 70
    assert fabric.message_ps("device0", "device2", 1000) == 2 * 500 + 70 + 1_000_000


@pytest.mark.parametrize(("forwarding", "extra_ps"), [("cut_through", 0), ("packet", 280), ("message", 4 * 280)])
def test_what_a_switch_waits_for(forwarding: Forwarding, extra_ps: int) -> None:
    """1 GB/s after encoding would be 1000 ps a byte; PCIe 5 x16 takes 280 bytes in 4444 ps."""
    link = part("pcie")
    fabric = star(link, 2, forwarding=forwarding)
    expected = 2 * link.latency_ps + link.occupancy_ps(1024) + -(-extra_ps * PS_PER_S // int(link.bytes_per_s))
    assert fabric.message_ps("device0", "device1", 1024) == pytest.approx(expected, abs=1)


def test_several_switches_in_a_row() -> None:
    link = plain(8, 100)
    joins = [("a", "s0", link), ("s0", "s1", plain(4, 100)), ("s1", "s2", link), ("s2", "b", plain(16, 100))]
    fabric = Fabric(["a", "b"], {"s0": 7, "s1": 7, "s2": 7}, joins)
    assert [hop.resource for hop in fabric.route("a", "b")] == ["a->s0", "s0->s1", "s1->s2", "s2->b"]
    assert fabric.message_ps("a", "b", 1000) == 421 + 2_000_000
    assert fabric.bottleneck("a", "b") is joins[1][2]
    assert run_transfers(fabric, [one("x", "a", "b", 1000)]).schedule.makespan_ps == 421 + 2_000_000


@pytest.mark.parametrize("k", [1, 2, 4])
def test_devices_behind_a_narrow_uplink(k: int) -> None:
    """Four x4 drives behind x8: two together get all they can, four half of it, and the last ends at the bound."""
    shape = topology("pcie_switch")
    uplink = shape.fabric.route("device0", "host")[1].link
    sent = [one(f"t{index}", f"device{index}", "host", 1 << 20) for index in range(k)]
    makespan_ps = run_transfers(shape.fabric, sent).schedule.makespan_ps
    latency_ps = shape.fabric.latency_ps("device0", "host")
    assert makespan_ps == latency_ps + max(k * uplink.occupancy_ps(1 << 20), shape.link.occupancy_ps(1 << 20))


def test_whole_messages_in_turn_or_chunks_in_turn() -> None:
    fabric = star(plain(8), 3)
    both = [one("long", "device0", "device2", 10_000), one("short", "device1", "device2", 1000)]
    assert ends(run_transfers(fabric, both)) == {"long": 10_000_000, "short": 11_000_000}
    assert ends(run_transfers(fabric, both, chunk_bytes=1000)) == {"long": 11_000_000, "short": 2_000_000}


def test_directions_do_not_disturb_each_other() -> None:
    fabric = star(plain(8), 2)
    both = [one("there", "device0", "device1", 500), one("back", "device1", "device0", 500)]
    assert ends(run_transfers(fabric, both)) == {"there": 500_000, "back": 500_000}


def test_multicast_sends_one_copy_up() -> None:
    link = plain(8, 100)
    to_all = Transfer("x", "device0", ("device1", "device2", "device3"), 1000)
    with_it, without = star(link, 4), star(link, 4, multicast=False)
    plan = run_transfers(with_it, [to_all])
    assert plan.deliveries[0].end_ps == 200 + 1_000_000
    assert plan.schedule.resource_busy_ps() == dict.fromkeys(
        ["device0->switch", "switch->device1", "switch->device2", "switch->device3"], 1_000_000
    )
    plan = run_transfers(without, [to_all])
    assert plan.deliveries[0].end_ps == alone_ps(without, to_all) == 200 + 3_000_000
    assert plan.schedule.resource_busy_ps()["device0->switch"] == 3_000_000


def test_multicast_over_two_switches_crosses_between_them_once() -> None:
    link = plain(8)
    joins = [("a", "s", link), ("s", "t", link), ("t", "b", link), ("t", "c", link), ("s", "d", link)]
    fabric = Fabric(["a", "b", "c", "d"], {"s": 0, "t": 0}, joins)
    plan = run_transfers(fabric, [Transfer("x", "a", ("b", "c", "d"), 10)])
    assert plan.schedule.resource_busy_ps() == dict.fromkeys(["a->s", "s->t", "t->b", "t->c", "s->d"], 10_000)


def test_names_of_several_fabrics_stay_apart() -> None:
    assert list(star(plain(8), 2, name="up").resources()) == [
        "up device0->switch",
        "up device1->switch",
        "up switch->device0",
        "up switch->device1",
    ]


def test_work_waits_for_a_transfer() -> None:
    """Laid between two tasks of a system's own graph."""
    graph, fabric = TaskGraph(), star(plain(8, 100), 2)
    first = graph.add("gemm", "gpu", 5_000)
    laid = lay_transfer(graph, fabric, one("x", "device0", "device1", 10), (first,))
    last = graph.add("gemm", "gpu 1", 1_000, (laid.delivered["device1"],))
    plan = schedule(graph)
    assert plan.start_ps[last] == 5_000 + 200 + 10_000
    assert [int(plan.end_ps[task]) for task in laid.sent] == [15_000]


@settings(max_examples=150, deadline=None)
@given(cases(max_count=1))
def test_alone_a_transfer_takes_its_closed_form(case: tuple[Fabric, list[Transfer]]) -> None:
    fabric, sent = case
    (delivery,) = run_transfers(fabric, sent).deliveries
    assert delivery.waited_ps == 0


@settings(max_examples=100, deadline=None)
@given(cases(max_count=1), st.integers(300, 3000))
def test_chunks_of_a_lone_transfer_cost_nothing_where_links_are_alike(
    case: tuple[Fabric, list[Transfer]], chunk: int
) -> None:
    """Else, and where a switch waits for more than its latency, up to a chunk on the other links comes on top."""
    fabric, (sent,) = case
    first = fabric.route(sent.source, sent.destinations[0])[0].link
    alike = star(first, 2)
    whole = alike.message_ps("device0", "device1", sent.n_bytes)
    moved = one("x", "device0", "device1", sent.n_bytes)
    chunk = max(chunk, first.framing.unit_bytes)
    assert run_transfers(alike, [moved], chunk_bytes=chunk).schedule.makespan_ps == whole


@settings(max_examples=150, deadline=None)
@given(cases(), st.randoms(use_true_random=False), st.sampled_from([None, 2048]))
def test_insertion_order_changes_nothing(case, random, chunk_bytes: int | None) -> None:
    fabric, sent = case
    shuffled = list(sent)
    random.shuffle(shuffled)
    units = [link.framing.unit_bytes for link in fabric.resources().values()]
    chunk_bytes = chunk_bytes and max(chunk_bytes, *units)
    plan = run_transfers(fabric, sent, chunk_bytes=chunk_bytes)
    assert ends(run_transfers(fabric, shuffled, chunk_bytes=chunk_bytes)) == ends(plan)
    assert [delivery.transfer for delivery in plan.deliveries] == sent


@settings(max_examples=200, deadline=None)
@given(cases())
def test_what_holds_of_every_plan(case: tuple[Fabric, list[Transfer]]) -> None:
    fabric, sent = case
    plan = run_transfers(fabric, sent)
    makespan_ps = plan.schedule.makespan_ps
    on_wire: dict[str, int] = defaultdict(int)
    for transfer in sent:
        groups = [transfer.destinations] if fabric.multicast else [(one,) for one in transfer.destinations]
        for group in groups:
            hops = {hop.resource: hop.link for end in group for hop in fabric.route(transfer.source, end)}
            for resource, link in hops.items():
                on_wire[resource] += link.wire_bytes(transfer.n_bytes)
    resources, busy_ps = fabric.resources(), plan.schedule.resource_busy_ps()
    assert set(busy_ps) == set(on_wire)
    for resource, n_bytes in on_wire.items():
        link = resources[resource]
        assert n_bytes * PS_PER_S <= link.bytes_per_s * makespan_ps  # never faster than the link
        assert 0 <= busy_ps[resource] - link.exact_ps(n_bytes) < len(sent) * len(fabric.devices)  # bytes conserved
    for delivery in plan.deliveries:
        assert delivery.waited_ps >= 0  # never faster than alone
        for end in delivery.transfer.destinations:
            slowest = fabric.bottleneck(delivery.transfer.source, end)
            taken_ps = delivery.end_ps - delivery.transfer.start_ps
            assert delivery.transfer.n_bytes * PS_PER_S <= slowest.payload_bytes_per_s * taken_ps


@settings(max_examples=100, deadline=None)
@given(cases())
def test_nothing_gets_between_the_head_and_the_rest_of_a_message(case: tuple[Fabric, list[Transfer]]) -> None:
    plan = run_transfers(*case).schedule
    tasks = plan.tasks
    for index in range(len(tasks) - 1):
        on = tasks.resource_name(index)
        if on and on == tasks.resource_name(index + 1) and tasks.after_of(index) == tasks.after_of(index + 1):
            same = tasks.operator_name(index) == tasks.operator_name(index + 1)
            assert not same or plan.start_ps[index + 1] == plan.end_ps[index]


@settings(max_examples=100, deadline=None)
@given(links(), st.lists(st.integers(1, 20_000), min_size=1, max_size=8))
def test_a_shared_link_is_never_idle_while_somebody_waits(link, sizes: list[int]) -> None:
    """Senders of equal links to one device: all bytes, one after the other, and the latency once."""
    fabric = star(link, len(sizes) + 1)
    sent = [one(f"t{index}", f"device{index}", f"device{len(sizes)}", size) for index, size in enumerate(sizes)]
    total_ps = sum(link.occupancy_ps(size) for size in sizes)
    assert run_transfers(fabric, sent).schedule.makespan_ps == 2 * link.latency_ps + total_ps


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Fabric(["a", "a"], {}, []), ["two nodes", "one name"]),
        (lambda: Fabric(["a", "s"], {"s": 0}, []), ["one name"]),
        (lambda: Fabric(["gpu0", "gpu1"], {}, [("gpu0", "gpuu1", plain())]), ["gpuu1", "did you mean `gpu1`"]),
        (lambda: Fabric(["a", "b"], {}, [("a", "a", plain())]), ["`a` to itself"]),
        (lambda: Fabric(["a", "b"], {}, [("a", "b", plain()), ("b", "a", plain())]), ["a second time", "more lanes"]),
        (lambda: star(plain(), 3).route("device0", "switch"), ["`switch` is a switch"]),
        (lambda: star(plain(), 3).route("device0", "device9"), ["no device", "did you mean"]),
        (lambda: star(plain(), 3).route("device0", "device0"), ["sends to itself"]),
        (
            lambda: Fabric(["a", "b", "c"], {}, [("a", "b", plain()), ("b", "c", plain())]).route("a", "c"),
            ["no route from `a` to `c`"],
        ),
        (lambda: one("x", "a", "b", -1), ["-1 bytes"]),
        (lambda: Transfer("x", "a", (), 1), ["goes to nobody"]),
        (lambda: Transfer("x", "a", ("b", "b"), 1), ["each destination once"]),
        (
            lambda: run_transfers(star(part("pcie"), 2), [one("x", "device0", "device1", 500)], chunk_bytes=8),
            ["chunk of 8 bytes", "256"],
        ),
    ],
)
def test_what_is_refused(build, words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        build()
    assert all(word in str(refused.value) for word in words), str(refused.value)
