//! What we log, as a test sees it.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch, Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry,
};

/// Every span and event of ours, at any level and with all fields, that the thread comes by until this is dropped: for
/// tests on one thread.
pub(crate) struct Captured {
    lines: Lines,
    _subscriber: DefaultGuard,
    /// While a process has one subscriber, tracing asks only the thread that reaches a callsite first whether anybody is
    /// interested, and another test's thread would say no for all. A second subscriber makes it ask both.
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Captured {
    pub(crate) fn start() -> Self {
        let lines = Lines::default();
        let second = Dispatch::new(tracing_subscriber::registry());
        let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
        Self { lines, _subscriber: subscriber, _second: second }
    }

    /// `LEVEL target name field=value…`, an event's name being its message and behind an event the span it is in.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.0.lock().unwrap().clone()
    }

    /// The only line with these words.
    pub(crate) fn line(&self, words: &str) -> String {
        let lines = self.lines();
        let mut found = lines.iter().filter(|line| line.contains(words));
        let line = found.next().unwrap_or_else(|| panic!("{words:?} is not in {lines:#?}"));
        assert_eq!(found.next(), None, "{words:?} is there twice");
        line.clone()
    }
}

impl Lines {
    fn record(&self, metadata: &Metadata<'_>, span: Option<&str>, record: impl FnOnce(&mut dyn Visit)) {
        if metadata.target().starts_with("axum_live") {
            let mut line = Line(format!("{} {} {}", metadata.level(), metadata.target(), metadata.name()));
            record(&mut line);
            line.0.extend(span.iter().flat_map(|span| [" in ", span]));
            self.0.lock().unwrap().push(line.0);
        }
    }
}

impl<S: Subscriber + for<'a> registry::LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.record(attributes.metadata(), None, |line| attributes.record(line));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let metadata = context.metadata(id).expect("the span is open");
        self.record(metadata, None, |line| values.record(line));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = context.event_span(event).map(|span| span.name());
        self.record(event.metadata(), span, |line| event.record(line));
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
