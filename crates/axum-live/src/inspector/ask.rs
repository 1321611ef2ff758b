use serde::Deserialize;

/// What the page wants to see: one view, one page of it, in one order.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    pub(super) view: View,
    pub(super) sort: Order,
    pub(super) page: usize,
    /// Only what has this in its name; nothing for all.
    pub(super) find: String,
    /// Only sessions that are subscribed to this; nothing for all.
    pub(super) topic: String,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    #[default]
    Sessions,
    Topics,
    Closed,
    Counters,
}

/// Which sessions come first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// Those with the fullest queues: the slowest clients.
    #[default]
    Queue,
    Silence,
    Oldest,
    Newest,
    Topics,
}

/// Whether the payloads in a journal are told: it takes a word of the operator's.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Payloads {
    pub(super) payloads: Telling,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Telling {
    #[default]
    Hidden,
    Shown,
}

/// What is looked for, in whatever case.
pub(super) struct Needle(String);

impl Ask {
    /// What is looked for; `None` where all is to be seen.
    pub(super) fn needle(&self) -> Option<Needle> {
        let find = self.find.trim().to_lowercase();
        (!find.is_empty()).then_some(Needle(find))
    }
}

impl Needle {
    /// Whether it is in any of these names.
    pub(super) fn is_in<const N: usize>(&self, names: [&str; N]) -> bool {
        names.iter().any(|name| name.to_lowercase().contains(&self.0))
    }
}
