//! What a page of the lab serves and asks for; `tests/browser/lab/protocols.mjs` describes the protocols and is the same.

use std::cell::RefCell;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{Stream, StreamProtocol};
use sha2::{Digest as _, Sha256};

use crate::{
    bench,
    error::Error,
    pattern::{self, CHUNK, Pattern},
    streams::Inbound,
};

/// Reads to the end, then writes it all back and closes.
pub const ECHO: StreamProtocol = StreamProtocol::new("/lab/echo/1");
/// Reads to the end, then writes count and digest.
pub const SINK: StreamProtocol = StreamProtocol::new("/lab/sink/1");
/// Reads count and seed, then writes so much of the pattern.
pub const SOURCE: StreamProtocol = StreamProtocol::new("/lab/source/1");
/// Never reads.
pub const HOLE: StreamProtocol = StreamProtocol::new("/lab/hole/1");
/// libp2p's ping: whatever comes in pieces of 32 bytes goes back.
pub const PING: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");

/// Most bytes one echo may hold.
const ECHO_MAX: u64 = 16 * 1024 * 1024;
/// Most bytes one source may send.
const SOURCE_MAX: u64 = 1024 * 1024 * 1024;
/// Streams that are held and never read. A test makes a handful.
const HOLES_MAX: usize = 64;
/// Most bytes written to a stream that nobody reads.
const STUFF_MAX: u64 = 256 * 1024 * 1024;

thread_local! {
    static HOLES: RefCell<Vec<Stream>> = const { RefCell::new(Vec::new()) };
}

/// Serve one stream. What goes wrong with it the other side sees on its own end.
pub async fn serve(Inbound { protocol, stream }: Inbound) {
    let served = if protocol == ECHO {
        echo(stream).await
    } else if protocol == SINK {
        sink(stream).await
    } else if protocol == SOURCE {
        source(stream).await
    } else if [bench::COUNT, bench::BOUNCE, bench::TALLY].contains(&protocol) {
        bench::serve(Inbound { protocol, stream }).await
    } else {
        HOLES.with_borrow_mut(|holes| {
            holes.truncate(HOLES_MAX - 1);
            holes.push(stream);
        });
        Ok(())
    };
    // A stream that is dropped unfinished is reset.
    drop(served);
}

async fn echo(mut stream: Stream) -> Result<(), Error> {
    let mut all = Vec::new();
    (&mut stream).take(ECHO_MAX + 1).read_to_end(&mut all).await?;
    if all.len() as u64 > ECHO_MAX {
        return Err(Error::Changed(format!("more than {ECHO_MAX} bytes came")));
    }
    stream.write_all(&all).await?;
    Ok(stream.close().await?)
}

async fn sink(mut stream: Stream) -> Result<(), Error> {
    let (count, digest) = digest_all(&mut stream).await?;
    stream.write_all(&count.to_be_bytes()).await?;
    stream.write_all(&digest).await?;
    Ok(stream.close().await?)
}

async fn source(mut stream: Stream) -> Result<(), Error> {
    let mut ask = [0; 12];
    stream.read_exact(&mut ask).await?;
    let (count, seed) = ask.split_at(8);
    let count = u64::from_be_bytes(count.try_into().unwrap_or_default());
    let seed = u32::from_be_bytes(seed.try_into().unwrap_or_default());
    if count > SOURCE_MAX {
        return Err(Error::Changed(format!("{count} bytes are too many to ask for")));
    }
    write_pattern(&mut stream, count, seed).await?;
    Ok(stream.close().await?)
}

/// Send `bytes`, close that half, and give what comes back.
pub async fn ask_echo(mut stream: Stream, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    stream.write_all(bytes).await?;
    stream.close().await?;
    let mut back = Vec::new();
    stream.take(ECHO_MAX).read_to_end(&mut back).await?;
    Ok(back)
}

/// Send so much of the pattern and hear what arrived.
pub async fn ask_sink(mut stream: Stream, part: Part) -> Result<(), Error> {
    write_pattern(&mut stream, part.count, part.seed).await?;
    stream.close().await?;
    let mut reply = [0; 40];
    stream.read_exact(&mut reply).await?;
    let (count, digest) = reply.split_at(8);
    part.check(u64::from_be_bytes(count.try_into().unwrap_or_default()), digest)
}

/// Ask for so much of the pattern and look at what arrives.
pub async fn ask_source(mut stream: Stream, part: Part) -> Result<(), Error> {
    stream.write_all(&part.count.to_be_bytes()).await?;
    stream.write_all(&part.seed.to_be_bytes()).await?;
    stream.close().await?;
    let (count, digest) = digest_all(&mut stream).await?;
    part.check(count, &digest)
}

/// There and back once.
pub async fn ask_ping(mut stream: Stream) -> Result<(), Error> {
    let mut sent = [0; 32];
    Pattern::new(CHUNK as u32).fill(&mut sent);
    stream.write_all(&sent).await?;
    stream.flush().await?;
    let mut back = [0; 32];
    stream.read_exact(&mut back).await?;
    stream.close().await?;
    if back == sent { Ok(()) } else { Err(Error::Changed("the ping came back changed".into())) }
}

/// Write until the stream fails; gives how much was written, and why it ended if it did.
pub async fn stuff(mut stream: Stream) -> (u64, Option<String>) {
    let chunk = vec![0; CHUNK];
    let mut written = 0;
    while written < STUFF_MAX {
        if let Err(error) = stream.write_all(&chunk).await {
            return (written, Some(error.to_string()));
        }
        written += CHUNK as u64;
    }
    (written, None)
}

/// Write a signalling offer and wait for the first byte of what comes back; `true` when any came. The stream is given back, too:
/// whoever floods holds on to it.
pub async fn offer(mut stream: Stream, message: &[u8]) -> (bool, Stream) {
    let mut first = [0; 1];
    let asked = async {
        stream.write_all(message).await?;
        stream.flush().await?;
        stream.read_exact(&mut first).await
    };
    let answered = asked.await.is_ok();
    (answered, stream)
}

/// One stripe of a bulk transfer.
#[derive(Clone, Copy)]
pub struct Part {
    count: u64,
    seed: u32,
    digest: [u8; 32],
}

impl Part {
    /// `count` bytes in `stripes` parts, with what each must hash to.
    pub fn stripes(count: u64, stripes: u32) -> Vec<Self> {
        let stripes = stripes.max(1);
        let size = count / u64::from(stripes);
        let part = |number| {
            // The first also carries what is left over.
            let count = if number == 1 { count - size * u64::from(stripes - 1) } else { size };
            Self { count, seed: number, digest: pattern::digest(count, number) }
        };
        (1..=stripes).map(part).collect()
    }

    fn check(&self, count: u64, digest: &[u8]) -> Result<(), Error> {
        if count != self.count {
            Err(Error::Changed(format!("{count} of {} bytes arrived", self.count)))
        } else if digest != self.digest {
            Err(Error::Changed("the bytes changed on their way".into()))
        } else {
            Ok(())
        }
    }
}

async fn write_pattern(stream: &mut Stream, count: u64, seed: u32) -> Result<(), Error> {
    let mut pattern = Pattern::new(seed);
    let mut chunk = vec![0; CHUNK];
    let mut left = count;
    while left > 0 {
        let size = left.min(CHUNK as u64) as usize;
        pattern.fill(&mut chunk[..size]);
        stream.write_all(&chunk[..size]).await?;
        left -= size as u64;
    }
    Ok(())
}

async fn digest_all(stream: &mut Stream) -> Result<(u64, [u8; 32]), Error> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut count = 0;
    loop {
        let size = stream.read(&mut chunk).await?;
        if size == 0 {
            return Ok((count, hash.finalize().into()));
        }
        hash.update(&chunk[..size]);
        count += size as u64;
    }
}
