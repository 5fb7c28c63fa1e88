"""Vendors that are read by their tools, each against the suite, over what their tools printed on real machines."""

from dataclasses import replace

import pytest

from agent.accelerators.tooled import Tooled
from headrace.nodes import Health
from tests.contract import machines
from tests.contract.recorded_vendors import RECORDED_VENDORS
from tests.contract.vendor_suite import READINGS, VendorSuite


@pytest.mark.parametrize("recorded", RECORDED_VENDORS, ids=lambda each: each.spec.name, scope="class")
class TestRecordedVendor(VendorSuite):
    @pytest.fixture(autouse=True)
    def prepared(self, recorded, monkeypatch, request):
        giving = recorded.spec.giving
        if "grant" in request.node.name and not (giving.nodes or giving.runtime or giving.cdi):
            pytest.skip("how containers get its devices is published nowhere")
        self.recorded = recorded
        self.monkeypatch = monkeypatch
        devices = recorded.readings()
        self.is_sure = all(each.health is Health.HEALTHY for each in devices)
        self.tells = [name for name in READINGS if all(getattr(each, name) is not None for each in devices)]

    def healthy(self, root):
        self.recorded.machine(root)
        return self.vendor(root)

    def one_bad(self, root):
        if not self.recorded.tells_which:
            pytest.skip("this tool does not say which card is which")
        vendor = self.healthy(root)
        self.break_one(vendor)
        return vendor

    def silent(self, root):
        pytest.skip("outputs are used as they were recorded, and these tell something")

    def absent(self, root):
        return self.vendor(root)

    def undriven(self, root):
        self.recorded.machine(root)
        for address in self.recorded.addresses():
            machines.bound(root, address, "")
        return self.vendor(root)

    def break_one(self, vendor):
        if not self.recorded.tells_which:
            pytest.skip("this tool does not say which card is which")
        self.tool.prints(self.recorded.arguments, self.recorded.without_last)

    def vendor(self, root):
        folder = root / "bin"
        folder.mkdir(parents=True)
        self.monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        self.tool = self.recorded.tool(folder)
        spec = self.recorded.spec
        # No tool of this machine may answer for the one that was recorded.
        return Tooled(replace(spec, tools=replace(spec.tools, places=())), root)
