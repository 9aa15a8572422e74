"""
The table of the fault catalogue, rows A, B, E, G, I and J: which tests show what becomes of a fault.

A test is ``file::name``; a file in ``aiotun/testing`` is of the conformance suite, which is run over every kind of
endpoint. A row that no test can show has the reason instead, in words.
"""

from __future__ import annotations

__all__ = ["LETTERS", "ROWS"]

LETTERS = {"A": 18, "B": 23, "E": 17, "G": 12, "I": 9, "J": 9}
"""How many rows each letter has."""

TRUTH = "tests/kernel/test_truth_table.py"
A = "tests/faults/test_a_device.py"
B = "tests/faults/test_b_lifecycle.py"
FORKS = "tests/faults/test_e_forks.py"
E = "tests/faults/test_e_races.py"
G = "tests/faults/test_g_transport.py"
I = "tests/faults/test_i_privilege.py"  # noqa: E741
J = "tests/faults/test_j_exhaustion.py"
LIFECYCLE = "tests/kernel/test_lifecycle.py"
OPENING = "tests/kernel/test_opening.py"
QUEUES = "tests/kernel/test_queues.py"
EVENTS = "tests/kernel/test_events.py"
PERSISTENT = "tests/kernel/test_persistent.py"
LADDER = "tests/kernel/test_ladder.py"
PORT = "tests/linux/test_port.py"
KINDS = "tests/endpoint/test_kinds.py"
SENDING = "tests/endpoint/test_sending.py"
RECEIVING = "tests/endpoint/test_receiving.py"
ENDPOINT = "tests/endpoint/test_endpoint.py"
UDP_SOCKET = "tests/channel/test_udp_socket.py"
UDP_PEER = "tests/channel/test_udp_peer.py"
UDP_OPTIONS = "tests/channel/test_udp_options.py"
SUITE = "aiotun/testing"

ROWS: dict[str, list[str] | str] = {
    # --- the device: read and write ---------------------------------------------------------------
    "A1": [
        f"{TRUTH}::test_reading_while_down_is_eagain",
        f"{PORT}::test_an_empty_device_gives_an_empty_batch",
        f"{RECEIVING}::test_nowait_would_block",
        f"{SUITE}/receiving.py::recv_waits_for_a_packet",
    ],
    "A2": [
        f"{A}::test_A2_of_two_readers_one_has_the_packet_and_the_other_goes_on",
        f"{RECEIVING}::test_an_early_wake_up_waits_again",
    ],
    "A3": [
        f"{A}::test_A3_a_signal_storm_loses_no_packet",
        f"{LIFECYCLE}::test_interrupts_are_invisible",
    ],
    "A4": [
        f"{TRUTH}::test_a_short_read_loses_the_rest",
        f"{A}::test_A4_the_largest_packet_arrives_whole",
        f"{PORT}::test_reads_offer_room_for_the_largest_packet",
    ],
    "A5": [
        f"{TRUTH}::test_a_read_without_room_takes_nothing",
        f"{A}::test_A5_an_empty_read_is_no_end",
    ],
    "A6": [
        f"{TRUTH}::test_writing_while_down_is_eio",
        f"{LIFECYCLE}::test_writing_to_a_flapping_device_recovers",
        f"{PORT}::test_eio_means_down_and_says_what_was_sent",
        f"{SUITE}/lifecycle.py::sending_while_down_is_refused",
        f"{SUITE}/sending.py::a_forwarder_survives_down",
    ],
    "A7": [
        f"{TRUTH}::test_a_deleted_device_polls_an_error_and_answers_ebadfd",
        f"{SENDING}::test_gone_leaves_the_loop",
        f"{RECEIVING}::test_gone_at_writing_wakes_the_receiver",
        f"{SUITE}/lifecycle.py::deletion_is_seen_without_waiting",
    ],
    "A8": [
        f"{TRUTH}::test_another_version_is_einval",
        f"{TRUTH}::test_an_empty_write_is_einval",
        f"{A}::test_A8_garbage_is_refused_with_its_reason",
        f"{PORT}::test_einval_means_a_foreign_family",
        f"{KINDS}::test_tun_refuses",
        f"{SUITE}/sending.py::a_foreign_family_is_refused",
    ],
    "A9": [
        f"{TRUTH}::test_a_write_proves_little",
        f"{A}::test_A9_a_packet_over_the_mtu_is_refused_before_the_system_call",
        f"{SUITE}/sending.py::a_packet_over_the_mtu_is_refused",
        f"{SUITE}/sending.py::a_packet_shorter_than_its_header_is_refused",
    ],
    "A10": [
        f"{TRUTH}::test_more_buffers_than_iov_max_are_einval",
        f"{A}::test_A10_a_batch_of_any_length_is_sent",
    ],
    "A11": [
        f"{A}::test_A11_no_room_is_waited_for_and_each_packet_written_once",
        f"{PORT}::test_a_full_device_ends_a_write_early",
        f"{SENDING}::test_a_device_without_room_is_waited_for",
        f"{SENDING}::test_a_partly_accepted_batch_waits_for_room",
    ],
    "A12": [
        f"{A}::test_A12_no_memory_to_send_is_counted_and_not_fatal",
        f"{PORT}::test_no_memory_is_not_fatal",
        f"{RECEIVING}::test_no_memory_is_counted",
        f"{RECEIVING}::test_no_memory_backs_off",
    ],
    "A13": [
        f"{A}::test_A13_an_unknown_errno_surfaces_once_and_does_not_spin",
        f"{PORT}::test_an_unknown_errno_surfaces",
        f"{RECEIVING}::test_the_stream_goes_on_after_an_error",
    ],
    "A14": [
        f"{TRUTH}::test_a_deleted_device_polls_an_error_and_answers_ebadfd",
        f"{A}::test_A14_a_hangup_without_a_packet_wakes_the_reader_to_look",
        f"{LIFECYCLE}::test_deletion_under_a_waiting_iteration_is_loud_and_then_silent",
    ],
    "A15": [
        f"{TRUTH}::test_packet_information_is_not_checked",
        f"{A}::test_A15_a_device_with_packet_information_is_not_adopted",
        f"{QUEUES}::test_packet_information_is_noticed_at_adoption",
    ],
    "A16": [
        f"{TRUTH}::test_a_frame_has_a_header",
        f"{A}::test_A16_a_frame_without_a_header_is_refused",
        f"{KINDS}::test_tap_refuses",
    ],
    "A17": [f"{PORT}::test_a_partial_write_is_an_error"],
    "A18": [
        f"{A}::test_A18_an_error_at_any_read_loses_no_packet",
        f"{A}::test_A18_an_error_at_any_write_says_what_was_sent",
    ],
    # --- the interface: what others do to it ------------------------------------------------------
    "B1": [
        f"{TRUTH}::test_down_wakes_nobody",
        f"{TRUTH}::test_down_polls_nothing_and_up_writable_again",
        f"{B}::test_B1_down_is_no_wake_up_and_an_event",
        f"{LIFECYCLE}::test_down_is_not_the_end",
        f"{SUITE}/lifecycle.py::recv_waits_while_down",
    ],
    "B2": [
        f"{TRUTH}::test_what_is_queued_stays_readable_while_down",
        f"{LIFECYCLE}::test_a_thousand_flaps_lose_nothing_queued",
        f"{EVENTS}::test_overruns_while_the_world_goes_on",
        f"{SUITE}/lifecycle.py::down_keeps_what_is_queued",
    ],
    "B3": [
        f"{TRUTH}::test_a_deletion_wakes_who_waits",
        f"{LIFECYCLE}::test_deletion_under_a_waiting_iteration_is_loud_and_then_silent",
        f"{SUITE}/lifecycle.py::deletion_ends_a_waiting_recv",
        f"{SUITE}/lifecycle.py::a_deleted_device_leaves_the_loop",
    ],
    "B4": [
        f"{TRUTH}::test_a_deletion_wakes_who_waits",
        f"{LIFECYCLE}::test_a_device_deleted_before_the_first_wait_is_gone",
    ],
    "B5": [
        f"{TRUTH}::test_a_queue_of_a_deleted_device_is_einval",
        f"{QUEUES}::test_delete_detach_close",
    ],
    "B6": [
        f"{QUEUES}::test_delete_detach_close",
        f"{QUEUES}::test_detach_delete",
        f"{QUEUES}::test_detach_close_delete",
        f"{QUEUES}::test_reattach_delete",
        f"{QUEUES}::test_reattach_close_delete",
    ],
    "B7": [
        f"{TRUTH}::test_a_detached_queue_is_silent_and_still_writable",
        f"{QUEUES}::test_a_detached_queue_refuses_to_send",
        f"{QUEUES}::test_what_is_forwarded_into_a_detached_queue_is_counted",
    ],
    "B8": [
        f"{TRUTH}::test_with_every_queue_detached_the_device_stays",
        f"{QUEUES}::test_all_detached",
    ],
    "B9": [f"{QUEUES}::test_a_queue_closed_leaves_the_others"],
    "B10": [
        f"{TRUTH}::test_a_rename_shows_by_the_descriptor_alone",
        f"{LIFECYCLE}::test_a_rename_shows_and_packets_flow",
        f"{LIFECYCLE}::test_a_rename_is_an_event",
    ],
    "B11": [
        f"{TRUTH}::test_a_moved_device_works_by_its_descriptor",
        f"{LIFECYCLE}::test_a_move_keeps_packets_flowing",
        f"{LIFECYCLE}::test_a_move_is_an_event_and_events_go_on_there",
        f"{EVENTS}::test_a_move_takes_the_addresses_and_up",
    ],
    "B12": [
        f"{TRUTH}::test_a_deleted_namespace_takes_the_device_along",
        f"{LIFECYCLE}::test_a_deleted_namespace_takes_its_device_along",
    ],
    "B13": [
        f"{TRUTH}::test_a_larger_packet_than_the_mtu_enters",
        f"{A}::test_A4_the_largest_packet_arrives_whole",
        f"{B}::test_B13_a_lowered_mtu_that_is_watched_is_what_send_checks",
        f"{B}::test_B13_a_lowered_mtu_that_nobody_watches_is_no_matter",
        f"{SUITE}/sending.py::a_raised_mtu_counts_at_once",
    ],
    "B14": [
        f"{TRUTH}::test_a_device_without_carrier_takes_packets",
        f"{EVENTS}::test_the_carrier_is_told_apart_from_up",
        f"{LIFECYCLE}::test_a_detached_queue_is_not_an_error",
    ],
    "B15": [
        f"{TRUTH}::test_a_second_opening_of_a_name",
        f"{TRUTH}::test_a_name_of_another_interface_is_einval",
        f"{OPENING}::test_a_busy_device_names_its_holder",
        f"{OPENING}::test_a_tun_is_not_opened_as_a_tap",
        f"{OPENING}::test_another_interface_is_not_opened",
        f"{QUEUES}::test_the_other_sort_of_queue_is_told",
    ],
    "B16": [
        f"{B}::test_B16_a_name_is_judged_as_the_kernel_judges_it",
        "tests/endpoint/test_names.py::test_a_bad_name",
        f"{OPENING}::test_a_name_that_cannot_be_is_refused",
    ],
    "B17": [f"{TRUTH}::test_an_attached_descriptor_is_not_attached_again"],
    "B18": [
        f"{TRUTH}::test_a_stale_descriptor_can_be_attached_again",
        f"{B}::test_B18_a_deleted_device_stays_gone_under_a_new_one_of_its_name",
    ],
    "B19": [
        f"{TRUTH}::test_offloads_go_together",
        "tests/linux/test_probing.py::test_a_refused_offload_is_told",
        "tests/linux/test_capabilities.py::test_an_offload_that_was_refused",
    ],
    "B20": [
        f"{TRUTH}::test_the_size_of_a_vnet_header",
        "tests/linux/test_device.py::test_the_size_of_a_vnet_header_cannot_be_set",
    ],
    "B21": [
        f"{OPENING}::test_a_forgotten_process_leaves_nothing",
        f"{PERSISTENT}::test_it_stays_when_the_process_is_killed",
    ],
    "B22": [f"{B}::test_B22_what_others_set_is_tolerated"],
    "B23": [f"{B}::test_B23_a_clock_that_jumps_is_no_matter"],
    # --- cancels, closing, loops, threads, forks --------------------------------------------------
    "E1": [
        f"{SUITE}/cancelling.py::a_cancelled_recv_takes_nothing",
        f"{SUITE}/cancelling.py::a_cancelled_recv_many_takes_nothing",
        f"{SUITE}/cancelling.py::a_cancel_after_the_wakeup_takes_nothing",
        "tests/testing/test_conformance.py::test_ten_thousand_cancels_of_receiving_lose_nothing",
    ],
    "E2": [
        f"{SUITE}/cancelling.py::a_cancelled_send_sent_once_or_not_at_all",
        f"{SENDING}::test_a_cancelled_send_writes_no_more",
        "tests/testing/test_conformance.py::test_ten_thousand_cancels_of_send_lose_nothing",
    ],
    "E3": [
        f"{SUITE}/iterating.py::an_iterator_survives_a_cancel",
        "tests/endpoint/test_iteration.py::test_an_iterator_outlives_a_cancel",
    ],
    "E4": [
        f"{E}::test_E4_an_iterator_that_is_left_leaves_nothing",
        f"{SUITE}/iterating.py::a_break_loses_nothing",
    ],
    "E5": [
        f"{SUITE}/receiving.py::a_second_receiver_is_refused",
        f"{SUITE}/iterating.py::a_second_iteration_is_refused",
        f"{SENDING}::test_one_writer",
    ],
    "E6": [
        f"{E}::test_E6_closing_in_a_callback_releases_everybody_at_once",
        f"{ENDPOINT}::test_closing_ends_waiting",
        f"{SUITE}/closing.py::close_is_idempotent",
        f"{SUITE}/closing.py::close_works_after_deletion",
    ],
    "E7": [
        f"{SUITE}/closing.py::a_cancelled_close_frees_the_device",
        f"{ENDPOINT}::test_a_cancelled_close_frees",
    ],
    "E8": [f"{E}::test_E8_a_close_leaves_the_loop_before_it_closes_the_descriptor"],
    "E9": [f"{LIFECYCLE}::test_a_reused_descriptor_number_is_watched_afresh"],
    "E10": [
        f"{E}::test_E10_an_endpoint_forgotten_after_its_loop_frees_its_device",
        f"{E}::test_E10_a_loop_closed_under_a_waiting_task_leaves_a_closable_device",
        f"{E}::test_E10_a_loop_closed_during_an_opening_leaves_no_device",
        f"{ENDPOINT}::test_a_forgotten_endpoint_warns",
    ],
    "E11": [
        f"{E}::test_E11_an_endpoint_goes_on_in_the_next_loop",
        f"{E}::test_E11_events_go_on_in_the_next_loop",
        f"{E}::test_E11_when_down_raise_goes_on_in_the_next_loop",
        f"{E}::test_E11_opened_in_one_loop_used_in_the_loop_of_a_thread",
        f"{E}::test_E11_the_loop_of_another_thread_is_refused",
        f"{E}::test_E11_forgotten_in_one_thread_it_is_freed_by_the_loop_of_another",
        f"{E}::test_E11_a_deletion_met_in_one_thread_ends_the_receiver_in_another",
        f"{E}::test_E11_nowait_forms_need_no_loop",
        f"{QUEUES}::test_a_loop_each_in_threads",
    ],
    "E12": [
        f"{FORKS}::test_E12_a_child_does_not_deafen_its_parent",
        f"{FORKS}::test_E12_a_child_of_multiprocessing_does_not_deafen_its_parent",
        f"{FORKS}::test_E12_a_child_says_whose_it_is",
        f"{FORKS}::test_E12_a_child_has_none_of_its_descriptors",
        f"{FORKS}::test_E12_a_child_does_not_keep_the_device",
        f"{FORKS}::test_E12_a_fork_while_a_device_opens_does_not_keep_it",
        f"{FORKS}::test_E12_a_descriptor_passed_to_a_program_arrives",
        f"{FORKS}::test_E12_a_child_opens_its_own",
        f"{FORKS}::test_E12_a_child_does_not_end_its_parents_private_host",
        f"{FORKS}::test_E12_a_child_does_not_set_its_parents_level",
    ],
    "E13": [
        f"{E}::test_E13_a_callback_that_raises_is_called_once",
        "tests/driver/test_fault.py::test_a_filters_callback_that_raises",
        "tests/driver/test_fault.py::test_the_log_has_the_fault_itself",
    ],
    "E14": [
        f"{E}::test_E14_an_interrupt_in_a_consumer_frees_the_device",
        f"{E}::test_E14_a_control_c_frees_the_device",
        f"{E}::test_E14_an_interrupt_in_a_stage_propagates",
    ],
    "E15": [
        f"{E}::test_E15_a_wait_for_that_races_the_arrival_loses_nothing",
        f"{E}::test_E15_a_cancel_of_a_wait_for_loses_nothing",
        f"{SUITE}/receiving.py::a_timeout_loses_nothing",
    ],
    "E16": [f"{E}::test_E16_a_failing_sibling_leaves_the_endpoint_usable"],
    "E17": [
        f"{E}::test_E17_a_million_queued_packets_let_others_run",
        f"{E}::test_E17_a_sender_of_a_million_packets_lets_others_run",
        f"{SUITE}/receiving.py::a_flood_lets_others_run",
        f"{SUITE}/sending.py::refusals_let_others_run",
    ],
    # --- the transport of a VPN ------------------------------------------------------------------
    "G1": [
        f"{G}::test_G1_a_closed_port_is_reported_and_ends_nothing",
        f"{UDP_SOCKET}::test_refused_is_tried_again",
        f"{UDP_SOCKET}::test_refused_twice_is_dropped",
    ],
    "G2": [f"{G}::test_G2_a_server_hears_whom_it_is_about"],
    "G3": [
        f"{G}::test_G3_a_datagram_too_long_for_the_path_is_an_event",
        f"{G}::test_G3_a_train_too_long_for_the_path_goes_in_pieces",
        f"{G}::test_G3_without_discovery_it_is_cut_up",
    ],
    "G4": [
        f"{G}::test_G4_without_a_route_datagrams_are_counted",
        f"{G}::test_G4_a_router_that_has_no_route_is_heard",
    ],
    "G5": [
        f"{G}::test_G5_what_an_administrator_forbids_is_counted",
        f"{G}::test_G5_a_broadcast_is_counted",
        f"{UDP_SOCKET}::test_a_datagram_that_cannot_go_is_dropped",
    ],
    "G6": [f"{G}::test_G6_what_cannot_be_is_the_callers_to_know"],
    "G7": [f"{G}::test_G7_an_empty_datagram_is_no_end"],
    "G8": "a channel carries datagrams as they come, late, twice or damaged; what a VPN makes of them is above it.",
    "G9": [
        f"{G}::test_G9_a_source_that_is_removed_is_forgotten",
        f"{G}::test_G9_an_interface_that_goes_down_costs_datagrams",
        f"{G}::test_G9_a_peer_that_roams_is_followed",
    ],
    "G10": [
        f"{G}::test_G10_a_forged_source_moves_nobody",
        f"{UDP_PEER}::test_roaming_is_the_applications_word",
        f"{UDP_PEER}::test_a_source_is_learned_once",
    ],
    "G11": [
        f"{G}::test_G11_what_the_buffer_has_no_room_for_is_counted",
        f"{G}::test_G11_trains_are_counted_at_least",
    ],
    "G12": [
        f"{UDP_OPTIONS}::test_a_mark_without_the_right",
        f"{UDP_OPTIONS}::test_buffers_without_the_right",
    ],
    # --- rights -----------------------------------------------------------------------------------
    "I1": [f"{OPENING}::test_a_missing_driver_names_the_remedy"],
    "I2": [f"{OPENING}::test_without_the_capability_the_remedy_is_named"],
    "I3": [
        f"{TRUTH}::test_anybody_attaches_to_a_persistent_device_that_nobody_owns",
        f"{PERSISTENT}::test_a_device_of_nobodys_is_told",
        f"{PERSISTENT}::test_a_device_of_nobodys_gets_an_owner",
        f"{QUEUES}::test_a_stranger_does_not_get_a_queue",
    ],
    "I4": [
        f"{OPENING}::test_an_owner_without_rights_opens_what_is_as_it_should_be",
        f"{LADDER}::test_attaching_to_a_persistent_device",
    ],
    "I5": [
        "tests/kernel/test_private.py::test_promise",
        "tests/kernel/test_private.py::test_packets_between_two_private_networks",
    ],
    "I6": [f"{I}::test_I6_nothing_goes_through_a_shell"],
    "I7": [
        f"{I}::test_I7_no_packet_needs_a_privilege",
        f"{LADDER}::test_privileges_dropped_after_opening",
    ],
    "I8": [
        f"{I}::test_I8_a_program_sees_none_of_our_descriptors",
        f"{OPENING}::test_no_descriptor_survives_exec",
        f"{OPENING}::test_the_descriptor_is_private_and_never_blocks",
    ],
    # No file of aiotun's holds a secret. The broker's says who may do what; packets are others' secrets.
    "I9": [
        f"{I}::test_I9_a_repr_of_a_device_has_no_packet_in_it",
        "tests/host/test_broker_policy_file.py::test_a_file_that_others_may_write",
    ],
    # --- exhaustion -------------------------------------------------------------------------------
    "J1": [
        f"{J}::test_J1_running_out_of_descriptors_anywhere_leaves_nothing",
        f"{J}::test_J1_a_system_without_files_left_leaves_nothing",
        f"{QUEUES}::test_running_out_of_descriptors_in_the_middle_leaves_nothing",
        f"{LIFECYCLE}::test_a_watch_that_failed_can_be_tried_again",
    ],
    "J2": [
        f"{J}::test_J1_a_system_without_files_left_leaves_nothing",
        f"{OPENING}::test_running_out_of_descriptors_leaves_nothing",
    ],
    "J3": [
        f"{J}::test_J3_a_consumer_without_memory_loses_its_packet_only",
        f"{J}::test_J3_a_stage_without_memory_drops_its_packets",
        f"{PORT}::test_no_memory_in_the_middle_keeps_what_was_read",
    ],
    "J4": [
        f"{TRUTH}::test_the_257th_queue_is_e2big",
        f"{QUEUES}::test_256_queues_are_the_most",
    ],
    "J5": [
        f"{J}::test_J5_opening_and_closing_costs_no_memory",
        "tests/testing/test_conformance.py::test_ten_thousand_openings_in_process_leave_nothing",
        "tests/testing/test_conformance.py::test_a_thousand_openings_on_the_kernel_leave_nothing",
    ],
    "J6": [
        f"{J}::test_J6_a_look_up_costs_the_same_among_thousands",
        "tests/host/test_routes.py::test_against_a_plain_search",
    ],
    "J7": [
        f"{J}::test_J7_as_many_flows_as_packets_cost_no_more_each",
        "tests/offload/test_regressions.py::test_X15_batches_share_nothing",
    ],
    "J8": [
        "tests/host/test_neighbors.py::test_the_table_is_bounded",
        "tests/host/test_neighbors.py::test_waiting_is_bounded",
        "tests/host/test_bridge.py::test_the_table_is_bounded",
        "tests/host/test_pings.py::test_too_many",
        "tests/endpoint/test_events.py::test_old_events_make_room",
    ],
    "J9": [
        f"{J}::test_J9_without_netlink_packets_flow",
        f"{J}::test_J9_without_netlink_there_are_no_events_and_no_counters",
        f"{J}::test_J9_without_netlink_down_is_asked_for",
        f"{J}::test_J9_without_netlink_a_deletion_ends_the_reader",
        f"{J}::test_J9_opening_without_netlink_says_so",
    ],
}
