//! The HTTP ports: the public one and the operator's.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::IntoResponse,
    routing::get,
};
use mycomesh_net::Handle;

use crate::{
    assets::{Assets, text},
    metrics,
    well_known::{Host, Sources},
};

/// An empty file in the data directory, written to see whether that is still possible.
const PROBE: &str = "readyz.probe";

/// What the ports answer from.
#[derive(Clone, Debug)]
pub struct App {
    /// The running node.
    pub node: Handle,
    /// The web app.
    pub assets: Assets,
    /// Where the relay can be dialled.
    pub sources: Arc<Sources>,
    /// Where the database lies.
    pub data_dir: Arc<Path>,
    /// Whether the relay is about to stop.
    pub draining: Arc<AtomicBool>,
}

/// The public port; with the operator's pages where both share it.
pub fn public(app: &App, with_ops: bool) -> Router {
    let routes = Router::new()
        .route("/.well-known/mycomesh.json", get(well_known))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(web_app);
    let routes = if with_ops { routes.route("/metrics", get(show_metrics)) } else { routes };
    routes.layer(from_fn_with_state(app.assets.policy(), secure)).with_state(app.clone())
}

/// The operator's port.
pub fn ops(app: &App) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .layer(from_fn_with_state(app.assets.policy(), secure))
        .with_state(app.clone())
}

async fn web_app(State(app): State<App>, method: axum::http::Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    if method != axum::http::Method::GET && method != axum::http::Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    app.assets.get(uri.path(), &headers)
}

async fn well_known(State(app): State<App>, headers: HeaderMap) -> impl IntoResponse {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).and_then(Host::parse);
    let document = app.sources.document(&app.node.snapshot().me.addrs, host.as_ref());
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        // Any page may ask: an app served elsewhere joins through this relay, too.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, serde_json::to_string(&document).expect("texts are valid JSON"))
}

/// The process runs.
async fn healthz() -> Response<Body> {
    text(StatusCode::OK, "ok\n")
}

/// Peers may be sent here.
async fn readyz(State(app): State<App>) -> Response<Body> {
    if app.draining.load(Ordering::Relaxed) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::fs::write(app.data_dir.join(PROBE), b"").await {
        Ok(()) => text(StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(%error, folder = %app.data_dir.display(), "the data directory cannot be written");
            text(StatusCode::SERVICE_UNAVAILABLE, "the data directory cannot be written; see the log\n")
        }
    }
}

async fn show_metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")], metrics::encode(&app.node))
}

/// Headers of every answer: nothing but the page's own files may run, and nobody learns where a visitor came from.
async fn secure(State(policy): State<HeaderValue>, request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    protect(response.headers_mut(), policy);
    response
}

fn protect(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_carries_the_security_headers() {
        let mut headers = HeaderMap::new();
        protect(&mut headers, HeaderValue::from_static("default-src 'self'"));
        let expect = [
            ("content-security-policy", "default-src 'self'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ];
        for (name, value) in expect {
            assert_eq!(headers.get(name).map(HeaderValue::as_bytes), Some(value.as_bytes()), "{name}");
        }
    }
}
