//! A timeline in letters.

use clap::builder::styling::AnsiColor;
use comfy_table::Table;

use super::picture::{Lane, Picture, Sign};
use crate::ending::Failure;
use crate::output::Output;

/// The room for the names of lanes.
const NAMES: usize = 18;
/// How wide it is at least and at most, and where no terminal says it.
const WIDTH: (usize, usize, usize) = (60, 160, 100);

/// Draws a timeline.
pub fn draw(picture: &Picture, output: &mut Output) -> Result<(), Failure> {
    let (least, most, usual) = WIDTH;
    let width = Table::new().width().map_or(usual, usize::from).clamp(least, most) - NAMES;
    let steps = i64::try_from(width).unwrap_or(i64::MAX);
    let column = |at| usize::try_from(picture.place(at, steps)).unwrap_or(0).min(width - 1);
    let mut lines = vec![format!("{}, {}", picture.named, picture.zone.name()), String::new()];

    let mut days = vec![' '; width];
    let mut empty = vec![' '; width];
    let mut free_from = 0;
    for (day, at) in picture.days() {
        let start = column(*at);
        empty[start] = '┊';
        let label = day.to_string().split_off(5);
        if start >= free_from && start + label.len() <= width {
            days.splice(start..start + label.len(), label.chars());
            free_from = start + label.len() + 1;
        }
    }
    lines.push(format!("{:NAMES$}{}", "", text(&days)));
    for lane in &picture.lanes {
        let mut cells = empty.clone();
        for bar in &lane.bars {
            let (start, end) = (column(bar.from), column(bar.until));
            cells[start..=end.max(start + 1).min(width) - 1].fill('█');
        }
        for mark in &lane.marks {
            cells[column(mark.at)] = letter(mark.sign);
        }
        lines.push(format!("{:NAMES$}{}", lane.name, output.paint(colour(lane), &text(&cells))));
    }
    let now = column(picture.now);
    lines.push(format!("{:NAMES$}{:now$}↑ now", "", ""));
    lines.push(String::new());
    lines.push(
        "● acts  ◆ entry point  ○ opens nothing    f free-form  M U A template  ? unknown category  × failed".into(),
    );
    output.lines(&lines)
}

fn text(cells: &[char]) -> String {
    let text: String = cells.iter().collect();
    text.trim_end().to_owned()
}

fn letter(sign: Sign) -> char {
    match sign {
        Sign::Act => '●',
        Sign::Click => '◆',
        Sign::Quiet => '○',
        Sign::FreeForm => 'f',
        Sign::Template(category) => match category.word().chars().next() {
            Some('s') | None => 'f',
            Some('u') if category.word() == "unknown" => '?',
            Some(letter) => letter.to_ascii_uppercase(),
        },
        Sign::Failed => '×',
    }
}

fn colour(lane: &Lane) -> AnsiColor {
    match lane.name {
        "window" | "free_entry_point" => AnsiColor::Green,
        "marketing" => AnsiColor::Magenta,
        "utility" => AnsiColor::Blue,
        "authentication" => AnsiColor::Yellow,
        "service" => AnsiColor::Cyan,
        _ => AnsiColor::White,
    }
}
