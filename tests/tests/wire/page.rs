//! What tests read of the page.

const PAGE: &str = include_str!("../../../docs/wire.md");

/// A fenced block.
pub(crate) struct Block {
    /// What stands behind the fence.
    pub(crate) info: &'static str,
    /// Its lines, with their numbers in the page.
    pub(crate) lines: Vec<(usize, &'static str)>,
}

/// All fenced blocks of the page.
pub(crate) fn blocks() -> impl Iterator<Item = Block> {
    let mut lines = (1..).zip(PAGE.lines());
    std::iter::from_fn(move || {
        let info = lines.find_map(|(_, line)| line.strip_prefix("```"))?;
        let block = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
        Some(Block { info, lines: block })
    })
}

/// The cells of the table under a heading.
pub(crate) fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim).collect();
    rows.filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}
