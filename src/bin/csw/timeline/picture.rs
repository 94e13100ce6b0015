//! What a timeline looks like, whatever it is drawn on: lanes with bars and marks, above days.

use csw::gate::timeline::{Bar, Timeline as Story};
use csw::rules::conversation::ConversationCategory;
use csw::rules::event::{Category, Class, Progress};
use csw::time::{Day, Span, Timestamp, Zone};

use super::{said_of_act, said_of_message};

/// Lanes above some days.
pub struct Picture {
    /// Whom it is about.
    pub named: String,
    /// The zone of its days.
    pub zone: Zone,
    /// The present moment.
    pub now: Timestamp,
    /// The first moments of its days, and of the day after them.
    pub midnights: Vec<(Day, Timestamp)>,
    /// What happened and what lasted.
    pub lanes: Vec<Lane>,
}

/// What happened or lasted of one kind.
pub struct Lane {
    /// Its name.
    pub name: &'static str,
    /// What lasted.
    pub bars: Vec<Bar>,
    /// What happened.
    pub marks: Vec<Mark>,
}

/// A thing that happened.
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// How it is drawn.
    pub sign: Sign,
    /// What it was.
    pub said: String,
}

/// How a mark is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The customer acted.
    Act,
    /// The customer came through an entry point.
    Click,
    /// The customer did something that opens no window.
    Quiet,
    /// A free-form message.
    FreeForm,
    /// A template of this category.
    Template(Category),
    /// A message that failed.
    Failed,
}

impl Picture {
    /// The picture of a story; none where there is nothing to draw.
    pub fn of(story: &Story, named: String, zone: Zone, now: Timestamp) -> Option<Picture> {
        let bars = || story.windows.iter().chain(story.conversations.iter().map(|(_, bar)| bar));
        let happened = || story.acts.iter().map(|act| act.at).chain(story.messages.iter().map(|message| message.at));
        let first = happened().chain(bars().map(|bar| bar.from)).min()?;
        let last = happened().chain(bars().map(|bar| bar.until)).max()?.max(now);
        let mut lanes = vec![customer(story), window(story), business(story)];
        lanes.extend(ConversationCategory::ALL.iter().filter_map(|category| conversations(story, *category)));
        Some(Picture { named, zone, now, midnights: midnights(zone, first, last), lanes })
    }

    /// The first moment, and the first one after the picture.
    pub fn ends(&self) -> (Timestamp, Timestamp) {
        let moment = |end: Option<&(Day, Timestamp)>| end.map_or(self.now, |(_, at)| *at);
        (moment(self.midnights.first()), moment(self.midnights.last()))
    }

    /// The days with their first moments.
    pub fn days(&self) -> &[(Day, Timestamp)] {
        self.midnights.split_last().map_or(&[], |(_, days)| days)
    }

    /// How many of `steps` from the left edge a moment lies; moments outside lie on the edges.
    pub fn place(&self, at: Timestamp, steps: i64) -> i64 {
        let (from, until) = self.ends();
        let whole = Span::between(from, until).as_millis().max(1);
        Span::between(from, at.min(until)).as_millis() * steps / whole
    }
}

/// The first moments of the days from one moment to another, and of the day after them.
fn midnights(zone: Zone, first: Timestamp, last: Timestamp) -> Vec<(Day, Timestamp)> {
    let mut midnights = vec![(zone.day(first), zone.midnight(zone.day(first)))];
    while let Some((_, at)) = midnights.last().copied().filter(|(_, at)| *at < last || midnights.len() < 2) {
        // No day has more than 25 hours, nor fewer than 23.
        let next = zone.day(at + Span::hours(30));
        midnights.push((next, zone.midnight(next)));
    }
    midnights
}

fn customer(story: &Story) -> Lane {
    let sign = |clicked, opens| {
        if clicked {
            Sign::Click
        } else if opens {
            Sign::Act
        } else {
            Sign::Quiet
        }
    };
    let acts = story.acts.iter();
    let marks = acts.map(|act| Mark { at: act.at, sign: sign(act.clicked, act.opens), said: said_of_act(act).into() });
    Lane { name: "customer", bars: Vec::new(), marks: marks.collect() }
}

fn window(story: &Story) -> Lane {
    Lane { name: "window", bars: story.windows.clone(), marks: Vec::new() }
}

fn business(story: &Story) -> Lane {
    let marks = story.messages.iter().map(|message| {
        let sign = match (message.progress, message.class()) {
            (Progress::Failed, _) => Sign::Failed,
            (_, Class::Template) => Sign::Template(message.category()),
            _ => Sign::FreeForm,
        };
        Mark { at: message.at, sign, said: said_of_message(message) }
    });
    Lane { name: "business", bars: Vec::new(), marks: marks.collect() }
}

fn conversations(story: &Story, category: ConversationCategory) -> Option<Lane> {
    let of = story.conversations.iter().filter(|(of, _)| *of == category);
    let bars: Vec<Bar> = of.map(|(_, bar)| *bar).collect();
    (!bars.is_empty()).then_some(Lane { name: category.word(), bars, marks: Vec::new() })
}
