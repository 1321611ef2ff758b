use std::{borrow::Cow, fmt, ops::Range};

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use memchr::memchr2;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{frame::Frame, topic::Topic};

/// How deep JSON may nest: 64 arrays or objects within each other in a message's data.
const MAX_DEPTH: usize = 64;

/// A message from a client: the envelope `{"topic": …, "data": …}`, decoded, with its data as it came.
///
/// Its topic is any string, for which topics mean what is the application's choice.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// # use axum_live::{Message, Session};
/// #[derive(serde::Deserialize)]
/// struct JoinRoom {
///     room: String,
/// }
///
/// async fn on_message(session: Session<()>, message: Message) -> Result<(), Box<dyn std::error::Error>> {
///     match message.topic() {
///         "join_room" => session.subscribe(format!("room:{}", message.json::<JoinRoom>()?.room))?,
///         other => session.send("error", &format!("what is {other}?"))?,
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Message {
    topic: Box<str>,
    payload: Bytes,
    /// Where the data stands in the payload; nowhere when there was none.
    data: Range<usize>,
}

/// Why a frame is no [`Message`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("not a json object with a topic")]
    Envelope(#[source] Option<serde_json::Error>),
    #[error("json nested too deeply")]
    TooDeep,
}

/// What goes over the wire.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Data that was encoded once, to be published or sent many times.
///
/// It stands wherever data to serialise is asked for.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// # use axum_live::{EncodeError, Live, Payload};
/// # let live = Live::<()>::builder().build();
/// let scores = Payload::json(&[("ana", 3), ("bob", 1)])?;
/// for topic in ["game:1", "lobby"] {
///     live.publish(topic, &scores).ok();
/// }
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Payload(Box<RawValue>);

/// Data could not be made into JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Serialising failed, or text given as JSON is not JSON.
    #[error("the data is no json")]
    Json(#[from] serde_json::Error),
    /// Text given as JSON nests deeper than 64 levels.
    #[error("the data nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl Message {
    /// A message as a client would send it: for calling by hand what takes one.
    pub fn new(topic: impl Into<Box<str>>, data: &Payload) -> Self {
        let payload = Bytes::copy_from_slice(data.as_str().as_bytes());
        let data = 0..payload.len();
        Self { topic: topic.into(), payload, data }
    }

    /// What the client wrote as the topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The data as the client wrote it, valid JSON no deeper than 64 levels; `null` when there was none.
    pub fn data(&self) -> &[u8] {
        match self.data.is_empty() {
            true => b"null",
            false => &self.payload[self.data.clone()],
        }
    }

    /// The data as a `T`.
    ///
    /// # Errors
    ///
    /// When the data does not have the shape of `T`.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(self.data())
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, MessageError> {
        let payload = frame.into_payload();
        // A derived struct would take a JSON array as well.
        if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(MessageError::Envelope(None));
        }
        if depth(&payload) > MAX_DEPTH + 1 {
            return Err(MessageError::TooDeep);
        }
        let envelope: Envelope<'_> =
            serde_json::from_slice(&payload).map_err(|error| MessageError::Envelope(Some(error)))?;
        let data = envelope.data.map_or(0..0, |data| {
            let start = data.get().as_ptr().addr() - payload.as_ptr().addr();
            start..start + data.get().len()
        });
        let topic = envelope.topic.into();
        Ok(Self { topic, payload, data })
    }
}

/// The topic in an envelope, where it is one.
pub(crate) fn topic_of(payload: &[u8]) -> Option<Cow<'_, str>> {
    serde_json::from_slice(payload).ok().map(|Envelope { topic, .. }| topic)
}

/// The topic and the length: data has no place in a log.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("topic", &self.topic).field("len", &self.data.len()).finish()
    }
}

impl Payload {
    /// Encodes `data`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Json`] when its `Serialize` fails, or a map has keys that are no strings.
    pub fn json<T: Serialize + ?Sized>(data: &T) -> Result<Self, EncodeError> {
        Ok(Self(serde_json::value::to_raw_value(data)?))
    }

    /// Takes text that is JSON already, and checks it.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Json`] when it is not one JSON value, [`EncodeError::TooDeep`] past 64 levels.
    pub fn raw(json: impl Into<String>) -> Result<Self, EncodeError> {
        let json = json.into();
        if depth(json.as_bytes()) > MAX_DEPTH {
            return Err(EncodeError::TooDeep);
        }
        Ok(Self(RawValue::from_string(json)?))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The data as a `T`.
    ///
    /// # Errors
    ///
    /// When the data does not have the shape of `T`.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }
}

/// `null`.
impl Default for Payload {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

/// Payloads are equal when their texts are.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Payload {}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl IntoResponse for EncodeError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl Frame {
    /// The envelope `{"topic": …, "data": …}`, encoded once, for [`send_frame`](crate::Session::send_frame) to many.
    ///
    /// # Errors
    ///
    /// As [`Payload::json`].
    pub fn message<T: Serialize + ?Sized>(topic: &Topic, data: &T) -> Result<Self, EncodeError> {
        Self::text_by(|json| {
            json.extend_from_slice(br#"{"topic":"#);
            serde_json::to_writer(&mut *json, topic)?;
            json.extend_from_slice(br#","data":"#);
            serde_json::to_writer(&mut *json, data)?;
            json.push(b'}');
            Ok(())
        })
    }
}

/// How many arrays and objects are open at once in what may be JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = json;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = past_string(after),
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What follows the string that `json` is in.
fn past_string(json: &[u8]) -> &[u8] {
    let mut rest = json;
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        if rest[at] == b'"' {
            return &rest[at + 1..];
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(json: &str) -> Result<Message, MessageError> {
        Message::decode(Frame::text(json))
    }

    #[test]
    fn data_stays_as_it_came() {
        let message = decode(r#" {"more":1, "data": {"b": 1.50,"a":[ ]}, "topic":"a\nb"}"#).unwrap();
        assert_eq!(message.topic(), "a\nb");
        assert_eq!(message.data(), br#"{"b": 1.50,"a":[ ]}"#);
    }

    #[test]
    fn absent_data_is_null() {
        assert_eq!(decode(r#"{"topic":"t"}"#).unwrap().data(), b"null");
        assert_eq!(decode(r#"{"topic":"t","data":null}"#).unwrap().data(), b"null");
    }

    #[test]
    fn only_one_object_with_one_topic_is_a_message() {
        for json in [
            "",
            "null",
            "[\"t\",1]",
            "{}",
            r#"{"topic":1}"#,
            r#"{"topic":"a","topic":"b"}"#,
            r#"{"topic":"a","data":1,"data":2}"#,
            r#"{"topic":"a"} {}"#,
            r#"{"topic":"a","data":01}"#,
            "\u{feff}{\"topic\":\"a\"}",
        ] {
            assert!(decode(json).is_err(), "{json}");
        }
    }

    #[test]
    fn data_nests_64_levels_and_no_more() {
        let nested = |levels| format!(r#"{{"topic":"t","data":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(decode(&nested(64)).is_ok());
        assert!(matches!(decode(&nested(65)), Err(MessageError::TooDeep)));
        assert!(matches!(decode(&nested(2_000_000)), Err(MessageError::TooDeep)));
        assert!(decode(r#"{"topic":"t","data":"[[[\"[["}"#).is_ok());
        assert!(Payload::raw("[".repeat(64) + &"]".repeat(64)).is_ok());
        assert!(matches!(Payload::raw("[".repeat(65) + &"]".repeat(65)), Err(EncodeError::TooDeep)));
    }

    #[test]
    fn payload_is_not_encoded_again() {
        let topic = Topic::try_from("t").unwrap();
        let frame = Frame::message(&topic, &Payload::raw(r#"{"a": 1.0}"#).unwrap()).unwrap();
        assert_eq!(frame.payload(), br#"{"topic":"t","data":{"a": 1.0}}"#);
        assert!(Payload::raw("{").is_err());
    }
}
