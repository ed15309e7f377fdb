//! The views, one shown at a time. Each is a function of sections of the snapshot.

mod ask;
mod direct;
mod graph;
mod identity;
mod inbox;
mod layout;
mod log;
mod mesh;
mod peers;
mod reputation;
mod settings;
mod tasks;
mod trust;

pub use ask::AskView;
pub use inbox::{InboxView, waiting};
pub use log::{LogView, Names};
pub use mesh::MeshView;
pub use reputation::ReputationView;
pub use settings::SettingsView;
