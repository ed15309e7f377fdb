//! Requests and responses on the wire: the bytes, and the end of the stream. What they mean is
//! core's business; here they only have a limit.

use std::io;

use futures::prelude::*;
use libp2p::{StreamProtocol, request_response};
use mycomesh_core::limits::REQUEST_BYTES_MAX;

/// Opaque bytes up to [`REQUEST_BYTES_MAX`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bytes;

impl request_response::Codec for Bytes {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read(io).await?;
        // Every response of core has a body; nothing at all is a refusal.
        if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes).await
    }
}

/// Read to the end, but not past the limit: the buffer grows with what arrives, never with what was
/// announced.
async fn read<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let limit = REQUEST_BYTES_MAX as u64;
    let mut bytes = Vec::new();
    io.take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > REQUEST_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than a request or response may be"));
    }
    Ok(bytes)
}

async fn write<T: AsyncWrite + Unpin>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    io.write_all(bytes).await?;
    io.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: usize, expect: Option<usize>) {
        let bytes = vec![7; sent];
        let read = futures::executor::block_on(read(&mut bytes.as_slice()));
        assert_eq!(read.ok().map(|bytes| bytes.len()), expect);
    }

    #[test]
    fn a_body_at_the_limit_is_read_and_one_past_it_is_refused() {
        check(0, Some(0));
        check(REQUEST_BYTES_MAX, Some(REQUEST_BYTES_MAX));
        check(REQUEST_BYTES_MAX + 1, None);
        check(4 * REQUEST_BYTES_MAX, None);
    }
}
