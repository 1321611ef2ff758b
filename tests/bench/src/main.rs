#![doc = include_str!("../README.md")]

mod benchmark;
mod case;
mod chart;
mod load;
mod machine;
mod meter;
mod metric;
mod noise;
mod options;
mod poller;
mod process;
mod report;
mod results;
mod scale;
mod serve;
mod server;
mod summary;
mod table;

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, Write},
    process::ExitCode,
};

use benchmark::Benchmark;
use options::{HELP, Options, Plan};
use report::Report;

/// Not all could be measured.
const INCOMPLETE: u8 = 1;
const WRONG_OPTIONS: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => return fail(&error, WRONG_OPTIONS),
    };
    match run(&options) {
        Ok(code) => code,
        Err(error) => fail(&*error, INCOMPLETE),
    }
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    machine::allow_open_files()?;
    match options {
        Options::Help => write!(io::stdout(), "{HELP}")?,
        Options::List => write!(io::stdout(), "{}", report::list())?,
        Options::Serve { service, port, attached } => {
            if *attached {
                serve::end_with_stdin();
            }
            service.run(*port)?;
        }
        Options::Measure(plan) => return measure(plan),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(plan: &Plan) -> Result<ExitCode, Box<dyn Error>> {
    let mut raw: Box<dyn Write> = match &plan.raw {
        Some(path) => Box::new(File::create(path)?),
        None => Box::new(io::sink()),
    };
    let benchmark = Benchmark::prepare(plan);
    let results = benchmark.run(&mut io::stderr(), &mut raw)?;
    let report = Report::new(&plan.cases, benchmark.subjects(), plan.rounds, plan.scale, &results);
    let chart = match &plan.chart {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_extension("svg"),
    };
    fs::write(&chart, chart::draw(&report))?;
    writeln!(io::stdout(), "{report}\nThe chart is {}.", chart.display())?;
    Ok(if results.failed() { INCOMPLETE.into() } else { ExitCode::SUCCESS })
}

fn fail(error: &dyn Error, code: u8) -> ExitCode {
    // If standard error is gone, the code has to do.
    writeln!(io::stderr(), "axum-live-bench: {error}; --help tells more").ok();
    code.into()
}
