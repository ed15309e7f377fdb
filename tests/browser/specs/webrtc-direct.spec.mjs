// A browser to listeners that have no certificate: WebRTC-direct.
import { MIB, RUST, expect, figure, test } from '../support/lab-test.mjs'

const BULK = 10 * MIB
/** The relay notices only after seconds that a page has closed such a connection, and takes four from one peer. */
const ROUNDS = 4

test('a page reaches our relay over WebRTC-direct, again and again', async ({ relay, openLab }) => {
  const lab = await openLab(RUST, 0)
  for (let round = 0; round < ROUNDS; round++) {
    const link = await lab.call('dial', relay.address('webrtc-direct'))
    expect(link.direct).toBe(true)
    expect(await lab.call('ping', relay.peerId)).toBeGreaterThan(0)
    await lab.call('close', relay.peerId)
    await lab.until('the connection to be gone', links => links.length === 0, 'connections', relay.peerId)
  }
})

test('a page and a js-libp2p process exchange over WebRTC-direct', async ({ jsServer, openLab }) => {
  const lab = await openLab(RUST, 0)
  await lab.call('dial', jsServer.address('webrtc-direct'))
  await lab.call('echo', jsServer.peerId, 100_000)
  await lab.call('openStreams', jsServer.peerId, 20)
  for (const method of ['send', 'receive']) {
    const { ms } = await lab.call(method, jsServer.peerId, BULK)
    figure(`rust page to js-libp2p process: ${method} ${BULK / MIB} MiB at ${(BULK / 1e3 / ms).toFixed(1)} MB/s`)
  }
})

test('a listener that is not whom its address names is refused', async ({ relay, jsServer, openLab }) => {
  const lab = await openLab(RUST, 0)
  const wrong = relay.address('webrtc-direct').replace(relay.peerId, jsServer.peerId)
  await expect(lab.call('dial', wrong)).rejects.toThrow()
  expect(await lab.call('connections', jsServer.peerId)).toEqual([])
})

test('an address at which nobody listens fails with a sentence', async ({ relay, openLab }) => {
  const lab = await openLab(RUST, 0)
  const addr = relay.address('webrtc-direct')
  await relay.kill()
  const failed = await lab.call('dial', addr).catch(error => error.message)
  figure(`nobody listens: ${failed}`)
  expect(failed).toMatch(/direct path|timed out/)
})
