use std::fmt;

use crate::{report::Report, results::Results};

/// How far the figures can be trusted.
pub(crate) struct Noise {
    rounds: u32,
    /// How far rounds lie apart, and of what, the least first.
    spreads: Vec<(f64, String)>,
    /// What other processes took of the CPUs during a measurement, the least first.
    others: Vec<(f64, String)>,
    stolen: f64,
}

impl Noise {
    pub(crate) fn of(report: &Report<'_>, results: &Results) -> Self {
        let figures = report
            .compared()
            .flat_map(|(case, metric)| report.servers().iter().map(move |server| (case, *server, metric)));
        let mut spreads: Vec<_> = figures
            .filter_map(|(case, server, metric)| {
                Some((report.summary(case, server, metric)?.spread(), format!("{} of {server}", case.name)))
            })
            .collect();
        let mut others: Vec<_> = results
            .usages()
            .map(|(it, usage)| (usage.others(), format!("{} of {}, round {}", it.case, it.server, it.round)))
            .collect();
        let by_share = |a: &(f64, String), b: &(f64, String)| a.0.total_cmp(&b.0);
        spreads.sort_by(by_share);
        others.sort_by(by_share);
        let stolen = results.usages().map(|(_, usage)| usage.stolen()).fold(0.0, f64::max);
        Self { rounds: report.rounds(), spreads, others, stolen }
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rounds < 2 {
            writeln!(f, "One round cannot tell how far figures spread.")?;
        } else if let (Some((middle, _)), Some((worst, of))) =
            (self.spreads.get(self.spreads.len() / 2), self.spreads.last())
        {
            writeln!(
                f,
                "From its lowest to its highest round a figure spread over {:.0} % of its median, the worst over {:.0} % \
                 ({of}). A difference that is smaller than the spread of either side is none.",
                middle * 100.0,
                worst * 100.0,
            )?;
        }
        if let (Some((middle, _)), Some((worst, of))) = (self.others.get(self.others.len() / 2), self.others.last()) {
            writeln!(
                f,
                "Other processes took {:.0} % of the CPUs, {:.0} % at worst ({of}); the hypervisor withheld {:.0} % at \
                 worst.",
                middle * 100.0,
                worst * 100.0,
                self.stolen * 100.0,
            )?;
        }
        Ok(())
    }
}
