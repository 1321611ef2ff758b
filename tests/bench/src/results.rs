use serde_json::json;

use crate::{
    case::Case,
    meter::Usage,
    metric::{Figure, Metric},
    summary::Summary,
};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Results {
    measurements: Vec<Measurement>,
}

/// One case of one server in one round.
pub(crate) struct Measurement {
    pub(crate) case: &'static str,
    pub(crate) server: &'static str,
    pub(crate) round: u32,
    /// Or why there is nothing.
    pub(crate) outcome: Result<(Vec<Figure>, Usage), String>,
}

impl Results {
    pub(crate) fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    pub(crate) fn summary(&self, case: &str, server: &str, metric: Metric) -> Option<Summary> {
        Summary::of(self.of(case, server).filter_map(|measurement| measurement.figure(metric)))
    }

    /// Why something could not be measured.
    pub(crate) fn failure(&self, case: &str, server: &str) -> Option<&str> {
        self.of(case, server).find_map(|measurement| measurement.outcome.as_ref().err()).map(String::as_str)
    }

    pub(crate) fn failed(&self) -> bool {
        self.measurements.iter().any(|measurement| measurement.outcome.is_err())
    }

    /// What stands beside the compared figures of a case, unless it is zero throughout.
    pub(crate) fn other_metrics(&self, case: &Case) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = Vec::new();
        for figure in self.measurements.iter().filter(|it| it.case == case.name).flat_map(Measurement::figures) {
            let metric = figure.metric;
            if figure.value != 0.0 && !case.compared.contains(&metric) && !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        metrics
    }

    pub(crate) fn usages(&self) -> impl Iterator<Item = (&Measurement, &Usage)> {
        self.measurements.iter().filter_map(|measurement| Some((measurement, &measurement.outcome.as_ref().ok()?.1)))
    }

    fn of(&self, case: &str, server: &str) -> impl Iterator<Item = &Measurement> {
        self.measurements.iter().filter(move |it| it.case == case && it.server == server)
    }
}

impl Measurement {
    /// A line of JSON.
    pub(crate) fn raw(&self) -> String {
        let figures: serde_json::Map<_, _> =
            self.figures().map(|figure| (figure.metric.title.to_owned(), json!(figure.value))).collect();
        json!({
            "case": self.case,
            "server": self.server,
            "round": self.round,
            "figures": figures,
            "usage": self.outcome.as_ref().ok().map(|(_, usage)| usage),
            "failure": self.outcome.as_ref().err(),
        })
        .to_string()
    }

    pub(crate) fn figures(&self) -> impl Iterator<Item = Figure> {
        self.outcome.iter().flat_map(|(figures, _)| figures.iter().copied())
    }

    fn figure(&self, metric: Metric) -> Option<f64> {
        self.figures().find(|figure| figure.metric == metric).map(|figure| figure.value)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const COST: Metric = Metric::new("cost", "µs", 1);
    const LOST: Metric = Metric::new("lost", "", 0);

    /// A measurement of nothing but these figures.
    pub(crate) fn measurement(server: &'static str, round: u32, figures: &[Figure]) -> Measurement {
        Measurement { case: "window-1", server, round, outcome: Ok((figures.to_vec(), Usage::default())) }
    }

    fn failure(server: &'static str) -> Measurement {
        Measurement { case: "window-1", server, round: 1, outcome: Err("it burst into flames".to_owned()) }
    }

    #[test]
    fn rounds_become_a_summary() {
        let mut results = Results::default();
        for (round, cost) in [(1, 2.0), (2, 9.0), (3, 1.0)] {
            results.add(measurement("floor", round, &[COST.of(cost)]));
        }
        let summary = results.summary("window-1", "floor", COST);
        assert_eq!(summary, Some(Summary { median: 2.0, lowest: 1.0, highest: 9.0 }));
        assert_eq!(results.summary("window-1", "bun", COST), None);
        assert_eq!(results.summary("echo", "floor", COST), None);
    }

    #[test]
    fn one_failure_makes_the_run_incomplete() {
        let mut results = Results::default();
        results.add(measurement("floor", 1, &[COST.of(1.0)]));
        assert!(!results.failed());
        results.add(failure("bun"));
        assert!(results.failed());
        assert_eq!(results.failure("window-1", "bun"), Some("it burst into flames"));
        assert_eq!(results.failure("window-1", "floor"), None);
    }

    #[test]
    fn what_is_zero_throughout_has_no_column() {
        let case = Case::ALL.iter().find(|case| case.name == "window-1").expect("it is a case");
        let mut results = Results::default();
        results.add(measurement("floor", 1, &[COST.of(1.0), LOST.of(0.0)]));
        assert_eq!(results.other_metrics(case), [COST]);
        results.add(measurement("bun", 1, &[COST.of(1.0), LOST.of(3.0)]));
        assert_eq!(results.other_metrics(case), [COST, LOST]);
    }

    #[test]
    fn a_measurement_is_a_line_of_json() {
        let line: serde_json::Value =
            serde_json::from_str(&measurement("floor", 1, &[COST.of(1.5)]).raw()).expect("it is JSON");
        assert_eq!(line["figures"]["cost"], 1.5);
        assert!(line["failure"].is_null() && line["usage"].is_object());
        let line: serde_json::Value = serde_json::from_str(&failure("bun").raw()).expect("it is JSON");
        assert_eq!(line["failure"], "it burst into flames");
    }
}
