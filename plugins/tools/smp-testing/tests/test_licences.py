"""Which licences are identifiers, and which of them a distribution states."""

import sys

import pytest

from smp_testing import ConformanceError
from smp_testing.cases import PluginCase
from smp_testing.checks.plugin import licences_are_true
from smp_testing.licences import identifiers_in, restrictions_of, wrong_expression

GPL = "\n                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n"
MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution with some licence in its metadata and a licence file, on the path."""

    def install(name, field, text):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        (info / "licenses").mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{field}\n")
        (info / "licenses" / "LICENSE").write_text(text)
        (info / "RECORD").write_text(f"{info.name}/licenses/LICENSE,,\n{info.name}/METADATA,,\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        return name

    return install


def case_of(name, licence):
    return PluginCase(name, (), licences=(("tiny", licence), ("weights 'web' of tiny", "CC-BY-4.0")))


@pytest.mark.parametrize("expression", ["MIT", "Apache-2.0", "MIT AND BSD-3-Clause", "LicenseRef-Acme-research"])
def test_what_is_an_expression(expression):
    assert wrong_expression(expression) is None


def test_what_is_none(installed):
    with pytest.raises(
        ConformanceError, match=r"^tiny: license='Apache 2' is no SPDX expression: .*expected one, such"
    ):
        licences_are_true(case_of("acme-none", "Apache 2"))
    assert identifiers_in("(MIT OR Apache-2.0) AND GPL-3.0-only WITH x") == ["MIT", "Apache-2.0", "GPL-3.0-only", "x"]


def test_a_licence_file_says_more_than_a_spec(installed):
    name = installed("acme-copyleft", "License: see the file", GPL)
    (stated,) = restrictions_of(name)
    assert stated.where.endswith("licenses/LICENSE")
    with pytest.raises(
        ConformanceError, match=r"^tiny: license='MIT', but the distribution states GPL-2.0-only or .* \(acme_c"
    ):
        licences_are_true(case_of(name, "MIT"))
    licences_are_true(case_of(name, "GPL-3.0-or-later"))


def test_permissive_licences_do_not_contradict_each_other(installed):
    name = installed("acme-free", "License-Expression: MIT", MIT)
    assert restrictions_of(name) == []
    licences_are_true(case_of(name, "Apache-2.0"))


def test_metadata_that_ask_for_more(installed):
    name = installed("acme-research", "License-Expression: MIT AND CC-BY-NC-4.0", MIT)
    with pytest.raises(ConformanceError, match=r"states CC-BY-NC-4.0 \(License-Expression: MIT AND CC-BY-NC-4.0\)"):
        licences_are_true(case_of(name, "MIT"))
