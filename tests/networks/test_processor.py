"""What is said of bfloat16 on a processor without it."""

import pytest

from lsd_experiments.networks import processor
from lsd_experiments.networks.model import build_model

WITHOUT = "processor\t: 0\nflags\t\t: fpu avx2 fma avx512f bmi2\nbugs\t\t: bf16\n"


@pytest.mark.parametrize(("cpuinfo", "expected"), [
    (WITHOUT, False),
    (WITHOUT.replace("avx512f", "avx512f avx512_bf16"), True),
    (WITHOUT.replace("fma", "amx_tile amx_bf16"), True),
    ("Features\t: fp asimd bf16\n", True),
    ("Features\t: fp asimd\n", False),
    ("processor\t: 0\n", None),
])  # fmt: skip
def test_what_a_processor_has(cpuinfo, expected):
    assert processor.has_bfloat16(cpuinfo) is expected


@pytest.mark.parametrize(("cpuinfo", "precision", "lines"), [
    (WITHOUT, "bfloat16", 1), (WITHOUT, "float32", 0), (WITHOUT.replace("fma", "amx_bf16"), "bfloat16", 0), ("", "bfloat16", 0),
])  # fmt: skip
def test_one_line_says_that_it_is_slow(cpuinfo, precision, lines, network, tmp_path, monkeypatch, caplog):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    build_model(network, network.smallest_input_shape, precision)
    found = [record.getMessage() for record in caplog.records if "bfloat16" in record.getMessage()]
    assert len(found) == lines
    assert all("neither AVX512_BF16 nor AMX" in line and "\n" not in line for line in found)
