// What benches measure on js-libp2p's streams and gossip; tests/lab/src/bench.rs is the same in Rust.
//
//   /bench/count/1   read to the end, then write how many bytes came (8 bytes, big endian)
//   /bench/bounce/1  write back whatever comes, as it comes
//   /bench/tally/1   read a count (4 bytes, big endian), then write how many messages gossip has brought so far (4 bytes), every
//                    32 messages and when that count is there
//
// A message of gossip begins with its number (4 bytes) and when it was published (8 bytes, clock.mjs), both big endian.
import { clock, pace } from './clock.mjs'
import { handleAll, write } from './protocols.mjs'

const COUNT = '/bench/count/1'
const BOUNCE = '/bench/bounce/1'
const TALLY = '/bench/tally/1'
const TOPIC = 'bench'

/** Bytes handed to a stream at a time; js-libp2p cuts them into its frames. */
const CHUNK = 64 * 1024
/** Messages that were published and not yet reported as delivered. */
const WINDOW = 512
/** Delivered messages a report. */
const REPORT = 32

/** How many messages came, how long each was on its way, and who wants to know. */
const came = { count: 0, delays: [], told: () => {} }

/** Serve them on a node. */
export async function serveBench (node) {
  await handleAll(node, { [COUNT]: count, [BOUNCE]: bounce, [TALLY]: tally })
  node.services.pubsub.addEventListener('message', ({ detail: { topic, data } }) => {
    if (topic !== TOPIC) return
    came.delays.push(clock() - new DataView(data.buffer, data.byteOffset).getFloat64(4))
    came.count += 1
    came.told()
  })
}

async function count (stream) {
  let total = 0
  for await (const part of stream) total += part.byteLength
  const reply = new Uint8Array(8)
  new DataView(reply.buffer).setBigUint64(0, BigInt(total))
  await write(stream, reply)
  await stream.close()
}

async function bounce (stream) {
  for await (const part of stream) await write(stream, part.subarray())
  await stream.close()
}

async function tally (stream) {
  const { value } = await stream[Symbol.asyncIterator]().next()
  const wanted = new DataView(value.subarray().slice().buffer).getUint32(0)
  await new Promise(resolve => {
    came.told = () => {
      if (came.count % REPORT !== 0 && came.count !== wanted) return
      const report = new Uint8Array(4)
      new DataView(report.buffer).setUint32(0, came.count)
      stream.send(report)
      if (came.count === wanted) resolve()
    }
  })
  came.told = () => {}
  await stream.close()
}

/** The methods that benches call, for a page whose node `node()` gives. */
export const bench = node => ({
  /** Send so many bytes, striped over so many direct connections, until all are counted; gives the milliseconds. */
  async count (peer, bytes, { connections = 1 } = {}) {
    const links = direct(node(), peer)
    if (links.length < connections) throw new Error(`there are ${links.length} direct connections, not ${connections}`)
    const streams = await Promise.all(links.slice(0, connections).map(link => link.newStream(COUNT)))
    const size = bytes / connections
    const chunk = new Uint8Array(CHUNK)
    const started = performance.now()
    await Promise.all(streams.map(async stream => {
      for (let left = size; left > 0; left -= CHUNK) await write(stream, left < CHUNK ? chunk.subarray(0, left) : chunk)
      const [counted] = await Promise.all([numberFrom(stream), stream.close()])
      if (counted !== size) throw new Error(`${counted} of ${size} bytes were counted`)
    }))
    return performance.now() - started
  },

  /** 32 bytes there and back on one stream, one after the other; gives the milliseconds of each. */
  async bounce (peer, rounds) {
    const stream = await direct(node(), peer)[0].newStream(BOUNCE)
    const bytes = new Uint8Array(32)
    const times = []
    const parts = stream[Symbol.asyncIterator]()
    for (let round = 0; round < rounds; round++) {
      const started = performance.now()
      stream.send(bytes)
      for (let left = bytes.length; left > 0;) left -= (await parts.next()).value.byteLength
      times.push(performance.now() - started)
    }
    await stream.close()
    return times
  },

  /** Publish so many messages of so many bytes as fast as they are delivered; gives the milliseconds until the last was, and their size. */
  async flood (peer, total, size) {
    const stream = await direct(node(), peer)[0].newStream(TALLY)
    const wanted = new Uint8Array(4)
    new DataView(wanted.buffer).setUint32(0, total)
    stream.send(wanted)
    let [sent, delivered, next] = [0, 0, () => {}]
    const reports = (async () => {
      let rest = new Uint8Array()
      for await (const part of stream) {
        const all = new Uint8Array([...rest, ...part.subarray()])
        const whole = all.length - all.length % 4
        rest = all.subarray(whole)
        if (whole > 0) delivered = new DataView(all.buffer).getUint32(whole - 4)
        next()
        if (delivered >= total) return
      }
    })()
    const started = performance.now()
    while (delivered < total) {
      if (sent < total && sent - delivered < WINDOW) await node().services.pubsub.publish(TOPIC, message(sent++, size))
      else await new Promise(resolve => { next = resolve })
    }
    const ms = performance.now() - started
    await Promise.all([reports, stream.close()])
    return { ms, bytes: size }
  },

  /** Publish so many messages at a rate; gives the milliseconds it took. */
  async publishPaced (rate, total, size) {
    let sent = 0
    return await pace(rate, total, count => {
      while (count-- > 0) node().services.pubsub.publish(TOPIC, message(sent++, size)).catch(error => { throw error })
    })
  },

  /** End gossip, which keeps to the stream it opened first: that one goes through the relay. */
  async gossipEnd () {
    await node().services.pubsub.stop()
  },

  /** Begin it on the connections that are there now. */
  async gossipBegin () {
    const { pubsub, identify } = node().services
    await pubsub.start()
    pubsub.subscribe(TOPIC)
    for (const connection of node().getConnections()) await identify.identify(connection)
  },

  /** How many peers are in the mesh of the topic. */
  meshed () {
    return node().services.pubsub.getMeshPeers(TOPIC).length
  },

  /** How many messages gossip has brought since `delays` was called. */
  delivered () {
    return came.count
  },

  /** How long the messages of gossip were on their way since the last call, in milliseconds of this machine's clock. */
  delays () {
    came.count = 0
    return came.delays.splice(0)
  },

  clock
})

function direct (node, peer) {
  return node.getConnections().filter(one => one.status === 'open' && one.remotePeer.toString() === peer && one.remoteAddr.toString().includes('/webrtc'))
}

async function numberFrom (stream) {
  const bytes = []
  for await (const part of stream) bytes.push(...part.subarray())
  return Number(new DataView(new Uint8Array(bytes).buffer).getBigUint64(0))
}

function message (number, size) {
  const bytes = crypto.getRandomValues(new Uint8Array(size))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, number)
  view.setFloat64(4, clock())
  return bytes
}
