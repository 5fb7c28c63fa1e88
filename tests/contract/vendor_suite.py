"""What every vendor of accelerators must do. A vendor's tests inherit the class and make its nodes."""

from dataclasses import fields, replace

import pytest

from agent.accelerators.vendor import Grant, Vendor
from headrace.nodes import Health
from headrace.refusals import Refusal

READINGS = ("memory_used_bytes", "busy_percent", "temperature_celsius", "power_watts")


class VendorSuite:
    """`root` is an empty folder that stands for the node's file system.

    `tells` are the readings that its devices have when they are well, and `is_sure` says whether they say so.
    """

    tells = READINGS
    is_sure = True

    def healthy(self, root) -> Vendor:
        """A node with two devices or more that answer everything and are well."""
        raise NotImplementedError

    def one_bad(self, root) -> Vendor:
        """The same node, one device not answering since before the agent started."""
        raise NotImplementedError

    def silent(self, root) -> Vendor:
        """A node whose devices say what they are and nothing else."""
        raise NotImplementedError

    def absent(self, root) -> Vendor:
        """A node with neither card nor driver."""
        raise NotImplementedError

    def undriven(self, root) -> Vendor:
        """A node with a card and no driver."""
        raise NotImplementedError

    def break_one(self, vendor) -> None:
        """From now on one device does not answer."""
        raise NotImplementedError

    def test_healthy_devices_are_found_with_all_their_readings(self, tmp_path):
        probe = self.healthy(tmp_path).probe()

        assert probe.found
        assert len(probe.devices) >= 2
        for device in probe.devices:
            assert device.health is (Health.HEALTHY if self.is_sure else Health.UNKNOWN)
            assert device.health_reason == ""
            assert device.model
            assert device.memory_bytes
            assert all(getattr(device, name) is not None for name in self.tells)

    def test_a_device_says_kind_and_vendor_and_they_are_not_the_same(self, tmp_path):
        vendor = self.healthy(tmp_path)

        for device in vendor.probe().devices:
            assert device.vendor == vendor.name
            assert device.kind not in ("", vendor.name)

    def test_ids_are_unique_and_stay(self, tmp_path):
        vendor = self.healthy(tmp_path)

        first, second = ([device.id for device in vendor.probe().devices] for _ in range(2))

        assert len(set(first)) == len(first)
        assert first == second

    def test_without_hardware_there_are_no_devices_and_a_reason_and_nothing_to_do(self, tmp_path):
        probe = self.absent(tmp_path).probe()

        assert probe.devices == ()
        assert not probe.found
        assert probe.message
        assert not probe.remedy

    def test_a_card_without_its_driver_is_told_of_as_unusable_with_its_remedy(self, tmp_path):
        probe = self.undriven(tmp_path).probe()

        assert probe.devices
        assert all(device.health is Health.UNHEALTHY and device.health_reason for device in probe.devices)
        assert all(getattr(device, name) is None for device in probe.devices for name in READINGS)
        assert probe.found
        assert probe.is_degraded
        assert probe.message
        assert probe.remedy

    def test_what_a_device_does_not_say_is_unknown_and_not_zero(self, tmp_path):
        probe = self.silent(tmp_path).probe()

        assert probe.devices
        for device in probe.devices:
            assert all(getattr(device, name) is None for name in READINGS)
            assert device.memory_bytes is None
            assert device.health is Health.UNKNOWN
            assert device.health_reason == ""

    def test_one_bad_device_hides_no_other_and_says_why(self, tmp_path):
        everyone = self.healthy(tmp_path / "well").probe().devices

        devices = self.one_bad(tmp_path / "ill").probe().devices

        assert len(devices) == len(everyone)
        bad = self.only_bad(devices)
        assert others(devices, bad) == others(everyone, bad)

    def test_a_device_that_breaks_keeps_its_id_and_loses_its_readings(self, tmp_path):
        vendor = self.healthy(tmp_path)
        before = vendor.probe().devices

        self.break_one(vendor)

        for devices in (vendor.sample(before), vendor.probe().devices):
            assert [device.id for device in devices] == [device.id for device in before]
            bad = self.only_bad(devices)
            assert others(devices, bad) == others(before, bad)

    def test_a_sample_is_of_the_devices_that_were_given_in_their_order(self, tmp_path):
        vendor = self.healthy(tmp_path)
        devices = vendor.probe().devices
        stale = tuple(replace(device, busy_percent=None, temperature_celsius=None) for device in reversed(devices))

        assert vendor.sample(stale) == tuple(reversed(devices))
        assert vendor.sample(()) == ()

    def test_a_grant_names_the_given_devices_and_no_other(self, tmp_path):
        vendor = self.healthy(tmp_path)
        given, *others = [device.id for device in vendor.probe().devices]

        grant = vendor.grant([given])

        mine = (given, *grant.device_nodes)
        assert any(name in repr(grant) for name in mine)
        assert not any(other in repr(grant) for other in others)

    def test_a_grant_of_one_device_and_of_another_differ_in_every_way_that_is_offered(self, tmp_path):
        vendor = self.healthy(tmp_path)
        first, second = (vendor.grant([device.id]) for device in vendor.probe().devices[:2])

        for name in ("environment", "cdi", "request", "device_nodes"):
            assert not getattr(first, name) or getattr(first, name) != getattr(second, name), name

    def test_a_device_that_is_named_twice_is_granted_once(self, tmp_path):
        vendor = self.healthy(tmp_path)
        given = vendor.probe().devices[0].id

        assert vendor.grant([given, given]) == vendor.grant([given])

    def test_a_grant_of_nothing_offers_nothing(self, tmp_path):
        vendor = self.healthy(tmp_path)
        vendor.probe()

        grant = vendor.grant([])

        nothing = Grant(grant.environment_without_runtime, grant.environment_without_runtime)
        assert all(getattr(grant, each.name) == getattr(nothing, each.name) for each in fields(Grant))

    def test_a_device_that_is_not_here_is_refused_by_name(self, tmp_path):
        vendor = self.healthy(tmp_path)
        vendor.probe()

        with pytest.raises(Refusal, match="no-such-device") as refused:
            vendor.grant(["no-such-device"])

        assert refused.value.reason == "DEVICE_UNKNOWN"

    def test_a_device_that_does_not_answer_is_not_granted(self, tmp_path):
        vendor = self.one_bad(tmp_path)
        bad = self.only_bad(vendor.probe().devices)

        with pytest.raises(Refusal):
            vendor.grant([vendor.probe().devices[bad].id])

    def only_bad(self, devices):
        """The place of the one device that does not answer, which says why."""
        (bad,) = [place for place, device in enumerate(devices) if device.health is Health.UNHEALTHY]
        assert devices[bad].health_reason
        assert all(getattr(devices[bad], name) is None for name in READINGS)
        return bad


def others(devices, place):
    """All but the one at that place."""
    return [*devices[:place], *devices[place + 1 :]]
