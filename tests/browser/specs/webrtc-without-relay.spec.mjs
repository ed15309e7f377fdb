// What two pages exchange directly does not go over the relay, and goes on without it.
import { MIB, RUST, connectDirect, expect, figure, pairAt, test } from '../support/lab-test.mjs'

const BULK = 50 * MIB
/** What the relay may carry meanwhile: pings and identify of two pages, in seconds, take a few kilobytes. */
const ASIDE_BYTES_MAX = 100_000

test('50 MiB each way leave the relay untouched, and its end goes unnoticed', async ({ relay, openLab }) => {
  const addr = relay.address('ws')
  const [a, b] = await pairAt(addr, openLab, [RUST, RUST])
  await connectDirect(addr, a, b)
  const before = await carried(relay)
  await Promise.all([a.call('send', b.id, BULK), b.call('send', a.id, BULK)])
  const aside = await carried(relay) - before
  figure(`the relay carried ${aside} bytes while two pages exchanged ${2 * BULK} directly`)
  expect(aside).toBeLessThan(ASIDE_BYTES_MAX)

  // One transfer is under way while the relay ends.
  const [{ ms }] = await Promise.all([a.call('send', b.id, BULK), relay.kill()])
  figure(`50 MiB in ${Math.round(ms)} ms while the relay was killed`)
  await a.until('the relay to be gone', links => links.length === 0, 'connections', relay.peerId)
  await b.until('the relay to be gone', links => links.length === 0, 'connections', relay.peerId)
  for (const [one, other] of [[a, b], [b, a]]) {
    await one.call('echo', other.id, 100_000)
    await one.call('openStreams', other.id, 20)
    await one.call('send', other.id, MIB)
  }
})

/** Bytes on all of the relay's connections so far. */
async function carried (relay) {
  const text = await (await fetch(`${relay.origin}/metrics`)).text()
  const found = [...text.matchAll(/^mycomesh_transport_bytes_total\{way="(?:sent|received)"\} (\d+)$/gm)]
  if (found.length !== 2) throw new Error('the relay tells no bytes')
  return found.reduce((sum, [, bytes]) => sum + Number(bytes), 0)
}
