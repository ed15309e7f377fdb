//! `bench size`: what a browser downloads for us, for lumina's node and for js-libp2p.
//!
//! WebAssembly and JavaScript, each as it is published or bundled: our `dist/`, the files of the npm package `lumina-node-wasm`, and js-libp2p with
//! the parts that we use, bundled and minified by esbuild.

use crate::fail::{Doing, Fail, Result, fail};
use crate::run::{Cmd, say};
use crate::{bench, tools, webapp, workspace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a file can travel: as it is, `gzip -9`, `brotli -q 11`.
const ENCODINGS: [&str; 3] = ["raw", "gzip", "brotli"];

/// A program somebody could open instead of ours, and the files of it that a browser downloads.
struct Subject {
    key: &'static str,
    about: &'static str,
    files: Vec<(&'static str, Vec<PathBuf>)>,
}

pub fn bench() -> Result<()> {
    tools::browser_test_packages()?;
    webapp::build()?;
    let subjects = [ours()?, lumina(), js_libp2p()?];

    let mut figures = BTreeMap::new();
    let mut totals = BTreeMap::new();
    println!("\n{:<34} {:>10} {:>10} {:>10}  bytes", "", "raw", "gzip -9", "brotli -11");
    for subject in &subjects {
        let mut total = [0; 3];
        for (kind, files) in &subject.files {
            let sizes = files.iter().try_fold([0; 3], |sum, file| Ok(add(sum, measure(file)?)))?;
            total = add(total, sizes);
            for (index, encoding) in ENCODINGS.iter().enumerate() {
                figures.insert(format!("{}_{kind}_{encoding}", subject.key), bench::constant(sizes[index], "bytes"));
            }
            print_row(&format!("  {} ({kind})", subject.about), sizes);
        }
        for (index, encoding) in ENCODINGS.iter().enumerate() {
            figures.insert(format!("{}_{encoding}", subject.key), bench::constant(total[index], "bytes"));
        }
        print_row(subject.about, total);
        totals.insert(subject.key, total);
    }

    let mut ratios = BTreeMap::new();
    println!();
    for other in &subjects[1..] {
        for (index, encoding) in ENCODINGS.iter().enumerate() {
            let ratio = totals["ours"][index] as f64 / totals[other.key][index] as f64;
            let ratio = (ratio * 1000.0).round() / 1000.0;
            ratios.insert(format!("ours_to_{}_{encoding}", other.key), ratio);
            println!("ours to {}, {encoding}: {ratio:.3}", other.about);
        }
    }
    bench::write("size", 1, figures, ratios)
}

fn print_row(about: &str, [raw, gzip, brotli]: [u64; 3]) {
    println!("{about:<34} {raw:>10} {gzip:>10} {brotli:>10}");
}

fn ours() -> Result<Subject> {
    let dist = webapp::dist();
    let files = webapp::files_below(&dist)?;
    let find = |extension: &str| {
        let matching = files.iter().filter(|path| path.extension().is_some_and(|ext| ext == extension));
        let found: Vec<PathBuf> = matching.cloned().collect();
        if found.is_empty() {
            Err(fail!("dist/ holds no .{extension} file; delete dist/ and build again"))
        } else {
            Ok(found)
        }
    };
    Ok(Subject { key: "ours", about: "mycomesh web app", files: vec![("wasm", find("wasm")?), ("js", find("js")?)] })
}

fn lumina() -> Subject {
    let package = workspace::browser_tests().join("node_modules/lumina-node-wasm");
    Subject {
        key: "lumina",
        about: "lumina-node-wasm",
        files: vec![
            ("wasm", vec![package.join("lumina_node_wasm_bg.wasm")]),
            ("js", vec![package.join("lumina_node_wasm_bg.js")]),
        ],
    }
}

fn js_libp2p() -> Result<Subject> {
    let dir = workspace::browser_tests();
    let bundle = bench::folder()?.join("js-libp2p.mjs");
    say("bundling js-libp2p with esbuild");
    Cmd::new(dir.join("node_modules/.bin/esbuild"))
        .arg("crates/xtask/js/js-libp2p.mjs")
        .args(["--bundle", "--minify", "--format=esm", "--platform=browser", "--log-level=warning"])
        .arg(format!("--outfile={}", bundle.display()))
        .env("NODE_PATH", dir.join("node_modules"))
        .run()?;
    Ok(Subject { key: "js_libp2p", about: "js-libp2p bundle", files: vec![("js", vec![bundle])] })
}

fn add(a: [u64; 3], b: [u64; 3]) -> [u64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// Bytes of a file in each of [`ENCODINGS`]. Node brings both compressors.
fn measure(file: &Path) -> Result<[u64; 3]> {
    let script = workspace::root().join("crates/xtask/js/sizes.mjs");
    let json = Cmd::new("node").arg(script).arg(file).output()?;
    let sizes: Value = serde_json::from_str(&json).doing("read the sizes that Node measured")?;
    let mut result = [0; 3];
    for (index, encoding) in ENCODINGS.iter().enumerate() {
        let size = sizes[*encoding].as_u64().filter(|size| *size > 0);
        result[index] = size.ok_or(fail!("{} is empty, or Node measured no {encoding} size", file.display()))?;
    }
    Ok(result)
}
