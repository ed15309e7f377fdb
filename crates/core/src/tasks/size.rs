//! What a task takes in the store. A task is let in only when there is room for all that may become of it,
//! so that a result that comes in later always finds its place and the limit holds at every instant.

use super::Task;
use crate::{
    limits::{OUTPUT_BYTES_MAX, REASON_BYTES_MAX},
    wire::{Acceptance, Delivery, Object, Rating},
};

/// Everything of a stored task but its texts and objects: key, ids, times, and the names of its fields.
const REST_BYTES: usize = 1_024;

/// Bytes of `task` as it is, at most.
pub(super) fn held(task: &Task) -> u64 {
    let objects = [&task.acceptance, &task.delivery, &task.rating];
    let objects: usize = objects.into_iter().flatten().map(|bytes| bytes.len()).sum();
    let texts = task.input.len() + [&task.output, &task.problem].into_iter().flatten().map(String::len).sum::<usize>();
    (REST_BYTES + task.submission.len() + objects + texts) as u64
}

/// Bytes of `task` as it is and of all that may still come to it.
pub(super) fn reserved(task: &Task) -> u64 {
    let open = !task.state.is_final();
    let to_come = [
        (task.acceptance.is_none() && open, Acceptance::BYTES_MAX),
        (task.delivery.is_none() && open, Delivery::BYTES_MAX),
        (task.output.is_none() && open, OUTPUT_BYTES_MAX),
        (task.rating.is_none(), Rating::BYTES_MAX),
        (task.problem.is_none(), REASON_BYTES_MAX),
    ];
    held(task) + to_come.into_iter().filter(|(comes, _)| *comes).map(|(_, bytes)| bytes as u64).sum::<u64>()
}

/// Bytes of a task that is about to be made, and of all that may come to it.
pub(super) fn of_new(submission: usize, input: usize) -> u64 {
    let to_come = Acceptance::BYTES_MAX + Delivery::BYTES_MAX + OUTPUT_BYTES_MAX + Rating::BYTES_MAX + REASON_BYTES_MAX;
    (REST_BYTES + submission + input + to_come) as u64
}
