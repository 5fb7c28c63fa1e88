"""Huawei's Ascend NPUs: npu-smi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

_DRIVER = "/usr/local/Ascend/driver"

SPEC = Spec(
    name="huawei",
    maker="Ascend",
    kind="npu",
    # The same vendor makes network cards and a management controller's graphics, which are of other classes.
    presence=Presence(vendor="19e5", classes=("12",), nodes=("davinci",)),
    tools=Tools(
        ("/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi", "/usr/local/Ascend/driver/tools/npu-smi"),
        libraries=(f"{_DRIVER}/lib64/common", f"{_DRIVER}/lib64/driver", f"{_DRIVER}/lib64"),
    ),
    listing=("npu-smi info",),
    details=("npu-smi info -t board -i {board}",),
    models={"d100": "310", "d500": "310P", "d801": "910A", "d802": "910B"},
    giving=Giving(
        cdi="huawei.com/npu",
        runtime="ascend",
        variable="ASCEND_VISIBLE_DEVICES",
        nodes=("/dev/davinci{index}",),
        shared=("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"),
        # Not all of /usr/local/Ascend: its toolkit is the image's own, and two versions of it do not mix.
        mounts=(
            _DRIVER,
            "/usr/local/dcmi",
            "/usr/local/sbin/npu-smi",
            "/usr/local/bin/npu-smi",
            "/etc/ascend_install.info",
        ),
        libraries={"LD_LIBRARY_PATH": f"{_DRIVER}/lib64/common:{_DRIVER}/lib64/driver:{_DRIVER}/lib64"},
    ),
)
