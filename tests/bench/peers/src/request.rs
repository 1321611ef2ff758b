use serde::Deserialize;
use serde_json::value::RawValue;

/// What a client asks for in the plain dialect.
pub enum Request {
    Subscribe {
        topic: String,
    },
    Publish(Publication),
    Measure(Publication, Caller),
    /// To be answered with itself.
    Echo,
}

#[derive(Deserialize)]
pub struct Publication {
    pub topic: String,
    pub data: Box<RawValue>,
}

/// Who publishes when that is to be timed.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Caller {
    Handler,
    Thread,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    topic: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Subscription {
    topic: String,
}

#[derive(Deserialize)]
struct Measurement {
    topic: String,
    data: Box<RawValue>,
    from: Caller,
}

pub const ACK: &str = r#"{"topic":"ack","data":null}"#;

impl Request {
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        let Envelope { topic, data } = serde_json::from_str(text)?;
        Ok(match topic {
            "subscribe" => Self::Subscribe { topic: serde_json::from_str::<Subscription>(data.get())?.topic },
            "publish" => Self::Publish(serde_json::from_str(data.get())?),
            "measure" => {
                let Measurement { topic, data, from } = serde_json::from_str(data.get())?;
                Self::Measure(Publication { topic, data }, from)
            }
            _ => Self::Echo,
        })
    }
}

impl Publication {
    /// What the subscribers get.
    pub fn message(&self) -> String {
        format!(r#"{{"topic":"{}","data":{}}}"#, self.topic, self.data)
    }
}

/// The answer to a measurement.
pub fn measured(took: std::time::Duration) -> String {
    format!(r#"{{"topic":"measured","data":{}}}"#, took.as_nanos())
}
