use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::{CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page.html");

/// Nothing but the page's own style and script, which their hashes name, and what it asks of where it came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [style, script] = ["style", "script"].map(|element| STANDARD.encode(Sha256::digest(within(element))));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

pub(super) async fn page() -> Response {
    ([(CONTENT_SECURITY_POLICY, POLICY.as_str()), (X_FRAME_OPTIONS, "DENY")], Html(PAGE)).into_response()
}

/// What stands in the page's one element of this name.
fn within(element: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("<{element}>")).unwrap_or_default();
    rest.split_once(&format!("</{element}>")).unwrap_or_default().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_style_and_one_script_and_nothing_from_elsewhere() {
        for element in ["style", "script"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert!(!within(element).is_empty(), "{element}");
        }
        for forbidden in [" style=", "http://", "https://", "innerHTML", "insertAdjacentHTML", "onclick=", "eval("] {
            assert!(!PAGE.replace("http://www.w3.org/", "").contains(forbidden), "{forbidden}");
        }
    }
}
