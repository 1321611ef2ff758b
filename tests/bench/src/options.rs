use std::{net::SocketAddrV4, path::PathBuf, time::Duration};

use crate::{
    case::{Case, Length},
    load::{Dialect, Pace, Target},
    server::Server,
    serve::Service,
};

pub(crate) const HELP: &str = "\
What axum-live and its peers cost, measured side by side on this machine.

    cargo run --release -p axum-live-bench -- [OPTIONS]

Without options it measures every case of every server three times, which takes up to 25 minutes, and prints tables in
Markdown. What it needs besides Rust it fetches when it is first needed: the peers' crates by cargo, Bun by npm.

  --quick            three short rounds of the cases that need no long ones: about two minutes
  --rehearse         one round of everything with few connections: shows that it all works, not what it costs
  --only CASE,…      these cases only
  --servers NAME,…   these servers only
  --rounds N         so many rounds; a figure is their median
  --against URL      also measure a server that runs already, as `yours`: ws://127.0.0.1:PORT/PATH.
                     It has to speak the dialect in tests/bench/README.md
  --pid PID          its process, whose CPU time and memory count
  --chart FILE       where to draw the chart; beside the program by default
  --raw FILE         write each measurement as a line of JSON too
  --list             tell what there is to measure, and end
  --help             tell this, and end

    cargo run --release -p axum-live-bench -- serve floor|axum-live [--port PORT] [--attached]

only serves, for a profiler or another load generator; `--attached` until standard input ends.

The exit status is 0 if all was measured, 1 if something could not be, 2 if the options are wrong.
";

/// What the command line asks for.
pub(crate) enum Options {
    Help,
    List,
    Serve { service: Service, port: u16, attached: bool },
    Measure(Plan),
}

/// What to measure, and how.
pub(crate) struct Plan {
    pub(crate) cases: Vec<&'static Case>,
    pub(crate) servers: Vec<&'static Server>,
    pub(crate) yours: Option<Target>,
    pub(crate) rounds: u32,
    pub(crate) pace: Pace,
    pub(crate) chart: Option<PathBuf>,
    pub(crate) raw: Option<PathBuf>,
}

/// The command line makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("there is no option {0}")]
    Unknown(String),
    #[error("{0} takes a value")]
    Missing(String),
    #[error("{0} takes {1}, not {2:?}")]
    Invalid(String, &'static str, String),
    #[error("no {0} is called {1:?}; there are {2}")]
    NoSuch(&'static str, String, String),
    #[error("--against and --pid go together")]
    Half,
}

impl Pace {
    const FULL: Self = Self {
        warm_up: Duration::from_secs(1),
        window: Duration::from_secs(4),
        settle: Duration::from_millis(1_500),
        connections: usize::MAX,
    };
    const QUICK: Self = Self {
        warm_up: Duration::from_millis(200),
        window: Duration::from_millis(500),
        settle: Duration::from_millis(100),
        connections: usize::MAX,
    };
    const REHEARSAL: Self = Self {
        warm_up: Duration::from_millis(20),
        window: Duration::from_millis(100),
        settle: Duration::from_millis(20),
        connections: 100,
    };
}

impl Options {
    /// Understands what stands behind the program's name.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, OptionsError> {
        let mut words = Words::of(arguments);
        if words.left.first().is_some_and(|word| word == "serve") {
            words.left.remove(0);
            return Self::parse_serve(words);
        }
        let (mut only, mut servers, mut rounds, mut url, mut pid) = (None, None, None, None, None);
        let (mut length, mut pace, mut usual_rounds) = (Length::Long, Pace::FULL, 3);
        let (mut chart, mut raw) = (None, None);
        while let Some(option) = words.next() {
            match option.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--list" => return Ok(Self::List),
                "--quick" => (length, pace) = (Length::Short, Pace::QUICK),
                "--rehearse" => (pace, usual_rounds) = (Pace::REHEARSAL, 1),
                "--only" => only = Some(words.list(&option, "case", Case::named, Case::ALL.iter().map(|case| case.name))?),
                "--servers" => {
                    let names = Server::ALL.iter().map(|server| server.name);
                    servers = Some(words.list(&option, "server", Server::named, names)?);
                }
                "--rounds" => rounds = Some(words.parse(&option, "a number from 1", |word| word.parse().ok().filter(|n| *n > 0))?),
                "--against" => url = Some(words.parse(&option, "an address like ws://127.0.0.1:9000/ws", parse_url)?),
                "--pid" => pid = Some(words.parse(&option, "the number of a process", |word| word.parse().ok())?),
                "--chart" => chart = Some(words.value(&option)?.into()),
                "--raw" => raw = Some(words.value(&option)?.into()),
                _ => return Err(OptionsError::Unknown(option)),
            }
        }
        let yours = match (url, pid) {
            (Some((address, path)), Some(pid)) => Some(Target { address, path, dialect: Dialect::Plain, pid }),
            (None, None) => None,
            _ => return Err(OptionsError::Half),
        };
        let usual = || Case::ALL.iter().filter(|case| length == Length::Long || case.length == Length::Short).collect();
        Ok(Self::Measure(Plan {
            cases: only.unwrap_or_else(usual),
            servers: servers.unwrap_or_else(|| Server::ALL.iter().collect()),
            yours,
            rounds: rounds.unwrap_or(usual_rounds),
            pace,
            chart,
            raw,
        }))
    }

    fn parse_serve(mut words: Words) -> Result<Self, OptionsError> {
        let service = words.parse("serve", "floor or axum-live", Service::named)?;
        let (mut port, mut attached) = (0, false);
        while let Some(option) = words.next() {
            match option.as_str() {
                "--port" => port = words.parse(&option, "a port", |word| word.parse().ok())?,
                "--attached" => attached = true,
                _ => return Err(OptionsError::Unknown(option)),
            }
        }
        Ok(Self::Serve { service, port, attached })
    }
}

/// The words of the command line that are not understood yet.
struct Words {
    left: Vec<String>,
}

impl Words {
    /// `--name=value` is two words.
    fn of(arguments: impl IntoIterator<Item = String>) -> Self {
        let split = |argument: String| match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => vec![name.to_owned(), value.to_owned()],
            _ => vec![argument],
        };
        Self { left: arguments.into_iter().flat_map(split).collect() }
    }

    fn next(&mut self) -> Option<String> {
        (!self.left.is_empty()).then(|| self.left.remove(0))
    }

    fn value(&mut self, option: &str) -> Result<String, OptionsError> {
        self.next().filter(|word| !word.starts_with("--")).ok_or_else(|| OptionsError::Missing(option.to_owned()))
    }

    fn parse<T>(
        &mut self,
        option: &str,
        what: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, OptionsError> {
        let word = self.value(option)?;
        parse(&word).ok_or_else(|| OptionsError::Invalid(option.to_owned(), what, word))
    }

    fn list<T>(
        &mut self,
        option: &str,
        what: &'static str,
        named: impl Fn(&str) -> Option<T>,
        all: impl Iterator<Item = &'static str>,
    ) -> Result<Vec<T>, OptionsError> {
        let list = self.value(option)?;
        let all: Vec<_> = all.collect();
        let parse = |name: &str| named(name).ok_or_else(|| OptionsError::NoSuch(what, name.to_owned(), all.join(", ")));
        list.split(',').map(parse).collect()
    }
}

fn parse_url(url: &str) -> Option<(SocketAddrV4, String)> {
    let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://"))?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(slash);
    let address: SocketAddrV4 = host.replace("localhost", "127.0.0.1").parse().ok()?;
    // Whatever lies between machines would be measured too, and /proc tells of this one only.
    address.ip().is_loopback().then(|| (address, if path.is_empty() { "/" } else { path }.to_owned()))
}
