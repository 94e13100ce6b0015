//! The rule sets as data: one for the guide that this project implements, one for each price model of the platform.

use crate::rules::event::{Act, Source};
use crate::time::{Day, Span, Timestamp, Zone};

/// A published set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// "WhatsApp: Customer Service Window Check": the default. The free entry point lets free-form messages through.
    Guide,
    /// Conversation-based pricing from 2023-06-01 (Meta, Conversation-based pricing).
    Meta202306,
    /// The same from 2024-11-01: service conversations are free.
    Meta202411,
    /// Per-message pricing from 2025-07-01 (Meta, Pricing on the WhatsApp Business Platform).
    Meta202507,
    /// The same from 2026-10-01: service messages are charged beyond the monthly free tier.
    Meta202610,
}

words!(Set {
    Guide = "guide",
    Meta202306 = "meta-2023-06",
    Meta202411 = "meta-2024-11",
    Meta202507 = "meta-2025-07",
    Meta202610 = "meta-2026-10",
});

/// What opens the free entry point conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryOpens {
    /// The customer's click itself.
    Click,
    /// The business's first reply, if it comes within this span of the click.
    Reply {
        /// How long after the click a reply still opens it.
        within: Span,
    },
}

/// The free entry point: a click on an ad or a call-to-action that leads to WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryPoint {
    /// What opens it.
    pub opens: EntryOpens,
    /// How long it lasts when the platform reports no expiry of its own.
    pub lasts: Span,
    /// The longest that a reported expiry may make it.
    pub at_most: Span,
    /// Whether free-form messages may be sent while it is open, window or not.
    pub permits: bool,
    /// Whether a referral with `source_type` `ad` counts.
    pub ad: bool,
    /// Whether a referral with `source_type` `post` counts.
    pub post: bool,
}

impl EntryPoint {
    /// Whether a referral from this source is an entry point.
    pub fn counts(&self, source: Source) -> bool {
        match source {
            Source::Ad => self.ad,
            Source::Post => self.post,
            Source::Stated => true,
            Source::Other => false,
        }
    }
}

/// When a conversation begins to run, and when a charge falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At the send.
    Send,
    /// Provisionally at acceptance, finally at the first `delivered` or `read`; nothing is charged before.
    Delivery,
}

/// What free-form messages cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Nothing.
    Free,
    /// As much as any other conversation or message.
    Charged,
    /// Nothing for this many deliveries per number and calendar month of the account, then per message.
    FreeTier(u32),
}

/// Which inbound things open or refresh the window. Content that a customer sends, calls, and accepted calls always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opens {
    /// A reaction, given or taken back.
    pub reaction: bool,
    /// A message of a type that the platform does not support (131051).
    pub unsupported: bool,
    /// A message that the platform says is unavailable (131060): often the first one after an ad, on coexistence numbers.
    pub unsupported_131060: bool,
    /// An edit of an earlier message.
    pub edit: bool,
    /// An earlier message taken back.
    pub revoke: bool,
    /// A call permission that the customer gave or refused.
    pub call_permission_reply: bool,
    /// A call permission that was given or refused automatically.
    pub call_permission_automatic: bool,
    /// The chat was opened for the first time (withdrawn by the platform in March 2026).
    pub request_welcome: bool,
    /// A message of a type that this library does not know.
    pub unknown: bool,
}

impl Opens {
    /// The switches as they are where nothing is configured: what is undocumented opens nothing, but for 131060 and `request_welcome`.
    pub const DEFAULT: Opens = Opens {
        reaction: false,
        unsupported: false,
        unsupported_131060: true,
        edit: false,
        revoke: false,
        call_permission_reply: false,
        call_permission_automatic: false,
        request_welcome: true,
        unknown: false,
    };

    /// Whether an inbound act of this kind opens or refreshes the window.
    pub fn allows(&self, act: Act) -> bool {
        match act {
            Act::Content | Act::Call | Act::CallAccepted => true,
            Act::Reaction => self.reaction,
            Act::Unsupported => self.unsupported,
            Act::Unavailable => self.unsupported_131060,
            Act::Edit => self.edit,
            Act::Revoke => self.revoke,
            Act::CallPermission => self.call_permission_reply,
            Act::CallPermissionAutomatic => self.call_permission_automatic,
            Act::RequestWelcome => self.request_welcome,
            Act::Unknown => self.unknown,
        }
    }
}

/// One set of rules, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSet {
    /// The published set that it is, or that it began as before numbers were overridden.
    pub set: Set,
    /// How long the customer service window stays open after the customer's last act.
    pub window: Span,
    /// The free entry point.
    pub entry: EntryPoint,
    /// How long a conversation lasts; `None` where messages, not conversations, are counted.
    pub conversation: Option<Span>,
    /// When conversations begin and charges fall due.
    pub anchor: Anchor,
    /// What free-form messages cost.
    pub service: Service,
    /// Whether a utility template inside the window is free.
    pub utility_in_window_free: bool,
    /// What opens the window.
    pub opens: Opens,
}

const DAY: Span = Span::hours(24);
const THREE_DAYS: Span = Span::hours(72);
const SEVEN_DAYS: Span = Span::hours(168);

impl RuleSet {
    /// A published set as it was published.
    pub const fn of(set: Set) -> RuleSet {
        let guide = RuleSet {
            set,
            window: DAY,
            entry: EntryPoint {
                opens: EntryOpens::Click,
                lasts: THREE_DAYS,
                at_most: SEVEN_DAYS,
                permits: true,
                ad: true,
                post: true,
            },
            conversation: Some(DAY),
            anchor: Anchor::Send,
            service: Service::Free,
            utility_in_window_free: false,
            opens: Opens::DEFAULT,
        };
        let entry = EntryPoint { opens: EntryOpens::Reply { within: DAY }, permits: false, post: false, ..guide.entry };
        let platform = RuleSet { entry, anchor: Anchor::Delivery, ..guide };
        match set {
            Set::Guide => guide,
            Set::Meta202306 => RuleSet { service: Service::Charged, ..platform },
            Set::Meta202411 => platform,
            Set::Meta202507 => RuleSet { conversation: None, utility_in_window_free: true, ..platform },
            Set::Meta202610 => RuleSet { conversation: None, service: Service::FreeTier(1000), ..platform },
        }
    }
}

/// The rules of an account: one set for all time, or one for each day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Each set with the first day on which it holds, in order; the first holds before its day, too.
    sets: Vec<(Day, RuleSet)>,
    zone: Zone,
}

impl Rules {
    /// One set for all time.
    pub fn fixed(rules: RuleSet, zone: Zone) -> Self {
        Rules { sets: vec![(Day::new(2023, 6, 1), rules)], zone }
    }

    /// The platform's sets, each from its day at midnight in the account's time zone (`rules = "meta"`).
    pub fn meta(zone: Zone) -> Self {
        let dated = [
            (Day::new(2023, 6, 1), Set::Meta202306),
            (Day::new(2024, 11, 1), Set::Meta202411),
            (Day::new(2025, 7, 1), Set::Meta202507),
            (Day::new(2026, 10, 1), Set::Meta202610),
        ];
        Rules { sets: dated.into_iter().map(|(day, set)| (day, RuleSet::of(set))).collect(), zone }
    }

    /// The same rules with something changed in every set.
    #[must_use]
    pub fn overridden(mut self, change: impl Fn(&mut RuleSet)) -> Self {
        self.sets.iter_mut().for_each(|(_, rules)| change(rules));
        self
    }

    /// The set that holds at a moment.
    pub fn at(&self, at: Timestamp) -> &RuleSet {
        let first = &self.sets[0].1;
        if self.sets.len() == 1 {
            return first;
        }
        let day = self.zone.day(at);
        self.sets.iter().rev().find(|(from, _)| *from <= day).map_or(first, |(_, rules)| rules)
    }

    /// The account's time zone.
    pub fn zone(&self) -> Zone {
        self.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_changes_its_set_at_midnight_of_the_account() {
        let rules = Rules::meta(Zone::parse("Asia/Kolkata").unwrap());
        let midnight = rules.zone().midnight(Day::new(2026, 10, 1));
        assert_eq!(rules.at(midnight).set, Set::Meta202610);
        assert_eq!(rules.at(midnight - Span::millis(1)).set, Set::Meta202507);
        assert_eq!(rules.at(Timestamp::from_millis(0)).set, Set::Meta202306);
    }

    #[test]
    fn what_is_undocumented_opens_nothing_unless_switched_on() {
        let opens = |act| Opens::DEFAULT.allows(act);
        let table = [
            (Act::Content, true),
            (Act::Call, true),
            (Act::CallAccepted, true),
            (Act::Reaction, false),
            (Act::Unsupported, false),
            (Act::Unavailable, true),
            (Act::Edit, false),
            (Act::Revoke, false),
            (Act::CallPermission, false),
            (Act::CallPermissionAutomatic, false),
            (Act::RequestWelcome, true),
            (Act::Unknown, false),
        ];
        for (act, expected) in table {
            assert_eq!(opens(act), expected, "{act:?}");
        }
    }
}
