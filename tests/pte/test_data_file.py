"""Tensors in files of their own: which a program needs, which a .ptd has, and files that are no such thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchtrt_ws import pte
from torchtrt_ws.errors import ProgramError


def test_what_a_program_needs_and_a_file_has(pte_folder: Path) -> None:
    assert pte.external_names(pte_folder / "apart.pte") == {"scale"}
    assert pte.names_in_data_file(pte_folder / "weights.ptd") == {"scale"}
    assert pte.data_files_beside(pte_folder / "apart.pte") == [str(pte_folder / "weights.ptd")]
    assert pte.external_names(pte_folder / "one.pte") == frozenset()
    assert pte.data_files_beside(pte_folder / "one.pte") == []


def test_files_beside(pte_folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "model.pte"
    program.write_bytes((pte_folder / "apart.pte").read_bytes())
    with pytest.raises(ProgramError, match=r"no file with the tensor 'scale'.*data="):
        pte.data_files_beside(program)
    weights = (pte_folder / "weights.ptd").read_bytes()
    (tmp_path / "notes.ptd").write_bytes(b"notes")
    (tmp_path / "other.ptd").write_bytes(weights)
    assert pte.data_files_beside(program) == [str(tmp_path / "other.ptd")]
    (tmp_path / "second.ptd").write_bytes(weights)
    with pytest.raises(ProgramError, match=r"'scale' in .*other\.ptd and in .*second\.ptd"):
        pte.data_files_beside(program)
    (tmp_path / "model.ptd").write_bytes(weights)  # its own name decides
    assert pte.data_files_beside(program) == [str(tmp_path / "model.ptd")]
    (tmp_path / "model.ptd").write_bytes(b"garbage" * 10)
    with pytest.raises(ProgramError, match=r"model\.ptd: found a file that starts with"):
        pte.data_files_beside(program)


def test_every_cut_and_every_changed_byte(pte_folder: Path, tmp_path: Path) -> None:
    """Names, or the error that says what it is; nothing else."""
    whole = (pte_folder / "weights.ptd").read_bytes()
    path = tmp_path / "changed.ptd"
    variants = [whole[:size] for size in range(len(whole))]
    variants += [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(200)]
    for contents in variants:
        path.write_bytes(contents)
        try:
            names = pte.names_in_data_file(path)
        except ProgramError as error:
            assert "changed.ptd" in str(error)
        else:
            assert isinstance(names, frozenset)


@pytest.mark.parametrize(
    "path", ["/nowhere/at.ptd", "/dev/null", "/tmp", "a\0b"], ids=["missing", "device", "folder", "nul"]
)
def test_paths_that_are_no_file(path: str) -> None:
    with pytest.raises(ProgramError):
        pte.names_in_data_file(path)
