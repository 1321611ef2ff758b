use std::{io, time::Duration};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    fd::{AsFd, OwnedFd},
    io::Errno,
};

/// How many sockets one wait tells of at most.
const BATCH: usize = 1024;

/// epoll over sockets that are known by a number, level-triggered.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let nothing = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: vec![nothing; BATCH] })
    }

    /// Tells from now on when the socket can be read.
    pub(crate) fn add(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(number as u64), EventFlags::IN)?)
    }

    /// Tells of these from now on, in place of what it told of before.
    pub(crate) fn change(&self, socket: impl AsFd, number: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(number as u64), flags)?)
    }

    /// Waits until a socket has something to tell, or the time is over, and answers how many have.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, &mut self.events[..], timeout.as_ref()) {
            Err(Errno::INTR) => Ok(0),
            result => Ok(result?),
        }
    }

    /// What the last wait told as its `nth`: the socket's number and what it is ready for.
    pub(crate) fn event(&self, nth: usize) -> (usize, EventFlags) {
        let Event { flags, data } = self.events[nth];
        (data.u64() as usize, flags)
    }
}
