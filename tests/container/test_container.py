"""Services come by name or by type, live as long as they say, and are closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest

from jobrunner.container import Container
from jobrunner.errors import ConfigError, ResolutionError
from jobrunner.injection import plan, problems


class Database:
    pass


class Postgres(Database):
    pass


class Repository:
    def __init__(self, db: Database) -> None:
        self.db = db


def drive(awaitable: Awaitable[Any]) -> Any:
    async def whole() -> Any:
        return await awaitable

    with asyncio.Runner() as runner:
        return runner.run(whole())


@pytest.fixture
def root() -> Container:
    return Container(drive)


# -- finding -----------------------------------------------------------------------------------------


def test_values_and_factories_are_resolved_by_name(root: Container) -> None:
    root.register("answer", 42)
    root.register("list", lambda: [1])
    run = root.open_run()
    assert (run.resolve("answer"), run.resolve("list")) == (42, [1])


def test_a_callable_is_a_factory_unless_it_is_said_to_be_a_value(root: Container) -> None:
    root.register("made", len, value=True)
    assert root.open_run().resolve("made") is len


def test_a_class_finds_the_one_service_of_that_class(root: Container) -> None:
    root.register("db", Postgres)
    run = root.open_run()
    assert run.resolve(Database) is run.resolve("db")


def test_a_factory_says_by_its_annotation_what_it_makes(root: Container) -> None:
    def connect() -> Postgres:
        return Postgres()

    root.register("db", connect)
    assert isinstance(root.open_run().resolve(Database), Postgres)


def test_several_services_of_a_class_are_an_error_that_names_them(root: Container) -> None:
    root.register("one", Postgres)
    root.register("two", Database)
    with pytest.raises(ResolutionError, match="several services are of type Database: one, two"):
        root.open_run().resolve(Database)


def test_a_builtin_type_never_finds_a_service(root: Container) -> None:
    root.register("rows", [1])
    with pytest.raises(ResolutionError):
        root.open_run().resolve(list)


def test_a_missing_service_names_near_ones_and_the_chain_that_asked(root: Container) -> None:
    root.register("database", Postgres)
    root.register("repo", lambda container: container.resolve("datbase"))
    with pytest.raises(
        ResolutionError,
        match=r"no service 'datbase'; did you mean 'database'\? \(asked for by repo -> datbase\)",
    ):
        root.open_run().resolve("repo")


def test_a_default_is_for_what_is_missing_only(root: Container) -> None:
    run = root.open_run()
    assert run.resolve("nothing", default=None) is None
    root.register("broken", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.resolve("broken", default=1)


def test_has_says_whether_there_is_one(root: Container) -> None:
    root.register("db", Postgres)
    run = root.open_run()
    assert [run.has(key) for key in ("db", Database, "container", "other", Repository)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_what_the_harness_provides_when_asked_is_made_once_a_run_and_not_before(root: Container) -> None:
    made: list[int] = []

    def make() -> object:
        made.append(1)
        return object()

    run = root.open_run()
    run.provide_when_asked("state", make)
    assert (made, run.has("state")) == ([], True)
    assert run.resolve("state") is run.resolve("state")
    assert made == [1]


@pytest.mark.parametrize("key", ["ctx", "container", "params", "state", "scheduler", "config"])
def test_jobrunners_own_names_cannot_be_taken(root: Container, key: str) -> None:
    with pytest.raises(ConfigError, match="own service"):
        root.register(key, 1)


def test_an_unknown_lifetime_is_refused(root: Container) -> None:
    with pytest.raises(ConfigError, match="'forever' is no lifetime"):
        root.register("x", 1, "forever")  # type: ignore[arg-type]


# -- lifetimes ---------------------------------------------------------------------------------------


def test_lifetimes(root: Container) -> None:
    root.register("one", object, "singleton")
    root.register("run", object)
    root.register("each", object, "transient")
    first, second = root.open_run(), root.open_run()
    assert first.resolve("one") is second.resolve("one")
    assert first.resolve("run") is first.resolve("run")
    assert first.resolve("run") is not second.resolve("run")
    assert first.resolve("each") is not first.resolve("each")


def test_a_run_may_register_for_itself_only(root: Container) -> None:
    root.register("tenant", "nobody")
    run = root.open_run()
    run.register("tenant", "acme")
    assert (run.resolve("tenant"), root.open_run().resolve("tenant")) == ("acme", "nobody")


def test_needing_each_other_is_an_error_that_shows_the_chain(root: Container) -> None:
    root.register("a", lambda b: b)
    root.register("b", lambda c: c)
    root.register("c", lambda a: a)
    with pytest.raises(ResolutionError, match="a -> b -> c -> a"):
        root.open_run().resolve("a")


def test_a_singleton_that_would_keep_something_of_one_run_is_an_error(root: Container) -> None:
    root.register("session", object)
    root.register("cache", lambda session: session, "singleton")
    with pytest.raises(ResolutionError, match=r"singleton 'cache' would keep 'session'.*cache -> session"):
        root.open_run().resolve("cache")
    root.register("clever", lambda container: container.resolve("ctx"), "singleton")
    run = root.open_run()
    run.provide("ctx", object())
    with pytest.raises(ResolutionError, match="singleton 'clever' would keep 'ctx'"):
        run.resolve("clever")


def test_a_singleton_may_keep_values_singletons_and_transients(root: Container) -> None:
    root.provide("settings", {"a": 1})
    root.register("pool", object, "singleton")
    root.register("id", object, "transient")
    root.register("all", lambda settings, pool, id: (settings, pool, id), "singleton")  # noqa: A006
    assert root.open_run().resolve("all")[0] == {"a": 1}


def test_a_failed_factory_is_tried_again(root: Container) -> None:
    tries = iter([1, 0])
    root.register("x", lambda: 1 / (1 - next(tries)))
    run = root.open_run()
    with pytest.raises(ZeroDivisionError):
        run.resolve("x")
    assert run.resolve("x") == 1


# -- clean-up ----------------------------------------------------------------------------------------


def recording(told: list[str], name: str, needs: str = "") -> Any:
    def factory(container: Container) -> Iterator[str]:
        if needs:
            container.resolve(needs)
        told.append(f"+{name}")
        yield name
        told.append(f"-{name}")

    return factory


def test_clean_up_runs_in_reverse(root: Container) -> None:
    told: list[str] = []
    root.register("a", recording(told, "a"))
    root.register("b", recording(told, "b", "a"))
    run = root.open_run()
    run.resolve("b")
    assert run.close() == []
    assert told == ["+a", "+b", "-b", "-a"]
    assert run.close() == []


def test_clean_up_runs_after_a_failure_without_try_and_finally(root: Container) -> None:
    told: list[str] = []
    root.register("a", recording(told, "a"))
    run = root.open_run()
    run.resolve("a")
    assert run.close(ValueError("the body failed")) == []
    assert told == ["+a", "-a"]


def test_a_clean_up_that_fails_does_not_stop_the_others(root: Container) -> None:
    told: list[str] = []

    def bad() -> Iterator[None]:
        yield
        raise OSError("bad")

    root.register("a", recording(told, "a"))
    root.register("bad", bad)
    run = root.open_run()
    run.resolve("a"), run.resolve("bad")
    assert [str(error) for error in run.close()] == ["bad"]
    assert told == ["+a", "-a"]


def test_a_context_manager_sees_how_the_run_failed(root: Container) -> None:
    told: list[str] = []

    @contextlib.contextmanager
    def transaction() -> Iterator[str]:
        try:
            yield "open"
        except ValueError as error:
            told.append(f"rolled back: {error}")
            raise

    root.register("tx", transaction)
    run = root.open_run()
    assert run.resolve("tx") == "open"
    assert run.close(ValueError("no")) == []
    assert told == ["rolled back: no"]


def test_a_singletons_clean_up_belongs_to_the_process(root: Container) -> None:
    told: list[str] = []
    root.register("pool", recording(told, "pool"), "singleton")
    run = root.open_run()
    run.resolve("pool")
    run.close()
    assert told == ["+pool"]
    root.close()
    assert told == ["+pool", "-pool"]


# -- async -------------------------------------------------------------------------------------------


def test_async_factories_are_driven_to_completion_for_sync_code() -> None:
    told: list[str] = []
    with asyncio.Runner() as runner:

        def drive_here(awaitable: Awaitable[Any]) -> Any:
            async def whole() -> Any:
                return await awaitable

            return runner.run(whole())

        async def connect() -> AsyncIterator[str]:
            await asyncio.sleep(0)
            yield "connected"
            await asyncio.sleep(0)
            told.append("closed")

        async def number() -> int:
            await asyncio.sleep(0)
            return 7

        root = Container(drive_here)
        root.register("db", connect)
        root.register("number", number)
        root.register("both", lambda db, number: (db, number))
        run = root.open_run()
        assert run.resolve("both") == ("connected", 7)
        assert run.close() == []
    assert told == ["closed"]


async def _ask_twice(run: Container) -> tuple[Any, Any]:
    return await asyncio.gather(run.resolve_async("slow"), run.resolve_async("slow"))


def test_two_tasks_that_ask_at_once_get_the_same_service(root: Container) -> None:
    async def slow() -> object:
        await asyncio.sleep(0.001)
        return object()

    root.register("slow", slow)
    one, two = asyncio.run(_ask_twice(root.open_run()))
    assert one is two


# -- injection ---------------------------------------------------------------------------------------


def test_parameters_are_resolved_in_their_order_of_precedence(root: Container) -> None:
    root.register("db", Postgres)
    run = root.open_run()
    run.provide("ctx", "the ctx")

    def body(
        container: Container, ctx: str, size: int, db: object, other: Database, left: int = 5
    ) -> tuple[Any, ...]:
        return container, ctx, size, db, other, left

    container, ctx, size, db, other, left = run.inject(body, {"size": 3})
    assert (container, ctx, size, left) == (run, "the ctx", 3, 5)
    assert db is other is run.resolve("db")


def test_a_param_wins_over_a_service_and_the_plan_calls_it_a_problem(root: Container) -> None:
    root.register("db", Postgres)
    run = root.open_run()
    assert run.inject(lambda db: db, {"db": "param"}) == "param"
    assert problems(lambda db: db, run, {"db"}) == ["'db' is both a param and a service"]


def test_positional_only_gathering_and_optional_parameters(root: Container) -> None:
    root.register("db", Postgres)

    def body(a: int, /, other: Database | None, *rest: int, **more: int) -> tuple[Any, ...]:
        return a, other, rest, more

    a, other, rest, more = root.open_run().inject(body, {"a": 1, "unused": 2})
    assert (a, rest, more) == (1, (), {})
    assert isinstance(other, Postgres)


def test_classes_are_constructed_with_injection(root: Container) -> None:
    root.register(Database, Postgres)
    root.register("repo", Repository)
    assert isinstance(root.open_run().resolve("repo").db, Postgres)


def test_a_plan_proves_that_every_parameter_resolves_without_calling_anything(root: Container) -> None:
    root.register("db", lambda: 1 / 0)

    class Job:
        def __init__(self, db: object) -> None: ...
        def run(self, size: int, missing: Repository, state: object) -> None: ...

    run = root.open_run()
    run.provide_when_asked("state", lambda: 1 / 0)
    found = plan(Job, run, {"size": 1})
    assert [(one.parameter.name, one.source) for one in found] == [
        ("db", "service"), ("size", "params"), ("missing", "missing"), ("state", "service"),
    ]  # fmt: skip
    assert [one.problem for one in found if one.problem] == [
        "parameter 'missing': no param of that name, no service 'missing' nor of type Repository",
    ]


def test_annotations_that_exist_for_type_checkers_only_do_no_harm(root: Container) -> None:
    namespace: dict[str, Any] = {}
    exec("from __future__ import annotations\ndef body(a: Nowhere, b: Nothing = 2): return a, b", namespace)
    assert root.open_run().inject(namespace["body"], {"a": 1}) == (1, 2)
