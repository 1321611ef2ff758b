use std::ops::Deref;

use arbitrary::{Arbitrary, Result, Unstructured};

/// Up to 63 bytes: few enough to leave some of a fuzzer's bytes for what follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Short<'a>(&'a [u8]);

impl<'a> Arbitrary<'a> for Short<'a> {
    fn arbitrary(source: &mut Unstructured<'a>) -> Result<Self> {
        let len = usize::from(source.arbitrary::<u8>()? % 64).min(source.len());
        source.bytes(len).map(Self)
    }
}

impl Deref for Short<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}
