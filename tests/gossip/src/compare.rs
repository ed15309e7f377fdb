//! The figures of both sides, over several seeds, side by side.

use std::{sync::Mutex, thread};

use mycomesh_sim::gossip::Config;
use serde::Serialize;

use crate::{
    model,
    plan::{Case, Plan},
    real,
    tally::Figures,
};

/// What a case gave.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The case's name.
    pub case: &'static str,
    /// Each seed, with the real figures and the model's.
    pub seeds: Vec<(u64, Figures, Figures)>,
}

/// One of the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// [`Figures::delivery`].
    Delivery,
    /// [`Figures::hops`].
    Hops,
    /// [`Figures::duplicates`].
    Duplicates,
    /// [`Figures::asked_for`].
    AskedFor,
    /// [`Figures::mesh_links`].
    MeshLinks,
    /// [`Figures::wrong_frames`].
    WrongFrames,
}

/// One figure's means over all seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Which.
    pub figure: Figure,
    /// In reality.
    pub real: f64,
    /// In the model.
    pub model: f64,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Delivery, Self::Hops, Self::Duplicates, Self::AskedFor, Self::MeshLinks, Self::WrongFrames];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Hops => "hops",
            Self::Duplicates => "duplicates",
            Self::AskedFor => "asked for",
            Self::MeshLinks => "mesh links",
            Self::WrongFrames => "wrong frames",
        }
    }

    /// Its value.
    pub fn of(self, figures: &Figures) -> f64 {
        match self {
            Self::Delivery => figures.delivery,
            Self::Hops => figures.hops,
            Self::Duplicates => figures.duplicates,
            Self::AskedFor => figures.asked_for,
            Self::MeshLinks => figures.mesh_links,
            Self::WrongFrames => figures.wrong_frames,
        }
    }
}

impl Ratio {
    /// The model's for one of the real: 1 when both are nothing.
    pub fn value(&self) -> f64 {
        if self.real == self.model { 1.0 } else { self.model / self.real }
    }

    /// Whether the model is off by `share` at most.
    pub fn is_within(&self, share: f64) -> bool {
        (self.value() - 1.0).abs() <= share
    }
}

impl Comparison {
    /// The same real figures beside those of a model with other settings.
    pub fn with_other_model(&self, case: Case, change: fn(&mut Config)) -> Result<Self, model::Fail> {
        let again = |(seed, real, _): &(u64, Figures, Figures)| {
            let tally = model::run_with(&Plan::new(case, *seed), change)?;
            Ok((*seed, *real, tally.figures()))
        };
        let seeds = self.seeds.iter().map(again).collect::<Result<_, model::Fail>>()?;
        Ok(Self { case: self.case, seeds })
    }

    /// A figure's means.
    pub fn ratio(&self, figure: Figure) -> Ratio {
        let count = self.seeds.len().max(1) as f64;
        let real = self.seeds.iter().map(|(_, real, _)| figure.of(real)).sum::<f64>() / count;
        let model = self.seeds.iter().map(|(_, _, model)| figure.of(model)).sum::<f64>() / count;
        Ratio { figure, real, model }
    }
}

/// Runs `case` on both sides for every seed, as many at a time as `at_once`: the real side mostly waits for heartbeats.
pub fn compare(case: Case, seeds: &[u64], at_once: usize) -> Result<Comparison, String> {
    let todo = Mutex::new(seeds.iter().copied());
    let next = || todo.lock().map(|mut seeds| seeds.next()).unwrap_or_default();
    let work = || {
        let mut done = Vec::new();
        while let Some(seed) = next() {
            let plan = Plan::new(case, seed);
            let real = real::run(&plan).map_err(|fail| format!("{}, seed {seed}: {fail}", case.name))?;
            let model = model::run(&plan).map_err(|fail| format!("{}, seed {seed}: {fail}", case.name))?;
            done.push((seed, real.figures(), model.figures()));
        }
        Ok::<_, String>(done)
    };
    let mut seeds = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.max(1)).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| format!("{}: a run panicked", case.name))??);
        }
        Ok::<_, String>(all)
    })?;
    seeds.sort_by_key(|(seed, ..)| *seed);
    Ok(Comparison { case: case.name, seeds })
}
