"""Configuration: one TOML file, overridden by the environment (`TOCSIN_...`), overridden by flags.

`Config` is the list of everything that can be set, each with its unit, default and reason. `load_config` says for each value
where it came from. A key nobody knows is an error, with the nearest known one as a suggestion.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from actors.model.retention import AUDITS_KEPT, KEEP_FOLDED, KEEP_LAST
from actors.rules.catching_up import CATCH_UP_BURST, CATCH_UP_RATE, CATCH_UP_RUNNING
from actors.store.port import DELIVERIES_KEPT
from runtime.clock import DAY, SECOND, Micros
from runtime.errors import InvalidRequest

from ..channels.amqp_settings import check_amqp
from ..channels.socket_settings import SocketSettings
from ..durations import format_duration
from ..shown import suggestion as suggestion
from .canary_config import check_canaries
from .cluster_config import ClusterSettings, check_cluster
from .places import DEFAULT_DATA
from .setting_readers import (
    Address,
    Reader,
    about,
    one_of,
    optional,
    read_address,
    read_flag,
    read_modules,
    read_networks,
    read_path,
    read_pools,
    read_programs,
    read_queues,
    read_server,
    read_text,
    span,
    whole,
)

DEFAULT_FILE: Final = "tocsin.toml"
_PREFIX: Final = "TOCSIN_"

LONGEST_KEPT: Final = Micros(36_525 * DAY)
"""A hundred years: for ever, as far as anybody can check."""

OTHER_VARIABLES: Final = frozenset(
    f"TOCSIN_{name}"
    for name in (
        "URL",
        "TOKEN",
        "TENANT",
        "CA",
        "TRACEBACK",
        "FAILPOINTS",
        "TASK",
        "EXECUTION",
        "ATTEMPT",
        "FENCE",
        "NOMINAL",
    )
)
"""Variables that are no settings: those of the command line, of tests, and those that a node gives to a command it runs."""


def _unless_empty(read: Reader) -> Reader:
    """Takes the empty text for None."""
    return lambda value, field: None if value == "" else read(value, field)


def _kept_for(what: str, reason: str) -> Any:
    """A time of its own for what has ended in one way; None: as `retention.keep_for`."""
    read = _unless_empty(span(Micros(0), LONGEST_KEPT))
    metadata = about(f"retention.{what}_for", read, "duration", f"empty: as retention.keep_for; {reason}")
    return attrs.field(default=None, metadata=metadata)


def _kept_last(what: str, number: int, reason: str) -> Any:
    """How many of each task stay at the most; 0: all that are not too old."""
    metadata = about(f"retention.{what}_last", whole(0, 1_000_000), "of each task", f"0: no limit; {reason}")
    return attrs.field(default=number, metadata=metadata)


@attrs.frozen
class Config(SocketSettings):
    """Every effective value of a node."""

    data: Path = attrs.field(
        default=Path(DEFAULT_DATA),
        metadata=about(
            "data", read_path, "directory", "everything a node keeps is under one directory, easy to copy or remove"
        ),
    )
    listen: Address = attrs.field(
        default=Address("127.0.0.1", 7400),
        metadata=about("listen", read_address, "HOST:PORT", "only this machine, until somebody says otherwise"),
    )
    name: str = attrs.field(
        default="node-1",
        metadata=about("name", read_text, "text", "shown with every attempt; boot ids tell processes apart"),
    )
    tasks: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "tasks", read_modules, "modules or files", "where the handlers are; `tocsin up` adds those it is given"
        ),
    )
    commands_allowed: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "commands.allowed",
            read_programs,
            "absolute paths",
            "what `command` tasks may run when `listen` is not this machine's loopback; on it everything is allowed",
        ),
    )
    slots: int = attrs.field(
        default=1_000,
        metadata=about(
            "executor.slots",
            whole(1, 100_000),
            "attempts",
            "attempts of stored tasks at once: most wait for something",
        ),
    )
    memory_slots: int = attrs.field(
        default=1_000,
        metadata=about(
            "executor.memory_slots",
            whole(1, 100_000),
            "attempts",
            "attempts of memory tasks at once; they do not compete",
        ),
    )
    threads: Mapping[str, int] = attrs.field(
        factory=lambda: read_pools({}, "threads"),
        metadata=about(
            "threads",
            read_pools,
            "threads by pool",
            "sync handlers at once: more than 16 mostly fight over the GIL, a pool of its own is for those that wait",
        ),
    )
    queues: Mapping[str, int] = attrs.field(
        factory=dict,
        metadata=about(
            "queues",
            read_queues,
            "executions by queue",
            "how many of a queue run at once; a queue that is not named has no limit but the slots",
        ),
    )
    catch_up_rate: int = attrs.field(
        default=round(CATCH_UP_RATE),
        metadata=about(
            "catch_up.rate",
            whole(1, 100_000),
            "starts per second",
            "what a downtime or a pause has delayed is made up for at this pace, so that live tasks stay on time",
        ),
    )
    catch_up_burst: int = attrs.field(
        default=CATCH_UP_BURST,
        metadata=about(
            "catch_up.burst", whole(1, 100_000), "starts", "so many come at once: a small node is not slowed at all"
        ),
    )
    catch_up_running: int = attrs.field(
        default=CATCH_UP_RUNNING,
        metadata=about(
            "catch_up.running",
            whole(1, 100_000),
            "executions",
            "so much delayed work runs at once, so that live tasks find slots",
        ),
    )
    drain_timeout: Micros = attrs.field(
        default=Micros(5 * SECOND),
        metadata=about(
            "drain.timeout",
            span(Micros(0), DAY),
            "duration",
            "what a handler gets to end in peace when the node stops; service managers wait 90 s",
        ),
    )
    keep_for: Micros = attrs.field(
        default=Micros(30 * DAY),
        metadata=about(
            "retention.keep_for",
            span(Micros(0), LONGEST_KEPT),
            "duration",
            "how long all is kept that has ended and has no time of its own below: a month's review still finds it",
        ),
    )
    keep_newest: int = attrs.field(
        default=0,
        metadata=about(
            "retention.keep_newest",
            whole(0, 1_000_000),
            "executions",
            "of each task so many are kept however old they are",
        ),
    )
    completed_for: Micros | None = _kept_for("completed", "what went well is of interest as long as what did not")
    completed_last: int = _kept_last("completed", KEEP_LAST, "a task that runs every second must not fill the disk")
    failed_for: Micros | None = _kept_for("failed", "a shorter time would lose what a review is about")
    failed_last: int = _kept_last("failed", 0, "failures are few and are what people look for")
    timed_out_for: Micros | None = _kept_for("timed_out", "as failures")
    timed_out_last: int = _kept_last("timed_out", 0, "as failures")
    cancelled_for: Micros | None = _kept_for("cancelled", "as failures")
    cancelled_last: int = _kept_last("cancelled", 0, "as failures")
    missed_for: Micros | None = _kept_for("missed", "slots that passed unseen or were taken together, as executions")
    missed_last: int = _kept_last("missed", KEEP_LAST, "each is a range, a downtime leaves one or two")
    skipped_for: Micros | None = _kept_for("skipped", "slots that were seen and not run, as executions")
    skipped_last: int = _kept_last("skipped", 0, "each is somebody's decision")
    finished_for: Micros | None = _kept_for("finished", "finished and cancelled tasks, as their executions")
    folded_for: Micros = attrs.field(
        default=KEEP_FOLDED,
        metadata=about(
            "retention.folded_for",
            span(Micros(0), LONGEST_KEPT),
            "duration",
            "counts by the hour, what is left of ledger rows that are gone: a year's comparison",
        ),
    )
    deliveries_last: int = attrs.field(
        default=DELIVERIES_KEPT,
        metadata=about(
            "retention.deliveries_last",
            whole(1, 1_000_000),
            "records",
            "what became of each task's deliveries: a few days of a task that fails every hour",
        ),
    )
    audit_last: int = attrs.field(
        default=AUDITS_KEPT,
        metadata=about(
            "retention.audit_last", whole(0, 100_000_000), "records", "who changed what: some tens of megabytes"
        ),
    )
    purge_every: Micros = attrs.field(
        default=Micros(60 * SECOND),
        metadata=about(
            "retention.purge_every", span(SECOND, DAY), "duration", "a purge takes small steps, so it can look often"
        ),
    )
    synchronous: str = attrs.field(
        default="FULL",
        metadata=about(
            "store.synchronous",
            one_of("FULL", "NORMAL"),
            "FULL or NORMAL",
            "FULL: what was acknowledged survives power loss; NORMAL only kill -9, and is faster",
        ),
    )
    secure_delete: bool = attrs.field(
        default=False,
        metadata=about(
            "store.secure_delete",
            read_flag,
            "true or false",
            "whether SQLite overwrites what is purged or deleted, which doubles its writes; without it what was deleted can be "
            "read in the file until its place is needed",
        ),
    )
    webhooks_allowed: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "webhooks.allowed",
            read_networks,
            "networks",
            "private networks that webhooks may reach; public addresses always, anything else would open this machine's "
            "neighbourhood to whoever can make a task",
        ),
    )
    webhooks_secrets_file: str = attrs.field(
        default="",
        metadata=about(
            "webhooks.secrets_file",
            optional(read_text),
            "file",
            "what webhooks are signed with: a name (TENANT/NAME for a tenant's) and its secrets in each line, read at each "
            "delivery; definitions name a secret and do not hold it",
        ),
    )
    http_allowed: tuple[str, ...] = attrs.field(
        default=(),
        metadata=about(
            "http.allowed",
            read_networks,
            "networks",
            "the same for tasks of type `http`; 127.0.0.0/8 for those that look at other programs of this machine",
        ),
    )
    mail_server: str = attrs.field(
        default="",
        metadata=about("mail.server", optional(read_server), "HOST:PORT", "without one no mail is sent; 587 is usual"),
    )
    mail_sender: str = attrs.field(
        default="tocsin@localhost",
        metadata=about(
            "mail.sender", read_text, "address", "whom mails come from; servers refuse addresses not their own"
        ),
    )
    mail_encryption: str = attrs.field(
        default="STARTTLS",
        metadata=about(
            "mail.encryption",
            one_of("STARTTLS", "TLS", "NONE"),
            "STARTTLS, TLS or NONE",
            "passwords and what tasks say should not cross a network in the clear",
        ),
    )
    mail_user: str = attrs.field(
        default="",
        metadata=about(
            "mail.user", optional(read_text), "text", "without one the server is not asked to let anybody in"
        ),
    )
    mail_password_file: str = attrs.field(
        default="",
        metadata=about(
            "mail.password_file",
            optional(read_text),
            "file",
            "holds the password in its first line: a configuration is shown, a password is not",
        ),
    )
    body_limit: int = attrs.field(
        default=2 * 1024 * 1024,
        metadata=about(
            "api.body_limit",
            whole(1_024, 64 * 1024 * 1024),
            "bytes",
            "a request with the largest extra in base64 fits; beyond it the answer is 413",
        ),
    )


_FIELDS: Final[tuple[attrs.Attribute[Any], ...]] = attrs.fields(Config)
_OF_CLUSTERS: Final = [field.name for field in attrs.fields(ClusterSettings)]

SETTINGS: Final = {field.metadata["key"]: field for field in sorted(_FIELDS, key=lambda one: one.name in _OF_CLUSTERS)}
"""Key in the file -> the field of `Config`; those of a cluster come last."""


@attrs.frozen
class Loaded:
    """The effective configuration, and by key where each value came from: `default`, a file, a variable, a flag."""

    config: Config
    origins: Mapping[str, str]


def load_config(
    environment: Mapping[str, str], file: Path | None = None, flags: Mapping[str, object] | None = None
) -> Loaded:
    """The effective configuration.

    environment: the process's variables; those that begin with `TOCSIN_` count. file: the TOML file, which must exist;
    without it `tocsin.toml` of the current directory if there is one. flags: key -> value, None for a flag not given.
    Raises InvalidRequest naming key, value and origin, or the settings that do not go together.
    """
    given: dict[str, tuple[object, str]] = {}
    given |= _from_file(file if file is not None else _default_file())
    given |= _from_environment(environment)
    given |= {key: (value, "command line") for key, value in (flags or {}).items() if value is not None}
    values = {SETTINGS[key].name: _read(key, value, origin) for key, (value, origin) in given.items()}
    config = Config(**values)
    check_cluster(config)
    check_canaries(config)
    check_amqp(config)
    return Loaded(config, {key: given[key][1] if key in given else "default" for key in SETTINGS})


def _read(key: str, value: object, origin: str) -> Any:
    try:
        return SETTINGS[key].metadata["read"](value, key)
    except InvalidRequest as error:
        raise InvalidRequest(f"{error} ({origin})") from None


def _default_file() -> Path | None:
    path = Path(DEFAULT_FILE)
    return path if path.is_file() else None


def _from_file(path: Path | None) -> dict[str, tuple[object, str]]:
    if path is None:
        return {}
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(f"configuration file {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"configuration file {str(path)!r}: {error}") from None
    return {known(key, str(path)): (value, str(path)) for key, value in _flat(tree, "")}


def _flat(tree: Mapping[str, object], prefix: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in tree.items():
        if isinstance(value, dict) and prefix + key not in SETTINGS:
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    by_variable = {variable_of(key): key for key in SETTINGS}
    found: dict[str, tuple[object, str]] = {}
    for variable in sorted(environment):
        if not variable.startswith(_PREFIX) or variable in OTHER_VARIABLES:
            continue
        if variable not in by_variable:
            raise InvalidRequest(f"unknown variable {variable}{suggestion(variable, by_variable)}")
        found[by_variable[variable]] = environment[variable], variable
    return found


def variable_of(key: str) -> str:
    """The environment variable of a key: `executor.slots` -> `TOCSIN_EXECUTOR_SLOTS`."""
    return _PREFIX + key.replace(".", "_").upper()


def known(key: str, origin: str) -> str:
    """The key itself if there is such a setting, else InvalidRequest with a suggestion."""
    if key in SETTINGS:
        return key
    raise InvalidRequest(f"unknown key {key!r} in {origin}{suggestion(key, SETTINGS)}")


def shown(key: str, config: Config) -> str:
    """A value as it would be written in the file."""
    value = getattr(config, SETTINGS[key].name)
    if value is None:
        return ""
    return format_duration(value) if SETTINGS[key].metadata["unit"] == "duration" else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={entry}" for name, entry in value.items())
    return ", ".join(value) if isinstance(value, tuple) else str(value)
