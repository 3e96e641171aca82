//! Plots as SVG, each beside a table with the same numbers.
//!
//! plotters draws with attributes alone, as the content policy demands. The colours that stand in them are names for
//! `dashboard.css`, which replaces them by those of the light or the dark theme.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, IntoDrawingArea as _, IntoFont as _, LineSeries, RGBColor,
    SVGBackend, TextStyle,
};

use super::format::number;

/// In the drawing's own units, of which a phone shows about two for three pixels: the text must stay readable there.
const WIDTH: u32 = 440;
const HEIGHT: u32 = 210;

/// The lines' colours, in the order of the series; further series begin again.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x42, 0x47, 0xC7),
    RGBColor(0x14, 0x71, 0x3D),
    RGBColor(0xB0, 0x5A, 0x00),
    RGBColor(0xA8, 0x19, 0x2E),
    RGBColor(0x00, 0x72, 0x8F),
    RGBColor(0x7A, 0x2F, 0x9E),
];
const INK: RGBColor = RGBColor(0x56, 0x5B, 0x70);
const GRID: RGBColor = RGBColor(0xD5, 0xD9, 0xE6);

/// The days that the table shows before it has to be opened further.
const NEWEST_DAYS: usize = 7;

/// One number a day, by series.
pub(super) struct Daily<'a> {
    /// What is plotted, as a heading.
    pub(super) title: &'a str,
    /// What one number counts: "members".
    pub(super) unit: &'a str,
    /// The days, oldest first, as `2026-11-26`.
    pub(super) days: &'a [String],
    /// Name and numbers of each series; `None` where nothing was measured.
    pub(super) series: &'a [(String, Vec<Option<u64>>)],
}

/// The plot in a figure, with the same numbers as a table.
pub(super) fn figure(daily: &Daily<'_>) -> Markup {
    let measured = daily
        .series
        .iter()
        .flat_map(|(_, numbers)| numbers.iter().flatten());
    let highest = measured.clone().max().copied();
    html! {
        figure.plot {
            figcaption { (daily.title) }
            @match highest {
                None => p.fine { "Nothing to show yet." },
                Some(highest) => {
                    @if let Some(svg) = draw(daily, highest) { (svg) }
                    (legend(daily))
                    details {
                        summary { "The numbers" }
                        (table(daily))
                    }
                }
            }
        }
    }
}

fn legend(daily: &Daily<'_>) -> Markup {
    html! {
        ul.legend {
            @for (index, (name, numbers)) in daily.series.iter().enumerate() {
                li {
                    (swatch(&hex(colour(index))))
                    span {
                        (name)
                        @if let Some(newest) = numbers.iter().rev().flatten().next() {
                            ": " strong { (number(*newest)) }
                        }
                    }
                }
            }
        }
    }
}

fn table(daily: &Daily<'_>) -> Markup {
    let rows = |days: std::ops::Range<usize>| {
        html! {
            @for day in days.rev() {
                tr {
                    th scope="row" { (daily.days[day]) }
                    @for (_, numbers) in daily.series {
                        td { @if let Some(Some(value)) = numbers.get(day) { (number(*value)) } @else { "–" } }
                    }
                }
            }
        }
    };
    let first_shown = daily.days.len().saturating_sub(NEWEST_DAYS);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (daily.title) ", as a table" } {
            table {
                caption.fine { (daily.unit) " a day, the newest day first (UTC)" }
                thead { tr {
                    th scope="col" { "Day" }
                    @for (name, _) in daily.series { th scope="col" { (name) } }
                } }
                tbody { (rows(first_shown..daily.days.len())) (rows(0..first_shown)) }
            }
        }
    }
}

/// A coloured square. An attribute, since the content policy forbids inline style.
pub(super) fn swatch(colour: &str) -> Markup {
    html! {
        svg.swatch width="12" height="12" viewBox="0 0 12 12" aria-hidden="true" focusable="false" {
            rect width="12" height="12" rx="3" fill=(colour) {}
        }
    }
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The drawing; `None` where there is nothing to draw a line through.
fn draw(daily: &Daily<'_>, highest: u64) -> Option<Markup> {
    let days = i32::try_from(daily.days.len())
        .ok()
        .filter(|days| *days > 1)?;
    let mut svg = String::new();
    let drawn = draw_into(&mut svg, daily, days, highest);
    if let Err(error) = drawn {
        tracing::warn!(error, title = daily.title, "a plot was not drawn");
        return None;
    }
    // The table says the same to whoever does not see the drawing.
    let hidden = "<svg class=\"drawing\" aria-hidden=\"true\" focusable=\"false\" ";
    Some(PreEscaped(svg.replacen("<svg ", hidden, 1)))
}

fn draw_into(svg: &mut String, daily: &Daily<'_>, days: i32, highest: u64) -> Result<(), String> {
    let text = TextStyle::from(("sans-serif", 22).into_font()).color(&INK);
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let area = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    // Headroom, and whole numbers on the axis for small counts.
    let top = highest.saturating_add(highest / 10).max(4);
    let mut chart = ChartBuilder::on(&area)
        .margin(6)
        .margin_right(34)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(0..days - 1, 0..top)
        .map_err(|error| said(&error))?;
    let day_name = |index: &i32| {
        let day = usize::try_from(*index)
            .ok()
            .and_then(|index| daily.days.get(index));
        day.and_then(|day| day.get(5..))
            .unwrap_or_default()
            .to_owned()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&day_name)
        .y_label_formatter(&|value| number(*value))
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.0))
        .label_style(text)
        .draw()
        .map_err(|error| said(&error))?;
    for (index, (_, numbers)) in daily.series.iter().enumerate() {
        let points = (0..days)
            .zip(numbers)
            .filter_map(|(day, value)| Some((day, (*value)?)));
        let line = LineSeries::new(points.clone(), colour(index).stroke_width(2));
        chart.draw_series(line).map_err(|error| said(&error))?;
        // A line through one day is nothing to see.
        let dots = points.map(|point| Circle::new(point, 2, colour(index).filled()));
        chart.draw_series(dots).map_err(|error| said(&error))?;
    }
    drop(chart);
    area.present().map_err(|error| said(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: usize) -> Vec<String> {
        (1..=count).map(|day| format!("2026-11-{day:02}")).collect()
    }

    #[test]
    fn a_plot_has_no_inline_style_and_the_same_numbers_as_its_table() {
        let days = days(10);
        let numbers = (0..10).map(|day| Some(1_000 + day)).collect();
        let series = [
            ("Gold".to_owned(), numbers),
            ("<b>".to_owned(), vec![None; 10]),
        ];
        let daily = Daily {
            title: "Active members",
            unit: "Members",
            days: &days,
            series: &series,
        };
        let shown = figure(&daily).into_string();
        assert!(shown.contains("<svg class=\"drawing\""), "{shown}");
        assert!(
            !shown.contains("style=") && !shown.contains("<b>"),
            "{shown}"
        );
        assert!(
            shown.contains("#4247C7") && shown.contains("polyline"),
            "{shown}"
        );
        for value in ["1,000", "1,009"] {
            assert!(shown.contains(&format!("<td>{value}</td>")), "{value}");
        }
    }

    #[test]
    fn one_day_or_no_number_draws_nothing_and_says_so() {
        let one = days(1);
        let series = [("Gold".to_owned(), vec![Some(3)])];
        let daily = Daily {
            title: "t",
            unit: "u",
            days: &one,
            series: &series,
        };
        let shown = figure(&daily).into_string();
        assert!(!shown.contains("class=\"drawing\"") && shown.contains("<td>3</td>"));
        let none = [("Gold".to_owned(), vec![None])];
        let shown = figure(&Daily {
            series: &none,
            ..daily
        })
        .into_string();
        assert!(shown.contains("Nothing to show yet."));
    }

    #[test]
    fn huge_numbers_are_drawn_without_overflow() {
        let days = days(3);
        let series = [("Gold".to_owned(), vec![Some(u64::MAX), Some(0), None])];
        let daily = Daily {
            title: "t",
            unit: "u",
            days: &days,
            series: &series,
        };
        assert!(
            figure(&daily)
                .into_string()
                .contains("<svg class=\"drawing\"")
        );
    }
}
