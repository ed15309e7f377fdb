//! The Content-Security-Policy of the web app.
//!
//! Trunk starts the app from a small script inside `index.html`. The policy allows that very script by its hash, and
//! otherwise only files of the page's own origin, so that nothing a peer sends can ever run.

use crate::fail::{Fail, Result, fail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// The header's value for a page, or why no strict policy fits it.
pub fn policy(html: &str) -> Result<String> {
    for banned in [" style=", "<style", " nonce=", " integrity="] {
        if html.contains(banned) {
            return Err(fail!("index.html contains `{}`, which the page's strict policy would block", banned.trim()));
        }
    }
    let mut scripts = String::new();
    for script in inline_scripts(html)? {
        scripts.push_str(&format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script.as_bytes()))));
    }
    Ok([
        "default-src 'none'",
        &format!("script-src 'self' 'wasm-unsafe-eval'{scripts}"),
        "style-src 'self'",
        "img-src 'self' data: blob:",
        // Peers are anywhere, and each brings its own address.
        "connect-src 'self' ws: wss:",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    .join("; "))
}

/// The text of every script element without a `src`, exactly as a browser hashes it.
fn inline_scripts(html: &str) -> Result<Vec<&str>> {
    let mut scripts = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find("<script") {
        let element = &rest[start..];
        let unclosed = || fail!("index.html has a script element that does not end");
        let (tag, after_tag) = element.split_once('>').ok_or_else(unclosed)?;
        let (text, after_element) = after_tag.split_once("</script>").ok_or_else(unclosed)?;
        if !tag.contains(" src=") {
            scripts.push(text);
        }
        rest = after_element;
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_are_found_byte_for_byte_and_linked_ones_are_not() {
        let html =
            "<head><script src=\"/a.js\"></script><script type=\"module\">\n b \n</script></head><script>c</script>";
        assert_eq!(inline_scripts(html).expect("well-formed"), ["\n b \n", "c"]);
    }

    #[test]
    fn a_script_is_allowed_by_its_hash() {
        // printf "alert('Hello, world.');" | openssl dgst -sha256 -binary | base64
        let policy = policy("<script>alert('Hello, world.');</script>").expect("a plain page");
        let script_src = policy.split("; ").find(|part| part.starts_with("script-src")).expect("it is there");
        assert_eq!(
            script_src,
            "script-src 'self' 'wasm-unsafe-eval' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }

    #[test]
    fn a_page_that_the_policy_would_break_is_refused() {
        for html in ["<p style=\"color:red\">", "<style>p{}</style>", "<script nonce=\"x\">a</script>", "<script>a"] {
            assert!(policy(html).is_err(), "{html}");
        }
    }
}
