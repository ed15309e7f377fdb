// The lab's page for js-libp2p: sets `globalThis.lab`, the same object as lab/rust.mjs makes.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { bench, serveBench } from './bench.mjs'
import { SIGNALLING, offerMessage } from './offer.mjs'
import { ECHO, HOLE, SINK, SOURCE, askEcho, askSink, askSource, patternDigest, serve, stuff } from './protocols.mjs'

/** js-libp2p sends 15 streams of a protocol at most unless told otherwise. */
const STREAMS_MAX = 4_096
/** Offers under way at a time while flooding. */
const FLOOD_WIDTH = 50
/** Written to a stream that nobody reads, at most. */
const STUFF_MAX = 256 * 1024 * 1024

let node
const heard = new Map()

globalThis.lab = {
  ...bench(() => node),

  /** Start the node; gives its peer id. A seed, and how many attempts to take, are for the Rust page only. */
  async start ({ iceServers = [] } = {}) {
    const rtcConfiguration = { iceServers: iceServers.map(urls => ({ urls })) }
    node = await createLibp2p({
      addresses: { listen: ['/webrtc'] },
      transports: [webSockets(), circuitRelayTransport(), webRTC({ rtcConfiguration }), webRTCDirect({ rtcConfiguration })],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      // In a browser it would refuse loopback and plain WebSocket.
      connectionGater: { denyDialMultiaddr: () => false },
      services: {
        identify: identify({ runOnLimitedConnection: true }),
        identifyPush: identifyPush({ runOnLimitedConnection: true }),
        ping: ping({ runOnLimitedConnection: true }),
        pubsub: gossipsub({ runOnLimitedConnection: true, globalSignaturePolicy: 'StrictNoSign', allowPublishToZeroTopicPeers: true })
      }
    })
    await serve(node)
    await serveBench(node)
    node.services.pubsub.addEventListener('message', ({ detail: { topic, data } }) => {
      const count = heard.get(topic)
      if (count === undefined) return
      count.messages += 1
      count.bytes += data.byteLength
    })
    return node.peerId.toString()
  },

  /** Reserve a place at a relay; gives the addresses this node then has. */
  async reserve (relay) {
    // Only its transport manager listens on further addresses of a running node.
    await node.components.transportManager.listen([multiaddr(`${relay}/p2p-circuit`)])
    const own = () => node.getMultiaddrs().map(addr => addr.toString()).filter(addr => addr.includes('/p2p-circuit'))
    while (own().length === 0) await event(node, 'self:peer:update')
    return own()
  },

  /** Dial an address, even when there is a connection already; gives the new connection. */
  async dial (addr) {
    return shown(await node.dial(multiaddr(addr), { force: true }))
  },

  connections (peer) {
    return node.getConnections(peerIdFromString(peer)).map(shown)
  },

  /** Close the connections to a peer; `only` those that are relayed or direct. */
  async close (peer, { only } = {}) {
    const wanted = node.getConnections(peerIdFromString(peer)).filter(one => only === undefined || shown(one).direct === (only === 'direct'))
    await Promise.all(wanted.map(one => one.close()))
    return wanted.length
  },

  /** One round trip, in milliseconds. */
  async ping (peer) {
    const connection = best(peer)
    const stream = await connection.newStream('/ipfs/ping/1.0.0', { runOnLimitedConnection: true })
    const bytes = crypto.getRandomValues(new Uint8Array(32))
    const started = performance.now()
    stream.send(bytes)
    const back = []
    for await (const part of stream) {
      back.push(...part.subarray())
      if (back.length >= bytes.length) break
    }
    const ms = performance.now() - started
    await stream.close()
    if (!bytes.every((byte, index) => byte === back[index])) throw new Error('the ping came back changed')
    return ms
  },

  /** Half-close echo of so many bytes; throws unless they come back. */
  async echo (peer, count) {
    const bytes = new Uint8Array(count).map((_, index) => index * 31 + 7)
    const back = await askEcho(await open(peer, ECHO), bytes)
    if (back.length !== count || !bytes.every((byte, index) => byte === back[index])) {
      throw new Error(`${back.length} bytes came back for ${count}`)
    }
  },

  /** Send so much of the pattern; throws unless it arrives intact. */
  async send (peer, count, { stripes = 1 } = {}) {
    return await bulk(peer, SINK, askSink, count, stripes)
  },

  /** Receive so much of the pattern; throws unless it arrives intact. */
  async receive (peer, count, { stripes = 1 } = {}) {
    return await bulk(peer, SOURCE, askSource, count, stripes)
  },

  /** Echo 16 bytes on each of so many streams, all at once or one after the other. */
  async openStreams (peer, count, { sequential = false } = {}) {
    const started = performance.now()
    if (sequential) {
      for (let number = 0; number < count; number++) await this.echo(peer, 16)
    } else {
      await Promise.all(Array.from({ length: count }, () => this.echo(peer, 16)))
    }
    return { ms: performance.now() - started }
  },

  /** Offer so many connections over the relayed one, hold those that are answered, and say how each ended. */
  async floodOffers (peer, count) {
    const message = await offerMessage()
    const outcomes = { answered: 0, declined: 0, unopened: 0 }
    const held = []
    let left = count
    const worker = async () => {
      while (left-- > 0) {
        let stream
        try {
          stream = await open(peer, SIGNALLING, { relayed: true })
        } catch {
          outcomes.unopened += 1
          continue
        }
        try {
          stream.send(message)
          const { done } = await stream[Symbol.asyncIterator]().next()
          if (done) throw new Error('it ended')
          outcomes.answered += 1
          held.push(stream)
        } catch {
          outcomes.declined += 1
          stream.abort(new Error('declined'))
        }
      }
    }
    await Promise.all(Array.from({ length: FLOOD_WIDTH }, worker))
    for (const stream of held) stream.abort(new Error('the flood is over'))
    return outcomes
  },

  /** Write to a stream that nobody reads until it fails. */
  async stuff (peer) {
    return await stuff(await open(peer, HOLE), STUFF_MAX)
  },

  subscribe (topic) {
    heard.set(topic, { messages: 0, bytes: 0 })
    node.services.pubsub.subscribe(topic)
  },

  /** Peers known to listen to a topic. */
  subscribers (topic) {
    return node.services.pubsub.getSubscribers(topic).map(peer => peer.toString())
  },

  /** Publish `count` different messages of so many bytes. */
  async publish (topic, size, count = 1) {
    for (let number = 0; number < count; number++) {
      // Different contents, since equal ones are one message.
      await node.services.pubsub.publish(topic, crypto.getRandomValues(new Uint8Array(size)))
    }
  },

  /** What came on a topic since it was subscribed to. */
  heard (topic) {
    return heard.get(topic) ?? { messages: 0, bytes: 0 }
  },

  stats () {
    return {
      ...globalThis.meter?.(),
      libp2p: node.getConnections().length,
      heapBytes: performance.memory?.usedJSHeapSize
    }
  }
}

async function bulk (peer, protocol, ask, count, stripes) {
  const size = Math.floor(count / stripes)
  const parts = Array.from({ length: stripes }, (_, number) => {
    const seed = number + 1
    const length = number === 0 ? count - size * (stripes - 1) : size
    return { seed, length, digest: patternDigest(length, seed) }
  })
  const started = performance.now()
  await Promise.all(parts.map(async ({ seed, length, digest }) => await ask(await open(peer, protocol), length, seed, digest)))
  return { ms: performance.now() - started }
}

async function open (peer, protocol, { relayed = false } = {}) {
  return await best(peer, relayed).newStream(protocol, { runOnLimitedConnection: true, maxOutboundStreams: STREAMS_MAX })
}

/** A direct connection before a relayed one, or only a relayed one. */
function best (peer, relayed = false) {
  const all = node.getConnections(peerIdFromString(peer)).filter(one => one.status === 'open')
  const found = relayed ? all.find(one => !shown(one).direct) : all.find(one => shown(one).direct) ?? all[0]
  if (found === undefined) throw new Error(`there is no ${relayed ? 'relayed ' : ''}connection to ${peer}`)
  return found
}

function shown (connection) {
  const addr = connection.remoteAddr.toString()
  const names = addr.split('/')
  return { addr, direct: names.includes('webrtc') || !names.includes('p2p-circuit') }
}

function event (target, type) {
  return new Promise(resolve => target.addEventListener(type, resolve, { once: true }))
}
