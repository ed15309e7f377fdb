// What a peer of the lab serves and asks for, in js-libp2p; tests/lab/src/work.rs is the same in Rust.
//
//   /lab/echo/1    read to the end, then write it all back and close
//   /lab/sink/1    read to the end, then write the count (8 bytes, big endian) and the SHA-256
//   /lab/source/1  read a count (8 bytes) and a seed (4 bytes), then write so much of the pattern
//   /lab/hole/1    never read
import { sha256 } from '@noble/hashes/sha2.js'
import { Pattern } from './pattern.mjs'

export const ECHO = '/lab/echo/1'
export const SINK = '/lab/sink/1'
export const SOURCE = '/lab/source/1'
export const HOLE = '/lab/hole/1'

/** Bytes handed to a stream at a time. */
const CHUNK = 64 * 1024
/** Most bytes one echo may hold, and one source may send. */
const ECHO_MAX = 16 * 1024 * 1024
const SOURCE_MAX = 1024 ** 3
/** Streams of one protocol on one connection. */
const STREAMS_MAX = 4_096

/** Serve all of them on a node. */
export async function serve (node) {
  await handleAll(node, { [ECHO]: echo, [SINK]: sink, [SOURCE]: source, [HOLE]: () => {} })
}

/** Have a node serve each protocol with its handler, also over a relay; a handler that throws resets its stream. */
export async function handleAll (node, handlers) {
  for (const [protocol, handle] of Object.entries(handlers)) {
    await node.handle(protocol, async stream => {
      try {
        await handle(stream)
      } catch (error) {
        stream.abort(error)
      }
    }, { runOnLimitedConnection: true, maxInboundStreams: STREAMS_MAX, maxOutboundStreams: STREAMS_MAX })
  }
}

async function echo (stream) {
  const all = await readAll(stream, ECHO_MAX)
  await write(stream, all)
  await stream.close()
}

async function sink (stream) {
  const { count, digest } = await digestAll(stream)
  const reply = new Uint8Array(40)
  new DataView(reply.buffer).setBigUint64(0, BigInt(count))
  reply.set(digest, 8)
  await write(stream, reply)
  await stream.close()
}

async function source (stream) {
  const ask = new DataView((await readAll(stream, 12)).buffer)
  const count = Number(ask.getBigUint64(0))
  if (count > SOURCE_MAX) throw new Error(`${count} bytes are too many to ask for`)
  await writePattern(stream, count, ask.getUint32(8))
  await stream.close()
}

/** Send `bytes` to be echoed; gives what came back. */
export async function askEcho (stream, bytes) {
  await write(stream, bytes)
  const [back] = await Promise.all([readAll(stream, ECHO_MAX), stream.close()])
  return back
}

/** Send so much of the pattern; throws unless it arrived intact. */
export async function askSink (stream, count, seed, expected) {
  await writePattern(stream, count, seed)
  const [reply] = await Promise.all([readAll(stream, 40), stream.close()])
  if (reply.length !== 40) throw new Error(`the sink replied ${reply.length} bytes`)
  const arrived = Number(new DataView(reply.buffer).getBigUint64(0))
  check(arrived, reply.subarray(8), count, expected)
}

/** Receive so much of the pattern; throws unless it arrived intact. */
export async function askSource (stream, count, seed, expected) {
  const ask = new Uint8Array(12)
  const view = new DataView(ask.buffer)
  view.setBigUint64(0, BigInt(count))
  view.setUint32(8, seed)
  await write(stream, ask)
  const [got] = await Promise.all([digestAll(stream), stream.close()])
  check(got.count, got.digest, count, expected)
}

/** The SHA-256 of so much of the pattern. */
export function patternDigest (count, seed) {
  const hash = sha256.create()
  for (const chunk of chunks(count, seed)) hash.update(chunk)
  return hash.digest()
}

/** Write until the stream fails or `max` bytes are written; gives how many, and why it ended. */
export async function stuff (stream, max) {
  let written = 0
  try {
    const chunk = new Uint8Array(CHUNK)
    while (written < max) {
      await write(stream, chunk)
      written += chunk.length
    }
  } catch (error) {
    return { written, error: error.message }
  }
  return { written }
}

function check (arrived, digest, count, expected) {
  if (arrived !== count) throw new Error(`${arrived} of ${count} bytes arrived`)
  if (!expected.every((byte, index) => byte === digest[index])) throw new Error('the bytes changed on their way')
}

function * chunks (count, seed) {
  const pattern = new Pattern(seed)
  for (let left = count; left > 0; left -= CHUNK) {
    // A new one each: js-libp2p may hold on to it.
    const chunk = new Uint8Array(CHUNK)
    pattern.fill(chunk)
    yield left < CHUNK ? chunk.subarray(0, left) : chunk
  }
}

async function writePattern (stream, count, seed) {
  for (const chunk of chunks(count, seed)) await write(stream, chunk)
}

/** Hand bytes to a stream, and wait while it is full. */
export async function write (stream, bytes) {
  if (bytes.length === 0 || stream.send(bytes)) return
  // Not `stream.onDrain()`: from the second time on it gives the first time's promise, which holds nobody back.
  await new Promise((resolve, reject) => {
    const drained = () => {
      stream.removeEventListener('close', closed)
      resolve()
    }
    const closed = ({ error }) => {
      stream.removeEventListener('drain', drained)
      reject(error ?? new Error('the stream was closed'))
    }
    stream.addEventListener('drain', drained, { once: true })
    stream.addEventListener('close', closed, { once: true })
  })
}

async function readAll (stream, max) {
  const parts = []
  let count = 0
  for await (const part of stream) {
    count += part.byteLength
    if (count > max) throw new Error(`more than ${max} bytes came`)
    parts.push(part.subarray())
  }
  const all = new Uint8Array(count)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

async function digestAll (stream) {
  const hash = sha256.create()
  let count = 0
  for await (const part of stream) {
    count += part.byteLength
    hash.update(part.subarray())
  }
  return { count, digest: hash.digest() }
}
