"""The file: how it is opened, what is refused untouched, what sick disks do."""

from __future__ import annotations

import errno
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.errors import StateError
from jobrunner.store import exists, open_store
from jobrunner.store.contract.things import at, make_job, make_node
from jobrunner.store.sql import SqlStore
from jobrunner.store.sqlite import SqliteStore, place

pytestmark = pytest.mark.sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project" / ".jobrunner" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = opened(path, create=True)
    yield store
    store.close()


def opened(path: Path, **options: Any) -> SqliteStore:
    found = open_store(f"sqlite://{path}", **options)
    assert isinstance(found, SqliteStore)
    return found


def refused(path: Path, code: str, **options: Any) -> StateError:
    with pytest.raises(StateError) as found:
        opened(path, **options).close()
    assert found.value.code == code
    assert str(path) in found.value.message
    assert found.value.hint
    return found.value


def pragma(store: SqliteStore, name: str) -> Any:
    return store._db.pragma(name)


# -- a new one ---------------------------------------------------------------------------------------


def test_the_folder_and_the_file_are_their_owners_only_and_git_ignores_them(
    store: SqliteStore, path: Path
) -> None:
    store.join(make_node())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("state.db*")} == {0o600}
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_folder_of_the_users_own_gets_no_gitignore(tmp_path: Path) -> None:
    opened(tmp_path / "state.db", create=True).close()
    assert [file.name for file in tmp_path.iterdir()] == ["state.db"]


def test_what_is_committed_survives_a_power_cut_and_a_hostile_schema_does_nothing(store: SqliteStore) -> None:
    wanted = {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "cell_size_check": 1
    }  # fmt: skip
    assert {name: pragma(store, name) for name in wanted} == wanted


def test_without_create_nothing_is_made(path: Path) -> None:
    error = refused(path, "state-missing")
    assert "jobrunner start" in (error.hint or "")
    assert not path.parent.exists()


def test_exists_says_whether_there_is_one(path: Path) -> None:
    assert not exists(f"sqlite://{path}")
    opened(path, create=True).close()
    assert exists(f"sqlite://{path}")


def test_a_new_state_has_an_id_of_its_own(store: SqliteStore, tmp_path: Path) -> None:
    other = opened(tmp_path / "other.db", create=True)
    assert other.info()["state_id"] != store.info()["state_id"]
    other.close()


def test_a_creation_that_fails_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("jobrunner.store.sqlite.migrate.build", fail)
    refused(path, "full", create=True)
    assert [file.name for file in path.parent.iterdir()] == [".gitignore"]


@pytest.mark.parametrize("url", ["sqlite://relative.db", "sqlite:state.db", "sqlite:///", "sqlite://"])
def test_a_url_without_an_absolute_path_is_refused(url: str) -> None:
    with pytest.raises(StateError, match="names no file"):
        open_store(url)


def test_an_unknown_scheme_is_refused_with_what_there_is_and_without_its_password() -> None:
    with pytest.raises(StateError, match=r"'oracle'.*sqlite") as found:
        open_store("oracle://scott:tiger@db/x")
    assert "tiger" not in str(found.value)


def test_a_database_library_is_imported_only_to_open_one() -> None:
    code = (
        "import sys, jobrunner, jobrunner.store, jobrunner.testing;"
        "sys.exit(' '.join({'apsw', 'pytest', 'hypothesis', 'importlib.metadata'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_another_definition_becoming_current_is_noticed_once(store: SqliteStore, path: Path) -> None:
    other = opened(path)
    store.join(make_node("a"))
    store.join(make_node("b"))
    store.register("a", [make_job(hash="old")], "", at(0))
    assert (other.definitions_changed(), other.definitions_changed()) == (True, False)
    store.register("a", [make_job(hash="old")], "", at(1))
    assert not other.definitions_changed()
    store.register("b", [make_job(hash="new")], "", at(2))
    assert other.definitions_changed()
    store.leave("b")
    assert other.definitions_changed()
    other.close()


def test_definitions_that_nobody_needs_are_forgotten(store: SqliteStore) -> None:
    store.join(make_node())
    for number in range(5):
        store.register("a", [make_job(hash=f"h{number}")], "", at(number))
    assert store._db.rows("SELECT hash FROM definitions") == [("h4",)]


# -- where it lies -----------------------------------------------------------------------------------


def test_a_link_and_its_target_are_one_store_with_one_journal(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    other = opened(link)
    other.join(make_node("b"))
    assert [node.owner for node in store.nodes()] == ["b"]
    other.verify()
    other.close()
    assert not list(tmp_path.glob("link.db-*"))


def test_a_link_to_where_nothing_is_yet_makes_the_state_there(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    opened(link, create=True).close()
    assert path.is_file()
    assert link.is_symlink()


def test_a_link_that_is_turned_elsewhere_is_noticed(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    other = opened(link)
    link.unlink()
    opened(tmp_path / "second.db", create=True).close()
    link.symlink_to(tmp_path / "second.db")
    with pytest.raises(StateError) as found:
        other.verify()
    assert found.value.code == "replaced"
    other.close()


def test_a_deleted_file_is_noticed(store: SqliteStore, path: Path) -> None:
    path.unlink()
    with pytest.raises(StateError, match="was deleted") as found:
        store.verify()
    assert found.value.code == "replaced"


def test_a_replaced_file_is_noticed(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    opened(tmp_path / "other.db", create=True).close()
    (tmp_path / "other.db").replace(path)
    with pytest.raises(StateError, match="was replaced"):
        store.verify()


MOUNTS = """\
22 27 0:21 / / rw - ext4 /dev/vda rw
23 22 0:30 / /mnt/with\\040space rw shared:1 - nfs4 server:/x rw
24 22 0:31 / /mnt rw - ext4 /dev/vdb rw
25 22 0:32 / /home/me/drive rw - fuse.sshfs me@host rw
26 22 0:33 / /over rw - nfs host:/x rw
27 22 0:34 / /over rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"), ("/srv", "ext4"), ("/mnt/with space/s", "nfs4"), ("/mnt/without", "ext4"),
        ("/home/me/drive", "fuse.sshfs"), ("/home/me/driver", "ext4"), ("/over/it", "tmpfs"),
    ],
)  # fmt: skip
def test_the_file_system_is_the_last_mount_that_reaches_furthest(folder: str, kind: str) -> None:
    assert place.file_system(folder, MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse", "virtiofs"])
def test_a_network_file_system_is_refused_unless_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(place, "mounts", lambda: f"1 0 0:1 / / rw - {kind} x rw\n")
    with pytest.raises(StateError, match=f"is on {kind}") as found:
        opened(path, create=True)
    assert "--allow-network-fs" in (found.value.hint or "")
    assert not path.parent.exists()
    opened(path, create=True, allow_network_fs=True).close()


def test_the_parts_of_the_store_share_no_names() -> None:
    homes: dict[str, list[str]] = {}
    for part in SqlStore.__mro__[:-1]:
        for name in vars(part):
            if not name.startswith("__") and name != "_db":
                homes.setdefault(name, []).append(part.__name__)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
