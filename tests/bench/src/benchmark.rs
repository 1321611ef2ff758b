use std::io::{self, Write};

use crate::{
    case::Case,
    load::Target,
    options::Plan,
    results::{Measurement, Results},
    server::{Launch, SupplyError},
};

/// What the column of one's own server is headed with.
pub(crate) const YOURS: &str = "yours";

/// A plan that is carried out.
pub(crate) struct Benchmark<'a> {
    plan: &'a Plan,
    subjects: Vec<Subject>,
}

/// A server that is to be measured.
struct Subject {
    name: &'static str,
    way: Result<Way, SupplyError>,
}

enum Way {
    /// Started anew for each measurement, so that none sees what another left behind.
    Launch(Launch),
    Running(Target),
}

impl<'a> Benchmark<'a> {
    /// Builds and installs what it takes.
    pub(crate) fn prepare(plan: &'a Plan) -> Self {
        let servers =
            plan.servers.iter().map(|server| Subject { name: server.name, way: server.prepare().map(Way::Launch) });
        let yours = plan.yours.iter().map(|target| Subject { name: YOURS, way: Ok(Way::Running(target.clone())) });
        Self { plan, subjects: servers.chain(yours).collect() }
    }

    /// The servers' names in their order.
    pub(crate) fn subjects(&self) -> Vec<&'static str> {
        self.subjects.iter().map(|subject| subject.name).collect()
    }

    /// Measures, tells how it goes, and writes each measurement out as it is made.
    pub(crate) fn run(&self, progress: &mut impl Write, raw: &mut impl Write) -> io::Result<Results> {
        let mut results = Results::default();
        let all = self.plan.cases.len() * self.subjects.len() * self.plan.rounds as usize;
        let mut number = 0;
        for case in &self.plan.cases {
            for round in 0..self.plan.rounds {
                for subject in self.order(round) {
                    number += 1;
                    write!(progress, "[{number}/{all}] {} of {}, round {}: ", case.name, subject.name, round + 1)?;
                    progress.flush()?;
                    let measurement = subject.measure(case, round, self.plan);
                    writeln!(progress, "{}", in_short(&measurement))?;
                    writeln!(raw, "{}", measurement.raw())?;
                    results.add(measurement);
                }
            }
        }
        Ok(results)
    }

    /// Every other round backwards, so that what changes over time is nobody's advantage.
    fn order(&self, round: u32) -> Vec<&Subject> {
        let mut subjects: Vec<_> = self.subjects.iter().collect();
        if round % 2 == 1 {
            subjects.reverse();
        }
        subjects
    }
}

impl Subject {
    fn measure(&self, case: &'static Case, round: u32, plan: &Plan) -> Measurement {
        let measure = |target: &Target| case.measure(target, &plan.pace, &plan.scale);
        let outcome = match &self.way {
            Err(error) => Err(error.to_string()),
            Ok(Way::Running(target)) => measure(target).map_err(|failure| failure.to_string()),
            Ok(Way::Launch(launch)) => {
                let launched = launch.start().and_then(|running| measure(running.target()));
                launched.map_err(|failure| failure.to_string())
            }
        };
        Measurement { case: case.name, server: self.name, round: round + 1, outcome }
    }
}

fn in_short(measurement: &Measurement) -> String {
    match &measurement.outcome {
        Err(failure) => failure.clone(),
        Ok(_) => measurement
            .figures()
            .map(|figure| {
                format!("{} {} {}", figure.metric.title, figure.metric.show(figure.value), figure.metric.unit)
            })
            .collect::<Vec<_>>()
            .join(", "),
    }
}
