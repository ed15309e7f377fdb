// Two browsers in two networks that only a router connects. Here a direct connection is more than loopback.
import { Chromium } from '../support/chromium.mjs'
import { LAB_FLAGS } from '../support/lab.mjs'
import { Lab, RUST, behind, expect, figure, test } from '../support/lab-test.mjs'
import { Networks } from '../support/networks.mjs'

/** What administrators set where UDP is not wanted. */
const NO_UDP = '--webrtc-ip-handling-policy=disable_non_proxied_udp'

test.describe('two networks', () => {
  let networks
  test.beforeEach(async () => {
    const missing = await Networks.missing()
    test.skip(missing !== undefined, missing)
    networks = await Networks.make()
  })
  test.afterEach(async () => await networks?.dispose())

  test('routed networks: pages connect directly, through the router and not the relay', async ({ startRelay }) => {
    await inside(networks, startRelay, [], async ({ relay, a, b }) => {
      const link = await a.call('dial', behind(relay.addressIn(0), b.id))
      expect(link.direct).toBe(true)
      await a.call('close', b.id, { only: 'relayed' })
      await a.call('echo', b.id, 100_000)
      await relay.kill()
      await b.call('echo', a.id, 100_000)
    })
  })

  test('a router that drops UDP: pages stay relayed, say why, and connect directly once it forwards', async ({ startRelay }) => {
    await networks.blockUdp()
    await inside(networks, startRelay, [], async ({ relay, a, b }) => {
      await a.call('dial', behind(relay.addressIn(0), b.id, { direct: false }))
      await refused(a, b, relay, 'UDP dropped on the way', /direct path|firewall|timed out/)
      await networks.unblockUdp()
      const link = await a.call('dial', behind(relay.addressIn(0), b.id))
      expect(link.direct).toBe(true)
    })
  })

  test('a browser without UDP: pages stay relayed and say why', async ({ startRelay }) => {
    await inside(networks, startRelay, [NO_UDP], async ({ relay, a, b }) => {
      await a.call('dial', behind(relay.addressIn(0), b.id, { direct: false }))
      await refused(a, b, relay, 'no UDP in the browser', /UDP/)
    })
  })
})

/** The direct dial fails with a sentence, and what they have goes on. */
async function refused (a, b, relay, what, sentence) {
  const started = Date.now()
  const said = await a.call('dial', behind(relay.addressIn(0), b.id)).then(() => 'it connected', error => error.message)
  figure(`${what}: after ${((Date.now() - started) / 1e3).toFixed(1)} s "${said}"`)
  expect(said).toMatch(sentence)
  expect((await a.call('connections', b.id)).map(({ direct }) => direct)).toEqual([false])
  await a.call('echo', b.id, 100_000)
  await b.call('echo', a.id, 100_000)
}

/** A relay on the router, and a page in a browser of its own in each network. */
async function inside (networks, startRelay, flags, run) {
  const relay = await startRelay({ networks })
  const browsers = []
  try {
    const labs = []
    for (const number of [0, 1]) {
      browsers.push(await Chromium.start({ flags: [...LAB_FLAGS, ...flags], executable: await networks.chromium(number) }))
      labs.push(await Lab.open(browsers[number], RUST))
      await labs[number].call('reserve', relay.addressIn(number))
    }
    await run({ relay, a: labs[0], b: labs[1] })
    expect(labs.flatMap(({ errors }) => errors)).toEqual([])
  } finally {
    for (const own of browsers) await own.close()
  }
}
