use std::{fmt, iter};

use crate::{
    benchmark::YOURS, case::Case, machine, metric::Metric, noise::Noise, results::Results, scale::Scale,
    server::Server, summary::Summary, table::Table,
};

/// Those that the others are put in relation to.
const BASELINES: [&str; 4] = ["floor", "bun", "axum-live", YOURS];
/// What stands where nothing was measured.
const NOTHING: &str = "–";

/// What came out, for people to read.
pub(crate) struct Report<'a> {
    cases: &'a [&'static Case],
    servers: Vec<&'static str>,
    rounds: u32,
    scale: Scale,
    results: &'a Results,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        cases: &'a [&'static Case],
        servers: Vec<&'static str>,
        rounds: u32,
        scale: Scale,
        results: &'a Results,
    ) -> Self {
        Self { cases, servers, rounds, scale, results }
    }

    pub(crate) fn servers(&self) -> &[&'static str] {
        &self.servers
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Each figure that is compared, with the case that it is of.
    pub(crate) fn compared(&self) -> impl Iterator<Item = (&'static Case, Metric)> {
        self.cases.iter().flat_map(|case| case.compared.iter().map(|metric| (*case, *metric)))
    }

    pub(crate) fn summary(&self, case: &Case, server: &str, metric: Metric) -> Option<Summary> {
        self.results.summary(case.name, server, metric)
    }

    /// All figures that are compared, with nothing beside them.
    fn overview(&self) -> Table {
        let mut table = Table::new(iter::once(String::new()).chain(self.servers.iter().map(|name| name.to_string())));
        for (case, metric) in self.compared() {
            let show = |server: &&str| self.show(case, server, metric);
            let name = format!("{}: {}, {}", case.name, metric.title, metric.unit);
            table.row(iter::once(name).chain(self.servers.iter().map(show)));
        }
        table
    }

    /// One figure with its ratios; the first of a case has the figures beside.
    fn table(&self, case: &Case, metric: Metric) -> Table {
        let is_first = case.compared.first() == Some(&metric);
        let others = if is_first { self.results.other_metrics(case) } else { Vec::new() };
        let baselines: Vec<_> = BASELINES.into_iter().filter(|name| self.servers.contains(name)).collect();
        let mut table = Table::new(
            ["server".to_owned(), metric.unit.to_owned(), "spread".to_owned()]
                .into_iter()
                .chain(baselines.iter().map(|name| format!("× {name}")))
                .chain(others.iter().map(|other| format!("{} {}", other.title, other.unit).trim().to_owned())),
        );
        for server in &self.servers {
            let summary = self.summary(case, server, metric);
            let spread = summary.map_or(String::new(), |summary| format!("{:.0} %", summary.spread() * 100.0));
            let ratio = |baseline: &&str| {
                let baseline = self.summary(case, baseline, metric)?.median;
                (baseline > 0.0).then_some(format!("{:.2}", summary?.median / baseline))
            };
            table.row(
                [server.to_string(), self.show(case, server, metric), spread]
                    .into_iter()
                    .chain(baselines.iter().map(|baseline| ratio(baseline).unwrap_or_default()))
                    .chain(others.iter().map(|other| self.show(case, server, *other))),
            );
        }
        table
    }

    /// A line for each case of a server that could not be measured.
    fn failures(&self) -> String {
        let all = self.cases.iter().flat_map(|case| self.servers.iter().map(|server| (case.name, *server)));
        all.filter_map(|(case, server)| {
            Some(format!("- {case} of {server}: {}\n", self.results.failure(case, server)?))
        })
        .collect()
    }

    fn show(&self, case: &Case, server: &str, metric: Metric) -> String {
        self.summary(case, server, metric).map_or(NOTHING.to_owned(), |summary| metric.show(summary.median))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = if self.rounds == 1 { "one round" } else { &format!("medians of {} rounds", self.rounds) };
        writeln!(f, "{}; {rounds}. Less is better.{}\n\n{}", machine::describe(), self.scale, self.overview())?;
        for (case, metric) in self.compared() {
            if case.compared.first() == Some(&metric) {
                writeln!(f, "## {}\n\n{}.\n", case.name, case.about)?;
            }
            writeln!(f, "{}:\n\n{}", metric.title, self.table(case, metric))?;
        }
        let failures = self.failures();
        if !failures.is_empty() {
            writeln!(f, "## Not measured\n\n{failures}")?;
        }
        write!(f, "## Noise\n\n{}", Noise::of(self, self.results))
    }
}

/// What there is to measure.
pub(crate) fn list() -> String {
    let mut text = String::from("Cases:\n");
    text.extend(Case::ALL.iter().map(|case| format!("  {:<17} {}\n", case.name, case.about)));
    text.push_str("\nServers:\n");
    text.extend(Server::ALL.iter().map(|server| format!("  {:<17} {}\n", server.name, server.about)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::Fanout,
        results::{Measurement, tests::measurement},
    };

    fn report(measurements: Vec<Measurement>) -> String {
        let case = Case::ALL.iter().find(|case| case.name == "window-1").expect("it is a case");
        let mut results = Results::default();
        measurements.into_iter().for_each(|measurement| results.add(measurement));
        Report::new(&[case], vec!["floor", "axum-live", "bun"], 2, Scale::default(), &results).to_string()
    }

    #[test]
    fn ratios_are_of_medians() {
        let report = report(vec![
            measurement("floor", 1, &[Fanout::CPU.of(2.0), Fanout::P50.of(0.5)]),
            measurement("floor", 2, &[Fanout::CPU.of(3.0), Fanout::P50.of(0.5)]),
            measurement("axum-live", 1, &[Fanout::CPU.of(5.0)]),
        ]);
        let row = |name: &str| {
            let row = report.lines().rfind(|line| line.starts_with(name)).expect("a row");
            row.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("| server"), "| server | µs | spread | × floor | × bun | × axum-live | p50 ms |");
        assert_eq!(row("| floor"), "| floor | 2.50 | 40 % | 1.00 | | 0.50 | 0.50 |");
        assert_eq!(row("| axum-live"), "| axum-live | 5.00 | 0 % | 2.00 | | 1.00 | – |");
        assert_eq!(row("| bun"), "| bun | – | | | | | – |");
    }

    #[test]
    fn what_could_not_be_measured_is_told() {
        let lame = Measurement { outcome: Err("it sleeps".to_owned()), ..measurement("bun", 1, &[]) };
        let report = report(vec![lame, measurement("floor", 1, &[Fanout::CPU.of(2.0)])]);
        assert!(report.contains("- window-1 of bun: it sleeps\n"), "{report}");
    }
}
