mod words;

use std::{net::SocketAddrV4, path::PathBuf, str::FromStr, time::Duration};

use words::Words;

use crate::{
    case::{Case, Length},
    load::{Dialect, Pace, Target},
    scale::Scale,
    serve::Service,
    server::Server,
};

pub(crate) const HELP: &str = include_str!("help.txt");

/// What the command line asks for.
pub(crate) enum Options {
    Help,
    List,
    Serve { service: Service, port: u16, attached: bool },
    Measure(Box<Plan>),
}

/// What to measure, and how.
pub(crate) struct Plan {
    pub(crate) cases: Vec<&'static Case>,
    pub(crate) servers: Vec<&'static Server>,
    /// One's own server.
    pub(crate) yours: Option<Target>,
    pub(crate) rounds: u32,
    pub(crate) pace: Pace,
    pub(crate) scale: Scale,
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
    #[error("{option} takes {expected}, not {got:?}")]
    Invalid { option: String, expected: &'static str, got: String },
    #[error("no {kind} is called {name:?}; there are {all}")]
    NoSuch { kind: &'static str, name: String, all: String },
    #[error("--against and --pid go together")]
    Half,
}

const FULL: Pace =
    Pace { warm_up: Duration::from_secs(1), window: Duration::from_secs(4), settle: Duration::from_millis(1_500) };
const QUICK: Pace = Pace {
    warm_up: Duration::from_millis(150),
    window: Duration::from_millis(400),
    settle: Duration::from_millis(100),
};
const REHEARSAL: Pace =
    Pace { warm_up: Duration::from_millis(20), window: Duration::from_millis(100), settle: Duration::from_millis(20) };

/// Connections in a rehearsal.
const FEW: usize = 100;

impl Options {
    /// Understands what stands behind the program's name.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, OptionsError> {
        let mut words = Words::of(arguments);
        if words.skip("serve") { Self::parse_serve(words) } else { Self::parse_measure(words) }
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

    fn parse_measure(mut words: Words) -> Result<Self, OptionsError> {
        let all = |longest| Case::ALL.iter().filter(move |case| case.length <= longest).collect();
        let mut plan = Plan {
            cases: all(Length::Long),
            servers: Server::ALL.iter().collect(),
            yours: None,
            rounds: 3,
            pace: FULL,
            scale: Scale::default(),
            chart: None,
            raw: None,
        };
        let (mut only, mut rounds, mut url, mut pid) = (None, None, None, None);
        while let Some(option) = words.next() {
            match option.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--list" => return Ok(Self::List),
                "--quick" => (plan.pace, plan.cases) = (QUICK, all(Length::Short)),
                "--rehearse" => {
                    (plan.pace, plan.rounds) = (REHEARSAL, 1);
                    plan.scale.connections.get_or_insert(FEW);
                }
                "--only" => only = Some(words.list(&option, "case", Case::ALL, |case| case.name)?),
                "--servers" => plan.servers = words.list(&option, "server", Server::ALL, |server| server.name)?,
                "--rounds" => rounds = Some(words.parse(&option, "a number from 1", positive)?),
                "--against" => url = Some(words.parse(&option, "an address like ws://127.0.0.1:9000/ws", address)?),
                "--pid" => pid = Some(words.parse(&option, "a process's number", |word| word.parse().ok())?),
                "--connections" => plan.scale.connections = Some(words.parse(&option, "a number from 1", positive)?),
                "--topics" => plan.scale.topics = Some(words.parse(&option, "a number from 1", positive)?),
                "--size" => plan.scale.size = Some(words.parse(&option, "a number from 1", positive)?),
                "--chart" => plan.chart = Some(words.value(&option)?.into()),
                "--raw" => plan.raw = Some(words.value(&option)?.into()),
                _ => return Err(OptionsError::Unknown(option)),
            }
        }
        plan.yours = match (url, pid) {
            (Some((address, path)), Some(pid)) => Some(Target { address, path, dialect: Dialect::Plain, pid }),
            (None, None) => None,
            _ => return Err(OptionsError::Half),
        };
        plan.cases = only.unwrap_or(plan.cases);
        plan.rounds = rounds.unwrap_or(plan.rounds);
        Ok(Self::Measure(Box::new(plan)))
    }
}

fn positive<N: FromStr + Default + PartialOrd>(word: &str) -> Option<N> {
    word.parse().ok().filter(|number| *number > N::default())
}

/// Address and path of a URL on this machine: /proc tells of no other, and the network would be measured too.
fn address(url: &str) -> Option<(SocketAddrV4, String)> {
    let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address: SocketAddrV4 = host.replace("localhost", "127.0.0.1").parse().ok()?;
    address.ip().is_loopback().then(|| (address, if path.is_empty() { "/" } else { path }.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, OptionsError> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    fn plan(line: &str) -> Plan {
        match parse(line) {
            Ok(Options::Measure(plan)) => *plan,
            Ok(_) => panic!("{line} is no plan"),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    fn cases(plan: &Plan) -> Vec<&str> {
        plan.cases.iter().map(|case| case.name).collect()
    }

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        let plan = plan("");
        assert_eq!(plan.cases.len(), Case::ALL.len());
        assert_eq!(plan.servers.len(), Server::ALL.len());
        assert_eq!(plan.rounds, 3);
    }

    #[test]
    fn a_quick_run_leaves_out_what_is_long_unless_it_is_named() {
        assert!(plan("--quick").cases.iter().all(|case| case.length == Length::Short));
        assert_eq!(cases(&plan("--quick --only stall,echo")), ["stall", "echo"]);
        assert_eq!(cases(&plan("--only=stall --quick")), ["stall"]);
    }

    #[test]
    fn rounds_are_as_told_whatever_the_pace() {
        assert_eq!(plan("--rehearse").rounds, 1);
        assert_eq!(plan("--rounds 5 --rehearse").rounds, 5);
        assert!(matches!(parse("--rounds 0"), Err(OptionsError::Invalid { .. })));
    }

    #[test]
    fn a_case_may_be_scaled() {
        assert_eq!(plan("--rehearse").scale.connections, Some(FEW));
        let Scale { connections, topics, size } = plan("--connections 7 --rehearse --topics 3 --size 9").scale;
        assert_eq!((connections, topics, size), (Some(7), Some(3), Some(9)));
        assert!(matches!(parse("--connections 0"), Err(OptionsError::Invalid { .. })));
    }

    #[test]
    fn ones_own_server_is_on_this_machine_and_has_a_process() {
        let yours = plan("--against ws://localhost:9000/ws?token=good --pid 12").yours.expect("it was given");
        assert_eq!((yours.address.to_string().as_str(), yours.path.as_str()), ("127.0.0.1:9000", "/ws?token=good"));
        assert_eq!(plan("--against http://127.0.0.1:9000 --pid 1").yours.expect("it was given").path, "/");
        assert!(matches!(parse("--against ws://10.0.0.1:9000/ws --pid 1"), Err(OptionsError::Invalid { .. })));
        assert_eq!(parse("--against ws://127.0.0.1:9000/ws").err(), Some(OptionsError::Half));
        assert_eq!(parse("--pid 12").err(), Some(OptionsError::Half));
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(parse("--fast").err(), Some(OptionsError::Unknown("--fast".to_owned())));
        assert_eq!(parse("--only --quick").err(), Some(OptionsError::Missing("--only".to_owned())));
        let error = parse("--servers floor,node").err().expect("there is no such server").to_string();
        assert!(error.starts_with(r#"no server is called "node"; there are floor, axum-live,"#), "{error}");
        assert!(matches!(parse("serve node"), Err(OptionsError::Invalid { .. })));
    }

    #[test]
    fn a_server_can_be_served_alone() {
        let options = parse("serve floor --port 9000");
        assert!(matches!(options, Ok(Options::Serve { service: Service::Floor, port: 9000, attached: false })));
    }
}
