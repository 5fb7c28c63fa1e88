"""What each vendor's tool printed on a real machine, and the cards that make such a machine."""

import re
from dataclasses import dataclass

from agent.accelerators.makers import (
    cambricon,
    denglin,
    enflame,
    gaudi,
    huawei,
    hygon,
    iluvatar,
    kunlunxin,
    metax,
    mthreads,
    nvidia,
    thead,
)
from agent.accelerators.parsers.table import readings_of
from agent.accelerators.spec import Spec
from tests.contract.machines import RECORDED, Tool, card, nodes

# In the form of the other tools that answer such queries: no output of this one was found.
_PPU = """0, GPU-0a, S1, PPU-ZW810E, 00000000:08:00.0, 97871, 1024, 12, 41, 98.5, 400.0
1, GPU-0b, S2, PPU-ZW810E, 00000000:7E:00.0, 97871, 0, 0, 39, 91.2, 400.0
"""


@dataclass(frozen=True)
class Recorded:
    """`last` is a regular expression of all that the output has of its last device; `pci_id` is its card's."""

    spec: Spec
    command: str
    output: str
    pci_id: str
    last: str
    pci_class: str = "120000"
    nodes: tuple[str, ...] = ()

    @property
    def program(self):
        return self.command.split(maxsplit=1)[0]

    @property
    def arguments(self):
        return self.command.split(maxsplit=1)[1] if " " in self.command else ""

    @property
    def without_last(self):
        text, count = re.subn(self.last, "", self.output, count=1, flags=re.DOTALL)
        assert count == 1
        return text

    def addresses(self):
        """Of its cards, in the order of the output; where it tells none, ones that are free."""
        readings = self.readings()
        told = dict.fromkeys(each.pci_address for each in readings if each.pci_address)
        return tuple(told) or tuple(f"0000:{number + 1:02x}:00.0" for number in range(len(readings)))

    def machine(self, root):
        """The cards on their bus, and their device nodes."""
        for number, address in enumerate(self.addresses()):
            folder = card(root, address, self.pci_id, pci_class=self.pci_class, numa_node=number % 2)
            (folder / "drm").mkdir()
            (folder / f"drm/renderD{128 + number}").touch()
            (folder / "accel").mkdir()
            (folder / f"accel/accel{number}").touch()
            nodes(root, f"dri/renderD{128 + number}", f"accel/accel{number}")
            nodes(root, *(pattern.format(index=number) for pattern in self.nodes))

    def readings(self):
        """What the output tells."""
        return readings_of(self.command, self.output)

    def last_address(self):
        """Of the card that `without_last` lacks."""
        named = {each.pci_address for each in readings_of(self.command, self.without_last)}
        return (
            next((each for each in self.addresses() if each not in named), "")
            if named != {None}
            else self.addresses()[-1]
        )

    @property
    def tells_which(self):
        """Whether the output says which card is which."""
        return any(each.pci_address or each.uuid for each in self.readings())

    def tool_again(self, tool):
        """From now on the tool answers as recorded."""
        tool.prints(self.arguments, self.output)

    def tool(self, folder):
        """Its tool, which answers as recorded."""
        tool = Tool(folder, self.program)
        tool.prints(self.arguments, self.output)
        return tool


def _text(name):
    return (RECORDED / name).read_text()


def _two_of(xml):
    """The output for a machine with two of the card of which it was recorded."""
    one = re.search(r"    <gpu id=.*</gpu>\n", xml, re.DOTALL)[0]
    other = one.replace("00000000:00:1E.0", "00000000:00:1F.0").replace("GPU-d37e67a5", "GPU-d37e67a6")
    return xml.replace(one, one + other).replace("<attached_gpus>1<", "<attached_gpus>2<")


RECORDED_VENDORS = (
    Recorded(
        nvidia.SPEC,
        "nvidia-smi -q -x",
        _two_of(_text("nvidia/nvidia-smi-qx-Tesla-T4-driver515.xml")),
        "10de:1eb8",
        r'    <gpu id="00000000:00:1F\.0">.*</gpu>\n',
        pci_class="030200",
        nodes=("nvidia{index}",),
    ),
    Recorded(
        gaudi.SPEC,
        "hl-smi",
        _text("gaudi/hl-smi-HL225-x8-v1.22.1.txt"),
        "1da3:1020",
        r"\|   7  HL-225[^\n]*\n[^\n]*\n",
    ),
    Recorded(
        huawei.SPEC,
        "npu-smi info",
        _text("ascend/npu-smi-info-910B2C-v23.0.3.txt"),
        "19e5:d802",
        r"\| 1     910B2C [^\n]*\n[^\n]*\n[^\n]*\n",
        nodes=("davinci{index}",),
    ),
    Recorded(
        cambricon.SPEC,
        "cnmon",
        _text("cambricon/cnmon-MLU370-X8-v5.10.13.txt"),
        "cabc:0370",
        r"\| 1     / [^\n]*\n[^\n]*\n[^\n]*\n",
        nodes=("cambricon_dev{index}",),
    ),
    Recorded(
        hygon.SPEC,
        "hy-smi -a --json",
        _text("hygon/hy-smi-a-json-BW-missing-commas.json"),
        "1d94:6210",
        r', "card1": \{[^}]*\}',
        pci_class="0b4000",
    ),
    Recorded(
        iluvatar.SPEC,
        "ixsmi -q -x",
        _text("iluvatar/ixsmi-qx-MR-V100-x2-v4.2.0.xml"),
        "1e3e:0002",
        r'\s*<gpu id="[0:]*0000:0F:00\.0">.*?</gpu>',
        nodes=("iluvatar{index}",),
    ),
    Recorded(
        mthreads.SPEC,
        "mthreads-gmi",
        _text("mthreads/mthreads-gmi-S5000-x8-v2.4.1.txt"),
        "1ed5:0400",
        r"7    MTT S5000[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n",
        pci_class="030000",
        nodes=("mtgpu.{index}",),
    ),
    Recorded(
        metax.SPEC,
        "mx-smi",
        _text("metax/mx-smi-C500-x8-v2.2.9-board-columns.txt"),
        "9999:0a01",
        r"\| 7     MetaX C500[^\n]*\n[^\n]*\n[^\n]*\n",
        pci_class="038000",
    ),
    Recorded(
        enflame.SPEC,
        "efsmi -q -d TEMP,MEMORY,USAGE,PCIE",
        _text("enflame/efsmi-q-d-S60-2024-2025-reserved.txt"),
        "1e36:c035",
        r"DEV ID 1\n.*",
        nodes=("gcu{index}",),
    ),
    Recorded(
        kunlunxin.SPEC,
        "xpu_smi -m",
        _text("kunlunxin/xpu_smi-m-P800-x2.txt"),
        "1d22:3688",
        r"00000000:05:00\.0 [^\n]*\n?",
        nodes=("xpu{index}",),
    ),
    Recorded(
        denglin.SPEC,
        "dlsmi query --xml-format",
        _text("denglin/dlsmi-query-xml-KS38-QUAD3-v2.2.1.xml"),
        "1e27:0001",
        r"\s*<gpu id=\"(?!.*<gpu id=\").*</gpu>",
    ),
    Recorded(
        thead.SPEC,
        thead.SPEC.listing[0],
        _PPU,
        "1ded:6001",
        r"1, GPU-0b[^\n]*\n",
        pci_class="030200",
        nodes=("alixpu_ppu{index}",),
    ),
)
