// The lab's page for crates/webrtc: sets `globalThis.lab`, the same object as lab/js.mjs makes, over tests/lab.
import init, * as rust from './mycomesh_lab.js'
import { clock, pace } from './clock.mjs'
import { offerMessage } from './offer.mjs'

const wasm = await init()

globalThis.lab = {
  start: async ({ seed, iceServers = [], inboundMax } = {}) => await rust.start(seed, iceServers.join(' '), inboundMax),
  reserve: async relay => JSON.parse(await rust.reserve(relay)),
  dial: async addr => JSON.parse(await rust.dial(addr)),
  connections: async peer => JSON.parse(await rust.connections(peer)),
  close: async (peer, { only } = {}) => await rust.close(peer, only),
  ping: async peer => await rust.ping(peer),
  echo: async (peer, count) => await rust.echo(peer, count),
  send: async (peer, count, { stripes = 1 } = {}) => ({ ms: await rust.send(peer, count, stripes) }),
  receive: async (peer, count, { stripes = 1 } = {}) => ({ ms: await rust.receive(peer, count, stripes) }),
  openStreams: async (peer, count, { sequential = false } = {}) => ({ ms: await rust.openStreams(peer, count, sequential) }),
  floodOffers: async (peer, count) => JSON.parse(await rust.floodOffers(peer, count, await offerMessage())),
  stuff: async peer => JSON.parse(await rust.stuff(peer)),
  subscribe: async topic => await rust.subscribe(topic),
  subscribers: async topic => JSON.parse(await rust.subscribers(topic)),
  publish: async (topic, size, count = 1) => await rust.publish(topic, size, count),
  heard: async topic => JSON.parse(await rust.heard(topic)),
  // What benches call; see lab/bench.mjs.
  count: async (peer, bytes, { connections = 1 } = {}) => await rust.benchCount(peer, bytes, connections),
  bounce: async (peer, rounds) => Array.from(await rust.benchBounce(peer, rounds)),
  flood: async (peer, total, size) => JSON.parse(await rust.benchFlood(peer, total, size, false)),
  floodSigned: async (peer, total) => JSON.parse(await rust.benchFlood(peer, total, 0, true)),
  publishPaced: async (rate, total, size) => await pace(rate, total, count => rust.benchPublish(count, size)),
  gossipEnd: async () => {},
  gossipBegin: async () => await rust.benchSubscribe(),
  meshed: async () => await rust.benchMeshed(),
  delivered: () => rust.benchDelivered(),
  delays: () => Array.from(rust.benchDelays()),
  clock,
  stats: async () => ({
    ...globalThis.meter?.(),
    ...JSON.parse(await rust.stats()),
    heapBytes: performance.memory?.usedJSHeapSize,
    wasmBytes: wasm.memory.buffer.byteLength
  })
}
