//! `bench mesh`: the trials of [`crate::trials`], each on a mesh of its own with the settings that people have.

use mycomesh_core::Config;

use super::figures::Figures;
use crate::{
    Lan, Mesh, NODES,
    trials::{self, Outcome},
};

/// Rounds unless told otherwise. Each takes some three minutes, most of them spent waiting until presences run out.
pub const ROUNDS: u32 = 3;

/// Measure and publish.
pub async fn run(rounds: u32) -> Result<(), String> {
    if let Some(why) = Lan::missing() {
        return Err(why);
    }
    let interval = Config::default().presence_interval_s;
    println!(
        "{rounds} rounds; {NODES} peers and a relay, each a process in a network namespace of its own, a presence every \
         {interval} s:\n\
         \x20 X_in_time    share of the receipts sent out after X that reached each peer they were for within 10 s\n\
         \x20 X_share      the share that reached them at all\n\
         \x20 X_p50, X_p99 from the reply to the command that signed one to the event that tells of it\n\
         \x20 A_until_B    from a fault, or its end, until the last peer saw what it should\n"
    );
    let mut figures = Figures::default();
    for round in 1..=rounds {
        println!("round {round}");
        for trial in 0..4 {
            let mut mesh = Mesh::start(interval).await;
            figures.add("started_until_all_seen", mesh.joining.as_secs_f64(), "s");
            let outcome = match trial {
                0 => trials::partition(&mut mesh).await,
                1 => trials::half_loss(&mut mesh).await,
                2 => trials::relay_restart(&mut mesh).await,
                _ => trials::spam(&mut mesh).await,
            };
            print!("{outcome}");
            collect(&mut figures, &outcome);
        }
    }
    figures.publish("mesh", rounds)
}

fn collect(figures: &mut Figures, outcome: &Outcome) {
    for (what, delivery) in &outcome.deliveries {
        figures.add(&format!("{what}_in_time"), delivery.share_in_time() * 100.0, "%");
        figures.add(&format!("{what}_share"), delivery.share() * 100.0, "%");
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            figures.add(&format!("{what}_{name}"), delivery.quantile(share).as_secs_f64() * 1_000.0, "ms");
        }
    }
    for (what, time) in &outcome.times {
        figures.add(what, time.as_secs_f64(), "s");
    }
    for (what, count) in &outcome.counts {
        figures.add(what, *count as f64, "");
    }
}
