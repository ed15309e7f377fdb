//! What a bench makes of its rounds: medians, a table, and the file that `cargo xtask bench` reads.

use std::{collections::BTreeMap, env, fs};

use serde_json::{Value, json};

/// The values that figures had in all rounds.
#[derive(Debug, Default)]
pub(super) struct Figures {
    values: BTreeMap<String, (Vec<f64>, &'static str)>,
    ratios: BTreeMap<String, f64>,
}

impl Figures {
    /// One round's value of a figure.
    pub(super) fn add(&mut self, name: &str, value: f64, unit: &'static str) {
        let (values, _) = self.values.entry(name.to_owned()).or_insert_with(|| (Vec::new(), unit));
        values.push(value);
    }

    /// The ratio of two figures' medians, once all rounds are over.
    pub(super) fn ratio(&mut self, name: &str, of: &str, to: &str) {
        self.ratios.insert(name.to_owned(), tidy(self.median(of) / self.median(to)));
    }

    fn median(&self, name: &str) -> f64 {
        median(&self.values[name].0)
    }

    /// Print everything, and write it to `BENCH_OUT`.
    pub(super) fn publish(&self, name: &str, rounds: u32) -> Result<(), String> {
        let wide = self.values.keys().map(String::len).max().unwrap_or_default();
        println!("\n  {:wide$}  {:>9}  {:>9}  {:>9}  unit", "figure", "median", "min", "max");
        let mut figures = BTreeMap::new();
        for (key, (values, unit)) in &self.values {
            let min = tidy(values.iter().copied().fold(f64::INFINITY, f64::min));
            let max = tidy(values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            let median = tidy(median(values));
            println!("  {key:wide$}  {median:>9}  {min:>9}  {max:>9}  {unit}");
            figures.insert(key, json!({ "median": median, "min": min, "max": max, "unit": unit }));
        }
        println!();
        for (key, ratio) in &self.ratios {
            println!("  {key}: {ratio}");
        }
        let out = env::var_os("BENCH_OUT").ok_or("BENCH_OUT does not say where to write; run cargo xtask bench")?;
        let machine = env::var("BENCH_MACHINE").unwrap_or_else(|_| env::consts::ARCH.to_owned());
        let result: Value =
            json!({ "name": name, "rounds": rounds, "machine": machine, "figures": figures, "ratios": self.ratios });
        fs::write(&out, format!("{result:#}\n")).map_err(|error| format!("cannot write {}: {error}", out.display()))
    }
}

/// The middle of some values.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Four digits are more than the rounds agree on.
fn tidy(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_tidy_keeps_four_digits() {
        assert_eq!(median(&[9.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 100.0]), 3.5);
        assert_eq!(tidy(12_345.6), 12_350.0);
        assert_eq!(tidy(0.001_234_56), 0.001_235);
    }
}
