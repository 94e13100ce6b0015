//! A timeline as SVG: by itself in one file, without scripts, readable on light and on dark ground.

use std::fmt::{self, Write};

use csw::gate::timeline::Bar;
use csw::time::Timestamp;

use super::picture::{Lane, Mark, Picture, Sign};

/// The whole width, and where the lanes begin and end in it.
const WIDTH: i64 = 1000;
const LEFT: i64 = 150;
const RIGHT: i64 = 976;
/// Where the first lane begins, how high lanes are, and what lies below them.
const TOP: i64 = 92;
const LANE: i64 = 36;
const BELOW: i64 = 52;
/// How much room a day needs for its label, a day for the labels of its hours, and a bar for its own.
const DAY_LABEL: i64 = 42;
const HOUR_LABELS: i64 = 120;
const BAR_LABEL: i64 = 84;
const BAR_LABEL_WITH_DAY: i64 = 120;

/// Plain attributes are for light ground; programs that know no media queries take them.
const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 12px; fill: #24292f }
.head { font-size: 16px; font-weight: 600 }
.faint { fill: #6e7781; font-size: 11px }
.bar-label { font-size: 11px; fill: #ffffff }
.ground { fill: #ffffff }
.weekday { fill: #f6f8fa }
.rule { stroke: #d0d7de }
.now { stroke: #cf222e; stroke-dasharray: 4 3 }
.window, .free_entry_point { fill: #1a7f37 }
.marketing { fill: #8250df }
.utility { fill: #0969da }
.authentication, .authentication_international { fill: #9a6700 }
.service { fill: #1b7c83 }
.unknown { fill: #6e7781 }
.act { fill: #1a7f37 }
.quiet { fill: none; stroke: #6e7781; stroke-width: 1.5 }
.failed { stroke: #cf222e; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #8d96a0 }
  .bar-label { fill: #0d1117 }
  .ground { fill: #0d1117 }
  .weekday { fill: #161b22 }
  .rule { stroke: #30363d }
  .now { stroke: #f85149 }
  .window, .free_entry_point, .act { fill: #3fb950 }
  .marketing { fill: #a371f7 }
  .utility { fill: #58a6ff }
  .authentication, .authentication_international { fill: #d29922 }
  .service { fill: #39c5cf }
  .unknown { fill: #8d96a0 }
  .quiet { stroke: #8d96a0 }
  .failed { stroke: #f85149 }
}
";

/// The drawing.
pub fn drawn(picture: &Picture) -> String {
    let mut svg = String::new();
    // Writing to a text cannot fail.
    let _ = draw(picture, &mut svg);
    svg
}

fn draw(picture: &Picture, svg: &mut String) -> fmt::Result {
    let bottom = TOP + LANE * i64::try_from(picture.lanes.len()).unwrap_or(0);
    let height = bottom + BELOW;
    let named = escaped(&picture.named);
    let size = format!("viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\"");
    writeln!(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" {size} role=\"img\">")?;
    writeln!(svg, "<title>The conversations of {named}</title>\n<style>{STYLE}</style>")?;
    writeln!(svg, "<rect class=\"ground\" fill=\"#ffffff\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>")?;
    writeln!(svg, "<text class=\"head\" x=\"24\" y=\"34\">{named}</text>")?;
    let zone = escaped(picture.zone.name());
    writeln!(svg, "<text class=\"faint\" x=\"{RIGHT}\" y=\"34\" text-anchor=\"end\">times in {zone}</text>")?;
    days(picture, bottom, svg)?;
    for (index, lane) in picture.lanes.iter().enumerate() {
        draw_lane(picture, lane, TOP + LANE * i64::try_from(index).unwrap_or(0), svg)?;
    }
    let (from, until) = picture.ends();
    if from <= picture.now && picture.now < until {
        let x = across(picture, picture.now);
        writeln!(svg, "<line class=\"now\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{bottom}\"/>", TOP - 4)?;
        writeln!(svg, "<text class=\"faint\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">now</text>", bottom + 14)?;
    }
    legend(bottom + 36, svg)?;
    svg.write_str("</svg>\n")
}

/// The days as columns, every other one shaded, each with its label where there is room.
fn days(picture: &Picture, bottom: i64, svg: &mut String) -> fmt::Result {
    let edges: Vec<i64> = picture.midnights.iter().map(|(_, at)| across(picture, *at)).collect();
    let mut free_from = LEFT;
    for (index, ((day, at), ends)) in picture.days().iter().zip(edges.windows(2)).enumerate() {
        let (start, width) = (ends[0], ends[1] - ends[0]);
        if index % 2 == 0 {
            let (top, height) = (TOP - 4, bottom - TOP + 4);
            writeln!(
                svg,
                "<rect class=\"weekday\" fill=\"#f6f8fa\" x=\"{start}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>"
            )?;
        }
        if start >= free_from {
            let label = day.to_string().split_off(if width > 80 { 0 } else { 5 });
            writeln!(svg, "<text x=\"{start}\" y=\"{}\">{label}</text>", TOP - 24)?;
            free_from = start + DAY_LABEL;
        }
        if width >= HOUR_LABELS {
            for hour in [6, 12, 18] {
                let x = across(picture, *at + csw::time::Span::hours(hour));
                writeln!(
                    svg,
                    "<text class=\"faint\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{hour}</text>",
                    TOP - 10
                )?;
            }
        }
        writeln!(svg, "<line class=\"rule\" x1=\"{start}\" x2=\"{start}\" y1=\"{}\" y2=\"{bottom}\"/>", TOP - 18)?;
    }
    Ok(())
}

fn draw_lane(picture: &Picture, lane: &Lane, top: i64, svg: &mut String) -> fmt::Result {
    let middle = top + LANE / 2;
    let (x, y, name) = (LEFT - 14, middle + 4, lane.name.replace('_', " "));
    writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{name}</text>")?;
    writeln!(svg, "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{middle}\" y2=\"{middle}\"/>")?;
    for bar in &lane.bars {
        draw_bar(picture, lane.name, bar, top, svg)?;
    }
    for mark in &lane.marks {
        draw_mark(picture, mark, middle, svg)?;
    }
    Ok(())
}

fn draw_bar(picture: &Picture, class: &str, bar: &Bar, top: i64, svg: &mut String) -> fmt::Result {
    let (start, end) = (across(picture, bar.from), across(picture, bar.until));
    let (y, width, height) = (top + 8, (end - start).max(2), LANE - 16);
    let (from, until) = (clock(picture, bar.from), clock(picture, bar.until));
    writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{start}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\"><title>{}: {from} to {until}</title></rect>",
        class.replace('_', " ")
    )?;
    if width >= BAR_LABEL {
        let (x, y) = (start + 8, top + LANE / 2 + 4);
        let until = if width < BAR_LABEL_WITH_DAY { &until[6..] } else { until.as_str() };
        writeln!(svg, "<text class=\"bar-label\" x=\"{x}\" y=\"{y}\">until {until}</text>")?;
    }
    Ok(())
}

fn draw_mark(picture: &Picture, mark: &Mark, y: i64, svg: &mut String) -> fmt::Result {
    let title = format!("<title>{} {}</title>", clock(picture, mark.at), escaped(&mark.said));
    draw_sign(mark.sign, across(picture, mark.at), y, &title, svg)
}

fn draw_sign(sign: Sign, x: i64, y: i64, title: &str, svg: &mut String) -> fmt::Result {
    match sign {
        Sign::Act => writeln!(svg, "<circle class=\"act\" cx=\"{x}\" cy=\"{y}\" r=\"6\">{title}</circle>"),
        Sign::Quiet => writeln!(svg, "<circle class=\"quiet\" cx=\"{x}\" cy=\"{y}\" r=\"5\">{title}</circle>"),
        Sign::Click => {
            let points = format!("{x},{} {},{y} {x},{} {},{y}", y - 8, x + 8, y + 8, x - 8);
            writeln!(svg, "<polygon class=\"act\" points=\"{points}\">{title}</polygon>")
        }
        Sign::FreeForm => writeln!(svg, "<circle class=\"service\" cx=\"{x}\" cy=\"{y}\" r=\"6\">{title}</circle>"),
        Sign::Template(category) => {
            let (class, x, y) = (category.word(), x - 6, y - 6);
            writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" rx=\"2\">{title}</rect>"
            )
        }
        Sign::Failed => {
            let path = format!("M{} {}l10 10m0 -10l-10 10", x - 5, y - 5);
            writeln!(svg, "<path class=\"failed\" fill=\"none\" d=\"{path}\">{title}</path>")
        }
    }
}

fn legend(y: i64, svg: &mut String) -> fmt::Result {
    let signs = [
        (Sign::Act, "customer acts"),
        (Sign::Click, "entry point"),
        (Sign::Quiet, "opens nothing"),
        (Sign::FreeForm, "free-form"),
        (Sign::Template(csw::rules::event::Category::Marketing), "template"),
        (Sign::Failed, "failed"),
    ];
    let mut x = LEFT + 6;
    for (sign, name) in signs {
        draw_sign(sign, x, y - 4, "", svg)?;
        writeln!(svg, "<text class=\"faint\" x=\"{}\" y=\"{y}\">{name}</text>", x + 12)?;
        x += 36 + 7 * i64::try_from(name.len()).unwrap_or(0);
    }
    Ok(())
}

fn across(picture: &Picture, at: Timestamp) -> i64 {
    LEFT + picture.place(at, RIGHT - LEFT)
}

/// `10-10 09:00`.
fn clock(picture: &Picture, at: Timestamp) -> String {
    picture.zone.local(at).chars().skip(5).take(11).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
