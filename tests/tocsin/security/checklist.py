"""The forty items of the security checklist, and the tests that hold each: one place to see what is held, and where.

Where our interfaces say it otherwise than the checklist they hold, and the item says how.
"""

from __future__ import annotations

from typing import Final

import attrs

SECURITY: Final = "tests/tocsin/security/"
ACCESS: Final = "tests/tocsin/access/"


@attrs.frozen
class Item:
    """One rule. `tests`: file::name, each of which must be there."""

    rule: str
    tests: tuple[str, ...]


def item(rule: str, *tests: str) -> Item:
    """An item; a test that begins with `::` is in the file of the one before."""
    found: list[str] = []
    for one in tests:
        found.append(found[-1].partition("::")[0] + one if one.startswith("::") else one)
    return Item(rule, tuple(found))


CHECKLIST: Final[dict[int, Item]] = {
    1: item(
        "A fresh start listens on 127.0.0.1; beyond it only with TLS, or with leave.",
        f"{SECURITY}test_checklist.py::test_a_fresh_start_listens_on_this_machine_only_and_keeps_its_files_to_itself",
        f"{ACCESS}test_exposure.py::test_nobody_listens_beyond_this_machine_in_the_clear_unless_told",
        "::test_a_node_that_would_do_so_does_not_start",
    ),
    2: item(
        "No route but life, version and the pages' own files answers without a token.",
        f"{ACCESS}test_exposure.py::test_no_route_answers_nobody",
        "::test_only_whether_the_node_lives_is_told_to_everybody",
    ),
    3: item(
        "No default token or key: each first start makes its own, in a file that only its owner reads.",
        f"{ACCESS}test_exposure.py::test_every_start_makes_a_secret_of_its_own_that_only_its_owner_reads",
    ),
    4: item(
        "Examples and tests are not in what is installed.",
        f"{SECURITY}test_checklist.py::test_examples_and_tests_are_no_part_of_what_is_installed",
    ),
    5: item(
        "The console's own requests pass the same door as all others, and no address is let in without a token.",
        f"{ACCESS}test_exposure.py::test_no_route_answers_nobody",
        f"{SECURITY}test_hosts.py::test_a_rebound_name_reaches_no_operation",
        "::test_nor_a_page",
    ),
    6: item(
        "Secrets are in no log, error, figure, dump or delivery.",
        f"{SECURITY}test_canaries.py::test_no_secret_comes_out_of_a_node",
        "::test_no_secret_of_a_cluster_comes_out_of_what_cannot_connect",
        f"{ACCESS}test_exposure.py::test_secrets_are_in_no_log_error_or_figure",
    ),
    7: item(
        "Tokens have 256 bits, are shown once, kept as hashes and compared in constant time.",
        f"{ACCESS}test_tokens.py::test_a_token_is_shown_once_and_kept_as_a_hash",
        "::test_a_secret_fits_what_was_kept_of_it",
        f"{SECURITY}test_checklist.py::test_secrets_are_compared_in_constant_time",
    ),
    8: item(
        "There are no passwords; wrong tokens and sessions slow their address down, and nobody else.",
        f"{ACCESS}test_tokens.py::test_an_address_that_guesses_has_to_wait",
        f"{ACCESS}test_sessions.py::test_guesses_of_sessions_are_slowed_down",
    ),
    9: item(
        "Tokens have scope, end and last use; a revocation holds on every node within two seconds, and ends what is open.",
        f"{ACCESS}test_tokens.py::test_who_shows_a_token_is_who_it_was_made_for",
        "::test_an_expired_token_lets_nobody_in",
        f"{SECURITY}test_revocation.py::test_a_revocation_holds_on_every_node_within_the_bound",
        "tests/cluster/test_access.py::test_a_revoked_token_ends_everywhere_what_it_has_begun",
    ),
    10: item(
        "Session cookies: HttpOnly, SameSite=Strict, Secure under TLS, new at each log-in, of limited life. No key signs them.",
        f"{ACCESS}test_sessions.py::test_the_cookie_is_for_the_own_pages_and_not_for_scripts",
        "::test_who_logs_in_gets_a_session_of_his_own_whatever_cookie_he_brings",
        "::test_who_logs_out_everywhere_ends_all_sessions_of_his_token_and_no_others",
        f"{ACCESS}test_exposure.py::test_under_tls_cookies_are_secure_and_nothing_is_plain",
        f"{ACCESS}test_session_ends.py::test_a_session_that_nobody_uses_ends",
        "::test_a_session_ends_with_its_life_however_much_it_is_used",
    ),
    11: item(
        "Every operation that changes something refuses what another site has a browser send.",
        f"{ACCESS}test_sessions.py::test_another_site_changes_nothing",
        "::test_no_other_site_logs_anybody_in",
        "::test_an_origin_is_the_own_one_to_the_letter",
        "::test_another_method_is_no_way_around_the_proof",
    ),
    12: item(
        "No token in an address, and no address told to other sites.",
        f"{ACCESS}test_tokens.py::test_the_token_is_taken_from_the_header_only",
        f"{ACCESS}test_exposure.py::test_every_answer_tells_browsers_to_be_careful",
    ),
    13: item(
        "What belongs to another tenant is not there, on every route.",
        f"{ACCESS}test_matrix.py::test_what_belongs_to_others_is_not_there",
        "::test_lists_and_totals_hold_nothing_of_others",
        "::test_no_way_of_naming_leads_to_what_belongs_to_others",
    ),
    14: item(
        "Each role gets each operation it may have, and no other.",
        f"{ACCESS}test_matrix.py::test_a_role_gets_what_it_may_have_and_nothing_else",
        "::test_every_operation_has_an_example",
    ),
    15: item(
        "What the node sets is taken from no body.",
        f"{ACCESS}test_matrix.py::test_what_the_node_sets_is_not_taken_from_a_body",
    ),
    16: item(
        "Each operation names its permission, those of calendars, pauses, runs, cancellations and purges too.",
        f"{ACCESS}test_permissions.py::test_a_role_may_do_what_the_table_says",
        f"{ACCESS}test_matrix.py::test_a_role_gets_what_it_may_have_and_nothing_else",
    ),
    17: item(
        "Code is registered where a node is started; the interface picks names. Commands: by administrators of all, from a list.",
        f"{ACCESS}test_commands.py::test_only_an_administrator_of_all_says_what_a_command_runs",
        "tests/tocsin/test_allowed.py::test_beyond_it_nothing_is_unless_it_is_listed",
        "::test_what_is_not_listed_is_refused_at_save_and_at_run",
    ),
    18: item(
        "A command gets a chosen environment and nothing of the node's own. It runs as the node's user, which the guide says.",
        "tests/tocsin/test_handlers.py::test_a_command_has_a_chosen_environment",
    ),
    19: item(
        "Bodies, depths, keys and numbers are bounded; NaN and double keys refused.",
        "tests/tocsin/test_api.py::test_deep_and_huge_values_are_refused",
        "::test_a_body_without_a_length_has_the_same_limit",
        "::test_a_wrong_body_is_refused_and_makes_nothing",
    ),
    20: item(
        "Reading and evaluating a cron expression takes a bounded number of steps, in the oddest zone too.",
        "tests/actors/test_cron.py::test_every_evaluation_is_short",
        "::test_what_never_fires_is_refused",
        "::test_what_fires_too_late_is_refused_with_the_year",
    ),
    21: item(
        "No repetition within a repetition in a pattern; zones by name from the pinned database, never by path.",
        f"{SECURITY}test_checklist.py::test_no_pattern_repeats_within_a_repetition",
        "tests/actors/test_zones.py::test_what_is_like_no_zone_is_refused_shortly",
        "::test_the_systems_database_is_not_asked",
    ),
    22: item(
        "No data becomes code.",
        f"{SECURITY}test_checklist.py::test_no_data_becomes_code",
        "tests/runtime/test_codec.py::test_only_registered_attrs_classes_travel",
    ),
    23: item(
        "Nothing is unpacked: no compressed answers are asked for.",
        f"{SECURITY}test_outbound.py::test_a_task_asks_for_nothing_compressed_and_unpacks_nothing",
    ),
    24: item(
        "Values reach SQL bound; sorts and filters come from enumerations.",
        f"{SECURITY}test_checklist.py::test_what_looks_like_sql_is_text",
    ),
    25: item(
        "Control characters end no line of a log, a header or a terminal. Names are any text, and shown escaped.",
        "tests/tocsin/test_cli.py::test_control_characters_do_not_reach_the_terminal",
        "tests/tocsin/live/test_logs.py::test_json_is_one_line_whatever_is_logged",
        "tests/tocsin/live/test_metrics.py::test_odd_values_are_escaped",
    ),
    26: item(
        "Pages run no script that stands in them and load nothing from elsewhere.",
        "tests/tocsin/test_openapi_pages.py::test_the_page_loads_from_its_node_alone",
        "::test_the_script_makes_no_markup_of_texts",
        "tests/console/test_every_page.py::test_page_shows_hostile_texts_as_texts_and_complains_of_nothing",
    ),
    27: item(
        "What a node asks for reaches no private address in any form; redirects off; names resolved once.",
        f"{SECURITY}test_outbound.py::test_this_machine_is_not_reached_however_it_is_written",
        "::test_no_address_of_a_kind_that_is_not_public_is_connected_to",
        "::test_a_name_with_another_second_answer_is_asked_once",
        "::test_no_redirect_leads_to_what_is_not_allowed",
    ),
    28: item(
        "Webhooks carry nothing of the node's own, and are signed with a secret that no definition holds.",
        f"{SECURITY}test_webhook_signing.py::test_the_published_vector_is_made_and_verified",
        "::test_a_request_is_signed_with_every_secret_that_holds",
        "::test_a_rotation_needs_no_restart",
        "::test_a_tenant_has_secrets_of_its_own",
    ),
    29: item(
        "A receiver's answer is bounded in bytes and time.",
        "tests/tocsin/test_webhook.py::test_an_endless_answer_is_cut_off",
        "::test_a_receiver_that_does_not_answer",
    ),
    30: item(
        "Nodes make sure of each other, both ways; what was said before, elsewhere or by the other end proves nothing.",
        "tests/runtime/test_fabric_core.py::test_a_proof_is_of_one_key_one_role_and_one_conversation",
        "tests/runtime/test_fabric_faults.py::test_who_does_not_belong_is_refused_with_one_line_a_minute",
        "tests/runtime/test_fabric_hostile.py::test_a_stranger_with_tls_and_no_certificate_is_refused",
    ),
    31: item(
        "The key of a cluster is changed while it runs; a wrong key is told once a minute.",
        "tests/runtime/test_fabric_faults.py::test_nodes_one_step_of_a_rotation_apart_are_linked",
        "::test_a_rotation_costs_the_other_nodes_no_link",
        "tests/cluster/test_access.py::test_the_key_of_a_cluster_is_changed_while_it_runs",
    ),
    32: item(
        "Frames have codes and numbers where TLS does not guard them; an altered bit ends the link.",
        "tests/runtime/test_fabric_core.py::test_an_altered_frame_does_not_open",
        "::test_a_frame_opens_once_in_its_place_and_not_at_its_sender",
        "tests/runtime/test_fabric_faults.py::test_spoilt_bytes_end_the_link_and_nothing_false_is_heard",
    ),
    33: item(
        "What a peer says is a hint; what it asks on behalf of somebody is checked again.",
        "tests/actors/test_cluster.py::test_what_is_no_word_for_a_keeper_is_left_aside",
        f"{ACCESS}test_forwarding.py::test_a_node_that_is_asked_checks_again",
        "::test_what_is_malformed_is_nobody",
    ),
    34: item(
        "WebSockets: the origin is judged and the caller known before they are accepted; nodes refuse browsers.",
        f"{ACCESS}test_exposure.py::test_a_websocket_is_for_the_own_pages",
        "tests/tocsin/channels/test_websocket.py::test_who_may_not_is_told_before_it_is_accepted",
        f"{SECURITY}test_hosts.py::test_a_websocket_of_a_rebound_name_is_refused_before_it_is_accepted",
        "tests/runtime/test_fabric_hostile.py::test_browsers_are_refused",
    ),
    35: item(
        "Frames, headers, handshakes and connections are bounded, slow ones too.",
        "tests/runtime/test_fabric_faults.py::test_a_frame_over_the_limit_ends_the_link_with_one_line",
        "tests/runtime/test_fabric_hostile.py::test_half_handshakes_do_not_keep_others_out",
        "::test_a_flood_of_connections_leaves_links_alone",
        "tests/tocsin/channels/test_websocket.py::test_there_are_limits",
        f"{SECURITY}test_hosts.py::test_headers_without_end_are_refused",
        "::test_a_request_that_never_ends_holds_its_connection_for_a_while_only",
    ),
    36: item(
        "ZooKeeper with credentials or TLS is closed to others; the doctor finds open roots and roles with more than they need.",
        "tests/runtime/test_zookeeper.py::test_with_credentials_nobody_else_sees_or_changes_anything",
        "::test_tls_with_a_wrong_certificate_never_connects",
        f"{SECURITY}test_doctor_security.py::test_a_root_that_anybody_may_change_is_found",
        "tests/tocsin/doctor/test_doctor.py::test_real_servers_are_looked_at",
        "::test_settings_of_postgresql_that_lose_work_are_found",
    ),
    37: item(
        "The audit log is chained and verified; nobody changes it over the interface; a former version's still verifies.",
        f"{SECURITY}test_audit_log.py::test_every_changed_byte_is_found",
        f"{ACCESS}test_audits.py::test_nobody_changes_the_log_over_the_interface",
        "tests/actors/test_postgres_migration.py::test_what_was_chained_before_still_verifies_and_goes_on",
    ),
    38: item(
        "Requests are limited by token, tenant and address, with Retry-After.",
        f"{ACCESS}test_exposure.py::test_a_program_that_runs_wild_is_slowed_down_and_others_are_not",
        f"{ACCESS}test_sessions.py::test_sessions_are_not_begun_without_end",
        f"{SECURITY}test_tenants.py::test_a_tenant_with_many_tokens_is_slowed_down_and_others_are_not",
    ),
    39: item(
        "A lock with hashes is what is tested; a bill of materials; no network at import. What asks the network is in the guide.",
        f"{SECURITY}test_supply_chain.py::test_the_lock_is_what_is_installed_and_tested_here",
        "::test_every_package_of_the_lock_has_its_hashes",
        "::test_the_bill_of_materials_is_of_the_lock",
        "::test_an_import_asks_no_network",
    ),
    40: item(
        "Files are the owner's alone; what was purged is overwritten where `store.secure_delete` is set.",
        f"{SECURITY}test_checklist.py::test_a_fresh_start_listens_on_this_machine_only_and_keeps_its_files_to_itself",
        f"{SECURITY}test_erasure.py::test_a_purged_text_is_in_no_file",
        f"{SECURITY}test_doctor_security.py::test_files_of_the_node_that_others_may_use_are_found",
    ),
}
"""Number in the checklist -> what holds it."""
