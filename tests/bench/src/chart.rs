//! The chart: for each figure that is compared, a panel with a bar for each server.

use std::fmt::{self, Write};

use crate::{case::Case, metric::Metric, report::Report};

const COLUMNS: usize = 2;
const MARGIN: f64 = 24.0;
const PANEL_WIDTH: f64 = 480.0;
const TITLE_HEIGHT: f64 = 28.0;
const ROW_HEIGHT: f64 = 20.0;
const BAR_HEIGHT: f64 = 12.0;
/// Room for the servers' names, and behind the bars for the values.
const NAMES: f64 = 124.0;
const VALUES: f64 = 64.0;

/// Readable on light pages and dark ones.
const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.value { font-variant-numeric: tabular-nums }
.bar { fill: #8c9aa8 }
.floor { fill: #c6cfd8 }
.axum-live, .yours { fill: #c2410c }
.range { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .floor { fill: #56616c }
  .axum-live, .yours { fill: #f0713a }
  .range { stroke: #e6edf3 }
}";

/// Draws what was measured; the line at a bar's end goes from the lowest round to the highest.
pub(crate) fn draw(report: &Report<'_>) -> String {
    let panels: Vec<Panel> = report.compared().filter_map(|(case, metric)| Panel::of(report, case, metric)).collect();
    let panel_height = TITLE_HEIGHT + report.servers().len() as f64 * ROW_HEIGHT + MARGIN;
    let width = MARGIN + COLUMNS as f64 * (PANEL_WIDTH + MARGIN);
    let height = MARGIN + panels.len().div_ceil(COLUMNS) as f64 * panel_height;

    let mut svg = String::new();
    write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n\
         <title>What axum-live and its peers cost; less is better</title>\n<style>\n{STYLE}\n</style>\n"
    )
    .expect(STRINGS);
    for (number, panel) in panels.iter().enumerate() {
        let x = MARGIN + (number % COLUMNS) as f64 * (PANEL_WIDTH + MARGIN);
        let y = MARGIN + (number / COLUMNS) as f64 * panel_height;
        panel.draw(&mut svg, x, y).expect(STRINGS);
    }
    svg.push_str("</svg>\n");
    svg
}

const STRINGS: &str = "a string takes whatever is written to it";

struct Panel {
    title: String,
    bars: Vec<Bar>,
    /// What the longest bar stands for.
    scale: f64,
}

struct Bar {
    server: &'static str,
    /// The text behind the bar.
    value: String,
    /// Lowest, median and highest, if it was measured.
    range: Option<[f64; 3]>,
}

impl Panel {
    /// `None` if no server has the figure.
    fn of(report: &Report<'_>, case: &Case, metric: Metric) -> Option<Self> {
        let bar = |server: &&'static str| match report.summary(case, server, metric) {
            Some(it) => Bar { server, value: metric.show(it.median), range: Some([it.lowest, it.median, it.highest]) },
            None => Bar { server, value: "–".to_owned(), range: None },
        };
        let bars: Vec<Bar> = report.servers().iter().map(bar).collect();
        let scale = bars.iter().filter_map(|bar| bar.range).map(|[.., highest]| highest).reduce(f64::max)?;
        Some(Self { title: format!("{}: {}, {}", case.name, metric.title, metric.unit), bars, scale })
    }

    fn draw(&self, svg: &mut String, x: f64, y: f64) -> fmt::Result {
        let zero = x + NAMES;
        let length =
            |value: f64| if self.scale > 0.0 { value / self.scale * (PANEL_WIDTH - NAMES - VALUES) } else { 0.0 };
        writeln!(svg, "<text class=\"title\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>", y + 12.0, self.title)?;
        for (number, bar) in self.bars.iter().enumerate() {
            let top = y + TITLE_HEIGHT + number as f64 * ROW_HEIGHT;
            let middle = top + BAR_HEIGHT / 2.0;
            let baseline = top + BAR_HEIGHT - 2.0;
            writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"end\">{}</text>",
                zero - 8.0,
                bar.server
            )?;
            let mut end = zero;
            if let Some([lowest, median, highest]) = bar.range {
                end += length(highest);
                writeln!(
                    svg,
                    "<rect class=\"bar {}\" x=\"{zero:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT:.1}\"/>\n\
                     <line class=\"range\" x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{end:.1}\" y2=\"{middle:.1}\"/>",
                    bar.server,
                    length(median).max(1.0),
                    zero + length(lowest),
                )?;
            }
            writeln!(svg, "<text class=\"value\" x=\"{:.1}\" y=\"{baseline:.1}\">{}</text>", end + 8.0, bar.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::Fanout,
        results::{Results, tests::measurement},
        scale::Scale,
    };

    #[test]
    fn bars_are_as_long_as_their_medians() {
        let case = Case::ALL.iter().find(|case| case.name == "window-1").expect("it is a case");
        let mut results = Results::default();
        for (server, round, cost) in [("floor", 1, 1.0), ("axum-live", 1, 2.0), ("axum-live", 2, 4.0)] {
            results.add(measurement(server, round, &[Fanout::CPU.of(cost)]));
        }
        let svg = draw(&Report::new(&[case], vec!["floor", "axum-live", "bun"], 2, Scale::default(), &results));
        let width = |server: &str| -> f64 {
            let (_, bar) = svg.split_once(&format!("<rect class=\"bar {server}\"")).expect("a bar");
            let (_, width) = bar.split_once("width=\"").expect("its width");
            width.split('"').next().expect("a number").parse().expect("a number")
        };
        assert!((width("axum-live") - 3.0 * width("floor")).abs() < 0.2, "{svg}");
        assert!(!svg.contains("bar bun") && svg.contains(">–</text>"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
