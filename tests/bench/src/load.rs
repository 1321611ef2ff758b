//! The load generator: one thread that is as many clients as it takes, and reads of what it gets little more than the
//! frames' headers, so that the server's cost stands out.

mod churn;
mod connection;
mod dialect;
mod echo;
mod failure;
mod fanout;
mod frame;
mod histogram;
mod idle;
mod listener;
mod pace;
mod publish;
mod stall;
mod swarm;
mod target;

pub(crate) use churn::Churn;
pub(crate) use dialect::Dialect;
pub(crate) use echo::Echo;
pub(crate) use failure::Failure;
pub(crate) use fanout::{Fanout, Flow};
pub(crate) use idle::Idle;
pub(crate) use pace::Pace;
pub(crate) use publish::Publish;
pub(crate) use stall::Stall;
pub(crate) use target::Target;
