use std::fmt;

/// A table in Markdown whose columns are aligned, so that it reads well as it is.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: impl IntoIterator<Item = String>) -> Self {
        Self { rows: vec![headings.into_iter().collect()] }
    }

    /// Adds a row; cells that it lacks stay empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<_> = cells.into_iter().collect();
        cells.resize(self.rows[0].len(), String::new());
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let (first, others) = row.split_at(1);
            write!(f, "| {:<1$} |", first[0], widths[0])?;
            for (cell, width) in others.iter().zip(&widths[1..]) {
                write!(f, " {cell:>width$} |")?;
            }
            writeln!(f)?;
            if number == 0 {
                write!(f, "|{:-<1$}|", "", widths[0] + 2)?;
                for width in &widths[1..] {
                    write!(f, "{:->1$}:|", "", width + 1)?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_they_hold() {
        let mut table = Table::new(["server", "µs", "× floor"].map(String::from));
        table.row(["floor", "2.45", "1.00"].map(String::from));
        table.row(["tokio-websockets".to_owned()]);
        let expected = "\
            | server           |   µs | × floor |\n\
            |------------------|-----:|--------:|\n\
            | floor            | 2.45 |    1.00 |\n\
            | tokio-websockets |      |         |\n";
        assert_eq!(table.to_string(), expected);
    }
}
