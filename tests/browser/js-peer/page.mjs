// The other side of `cargo xtask bench join`: a page with a js-libp2p node that joins through the same kind of relay and waits
// for another one. `?relay=<multiaddr>&other=<peer id>`; without `other` it only joins.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const wanted = new URLSearchParams(location.search)
const relay = wanted.get('relay')
const other = wanted.get('other')
/** What the bench reads: milliseconds since the navigation began. */
const times = globalThis.times = {}

const node = await createLibp2p({
  // Naming the relay here reserves at start, without the search for one.
  addresses: { listen: [`${relay}/p2p-circuit`, '/webrtc'] },
  transports: [webSockets(), circuitRelayTransport(), webRTC()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  // In a browser it would refuse loopback and plain WebSocket.
  connectionGater: { denyDialMultiaddr: () => false },
  // The circuit is limited in bytes and time; gossip must run over it all the same.
  services: { identify: identify(), ping: ping(), pubsub: gossipsub({ runOnLimitedConnection: true }) },
  start: false
})

const joined = () => {
  if (node.getMultiaddrs().some(addr => addr.toString().includes('/p2p-circuit'))) times.joined ??= performance.now()
}
node.addEventListener('self:peer:update', joined)
node.services.pubsub.addEventListener('subscription-change', ({ detail }) => {
  if (detail.peerId.toString() === other) times.visible ??= performance.now()
})
await node.start()
joined()
node.services.pubsub.subscribe('bench')
times.peerId = node.peerId.toString()
if (other !== null) await node.dial(multiaddr(`${relay}/p2p-circuit/p2p/${other}`))
