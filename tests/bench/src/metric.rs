/// What a number means. Less is better in all that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) decimals: usize,
}

/// One number that was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) metric: Metric,
    pub(crate) value: f64,
}

impl Metric {
    pub(crate) const fn new(title: &'static str, unit: &'static str, decimals: usize) -> Self {
        Self { title, unit, decimals }
    }

    pub(crate) const fn of(self, value: f64) -> Figure {
        Figure { metric: self, value }
    }

    /// The value as tables and charts show it.
    pub(crate) fn show(self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }
}
