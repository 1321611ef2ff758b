use crate::{
    load::{Churn, Echo, Failure, Fanout, Flow, Idle, Pace, Publish, Stall, Target},
    meter::Usage,
    metric::{Figure, Metric},
    scale::Scale,
};

/// One thing that is measured of every server.
pub(crate) struct Case {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The figures that have a table and a panel of the chart; the others stand beside them.
    pub(crate) compared: &'static [Metric],
    /// Whether `--quick` leaves it out.
    pub(crate) length: Length,
    scenario: Scenario,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Length {
    Short,
    Long,
}

#[derive(Clone, Copy, Debug)]
enum Scenario {
    Fanout(Fanout),
    Echo(Echo),
    Idle(Idle),
    Churn(Churn),
    Stall(Stall),
    Publish(Publish),
}

const TO_ALL: Fanout = Fanout { subscribers: 1_000, topics: 1, publishers: 1, size: 128, flow: Flow::Window(1) };

impl Case {
    pub(crate) const ALL: &[Self] = &[
        Self {
            name: "window-1",
            about: "1,000 subscribers of one topic, 128 bytes, one publication outstanding: no two can share a write",
            compared: &[Fanout::CPU],
            length: Length::Short,
            scenario: Scenario::Fanout(TO_ALL),
        },
        Self {
            name: "window-16",
            about: "the same with sixteen publications outstanding: what has piled up can be written at once",
            compared: &[Fanout::CPU],
            length: Length::Short,
            scenario: Scenario::Fanout(Fanout { flow: Flow::Window(16), ..TO_ALL }),
        },
        Self {
            name: "rate-200",
            about: "1,000 subscribers of one topic, 128 bytes, 200 publications a second; latency from when each was due",
            compared: &[Fanout::CPU, Fanout::P99],
            length: Length::Short,
            scenario: Scenario::Fanout(Fanout { flow: Flow::Rate(200), ..TO_ALL }),
        },
        Self {
            name: "topics",
            about: "100 topics of 10 subscribers, 8 publishers, 128 bytes, sixteen publications outstanding",
            compared: &[Fanout::CPU],
            length: Length::Short,
            scenario: Scenario::Fanout(Fanout { topics: 100, publishers: 8, flow: Flow::Window(16), ..TO_ALL }),
        },
        Self {
            name: "echo",
            about: "1,000 connections, each with one request of 128 bytes outstanding that is answered with itself",
            compared: &[Echo::CPU],
            length: Length::Short,
            scenario: Scenario::Echo(Echo { connections: 1_000, size: 128 }),
        },
        Self {
            name: "idle",
            about: "5,000 connections that are subscribed and silent; resident memory, without the kernel's for sockets",
            compared: &[Idle::MEMORY],
            length: Length::Short,
            scenario: Scenario::Idle(Idle { connections: 5_000 }),
        },
        Self {
            name: "churn",
            about: "64 clients at a time that connect, subscribe, close by the closing handshake and come again",
            compared: &[Churn::CPU],
            length: Length::Short,
            scenario: Scenario::Churn(Churn { clients: 64 }),
        },
        Self {
            name: "publish-1k",
            about: "how long `publish` to 1,000 subscribers holds its caller up, nothing else being under way",
            compared: &[Publish::BY_HANDLER, Publish::BY_THREAD],
            length: Length::Short,
            scenario: Scenario::Publish(Publish { subscribers: 1_000, size: 128 }),
        },
        Self {
            name: "publish-10k",
            about: "the same with 10,000 subscribers",
            compared: &[Publish::BY_HANDLER, Publish::BY_THREAD],
            length: Length::Long,
            scenario: Scenario::Publish(Publish { subscribers: 10_000, size: 128 }),
        },
        Self {
            name: "fanout-10k",
            about: "10,000 subscribers of one topic, 128 bytes, sixteen publications outstanding",
            compared: &[Fanout::CPU],
            length: Length::Long,
            scenario: Scenario::Fanout(Fanout { subscribers: 10_000, flow: Flow::Window(16), ..TO_ALL }),
        },
        Self {
            name: "stall",
            about: "1,000 subscribers, 100 publications a second; one of them gets 8 MB/s besides and stops reading",
            compared: &[Stall::P99, Stall::MEMORY],
            length: Length::Long,
            scenario: Scenario::Stall(Stall { others: 999, rate: 100 }),
        },
    ];

    pub(crate) fn measure(&self, target: &Target, pace: &Pace, scale: &Scale) -> Result<(Vec<Figure>, Usage), Failure> {
        match self.scenario.scaled(scale) {
            Scenario::Fanout(fanout) => fanout.measure(target, pace),
            Scenario::Echo(echo) => echo.measure(target, pace),
            Scenario::Idle(idle) => idle.measure(target, pace),
            Scenario::Churn(churn) => churn.measure(target, pace),
            Scenario::Stall(stall) => stall.measure(target, pace),
            Scenario::Publish(publish) => publish.measure(target, pace),
        }
    }
}

impl Scenario {
    fn scaled(self, scale: &Scale) -> Self {
        let connections = |usual| scale.connections.unwrap_or(usual);
        let size = |usual| scale.size.unwrap_or(usual);
        match self {
            Self::Fanout(it) => Self::Fanout(Fanout {
                subscribers: connections(it.subscribers),
                topics: scale.topics.unwrap_or(it.topics),
                size: size(it.size),
                ..it
            }),
            Self::Echo(it) => Self::Echo(Echo { connections: connections(it.connections), size: size(it.size) }),
            Self::Idle(it) => Self::Idle(Idle { connections: connections(it.connections) }),
            Self::Churn(it) => Self::Churn(Churn { clients: connections(it.clients) }),
            Self::Stall(it) => Self::Stall(Stall { others: connections(it.others), ..it }),
            Self::Publish(it) => {
                Self::Publish(Publish { subscribers: connections(it.subscribers), size: size(it.size) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_scaled_by_what_is_told_and_nothing_else() {
        let few = Scale { connections: Some(7), topics: Some(3), size: Some(9) };
        let scaled = Scenario::Fanout(TO_ALL).scaled(&few);
        assert!(matches!(scaled, Scenario::Fanout(Fanout { subscribers: 7, topics: 3, size: 9, publishers: 1, .. })));
        for scenario in Case::ALL.iter().map(|case| case.scenario) {
            let connections = match scenario.scaled(&few) {
                Scenario::Fanout(Fanout { subscribers, .. }) | Scenario::Publish(Publish { subscribers, .. }) => {
                    subscribers
                }
                Scenario::Echo(Echo { connections, .. }) | Scenario::Idle(Idle { connections }) => connections,
                Scenario::Churn(Churn { clients }) => clients,
                Scenario::Stall(Stall { others, .. }) => others,
            };
            assert_eq!(connections, 7, "{scenario:?}");
            assert_eq!(format!("{:?}", scenario.scaled(&Scale::default())), format!("{scenario:?}"));
        }
    }
}
