"""load(): from a .pte to a program that runs, under a budget chosen now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from torchtrt_ws import budget, pte
from torchtrt_ws.budget.profile import Profile
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte.info import ProgramInfo
from torchtrt_ws.runtime.adapters import adapters_of
from torchtrt_ws.runtime.contexts import Contexts
from torchtrt_ws.runtime.files import note_file
from torchtrt_ws.runtime.native import _native, native_path, translated
from torchtrt_ws.runtime.program import Program
from torchtrt_ws.runtime.source import ProgramSource, name_of, opened_source
from torchtrt_ws.runtime.spending import Spending
from torchtrt_ws.runtime.switches import switch_options
from torchtrt_ws.trust.keys import Key

__all__ = ["load"]

MOST_CONTEXTS = 1024  # as cpp/delegate/read_options.cpp has it


def load(
    path: ProgramSource,
    *,
    weight_streaming_budget: int | str | None = None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
    weight_streaming_margin: int | str | None = None,
    split: str | None = None,
    profile: str | os.PathLike[str] | Mapping[str, object] | Profile | None = None,
    device_id: int | None = None,
    cuda_graph: bool | str | None = None,
    share_engines: bool | None = None,
    share_activation_memory: bool | None = None,
    contexts: int = 1,
    mmap: bool | None = None,
    huge_pages: bool | None = None,
    runtime_cache: str | os.PathLike[str] | None = None,
    refit_cache: str | os.PathLike[str] | None = None,
    verify: str | None = None,
    trusted_keys: Iterable[Key] | None = None,
    etdump: bool = False,
    data: Iterable[str | os.PathLike[str]] | None = None,
) -> Program:
    """Loads a program and every method in it. A budget given here beats the one in the file.

    What is None is as `set_defaults` said, and as below where it said nothing.

    Args:
        path: The .pte: its path, its bytes, or a binary file that is open to read. Bytes, and a file that is not a
            regular one at its start, are copied: into memory that takes their size while the program is in use, and
            that engines share as they do a mapped file.
        weight_streaming_budget: The program's total that stays on the device: bytes, "1GiB", "N%" of the streamable
            weights, "free-N", or "auto" for the automatic budget even where one is baked. None: the environment's
            `TORCHTRT_WS_WEIGHT_STREAMING_BUDGET`, else the baked budget, else automatic: what is free on the device is
            split over the program's engines.
        weight_streaming_budget_per_engine: One value for each engine, or a mapping from engine name to bytes.
        weight_streaming_margin: Bytes (or a size such as "64MiB", the default) that automatic budgets leave free on the
            device for what nobody foresees: kernels that are loaded late, an allocator's granules, other processes.
            Not a budget: it may stand beside any. Later changes of this program's budgets keep to it.
        split: "latency": spend the total over the engines where it saves the most time, by a profile. What depends on
            the device ("auto", "free-N", a budget that was not given) is found first, and spent again after the load,
            in the memory that it took; a baked budget is then a total too. "proportional": by streamable size, whatever
            was measured. None: proportional, less what by the profile buys no time; bytes for one engine stay as given.
        profile: The profile, its JSON or its path: milliseconds, measured for each engine at several budgets. None: the
            file `model.profile.json` beside `model.pte`. Without "latency" that one is used only if it is valid and
            there are no trusted keys, as it is not signed.
        device_id: CUDA device to load on, instead of the one in the file.
        cuda_graph: Whether runs are captured and replayed as CUDA graphs where shapes and addresses repeat: "auto",
            after a few calls and where the device has memory to spare; True (or "on"), sooner and whatever memory is
            free; False (or "off"), never. Answers are the same. None: as the file says (Torch-TensorRT's compile spec
            `use_cuda_graphs`), else never: while a run is captured no thread of the process may synchronize the device.
        share_engines: Use the weights of an engine that this process has loaded already, with the same bytes on the
            same device: one copy and one budget, the first one's, with an execution context for each. A file that is
            loaded twice shares where it is mapped; copies of it share where their SHA-256, computed, is the same. Host
            engines share within a program only. None: yes.
        share_activation_memory: Let the execution contexts of a program's TensorRT engines work in one piece of device
            memory, as large as the largest needs. They take turns on the device then. None: yes.
        contexts: Calls that run at the same time, from as many threads; more than that wait, in the order of arrival.
            The weights and their budget are there once; each context has a stream and device memory of its own, for
            activations, scratch and staging. Needs a mapped file and `share_engines`. The contexts of a host engine
            map the same packed weights; what XNNPACK keeps besides is there for each.
        mmap: Map the file (True), or read it into memory (False). None: map it, unless there are trusted keys.
        huge_pages: Ask the system for huge pages for the host memory that a TensorRT engine of 256 MiB or more is read
            into, which is filled more than twice as fast then. None: yes.
        runtime_cache: The folder that keeps the kernels which TensorRT-RTX compiles for an engine, so that the next
            process need not compile them: made where it is missing, and not used where others may write it. "off":
            none. None: that of the packed weights (`torchtrt-ws cache`). Needs an adapter that was compiled with
            TensorRT-RTX's own headers; another one says so in the log, if a folder is given.
        refit_cache: The folder that keeps a TensorRT plan which was saved without its weights, together with them, so
            that later loads read it instead of refitting. It takes the size of the weights there, and once more in host
            memory while it is written. Made where it is missing, and not used where others may write it. "off": none,
            and so for None. Worth it where refitting takes longer than reading: measure.
        verify: How each engine's bytes are compared with what the file records of them: "checksum" (CRC-32C: finds
            damage, at the speed of memory), "digest" (SHA-256: finds whatever differs) or "off". None: "checksum".
        trusted_keys: Load only what one of these keys signed (`torchtrt-ws sign`): public Ed25519 keys in PEM, for each
            the path or the content. The signature is the file `path` with ".sig" behind it. What was verified is what
            is loaded: a copy in memory that nobody can change, which takes the file's size while the program is in use.
            With `mmap=True` it is the file itself, and nobody else may then be able to write into it. None: no
            signature is looked at.
        etdump: Record what the load and each run do, and how long it takes, for `Program.etdump`. Takes memory with
            each run, until that is called. Not with several contexts.
        data: Paths of the .ptd files with tensors and weights that are not in the program. None: `model.ptd` beside
            `model.pte`, and those in that folder that have tensors or weights which the program names. With
            `trusted_keys` there can be none: the signature does not cover them.

    Returns:
        The program, ready to run. `close()` or a `with` block unloads it at a set time.

    Raises:
        BudgetError: A budget or margin that cannot be read, both budgets at once, or a total for several engines whose
            sizes the file does not record; another word for `split`; for "latency" nothing to split, or no profile.
        ProgramError: A file that is missing, damaged, or has no engine of ours; tensors or weights that no data file
            has, or tensors that two have; another word for `verify` or `cuda_graph`; a profile that is not valid, or of
            other engines; several contexts of a file that is not mapped, does not share, or has an engine that keeps
            state, or with `etdump`.
            With `trusted_keys`: a key that cannot be read; a signature that is missing, malformed, by another key or of
            another file.
        CapacityError: The budget or a context does not fit, the error says what does; or there is no memory for the
            verified copy. Nothing stays loaded.
        EngineError: No runtime for the engine here, or it refused; or no `cryptography` to verify with.
    """
    switches = switch_options(
        device_id=device_id,
        cuda_graph=cuda_graph,
        share_engines=True if contexts != 1 and share_engines is None else share_engines,
        share_activation_memory=share_activation_memory,
        huge_pages=huge_pages,
        runtime_cache=runtime_cache,
        refit_cache=refit_cache,
        verify=verify,
    )
    # A verified copy is in memory already, so that is mapped whatever `mmap` says.
    mapped = mmap is not False or trusted_keys is not None
    _check_contexts(contexts, mapped, share_engines)
    if etdump and contexts != 1:
        raise ProgramError(f"contexts={contexts}", "etdump=True", "one context", "Leave out one of them.")
    name = name_of(path)
    with opened_source(path, trusted_keys, copy=not mmap) as source:
        report = pte.read(source)
        report.require_engines()
        data_files = _data_files(source, report, data, isinstance(path, str | os.PathLike), trusted_keys is not None)
        margin = budget.margin_options(weight_streaming_margin)
        names = [engine.name for engine in report.engines]
        if share_engines is not False and isinstance(weight_streaming_budget_per_engine, Mapping):
            weight_streaming_budget_per_engine = budget.for_shared_weights(
                weight_streaming_budget_per_engine, report.engine_sizes()
            )
        usual = budget.load_options(weight_streaming_budget, weight_streaming_budget_per_engine, names)
        in_memory = not isinstance(path, str | os.PathLike)  # then no profile lies beside it
        spending = Spending(name, report, split, profile, trusting=trusted_keys is not None or in_memory)
        spent = spending.options(weight_streaming_budget, weight_streaming_budget_per_engine, split)
        options: dict[str, bool | int | str] = {**(usual if spent is None else spent), **margin, **switches}
        if contexts > 1:
            options["contexts"] = contexts
        with translated():
            for kind in adapters_of(report):
                _native.load_adapter(kind)  # before the program: what is missing here is said at once
            # In file order: engines without a name are counted in loading order.
            methods = [method.name for method in report.methods]
            loaded = _loaded(source, list(options.items()), mapped, data_files, methods, contexts, etdump)
    note_file(loaded.all_ids(), name)
    spending.tell_steps(loaded)
    spending.after(loaded, margin, weight_streaming_budget, weight_streaming_budget_per_engine, split)
    return Program(replace(report, file=name), loaded, margin, spending)


def _check_contexts(contexts: int, mapped: bool, share_engines: bool | None) -> None:
    if isinstance(contexts, bool) or not isinstance(contexts, int) or not 1 <= contexts <= MOST_CONTEXTS:
        accepted = f"an int from 1 to {MOST_CONTEXTS}"
        raise ProgramError("contexts", contexts, accepted, "Leave it out for one call at a time.")
    if contexts == 1 or (mapped and share_engines is not False):
        return
    found = "share_engines=False" if mapped else "mmap=False"
    raise ProgramError(
        f"contexts={contexts}", found, "a mapped file whose engines are shared", f"Leave out {found}, or contexts."
    )


def _data_files(
    source: str, report: ProgramInfo, data: Iterable[str | os.PathLike[str]] | None, has_folder: bool, signed: bool
) -> list[str]:
    """Those that are given, or found beside the program; each is one."""
    if data is None:
        beside = has_folder and not signed
        files = pte.data_files_beside(source, report.names_in_data_files) if beside else []
        if beside:
            return pte.with_companions(source, report.engines, files)
        pte.check_weights(source, report.engines, files)
        return files
    if isinstance(data, str | bytes | os.PathLike):
        raise ProgramError("data", repr(data), "a list of paths", "Write data=[path].")
    files = [os.fspath(each) for each in data]
    if signed and files:
        raise ProgramError("data", f"{len(files)} files", "none with trusted_keys", "Save the tensors in the program.")
    missing = report.names_in_data_files.difference(*map(pte.names_in_data_file, files))
    if missing:
        raise pte.no_data_file(source, missing)
    pte.check_weights(source, report.engines, files)
    return files


def _loaded(
    source: str,
    options: list[tuple[str, bool | int | str]],
    mapped: bool,
    data_files: list[str],
    methods: list[str],
    contexts: int,
    etdump: bool,
) -> Contexts:
    """All methods, in each of the contexts. When one does not fit, nothing stays loaded."""
    natives: list[_native.Program] = []
    native = None
    try:
        while len(natives) < contexts:
            native = _native.Program(native_path(source), options, mapped, list(map(native_path, data_files)), etdump)
            for method in methods:
                native.load_method(method)
            natives.append(native)
    except _native.Error as error:
        number = len(natives) + 1
        del native  # and not when the error goes: its traceback holds this frame
        natives.clear()
        if number == 1:
            raise
        code, subject, found, expected, next_step = error.args
        if code == "Error::MemoryAllocationFailed":
            next_step = "Load with fewer contexts or a smaller budget, or free memory on the device"
        raise _native.Error(code, f"{subject} in context {number} of {contexts}", found, expected, next_step) from None
    return Contexts(natives)
