//! What the witness knows of one contact, and what a check may say of it.

use csw::rules::window::State;
use csw::time::{Span, Timestamp};

use super::worker::Seen;

/// A fact that a window depends on. Of each kind only the newest counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact {
    Act(Timestamp),
    Refusal(Timestamp),
}

/// The newest facts that are certain: acknowledged, or seen by a check.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Certain {
    act: Option<Timestamp>,
    refusal: Option<Timestamp>,
}

impl Certain {
    fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Act(at) => self.act = self.act.max(Some(at)),
            Fact::Refusal(at) => self.refusal = self.refusal.max(Some(at)),
        }
    }

    fn with(mut self, fact: Fact) -> Self {
        self.learn(fact);
        self
    }

    fn seen_at(self, at: Timestamp) -> Seen {
        let expires_at = self.act.map(|act| act + Span::hours(24));
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::seconds);
        let (state, expires_at) = match expires_at {
            _ if seconds(self.refusal) > seconds(self.act) => (State::Closed, None),
            Some(end) if at < end => (State::Open, expires_at),
            Some(_) => (State::Closed, expires_at),
            None => (State::Unknown, None),
        };
        Seen { state: state.word().to_owned(), expires_at, last_act: self.act }
    }

    /// The least that must be certain besides, of what was submitted, for a check to say this.
    fn explains(self, submitted: &[Fact], at: Timestamp, seen: &Seen) -> Option<Certain> {
        let acts = submitted.iter().filter(|fact| matches!(fact, Fact::Act(at) if self.act < Some(*at)));
        let with_acts = std::iter::once(self).chain(acts.map(|act| self.with(*act)));
        let mut refusals: Vec<_> = submitted.iter().filter(|fact| matches!(fact, Fact::Refusal(_))).collect();
        refusals.sort_by_key(|fact| match fact {
            Fact::Act(at) | Fact::Refusal(at) => *at,
        });
        let with_refusals = |known: Certain| {
            let refusals = refusals.iter().map(move |refusal| known.with(**refusal));
            std::iter::once(known).chain(refusals)
        };
        with_acts
            .filter(|known| known.act == seen.last_act)
            .flat_map(with_refusals)
            .find(|known| known.seen_at(at) == *seen)
    }
}

/// The facts of a contact between two erasures.
#[derive(Debug, Clone, Default)]
struct Life {
    certain: Certain,
    /// All that was submitted, certain or not.
    submitted: Vec<Fact>,
}

/// A contact's facts.
#[derive(Debug, Default)]
pub struct Facts {
    now: Life,
    /// Those before the newest erasure.
    before: Life,
    erasures: u64,
    is_being_erased: bool,
}

/// What was certain when a check began.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    certain: Certain,
    erasures: u64,
}

impl Facts {
    pub fn submit(&mut self, fact: Fact) {
        if !self.now.submitted.contains(&fact) {
            self.now.submitted.push(fact);
        }
    }

    pub fn acknowledge(&mut self, fact: Fact) {
        self.now.certain.learn(fact);
    }

    /// Nothing else of the contact may be under way.
    pub fn submit_erasure(&mut self) {
        self.is_being_erased = true;
    }

    pub fn acknowledge_erasure(&mut self) {
        self.is_being_erased = false;
        self.erasures += 1;
        self.before = std::mem::take(&mut self.now);
    }

    pub fn is_being_erased(&self) -> bool {
        self.is_being_erased
    }

    pub fn begin(&self) -> Began {
        Began { certain: self.now.certain, erasures: self.erasures }
    }

    /// Whether a check may say this now; what it says is certain from now on. While an erasure is under way, it may tell of before and of after.
    pub fn admit(&mut self, began: Began, at: Timestamp, seen: &Seen) -> bool {
        match self.erasures - began.erasures {
            0 => match began.certain.explains(&self.now.submitted, at, seen) {
                Some(certain) if !self.is_being_erased => {
                    certain.act.into_iter().for_each(|act| self.acknowledge(Fact::Act(act)));
                    certain.refusal.into_iter().for_each(|refusal| self.acknowledge(Fact::Refusal(refusal)));
                    true
                }
                Some(_) => true,
                None => self.is_being_erased && *seen == Certain::default().seen_at(at),
            },
            1 => {
                let of_before = began.certain.explains(&self.before.submitted, at, seen).is_some();
                of_before || Certain::default().explains(&self.now.submitted, at, seen).is_some()
            }
            // Two erasures during one check: whatever it says was true at some time.
            _ => true,
        }
    }
}
