"""What a node finds out of itself: processors, limits, load, and what it can run natively or emulated."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from agent import cgroups, cpuinfo, elf, emulation, sensors
from headrace.attempts import Platform
from headrace.nodes import Capacity

GIB = 1 << 30
X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model name\t: AMD EPYC 9554
flags\t\t: fpu sse sse2 pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm

processor\t: 1
model name\t: another
"""
ARM64 = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd aes atomics
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
"""
RISCV64 = """processor\t: 0
hart\t\t: 1
isa\t\t: rv64imafdc_zicntr_zba
mmu\t\t: sv39
uarch\t\t: sifive,u74-mc
"""
# Recorded: an Intel Xeon in a virtual machine, a Neoverse V2, and a Sophgo board under Linux 6.6.
SAPPHIRE_RAPIDS = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 207
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: fpu vme sse sse2 avx f16c fma avx2 avx512f avx512dq avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8
bogomips\t: 4200.00
"""
NEOVERSE_V2 = """processor       : 0
BogoMIPS        : 2000.00
Features        : fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm sve sve2 i8mm bf16 bti
CPU implementer : 0x41
CPU architecture: 8
CPU variant     : 0x0
CPU part        : 0xd4f
CPU revision    : 1
"""
RISCV_VECTOR = """processor       : 0
hart            : 0
isa             : rv64imafdcv_zicbom_zicntr_zicsr_zifencei_zihpm_sstc_svpbmt
mmu             : sv48
mvendorid       : 0x536
"""
S390X = """vendor_id       : IBM/S390
# processors    : 2
features\t: esan3 zarch stfle
max thread id   : 0
"""
PPC64LE = """processor\t: 0
cpu\t\t: POWER9 (architected), altivec supported
timebase\t: 512000000
"""
LOONGARCH64 = """system type\t\t: generic-loongson-machine
CPU Family\t\t: Loongson-64bit
Model Name\t\t: Loongson-3A5000
Features\t\t: cpucfg lam ual fpu
"""


@pytest.mark.parametrize(
    ("text", "family", "model", "features"),
    [
        (X86, "x86", "AMD EPYC 9554", ("cx16", "fpu")),
        (ARM64, "arm", "Neoverse-N1", ("aes", "asimd")),
        (RISCV64, "riscv", "sifive,u74-mc", ("rv64imafdc", "zba")),
        (SAPPHIRE_RAPIDS, "x86", "Intel(R) Xeon(R) Processor", ("avx512f", "amx_tile")),
        (NEOVERSE_V2, "arm", "Neoverse-V2", ("sve", "sve2", "bf16")),
        (RISCV_VECTOR, "riscv", "", ("rv64imafdcv", "v", "c", "zicbom", "svpbmt")),
        (S390X, "s390", "", ("esan3", "stfle")),
        (PPC64LE, "power", "POWER9 (architected), altivec supported", ()),
        (LOONGARCH64, "loongarch", "Loongson-3A5000", ("cpucfg", "fpu")),
        ("", "", "", ()),
        ("no colon\n\x00:\x00\n", "", "", ()),
    ],
)
def test_each_kernel_s_cpuinfo_is_understood(text, family, model, features):
    info = cpuinfo.parse(text)

    assert (info.family, info.model) == (family, model)
    assert frozenset(features) <= frozenset(info.features)
    assert list(info.features) == sorted(info.features)


def test_a_riscv_processor_without_vectors_does_not_have_them():
    assert "v" not in cpuinfo.parse(RISCV64).features
    assert cpuinfo.parse("hart: 0\nisa: rv64i2p1_m2p0_zba\n").features == ("i", "m2p0", "rv64i2p1", "zba")


def test_an_arm_processor_without_a_known_name_is_called_by_its_numbers():
    unknown = ARM64.replace("0xd0c", "0xfff")

    assert cpuinfo.parse(unknown).model == "Arm part 0xfff"
    assert cpuinfo.parse(unknown.replace("0x41", "0x99")).model == "implementer 0x99 part 0xfff"


def test_a_node_describes_itself(tmp_path):
    description = sensors.describe(tmp_path, region="east", labels={"rack": "7"})

    assert description.hostname
    assert description.agent_version[0].isdigit()
    assert description.kernel == os.uname().release
    assert description.cpu.threads >= 1
    assert description.platforms[0].os == "linux"
    assert 0 < description.capacity.cpu_millis <= os.cpu_count() * 1000
    assert description.capacity.memory_bytes > 0
    assert description.capacity.disk_bytes > 0
    assert (description.region, description.labels) == ("east", {"rack": "7"})


def test_a_folder_that_is_yet_to_be_made_has_the_capacity_of_its_disk(tmp_path):
    assert sensors.capacity(tmp_path / "not" / "yet").disk_bytes == sensors.capacity(tmp_path).disk_bytes


def test_what_is_reserved_is_no_capacity_and_never_makes_it_negative(tmp_path):
    whole = sensors.capacity(tmp_path)

    less = sensors.capacity(tmp_path, Capacity(cpu_millis=500, memory_bytes=1 << 60, disk_bytes=GIB))

    assert less == Capacity(whole.cpu_millis - 500, 0, whole.disk_bytes - GIB)


def put(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_limits_of_version_2_are_the_tightest_up_to_the_root(tmp_path):
    put(tmp_path, "proc/self/cgroup", "0::/outer/inner\n")
    put(tmp_path, "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n")
    put(tmp_path, "sys/fs/cgroup/outer/inner/memory.max", f"{4 * GIB}\n")
    put(tmp_path, "sys/fs/cgroup/outer/inner/memory.current", f"{GIB}\n")
    put(tmp_path, "sys/fs/cgroup/outer/cpu.max", "150000 100000\n")
    put(tmp_path, "sys/fs/cgroup/outer/memory.max", f"{2 * GIB}\n")
    put(tmp_path, "sys/fs/cgroup/outer/memory.current", f"{GIB // 2}\n")

    assert cgroups.limits(tmp_path) == cgroups.Limits(1500, 2 * GIB, GIB // 2)


def test_limits_of_version_1_in_a_container_are_at_its_root(tmp_path):
    put(tmp_path, "proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n")
    put(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{GIB}\n")
    put(tmp_path, "sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n")
    put(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n")
    put(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")

    assert cgroups.limits(tmp_path) == cgroups.Limits(500, GIB, 4096)


@pytest.mark.parametrize(("memory", "quota"), [("9223372036854771712", "-1"), ("", ""), ("max", "max")])
def test_no_limit_is_unknown_and_not_a_number(tmp_path, memory, quota):
    put(tmp_path, "proc/self/cgroup", "4:memory:/\n3:cpu:/\n0::/\n")
    put(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", memory)
    put(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota)
    put(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")

    assert cgroups.limits(tmp_path) == cgroups.Limits()


def test_an_agent_with_limits_reports_no_more_than_they_allow(tmp_path):
    put(tmp_path, "proc/self/cgroup", "0::/\n")
    put(tmp_path, "sys/fs/cgroup/cpu.max", "25000 100000\n")
    put(tmp_path, "sys/fs/cgroup/memory.max", "1048576\n")
    put(tmp_path, "sys/fs/cgroup/memory.current", "1048000\n")

    capacity = sensors.capacity(tmp_path, root=tmp_path)

    assert (capacity.cpu_millis, capacity.memory_bytes) == (250, 1048576)
    assert sensors.LoadSensor(tmp_path, tmp_path).read().memory_available_bytes == 576


def test_the_first_reading_does_not_know_the_processors_load(tmp_path):
    sensor = sensors.LoadSensor(tmp_path)

    first = sensor.read()

    assert first.cpu_percent is None
    assert first.memory_available_bytes > 0
    assert first.disk_free_bytes > 0
    assert first.load_average >= 0


def test_a_processor_at_work_is_seen_from_whichever_thread_reads(tmp_path):
    sensor = sensors.LoadSensor(tmp_path)
    sensor.read()
    readings = []
    # The kernel counts time in hundredths of a second: work until some of it was counted.
    while not readings or not readings[-1]:
        sum(range(200_000))
        reader = threading.Thread(target=lambda: readings.append(sensor.read().cpu_percent))
        reader.start()
        reader.join()

    assert 0 < readings[-1] <= 100


def program(root, path, architecture):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(elf.smallest_program(architecture))


def other_than(architecture):
    return "riscv64" if architecture != "riscv64" else "s390x"


def own_architecture():
    return emulation.platforms()[0].architecture


def test_a_program_that_the_kernel_does_not_run_itself_is_emulated(tmp_path):
    program(tmp_path, "proc/self/exe", own_architecture())
    program(tmp_path, f"proc/self/task/{threading.get_native_id()}/exe", other_than(own_architecture()))
    put(tmp_path, "proc/cpuinfo", "processor: 0\n")

    found = emulation.look(tmp_path)

    assert found.emulated
    assert [each.architecture for each in found.platforms] == [own_architecture()]


def test_a_program_under_another_architecture_s_kernel_is_emulated(tmp_path):
    put(tmp_path, "proc/cpuinfo", S390X if own_architecture() != "s390x" else X86)

    assert emulation.look(tmp_path).emulated


def test_without_proc_nothing_is_claimed(tmp_path):
    found = emulation.look(tmp_path)

    assert len(found.platforms) == 1
    assert not found.emulated


def entry(architecture, *, flags="POF", state="enabled"):
    magic = elf.smallest_program(architecture)[:20].hex()
    return f"{state}\ninterpreter /usr/bin/emulator\nflags: {flags}\noffset 0\nmagic {magic}\nmask ff\n"


def registered(root, **entries):
    put(root, "proc/cpuinfo", "processor: 0\n")
    put(root, "proc/sys/fs/binfmt_misc/register", "")
    put(root, "proc/sys/fs/binfmt_misc/status", "enabled\n")
    for name, text in entries.items():
        put(root, f"proc/sys/fs/binfmt_misc/{name}", text)
    return [each.architecture for each in emulation.look(root).platforms[1:]]


def test_an_emulator_opened_at_registration_is_a_platform_that_says_it_is_emulated(tmp_path):
    foreign = other_than(own_architecture())

    assert registered(tmp_path, odd_name=entry(foreign)) == [foreign]
    assert emulation.look(tmp_path).platforms[1] == Platform("linux", foreign, emulated=True)


def test_an_emulator_that_containers_would_not_find_or_that_is_off_is_none(tmp_path):
    foreign = other_than(own_architecture())

    without = registered(
        tmp_path,
        searched=entry(foreign, flags="OC"),
        off=entry(foreign, state="disabled"),
        script="enabled\ninterpreter /usr/bin/python\nflags: F\nextension .pyc\n",
        broken="enabled\ninterpreter /x\nflags: F\noffset 0\nmagic zz\n",
        own=entry(own_architecture()),
    )

    assert without == []


def test_binfmt_misc_as_a_whole_may_be_off(tmp_path):
    registered(tmp_path, one=entry(other_than(own_architecture())))
    put(tmp_path, "proc/sys/fs/binfmt_misc/status", "disabled\n")

    assert len(emulation.look(tmp_path).platforms) == 1


@pytest.mark.skipif(emulation.look().emulated, reason="an emulated program tries no others")
def test_where_binfmt_misc_cannot_be_seen_trying_finds_what_it_would_have_said(tmp_path):
    if not Path("/proc/sys/fs/binfmt_misc/status").exists():
        pytest.skip("binfmt_misc is not mounted here")
    # A processor may run these itself, so that trying does not tell.
    said = [each for each in emulation.look().platforms[1:] if each.architecture not in ("386", "arm")]
    put(tmp_path, "proc/cpuinfo", Path("/proc/cpuinfo").read_text())

    tried = emulation.look(tmp_path).platforms[1:]

    assert all(each in tried for each in said)


def test_the_smallest_program_of_this_machine_runs_and_exits_with_0(tmp_path):
    if own_architecture() not in elf.ARCHITECTURES:
        pytest.skip(f"no program for {own_architecture()} is known")
    program(tmp_path, "program", own_architecture())
    (tmp_path / "program").chmod(0o700)

    assert subprocess.run([tmp_path / "program"], check=False).returncode == 0


def test_the_waiting_program_of_this_machine_waits_until_a_signal_ends_it(tmp_path):
    if own_architecture() not in elf.WAITING:
        pytest.skip(f"no program for {own_architecture()} is known")
    file = tmp_path / "program"
    file.write_bytes(elf.waiting_program(own_architecture()))
    file.chmod(0o700)
    process = subprocess.Popen([file])

    while process.poll() is None and Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "S":
        pass
    process.terminate()

    assert process.wait() == -signal.SIGTERM


@pytest.mark.parametrize("architecture", elf.ARCHITECTURES)
def test_a_program_says_for_which_platform_it_is(architecture):
    header = elf.smallest_program(architecture)[: elf.IDENTIFICATION_BYTES]

    assert elf.platform_of(header).architecture == architecture


@pytest.mark.parametrize("header", [b"", b"\x7fELF", b"#!/bin/sh\n" + bytes(20), b"\x7fELF" + bytes(20)])
def test_what_is_no_program_is_for_no_platform(header):
    assert elf.platform_of(header) is None


def test_a_reserve_that_leaves_jobs_nothing_is_told() -> None:
    whole = Capacity(cpu_millis=2000, memory_bytes=4 * GIB)

    assert sensors.overdrawn(whole, Capacity(cpu_millis=1999, memory_bytes=4 * GIB - 1)) == ()
    assert sensors.overdrawn(whole, Capacity(cpu_millis=100_000, memory_bytes=8 * GIB)) == (
        "reserve.cpu: 100 of 2 cores are kept from jobs: none can run here",
        "reserve.memory: 8.00GiB of 4.00GiB are kept from jobs: none can run here",
    )
