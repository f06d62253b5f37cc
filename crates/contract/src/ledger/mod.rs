//! What every ledger must do, written once and run against each adapter.
//!
//! An adapter's test binary says how to make a world and gets one test for each case:
//!
//! ```ignore
//! async fn world() -> Option<MyWorld> { /* None: no server here, said on stderr */ }
//! ferry_contract::ledger_suite!(world);
//! ```
//!
//! Time is moved, never waited for: [`LedgerWorld::advance`] makes all stored
//! times older. Two handles play two processes; futures of one case run
//! interleaved, so that both are inside the store at the same time.

#![allow(clippy::unwrap_used)]

pub mod apart;
pub mod cancelling;
pub mod changed;
pub mod choosing;
pub mod controlling;
pub mod dead;
pub mod duplicates;
pub mod living;
pub mod operating;
pub mod planning;
pub mod relaying;
pub mod rescuing;
pub mod retrying;
pub mod scene;
pub mod sealing;
pub mod storm;
pub mod together;
pub mod told;
pub mod watching;
pub mod working;
pub mod write_back;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use ferry_domain::{ids::WorkerId, ports::Ledger, run::WriteBackTarget};

/// A store of its own for one case: no other run, job, worker or role is in it.
/// The ledger is not migrated yet.
#[async_trait]
pub trait LedgerWorld: Send + Sync {
    /// The ledger.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// The same store over other connections, as another process has it.
    fn other(&self) -> Arc<dyn Ledger>;

    /// Makes all stored times that the ledger compares older by this time, as if
    /// it had passed: `touched_at` of runs; `not_before`, `queued_at`,
    /// `expires_at`, `created_at` and `ended_at` of jobs; `seen_at` of workers;
    /// `expires_at` of leaders; times of dead letters.
    async fn advance(&self, time: Duration);

    /// The process that registered as this worker is killed, with all its connections.
    /// Nothing to do where a store belongs to one process: the next one that registers is
    /// the only one that lives.
    async fn process_dies(&self, _worker: WorkerId) {}

    /// Waits really, for a case that has to let others go first.
    async fn sleep(&self, time: Duration);

    /// Rows of one of the ledger's tables, named without schema or prefix.
    async fn count(&self, table: &str) -> i64;

    /// Lines of the audit, oldest first: `actor action run detail reason`. The detail is JSON
    /// with its keys in order.
    async fn audit(&self) -> Vec<String>;

    /// Makes the application's table `people (id integer primary key, email)`
    /// with ids 1 to `count`, without a column for Auth0's id.
    async fn create_people(&self, count: i64);

    /// That table, key column `id`, id column `auth0_user_id`.
    fn write_back_target(&self) -> WriteBackTarget {
        WriteBackTarget::new(None, "people", "id", "auth0_user_id")
    }

    /// The Auth0 id in a person's row.
    async fn auth0_user_id(&self, key: &str) -> Option<String>;

    /// The application writes an id into a person's row.
    async fn set_auth0_user_id(&self, key: &str, id: &str);

    /// The application writes another address into a person's row.
    async fn set_email(&self, key: &str, email: &str);

    /// The application removes a person.
    async fn remove_person(&self, key: &str);

    /// From now on a constraint or trigger (no uniqueness) refuses changes of this person's row.
    async fn make_unwritable(&self, key: &str);

    /// The same in the hardest way the database knows: with a code that nobody expects, undoing
    /// the transaction or at its end.
    async fn make_harsh(&self, key: &str);

    /// The key and the ids are no longer unique, and a second person has this key.
    async fn double_person(&self, key: &str);

    /// Number of people with an Auth0 id, blanks left out.
    async fn people_with_ids(&self) -> i64;
}

/// One test for each case, for an async function that makes a [`LedgerWorld`]
/// or answers `None` (the case is skipped). With `apart from the application:` in front, only the
/// cases of writing back, for a ledger in another database than the application's table.
/// Needs tokio among the dev-dependencies.
#[macro_export]
macro_rules! ledger_suite {
    ($world:ident) => {
        $crate::ledger_suite! { @and_write_back $world;
            planning:
                migrating_twice_at_once_is_harmless,
                a_plan_adds_up,
                settled_items_are_counted_and_never_sent,
                a_run_of_settled_items_only_is_sealed_by_the_sweep,
                a_second_run_of_a_source_is_refused_by_name,
                of_two_openings_at_once_one_is_refused,
                an_abandoned_planning_makes_room,
                a_plan_that_nobody_answered_makes_room,
                a_plan_can_be_abandoned_until_it_starts,
                moves_a_run_does_not_have_are_refused,
                a_settled_row_keeps_its_reason_and_takes_its_key;
            duplicates:
                the_first_of_equal_addresses_wins,
                rows_that_share_a_key_are_all_refused,
                a_row_settled_for_its_key_does_not_take_an_address,
                a_row_that_may_sign_in_goes_before_its_blocked_twins,
                an_address_stays_with_the_row_that_was_moved,
                a_conflict_names_the_other_user_until_it_is_settled;
            changed:
                users_are_compared_with_those_of_an_earlier_run,
                users_keep_the_accounts_that_earlier_runs_gave_them,
                a_moved_user_who_changed_is_a_conflict_with_the_fields,
                a_change_is_told_by_each_run_until_it_is_settled,
                a_retry_of_a_changed_user_knows_the_account,
                a_plan_is_told_who_changed_by_the_ledger_that_moved_them;
            relaying:
                jobs_are_taken_by_priority_and_age,
                the_rescued_are_taken_without_the_others,
                jobs_wait_for_their_time_and_their_run,
                two_relays_never_take_the_same_job,
                a_stale_delivery_gets_nothing,
                a_lost_send_is_sent_again_under_a_new_counter,
                a_role_has_one_holder,
                slots_of_live_workers_are_counted,
                unreadable_payloads_are_kept,
                the_rescued_wait_for_their_time_and_their_run,
                only_provisioning_is_taken_as_rescued,
                the_send_of_an_ended_job_is_not_taken_back,
                the_older_of_the_rescued_go_first,
                a_report_goes_before_the_users_of_another_run,
                only_what_is_on_its_way_counts_and_is_taken_back;
            working:
                a_heartbeat_renews_what_the_process_holds,
                a_lease_that_its_holder_does_not_know_of_runs_out,
                a_retiring_worker_hands_back_without_an_attempt,
                a_rescue_takes_expired_leases_only_and_counts,
                a_retry_counts_and_a_snooze_does_not,
                a_discarded_batch_still_ends,
                a_batch_is_not_done_while_items_are_pending,
                without_the_lease_nothing_is_stored,
                a_stale_owner_stores_nothing_after_the_new_one_has_read,
                a_stop_within_a_cancelled_run_waits;
            sealing:
                what_a_try_read_back_is_kept_for_the_next,
                a_verification_given_up_keeps_what_was_read,
                two_verifiers_at_the_end_seal_once,
                discrepancies_are_kept_and_paged,
                users_of_an_earlier_run_are_read_back_too,
                users_never_read_back_are_discrepancies,
                a_report_given_up_is_made_again,
                reports_are_kept_by_revision,
                the_course_of_a_run_is_told_in_steps,
                a_run_is_not_sealed_before_its_users_are_read_back,
                a_job_ends_only_what_its_kind_is_for,
                two_sweeps_at_once_make_one_report,
                a_redrive_makes_no_second_report,
                a_sweep_and_a_retry_at_once_do_not_both_win;
            retrying:
                failed_items_of_a_sealed_run_go_into_a_new_round,
                rejected_records_and_other_codes_are_left,
                with_nothing_to_retry_nothing_changes,
                a_running_run_is_retried_beside_its_open_batches,
                a_retry_waits_for_another_run_of_the_source,
                a_run_without_that_move_is_not_retried,
                a_retried_user_forgets_how_it_ended,
                a_user_without_a_record_is_never_retried,
                ended_runs_of_the_source_hinder_no_retry;
            choosing:
                users_are_chosen_by_all_that_a_filter_says,
                users_are_chosen_by_what_the_application_knows,
                chosen_users_come_in_pages,
                those_who_are_chosen_are_tried_again,
                batches_are_listed_with_their_jobs_and_holders,
                batches_of_each_run_are_counted_by_state;
            operating:
                failures_are_grouped_with_examples,
                items_are_paged_and_filtered,
                a_user_is_found_by_its_key_with_all_that_is_known,
                runs_are_listed_newest_first,
                failures_of_equal_number_are_in_order_of_their_codes,
                a_run_says_when_its_newest_batch_ended;
            rescuing:
                the_dead_are_rescued_at_once,
                what_ran_out_is_rescued_when_asked_for,
                jobs_of_each_kind_are_rescued,
                two_rescuers_at_once_rescue_each_job_once,
                an_old_identity_is_handed_back_without_a_rescue,
                a_dead_holder_of_a_role_is_followed_at_once,
                results_clear_the_deaths_before_them,
                a_halved_batch_is_two_that_add_up,
                a_batch_is_halved_while_its_send_is_under_way,
                what_can_not_be_halved_stays_as_it_is,
                a_halving_and_a_claim_at_once_lose_no_user,
                a_deadly_batch_is_given_up_with_a_letter,
                a_deadly_verification_and_report_are_given_up,
                a_delivery_that_is_not_claimed_says_why,
                a_half_is_as_old_and_as_often_tried_as_the_whole;
            living:
                a_rescue_from_a_living_process_is_undone,
                only_the_registered_take_back_in_time,
                a_role_is_followed_at_once_where_a_death_is_seen,
                a_registration_is_a_sign_of_life,
                a_lease_says_how_long_its_job_waited,
                the_ledger_tells_its_time_and_when_a_run_was_paused,
                nobody_renews_what_another_holds;
            cancelling:
                a_run_that_was_not_started_is_cancelled_at_once,
                a_cancel_settles_what_nobody_held_and_leaves_the_rest_to_workers,
                a_cancelled_run_with_nothing_to_ask_is_sealed_by_the_sweep,
                a_cancelled_run_with_nothing_left_ends_without_a_worker,
                a_cancelled_run_with_work_left_is_ended_by_workers_only,
                users_tried_before_are_never_cancelled_unasked,
                a_run_left_in_planning_is_cancelled_with_all_its_users,
                what_was_given_up_before_a_cancel_is_still_read_back,
                redriven_users_are_never_cancelled_unasked,
                a_cancel_and_a_stop_at_once_both_hold;
            controlling:
                orders_are_read_back_newest_first,
                a_run_is_paused_and_resumed_and_asking_twice_changes_nothing,
                a_move_that_a_run_does_not_have_is_refused_naming_its_state,
                a_stopped_run_says_why_and_can_be_resumed,
                limits_count_from_the_start_and_from_each_resume,
                all_sending_is_stopped_and_released,
                a_refused_move_says_what_to_do_instead,
                a_holder_learns_that_its_run_is_stopped_also_while_all_are,
                conflicts_before_a_resume_do_not_count_after_it;
            watching:
                controls_are_there_without_any_run,
                the_newest_active_runs_rate_counts,
                workers_are_listed_with_what_they_hold,
                queues_are_counted_with_the_age_of_what_is_due,
                sent_jobs_are_as_old_as_they_wait,
                the_oldest_of_a_queue_tells_its_age,
                a_registration_replaces_what_was_told_before,
                a_job_that_came_back_waits_from_then_on;
            dead:
                a_job_given_up_leaves_a_letter_that_says_all,
                letters_are_found_by_what_they_are,
                a_redrive_sends_the_users_of_given_up_jobs_again,
                a_sealed_run_is_redriven_unless_its_source_is_busy,
                a_letter_whose_users_were_retried_moves_nothing,
                a_redriven_verification_starts_afresh,
                a_redriven_report_is_made_at_once_and_once,
                payloads_and_letters_of_cancelled_runs_are_left,
                discarded_letters_stay_on_record_until_they_are_pruned,
                each_run_of_a_redrive_or_discard_has_its_line_in_the_audit,
                a_letter_with_nothing_left_is_answered_while_its_source_is_busy,
                a_redriven_user_forgets_why_it_failed,
                a_redriven_verification_forgets_its_own_discrepancies_only,
                a_redriven_verification_leaves_the_users_that_failed;
            apart:
                a_cancel_leaves_other_runs_alone,
                an_abandoned_plan_takes_no_other_with_it,
                the_same_place_of_another_kind_is_another_source,
                each_run_has_its_own_limits_and_reports,
                equal_keys_and_addresses_of_two_runs_are_no_duplicates,
                a_resume_forgets_the_failures_of_its_own_run_only;
            storm:
                crashing_workers_settle_every_item_once;
        }
    };
    (apart from the application: $world:ident) => {
        $crate::ledger_suite! { @and_write_back $world; }
    };
    (@and_write_back $world:ident; $($others:tt)*) => {
        $crate::ledger_suite! { @cases $world;
            write_back:
                results_and_ids_are_stored_together,
                the_last_item_ends_the_batch_once,
                two_batches_end_at_once,
                a_result_told_twice_counts_once,
                a_row_the_application_changed_is_a_conflict,
                a_vanished_row_is_a_conflict,
                a_row_with_another_address_than_planned_gets_no_id,
                one_taken_id_costs_one_row,
                one_refused_row_costs_one_row,
                the_hardest_refusal_costs_one_row,
                a_key_that_two_rows_share_is_written_to_neither,
                each_row_says_what_became_of_its_id,
                a_blank_is_written_over_like_no_id,
                the_application_is_prepared_once,
                a_table_without_the_columns_is_refused,
                a_result_told_twice_leaves_the_applications_row_alone,
                a_result_for_a_user_of_another_batch_is_not_taken;
            $($others)*
        }
    };
    (@cases $world:ident; $($part:ident: $($case:ident),+;)+) => {
        $(mod $part {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(world) = super::$world().await {
                    let told = $crate::ledger::told::Told::of(world);
                    $crate::ledger::$part::$case(told.clone()).await;
                    told.check(stringify!($part), stringify!($case));
                }
            })+
        })+
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("mod.rs");
        let parts = [
            include_str!("apart.rs"),
            include_str!("cancelling.rs"),
            include_str!("choosing.rs"),
            include_str!("controlling.rs"),
            include_str!("watching.rs"),
            include_str!("dead.rs"),
            include_str!("living.rs"),
            include_str!("operating.rs"),
            include_str!("planning.rs"),
            include_str!("relaying.rs"),
            include_str!("rescuing.rs"),
            include_str!("retrying.rs"),
            include_str!("sealing.rs"),
            include_str!("storm.rs"),
            include_str!("working.rs"),
            include_str!("write_back.rs"),
        ];
        for line in parts.iter().flat_map(|part| part.lines()) {
            if let Some((name, _)) = line.strip_prefix("pub async fn ").and_then(|rest| rest.split_once('('))
            {
                let listed =
                    [",", ";"].iter().any(|end| list.contains(&format!("                {name}{end}")));
                assert!(listed, "{name} is not run");
            }
        }
    }
}
