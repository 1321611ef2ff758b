//! A node's figures for the recorder of the `metrics` facade.

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::{live::Live, stats::Stats};

/// A figure that goes by one name, without labels of its own.
struct Metric<T> {
    name: &'static str,
    unit: Unit,
    read: fn(&Stats) -> T,
    help: &'static str,
}

const SESSIONS: &str = "axum_live_sessions";
const CLOSED: &str = "axum_live_sessions_closed_total";
const REFUSED: &str = "axum_live_requests_refused_total";

const GAUGES: &[Metric<usize>] = &[
    Metric { name: "axum_live_topics", unit: Unit::Count, read: Stats::topics, help: "topics with a subscriber" },
    Metric {
        name: "axum_live_subscriptions",
        unit: Unit::Count,
        read: Stats::subscriptions,
        help: "subscriptions of all sessions",
    },
    Metric { name: "axum_live_users", unit: Unit::Count, read: Stats::users, help: "users with a session" },
    Metric {
        name: "axum_live_queued_messages",
        unit: Unit::Count,
        read: Stats::queued_messages,
        help: "messages that wait in the queues of all sessions",
    },
    Metric {
        name: "axum_live_queued_bytes",
        unit: Unit::Bytes,
        read: Stats::queued_bytes,
        help: "bytes that wait in the queues of all sessions, counted for each session",
    },
    Metric {
        name: "axum_live_waiting_bytes",
        unit: Unit::Bytes,
        read: Stats::waiting_bytes,
        help: "bytes that wait for clients, each message counted once: what the memory budget bounds",
    },
    Metric {
        name: "axum_live_pending_deliveries",
        unit: Unit::Count,
        read: Stats::pending_deliveries,
        help: "deliveries of publications that are under way",
    },
];

const COUNTERS: &[Metric<u64>] = &[
    Metric {
        name: "axum_live_sessions_opened_total",
        unit: Unit::Count,
        read: Stats::opened,
        help: "sessions that opened",
    },
    Metric {
        name: "axum_live_sessions_evicted_total",
        unit: Unit::Count,
        read: Stats::evictions,
        help: "sessions that ended because the node held too much for all clients together",
    },
    Metric {
        name: "axum_live_messages_received_total",
        unit: Unit::Count,
        read: Stats::messages,
        help: "messages from clients",
    },
    Metric {
        name: "axum_live_messages_undecodable_total",
        unit: Unit::Count,
        read: Stats::undecodable_messages,
        help: "messages from clients that could not be decoded, and were dropped",
    },
    Metric {
        name: "axum_live_throttles_total",
        unit: Unit::Count,
        read: Stats::throttles,
        help: "times that a client was slowed down because it sent more than its limits allow",
    },
    Metric {
        name: "axum_live_publications_total",
        unit: Unit::Count,
        read: Stats::publications,
        help: "publications that somebody was to get",
    },
    Metric {
        name: "axum_live_publications_overloaded_total",
        unit: Unit::Count,
        read: Stats::overloaded_publications,
        help: "publications that were refused because too many were under way",
    },
    Metric {
        name: "axum_live_deliveries_total",
        unit: Unit::Count,
        read: Stats::deliveries,
        help: "deliveries of publications that were handed over, one for each receiver",
    },
    Metric {
        name: "axum_live_hook_panics_total",
        unit: Unit::Count,
        read: Stats::hook_panics,
        help: "hooks that panicked",
    },
    Metric {
        name: "axum_live_slow_hooks_total",
        unit: Unit::Count,
        read: Stats::slow_hooks,
        help: "hooks that took longer than a hook should",
    },
    Metric {
        name: "axum_live_blocking_hooks_total",
        unit: Unit::Count,
        read: Stats::blocking_hooks,
        help: "times that a hook held its thread for 100 ms or more without an await",
    },
];

impl<V: Send + Sync + 'static> Live<V> {
    /// Hands the figures of this moment to the recorder of the [`metrics`] facade, described and under names that begin
    /// with `axum_live_`. With the feature `metrics`.
    ///
    /// Call it when the figures are asked for, before a scrape is answered, or every few seconds where they are pushed.
    /// Counters lose nothing in between. It takes what [`stats`](Self::stats) takes and a microsecond for each name.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// use axum_live::Live;
    ///
    /// async fn push(live: Live<()>) {
    ///     let mut ticks = tokio::time::interval(std::time::Duration::from_secs(10));
    ///     loop {
    ///         ticks.tick().await;
    ///         live.report_metrics();
    ///     }
    /// }
    /// ```
    pub fn report_metrics(&self) {
        report(&self.stats(), &[]);
    }

    /// As [`report_metrics`](Self::report_metrics), where a process has several nodes: this one's figures have the label
    /// `node` of this value. Without it they would take each other's place.
    pub fn report_metrics_as(&self, node: &'static str) {
        report(&self.stats(), &[Label::from_static_parts("node", node)]);
    }
}

/// What is reported is absolute, so it does not matter how often that is done, nor when the recorder came.
fn report(stats: &Stats, labels: &[Label]) {
    describe();
    let labelled = |more: &[(&'static str, String)]| -> Vec<Label> {
        let more = more.iter().map(|(name, value)| Label::new(*name, value.clone()));
        labels.iter().cloned().chain(more).collect()
    };
    for metric in GAUGES {
        gauge!(metric.name, labelled(&[])).set((metric.read)(stats) as f64);
    }
    for metric in COUNTERS {
        counter!(metric.name, labelled(&[])).absolute((metric.read)(stats));
    }
    for (state, sessions) in
        [("pending", stats.pending_sessions()), ("open", stats.open_sessions()), ("closing", stats.closing_sessions())]
    {
        gauge!(SESSIONS, labelled(&[("state", state.into())])).set(sessions as f64);
    }
    for (reason, count) in stats.closed_by_reason() {
        counter!(CLOSED, labelled(&[("reason", reason.into())])).absolute(count);
    }
    for (reason, count) in stats.refused_by_reason() {
        counter!(REFUSED, labelled(&[("reason", reason.name().into())])).absolute(*count);
    }
}

fn describe() {
    for Metric { name, unit, help, .. } in GAUGES {
        describe_gauge!(*name, *unit, *help);
    }
    for Metric { name, unit, help, .. } in COUNTERS {
        describe_counter!(*name, *unit, *help);
    }
    describe_gauge!(SESSIONS, Unit::Count, "sessions by their state");
    describe_counter!(CLOSED, Unit::Count, "sessions that opened and whose end has begun, by the reason");
    describe_counter!(REFUSED, Unit::Count, "requests at the door that became no session, by the reason");
}
