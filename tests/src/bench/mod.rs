//! Benches that need no browser: `mycomesh-bench NAME`, run by `cargo xtask bench NAME`.

mod figures;
pub mod idle;
pub mod mesh;
