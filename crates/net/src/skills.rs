//! What a node can do for others: a closure per skill.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use mycomesh_core::wire::Skill;

use crate::platform::{self, Job};

/// Registered skills. Shared between the handle, which registers, and the driver, which runs.
pub(crate) struct Skills(Mutex<BTreeMap<Skill, Job>>);

impl Skills {
    /// The built-in ones: `echo` gives its input back.
    pub(crate) fn built_in() -> Self {
        let echo = platform::job(|_task, _requester, input: String| Box::pin(async move { Ok(input) }));
        Self(Mutex::new([(Skill::echo(), echo)].into()))
    }

    pub(crate) fn register(&self, skill: Skill, job: Job) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(skill, job);
    }

    pub(crate) fn get(&self, skill: &Skill) -> Option<Job> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(skill).cloned()
    }
}
