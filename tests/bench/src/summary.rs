/// The figures of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Summary {
    /// `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(lower, upper), lowest, highest })
    }

    /// How far the rounds lie apart, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        if self.median > 0.0 { (self.highest - self.lowest) / self.median } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(values: &[f64]) -> Option<f64> {
        Summary::of(values.iter().copied()).map(|summary| summary.median)
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), Some(3.0));
    }

    #[test]
    fn the_spread_is_a_share_of_the_median() {
        let summary = Summary::of([2.0, 1.0, 4.0]).expect("there are some");
        assert_eq!(summary, Summary { median: 2.0, lowest: 1.0, highest: 4.0 });
        assert!((summary.spread() - 1.5).abs() < 1e-9);
        assert_eq!(Summary::of([0.0, 0.0]).expect("there are some").spread(), 0.0);
    }
}
