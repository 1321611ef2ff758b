use super::{ClientError, FromMessage, MessageParts};

/// A function of what a message has: `async fn(extractors…)`, of up to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle messages of sessions with values of type `{V}`, with a state of type `{S}`",
    label = "must be an async fn of up to eight extractors of a message",
    note = "these are `Session<{V}>`, `Live<{V}>`, `Data<T>`, `Params<T>`, `Message`, `Topic`, `State<T>` with \
            `T: FromRef<{S}>`, and `Option` or `Result` of them"
)]
pub trait MessageHandler<T, V, S>: Clone + Send + Sync + 'static {
    /// What the function returns.
    type Output;

    /// Runs the extractors, and then the function.
    fn call(self, parts: &MessageParts<V>, state: &S)
    -> impl Future<Output = Result<Self::Output, ClientError>> + Send;
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
            Fut: Future + Send + 'static,
            V: Send + Sync + 'static,
            S: Send + Sync + 'static,
            $($T: FromMessage<V, S> + Send + 'static,)*
        {
            type Output = Fut::Output;

            #[allow(non_snake_case, unused_variables)]
            async fn call(self, parts: &MessageParts<V>, state: &S) -> Result<Fut::Output, ClientError> {
                $(let $T = $T::from_message(parts, state).map_err(Into::into)?;)*
                Ok(self($($T,)*).await)
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
