use super::{ClientError, FromMessage, MessageParts};

/// A function that takes messages: `async fn(extractors…)`, of up to eight, which returns nothing or
/// `Result<(), impl Into<ClientError>>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of messages",
    label = "must be an async fn of up to eight extractors that returns `()` or `Result<(), impl Into<ClientError>>`",
    note = "each argument must implement `FromMessage<V, S>`, `V` and `S` being the router's"
)]
pub trait MessageHandler<T, V, S>: Clone + Send + Sync + 'static {
    /// Runs the extractors and the function, and tells the client what failed.
    fn handle(self, parts: MessageParts<V>, state: S) -> impl Future<Output = ()> + Send + 'static;
}

/// What a message handler may return.
#[diagnostic::on_unimplemented(
    message = "a handler of messages cannot return `{Self}`",
    note = "it returns `()`, or `Result<(), E>` with `E: Into<ClientError>`: what a client is to get, it is sent"
)]
pub trait HandlerResult {
    /// The error that the client is told of.
    ///
    /// # Errors
    ///
    /// The handler's.
    fn into_result(self) -> Result<(), ClientError>;
}

impl HandlerResult for () {
    fn into_result(self) -> Result<(), ClientError> {
        Ok(())
    }
}

impl<E: Into<ClientError>> HandlerResult for Result<(), E> {
    fn into_result(self) -> Result<(), ClientError> {
        self.map_err(Into::into)
    }
}

macro_rules! handler_with {
    ($($T:ident),*) => {
        impl<F, Fut, V, S, $($T,)*> MessageHandler<($($T,)*), V, S> for F
        where
            F: FnOnce($($T,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: HandlerResult> + Send + 'static,
            V: Send + Sync + 'static,
            S: Send + Sync + 'static,
            $($T: FromMessage<V, S> + Send + 'static,)*
        {
            #[allow(non_snake_case, unused_variables)]
            async fn handle(self, parts: MessageParts<V>, state: S) {
                $(
                    let $T = match $T::from_message(&parts, &state) {
                        Ok(value) => value,
                        Err(rejection) => return parts.refuse(&rejection.into()),
                    };
                )*
                if let Err(error) = self($($T,)*).await.into_result() {
                    parts.refuse(&error);
                }
            }
        }
    };
}

handler_with!();
handler_with!(T1);
handler_with!(T1, T2);
handler_with!(T1, T2, T3);
handler_with!(T1, T2, T3, T4);
handler_with!(T1, T2, T3, T4, T5);
handler_with!(T1, T2, T3, T4, T5, T6);
handler_with!(T1, T2, T3, T4, T5, T6, T7);
handler_with!(T1, T2, T3, T4, T5, T6, T7, T8);
