"""The catalogue of faults: what can happen to a load, what must hold then, and the defects that each test finds.

A test says with the marker `fault(number)` which rows it is the test of. The conformance suites, which are for authors
of plug-ins too, get theirs from `SUITE_TESTS`. `tests/faults/report.py` makes the table of `REPORT.md` of it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CLASSES: Final = {
    "A": "crash and commit",
    "B": "cursor",
    "C": "concurrency and state",
    "D": "server and network",
    "E": "values and keys",
    "F": "files and CSV",
    "G": "schema drift",
    "H": "hostile input",
}


class Red(NamedTuple):
    """A seeded defect, and the test that fails with it.

    Attributes:
        defect: A function of `tests/faults/defects.py`.
        test: The id of a test of the row.
        flaw: A pattern that begins what the test complains of.
    """

    defect: str
    test: str
    flaw: str = r"assert |AssertionError|Failed: DID NOT RAISE"


class Fault(NamedTuple):
    """One row.

    Attributes:
        number: Of the row; tests are marked with it.
        group: A key of `CLASSES`.
        fault: What happens.
        expected: What must hold.
        where: Destinations: modes, or what else it is tried with.
        reds: Defects that turn it red; the first is tried by `make test`, where the row is the sample of its class.
        missing: Why there is no test, or which part of the row none covers; what it is about is not there yet.
    """

    number: int
    group: str
    fault: str
    expected: str
    where: str
    reds: tuple[Red, ...] = ()
    missing: str = ""


SUITE_TESTS: Final[dict[str, tuple[int, ...]]] = {
    "test_readers_of_a_replace_see_all_old_rows_or_all_new_ones": (8,),
    "test_windows_lose_no_row_and_repeat_none_unseen": (18,),
    "test_rows_without_a_cursor": (24,),
    "test_a_cursor_keeps_its_full_precision": (25,),
    "test_the_lease_is_for_one": (32,),
    "test_two_recipes_load_one_place": (34,),
    "test_a_stale_version_is_refused": (35,),
    "test_a_stale_epoch_is_refused": (35,),
    "test_of_many_at_once_one_wins": (35,),
    "test_of_rows_with_one_key_the_last_wins": (51,),
    "test_what_changes_under_the_reader_ends_the_load": (60,),
    "test_odd_names_of_columns": (68,),
    "test_odd_names_of_keys": (68,),
}

_KILL = "tests/faults/test_kill_everywhere.py::"
_OUTAGES = "tests/faults/test_outages.py::"
_POSTGRES = "tests/integration/postgres/"
_CSV = "tests/unit/connectors/csv/test_source.py::"
_LISTING = "tests/unit/connectors/files/test_listing.py::"
_SUITES = "tests/conformance/"
_MODELS = "tests/unit/models/"
_QUARANTINE = "tests/integration/test_quarantine.py::"
_ALL_MODES = "DuckDB, Postgres: append, replace, merge; Parquet: append, replace"

FAULTS: Final = (
    # ------------------------------------------------------------ A: crash and commit
    Fault(
        1,
        "A",
        "SIGKILL before and after every step of the protocol",
        "the next plain run leaves the destination as the source is",
        f"{_ALL_MODES}; state: local, S3, DynamoDB, SQL",
        (
            Red(
                "state_before_commit",
                f"{_KILL}test_a_killed_run_is_made_good_by_the_next[duckdb-append-finalize.applied]",
            ),
        ),
    ),
    Fault(
        2,
        "A",
        "SIGKILL after the commit, before the state is saved",
        "the ledger, which is ahead, is adopted; nothing twice",
        _ALL_MODES,
        (
            Red("each_run_a_home", f"{_KILL}test_append_without_cursor_is_finished_not_repeated[duckdb]"),
            Red("ledger_not_asked_without_a_state", f"{_KILL}test_state_lost_after_a_crash[duckdb-append]"),
        ),
    ),
    Fault(
        3,
        "A",
        "state is saved, the rows are not",
        "cannot happen; a build that does it is found",
        f"{_ALL_MODES}; the model of the protocol",
        (
            Red(
                "state_before_commit",
                f"{_KILL}test_a_killed_run_is_made_good_by_the_next[postgres-merge-finalize.applied]",
            ),
            Red(
                "state_before_commit",
                f"{_KILL}test_a_killed_run_is_made_good_by_the_next[parquet-append-finalize.applied]",
            ),
        ),
    ),
    Fault(
        4,
        "A",
        "crash while several parts are staged in parallel",
        "readers see nothing of them; the next run loads all",
        "DuckDB, Postgres, Parquet: append; relay",
        (
            Red(
                "rows_before_entry",
                "tests/faults/test_parallel_kills.py::test_a_run_of_many_parts_is_killed[duckdb-finalize.ledger@1]",
            ),
        ),
    ),
    Fault(
        5,
        "A",
        "the answer to the commit is lost",
        "the ledger is asked; counted once",
        _ALL_MODES,
        (
            Red("lost_answer_is_success", f"{_KILL}test_lost_answer[duckdb-append-finalize.before]"),
            Red(
                "lost_answer_is_success",
                "tests/faults/test_cut_connections.py::test_an_answer_to_a_commit_is_lost[3-append]",
            ),
        ),
    ),
    Fault(
        6,
        "A",
        "the answer is lost and the server commits later",
        "the run waits or exits 74; nothing is deleted",
        "Postgres: append",
        (
            Red(
                "orphans_left_alone",
                f"{_POSTGRES}test_ledger.py::test_a_session_that_is_still_open_is_ended_before_the_ledger_is_read",
            ),
        ),
    ),
    Fault(
        7,
        "A",
        "the client is killed, its statement goes on in the server",
        "the next run ends it or waits for it",
        "Postgres: append, merge",
        (Red("orphans_left_alone", "tests/faults/test_orphans.py::test_a_statement_outlives_its_client[merge]"),),
    ),
    Fault(
        8,
        "A",
        "crash in a replace, while a reader looks every 10 ms",
        "it sees the old rows or the new ones, never none or some",
        "Postgres, Parquet: replace",
        (Red("emptied_first", "tests/faults/test_readers.py::test_a_reader_during_killed_replaces[postgres]"),),
    ),
    Fault(
        9,
        "A",
        "replace by a source without rows",
        "exit 65 and the old rows stay, unless `allow_empty: true`",
        "DuckDB, Parquet, Postgres: replace",
        (
            Red(
                "empty_source_is_believed",
                "tests/unit/engine/test_engine.py::test_an_empty_source_does_not_empty_the_target",
            ),
        ),
    ),
    Fault(
        10,
        "A",
        "an attempt fails after it has staged something",
        "nothing of it is in what the next attempt commits",
        "DuckDB: append, Postgres: merge, Parquet: replace",
        (Red("parts_of_earlier_attempts_kept", f"{_OUTAGES}test_an_error_that_passes[parquet-replace-seal.before]"),),
    ),
    Fault(
        11,
        "A",
        "SIGTERM, then SIGKILL",
        "exit 75, nothing committed, the lease given back; the next run loads all",
        "the command line: DuckDB, Parquet",
        (Red("signal_ends_the_process", "tests/faults/test_interrupted.py::test_a_run_is_told_to_end[duckdb]"),),
    ),
    Fault(
        12,
        "A",
        "out of memory in the middle of a batch",
        "as 1",
        "Postgres: replace; killed by the kernel in a memory cgroup, and refused by RLIMIT_AS",
        (Red("emptied_first", "tests/faults/test_interrupted.py::test_memory_runs_out"),),
    ),
    Fault(
        13,
        "A",
        "a step, a source or compiled code raises or panics",
        "the run ends within 2 s, with no thread left and nothing committed",
        "DuckDB, Postgres, Parquet: append, replace",
        (
            Red(
                "reader_errors_are_the_end",
                "tests/faults/test_plugins.py::test_a_source_that_raises_ends_the_run[duckdb-1]",
            ),
            Red(
                "reader_errors_are_the_end",
                "tests/faults/test_plugins.py::test_a_python_step_that_raises_ends_the_run[postgres-raise]",
            ),
        ),
    ),
    Fault(
        14,
        "A",
        "crash in a load that is committed in chunks",
        "the next run goes on behind the last chunk; windows without a hole",
        "DuckDB, Postgres: append, merge; Parquet: append",
        (
            Red(
                "chunk_remembers_the_end",
                "tests/faults/test_killed_chunks.py::test_the_next_run_goes_on_behind_the_last_chunk[duckdb-append-finalize.after]",
            ),
        ),
    ),
    Fault(
        15,
        "A",
        "the working directory is lost after a crash",
        "the destination alone is enough",
        "DuckDB, Postgres: append, merge; Parquet: append",
        (Red("ledger_not_asked_without_a_state", f"{_KILL}test_state_lost_after_a_crash[postgres-append]"),),
    ),
    Fault(
        16,
        "A",
        "the destination is restored from an older backup",
        "the state is ahead: exit 78, both sides named",
        "DuckDB, Postgres, Parquet: append",
        (Red("contradictions_overlooked", f"{_KILL}test_restored_destination_is_refused[duckdb]"),),
    ),
    Fault(
        17,
        "A",
        "the same window is loaded again into a store that drops equal loads",
        "the rows stay",
        _ALL_MODES,
        (Red("equal_loads_dropped", f"{_KILL}test_runs_without_faults[duckdb-replace]"),),
    ),
    # ------------------------------------------------------------ B: cursor
    Fault(
        18,
        "B",
        "many rows share one cursor value; some come after the first run",
        "each is loaded once",
        _ALL_MODES,
        (
            Red("boundary_not_read_again", f"{_KILL}test_runs_without_faults[duckdb-append]"),
            Red("seen_rows_not_stored", f"{_KILL}test_runs_without_faults[duckdb-append]"),
        ),
    ),
    Fault(
        19,
        "B",
        "more rows tie than a batch or a chunk holds, and the run is killed among them",
        "each is loaded once",
        "DuckDB, Postgres, Parquet: append",
        (
            Red(
                "window_without_its_last_value",
                "tests/faults/test_cursors.py::test_killed_among_rows_that_tie[duckdb-stage.batch@2]",
            ),
        ),
    ),
    Fault(
        20,
        "B",
        "rows are inserted between finding the upper bound and reading",
        "bound and rows are of one snapshot; the rows are the next window's",
        "Postgres → Parquet: append",
        (
            Red(
                "upper_bound_after_the_rows",
                "tests/faults/test_seeded_defects.py::test_rows_that_come_while_a_window_is_read[sound]",
            ),
        ),
    ),
    Fault(
        21,
        "B",
        "a long transaction commits older times, within savepoints too",
        "none lost with `late: xmin`, none within `lag`",
        "Postgres → DuckDB, Postgres: append, merge",
        (Red("late_rows_not_looked_for", f"{_POSTGRES}test_late_rows.py::test_late_commits_are_found[append]"),),
    ),
    Fault(
        22,
        "B",
        "serial ids are committed in another order",
        "as 21",
        "Postgres → DuckDB: merge",
        (
            Red(
                "late_rows_not_looked_for",
                "tests/faults/test_cursors.py::test_ids_that_are_committed_out_of_order",
            ),
        ),
    ),
    Fault(
        23,
        "B",
        "the cursor of a row is updated while it is read",
        "it is there once, in its latest version",
        "Postgres → DuckDB, Postgres: merge",
        (Red("upper_bound_after_the_rows", "tests/faults/test_cursors.py::test_a_row_is_updated_while_it_is_read"),),
    ),
    Fault(
        24,
        "B",
        "rows without a cursor, in the first run and later",
        "exit 65 with their number, unless the recipe says otherwise",
        "DuckDB, Postgres, memory",
        (Red("nulls_not_counted", f"{_POSTGRES}test_source_windows.py::test_null_cursors_end_the_load_by_default"),),
    ),
    Fault(
        25,
        "B",
        "a cursor of microseconds or nanoseconds",
        "no row is left out or repeated",
        "DuckDB, Postgres (three drivers), memory",
        (
            Red(
                "cursor_in_milliseconds",
                f"{_SUITES}test_sources.py::TestPostgres::test_a_cursor_keeps_its_full_precision",
            ),
        ),
    ),
    Fault(
        26,
        "B",
        "times over the hours that summer time repeats and skips, in three zones of the session",
        "the same rows, each once",
        "Postgres → DuckDB: append",
        (Red("cursor_in_local_time", "tests/faults/test_clocks.py::test_summer_time[moment-America/New_York]"),),
    ),
    Fault(
        27,
        "B",
        "the clock of the source steps back; that of the host is a day off",
        "nothing is lost; leases hold",
        "Postgres, DuckDB: append; state: local, S3, DynamoDB",
        (
            Red(
                "lag_not_kept",
                "tests/faults/test_clocks.py::test_the_clock_of_the_source_steps_back[duckdb]",
            ),
            Red(
                "leases_by_the_clock_of_the_host",
                "tests/faults/test_clocks.py::test_a_host_whose_clock_is_a_day_off[s3-ahead]",
            ),
        ),
    ),
    Fault(
        28,
        "B",
        "one row is dated 9999-12-31",
        "it waits, and takes no later row with it",
        "DuckDB, Postgres, memory",
        (Red("future_is_present", "tests/integration/test_future_cursor.py::test_it_waits"),),
        missing="that such a row is quarantined: `future_cursor` has no such mode",
    ),
    Fault(
        29,
        "B",
        "an API gives rows in no order, and its cursor falls",
        "no early stop; the watermark is the greatest committed",
        "",
        missing="there is no source that reads an API",
    ),
    Fault(
        30,
        "B",
        "append with a lag reads a span again",
        "no row is there twice",
        "DuckDB, Postgres, Parquet: append",
        (Red("overlap_not_consulted", "tests/faults/test_cursors.py::test_a_lag_under_append[duckdb]"),),
    ),
    Fault(
        31,
        "B",
        "rows are deleted in the source",
        "they stay: nothing is claimed of deletions",
        "DuckDB, Postgres: append, merge",
        (Red("merge_is_replace", "tests/faults/test_cursors.py::test_deletions_in_the_source[duckdb-merge]"),),
        missing="that a reconciliation removes exactly these: there is none yet",
    ),
    # ------------------------------------------------------------ C: concurrency and state
    Fault(
        32,
        "C",
        "eight runs of one recipe start together",
        "one works, the others exit 75 within 2 s",
        "DuckDB, Postgres, Parquet: append; state: local, S3, DynamoDB, SQL",
        (Red("lock_not_taken", "tests/unit/state/test_local.py::test_two_backends_of_one_process_exclude_each_other"),),
    ),
    Fault(
        33,
        "C",
        "a run is stopped, a rival finishes, the run goes on",
        "it commits nothing",
        "Postgres, Parquet: append; state: local, S3, DynamoDB, SQL; the model of the protocol",
        (
            Red(
                "fence_not_checked",
                "tests/faults/test_rivals.py::test_a_zombie_commits_nothing[parquet-stage.before-next]",
            ),
            Red(
                "fence_not_checked",
                "tests/faults/test_rivals.py::test_a_zombie_commits_nothing[postgres-stage.before-anew]",
            ),
        ),
    ),
    Fault(
        34,
        "C",
        "two recipes load one target",
        "neither touches what the other has staged",
        "every destination",
        (
            Red(
                "everybodys_garbage_swept",
                "tests/unit/connectors/files/test_dataset.py::test_sweep_leaves_other_pipelines_and_newer_epochs_alone",
            ),
        ),
    ),
    Fault(
        35,
        "C",
        "somebody else has changed the state",
        "it is never written over",
        "state: local, S3, DynamoDB, SQL",
        (
            Red(
                "conditions_not_sent",
                f"{_SUITES}test_state_backends.py::TestS3::test_of_many_at_once_one_wins",
                r".*StateError",
            ),
        ),
    ),
    Fault(
        36,
        "C",
        "state is cut short, has a flipped bit, is of a newer version, or would hold a secret",
        "refused; made anew from the ledger",
        "state: local, documents",
        (Red("checksum_not_checked", "tests/unit/state/test_local.py::test_a_flipped_bit_is_refused"),),
    ),
    Fault(
        37,
        "C",
        "of two tables, one fails",
        "the other is committed, and its cursor alone moves",
        "",
        missing="a recipe loads one table",
    ),
    # ------------------------------------------------------------ D: server and network
    Fault(
        38,
        "D",
        "Postgres crashes in the COPY, in the commit, in the sweep",
        "the run begins anew by itself, or exits 74 or 75; what the server lost is found out",
        "Postgres: append, replace, merge",
        (
            Red("servers_count_is_believed", f"{_POSTGRES}test_ledger.py::test_a_server_that_lost_rows_is_found_out"),
            Red("nothing_tried_again", f"{_OUTAGES}test_the_server_crashes_and_comes_back[append-stage.batch]"),
        ),
    ),
    Fault(
        39,
        "D",
        "the connection is cut at any of the first 200 messages",
        "exact, or exit 74 or 75",
        "Postgres as destination and as source: append",
        (
            Red(
                "lost_connections_have_no_class",
                "tests/faults/test_cut_connections.py::test_a_cut_at_any_message[some-to server]",
            ),
        ),
    ),
    Fault(
        40,
        "D",
        "a slow network, segments of one byte, a server that never answers",
        "done, or given up after `connect_timeout`; memory stays flat",
        "Postgres as source and as destination",
        (Red("connect_timeout_not_kept", "tests/faults/test_slow_network.py::test_a_server_that_never_answers"),),
        missing="a peer that falls silent in the middle of a load: only TCP keepalives end the wait for it",
    ),
    Fault(
        41,
        "D",
        "the connection to the source is lost in the middle",
        "the window is read anew in a fresh snapshot",
        "Postgres → Parquet: append",
        (Red("reader_errors_are_the_end", f"{_OUTAGES}test_the_source_session_is_ended"),),
    ),
    Fault(
        42,
        "D",
        "the session that holds the snapshot is lost",
        "readers end; two snapshots are never mixed",
        "Postgres, each driver",
        (
            Red(
                "readers_without_the_snapshot",
                f"{_POSTGRES}test_splits.py::test_the_exporting_session_dies_before_the_others_join[copy]",
            ),
        ),
    ),
    Fault(
        43,
        "D",
        "S3 answers 500 and 503, then not at all for a while",
        "the run goes on, or exits 75; tries are bounded",
        "state: S3; Parquet in S3: append, replace",
        (Red("one_request_one_try", "tests/faults/test_object_store.py::test_some_answers_are_errors"),),
    ),
    Fault(
        44,
        "D",
        "a part of an upload fails, its completion answers 200 with an error, its abortion fails",
        "no commit of an object that is short; orphans are swept",
        "Parquet in S3: append",
        (
            Red(
                "uploads_left_open",
                "tests/unit/connectors/files/test_s3_storage.py"
                "::test_uploads_of_the_dead_are_swept_and_those_of_the_living_are_not",
            ),
        ),
    ),
    Fault(
        45,
        "D",
        "an answer of S3 is shorter than it says, or damaged",
        "tried again or refused, never taken for the whole",
        "state: S3; Parquet in S3: append, and as a source",
        (Red("checksum_not_checked", "tests/faults/test_object_store.py::test_a_damaged_answer"),),
    ),
    Fault(
        46,
        "D",
        "DynamoDB throttles for a while; a lease is renewed late",
        "one runner at any time; progress afterwards",
        "state: DynamoDB",
        (Red("one_request_one_try", "tests/faults/test_object_store.py::test_throttled_for_a_while"),),
    ),
    Fault(
        47,
        "D",
        "the disk is full",
        "exit 75, old rows and old state intact; the next run is exact",
        "DuckDB: append, Postgres: merge, Parquet: append, replace; state: local",
        (Red("state_written_in_place", f"{_OUTAGES}test_the_disk_stays_full"),),
    ),
    Fault(
        48,
        "D",
        "serialization failure, deadlock, lock timeout, a session ended by an administrator",
        "tried again; exact",
        "Postgres: append, merge",
        (
            Red(
                "codes_of_the_server_ignored",
                "tests/unit/connectors/postgres/test_postgres_parts.py::test_each_sqlstate_says_what_to_do",
            ),
            Red("nothing_tried_again", "tests/faults/test_refusals.py::test_a_deadlock"),
        ),
    ),
    Fault(
        49,
        "D",
        "credentials expire in the middle of a run",
        "exit 77; the next run is exact",
        "Postgres as destination; state: S3",
        (Red("refused_credentials_may_pass", "tests/faults/test_refusals.py::test_a_password_changes_in_the_middle"),),
    ),
    Fault(
        50,
        "D",
        "statistics of the server lag behind its rows",
        "the transaction and the ledger are believed",
        "Postgres: replace",
        (Red("statistics_are_believed", "tests/faults/test_refusals.py::test_statistics_that_lag"),),
    ),
    # ------------------------------------------------------------ E: values and keys
    Fault(
        51,
        "E",
        "one merge key twice in a batch, and in several parts",
        "the last by (cursor, ordinal) wins, the others are counted",
        "DuckDB, Postgres, memory: merge",
        (
            Red(
                "first_of_a_key_wins",
                f"{_SUITES}test_destinations.py::TestDuckDB::test_of_rows_with_one_key_the_last_wins",
            ),
        ),
    ),
    Fault(
        52,
        "E",
        "a merge key is NULL",
        "exit 65, or put in quarantine; nothing grows from run to run",
        "DuckDB, Postgres, memory: merge",
        (
            Red("null_keys_pass", "tests/faults/test_values.py::test_a_key_that_is_null[duckdb]"),
            Red("rejected_rows_vanish", f"{_QUARANTINE}test_null_merge_keys_are_put_aside[duckdb]"),
        ),
    ),
    Fault(
        53,
        "E",
        "numerics of 38 digits and more, without a scale, NaN and infinite",
        "exact or refused; never NULL, never a double",
        "Postgres → Arrow, Arrow → Postgres",
        (
            Red(
                "nan_is_null",
                f"{_POSTGRES}test_source_types.py::test_nan_is_an_error_or_null_as_the_recipe_says[numeric]",
            ),
        ),
    ),
    Fault(
        54,
        "E",
        "integers that overflow, fractions into integers, dates before Christ or after 9999",
        "refused, with column, row and value, or put in quarantine with them",
        "casts; Postgres",
        (
            Red("casts_wrap", "tests/faults/test_values.py::test_a_number_that_does_not_fit[duckdb-70000-int16]"),
            Red("neighbours_rejected", f"{_QUARANTINE}test_a_value_that_the_target_cannot_hold_is_put_aside"),
        ),
    ),
    Fault(
        55,
        "E",
        "a NUL byte, a lone surrogate, bytes that are no UTF-8",
        "refused, with line or row, or put in quarantine",
        "CSV; Postgres",
        (
            Red("bad_bytes_replaced", "tests/faults/test_values.py::test_bytes_that_are_no_text[duckdb-surrogate]"),
            Red("rejected_rows_vanish", f"{_QUARANTINE}test_a_zero_byte_is_put_aside_before_postgres_refuses_it"),
        ),
    ),
    Fault(
        56,
        "E",
        "a cell of 256 MiB, ten thousand columns, no columns, no rows",
        "bounded memory or a clear refusal",
        "CSV, DuckDB, Postgres, Parquet",
        (Red("no_row_is_no_load", "tests/faults/test_values.py::test_no_rows[duckdb]"),),
    ),
    Fault(
        57,
        "E",
        "one bad row in a good load",
        "exit 65 with line and column and no row committed; or, within the budget, all others, and it in quarantine",
        "CSV → DuckDB, Postgres, Parquet; memory → these, CSV, memory",
        (
            Red("misfits_become_null", "tests/faults/test_values.py::test_one_bad_row[duckdb]"),
            Red("neighbours_rejected", f"{_QUARANTINE}test_bad_rows_are_put_aside_and_the_others_loaded[duckdb]"),
            Red("rejected_rows_vanish", f"{_QUARANTINE}test_bad_rows_are_put_aside_and_the_others_loaded[parquet]"),
            Red("budget_not_kept", f"{_QUARANTINE}test_one_row_more_than_the_budget_ends_the_load[duckdb]"),
        ),
    ),
    # ------------------------------------------------------------ F: files and CSV
    Fault(
        58,
        "F",
        "ragged rows, byte order marks, quotes and newlines over the edge of a split, CR, UTF-16, latin-1",
        "parsed by the dialect, or refused, or put aside within the budget; the number of splits changes no row",
        "CSV",
        (
            Red("cuts_at_any_newline", "tests/faults/test_files.py::test_splits_change_no_row", r"assert |.*DataError"),
            Red("ragged_rows_filled_up", f"{_QUARANTINE}test_ragged_records_are_put_aside_and_the_others_loaded"),
        ),
    ),
    Fault(
        59,
        "F",
        "gzip, zstd and Parquet cut short at every kilobyte",
        "exit 65; no row is committed",
        "CSV, Parquet",
        (Red("short_file_is_the_end", f"{_CSV}test_a_packed_file_that_is_cut_anywhere[gz]"),),
    ),
    Fault(
        60,
        "F",
        "a file is replaced or grows while it is read",
        "the load fails and is tried again whole",
        "CSV, Parquet",
        (Red("pins_not_checked", f"{_LISTING}test_a_file_that_changes_while_it_is_read[grow]"),),
    ),
    Fault(
        61,
        "F",
        "two files of one second, one of which comes later",
        "each is loaded once",
        "CSV, Parquet",
        (Red("files_by_time_alone", f"{_LISTING}test_two_files_of_one_second"),),
    ),
    Fault(
        62,
        "F",
        "a file comes late with an older time",
        "it is found",
        "CSV, Parquet",
        (Red("files_by_time_alone", f"{_LISTING}test_a_file_with_an_older_time_is_found"),),
    ),
    Fault(
        63,
        "F",
        "a thousand and one files",
        "all are listed and loaded once",
        "CSV in a folder and in S3, where they are more than a page of the listing",
        (Red("a_thousand_files_listed", "tests/faults/test_files.py::test_a_thousand_and_one_files"),),
    ),
    Fault(
        64,
        "F",
        "a file that unpacks into thousands of times its size",
        "exit 65 within bounded memory",
        "CSV",
        (Red("bombs_not_noticed", f"{_CSV}test_a_bomb"),),
    ),
    # ------------------------------------------------------------ G: schema drift
    Fault(
        65,
        "G",
        "columns differ between the parts of one window, or the target is altered while rows are staged",
        "nothing is committed; from one run to the next, what the contract says",
        "CSV, Parquet; Postgres; contracts: DuckDB, Postgres, Parquet",
        (
            Red(
                "columns_of_the_first_file",
                "tests/unit/connectors/parquet/test_parquet.py::test_files_that_do_not_agree",
            ),
            Red(
                "drift_not_seen",
                "tests/integration/test_contract.py::test_single_columns_have_contracts_of_their_own",
            ),
        ),
    ),
    Fault(
        66,
        "G",
        "crash between DDL and rows",
        "the next run loads all",
        _ALL_MODES,
        (
            Red(
                "tables_made_once",
                f"{_KILL}test_a_killed_first_run_is_made_good_by_the_next[postgres-append-stage.before]",
            ),
        ),
        missing="a destination whose DDL commits by itself",
    ),
    # ------------------------------------------------------------ H: hostile input
    Fault(
        67,
        "H",
        "secrets in recipe, environment and URL, while runs fail and are told at debug level",
        "they are in no output, state, ledger or file",
        "Postgres, DuckDB, Parquet; state: local, S3",
        (Red("secrets_not_masked", "tests/faults/test_secrets.py::test_an_error_of_the_server_that_quotes_a_secret"),),
    ),
    Fault(
        68,
        "H",
        "names with quotes, dots, semicolons, NUL, 64 bytes and more, emoji",
        "they come back as they went in, and no two become one",
        "DuckDB, Postgres, Parquet, CSV",
        (
            Red(
                "names_not_escaped",
                "tests/faults/test_names.py::test_quoting_gives_every_name_back",
                r".*(Parser|Binder)Exception",
            ),
        ),
    ),
    Fault(
        69,
        "H",
        "templates with attributes, calls, filters that reach out, loops",
        "refused: three namespaces and a list of filters, nothing else",
        "recipes",
        (Red("grammar_not_checked", f"{_MODELS}test_templates.py::test_all_else_is_refused"),),
    ),
    Fault(
        70,
        "H",
        "alias bombs, Python tags, repeated keys, huge scalars, deep nesting",
        "refused quickly and in little memory",
        "recipes",
        (
            Red(
                "nothing_is_too_much",
                f"{_MODELS}test_hostile_recipes.py::test_a_hostile_recipe_is_refused_quickly_and_in_little_memory[many_keys.yaml]",
            ),
        ),
    ),
    Fault(
        71,
        "H",
        "`extends` that leaves the root, by dots, symlink or URL; a circle; a thousand levels",
        "refused",
        "recipes",
        (Red("any_file_may_be_extended", f"{_MODELS}test_loader.py::test_what_lies_outside_of_the_root_is_refused"),),
    ),
    Fault(
        72,
        "H",
        "a recipe points at an address inside of the network",
        "the policy for outgoing connections looks at the resolved address",
        "",
        missing="there is no server mode",
    ),
)
