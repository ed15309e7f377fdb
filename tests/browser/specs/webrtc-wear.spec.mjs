// What long use and ill will do to a page: nothing piles up, and one peer's misconduct stays its own.
import { JS, RUST, behind, connectDirect, expect, figure, pairAt, test } from '../support/lab-test.mjs'

const STREAMS = 5_000
const CONNECTS = 300
const OFFERS = 1_000
const DECLINED = 500
/** Channels and connections that may still be there after a collection: those in use, and a few that are on their way out. */
const KEPT_MAX = 20
/** More memory than this per stream is a leak: a channel with its callbacks takes several kilobytes. */
const BYTES_PER_STREAM_MAX = 200

test(`${STREAMS} streams one after the other leave nothing behind`, async ({ relay, openLab }) => {
  const addr = relay.address('ws')
  const [a, b] = await pairAt(addr, openLab, [RUST, RUST])
  await connectDirect(addr, a, b)
  // What is needed once is made before it is measured.
  await a.call('openStreams', b.id, 500, { sequential: true })
  const before = [await letGo(a), await letGo(b)]
  const { ms } = await a.call('openStreams', b.id, STREAMS, { sequential: true })
  const after = [await letGo(a), await letGo(b)]
  figure(`${STREAMS} sequential streams at ${(ms / STREAMS).toFixed(2)} ms each`)
  for (const [number, who] of ['opener', 'acceptor'].entries()) {
    const { channels, held, heapBytes, wasmBytes } = after[number]
    const slope = (of, was) => ((of - was) / STREAMS).toFixed(1)
    figure(`${who}: ${channels.made} channels made, ${channels.kept} kept, ${held.channels} held; per stream ` +
      `${slope(heapBytes, before[number].heapBytes)} bytes of heap, ${slope(wasmBytes, before[number].wasmBytes)} of WebAssembly memory`)
    expect(channels.made).toBeGreaterThanOrEqual(STREAMS)
    expect((heapBytes - before[number].heapBytes) / STREAMS).toBeLessThan(BYTES_PER_STREAM_MAX)
    expect((wasmBytes - before[number].wasmBytes) / STREAMS).toBeLessThan(BYTES_PER_STREAM_MAX)
  }
})

test(`${CONNECTS} connects and disconnects leave nothing behind`, async ({ relay, openLab }) => {
  const addr = relay.address('ws')
  const [a, b] = await pairAt(addr, openLab, [RUST, RUST])
  await a.call('dial', behind(addr, b.id, { direct: false }))
  const started = Date.now()
  for (let round = 0; round < CONNECTS; round++) {
    await a.call('dial', behind(addr, b.id))
    await a.call('close', b.id, { only: 'direct' })
    // A page may have about 500, and closed ones count until they are collected; in a test that takes its own time.
    if (round % 100 === 99) await Promise.all([a.collected(), b.collected()])
  }
  figure(`${CONNECTS} connects and disconnects at ${Math.round((Date.now() - started) / CONNECTS)} ms each`)
  for (const [lab, other] of [[a, b], [b, a]]) {
    await lab.until('no direct connection', links => links.every(({ direct }) => !direct), 'connections', other.id)
    const { connections, held } = await lab.collected()
    figure(`${lab === a ? 'dialler' : 'dialled'}: ${connections.made} peer connections made, ${connections.kept} kept, ${held.connections} held`)
    expect(connections.made).toBeGreaterThanOrEqual(CONNECTS)
    expect(connections.kept).toBeLessThan(KEPT_MAX)
    expect(held.connections).toBe(0)
  }
  await a.call('dial', behind(addr, b.id))
  await a.call('echo', b.id, 1_000)
})

test(`${DECLINED} declined attempts leave nothing behind`, async ({ relay, openLab }) => {
  const addr = relay.address('ws')
  // The other side has room for none. Often the browser has not even made the offer when the answer comes.
  const [a, b] = await pairAt(addr, openLab, [RUST, RUST], { inboundMax: 0 })
  await a.call('dial', behind(addr, b.id, { direct: false }))
  for (let round = 0; round < DECLINED; round++) {
    await expect(a.call('dial', behind(addr, b.id))).rejects.toThrow(/declined/)
  }
  for (const lab of [a, b]) {
    const few = ({ connections, held }) => connections.kept < KEPT_MAX && held.connections === 0
    const { connections } = await lab.until('peer connections to be let go', few, 'collected')
    figure(`${DECLINED} attempts declined: ${connections.made} peer connections made, ${connections.kept} kept`)
  }
})

for (const kind of [RUST, JS]) {
  test(`${OFFERS} offers of one ${kind} peer do not keep others away`, async ({ relay, openLab }) => {
    const addr = relay.address('ws')
    const [flooder, victim] = await pairAt(addr, openLab, [kind, RUST])
    const other = await openLab(RUST, 0)
    await flooder.call('dial', behind(addr, victim.id, { direct: false }))
    const flood = flooder.call('floodOffers', victim.id, OFFERS)
    // While it goes on, somebody else connects.
    await connectDirect(addr, other, victim)
    await other.call('echo', victim.id, 1_000)
    const { answered, declined, unopened } = await flood
    await other.call('echo', victim.id, 1_000)
    const { connections, held } = await victim.collected()
    figure(`${OFFERS} offers of a ${kind} peer: ${answered} answered, ${declined} declined, ${unopened} not opened; ` +
      `the page made ${connections.made} peer connections and holds ${held.connections}`)
    expect(answered + declined + unopened).toBe(OFFERS)
    expect(connections.made).toBeLessThan(OFFERS / 2)
    await victim.until('only the wanted connection', ({ held }) => held.connections === 1, 'stats')
  })
}

for (const pair of [[RUST, RUST], [JS, RUST], [RUST, JS]]) {
  test(`${pair.join(' to ')}: a stream that nobody reads is reset alone`, async ({ relay, openLab }) => {
    const addr = relay.address('ws')
    const [a, b] = await pairAt(addr, openLab, pair)
    await connectDirect(addr, a, b)
    const { written, error } = await a.call('stuff', b.id)
    figure(`${pair.join(' to ')}: reset after ${written} written bytes: ${error}`)
    expect(error).toBeTruthy()
    await a.call('echo', b.id, 100_000)
    await b.call('echo', a.id, 100_000)
    expect(await a.call('connections', b.id)).toHaveLength(1)
  })
}

/** Wait until a page has let its closed channels go, which on a slow machine takes longer than the last echo; gives its figures then. */
async function letGo (lab) {
  const few = ({ channels, held }) => channels.kept < KEPT_MAX && held.channels < KEPT_MAX
  return await lab.until('closed channels to be let go', few, 'collected')
}
