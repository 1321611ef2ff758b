/// What stands behind patterns of topics. Segments end at colons; `{name}` takes one, and at the end `{*rest}` takes all
/// that is left, as `*` does.
pub(crate) struct Patterns<T> {
    entries: Vec<(String, T)>,
    /// From a pattern to its place among the entries.
    places: matchit::Router<usize>,
}

/// What a topic has where the pattern has parameters, by their names, in their order.
pub(crate) type Captures = Vec<(String, String)>;

impl<T> Patterns<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), places: matchit::Router::new() }
    }

    /// Panics when the pattern is malformed, or cannot be told from another.
    pub(crate) fn insert(&mut self, pattern: String, value: T) {
        let path = match pattern.strip_suffix('*') {
            Some(head) if head.is_empty() || head.ends_with(':') => format!("{head}{{*rest}}"),
            _ => pattern.clone(),
        };
        if let Err(error) = self.places.insert(swap_separators(&path), self.entries.len()) {
            panic!("the pattern {pattern:?} cannot be used: {error}");
        }
        self.entries.push((pattern, value));
    }

    /// What stands behind the pattern that the topic matches; one that is written out goes before a parameter.
    pub(crate) fn find(&self, topic: &str) -> Option<(&T, Captures)> {
        let path = swap_separators(topic);
        // matchit's parameters may be empty in the middle of a path, and may not at its end.
        let found =
            self.places.at(&path).ok().filter(|found| found.params.iter().all(|(_, value)| !value.is_empty()))?;
        let captures = found.params.iter().map(|(name, value)| (name.to_owned(), swap_separators(value))).collect();
        Some((&self.entries[*found.value].1, captures))
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, T)> {
        self.entries.into_iter()
    }

    pub(crate) fn map<U>(self, convert: impl Fn(T) -> U) -> Patterns<U> {
        let entries = self.entries.into_iter().map(|(pattern, value)| (pattern, convert(value))).collect();
        Patterns { entries, places: self.places }
    }
}

impl<T> std::fmt::Debug for Patterns<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|(pattern, _)| pattern)).finish()
    }
}

/// matchit's segments end at slashes, ours at colons; where one stands for the other, a slash in a topic is no more
/// than a letter.
fn swap_separators(topic: &str) -> String {
    topic
        .chars()
        .map(|letter| match letter {
            ':' => '/',
            '/' => ':',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(patterns: &[&str], topic: &str) -> Option<(usize, Captures)> {
        let mut all = Patterns::new();
        patterns.iter().enumerate().for_each(|(at, pattern)| all.insert((*pattern).to_owned(), at));
        all.find(topic).map(|(at, captures)| (*at, captures))
    }

    fn captures(pairs: &[(&str, &str)]) -> Captures {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_topic_is_matched_segment_by_segment() {
        let patterns = ["news", "room:{room}:say", "room:7:say", "admin:*", "files:{*path}"];
        assert_eq!(find(&patterns, "news"), Some((0, captures(&[]))));
        assert_eq!(find(&patterns, "room:a/b:say"), Some((1, captures(&[("room", "a/b")]))));
        assert_eq!(find(&patterns, "room:7:say"), Some((2, captures(&[]))));
        assert_eq!(find(&patterns, "admin:a:b"), Some((3, captures(&[("rest", "a:b")]))));
        assert_eq!(find(&patterns, "files:x"), Some((4, captures(&[("path", "x")]))));
        for other in ["", "new", "news:", "room:7", "room::say", "room:a:b:say", "admin", "admin:", "room/7/say"] {
            assert_eq!(find(&patterns, other), None, "{other}");
        }
        assert_eq!(find(&["*"], "any:thing"), Some((0, captures(&[("rest", "any:thing")]))));
        // Within a segment a star is no more than a letter.
        assert_eq!(find(&["news*"], "newsroom"), None);
        assert_eq!(find(&["news*"], "news*"), Some((0, captures(&[]))));
    }
}
