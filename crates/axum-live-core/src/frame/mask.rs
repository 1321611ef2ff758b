//! The mask that a client lays over its payloads.

/// A client's masking key, turned to the next payload byte.
#[derive(Clone, Copy)]
pub(super) struct Mask(u32);

impl Mask {
    pub(super) fn new(key: [u8; 4]) -> Mask {
        Mask(u32::from_le_bytes(key))
    }

    /// Unmasks the next bytes of the payload; a payload may come in any number of pieces.
    pub(super) fn apply(&mut self, payload: &mut [u8]) {
        // So plain a loop over words becomes vector instructions.
        let (words, rest) = payload.as_chunks_mut();
        for word in words {
            *word = (u32::from_le_bytes(*word) ^ self.0).to_le_bytes();
        }
        for byte in rest {
            *byte ^= self.0 as u8;
            self.0 = self.0.rotate_right(8);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Mask;

    proptest! {
        #[test]
        fn pieces_unmask_as_the_whole(
            key: [u8; 4],
            payload in prop::collection::vec(any::<u8>(), 0..200),
            pieces in prop::collection::vec(0..40usize, 0..20),
        ) {
            let expected: Vec<u8> = (0..).zip(&payload).map(|(i, byte)| byte ^ key[i % 4]).collect();

            let mut actual = payload;
            let mut mask = Mask::new(key);
            let mut rest = &mut actual[..];
            for piece in pieces {
                let (head, tail) = rest.split_at_mut(piece.min(rest.len()));
                mask.apply(head);
                rest = tail;
            }
            mask.apply(rest);

            prop_assert_eq!(actual, expected);
        }
    }
}
