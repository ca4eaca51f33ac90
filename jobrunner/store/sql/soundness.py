"""The ledger's rules, as questions for what breaks them: no row is the answer of a sound state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MOST = 20  # rows that one rule is told of


class Rule(NamedTuple):
    """A question, and the sentence for each row of the answer."""

    sql: str
    sentence: str


def _rule(sentence: str, sql: str) -> Rule:
    return Rule(f"{sql} LIMIT {MOST}", sentence)


RULES = (
    # -- what refers to something that is not there --------------------------------------------------
    _rule("run {} is of job {}, which is not there", """
        SELECT r.id, r.job_id FROM runs r WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id)"""),
    _rule("there is output of run {}, which is not there", """
        SELECT DISTINCT l.run_id FROM logs l
        WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = l.run_id)"""),
    _rule("there are steps of run {}, which is not there", """
        SELECT DISTINCT s.root_id FROM steps s
        WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.root_id)"""),
    _rule("there is a cursor of job {}, which is not there", """
        SELECT DISTINCT c.job_id FROM cursors c
        WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = c.job_id)"""),
    _rule("there is a definition of job {}, which is not there", """
        SELECT DISTINCT d.job_id FROM definitions d
        WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = d.job_id)"""),
    _rule("{} is recorded once for job {}, which is not there", """
        SELECT o.key, o.job_id FROM once o WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = o.job_id)"""),
    _rule("node {} holds a definition of job {} that is not there", """
        SELECT h.owner, h.job_id FROM holdings h
        WHERE NOT EXISTS (SELECT 1 FROM definitions d WHERE d.job_id = h.job_id AND d.hash = h.hash)"""),
    _rule("a definition of job {} is held by node {}, which is not there", """
        SELECT h.job_id, h.owner FROM holdings h
        WHERE NOT EXISTS (SELECT 1 FROM nodes n WHERE n.owner = h.owner)"""),
    _rule("the current definition of {} is not there", """
        SELECT j.name FROM jobs j
        WHERE j.definition_hash != '' AND NOT EXISTS (
            SELECT 1 FROM definitions d WHERE d.job_id = j.id AND d.hash = j.definition_hash)"""),
    _rule("run {} is running, and its node is not there", """
        SELECT r.id FROM runs r
        WHERE r.state = 'running' AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.owner = r.owner)"""),
    # -- one at a time -------------------------------------------------------------------------------
    _rule("runs {} and {} are exclusive and of one job ({}), and both are under way", """
        SELECT min(r.id), max(r.id), min(j.name) FROM runs r JOIN jobs j ON j.id = r.job_id
        WHERE r.state IN ('running', 'waiting') AND r.exclusive = 1
        GROUP BY r.job_id, r.scope HAVING count(*) > 1"""),
    # -- chains --------------------------------------------------------------------------------------
    _rule("run {} is attempt {} of run {}, and the attempt before it is not there", """
        SELECT r.id, r.attempt, r.root_id FROM runs r
        WHERE r.root_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM runs p WHERE p.id = r.root_id AND p.attempt = 1 AND r.attempt = 2
            UNION ALL
            SELECT 1 FROM runs p WHERE p.root_id = r.root_id AND p.attempt = r.attempt - 1)"""),
    _rule("run {} is an attempt of run {}, which is of another job", """
        SELECT r.id, r.root_id FROM runs r JOIN runs p ON p.id = r.root_id WHERE p.job_id != r.job_id"""),
    _rule("run {} is {}, though run {} is a later attempt of it", """
        SELECT r.id, r.state, l.id FROM runs r
        JOIN runs l ON l.root_id = coalesce(r.root_id, r.id) AND l.attempt > r.attempt
        WHERE r.state IN ('pending', 'running', 'waiting')"""),
    _rule("there are steps of run {}, which is the first attempt of nothing", """
        SELECT DISTINCT s.root_id FROM steps s JOIN runs r ON r.id = s.root_id
        WHERE r.root_id IS NOT NULL"""),
    # -- occurrences ---------------------------------------------------------------------------------
    _rule("run {} stands for {} skipped occurrences, and run {} is about one of them", """
        SELECT r.id, r.count, o.id FROM runs r
        JOIN runs o ON o.job_id = r.job_id AND o.scheduled_for > r.scheduled_for
            AND o.scheduled_for <= r.last_for AND o.scope = r.scope AND o.attempt = 1
        WHERE r.count > 1"""),
    _rule("run {} stands for {} occurrences, and ends where it begins", """
        SELECT r.id, r.count FROM runs r WHERE r.count > 1 AND r.last_for <= r.scheduled_for"""),
    # A clock may have been wrong by up to a day without anybody setting back the cursor, and a new schedule
    # begins at the moment it is seen. What has started stays where it is, wherever the cursor is set.
    _rule("run {} of {} was planned, and the schedule is not consumed as far as that", """
        SELECT r.id, j.name FROM runs r
        JOIN jobs j ON j.id = r.job_id
        JOIN cursors c ON c.job_id = r.job_id AND c.scope = r.scope
        WHERE r.trigger = 'schedule' AND r.attempt = 1 AND r.started_at IS NULL
          AND r.state IN ('pending', 'skipped')
          AND coalesce(r.last_for, r.scheduled_for) > c.consumed + 86400000000"""),
    # -- counts --------------------------------------------------------------------------------------
    _rule("the counts of {} cannot be: {} executions, {} skips in a row", """
        SELECT j.name, c.executions, c.skip_count FROM cursors c JOIN jobs j ON j.id = c.job_id
        WHERE c.executions < 0 OR c.skip_count < 0 OR (c.skip_reason IS NULL) != (c.skip_count = 0)"""),
    # Since the last reset, or since when the audit trail would tell of one. That says which runs were before
    # it, whatever the clock was then; of an older reset only the clock does: two differ by a minute at most.
    _rule("{} counts {} executions, and {} are in its history", """
        SELECT j.name, c.executions, count(*) FROM cursors c
        JOIN jobs j ON j.id = c.job_id
        JOIN runs r ON r.job_id = c.job_id AND r.scope = c.scope
        WHERE r.trigger = 'schedule' AND r.attempt = 1
          AND r.id > (
              SELECT coalesce(max(CAST(
                  replace(replace(detail, 'schedule, ', ''), 'after run ', '') AS BIGINT)), 0)
              FROM audit WHERE action = 'reset' AND detail LIKE '%after run %')
          AND r.started_at > (
              SELECT coalesce(max(at), 0) + 60000000
              FROM audit WHERE action = 'reset' AND detail NOT LIKE '%after run %')
          AND r.started_at > (SELECT min(at) FROM audit)
        GROUP BY j.name, c.job_id, c.scope, c.executions HAVING count(*) > c.executions"""),
)  # fmt: skip


def at_least(what: str, given: int, highest: int) -> Iterator[str]:
    """Yield a sentence when a number that is to rise would be one that is in use."""
    if given < highest:
        yield f"{what} would be {given + 1}, and {highest} is in use"
