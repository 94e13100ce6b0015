//! Loss of power: what a recording process did to the store's file is lost in part, at each of its syncs, and what a disk may hold then is opened.
//!
//! What was acknowledged is there, whole and once. Beside the store's file nothing is rebuilt: the table of readers and what else is shared by the
//! processes of one boot is made anew after a loss of power.

use std::fs::{self, File};
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use csw::gate::Gate;
use csw::store::lmdb::LmdbStore;
use csw::wire::record;

use crate::support::{self, Chance, decided, gate_in, long_or_short, shop};
use disk::{Disk, Effort, Image};
use plan::Plan;
use recording::{Place, SAID, Step};

mod disk;
mod plan;
mod recording;

#[test]
fn what_was_acknowledged_is_there_after_a_loss_of_power() {
    lose_power("power::what_was_acknowledged_is_there_after_a_loss_of_power", "full");
}

#[test]
fn with_relaxed_durability_a_loss_of_power_takes_back_whole_commits_and_only_the_last() {
    lose_power("power::with_relaxed_durability_a_loss_of_power_takes_back_whole_commits_and_only_the_last", "relaxed");
}

/// The plan is the same in the recorded process and here.
const PLAN: u64 = 20_261_010;

fn lose_power(test: &str, durability: &str) {
    // A thousand syncs and more: a commit has two of them, or with relaxed durability one.
    let groups = if durability == "full" { 600 } else { 1050 };
    let plan = Plan::new(PLAN, long_or_short(groups, 14));
    if let Some(folder) = support::task() {
        return carry_out(&plan, &folder, durability);
    }
    let (seed, began) = (support::seed(), Instant::now());
    let mut outage = Outage::new(&plan);
    // A damaged store may take this process down: it lies there then, with a note of what was lost.
    println!("CSW_TORTURE_SEED={seed}, files are rebuilt in {}", outage.folder.path().display());
    let place = Place::new();
    let steps = place.record(test);
    let effort = long_or_short(
        Effort { each: usize::MAX, tears_all: true, subsets: 8 },
        Effort { each: 6, tears_all: false, subsets: 2 },
    );
    let (mut disk, mut chance) = (Disk::default(), Chance::of(seed));
    // Those that had to be on the disk when the last sync was over: all acknowledged ones, or with relaxed durability those of the sync before.
    let (mut acknowledged, mut submitted, mut least, mut points) = (0, 0, 0, 0);
    // Before it has its name there is no store, however much of it is on the disk.
    let (mut is_named, mut is_name_synced) = (false, false);
    for step in &steps {
        match step {
            Step::Named => is_named = true,
            Step::FolderSync => is_name_synced = is_named,
            Step::Submitting(event) => submitted = *event,
            Step::Acknowledged(event) => {
                assert!(is_name_synced, "the store may be lost as a whole after {event} was acknowledged");
                acknowledged = *event;
            }
            _ => {}
        }
        if durability == "full" {
            least = acknowledged;
        }
        let mut lost = |file: &Image, how: &dyn Fn() -> String| {
            if is_named {
                outage.judge(file, &(least..=submitted), &|| format!("sync {points}: {}", how()));
            }
        };
        disk.take(step, effort, &mut chance, &mut lost);
        if matches!(step, Step::Sync | Step::Write { is_synced: true, .. }) {
            (points, least) = (points + 1, acknowledged);
        }
    }
    disk.lose(effort, &mut chance, &mut |file, how| {
        outage.judge(file, &(least..=submitted), &|| format!("in the end: {}", how()))
    });
    assert!(disk.file() == place.file(), "the recording misses something that was done to the file");
    assert_eq!((acknowledged, submitted), (plan.events.len(), plan.events.len()));
    let Outage { judged, wrong, .. } = &outage;
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} of {judged} files, the first of them:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
    println!(
        "loss of power, durability {durability}: {} events in {} groups, {points} syncs, {judged} files rebuilt: \
         all open, 0 acknowledged events lost, 0 counted twice; {:?}",
        plan.events.len(),
        plan.groups.len(),
        began.elapsed(),
    );
}

/// Records the plan, and says beforehand what it submits and afterwards what is acknowledged.
fn carry_out(plan: &Plan, folder: &Path, durability: &str) {
    let mut said = File::create(folder.join(SAID)).unwrap();
    let mut say = |what: &str, event: usize| said.write_all(format!("{what} {event}\n").as_bytes()).unwrap();
    let store = folder.join("store");
    let gate = gate_in(folder, &format!("store = \"lmdb:{}\"\ndurability = \"{durability}\"", store.display()));
    let mut first = 1;
    for last in &plan.groups {
        say("submitting", *last);
        let tickets: Vec<_> = (first..=*last).map(|event| (event, submit(&gate, plan, event))).collect();
        for (event, ticket) in tickets {
            decided(&gate, ticket).unwrap();
            say("acknowledged", event);
        }
        first = last + 1;
    }
}

fn submit(gate: &Gate, plan: &Plan, event: usize) -> csw::gate::recorder::Ticket {
    plan.with_stated(event, |stated| match stated {
        Some(stated) => gate.submit_record(record::event(stated).unwrap()),
        None => gate.submit_forget(Some(shop()), plan.visitor()),
    })
    .unwrap()
}

/// Opens what is left of the store's file, as after the power has come back.
struct Outage<'p> {
    plan: &'p Plan,
    folder: tempfile::TempDir,
    judged: usize,
    wrong: Vec<String>,
}

impl<'p> Outage<'p> {
    fn new(plan: &'p Plan) -> Self {
        Outage { plan, folder: support::folder(), judged: 0, wrong: Vec::new() }
    }

    fn judge(&mut self, file: &Image, bounds: &RangeInclusive<usize>, what: &dyn Fn() -> String) {
        self.judged += 1;
        let mut data = File::create(self.folder.path().join("data.mdb")).unwrap();
        data.write_all(&file.bytes).unwrap();
        data.set_len(file.length as u64).unwrap();
        fs::write(self.folder.path().join("lost"), what()).unwrap();
        let _ = fs::remove_file(self.folder.path().join("lock.mdb"));
        let opened = LmdbStore::open(self.folder.path(), false).map_err(|error| error.to_string());
        if let Err(wrong) = opened.and_then(|store| self.plan.stands_in(&store, bounds)) {
            self.wrong.push(format!("{}: {wrong}", what()));
        }
    }
}
