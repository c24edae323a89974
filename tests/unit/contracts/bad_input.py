# SPDX-License-Identifier: GPL-3.0-or-later
"""What every source must answer with one clear error, and the test that proves it, or why it cannot be.

{what is wrong: {kind of source: "test_…", or "-- why it cannot be"}}. "*" stands for every kind that is not named.
MySQL is MariaDB's class and Valkey is Redis': their tests run on theirs, where there is a server.
"""

from __future__ import annotations

NO_SERVER = "-- there is no server: what is protected lies on this host's disk"
OWN_PROGRAM = "-- the user's own program asks its server: its exit status is all that is known"
SWAPPED = "test_every_step_may_be_asked_twice"  # what was there is kept, and comes back
KILLED = "test_old_or_new_and_nothing_left"

BAD_INPUT: dict[str, dict[str, str]] = {
    "server down": {
        "command": "test_check_runs_before_a_dump_and_fails_it",
        "files": NO_SERVER,
        "mariadb": "test_bad_input_is_one_clear_error",
        "mongodb": "test_a_server_that_is_down_says_so",
        "postgresql": "test_bad_input_is_one_clear_error",
        "redis": "test_a_server_that_is_down_is_absent_and_named",
        "s3_bucket": "test_a_server_that_is_down_is_named",
        "sqlite": NO_SERVER,
        "volume": "test_a_volume_without_its_engine_names_what_is_missing",
    },
    "wrong password": {
        "command": OWN_PROGRAM,
        "files": NO_SERVER,
        "mariadb": "test_bad_input_is_one_clear_error",
        "mongodb": "test_a_wrong_password_says_so_and_is_not_shown",
        "postgresql": "test_bad_input_is_one_clear_error",
        "redis": "test_a_wrong_password_is_told_and_not_shown",
        "s3_bucket": "test_a_wrong_key_is_named_and_not_shown",
        "sqlite": "test_an_encrypted_database_is_told_with_what_to_do",
        "volume": "-- docker and podman ask for none: the job's user may, or may not",
    },
    "wrong database": {
        "command": OWN_PROGRAM,
        "files": "test_a_missing_path_is_absent",
        "mariadb": "test_a_database_that_is_not_there_is_absent",
        "mongodb": "test_a_database_that_is_not_there_is_absent",
        "postgresql": "test_bad_input_is_one_clear_error",
        "redis": "-- a whole server is protected: none is named",
        "s3_bucket": "test_a_bucket_that_is_not_there_is_absent",
        "sqlite": "test_a_missing_database_is_absent",
        "volume": "test_a_volume_that_is_gone_is_made_anew",
    },
    "dump killed in the middle": {
        "command": "test_a_dump_that_is_killed_in_the_middle_is_an_error",
        "files": "test_a_tar_that_is_killed_in_the_middle_fails_the_dump",
        "mariadb": "test_a_dump_that_is_killed_is_an_error",
        "mongodb": "test_a_dump_that_is_killed_is_no_backup",
        "postgresql": "test_a_dump_that_is_killed_is_an_error",
        "redis": "test_a_client_killed_in_the_middle_fails_the_dump",
        "s3_bucket": KILLED,  # no program dumps: the engine does, and dies with its run
        "sqlite": KILLED,
        "volume": "test_after_a_kill_recover_and_the_next_run_start_it",
    },
    "disk full in the middle": {
        "*": "test_a_disk_that_is_full_in_the_middle_ends_the_dump_and_leaves_nothing",
    },
    "work directory full": {"*": "test_a_work_directory_on_a_full_disk_is_one_clear_error"},
    "server killed in the middle": {
        "command": "test_a_dump_that_is_killed_in_the_middle_is_an_error",
        "files": NO_SERVER,
        "mariadb": "test_a_server_that_dies_in_the_middle_is_an_error",
        "mongodb": "test_a_server_that_is_killed_in_the_middle_is_no_backup",
        "postgresql": "test_a_server_that_is_killed_is_an_error_and_leaves_nothing",
        "redis": "test_a_server_killed_in_the_middle_fails_the_dump",
        "s3_bucket": "test_a_connection_that_keeps_breaking_fails_the_dump",
        "sqlite": NO_SERVER,
        "volume": NO_SERVER,
    },
    "client missing": {
        "command": "test_a_missing_program_is_named",
        "files": "test_a_missing_program_is_named",
        "mariadb": "test_bad_input_is_one_clear_error",
        "mongodb": "test_missing_tools_say_what_to_install",
        "postgresql": "test_bad_input_is_one_clear_error",
        "redis": "test_a_missing_client_is_named",
        "s3_bucket": "test_a_bucket_without_the_library_says_what_to_install",
        "sqlite": "-- SQLite is a part of Python",
        "volume": "test_a_volume_without_its_engine_names_what_is_missing",
    },
    "client too old or too new": {
        "command": OWN_PROGRAM,
        "files": "test_another_tar_is_refused",
        "mariadb": "test_clients_older_than_the_server_are_refused",
        "mongodb": "test_tools_that_are_too_old_are_refused",
        "postgresql": "test_client_programs_of_another_version_are_refused",
        "redis": "-- the client only carries bytes: the server writes them, and its version is compared",
        "s3_bucket": "-- the library is shipped with lifeboat, at one version",
        "sqlite": "test_a_virtual_table_whose_module_is_missing_is_counted_by_name",
        "volume": "test_a_volume_is_not_read_with_another_tar",
    },
    "archive of another kind": {
        "*": "test_an_archive_of_another_kind_is_told_and_touches_nothing",
    },
    "archive truncated": {"*": "test_an_archive_cut_anywhere_is_told_and_touches_nothing"},
    "target not empty": {"*": SWAPPED},
    "target in use": {
        "command": "test_a_program_that_outlived_a_killed_restore_is_waited_for",
        "files": "test_a_reader_never_finds_a_file_missing",
        "mariadb": "test_sessions_that_hold_a_table_are_ended",
        "mongodb": "test_what_an_application_makes_in_the_middle_is_put_aside_and_told",
        "postgresql": "test_swap_ends_sessions_that_come_back_at_once",
        "redis": "test_what_is_kept_has_the_last_word_of_writers",
        "s3_bucket": "test_what_differs_after_the_restore_is_an_error_and_taken_back",
        "sqlite": "test_a_database_that_an_application_has_open_is_not_replaced",
        "volume": "test_in_use_may_be_refused_or_ignored",
    },
    "restore killed in the middle": {
        "*": KILLED,
        "volume": "test_a_restore_that_is_killed_is_taken_back_and_it_runs_again",
    },
}
