use std::collections::VecDeque;

use super::OptionsError;

/// The words of the command line that are not understood yet.
pub(super) struct Words {
    left: VecDeque<String>,
}

impl Words {
    /// `--name=value` is two words.
    pub(super) fn of(arguments: impl IntoIterator<Item = String>) -> Self {
        let split = |argument: String| match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => vec![name.to_owned(), value.to_owned()],
            _ => vec![argument],
        };
        Self { left: arguments.into_iter().flat_map(split).collect() }
    }

    pub(super) fn next(&mut self) -> Option<String> {
        self.left.pop_front()
    }

    /// Takes this word if it is the next.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let is_next = self.left.front().is_some_and(|next| next == word);
        if is_next {
            self.left.pop_front();
        }
        is_next
    }

    /// What follows an option.
    pub(super) fn value(&mut self, option: &str) -> Result<String, OptionsError> {
        self.next().filter(|word| !word.starts_with("--")).ok_or_else(|| OptionsError::Missing(option.to_owned()))
    }

    pub(super) fn parse<T>(
        &mut self,
        option: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, OptionsError> {
        let got = self.value(option)?;
        parse(&got).ok_or_else(|| OptionsError::Invalid { option: option.to_owned(), expected, got })
    }

    /// Those of a list whose names follow an option, separated by commas.
    pub(super) fn list<T>(
        &mut self,
        option: &str,
        kind: &'static str,
        all: &'static [T],
        name_of: impl Fn(&T) -> &'static str,
    ) -> Result<Vec<&'static T>, OptionsError> {
        let find = |name: &str| {
            all.iter().find(|one| name_of(one) == name).ok_or_else(|| {
                let all = all.iter().map(&name_of).collect::<Vec<_>>().join(", ");
                OptionsError::NoSuch { kind, name: name.to_owned(), all }
            })
        };
        self.value(option)?.split(',').map(find).collect()
    }
}
