//! Random histories, each made from its seed alone; how they are shown, and how a failing one is made small.

use std::collections::BTreeMap;

use super::messages::kind_of;
use super::place::clicks;
use super::*;

/// The number of facts in a history.
const SIZES: std::ops::RangeInclusive<usize> = 5..=60;

/// Days at whose midnight the rules change, and one at which only the month does.
const CHANGES: [i32; 5] = [day(2023, 6, 1), day(2024, 11, 1), day(2025, 7, 1), day(2026, 10, 1), day(2026, 11, 1)];

/// A time zone's name, and its days.
type Zone = (&'static str, fn(Millis) -> i32);

/// Right for the years of the changes.
const ZONES: [Zone; 4] = [
    ("UTC", |at| day_ahead(at, 0)),
    ("America/Sao_Paulo", |at| day_ahead(at, -3 * HOUR)),
    ("Asia/Kolkata", |at| day_ahead(at, 5 * HOUR + HOUR / 2)),
    ("Europe/Berlin", |at| day_ahead(at, if berlin_summer(at) { 2 * HOUR } else { HOUR })),
];

fn day_ahead(at: Millis, ahead: Millis) -> i32 {
    (at + ahead).div_euclid(DAY) as i32
}

/// From the last Sunday of March to the last Sunday of October, 01:00 UTC each.
fn berlin_summer(at: Millis) -> bool {
    let (year, ..) = date(day_ahead(at, 0));
    let last_sunday = |month| (day(year, month, 25)..).find(|day| day % 7 == 3).unwrap_or_default();
    let one_o_clock = |month| Millis::from(last_sunday(month)) * DAY + HOUR;
    (one_o_clock(3)..one_o_clock(10)).contains(&at)
}

/// The history of a seed: the same on every machine.
pub fn history(seed: u64) -> (Config, Vec<Fact>) {
    let mut dice = Dice(seed);
    let rules = if dice.chance(30) { Rules::ByDay } else { dice.one_of(&Rules::ALL) };
    let (zone, day_of) = dice.one_of(&ZONES);
    let config = Config { rules, zone, day_of, free_tier: dice.one_of(&[1, 1, 2, 3, 1000]) };
    let size = SIZES.start() + dice.below(1 + (SIZES.end() - SIZES.start()) as i64) as usize;
    let mut teller = Teller::new(dice, day_of);
    while teller.told.len() < size {
        teller.tell_something();
    }
    let mut told = teller.told;
    told.truncate(size);
    told.sort_by_key(|(recorded, _)| *recorded);
    (config, told.into_iter().map(|(_, fact)| fact).collect())
}

/// SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixing function.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: i64) -> i64 {
        (self.next() % end as u64) as i64
    }

    pub fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as i64) as usize]
    }
}

/// Makes up what happened, and when the gateway was told.
struct Teller {
    dice: Dice,
    start: Millis,
    contacts: Vec<Contact>,
    /// Of a hundred messages, how many fail; of a hundred moments, how many lie at the rules' distances from another
    /// one. They differ from history to history, so that rare things happen often in some.
    failing: i64,
    exact: i64,
    /// Moments near which the next thing may happen.
    moments: Vec<Millis>,
    /// The free entry points that the platform knows of: from, end.
    entries: BTreeMap<Contact, (Millis, Millis)>,
    /// The conversations that the platform charges for, and whether it does.
    conversations: Vec<(Contact, Kind, u32, bool)>,
    messages: Id,
    /// Facts with the moment of their recording.
    told: Vec<(Millis, Fact)>,
}

impl Teller {
    fn new(mut dice: Dice, day_of: fn(Millis) -> i32) -> Self {
        let change = dice.one_of(&CHANGES);
        let quarters = (-96..96).map(|quarter| Millis::from(change) * DAY + quarter * HOUR / 4);
        let midnight = quarters.into_iter().find(|at| day_of(*at) == change).unwrap_or_default();
        let start = midnight - HOUR * dice.below(96);
        let contacts = [(1, 1), (1, 2), (2, 1)].map(|(business, customer)| Contact { business, customer });
        let contacts = contacts[..=dice.below(3) as usize].to_vec();
        let (failing, exact) = (dice.one_of(&[5, 10, 40]), dice.one_of(&[40, 60, 90]));
        let (entries, conversations, messages, told) = Default::default();
        let moments = vec![start, midnight];
        Teller { dice, start, contacts, failing, exact, moments, entries, conversations, messages, told }
    }

    fn tell_something(&mut self) {
        let contact = self.dice.one_of(&self.contacts);
        let at = self.moment();
        match self.dice.below(100) {
            0..28 => self.act(contact, at),
            28..33 => self.refusal(contact, at),
            33..36 => self.lost_entry(contact, at),
            36..38 => self.lost_payer(contact, at),
            _ => self.send(contact, at),
        }
    }

    /// A moment at one of the rules' distances from an earlier one, or some time after it.
    fn moment(&mut self) -> Millis {
        let from = self.dice.one_of(&self.moments);
        let distance = match self.dice.chance(self.exact) {
            true => self.dice.one_of(&[0, 0, 0, 0, SHORT, SHORT, ENTRY, LONGEST]),
            false => self.dice.below(30 * 3600) * SECOND,
        };
        let about = self.dice.one_of(&[-SECOND, -1, 0, 0, 0, 0, 1, SECOND / 2, SECOND, 2 * SECOND]);
        let moment = (from + distance + about).clamp(self.start, self.start + 12 * DAY);
        self.moments.push(moment);
        moment
    }

    /// Records a fact, mostly at once and sometimes days later; sometimes twice.
    fn tell(&mut self, fact: Fact) {
        for _ in 0..if self.dice.chance(12) { 2 } else { 1 } {
            let late = match self.dice.below(10) {
                0..=6 => self.dice.below(3),
                7..=8 => self.dice.below(20 * 3600),
                _ => self.dice.below(7 * 24 * 3600),
            };
            self.told.push((fact.at() + late * SECOND, fact));
        }
    }

    fn act(&mut self, contact: Contact, at: Millis) {
        let click = self.dice.chance(25);
        let opens = click || self.dice.chance(85);
        self.tell(Fact::Act { contact, at, opens, click });
    }

    /// The window closes early: a free-form message is refused, and a utility template goes out about then.
    fn refusal(&mut self, contact: Contact, at: Millis) {
        self.tell(Fact::Act { contact, at, opens: true, click: false });
        let [soon, sooner] = [0; 2].map(|_| self.dice.one_of(&[-SECOND, 0, 1, SECOND / 2, SECOND, HOUR]));
        let (refused, instead) = (at + soon, at + soon + sooner);
        let [message, other] = [self.new_message(), self.new_message()];
        let (progress, code, report) = (Progress::Failed, Some(self.dice.one_of(&[131_047, 470])), None);
        self.tell(Fact::Send { contact, message, at: refused, class: Class::FreeForm, category: Category::Service });
        self.tell(Fact::Status { contact, message, at: refused + SECOND, progress, code, report });
        self.tell(Fact::Send {
            contact,
            message: other,
            at: instead,
            class: Class::Template,
            category: Category::Utility,
        });
        let (progress, code) = (Progress::Delivered, None);
        self.tell(Fact::Status { contact, message: other, at: instead + SECOND, progress, code, report });
    }

    /// A free entry point that was none: days later the reply that opened it turns out to have failed, and what went
    /// out in it counts.
    fn lost_entry(&mut self, contact: Contact, at: Millis) {
        self.tell(Fact::Act { contact, at, opens: true, click: true });
        let (class, category, code, report) = (Class::FreeForm, Category::Service, None, None);
        for hour in [1, 30, 31, 32] {
            let (message, at) = (self.new_message(), at + hour * HOUR);
            self.tell(Fact::Send { contact, message, at, class, category });
            let status = |progress| Fact::Status { contact, message, at, progress, code, report };
            match hour {
                1 => self.told.push((at + 5 * DAY, status(Progress::Failed))),
                _ => self.tell(status(Progress::Delivered)),
            }
        }
    }

    /// A conversation whose payer fails after all: the platform has named it in three messages, one of which never arrives.
    fn lost_payer(&mut self, contact: Contact, at: Millis) {
        let (class, category, lost) = (Class::Template, self.template(), self.dice.below(3));
        let conversation = Some(1 + self.conversations.len() as u32);
        self.conversations.push((contact, kind_of(class, category), 1 + self.conversations.len() as u32, true));
        let model = Some(Pricing::Cbp);
        let report =
            Report { category: Some(category), billable: Some(true), model, conversation, ..Report::default() };
        for turn in 0..3 {
            let (message, at) = (self.new_message(), at + turn * HOUR);
            let status = |progress, report| Fact::Status { contact, message, at, progress, code: None, report };
            self.tell(Fact::Send { contact, message, at, class, category });
            self.tell(status(Progress::Sent, Some(report)));
            self.tell(status(if turn == lost { Progress::Failed } else { Progress::Delivered }, None));
        }
    }

    fn new_message(&mut self) -> Id {
        self.messages += 1;
        self.messages
    }

    fn send(&mut self, contact: Contact, at: Millis) {
        let message = self.new_message();
        let class = match self.dice.below(20) {
            0 => Class::Reaction,
            1..=8 => Class::FreeForm,
            _ => Class::Template,
        };
        let category = match class {
            Class::Template => self.template(),
            _ => Category::Service,
        };
        if self.dice.chance(93) {
            let unknown = class == Class::Template && self.dice.chance(15);
            let stated = if unknown { Category::Unknown } else { category };
            self.tell(Fact::Send { contact, message, at, class, category: stated });
            if self.dice.chance(4) {
                let (at, category) = (self.moment(), if class == Class::Template { self.template() } else { stated });
                self.tell(Fact::Send { contact, message, at, class, category });
            }
        }
        let truth = match class {
            Class::Reaction if self.dice.chance(80) => None,
            _ => self.dice.chance(60).then(|| self.truth(contact, at, class, category)),
        };
        for (at, progress, code) in self.fate(at, class) {
            let told = progress != Progress::Failed && self.dice.chance(75);
            let report = truth.filter(|_| told).map(|truth| self.part_of(truth));
            self.tell(Fact::Status { contact, message, at, progress, code, report });
        }
    }

    fn template(&mut self) -> Category {
        use Category::{Authentication, AuthenticationInternational, Marketing, Utility};
        let international = self.dice.chance(15);
        if international {
            AuthenticationInternational
        } else {
            self.dice.one_of(&[Marketing, Utility, Utility, Authentication])
        }
    }

    /// The statuses of a message sent at a moment. The clocks of the platform and the gateway differ by a second now
    /// and then.
    fn fate(&mut self, at: Millis, class: Class) -> Vec<(Millis, Progress, Option<i64>)> {
        let mut statuses = Vec::new();
        let mut later = |dice: &mut Dice, from: Millis| {
            let moment = match dice.below(10) {
                0 => from - SECOND,
                1..=6 => from + dice.below(5) * SECOND,
                7 => from + dice.one_of(&[SHORT, ENTRY]) + dice.one_of(&[-1, 0, 1]),
                8 => from + dice.below(30 * 3600) * SECOND,
                _ => from + dice.below(6 * 24 * 3600) * SECOND,
            };
            self.moments.push(moment.max(self.start));
            moment
        };
        let dice = &mut self.dice;
        if dice.chance(60) {
            statuses.push((at + dice.below(3) * SECOND, Progress::Sent, None));
        }
        let known = class != Class::Reaction || dice.chance(20);
        let failed = known && dice.chance(self.failing);
        let delivered = known && dice.chance(if failed { 15 } else { 80 });
        if failed {
            let codes = [Some(131_047), Some(131_047), Some(470), Some(470), Some(131_026), None];
            let code = if delivered { None } else { dice.one_of(&codes) };
            statuses.push((at + dice.below(4) * SECOND, Progress::Failed, code));
        }
        if delivered {
            let (delivered_at, read) = (later(dice, at), dice.chance(50));
            if read {
                statuses.push((later(dice, delivered_at), Progress::Read, None));
            }
            if !read || dice.chance(75) {
                statuses.push((delivered_at, Progress::Delivered, None));
            }
        }
        statuses
    }

    /// What the platform would report of a message.
    fn truth(&mut self, contact: Contact, at: Millis, class: Class, category: Category) -> Report {
        let known = self.entries.get(&contact).copied().filter(|(from, end)| (*from..*end).contains(&at));
        let clicked = clicks(&self.facts(), contact).iter().any(|click| (*click..click + SHORT).contains(&at));
        let chance = if known.is_some() {
            85
        } else if clicked {
            50
        } else {
            6
        };
        if self.dice.chance(chance) {
            let lengths = [SHORT, ENTRY, ENTRY, LONGEST, LONGEST + 32 * HOUR];
            let end = known.map_or_else(|| at + self.dice.one_of(&lengths), |(_, end)| end);
            if known.is_none() {
                self.entries.insert(contact, (at, end));
                self.moments.extend([end, at + LONGEST]);
            }
            let (category, expires_at) =
                (self.dice.chance(50).then_some(category), self.dice.chance(70).then_some(end));
            let model = Some(if self.dice.chance(50) { Pricing::Pmp } else { Pricing::Cbp });
            return Report {
                category,
                billable: Some(false),
                free_entry_point: true,
                expires_at,
                model,
                conversation: None,
            };
        }
        let by_conversation = self.dice.chance(if day_ahead(at, 0) < day(2025, 7, 1) { 85 } else { 10 });
        let model = if by_conversation { Pricing::Cbp } else { Pricing::Pmp };
        let (conversation, billable) = match by_conversation {
            true => self.conversation(contact, kind_of(class, category)),
            false => (None, self.dice.chance(65)),
        };
        // What is not a template is reported under the category of the conversation that it joins.
        let joins_other = by_conversation && class == Class::FreeForm && self.dice.chance(25);
        let category = if joins_other { self.template() } else { category };
        let expires_at = (by_conversation && self.dice.chance(30)).then_some(at + SHORT);
        let model = self.dice.chance(90).then_some(model);
        Report {
            category: Some(category),
            billable: Some(billable),
            free_entry_point: false,
            expires_at,
            model,
            conversation,
        }
    }

    /// The id of a conversation that the platform charges for, old or new, and whether it does.
    fn conversation(&mut self, contact: Contact, kind: Kind) -> (Option<u32>, bool) {
        let known = self.conversations.iter().rev().find(|it| it.0 == contact && it.1 == kind).copied();
        let (_, _, id, billable) = known.filter(|_| self.dice.chance(70)).unwrap_or_else(|| {
            let new = (contact, kind, 1 + self.conversations.len() as u32, self.dice.chance(85));
            self.conversations.push(new);
            new
        });
        (self.dice.chance(85).then_some(id), billable)
    }

    /// What one status carries of it. Now and then it contradicts what another one says.
    fn part_of(&mut self, mut report: Report) -> Report {
        if self.dice.chance(4) && !report.free_entry_point {
            report.billable = report.billable.map(|billable| !billable);
        }
        if self.dice.chance(4) && report.category.is_some_and(|category| category != Category::Service) {
            report.category = Some(self.template());
        }
        Report {
            category: report.category.filter(|_| self.dice.chance(90)),
            billable: report.billable.filter(|_| self.dice.chance(85)),
            free_entry_point: report.free_entry_point && self.dice.chance(90),
            expires_at: report.expires_at.filter(|_| self.dice.chance(70)),
            model: report.model.filter(|_| self.dice.chance(90)),
            conversation: report.conversation.filter(|_| self.dice.chance(85)),
        }
    }

    fn facts(&self) -> Vec<Fact> {
        self.told.iter().map(|(_, fact)| *fact).collect()
    }
}

/// The smallest part of a history that still fails: facts are left out, one by one, as long as one can be.
pub fn shrink(facts: &[Fact], mut fails: impl FnMut(&[Fact]) -> bool) -> Vec<Fact> {
    let mut facts = facts.to_vec();
    loop {
        let without = |left_out: usize| {
            let mut fewer = facts.clone();
            fewer.remove(left_out);
            fewer
        };
        match (0..facts.len()).map(without).find(|fewer| fails(fewer)) {
            Some(fewer) => facts = fewer,
            None => return facts,
        }
    }
}

/// What a failing seed is reported as: the seed, and the smallest part of its history that fails.
pub fn failure(seed: u64, mut fails: impl FnMut(&Config, &[Fact]) -> bool) -> String {
    let (config, facts) = history(seed);
    let smallest = shrink(&facts, |facts| fails(&config, facts));
    format!("seed {seed}\n{}", shown(&config, &smallest))
}

/// A history in lines to read.
pub fn shown(config: &Config, facts: &[Fact]) -> String {
    let Config { rules, zone, free_tier, .. } = config;
    let mut lines = vec![format!("rules {}, zone {zone}, free tier {free_tier}", rules.word())];
    lines.extend(facts.iter().map(line));
    lines.join("\n")
}

/// One fact: when, who, what.
fn line(fact: &Fact) -> String {
    let Contact { business, customer } = fact.contact();
    let what = match *fact {
        Fact::Act { opens, click, .. } => {
            format!("{}{}", if opens { "act" } else { "act that opens nothing" }, if click { ", a click" } else { "" })
        }
        Fact::Send { message, class, category, .. } => format!("send {message}: {} {}", word(class), word(category)),
        Fact::Status { message, progress, code, report, .. } => {
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("status {message}: {}{code}{}", word(progress), report.map(said).unwrap_or_default())
        }
    };
    format!("{} b{business} c{customer} {what}", time(fact.at()))
}

fn said(report: Report) -> String {
    let parts = [
        report.category.map(word),
        report.billable.map(|billable| if billable { "billable".into() } else { "not billable".into() }),
        report.free_entry_point.then(|| "free_entry_point".into()),
        report.expires_at.map(|end| format!("until {}", time(end))),
        report.model.map(word),
        report.conversation.map(|id| format!("conversation {id}")),
    ];
    format!(" ({})", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// A moment in UTC.
fn time(at: Millis) -> String {
    let (year, month, day) = date(day_ahead(at, 0));
    let [hour, minute, second] = [HOUR, 60 * SECOND, SECOND].map(|unit| at.rem_euclid(DAY) / unit);
    let (minute, second, milli) = (minute % 60, second % 60, at.rem_euclid(SECOND));
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03}")
}
