// js-libp2p's relay as a process, for `cargo xtask bench idle`: as its documentation sets one up, with room for many. Prints
// one line of JSON when it listens: its addresses. For each line of input it collects its garbage and prints how it is.
// Before all others: they ask for it when they are loaded.
import '../lab/polyfill.mjs'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { createLibp2p } from 'libp2p'
import { createInterface } from 'node:readline'

/** Room for all clients of the bench, which come from one address and all at once. */
const ROOM = 10_000

const relay = circuitRelayServer({ reservations: { maxReservations: ROOM } })
const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0/ws'] },
  transports: [webSockets()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionManager: { maxConnections: ROOM, inboundConnectionThreshold: ROOM, maxIncomingPendingConnections: ROOM },
  services: { identify: identify(), ping: ping(), relay }
})
console.log(JSON.stringify({ addresses: node.getMultiaddrs().map(addr => addr.toString()) }))

createInterface({ input: process.stdin }).on('line', () => {
  const connections = node.getConnections().length
  const reservations = node.services.relay.reservations.size
  // More than once, since what is finalised goes a round later.
  for (let round = 0; round < 3; round++) globalThis.gc()
  console.log(JSON.stringify({ connections, reservations, heap: process.memoryUsage().heapUsed }))
}).on('close', () => process.exit(0))
