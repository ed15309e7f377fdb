// crates/webrtc and js-libp2p, each with each, in two Chromium processes.
import { JS, MIB, RUST, behind, connectDirect, expect, figure, pairAt, test } from '../support/lab-test.mjs'

const PAIRS = [[RUST, RUST], [RUST, JS], [JS, RUST], [JS, JS]]
/** What is sent each way. */
const BULK = 50 * MIB
const TOPIC = 'lab'
const MESSAGES = 10
const MESSAGE_BYTES = 1_000

for (const pair of PAIRS) {
  const named = pair.join(' to ')

  test(`${named}: connects through our relay, then ping, half-close, streams and bulk go direct`, async ({ relay, openLab }) => {
    const addr = relay.address('ws')
    const [a, b] = await pairAt(addr, openLab, pair)
    const started = Date.now()
    await connectDirect(addr, a, b)
    figure(`${named}: direct and no longer relayed after ${Date.now() - started} ms`)
    await exchange(a, b)
    await exchange(b, a)
    await gossip(a, b)
    // js-libp2p with itself shows that the test is right; how fast it is, the benches say.
    for (const method of pair.includes(RUST) ? ['send', 'receive'] : []) {
      const { ms } = await a.call(method, b.id, BULK)
      figure(`${named}: ${method} ${BULK / MIB} MiB in one stream at ${rate(BULK, ms)}`)
    }
    figure(`${named}: round trip ${(await a.call('ping', b.id)).toFixed(1)} ms`)
  })

  test(`${named}: connects through js-libp2p's relay`, async ({ jsServer, openLab }) => {
    const addr = jsServer.address('ws')
    const [a, b] = await pairAt(addr, openLab, pair)
    const circuit = await a.call('dial', behind(addr, b.id, { direct: false }))
    expect(circuit.direct).toBe(false)
    await connectDirect(addr, a, b)
    await exchange(a, b)
    await exchange(b, a)
  })

  // With itself js-libp2p now and then gives such a dial up after its ten seconds. Nothing of ours would be tested.
  if (!pair.includes(RUST)) continue

  test(`${named}: both dial at once`, async ({ relay, openLab }) => {
    const addr = relay.address('ws')
    const [a, b] = await pairAt(addr, openLab, pair)
    // They know each other over the relay, as when two peers find out at the same time that they could do better.
    await a.call('dial', behind(addr, b.id, { direct: false }))
    const dialled = await Promise.all([a.call('dial', behind(addr, b.id)), b.call('dial', behind(addr, a.id))])
    expect(dialled.map(({ direct }) => direct)).toEqual([true, true])
    await a.call('close', b.id, { only: 'relayed' })
    await exchange(a, b)
    await exchange(b, a)
  })
}

/** A round trip, an echo over a half-closed stream, 20 streams at once. */
async function exchange (from, to) {
  expect(await from.call('ping', to.id)).toBeGreaterThan(0)
  await from.call('echo', to.id, 0)
  await from.call('echo', to.id, 100_000)
  await from.call('openStreams', to.id, 20)
}

/** Each hears what the other publishes. */
async function gossip (...labs) {
  for (const lab of labs) await lab.call('subscribe', TOPIC)
  for (const [one, other] of [labs, [...labs].reverse()]) {
    await one.until('the other to be known as subscriber', peers => peers.includes(other.id), 'subscribers', TOPIC)
    await one.call('publish', TOPIC, MESSAGE_BYTES, MESSAGES)
    await other.until('all messages to arrive', ({ messages }) => messages === MESSAGES, 'heard', TOPIC)
  }
}

function rate (bytes, ms) {
  return `${(bytes / 1e6 / (ms / 1e3)).toFixed(1)} MB/s`
}
