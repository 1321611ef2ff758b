use serde::{
    Deserializer,
    de::{
        DeserializeOwned, Error as _, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_plain::Error;

use super::{ClientError, FromMessage, MessageParts};

/// The parameters of the pattern that the message's topic matched: a struct or a map with their names, a tuple in their
/// order, or the value itself where there is one. Values that do not parse are the error `bad_params`.
///
/// # Examples
///
/// ```
/// use axum_live::{MessageRouter, Params};
///
/// #[derive(serde::Deserialize)]
/// struct Move {
///     board: u64,
///     piece: String,
/// }
///
/// async fn moved(Params(Move { board, piece }): Params<Move>) {}
/// async fn resigned(Params(board): Params<u64>) {}
///
/// let router = MessageRouter::<()>::new().on("board:{board}:move:{piece}", moved).on("board:{board}:resign", resigned);
/// # drop(router);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params<T>(pub T);

impl<V, S, T: DeserializeOwned> FromMessage<V, S> for Params<T> {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, _: &S) -> Result<Self, ClientError> {
        let params = T::deserialize(Captured(parts.captures()));
        params.map(Params).map_err(|error| ClientError::new("bad_params", error.to_string()))
    }
}

/// Parameters as the type that is wanted of them.
#[derive(Clone, Copy)]
struct Captured<'de>(&'de [(String, String)]);

struct Value<'de>(&'de str);

impl<'de> Captured<'de> {
    fn only(self) -> Result<serde_plain::Deserializer<'de>, Error> {
        match self.0 {
            [(_, value)] => Ok(Value(value).into_deserializer()),
            all => Err(Error::custom(format_args!("one value is wanted of a topic with {} parameters", all.len()))),
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for Value<'de> {
    type Deserializer = serde_plain::Deserializer<'de>;

    fn into_deserializer(self) -> Self::Deserializer {
        serde_plain::Deserializer::new(self.0)
    }
}

macro_rules! the_only_value {
    ($($method:ident)*) => {
        $(
            fn $method<X: Visitor<'de>>(self, visitor: X) -> Result<X::Value, Error> {
                self.only()?.$method(visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Captured<'de> {
    type Error = Error;

    the_only_value! {
        deserialize_bool deserialize_char deserialize_str deserialize_string
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_any<X: Visitor<'de>>(self, visitor: X) -> Result<X::Value, Error> {
        visitor.visit_map(MapDeserializer::new(self.0.iter().map(|(name, value)| (name.as_str(), Value(value)))))
    }

    fn deserialize_seq<X: Visitor<'de>>(self, visitor: X) -> Result<X::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().map(|(_, value)| Value(value))))
    }

    fn deserialize_tuple<X: Visitor<'de>>(self, length: usize, visitor: X) -> Result<X::Value, Error> {
        if self.0.len() != length {
            let all = self.0.len();
            return Err(Error::custom(format_args!("{length} values are wanted of a topic with {all} parameters")));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<X: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: X,
    ) -> Result<X::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_newtype_struct<X: Visitor<'de>>(self, _: &'static str, visitor: X) -> Result<X::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<X: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: X,
    ) -> Result<X::Value, Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        map struct option unit unit_struct bytes byte_buf identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    fn parse<T: DeserializeOwned>(captures: &[(&str, &str)]) -> Result<T, String> {
        let owned: Vec<_> = captures.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        T::deserialize(Captured(&owned)).map_err(|error| error.to_string())
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Move {
        board: u64,
        piece: Piece,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Piece {
        Rook,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Board(u64);

    #[test]
    fn parameters_are_a_struct_a_map_a_tuple_or_a_value() {
        let two = [("board", "7"), ("piece", "rook")];
        assert_eq!(parse(&two), Ok(Move { board: 7, piece: Piece::Rook }));
        assert_eq!(parse(&two), Ok((7_u64, "rook".to_owned())));
        assert_eq!(parse::<HashMap<String, String>>(&two).unwrap()["piece"], "rook");
        assert_eq!(parse(&[("board", "7")]), Ok(7_u64));
        assert_eq!(parse(&[("board", "7")]), Ok(Board(7)));
        assert_eq!(parse(&[("board", "7")]), Ok("7".to_owned()));
        assert_eq!(parse(&[("piece", "rook")]), Ok(Piece::Rook));
        assert_eq!(parse(&two), Ok(vec!["7".to_owned(), "rook".to_owned()]));
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_so() {
        let two = [("board", "seven"), ("piece", "rook")];
        assert!(parse::<Move>(&two).is_err());
        assert_eq!(parse::<u64>(&two).unwrap_err(), "one value is wanted of a topic with 2 parameters");
        assert_eq!(parse::<(u64,)>(&two).unwrap_err(), "1 values are wanted of a topic with 2 parameters");
        assert!(parse::<u64>(&[("board", "-7")]).is_err());
        assert!(parse::<String>(&[]).is_err());
    }
}
