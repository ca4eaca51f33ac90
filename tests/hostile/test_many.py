"""What is harmless once and not a thousand times."""

from __future__ import annotations

from pathlib import Path

from tests.discovery.household import PLAIN, Project


def test_a_name_that_hundreds_of_files_have_is_said_of_each_in_one_short_sentence(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.plain("fine")
    for number in range(300):
        project.write(f"twin{number}.py", PLAIN.format(name="twin"))
    registry = project.load()
    assert list(registry.jobs) == ["fine"]
    assert len(registry.problems) == 300
    for problem in registry.problems:
        assert problem.message.endswith(" and 296 more")
        assert len(problem.message) < 150
