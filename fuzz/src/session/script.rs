use arbitrary::{Arbitrary, Result, Unstructured};

use crate::short::Short;

/// What happens, and where.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) queue: Queue,
    pub(super) line: Line,
    pub(super) acts: Vec<Act<'a>>,
}

/// What the queue of a session may hold.
#[derive(Debug, Clone, Copy, PartialEq, Arbitrary)]
pub(super) enum Queue {
    /// More than a script can fill.
    Roomy,
    /// So little that a client who does not read is closed soon.
    Tight,
}

/// What carries the sessions.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Line {
    /// A stream in memory, which only the session's task writes.
    Memory,
    /// A socket, which is written by whoever sends.
    Tcp,
}

/// One thing that happens; numbers are taken modulo what there is.
#[derive(Debug, Arbitrary)]
pub(super) enum Act<'a> {
    /// The client sends these bytes, whatever they are.
    Bytes {
        of: u8,
        bytes: Short<'a>,
    },
    /// The client sends a masked frame.
    Frame {
        of: u8,
        first: u8,
        payload: Short<'a>,
    },
    /// The client asks the hook for something.
    Ask {
        of: u8,
        what: Ask,
        topic: u8,
    },
    /// The client reads what is there, up to so many bytes.
    Read {
        of: u8,
        bytes: u16,
    },
    /// The client says that nothing more comes.
    Finish {
        of: u8,
    },
    /// The client is gone, with all that it has not read.
    Vanish {
        of: u8,
    },
    Subscribe {
        of: u8,
        topic: u8,
    },
    Unsubscribe {
        of: u8,
        topic: u8,
    },
    Send {
        to: u8,
        size: u16,
    },
    Publish {
        topic: u8,
        size: u16,
    },
    PublishFrom {
        of: u8,
        topic: u8,
        size: u16,
    },
    Broadcast {
        size: u16,
    },
    Close {
        of: u8,
    },
    CloseWith {
        of: u8,
        code: u16,
        text: Short<'a>,
    },
    /// Every task has so many turns.
    Turns(u8),
    /// Nothing happens for so many seconds.
    Wait(u8),
}

/// What a client has the hook do.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Ask {
    Subscribe,
    Unsubscribe,
    Publish,
    Reply,
    /// To keep the session waiting for a minute.
    Stall,
    Close,
}

impl<'a> Script<'a> {
    /// Reads as many acts as the bytes make.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut source = Unstructured::new(bytes);
        let mut script = Self { queue: source.arbitrary()?, line: source.arbitrary()?, acts: Vec::new() };
        while !source.is_empty() {
            script.acts.push(source.arbitrary()?);
        }
        Ok(script)
    }
}

impl Ask {
    pub(super) const ALL: [(Ask, &'static str); 6] = [
        (Ask::Subscribe, "subscribe"),
        (Ask::Unsubscribe, "unsubscribe"),
        (Ask::Publish, "publish"),
        (Ask::Reply, "reply"),
        (Ask::Stall, "stall"),
        (Ask::Close, "close"),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub(super) fn named(name: &str) -> Option<Ask> {
        Self::ALL.into_iter().find_map(|(ask, known)| (known == name).then_some(ask))
    }
}
