"""Every way in which a job file or a job's process can do harm, and which tests hold what is promised of it.

A word without `::` is a row of `files.py` or `bodies.py`.
"""

# ruff: noqa: E501  (one line a promise)

from __future__ import annotations

BODIES = "executor/test_bodies.py::test_"
BROKEN = "discovery/test_broken_files.py::test_"
FAMILY = "executor/test_family.py::test_"
STOPS = "executor/test_stops.py::test_"
WALK = "discovery/test_walk.py::test_"
WARMING = "discovery/test_warming.py::test_"

PROCESS: dict[str, list[str]] = {  # a run
    "raises, of any base, with any message": [BODIES + "whatever_is_raised_fails_the_run_with_its_traceback", BODIES + "an_exception_that_cannot_be_shown_still_fails_the_run", "own-base", "mute", "odd-text", "odd-name", "no-trace", "mute-skip", "odd-parts", "exit-with-trap"],
    "raises what has a thousand causes or parts": ["round-cause", "deep-group", "deep-cause", BODIES + "an_enormous_message_is_shortened"],
    "ends without a reply: exit, exec, signal, stack": [BODIES + "an_end_without_a_reply_is_a_crash_and_says_how", "stack-overflow", "alarm", "kernel-limit", "file-limit", "thread-exits", "kills-its-group", "no-builtins"],
    "never returns, hears nothing, stops itself": [STOPS + "what_ignores_everything_is_killed_when_the_grace_is_over", "lifecycle/test_ending_runs.py::test_a_body_that_will_not_end_is_ended_by_its_timeout_with_all_it_has_started", "stops-itself", "stops-its-group", "hears-nothing", "masks-signals", "endless-finally", "holds-the-lock"],
    "stops or kills who is above it": ["executor/test_hardness.py::test_a_time_out_ends_a_run_that_has_stopped_its_zygote", FAMILY + "a_killed_zygote_takes_its_runs_along_and_the_node_goes_on_with_another"],
    "forks, in threads too, daemons, fifty children": [BODIES + "a_daemon_of_a_run_is_dead_when_the_run_has_ended", BODIES + "fifty_children_in_sessions_of_their_own_are_gone_with_the_run", BODIES + "a_fork_that_comes_back_is_not_the_run", "forks-fifty", "fork-in-thread", "inherits-locks"],
    "leaves threads, finalizers, exit handlers": [BODIES + "a_thread_left_behind_does_not_keep_the_run", BODIES + "an_exit_handler_that_hangs_is_killed_after_two_seconds_and_the_reply_counts", "spins-on", "del-hangs", "del-raises", "exec-at-exit"],
    "prints without end, binary, as if it were us": [BODIES + "two_hundred_megabytes_of_output_pass_in_bounded_memory", BODIES + "binary_output_arrives_byte_for_byte_and_odd_text_never_raises", "binary", "forged-lines", "no-end"],
    "closes descriptors": [BODIES + "closing_every_descriptor_fails_the_run_alone", BODIES + "closing_stdout_changes_nothing", "no-streams"],
    "writes into descriptors that are not its own": [BODIES + "garbage_on_every_descriptor_breaks_the_run_alone", "forged-success", "forged-state", "forged-error", "forged-effects", "forged-request", "forged-node", "forged-length"],
    "changes what a process has: folder, environment, zone, path, handlers, builtins": [BODIES + "one_run_sees_nothing_of_what_another_did_to_its_process", FAMILY + "runs_of_one_process_do_not_see_each_others_surroundings_or_children", "elsewhere", "no-modules", "hooks", "nice", "child-handler"],
    "is greedy": ["executor/test_memory.py::test_a_tree_that_holds_too_much_is_killed_whole_and_told_both_figures", BODIES + "memory_pressure_would_hit_a_run_before_the_node", "endless-dict"],
    "deletes its own file": [BODIES + "a_run_may_delete_its_own_file", "deletes-itself"],
    "locks the state": ["lifecycle/test_spine.py::test_a_state_locked_for_seconds_is_waited_for_and_nothing_is_lost"],
    "is async, or a generator": [BODIES + "an_async_body_really_runs", BODIES + "a_generator_is_refused_instead_of_never_run"],
    "returns what is no JSON, too much, or lies": [BODIES + "a_huge_deep_or_hostile_result_is_bounded", BODIES + "a_result_that_is_no_json_becomes_a_flagged_repr", "nan", "circle", "not-json", "vast", "digits", "surrogate", "lying-text"],
    "reads its input": [BODIES + "stdin_is_at_its_end_at_once"],
    "looks for what it could inherit": [BODIES + "a_child_inherits_no_descriptor_but_its_own", BROKEN + "the_database_address_is_not_shown_to_a_job_file"],
}  # fmt: skip

FILES: dict[str, list[str]] = {  # a file that is found, read, or imported to be read
    "is not Python": [BROKEN + "each_broken_file_is_a_problem_with_file_line_and_hint_and_the_good_one_stays"],
    "raises when it is imported": [BROKEN + "every_odd_file_is_said_in_one_sentence_with_a_line", "recursion.py", "memory.py", "mute.py", "mute-text.py", "shouts.py", "surrogate.py", "group.py", "no-trace.py", "odd-name.py", "warns.py"],
    "imports in a circle": ["loop_a.py", "itself.py"],
    "ends the process that imports it": ["segfault.py", "abort.py", "alarm.py", "kills-its-group.py", "exec.py", "thread-exits.py", "closes-all.py", "no-files.py", "no-write.py", "literal-exit.py"],
    "never ends": ["exec-sleeps.py", "stops-itself.py", "hears-nothing.py", "masks-signals.py", "cli/test_check.py::test_an_endless_import_is_given_up"],
    "leaves threads, forks, locks, handlers": ["spins.py", "thread-stays.py", "exit-hangs.py", "del-hangs.py", "del-raises.py", "forks-fifty.py", "fork-comes-back.py", "fork-in-thread.py", "holds-locks.py", BROKEN + "a_grandchild_that_holds_the_pipes_delays_nothing_and_is_killed"],
    "prints": [BROKEN + "output_of_an_import_is_swallowed_and_forges_nothing", "loud.py", "silent.py"],
    "changes the process that imports it": ["elsewhere.py", "no-excepthook.py", "odd-modules.py", "recursive-limit.py"],
    "answers in our place": ["forged-empty.py", "forged-list.py", "forged-rubbish.py", "forged-problem.py", "forged-configs.py", "forged-nul.py", "forged-deep.py", "forged-large.py", "forged-length.py", "forged-proof.py"],
    "has no config, or an odd one": [BROKEN + "every_odd_file_is_said_in_one_sentence_with_a_line", "generator.py", "nothing.py", "gone.py", "never-bound.py"],
    "has keys or values that no config has": ["config/test_keys.py::test_an_invalid_value_is_refused_with_its_line_its_key_and_what_to_do", "config/test_keys.py::test_an_unknown_key_is_an_error_with_a_guess", "hostile/test_properties.py::test_any_config_is_a_job_or_errors_that_name_file_line_and_key", "key-of-colours.py", "key-of-nothing.py"],
    "has a config that is a trap": ["endless-config.py", "lying-key.py", "lying-text.py", "lying-number.py", "vast.py", "vast-number.py", "odd-text.py", "deep.py"],
    "has a schedule that never fires, or is no schedule": ["schedule/test_text.py::test_a_schedule_that_cannot_be_used_is_refused_with_its_field_and_a_hint", "schedule-never.py", "schedule-by-chance.py", "schedule-too-long.py", "schedule-of-many.py", "callable-raises.py", "callable-hangs.py", "callable-itself.py"],
    "has a function that cannot be called": [BROKEN + "every_odd_file_is_said_in_one_sentence_with_a_line", "annotated.py", "decorated.py", "huge-default.py", "huge-choice.py", "odd-default.py"],
    "has a name that would harm": ["name-of-markup.py", "name-of-escapes.py", "name-of-lines.py", "name-of-nul.py", "name-of-bidi.py", "name-of-dots.py", "name-too-long.py", "name-of-html.py", "name-of-digits.py", "name-of-ours.py"],
    "has a name that others have": [BROKEN + "each_broken_file_is_a_problem_with_file_line_and_hint_and_the_good_one_stays", "hostile/test_many.py::test_a_name_that_hundreds_of_files_have_is_said_of_each_in_one_short_sentence"],
    "is encoded oddly, or too large, or too deep": [WALK + "marks_cookies_and_line_ends_are_as_in_python", WALK + "a_hostile_file_is_a_problem_and_the_others_stay", "utf-16.py", "utf-7.py", "rot13.py", "nul-inside.py", "ten-megabytes.py", "elifs.py", "sum.py", "nots.py", "lambdas.py"],
    "is no file": [WALK + "a_pipe_that_takes_a_files_place_after_the_walk_keeps_nobody_waiting", "pipe.py", "socket.py", "dangling.py", "round.py", "outside.py", "device.py", "circle", "folder.py"],
    "is named for a terminal or a shell": [WALK + "a_name_that_cannot_be_shown_is_refused_and_shown_escaped", "line\nbreak.py", "red\x1b[31m.py", "bytes\udcff.py", "$(reboot); rm -rf ~.py", "-rf.py", "%s%n{0}{}.py"],
    "shadows a module": ["discovery/test_loading.py::test_a_job_called_json_shadows_nothing", "json.py", "os.py", "jobrunner.py"],
    "comes, goes, is half there while a node runs": [WARMING + "an_edit_that_is_watched_becomes_the_definition_and_a_half_written_one_does_not", WARMING + "a_job_stays_as_it_was_until_its_edited_file_has_answered", "hostile/test_edits.py::test_hostile_edits_stop_no_job_of_a_running_node"],
    "is edited without a trace": ["discovery/test_cache.py::test_an_edit_that_keeps_size_and_mtime_is_seen", "discovery/test_loading.py::test_an_edit_within_the_same_second_and_size_is_what_runs"],
    "differs between machines": ["test_drift.py::test_a_new_deployment_takes_its_job_over_and_every_due_moment_has_its_row"],
}  # fmt: skip
