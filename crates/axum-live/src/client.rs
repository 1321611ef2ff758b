use axum::{
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS},
};
use sha1::{Digest, Sha1};

const LIVE_JS: &str = include_str!("../js/live.js");

/// A route with the browser client, an ES module without dependencies.
///
/// Pages import `LiveClient` from it, which connects and reconnects, subscribes again on each open, and queues what is
/// sent while offline; `live.d.ts` beside it in this crate's folder `js` is its reference. Those who bundle take the
/// npm package `axum-live` instead.
///
/// Browsers keep it and ask each time whether it is still the same, which it is until the crate is upgraded: the
/// address carries no version, so a copy that need not be asked about would outlive its server.
///
/// # Examples
///
/// ```
/// use axum::{Router, response::Html, routing::get};
/// use axum_live::{Live, LiveLayer, accept};
///
/// const PAGE: &str = "
/// <script type=module>
///     import { LiveClient } from '/live.js';
///
///     const live = new LiveClient('/ws');
///     live.subscribe('news', (news) => document.body.append(news));
/// </script>";
///
/// let live = Live::<()>::builder().build();
/// let app: Router = Router::new()
///     .route("/", get(async || Html(PAGE)))
///     .route("/live.js", axum_live::client())
///     .route("/ws", LiveLayer::anonymous(&live).handler(accept));
/// ```
pub fn client<S>() -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha1::digest(LIVE_JS)));
    let tag = HeaderValue::try_from(tag).expect("base64 is visible ASCII");
    get(async move |headers: HeaderMap| answer(&headers, tag))
}

fn answer(request: &HeaderMap, tag: HeaderValue) -> Response {
    let unchanged = request.get_all(IF_NONE_MATCH).iter().any(|list| names(list, &tag));
    let headers: [(HeaderName, HeaderValue); 3] = [
        (ETAG, tag),
        (CACHE_CONTROL, HeaderValue::from_static("public, no-cache")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, "text/javascript; charset=utf-8")], LIVE_JS).into_response()
}

/// Whether a list of entity tags names this one, weakly compared (RFC 9110 §13.1.2). A comma within another tag makes
/// pieces of it, none of which has the quotes at both ends.
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    list.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|named| {
        let opaque = named.strip_prefix(b"W/").unwrap_or(named);
        named == b"*" || opaque == tag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        extract::Request,
    };
    use tower::Service;

    use super::*;

    async fn ask(method: &str, if_none_match: &[&str]) -> Response {
        let mut request = Request::builder().method(method);
        for list in if_none_match {
            request = request.header(IF_NONE_MATCH, *list);
        }
        client::<()>().call(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn body(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().into()).unwrap()
    }

    async fn tag() -> String {
        ask("GET", &[]).await.headers()[ETAG].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_get_is_answered_with_the_module() {
        let response = ask("GET", &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], "public, no-cache");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(body(response).await, LIVE_JS);
    }

    #[tokio::test]
    async fn the_tag_is_strong() {
        let tag = tag().await;
        assert!(tag.len() > 20 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    }

    #[tokio::test]
    async fn a_head_is_answered_without_the_body() {
        let response = ask("HEAD", &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[ETAG], tag().await);
        assert_eq!(response.headers()["content-length"], LIVE_JS.len().to_string());
        assert_eq!(body(response).await, "");
    }

    #[tokio::test]
    async fn who_has_it_is_answered_304() {
        let tag = tag().await;
        let weak = format!("W/{tag}");
        let listed = format!("\"a,b\" ,W/\"c\", {tag} ,\"d\"");
        let lists: [&[&str]; 5] = [&[&tag], &[&weak], &[&listed], &["\"other\"", &tag], &["*"]];
        for list in lists {
            for method in ["GET", "HEAD"] {
                let response = ask(method, list).await;
                assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{list:?}");
                assert_eq!(response.headers()[ETAG], *tag);
                assert_eq!(response.headers()[CACHE_CONTROL], "public, no-cache");
                assert!(!response.headers().contains_key(CONTENT_TYPE));
                assert_eq!(body(response).await, "");
            }
        }
    }

    #[tokio::test]
    async fn who_has_another_is_answered_with_the_module() {
        let tag = tag().await;
        let bare = tag.trim_matches('"');
        let lowered = format!("w/{tag}");
        for list in ["", "\"\"", "\"other\"", "W/*", bare, &lowered, "**"] {
            assert_eq!(ask("GET", &[list]).await.status(), StatusCode::OK, "{list}");
        }
    }

    #[tokio::test]
    async fn other_methods_are_answered_405() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"] {
            let response = ask(method, &["*"]).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
            assert_eq!(response.headers()["allow"], "GET,HEAD");
        }
    }

    #[test]
    fn the_npm_package_has_the_version_of_the_crate() {
        let package: serde_json::Value = serde_json::from_str(include_str!("../js/package.json")).unwrap();
        assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    }
}
