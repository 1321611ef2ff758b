use std::fmt;

/// What is otherwise than a case says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scale {
    pub(crate) connections: Option<usize>,
    pub(crate) topics: Option<usize>,
    /// Bytes of a message's text.
    pub(crate) size: Option<usize>,
}

/// Nothing, or a sentence to be added.
impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = [(self.connections, "connections"), (self.topics, "topics"), (self.size, "bytes")];
        let changes: Vec<_> =
            changes.iter().filter_map(|(number, what)| number.map(|number| format!("{number} {what}"))).collect();
        if changes.is_empty() { Ok(()) } else { write!(f, " Of every case with {}.", changes.join(", ")) }
    }
}
