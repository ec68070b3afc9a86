"""Which tests take long: the one place.

``make test`` leaves them out, ``make test-slow`` runs them, ``make test-all`` runs all.

To measure again: FASTIP_TEST_TIMES=FILE .venv/bin/pytest -n 2 tests, which appends the processor time of each test to
FILE.
"""

from __future__ import annotations

import os

# Random cases: few with the quick tests, many where FASTIP_LONG is set, which is what `make test-long` does with these.
FUZZERS = (
    "checkpoint/test_fuzzed.py",
    "fidelities/test_minimum.py",
    "inverses/test_wide_certificates.py",
    "io/test_mutated_files.py",
    "io/test_mutated_profiles.py",
    "solvers/test_converged.py",
    "test_random_calls.py",
)
LONG = bool(os.environ.get("FASTIP_LONG"))


def count(short: int, long: int) -> int:
    """How many cases a fuzzer tries now."""
    return long if LONG else short


LIMIT = 30.0  # seconds of processor time, even on a slow machine: a test that takes more and is not named here fails

# paths below tests/: code for GPUs emulated, interpreted, compiled; sessions rehearsed
GPU_TOOLS = (
    *("cuda/", "gpu/", "kernels/test_triton_"),
    "kernels/test_admm.py::test_no_iteration_is_refused[triton",
    "kernels/test_capture.py::test_new_places_of_triton",
    "kernels/test_capture.py::test_no_kernel_of_a_whole_solve_looks_in_a_capture[triton",
    "kernels/test_soft_threshold.py::test_what_is_added_must_fit[triton",
    "kernels/test_split_step.py::test_refused[triton",
)

WEB = ("web/test_page.py",)  # in a browser

DEEPINV = ("interop/test_deepinv.py", "interop/test_physics_of_deepinv.py")  # with deepinv

SLOW = {  # seconds of processor time on two cores with AVX-512, the longest case of each
    "checkpoint/test_shipped.py::test_the_projectors_that_come_with_fastip": 3,
    "cli/test_cli_train.py::test_it_writes_what_it_says": 7,
    "cli/test_cli_train_prior.py::test_a_projector_is_trained_by_its_recipe": 74,
    "experiments/test_adversarial.py::test_the_losses_lower_the_distance": 4,
    "experiments/test_amortised.py::test_both_learn_from_the_same_start": 30,
    "experiments/test_amortised.py::test_one_convolution_more": 30,
    "experiments/test_amortised.py::test_the_page_tells_who_is_better": 30,
    "experiments/test_blur_estimate.py::test_the_blurs_are_found_and_nothing_else_is": 4,
    "experiments/test_denoiser_shapes.py::test_every_shape_is_trained_scored_and_timed": 7,
    "experiments/test_inner_loop.py::test_every_data_step_ends_at_half_the_square_of_y": 4,
    "experiments/test_noise_level.py::test_the_noise_is_found_and_the_plain_median_is_higher": 3,
    "experiments/test_npgd_error.py::test_what_determines_the_image_brings_it_back": 4,
    "experiments/test_photo_prior.py::test_every_setting_is_solved_with_every_schedule": 4,
    "experiments/test_repaired.py::test_a_learned_inverse_is_trained_where_none_is_shipped": 6,
    "experiments/test_repaired.py::test_every_timed_run_reaches_the_gap": 15,
    "experiments/test_repaired.py::test_the_learned_and_the_closed_step_need_no_more_iterations_than_the_exact_one": 15,
    "experiments/test_repaired.py::test_the_optimum_is_certified_and_not_zero": 15,
    "experiments/test_repaired.py::test_the_printed_threshold_minimises_another_objective": 15,
    "experiments/test_repaired.py::test_tuning_takes_the_fastest_setting": 15,
    "experiments/test_tasks.py::test_every_learned_task_is_measured": 7,
    "experiments/test_updates.py::test_the_corrected_update_beats_the_uncorrected_ones": 15,
    "experiments/test_updates.py::test_the_corrected_update_follows_the_exact_one": 15,
    "experiments/test_updates.py::test_the_page_shows_every_table": 15,
    "experiments/test_updates.py::test_the_references_are_certified": 15,
    "fidelities/test_optimum.py::test_the_minimum_of_cvxpy": 4,
    "fidelities/test_terms.py::test_both_end_where_the_second_split_does": 5,
    "fidelities/test_terms.py::test_the_gradient_of_the_fixed_point": 7,
    "inverses/test_learned.py::test_admm_reaches_the_exact_optimum": 11,
    "inverses/test_learned.py::test_auto_considers_what_was_offered": 5,
    "inverses/test_learned.py::test_operators_that_are_no_convolution": 3,
    "inverses/test_learned.py::test_the_bound_step_applies_the_network": 2,
    "inverses/test_learned.py::test_the_shipped_inverses_reach_the_optimum": 2,
    "inverses/test_split.py::test_converged_is_close_to_the_minimum_of_cvxpy": 5,
    "io/test_alpha.py::test_a_network_leaves_no_fringe": 4,
    "io/test_limits.py::test_bombs_cost_neither_time_nor_memory": 2,
    "kernels/test_library_ops.py::test_opcheck": 6,
    "operators/test_psf.py::test_the_largest_take_memory_in_proportion": 5,
    "operators/test_psf_estimate.py::test_a_long_motion_that_lies_between_the_lengths_that_are_tried_first": 3,
    "packaging/test_cost.py::test_answers_that_need_nothing_take_half_a_second": 3,
    "packaging/test_cost.py::test_little_is_loaded_beyond_torch": 4,
    "priors/test_penalty.py::test_the_default_is_traced": 2,
    "priors/test_tgv.py::test_the_gradient_of_a_fixed_point": 10,
    "priors/test_plug_and_play.py::test_the_bound_is_kept": 6,
    "solvers/test_compiled.py::test_equals_eager": 3,
    "solvers/test_compiled.py::test_one_graph_for_all_batches_and_one_for_each_size": 2,
    "solvers/test_converged.py::test_a_large_beta_is_not_taken_for_the_end": 5,
    "tasks/test_memory.py::test_the_bound_is_kept": 5,
    "test_forks.py::test_a_child_solves_what_its_parent_does": 3,
    "test_readme.py::test_commands_of_a_page": 8,
    "test_readme.py::test_commands_of_readme": 11,
    "test_readme.py::test_python_of_a_page": 20,
    "test_readme.py::test_python_of_readme": 12,
    "train/test_gan.py::test_a_generator_learns": 5,
    "train/test_inverse.py::test_a_psf_wider_than_the_grids_that_measure_it": 5,
    "train/test_inverse.py::test_two_processes_average_their_gradients": 12,
    "train/test_one_net.py::test_a_projector_learns_and_serves_admm": 6,
    "train/test_perceptual.py::test_a_killed_training_goes_on_to_the_same_bits": 7,
    "train/test_perceptual.py::test_two_processes_train_both_networks": 13,
    "train/test_prior.py::test_a_killed_training_goes_on_to_the_same_bits": 7,
    "train/test_prior.py::test_two_processes_see_different_pictures": 11,
    "train/test_projector.py::test_a_corrector_comes_nearer": 8,
    "train/test_projector.py::test_a_projector_learns": 3,
    "train/test_projector.py::test_the_generator_counts_whole": 5,
    "train/test_resume.py::test_a_killed_training_goes_on_to_the_same_bits": 10,
    "web/test_served.py::test_bombs_cost_a_worker_neither_time_nor_memory": 4,
    "web/test_served.py::test_the_bytes_are_those_of_the_command": 4,
    "web/test_served.py::test_the_search_is_drawn_where_the_blur_is_clear_and_where_it_is_not": 3,
}
