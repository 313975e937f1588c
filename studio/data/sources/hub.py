"""Data sets of the Hugging Face Hub: which configurations and splits there are, and the rows of one of them as a file.

Guarantees: only rows are fetched and no code is run; only files of the data set itself are read, whatever its card says; never
more than the asked rows and bytes; a token is used for this one call, kept nowhere and never shown; what was fetched is
recorded with its revision and licence. Everything else goes wrong in a sentence that says what to do.
"""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from studio.data.db import disk_errors
from studio.data.types import Watch
from studio.errors import DataError, StudioError

if TYPE_CHECKING:
    from datasets import DatasetBuilder
    from huggingface_hub.hf_api import DatasetInfo

_Result = TypeVar("_Result")

#: Up to how much of a split is fetched when nobody says otherwise.
MOST_ROWS = 200_000
MOST_BYTES = 1 << 30
#: The file that is written into the working folder.
FILE = "hub.jsonl"

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?")
_REVISION = re.compile(r"[\w][\w./-]{0,200}")
_TOKEN = re.compile(r"hf_[A-Za-z0-9]{6,}")
# The readers that only take rows out of files; others run decoders of pictures, sounds or archives.
_READERS = frozenset({"csv", "json", "parquet", "arrow", "text"})
_CONFIGURATIONS, _WITH_SPLITS = 100, 12
_TOLD_EVERY = 500
_HUB = "https://huggingface.co/datasets/"


@dataclass(frozen=True, slots=True)
class HubSplit:
    """One split, with its size where the data set says it."""

    name: str
    rows: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class HubConfiguration:
    """One configuration of a data set and its splits."""

    name: str
    splits: tuple[HubSplit, ...]


@dataclass(frozen=True, slots=True)
class HubDataset:
    """What the Hub says about a data set. ``revision`` is the commit; ``licence`` is empty when none is named."""

    name: str
    revision: str
    licence: str
    configurations: tuple[HubConfiguration, ...]
    default: str
    gated: bool = False
    private: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file with the rows of one split. ``cut`` is true when the split holds more than was asked for."""

    path: Path
    name: str
    rows: int
    bytes: int
    cut: bool
    provenance: Mapping[str, str] = field(default_factory=dict)


def look_up(name: str, *, token: str = "", revision: str = "") -> HubDataset:
    """The configurations and splits of a data set. Raises ``DataError`` when it cannot be reached or used.

    Where there are very many configurations, the splits of the later ones are left empty.
    """
    wanted, commit = _checked(name, revision)
    return _in_plain_words(lambda: _looked_up(wanted, token, commit), wanted, token)


def fetch(
    name: str,
    configuration: str,
    split: str,
    folder: Path,
    *,
    token: str = "",
    revision: str = "",
    most_rows: int = MOST_ROWS,
    most_bytes: int = MOST_BYTES,
    watch: Watch | None = None,
) -> Fetched:
    """Write the rows of one split into ``folder`` (made if missing), one JSON object per line, in the order of the data set.

    Raises ``DataError`` when it cannot be reached or used, ``StoreError`` when the disk is full, ``Cancelled`` when the watch
    says so.
    """
    wanted, commit = _checked(name, revision)
    with disk_errors(wanted):
        folder.mkdir(parents=True, exist_ok=True)
    path, cache = folder / FILE, folder / "hub-cache"

    def fetched() -> Fetched:
        info, sha = _info(wanted, token, commit)
        rows = _stream(wanted, configuration, split, sha, token, cache)
        count, size, cut = _write(rows, path, wanted, most_rows, most_bytes, watch)
        if not count:
            raise DataError(f"The split {split!r} holds no rows.", where=wanted, next_step="Choose another split.")
        shown = f"{wanted} ({configuration}, {split})" if configuration else f"{wanted} ({split})"
        provenance = {
            "hub": wanted,
            "configuration": configuration,
            "split": split,
            "revision": sha,
            "licence": _licence(info) or "not named",
            "address": f"{_HUB}{wanted}/tree/{sha}",
        }
        return Fetched(path, shown, count, size, cut, provenance)

    try:
        return _in_plain_words(fetched, wanted, token)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def redacted(text: str, token: str = "") -> str:
    """The text without this token, and without anything that looks like one."""
    return _TOKEN.sub("hf_...", text.replace(token, "hf_...") if token else text)


def _checked(name: str, revision: str) -> tuple[str, str]:
    """Name and revision as the Hub spells them. A name is never a path, an address or the name of a reader."""
    wanted = name.strip().removeprefix(_HUB).removeprefix("hf://datasets/").strip("/").split("/tree/")[0]
    if not _NAME.fullmatch(wanted) or ".." in wanted or wanted.lower() in _READERS | {"pandas"}:
        raise DataError(
            f"{redacted(name.strip())[:80]!r} is not the name of a data set on the Hub.",
            where="data set",
            next_step="Write it as owner/name, as it stands at the top of its page.",
        )
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise DataError("This is not a revision.", where="revision", next_step="Write a branch, a tag or a commit.")
    return wanted, revision


def _info(name: str, token: str, revision: str) -> tuple[DatasetInfo, str]:
    from huggingface_hub import HfApi

    info = HfApi(token=token or False).dataset_info(name, revision=revision or None, timeout=30)
    return info, str(info.sha)


def _looked_up(name: str, token: str, revision: str) -> HubDataset:
    info, sha = _info(name, token, revision)
    from datasets import get_dataset_config_names, get_dataset_default_config_name

    place, access = f"hf://datasets/{name}", token or False
    names = get_dataset_config_names(place, revision=sha, token=access)
    default = get_dataset_default_config_name(place, revision=sha, token=access)
    found = tuple(
        HubConfiguration(one, _splits(name, one, sha, token) if number < _WITH_SPLITS else ())
        for number, one in enumerate(names[:_CONFIGURATIONS])
    )
    return HubDataset(
        name, sha, _licence(info), found, default or (names[0] if names else ""), bool(info.gated), bool(info.private)
    )


def _licence(info: DatasetInfo) -> str:
    found = (info.card_data or {}).get("license") if info.card_data else None
    return ", ".join(found) if isinstance(found, list) else str(found or "")


def _splits(name: str, configuration: str, sha: str, token: str) -> tuple[HubSplit, ...]:
    from datasets import get_dataset_config_info

    info = get_dataset_config_info(f"hf://datasets/{name}", configuration, revision=sha, token=token or False)
    found: list[HubSplit] = []
    for split, details in (info.splits or {}).items():
        rows, size = getattr(details, "num_examples", None), getattr(details, "num_bytes", None)
        found.append(HubSplit(str(split), rows or None, size or None))
    return tuple(found)


def _stream(name: str, configuration: str, split: str, sha: str, token: str, cache: Path) -> Iterator[Mapping[str, Any]]:
    from datasets import Features, Value, load_dataset, load_dataset_builder

    options: dict[str, Any] = {
        "path": f"hf://datasets/{name}",
        "name": configuration or None,
        "revision": sha,
        "token": token or False,
        "cache_dir": str(cache),
    }
    builder = load_dataset_builder(**options)
    reader = type(builder).__module__.rpartition(".")[2].split("-")[0]
    if reader not in _READERS:
        raise DataError(
            f"This data set is stored in a way that cannot be read here ({reader}).",
            where=name,
            next_step="Choose one that is stored as Parquet, JSON, CSV or text.",
        )
    _only_own_files(builder, name, sha)
    if reader == "csv":
        # Texts come as they stand in the file: no numbers, no missing values out of words.
        options["na_filter"] = False
        first = next(iter(load_dataset(**options, split=split, streaming=True)), {})
        options["features"] = Features(dict.fromkeys(first, Value("string")))
    rows = load_dataset(**options, split=split, streaming=True)
    # Pictures and sounds stay what they are, unseen.
    yield from rows.decode(False) if rows.features else rows


def _only_own_files(builder: DatasetBuilder, name: str, sha: str) -> None:
    """Raise ``DataError`` when the card of a data set points anywhere outside of the data set."""
    own = f"hf://datasets/{name}@{sha}/".lower()
    files: Mapping[str, Iterable[str]] = builder.config.data_files or {}
    for path in (str(one) for several in files.values() for one in several):
        if not path.rpartition("::")[2].lower().startswith(own) or "/../" in path:
            raise DataError(
                "The card of this data set points to files outside of it, which are not read.",
                where=name,
                next_step="Choose another data set.",
            )


def _write(
    rows: Iterable[Mapping[str, Any]], path: Path, name: str, most_rows: int, most_bytes: int, watch: Watch | None
) -> tuple[int, int, bool]:
    """Rows and bytes written, and whether there was more."""
    count, size = 0, 0
    with disk_errors(name):
        file = path.open("wb")
    # Only writing is guarded by the words for the disk: the rows come over the network, which has troubles of its own.
    with file:
        for row in rows:
            line = orjson.dumps(row, default=_plain, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
            if count >= most_rows or size + len(line) > most_bytes:
                return count, size, True
            with disk_errors(name):
                size += file.write(line)
            count += 1
            if watch and count % _TOLD_EVERY == 1:
                watch.at("fetching", count, most_rows, "rows")
    return count, size, False


def _plain(value: object) -> object:
    """A value that JSON has no form for."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode() if len(value) < 4096 else None
    as_list = getattr(value, "tolist", None)
    return as_list() if as_list else str(value)


def _in_plain_words(work: Callable[[], _Result], name: str, token: str) -> _Result:
    """The result, or a ``DataError`` for whatever the libraries raise, without the token in it or behind it."""
    try:
        return work()
    except (StudioError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - two libraries and the network raise whatever they like
        what, step = _explained(error, name, bool(token))
    # Outside of the handler, so that the library's error, which may carry the token, is not kept with ours.
    raise DataError(redacted(what, token), where=name, next_step=redacted(step, token))


def _explained(error: Exception, name: str, with_token: bool) -> tuple[str, str]:
    """What happened, and what to do."""
    chain = list(_causes(error))
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    status = next((answer.status_code for one in chain if (answer := getattr(one, "response", None)) is not None), 0)
    text = " ".join(str(one) for one in chain)
    if "GatedRepoError" in names or "is a gated dataset" in text:
        step = f"Open {_HUB}{name}, accept its conditions, and give a token of the account that did."
        return "This data set is gated: its owner wants to know who uses it.", step
    if "RevisionNotFoundError" in names:
        return "This revision of the data set does not exist.", "Leave the revision empty for the newest one."
    if "DisabledRepoError" in names:
        return "The Hub has disabled this data set.", "Choose another one."
    if status in (401, 403) and with_token:
        return "The Hub does not accept this token for the data set.", "Check the token, and that it may read this data set."
    if names & {"RepositoryNotFoundError", "DatasetNotFoundError"} or status in (401, 403, 404):
        step = "Check the name; for a private data set, give a token that may read it."
        return "There is no such data set on the Hub, or it is private.", step
    if "scripts are no longer supported" in text:
        return (
            "This data set needs a program of its own to be read, and the studio runs no programs from the Hub.",
            "Choose one that is stored as Parquet, JSON or CSV; many have such a copy.",
        )
    return _explained_choice(text) or _explained_trouble(names, status, error)


def _explained_choice(text: str) -> tuple[str, str] | None:
    """A configuration or a split that is not there."""
    if match := re.search(r"BuilderConfig '?(.{1,80}?)'? not found\. Available: (\[.*?\])", text):
        return f"There is no configuration {match[1]!r}.", f"Choose one of: {match[2].strip('[]')}."
    if match := re.search(r"Config name is missing\.[\s\S]*?(\[.*?\])", text):
        return "This data set has several configurations.", f"Choose one of: {match[1].strip('[]')}."
    if match := re.search(r"(?:Bad split: |Unknown split \")([\w-]{1,80})[^\[]*(\[.*?\])", text):
        return f"There is no split {match[1]!r}.", f"Choose one of: {match[2].strip('[]')}."
    return None


def _explained_trouble(names: set[str], status: int, error: Exception) -> tuple[str, str]:
    """The network, the Hub or the data."""
    if status == 429:
        return "The Hub wants fewer questions from here just now.", "Wait a few minutes and try again, or give a token."
    if status >= 500:
        return f"The Hub has a problem (status {status}).", "Try again in a few minutes."
    if names & {"OfflineModeIsEnabled"}:
        return "This studio is set to work without the network.", "Choose a file instead."
    if names & {
        "ConnectError",
        "TransportError",
        "ConnectionError",
        "TimeoutException",
        "TimeoutError",
        "LocalEntryNotFoundError",
    }:
        return "The Hugging Face Hub cannot be reached from here.", "Check the network, or download a file and choose that."
    if names & {"DataFilesNotFoundError", "EmptyDatasetError", "FileNotFoundError"}:
        return "This data set holds no files that can be read as rows.", "Choose one with Parquet, JSON or CSV files."
    first = (str(error).splitlines() or [""])[0][:300]
    return "The rows of this data set could not be read.", f"Choose another one, or download its files. It said: {first}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and the one that it was raised from."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__
