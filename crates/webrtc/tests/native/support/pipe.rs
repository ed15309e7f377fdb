//! Two ends of a byte stream in memory, each way with room for so many bytes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};

/// One end. Dropping it ends both ways.
pub struct Pipe {
    read: Arc<Mutex<Way>>,
    write: Arc<Mutex<Way>>,
}

#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    room: usize,
    is_ended: bool,
    has_no_reader: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub fn pipe(room: usize) -> (Pipe, Pipe) {
    let way = || Arc::new(Mutex::new(Way { room, ..Way::default() }));
    let (there, back) = (way(), way());
    (Pipe { read: back.clone(), write: there.clone() }, Pipe { read: there, write: back })
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().expect("no test panics while it holds this")
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = lock(&self.read);
        if way.bytes.is_empty() && !way.is_ended {
            way.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = way.bytes.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(way.bytes.drain(..count)) {
            *to = from;
        }
        way.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = lock(&self.write);
        if way.has_no_reader || way.is_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = buf.len().min(way.room - way.bytes.len());
        if count == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.bytes.extend(&buf[..count]);
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut way = lock(&self.write);
        way.is_ended = true;
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut way = lock(&self.write);
        way.is_ended = true;
        way.reader.take().into_iter().for_each(Waker::wake);
        drop(way);
        let mut way = lock(&self.read);
        way.has_no_reader = true;
        way.writer.take().into_iter().for_each(Waker::wake);
    }
}
