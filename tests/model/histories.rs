//! The histories themselves: that they can be played again and made small, and that they meet every rule.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{failure, history, shown, shrink};
use super::telling::{GUIDE, META_2023_06, META_2024_11, META_2025_07, META_2026_10};
use super::*;

#[test]
fn days_are_numbered_as_the_calendar_goes() {
    assert_eq!((day(1970, 1, 1), day(2000, 2, 29), day(2026, 10, 1)), (0, 11_016, 20_727));
    for number in [0, 11_016, 11_017, 19_509, 20_028, 20_270, 20_727] {
        let (year, month, of_month) = date(number);
        assert_eq!(day(year, month, of_month), number);
    }
    assert_eq!(date(20_727), (2026, 10, 1));
}

#[test]
fn a_history_is_its_seeds() {
    for seed in 0..100 {
        let ((config, facts), (again, same)) = (history(seed), history(seed));
        assert_eq!(shown(&config, &facts), shown(&again, &same));
        assert!((5..=60).contains(&facts.len()), "seed {seed} tells {}", facts.len());
    }
}

/// Whatever was told is told again at the end.
#[test]
fn repetition_changes_nothing() {
    for seed in 0..500 {
        let (config, facts) = history(seed);
        let repeated = [&facts[..], &facts].concat();
        assert_eq!(account(&config, &facts), account(&config, &repeated), "seed {seed}\n{}", shown(&config, &facts));
    }
}

/// Random histories come to every estimate that a set can give, and to no other; and to every charge that the platform
/// can report.
#[test]
fn the_histories_meet_every_rule() {
    let mut estimates = BTreeMap::from(Rules::ALL.map(|rules| (rules.word(), BTreeSet::new())));
    let mut reports = BTreeSet::new();
    for seed in 0..3000 {
        let (config, facts) = history(seed);
        for it in account(&config, &facts).iter().filter(|it| it.due.is_some()) {
            let met = it.estimate.map(|estimate| format!("{} {}", word(it.effect), word(estimate.reason)));
            estimates.entry(config.rules.word()).or_default().extend(met);
            reports.extend(it.reported.map(|reported| word(reported.reason)));
        }
    }
    let entry = ["joins free_entry_point", "opens free_entry_point"];
    let by_category = ["joins joins_conversation", "opens opens_conversation"];
    let service = ["joins service_free", "opens service_free"];
    let per_message = ["none in_window", "none per_message", "none service_free"];
    let tier = ["none free_tier", "none per_message"];
    for (rules, expected) in [
        (GUIDE, [&entry[..1], &by_category, &service].concat()),
        (META_2023_06, [&entry[..], &by_category].concat()),
        (META_2024_11, [&entry[..], &by_category, &service].concat()),
        (META_2025_07, [&entry[..], &per_message].concat()),
        (META_2026_10, [&entry[..], &tier].concat()),
        (Rules::ByDay, [&entry[..], &by_category, &service, &per_message, &tier].concat()),
    ] {
        let expected: BTreeSet<String> = expected.into_iter().map(String::from).collect();
        assert_eq!(estimates[rules.word()], expected, "{}", rules.word());
    }
    let all = "free_entry_point free_tier in_window joins_conversation opens_conversation per_message service_free";
    assert_eq!(reports.into_iter().collect::<Vec<_>>().join(" "), all);
}

#[test]
fn a_failing_history_is_made_small() {
    let (config, facts) = history(1);
    let fails = |facts: &[Fact]| facts.iter().filter(|fact| matches!(fact, Fact::Send { .. })).count() >= 2;
    assert_eq!(shrink(&facts, fails).len(), 2);
    let report = failure(1, |_, facts| fails(facts));
    assert!(report.starts_with("seed 1\nrules ") && report.lines().count() == 4, "{report}");
    assert!(shown(&config, &facts).lines().count() == facts.len() + 1);
}
