//! Plots as SVG. Their colours are names: the style sheet gives each its shade by day, by night and
//! on paper, so no plot needs to be drawn twice. Lines differ in shape, too, not in colour alone.

use ferry_domain::{ItemState, Tally};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    pace::{Moment, Span},
    text::{brief, count, share},
};

// The style sheet knows these colours.
const INK: RGBColor = RGBColor(0x1a, 0x1c, 0x1e);
const GRID: RGBColor = RGBColor(0xd0, 0xd4, 0xd9);
const MAIN: RGBColor = RGBColor(0x1f, 0x5f, 0xbf);
const OTHER: RGBColor = RGBColor(0xb3, 0x40, 0x0f);
const SOFT: RGBColor = RGBColor(0xc9, 0xda, 0xf5);
const GREY: RGBColor = RGBColor(0x6b, 0x72, 0x7a);

const WIDTH: u32 = 640;
const FONT: i32 = 19;
/// Width of the outcomes' names, and of the numbers behind their bars.
const NAMES: i32 = 120;
const NUMBERS: i32 = 250;
const ROW: i32 = 34;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws into a text; `None` where that failed.
fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Option<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
    let drawn = draw(&area).and_then(|()| Ok(area.present()?));
    drop(area);
    drawn.ok().map(|()| text)
}

/// A bar for each outcome; whoever is there is seen, if only as a line.
pub(super) fn outcomes(tally: &Tally) -> Option<String> {
    let states: Vec<ItemState> = super::outcomes().collect();
    let most = states.iter().map(|state| tally.count(*state)).max().unwrap_or_default().max(1);
    let room = (WIDTH as i32 - NAMES - NUMBERS) as f64;
    svg(states.len() as u32 * ROW as u32, |area| {
        for (row, state) in (0i32..).zip(&states) {
            let users = tally.count(*state);
            let (top, middle) = (row * ROW, row * ROW + ROW / 2);
            let long = (users as f64 * room / most as f64).round() as i32;
            let end = NAMES + if users > 0 { long.max(2) } else { 0 };
            let color = match state {
                ItemState::Created | ItemState::Adopted => MAIN,
                ItemState::Conflict | ItemState::Failed => OTHER,
                _ => GREY,
            };
            let word = ("sans-serif", FONT).into_font().color(&INK);
            area.draw_text(
                state.as_str(),
                &word.pos(Pos::new(HPos::Right, VPos::Center)),
                (NAMES - 10, middle),
            )?;
            area.draw(&Rectangle::new([(NAMES, top + 6), (end, top + ROW - 6)], color.filled()))?;
            let number = match users {
                0 => "0".to_owned(),
                users => format!("{} ({})", count(users), share(users, tally.source)),
            };
            area.draw_text(&number, &word.pos(Pos::new(HPos::Left, VPos::Center)), (end + 10, middle))?;
        }
        Ok(())
    })
}

/// An axis of time: its length, its unit, and where orders are marked. All in that unit.
pub(super) struct Time {
    pub end: f64,
    pub seconds: f64,
    pub unit: &'static str,
    pub orders: Vec<f64>,
}

/// Users that ended, as a filled line, and users read back, as a broken one.
pub(super) fn sums(moments: &[Moment], source: i64, time: &Time) -> Option<String> {
    let most = moments.iter().map(|moment| moment.ended.max(moment.read_back)).max().unwrap_or_default();
    let top = source.max(most).max(1) as f64;
    let line = |of: fn(&Moment) -> i64| {
        let point = move |moment: &Moment| (moment.at / time.seconds, of(moment) as f64);
        moments.iter().map(point).collect::<Vec<_>>()
    };
    over_time(top, Values::Whole, time, |chart| {
        let ended = line(|moment| moment.ended);
        chart.draw_series(AreaSeries::new(ended.iter().copied(), 0.0, SOFT.filled()))?;
        chart.draw_series(LineSeries::new(ended, MAIN.stroke_width(3)))?;
        let read = line(|moment| moment.read_back);
        chart.draw_series(DashedLineSeries::new(read, 8, 6, OTHER.stroke_width(3)))?;
        Ok(())
    })
}

/// Users a second as stairs, and what the limits allow as a broken line.
pub(super) fn rates(spans: &[Span], allowed: Option<f64>, time: &Time) -> Option<String> {
    let most = spans.iter().map(|span| span.per_second).fold(0.0, f64::max);
    let top = allowed.unwrap_or_default().max(most).max(0.1);
    over_time(top, Values::Any, time, |chart| {
        let stair: Vec<_> = spans
            .iter()
            .flat_map(|span| [span.from, span.to].map(|at| (at / time.seconds, span.per_second)))
            .collect();
        chart.draw_series(AreaSeries::new(stair.iter().copied(), 0.0, SOFT.filled()))?;
        chart.draw_series(LineSeries::new(stair, MAIN.stroke_width(2)))?;
        let line = allowed.map(|allowed| vec![(0.0, allowed), (time.end, allowed)]);
        chart.draw_series(DashedLineSeries::new(line.unwrap_or_default(), 8, 6, OTHER.stroke_width(3)))?;
        Ok(())
    })
}

type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// What stands at the left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    /// There is no half user.
    Whole,
    Any,
}

/// The frame of both: time below, numbers at the left, orders as thin lines.
fn over_time(
    top: f64,
    values: Values,
    time: &Time,
    draw: impl for<'a, 'b> FnOnce(&mut Chart<'a, 'b>) -> Drawn,
) -> Option<String> {
    svg(320, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(12)
            .margin_right(24)
            .x_label_area_size(58)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..time.end.max(f64::MIN_POSITIVE), 0.0..top * 1.04)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GREY)
            .x_labels(6)
            .y_labels(5)
            .label_style(("sans-serif", FONT).into_font().color(&INK))
            .x_label_formatter(&|value| brief(*value))
            .y_label_formatter(&|value| match values {
                Values::Whole if value.fract() != 0.0 => String::new(),
                _ => brief(*value),
            })
            .x_desc(format!("{} since the start", time.unit))
            .draw()?;
        draw(&mut chart)?;
        for &at in &time.orders {
            let line = [(at, 0.0), (at, top * 1.04)];
            chart.draw_series(DashedLineSeries::new(line, 2, 4, INK.stroke_width(1)))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(end: f64) -> Time {
        Time { end, seconds: 1.0, unit: "seconds", orders: vec![end / 2.0] }
    }

    #[test]
    fn one_user_of_a_million_is_seen() {
        let tally = Tally { source: 1_000_000, created: 999_999, failed: 1, ..Tally::default() };
        let svg = outcomes(&tally).unwrap();
        assert!(svg.contains("width=\"2\"") && svg.contains("1 (under 0.1 %)"), "{svg}");
        assert!(outcomes(&Tally::default()).unwrap().contains("created"));
    }

    #[test]
    fn plots_of_nothing_and_of_very_much_have_no_number_that_is_none() {
        let moment = |at, ended| Moment { at, ended, read_back: 0 };
        for moments in [vec![moment(0.0, 0)], vec![moment(0.0, 0), moment(0.000_1, i64::MAX / 4)]] {
            let end = moments.last().unwrap().at;
            let svg = sums(&moments, 0, &time(end)).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let span = Span { from: 0.0, to: 259_200.0, per_second: 0.0 };
        let svg = rates(&[span], Some(47.5), &time(259_200.0)).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
