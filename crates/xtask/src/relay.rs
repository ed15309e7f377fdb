//! Builds the relay with the web app inside, and starts it.

use crate::fail::{Doing, Fail, Result, fail};
use crate::run::{Cmd, say};
use crate::{webapp, workspace};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const HTTP: &str = "127.0.0.1:8080";

/// Builds the relay and returns where it lies.
pub fn build() -> Result<PathBuf> {
    webapp::build()?;
    compile()?;
    let binary = workspace::relay_binary()?;
    if !carries_web_app(&binary)? {
        // Cargo watches the embedded files, so it cannot notice the first ones.
        touch_embedder()?;
        compile()?;
        if !carries_web_app(&binary)? {
            return Err(fail!(
                "the relay does not embed dist/: check that its RustEmbed folder is ../dist, relative to relay/Cargo.toml"
            ));
        }
    }
    say(&format!("built {}", workspace::shown(&binary)));
    Ok(binary)
}

/// Builds the relay and becomes it.
pub fn up(args: &[String]) -> Result<()> {
    let http = chosen_http(args);
    let address = match &http {
        Http::Default => Some(HTTP),
        Http::Address(address) => Some(address.as_str()),
        Http::Elsewhere => None,
    };
    // Before the build, which may take minutes.
    address.map_or(Ok(()), refuse_taken)?;
    let binary = build()?;
    match address {
        Some(address) => say(&format!("open http://{address} once the relay says it is ready; Ctrl-C stops it")),
        None => say("open the address that the relay says it is ready on; Ctrl-C stops it"),
    }
    let default = (http == Http::Default).then_some(["--http", HTTP]);
    Err(Cmd::new(binary).args(default.into_iter().flatten()).args(args).become_it())
}

/// Who decides where the web page is served.
#[derive(Debug, PartialEq)]
enum Http {
    Default,
    Address(String),
    /// A configuration file or the environment, which the relay reads itself; or any free port.
    Elsewhere,
}

fn chosen_http(args: &[String]) -> Http {
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value =
            if word == "--http" { words.next().cloned() } else { word.strip_prefix("--http=").map(str::to_owned) };
        match value {
            Some(address) if address.ends_with(":0") => return Http::Elsewhere,
            Some(address) => return Http::Address(address),
            None => {}
        }
    }
    let has_config = args.iter().any(|word| word == "--config" || word.starts_with("--config="));
    if has_config || std::env::vars_os().any(|(name, _)| name == "MYCOMESH_HTTP" || name == "MYCOMESH_CONFIG") {
        return Http::Elsewhere;
    }
    Http::Default
}

fn refuse_taken(address: &str) -> Result<()> {
    match TcpListener::bind(address) {
        Err(err) if err.kind() == std::io::ErrorKind::AddrInUse => Err(fail!(
            "{address} is in use by another program: stop that, or choose another with `cargo xtask up -- --http 127.0.0.1:9080`"
        )),
        // Anything else the relay says better itself.
        _ => Ok(()),
    }
}

fn compile() -> Result<()> {
    Cmd::new("cargo").args(["build", "--release", "-p", "mycomesh-relay"]).run()
}

/// Whether the name of the page's WebAssembly file, which changes with its content, stands in the binary.
fn carries_web_app(binary: &Path) -> Result<bool> {
    let dist = webapp::dist();
    let files = webapp::files_below(&dist)?;
    let wasm = files.iter().find(|path| path.extension().is_some_and(|ext| ext == "wasm"));
    let name =
        wasm.and_then(|path| path.file_name()).ok_or(fail!("{} holds no .wasm file", workspace::shown(&dist)))?;
    let bytes = fs::read(binary).doing(format!("read {}", workspace::shown(binary)))?;
    let name = name.as_encoded_bytes();
    Ok(bytes.windows(name.len()).any(|window| window == name))
}

/// Makes cargo compile the crate anew that embeds the web app.
fn touch_embedder() -> Result<()> {
    let embedder = workspace::root().join("relay/src/lib.rs");
    let doing = format!("mark {} as changed", workspace::shown(&embedder));
    let file = fs::File::options().append(true).open(&embedder).doing(&doing)?;
    file.set_modified(SystemTime::now()).doing(&doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_on_the_usual_port_unless_told_otherwise() {
        let check = |words: &str, expect: Http| {
            let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            assert_eq!(chosen_http(&args), expect, "{words}");
        };
        check("", Http::Default);
        check("--network test", Http::Default);
        check("--http 127.0.0.1:9000", Http::Address("127.0.0.1:9000".into()));
        check("--http=127.0.0.1:9000", Http::Address("127.0.0.1:9000".into()));
        check("--http 127.0.0.1:0", Http::Elsewhere);
        check("--config relay.toml", Http::Elsewhere);
    }

    #[test]
    fn a_taken_port_is_one_clear_line() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("it is bound").to_string();
        let err = refuse_taken(&address).expect_err("it is taken").to_string();
        assert!(err.contains(&address) && err.contains("in use") && !err.contains('\n'), "{err}");
    }
}
