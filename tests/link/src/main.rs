//! A link that takes time. `tc netem` does this better and is missing from many kernels.
//!
//! It makes two TUN devices and carries every packet from one to the other, each a fixed time after it came. Whoever starts it
//! moves the devices into two network namespaces once it has printed `ready`; they stay its own there and vanish with it. It
//! ends when its standard input does, so that it never outlives its parent, or after a time limit.

mod queue;

use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use clap::Parser;
use queue::{Queue, Receiver};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// As on most of the internet.
const MTU: u16 = 1_500;

/// Carries packets between two TUN devices and holds each back for a while.
#[derive(Parser)]
struct Args {
    /// How long a packet is on its way, in milliseconds.
    #[arg(long, default_value_t = 10)]
    delay_ms: u64,
    /// Packets under way in one direction at most; what comes beyond is lost. By default 12 MB of whole ones.
    #[arg(long, default_value_t = 8_192)]
    packets_max: usize,
    /// Seconds after which it ends in any case.
    #[arg(long, default_value_t = 1_800)]
    seconds_max: u64,
    /// The name of the first device.
    first: String,
    /// The name of the second.
    second: String,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the device {name} cannot be made, which takes root and /dev/net/tun: {why}")]
    Device { name: String, why: io::Error },
    #[error("standard output is closed: {0}")]
    Silent(#[from] io::Error),
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mycomesh-link: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Error> {
    let (first, second) = (device(&args.first)?, device(&args.second)?);
    let (ended, end) = mpsc::channel();
    for (from, to) in [(&first, &second), (&second, &first)] {
        let (queue, receiver) = queue::new(args.packets_max, Duration::from_millis(args.delay_ms));
        let (from, to, ended) = (from.clone(), to.clone(), ended.clone());
        thread::spawn(move || {
            let _ = ended.send(Some(read(&from, &queue)));
        });
        // Ends when the queue does, which the other thread tells of.
        thread::spawn(move || write(&to, &receiver));
    }
    thread::spawn(move || {
        // Nothing is said here; only its end matters.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(None);
    });
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    if let Ok(Some(error)) = end.recv_timeout(Duration::from_secs(args.seconds_max)) {
        eprintln!("mycomesh-link: a device is gone: {error}");
    }
    Ok(())
}

fn device(name: &str) -> Result<Arc<SyncDevice>, Error> {
    let made = DeviceBuilder::new().name(name).mtu(MTU).layer(Layer::L3).enable(false).build_sync();
    made.map(Arc::new).map_err(|why| Error::Device { name: name.to_owned(), why })
}

/// Queue what comes until the device fails.
fn read(from: &SyncDevice, queue: &Queue) -> io::Error {
    let mut packet = vec![0; usize::from(MTU)];
    loop {
        match from.recv(&mut packet) {
            Ok(size) => {
                if !queue.put(&packet[..size]) {
                    return io::ErrorKind::BrokenPipe.into();
                }
            }
            // Until it is up in its namespace nothing can be read.
            Err(error) if is_down(&error) => thread::sleep(Duration::from_millis(10)),
            Err(error) => return error,
        }
    }
}

/// Send on what is due.
fn write(to: &SyncDevice, receiver: &Receiver) {
    while let Some(packet) = receiver.take() {
        // A device that is down loses packets, as a cable that is out.
        let _ = to.send(&packet);
    }
}

fn is_down(error: &io::Error) -> bool {
    // EIO on Linux, and EBADFD while it moves.
    matches!(error.raw_os_error(), Some(5 | 77)) || error.kind() == io::ErrorKind::Interrupted
}
