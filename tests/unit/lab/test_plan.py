"""The seed and the scenario decide a run: hosts, habits, disturbances, attacks."""

import dataclasses
import itertools
from pathlib import Path

import msgspec
import pytest

from emtc_lab.attacks.base import MOST_BYTES
from emtc_lab.attacks.types import ATTACKS, FAMILIES
from emtc_lab.devices.habits import plan as device_plan
from emtc_lab.devices.kinds import KINDS
from emtc_lab.plan import make_plan
from emtc_lab.scenario import Events, load

MIXED = load(Path(__file__).parents[3] / "lab" / "scenarios" / "mixed.toml")


def actions(spec, amount=200):
    return list(itertools.islice(device_plan(spec, KINDS[spec.kind].all_habits()), amount))


def test_the_same_seed_gives_the_same_run():
    first, second = make_plan(MIXED, 5), make_plan(MIXED, 5)
    assert first == second
    assert [actions(spec) for spec in first.specs] == [actions(spec) for spec in second.specs]


def test_seeds_differ():
    plans = [make_plan(MIXED, seed) for seed in range(6)]
    assert len({tuple((step.attack, step.style) for step in plan.steps) for plan in plans}) == 6
    assert len({plan.site.lan for plan in plans}) > 3
    assert len({tuple(actions(plan.specs[0])) for plan in plans}) == 6


def test_one_style_alone():
    plan = make_plan(MIXED, 4, styles=("low",))
    assert {step.style for step in plan.steps} == {"low"}
    assert {step.attack for step in plan.steps} == set(ATTACKS)


def test_leaving_the_attacks_out_changes_nothing_else():
    with_attacks, benign = make_plan(MIXED, 4), make_plan(MIXED, 4, styles=())
    assert benign.steps == ()
    assert (benign.specs, benign.hosts, benign.events) == (
        with_attacks.specs,
        with_attacks.hosts,
        with_attacks.events,
    )


@pytest.mark.parametrize("seed", range(8))
def test_every_host_has_its_own_address(seed):
    plan = make_plan(MIXED, seed)
    hosts = [*plan.hosts, plan.site.gateway, plan.site.attacker]
    assert len({host.ip for host in hosts}) == len({host.mac for host in hosts}) == len(hosts)
    assert all(int(host.mac[:2], 16) & 3 == 2 for host in hosts)  # locally administered, unicast


@pytest.mark.parametrize("seed", range(8))
def test_the_mixed_site_suffers_every_attack_in_both_styles(seed):
    plan = make_plan(MIXED, seed)
    assert plan.impossible == ()
    assert {(step.attack, step.style) for step in plan.steps} == set(itertools.product(ATTACKS, ("loud", "low")))


@pytest.mark.parametrize("seed", range(8))
def test_attacks_are_bounded_and_leave_time_to_learn_and_to_recover(seed):
    plan = make_plan(MIXED, seed)
    settings = MIXED.attacks
    assert plan.steps[0].at_s >= settings.quiet_start_s
    for before, after in itertools.pairwise(plan.steps):
        assert after.at_s >= before.at_s + before.seconds + 0.8 * settings.pause_s - 0.2
    assert all(0 < step.seconds <= settings.longest_s for step in plan.steps)
    assert plan.seconds >= plan.steps[-1].at_s + plan.steps[-1].seconds


@pytest.mark.parametrize("seed", range(8))
def test_a_device_does_not_attack_itself_and_victims_are_of_the_kind_needed(seed):
    plan = make_plan(MIXED, seed)
    kinds = {spec.ip: spec.kind for spec in plan.specs}
    for step in plan.steps:
        victims = [victim.split(";")[0] for victim in step.victims]
        assert not step.attacker or step.attacker.ip not in victims
        if needs := ATTACKS[step.attack].needs:
            assert all(kinds[victim] in needs for victim in victims)


@pytest.mark.parametrize("seed", range(4))
def test_floods_keep_their_byte_budget(seed):
    for step in make_plan(MIXED, seed).steps:
        if step.command[0] == "hping3":
            count = int(step.command[step.command.index("-c") + 1])
            payload = int(step.command[step.command.index("-d") + 1]) if "-d" in step.command else 0
            assert 0 < count * (payload + 40) <= MOST_BYTES


def test_an_attack_without_a_victim_is_named():
    home = load(Path(__file__).parents[3] / "lab" / "scenarios" / "home.toml")
    assert {"modbus-write", "ssh-brute-force"} <= set(make_plan(home, 1).impossible)


def test_there_are_as_many_kinds_and_types_as_promised():
    assert len(KINDS) >= 12
    assert len(ATTACKS) >= 25
    assert set(itertools.chain(*FAMILIES.values())) == set(ATTACKS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_action_of_a_kind_exists(kind):
    device = KINDS[kind]
    named = {habit.action for habit in device.all_habits()} | {"boot", "reboot", "firmware", "factory_reset"}
    assert all(callable(getattr(device, action)) for action in named)


def test_a_device_boots_first_and_goes_on_in_order_of_time():
    spec = make_plan(MIXED, 3).specs[0]
    told = actions(spec, 500)
    times = [at for at, _ in told]
    assert told[0][1] == "boot"
    assert times == sorted(times)
    assert {action for _, action in told} >= {habit.action for habit in KINDS[spec.kind].habits[:1]}


def test_compression_brings_more_actions_into_the_same_time():
    slow = make_plan(MIXED, 3).specs[0]
    quick = dataclasses.replace(slow, compress=slow.compress * 10)
    assert actions(quick, 200)[-1][0] < actions(slow, 200)[-1][0] / 5


@pytest.mark.parametrize("seed", range(20))
def test_a_server_is_up_again_before_it_goes_down(seed):
    often = msgspec.structs.replace(MIXED, events=Events(broker_restart_s=20.0, dns_failure_s=20.0))
    events = make_plan(often, seed, minutes=60, styles=()).events
    for server in ("broker", "dns"):
        told = [event.name for event in events if event.name.startswith(server)]
        assert len(told) > 20
        assert told == [f"{server} down", f"{server} up"] * (len(told) // 2)


def test_campaigns_and_resets_reach_the_devices_plan():
    plan = make_plan(MIXED, 9, minutes=240, styles=())
    assert any(action == "firmware" for spec in plan.specs for _, action in spec.moments)
    assert any(action == "factory_reset" for spec in plan.specs for _, action in spec.moments)
    assert any(outages for outages in plan.outages)
    assert {event.name for event in plan.events} == {"broker down", "broker up", "dns down", "dns up"}
