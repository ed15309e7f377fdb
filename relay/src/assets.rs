//! The web app inside the binary: which file answers a path, how it is encoded, and how long a browser may keep it.
//!
//! `cargo xtask build` makes `dist/`. A file `X` may lie beside `X.br` and `X.gz`, made once at build time; where there
//! is no `X.gz`, it is made in the background when the relay starts.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, OnceLock},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;

/// The page when the web app was not built in.
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Mycomesh relay</title>\n\
    <h1>This relay works, and carries no web app</h1>\n\
    <p>It was compiled without one. <code>cargo xtask build</code> makes a relay with the web app inside.</p>\n";

/// What a page may do when the build says nothing: nothing at all.
const CLOSED_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files smaller than this travel as they are: a header costs as much as is saved.
const COMPRESSED_BYTES_MIN: usize = 1_024;

#[derive(RustEmbed)]
#[folder = "../dist"]
#[allow_missing = true]
struct Dist;

/// The files of the web app.
#[derive(Clone, Debug)]
pub struct Assets {
    files: Arc<BTreeMap<String, File>>,
    policy: HeaderValue,
}

#[derive(Debug)]
struct File {
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: OnceLock<Bytes>,
    /// Of the plain bytes, without quotes.
    tag: String,
    mime: HeaderValue,
    immutable: bool,
}

impl Assets {
    /// What the binary carries.
    pub fn embedded() -> Self {
        Self::new(Dist::iter().filter_map(|name| {
            let file = Dist::get(&name)?;
            let bytes = match file.data {
                std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                std::borrow::Cow::Owned(bytes) => bytes.into(),
            };
            let tag = file.metadata.sha256_hash()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
            Some((name.into_owned(), bytes, tag))
        }))
    }

    fn new(files: impl Iterator<Item = (String, Bytes, String)>) -> Self {
        let mut all: BTreeMap<String, (Bytes, String)> = files.map(|(name, bytes, tag)| (name, (bytes, tag))).collect();
        let policy = all.remove("csp.txt").and_then(|(bytes, _)| {
            let text = std::str::from_utf8(&bytes).ok()?.trim().to_owned();
            HeaderValue::from_str(&text).ok()
        });
        if all.is_empty() {
            all.insert("index.html".into(), (Bytes::from_static(NOT_BUILT.as_bytes()), "none".into()));
        }
        let encoded = |name: &str, ending: &str| all.get(&format!("{name}.{ending}")).map(|(bytes, _)| bytes.clone());
        let files =
            all.iter().filter(|(name, _)| !name.ends_with(".br") && !name.ends_with(".gz")).map(|(name, file)| {
                let file = File {
                    plain: file.0.clone(),
                    brotli: encoded(name, "br"),
                    gzip: encoded(name, "gz").map(OnceLock::from).unwrap_or_default(),
                    tag: file.1.clone(),
                    mime: mime(name),
                    immutable: has_hash(name),
                };
                (name.clone(), file)
            });
        Self { files: Arc::new(files.collect()), policy: policy.unwrap_or(HeaderValue::from_static(CLOSED_POLICY)) }
    }

    /// Whether the binary carries a web app.
    pub fn is_built(&self) -> bool {
        self.files.len() > 1
    }

    /// The Content-Security-Policy that fits the page.
    pub fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// Make what is missing of the gzip encodings. Takes a fraction of a second of one core.
    pub fn compress(&self) {
        for file in self.files.values().filter(|file| is_worth_compressing(file)) {
            file.gzip.get_or_init(|| gzip(&file.plain));
        }
    }

    /// Answer a GET or HEAD of `path`.
    pub fn get(&self, path: &str, request: &HeaderMap) -> Response<Body> {
        let name = path.trim_start_matches('/');
        let name = if name.is_empty() { "index.html" } else { name };
        let Some(file) = self.files.get(name) else {
            return text(StatusCode::NOT_FOUND, "there is no such file; the web app is at /\n");
        };
        file.answer(request)
    }
}

impl File {
    fn answer(&self, request: &HeaderMap) -> Response<Body> {
        let (bytes, encoding) = self.encoded_for(request);
        let tag = match encoding {
            Some(encoding) => format!("\"{}-{encoding}\"", self.tag),
            None => format!("\"{}\"", self.tag),
        };
        let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let fresh = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
        let mut response = Response::new(if fresh { Body::empty() } else { Body::from(bytes) });
        if fresh {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let keep = if self.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.mime.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::ETAG, HeaderValue::from_str(&tag).expect("a tag is plain ASCII"));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }

    fn encoded_for(&self, request: &HeaderMap) -> (Bytes, Option<&'static str>) {
        let accepted = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
        let accepts = |wanted: &str| {
            accepted.split(',').map(|one| one.split_once(';').unwrap_or((one, ""))).any(|(name, quality)| {
                let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
                name.trim().eq_ignore_ascii_case(wanted) && !refused
            })
        };
        if let Some(bytes) = self.brotli.clone().filter(|_| accepts("br")) {
            return (bytes, Some("br"));
        }
        match self.gzip.get().filter(|_| accepts("gzip")) {
            Some(bytes) => (bytes.clone(), Some("gzip")),
            None => (self.plain.clone(), None),
        }
    }
}

/// A plain text that no browser keeps.
pub fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn mime(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "webmanifest" => "application/json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

/// Whether Trunk wrote a hash of the content into the name, so that it never stands for anything else.
fn has_hash(name: &str) -> bool {
    let is_hash = |part: &str| part.len() == 16 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    name.split(['-', '_', '.']).any(is_hash)
}

fn is_worth_compressing(file: &File) -> bool {
    let packed_already = matches!(file.mime.as_bytes(), b"image/png" | b"font/woff2");
    file.plain.len() >= COMPRESSED_BYTES_MIN && !packed_already
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes every write");
    encoder.finish().expect("memory takes every write").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(files: &[(&str, &'static str)]) -> Assets {
        Assets::new(
            files.iter().map(|(name, text)| ((*name).into(), Bytes::from(*text), format!("tag-of-{}", text.trim()))),
        )
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect(text);
        pairs.iter().map(|(name, text)| (header::HeaderName::from_static(name), value(text))).collect()
    }

    /// What `path` answers to a request with these headers: status and the named headers, absent ones empty.
    #[track_caller]
    fn check(assets: &Assets, path: &str, request: &[(&'static str, &str)], expect: (u16, &[(&str, &str)])) {
        let response = assets.get(path, &headers(request));
        assert_eq!(response.status().as_u16(), expect.0, "{path} {request:?}");
        for (name, value) in expect.1 {
            let got = response.headers().get(*name).map_or("", |value| value.to_str().expect("text"));
            assert_eq!(got, *value, "{name} of {path} {request:?}");
        }
    }

    #[test]
    fn files_have_their_type_and_only_hashed_names_are_kept() {
        let assets = assets(&[("index.html", "page"), ("web-0123456789abcdef_bg.wasm", "code"), ("icon.svg", "i")]);
        check(&assets, "/", &[], (200, &[("content-type", "text/html; charset=utf-8"), ("cache-control", "no-cache")]));
        let forever = "public, max-age=31536000, immutable";
        let wasm = [("content-type", "application/wasm"), ("cache-control", forever)];
        check(&assets, "/web-0123456789abcdef_bg.wasm", &[], (200, &wasm));
        check(&assets, "/icon.svg", &[], (200, &[("content-type", "image/svg+xml"), ("cache-control", "no-cache")]));
        check(&assets, "/../Cargo.toml", &[], (404, &[("cache-control", "no-store")]));
    }

    #[test]
    fn a_browser_that_has_the_file_gets_no_second_copy() {
        let assets = assets(&[("index.html", "page"), ("a.css", "a")]);
        check(&assets, "/", &[], (200, &[("etag", "\"tag-of-page\"")]));
        check(&assets, "/", &[("if-none-match", "\"tag-of-page\"")], (304, &[("etag", "\"tag-of-page\"")]));
        check(&assets, "/", &[("if-none-match", "\"x\", W/\"tag-of-page\"")], (304, &[]));
        check(&assets, "/", &[("if-none-match", "\"tag-of-older\"")], (200, &[]));
    }

    #[test]
    fn the_best_accepted_encoding_is_served_under_its_own_tag() {
        let assets = assets(&[("a.js", "a"), ("a.js.br", "b"), ("a.js.gz", "g"), ("index.html", "page")]);
        let encoded = |name, tag| [("content-encoding", name), ("etag", tag), ("vary", "accept-encoding")];
        check(&assets, "/a.js", &[("accept-encoding", "gzip, deflate, br")], (200, &encoded("br", "\"tag-of-a-br\"")));
        check(&assets, "/a.js", &[("accept-encoding", "gzip, br;q=0")], (200, &encoded("gzip", "\"tag-of-a-gzip\"")));
        check(&assets, "/a.js", &[], (200, &encoded("", "\"tag-of-a\"")));
        check(&assets, "/a.js.br", &[], (404, &[]));
    }

    #[test]
    fn what_the_build_did_not_compress_is_compressed_at_start() {
        let long: &'static str = "a rule of a stylesheet; ".repeat(100).leak();
        let assets = assets(&[("a.css", long), ("index.html", "short")]);
        assets.compress();
        check(&assets, "/a.css", &[("accept-encoding", "gzip")], (200, &[("content-encoding", "gzip")]));
        check(&assets, "/", &[("accept-encoding", "gzip")], (200, &[("content-encoding", "")]));
    }

    #[test]
    fn the_policy_is_the_builds_and_is_no_file() {
        let built = assets(&[("csp.txt", "default-src 'self'\n"), ("index.html", "page"), ("a.js", "a")]);
        assert_eq!(built.policy(), "default-src 'self'");
        assert!(built.is_built());
        check(&built, "/csp.txt", &[], (404, &[]));
    }

    #[test]
    fn a_relay_without_web_app_says_how_to_get_one() {
        let empty = assets(&[]);
        assert!(!empty.is_built());
        assert_eq!(empty.policy(), CLOSED_POLICY);
        check(&empty, "/", &[], (200, &[("content-type", "text/html; charset=utf-8")]));
    }
}
