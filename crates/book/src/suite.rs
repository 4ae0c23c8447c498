//! The tests that every store must pass: rules and protocol, played against a [`Subject`].
//!
//! A store's crate calls [`crate::suite!`] once; each scenario becomes a test of its own. Scenarios
//! named after a rule id are that rule's golden test.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "test code"
)]

pub mod answers;
pub mod bounds;
pub mod compare;
pub mod corrections;
pub mod days;
pub mod dearer;
pub mod events;
pub mod facts;
pub mod fraction;
pub mod gusts;
pub mod keys;
pub mod leases_out;
pub mod notices;
pub mod oracle;
pub mod overage;
pub mod pages;
pub mod play;
pub mod pools;
pub mod rules;
pub mod storm;
pub mod units;
pub mod wants;
pub mod windows;
pub mod world;

pub use world::{Command, Reply, Subject, World, catalog, execute};

/// How many cases a property test plays: what `PROPTEST_CASES` says, else so many.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// Makes a test of every scenario; the argument makes a [`Subject`] from a catalog.
#[macro_export]
macro_rules! suite {
    ($make:expr) => {
        $crate::suite!(@tests $make; rules:
            m1_m2_the_cycle_grants_and_what_is_unused_expires,
            m2_cycles_are_anchored_without_drift,
            m2_after_a_long_rest_the_running_cycle_is_granted,
            m3_included_credits_first_then_top_ups_oldest_first,
            m4_a_straddling_request_pays_each_pool_at_its_rate,
            m4_the_rate_is_pinned_by_the_term_of_admission,
            m5_a_top_up_ends_twelve_months_after_its_purchase,
            m6_m7_keys_above_a_lowered_cap_stay,
            m10_an_upgrade_voids_the_old_credits_and_begins_a_cycle,
            m10_a_plan_may_be_left_and_taken_again_at_once,
            m14_top_ups_alone_work,
            rounding_is_half_up_once_per_charge,
            debt_is_repaid_by_the_next_grant,
            debt_is_repaid_by_the_next_cycle,
            a_late_settlement_draws_the_lot_of_its_term,
            a_closed_lot_waits_no_longer_than_its_bound,
            a_reference_grants_once,
            a_catalog_change_opens_the_next_term,
            a_plan_that_left_the_catalog_goes_on,
            a_closed_account_stays_closed,
        );
        $crate::suite!(@tests $make; keys:
            a_disabled_key_opens_nothing_until_it_is_enabled,
            a_key_ends_when_it_is_said_to,
            a_key_is_replaced_with_an_overlap,
            rotations_are_no_way_around_the_number_of_keys,
        );
        $crate::suite!(@tests $make; corrections:
            an_adjustment_adds_credits_once,
            an_adjustment_takes_credits_back,
            a_reversal_gives_each_slice_back_to_its_lot,
            a_reversal_of_debt_is_owed_no_longer,
            a_reversal_of_an_ended_lot_makes_another,
            a_reversal_of_a_forgotten_lot_keeps_its_end,
            only_charges_are_reversed,
            a_voided_lot_is_gone,
            a_voided_lot_serves_what_is_under_way,
            an_extended_lot_outlives_its_cycle,
        );
        $crate::suite!(@tests $make; notices:
            w8_low_credits_are_told_once_and_so_is_their_end,
            a_renewal_is_no_end_of_credits,
            plans_standings_and_keys_are_told,
        );
        $crate::suite!(@tests $make; events:
            replays_change_nothing,
            a_batch_that_overlaps_is_applied_from_where_it_is_new,
            a_hole_is_pointed_out_and_nothing_is_applied,
            a_gap_is_journalled_and_the_rest_goes_on,
            other_content_under_a_known_number_is_a_conflict,
            a_bad_event_never_blocks_a_good_one,
            far_numbers_are_refused,
            a_request_is_charged_once,
            a_lost_request_may_be_charged_its_hold,
            a_lost_request_may_be_free,
            estimates_stay_within_the_hold,
            reported_usage_may_exceed_the_hold,
            an_unknown_price_is_never_free,
            beyond_the_bound_is_disputed,
            a_price_mismatch_posts_the_ledgers_figure,
            a_release_charges_nothing_and_ends_its_hold,
            lanes_are_independent,
            lanes_that_restored_books_have_forgotten_are_taken,
            takes_named_by_their_tag_bound_a_charge_too,
            settlements_commute,
        );
        $crate::suite!(@tests $make; answers:
            snapshots_go_to_those_who_lack_them,
            without_clips_what_is_short_is_refused,
            a_clip_ends_with_its_node,
            what_a_late_call_holds_is_held_no_more,
            a_rate_passes_from_one_node_to_two,
            after_a_restart_nobody_refills_too_early,
            nodes_with_nothing_left_do_not_share,
            what_a_lease_is_granted_in_all_has_an_end,
            takes_are_of_the_lanes_node_or_its_heirs,
            a_key_is_one_of_a_kind_by_id_and_by_digest,
            the_feed_tells_what_changed_and_no_more,
        );
        $crate::suite!(@tests $make; bounds:
            a_thousand_lots_are_drawn_in_order_and_end_together,
            no_account_is_granted_more_than_the_bound,
            the_last_micro_credit_of_the_bound_can_be_granted,
            debt_stops_at_its_bound_and_is_repaid,
            what_nodes_say_never_overflows,
            factors_of_a_dozen_digits_are_right_to_a_micro_credit,
            what_is_believed_has_these_bounds,
            lanes_reach_this_far_ahead,
            calls_at_the_bounds_are_answered,
            names_of_grants_and_keys_have_bounds,
            late_settlements_find_the_nearest_term,
            a_rest_is_caught_up_with_to_a_bound,
            requests_began_by_the_ledgers_clock,
            incidents_keep_the_beginning_of_what_was_refused,
            recalls_keep_their_distance,
        );
        $crate::suite!(@tests $make; wants:
            a_want_is_served_and_leased_ahead,
            grants_are_cumulative_and_repeats_are_harmless,
            near_zero_grants_are_exact,
            m9_the_last_credits_go_to_one_request,
            m9_a_clip_that_was_never_admitted_does_not_stay_open,
            m9_an_empty_account_is_denied_until_credits_come,
            credits_that_are_held_are_in_flight,
            idle_leases_elsewhere_are_recalled,
            what_a_lost_answer_granted_is_told_again,
            askers_are_not_told_to_wait_for_ever,
            reports_under_way_make_the_asker_wait,
            a_closed_record_gives_its_rest_back,
            an_overtaken_want_does_not_revive_a_record,
            a_silent_node_is_closed_and_its_leases_come_home,
            down_time_of_the_ledger_closes_no_node,
            a_closed_node_settles_for_ever,
            returns_never_exceed_what_was_granted,
            bad_amounts_are_granted_nothing,
            what_nodes_say_is_kept_for_leases_alone,
            what_was_used_above_the_lease_is_leased_anew,
            a_closed_record_is_not_revived_however_late_a_want_comes,
            a_hold_named_by_its_tag_ends_as_any_other,
            a_suspended_account_is_granted_nothing,
            keys_are_looked_up_and_revoked_by_the_feed,
            a_reader_that_is_too_late_begins_anew,
            calls_beyond_the_bounds_are_refused,
        );
        $crate::suite!(@tests $make; pools:
            p1_main_then_backup_then_the_wallet,
            p2_p3_the_bonus_comes_with_every_cycle,
            p3_the_bonus_may_come_with_renewals_alone,
            p4_p5_a_daily_cap_skips_main_and_backup_pays,
            p4_p6_weeks_count_from_the_start_of_the_cycle,
            p4_the_free_plan_counts_requests_by_the_day,
            p5_a_cap_may_bound_both_pools_and_refuse,
            p8_at_the_end_of_the_budget_only_the_wallet_pays,
            p8_the_last_of_the_budget_goes_to_one_request,
            p9_the_wallet_pays_for_those_alone_who_opted_in,
            p10_any_money_in_the_wallet_lifts_rates,
            p10_models_of_no_tier_are_paid_from_the_wallet_alone,
            p11_a_renewal_refills_and_carries_nothing_over,
        );
        $crate::suite!(@tests $make; overage:
            c5_bonus_ends_with_the_commitment,
            c6_bonus_goes_before_what_was_bought,
            c8_overage_is_not_interrupted_and_becomes_a_receivable,
            c8_overage_stops_at_the_accounts_cap,
            c9_legacy_rates_until_a_date,
            c11_a_programme_has_its_models_for_nothing_until_its_end,
            m13_a_yearly_plan_grants_by_the_month,
        );
        $crate::suite!(@tests $make; windows:
            l2_l9_l13_requests_are_capped_until_the_renewal_day,
            l8_thresholds_are_told_once_for_each_value_and_window,
            l11_requests_of_the_products_own_pages_are_left_out,
            a_limit_counts_what_was_delivered,
            a_limit_may_count_what_was_admitted,
            w1_credits_that_come_once_never_come_again,
            w2_weekly_credits_end_with_their_week,
            w3_what_is_delivered_is_charged_by_its_variant,
            w5_trainings_are_no_credits,
            w5_what_a_year_grants_is_stated_and_not_derived,
            w7_a_limited_model_has_a_count_of_its_own,
        );
        $crate::suite!(@tests $make; dearer:
            what_old_requests_may_take_at_their_price_is_leased_to_nobody,
            with_the_last_old_request_the_old_price_is_forgotten,
            a_term_as_dear_as_any_before_ends_the_difference,
        );
        $crate::suite!(@tests $make; leases_out:
            m3_included_credits_go_first_whichever_node_settles_first,
            m4_a_switch_of_plan_changes_no_admitted_request,
            m3_a_lot_that_ends_pays_what_was_admitted_before,
            m4_a_catalog_change_is_for_requests_admitted_after_it,
            m9_a_lifted_denial_reaches_both_nodes,
            p5_a_day_that_ends_keeps_what_was_admitted_in_it,
            p5_leases_are_never_above_what_the_caps_leave,
            p8_a_budget_that_ends_takes_nothing_from_admitted_requests,
            p10_the_last_of_the_wallet_withdraws_the_bypass_from_both_nodes,
        );
    };
    (@tests $make:expr; $module:ident: $($name:ident,)*) => {
        mod $module {
            $(#[test]
            fn $name() {
                $crate::suite::$module::$name($make);
            })*
        }
    };
}
