"""Laws of the catalogue of models: what stands in it is plausible, and devices find theirs."""

import itertools

import pytest

from agent.accelerators import catalogue
from agent.accelerators.catalogue import CatalogueError, figures_of, look_up, parse
from headrace.capacity import UNCERTAIN, value_of
from headrace.nodes import Device, Origin

MIB = 1 << 20
MODELS = catalogue.catalogue()

# From outputs of their tools: vendor, model, id on the bus, memory in MiB, and who that is in the catalogue.
SEEN = [
    ("nvidia", "Tesla T4", "", 15360, "T4"),
    ("nvidia", "NVIDIA A100-SXM4-80GB", "", 81920, "A100 SXM 80GB"),
    ("nvidia", "NVIDIA A100-SXM4-40GB", "10de:20b0", 40536, "A100 SXM 40GB"),
    ("nvidia", "NVIDIA GeForce RTX 4090", "", 24564, "RTX 4090"),
    ("nvidia", "NVIDIA H100 80GB HBM3", "", 81559, "H100 SXM"),
    ("nvidia", "NVIDIA H200", "10de:2335", 143771, "H200 SXM"),
    ("nvidia", "NVIDIA L40S", "", 46068, "L40S"),
    ("nvidia", "NVIDIA H20", "", 97871, "H20 96GB"),
    ("nvidia", "NVIDIA H20", "", 143771, "H20 141GB"),
    ("amd", "", "1002:74a1", 196300, "MI300X"),
    ("amd", "", "1002:74a2", None, "MI308X"),
    ("intel", "Intel(R) Data Center GPU Max 1100", "", 49136, "Data Center GPU Max 1100"),
    ("intel", "Intel(R) Graphics [0x56c0]", "8086:56c0", None, "Data Center GPU Flex 170"),
    ("intel", "HL-205", "", 32768, "Gaudi (HL-205)"),
    ("intel", "HL-225", "", 98304, "Gaudi 2"),
    ("huawei", "310", "", 8192, "Ascend 310"),
    ("huawei", "310P3", "", 21527, "Ascend 310P (Atlas 300I Pro)"),
    ("huawei", "310P3", "", 44278, "Ascend 310P (Atlas 300I Duo)"),
    ("huawei", "910A", "", 32768, "Ascend 910A"),
    ("huawei", "910B2C", "", 65536, "Ascend 910B2"),
    ("huawei", "910B4", "19e5:d802", 32768, "Ascend 910B4 32GB"),
    ("huawei", "Ascend910", "", 65536, "Ascend 910C"),
    ("cambricon", "MLU370-X8", "", 23374, "MLU370-X8"),
    ("cambricon", "MLU370-X4", "", 23308, "MLU370-X4"),
    ("hygon", "K1xx_AI", "", 65520, "K100_AI"),
    ("hygon", "BW", "", 65520, "BW1000"),
    ("iluvatar", "Iluvatar BI-V100", "", 32768, "BI-V100"),
    ("iluvatar", "Iluvatar MR-V100", "1e3e:0002", 32768, "MR-V100"),
    ("mthreads", "MTT S5000", "", 81920, "MTT S5000"),
    ("metax", "MXC550", "", 65536, "MXC550"),
    ("metax", "MetaX C500", "", 65536, "MXC500"),
    ("enflame", "S60", "", 42976, "S60"),
    ("enflame", "", "1e36:c035", 42976, "S60"),
    ("enflame", "Enflame L300", "", 147456, "L300"),
    ("kunlunxin", "P800 OAM", "", 98304, "P800"),
    ("google", "v6e", "1ae0:006f", 32000, "TPU v6e"),
    ("aws", "", "1d0f:7164", 32768, "Trainium"),
]
UNKNOWN = [
    ("nvidia", "NVIDIA GeForce RTX 3080", "", 10240),
    ("hygon", "", "", None),
    ("cambricon", "MLUXXX-XX", "", None),
    # The name is that of a family, whose members differ.
    ("huawei", "910B", "19e5:d802", 65536),
    ("huawei", "310P3", "", None),
    ("mthreads", "MTT S80", "", 16384),
    ("denglin", "Denglin KS38", "1e27:0001", 32768),
]
# What no device of our time is outside of.
PLAUSIBLE = {
    "fp64_tflops": (0.1, 200),
    "fp32_tflops": (1, 500),
    "tf32_tflops": (10, 5_000),
    "bf16_tflops": (10, 10_000),
    "fp16_tflops": (4, 10_000),
    "fp8_tflops": (50, 20_000),
    "int8_tops": (10, 20_000),
    "memory_gb_per_second": (40, 10_000),
    "memory_gb": (4, 300),
    "power_limit_watts": (5, 1_500),
}


def found(vendor: str, model: str, pci_id: str, memory_mib: int | None) -> str | None:
    memory_bytes = None if memory_mib is None else memory_mib * MIB
    one = look_up(MODELS, vendor=vendor, model=model, pci_id=pci_id, memory_bytes=memory_bytes)
    return None if one is None else one.name


def test_it_has_the_models_that_data_centres_have() -> None:
    assert len(MODELS) >= 60
    assert len({model.vendor for model in MODELS}) >= 12


def test_no_model_and_no_id_on_the_bus_stands_in_it_twice() -> None:
    names = [(model.vendor, model.name) for model in MODELS]
    ids = list(itertools.chain.from_iterable(model.pci for model in MODELS))

    assert len(set(names)) == len(names)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_each_figure_is_one_that_a_device_can_have_and_says_where_it_is_from(model: catalogue.Model) -> None:
    assert model.figures
    for figure in model.figures:
        least, most = PLAUSIBLE[figure.name]
        assert least <= figure.value <= most, figure
        assert figure.origin is Origin.SPEC
        assert model.name in figure.source


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_of_low_confidence_decides_nothing(model: catalogue.Model) -> None:
    decided = [figure.name for figure in model.figures if value_of(model.figures, figure.name) is not None]

    assert (decided == []) is (model.confidence == "low")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_card_is_no_slower_at_a_narrower_precision(model: catalogue.Model) -> None:
    order = ("fp64_tflops", "fp32_tflops", "tf32_tflops", "fp16_tflops", "fp8_tflops")
    values = {figure.name: figure.value for figure in model.figures}
    told = [values[name] for name in order if name in values]

    assert told == sorted(told)


@pytest.mark.parametrize(("vendor", "model", "pci_id", "memory_mib", "name"), SEEN)
def test_a_device_as_its_tool_prints_it_finds_its_model(vendor, model, pci_id, memory_mib, name) -> None:
    assert found(vendor, model, pci_id, memory_mib) == name


@pytest.mark.parametrize(("vendor", "model", "pci_id", "memory_mib"), UNKNOWN)
def test_a_device_that_may_be_none_or_several_has_no_figures(vendor, model, pci_id, memory_mib) -> None:
    assert found(vendor, model, pci_id, memory_mib) is None


def test_a_part_of_a_card_does_not_have_the_figures_of_the_whole() -> None:
    whole = Device("GPU-1", "gpu", "nvidia", "NVIDIA H200", pci_id="10de:2335")

    assert value_of(figures_of(whole), "bf16_tflops") == 989
    assert figures_of(Device("MIG-1", "gpu", "nvidia", "NVIDIA H200", pci_id="10de:2335")) == ()
    assert figures_of(Device("GPU-1/1", "gpu", "nvidia", "NVIDIA H200", partition="1g.18gb")) == ()


def test_a_doubtful_figure_is_shown_and_marked() -> None:
    figures = figures_of(Device("0", "npu", "kunlunxin", "P800 OAM"))

    fp16 = next(figure for figure in figures if figure.name == "fp16_tflops")
    assert fp16.source.startswith(UNCERTAIN)
    assert value_of(figures, "fp16_tflops") is None
    assert value_of(figures, "power_limit_watts") == 400


LINE = 'name = "X1", match = "x1", source = "R", confidence = "high"'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"{LINE}, fp16 = 3", "maker, X1: fp16 is no key"),
        (f"{LINE}, fp16_tflops = 0", "maker, X1: fp16_tflops is a number above 0"),
        (f'{LINE}, pci = ["10DE:1"]', "maker, X1: pci: 10DE:1"),
        (f'{LINE}, doubtful = ["int8_tops"]', "maker, X1: doubtful: int8_tops"),
        (LINE.replace('"x1"', '"("'), "maker, X1: match:"),
        (LINE.replace('"R"', '"Q"'), "maker, X1: source Q"),
        (LINE.replace('"high"', '"sure"'), "maker, X1: confidence is one of"),
        (LINE.replace('name = "X1", ', ""), "a model without a name: name is missing"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_its_key(line: str, told: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(f'[sources]\nR = "datasheet"\n[models]\nmaker = [{{{line}}}]\n')

    assert told in str(caught.value)


def test_what_is_no_catalogue_is_refused() -> None:
    with pytest.raises(CatalogueError):
        parse("models = ")
    with pytest.raises(CatalogueError):
        parse("")
