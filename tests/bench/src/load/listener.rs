use super::{failure::Failure, swarm::Swarm};

/// What a client hears once it is ready.
pub(crate) enum Heard<'a> {
    /// It is subscribed.
    Ready,
    /// A message; long ones that came in pieces without their text.
    Message(Option<&'a [u8]>),
    /// The connection that we closed has ended.
    Closed,
    /// The connection ended, which we did not ask for.
    Lost,
}

/// What a scenario makes of it.
pub(crate) trait Listener {
    fn hear(&mut self, swarm: &mut Swarm, number: usize, heard: Heard<'_>) -> Result<(), Failure>;
}

/// Nothing is expected, and nothing may end.
pub(crate) struct Calm;

impl Listener for Calm {
    fn hear(&mut self, _: &mut Swarm, _: usize, heard: Heard<'_>) -> Result<(), Failure> {
        match heard {
            Heard::Lost | Heard::Closed => Err(Failure::Disconnected),
            Heard::Ready | Heard::Message(_) => Ok(()),
        }
    }
}
