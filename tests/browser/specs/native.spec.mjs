// Browsers and native peers.
import { expect, test } from '../support/test.mjs'

for (const kind of ['ws', 'webrtc-direct']) {
  const path = { ws: 'websocket', 'webrtc-direct': 'webrtc-direct' }[kind]

  test(`a browser that joined over ${kind} and a native peer work for each other`, async ({ relay, newTab, startPeer }) => {
    const tab = await (await newTab()).join(relay.invite({ kind }))
    await expect(tab.row(relay.peerId)).toHaveAttribute('data-path', path)
    const peer = await startPeer({ relay: relay.addresses.find(addr => addr.includes('quic-v1')), name: 'native' })
    await tab.sees(peer.id, 'idle')
    await peer.sees(tab.id, 'idle')

    const asked = await tab.ask(peer.id, 'Say it again.', { skill: 'echo' })
    await expect(tab.task(asked)).toHaveAttribute('data-state', 'completed')
    await expect(tab.task(asked).getByTestId('task-output')).toHaveText('Say it again.')
    await tab.rate(asked, 4)
    const evidence = await peer.until('to hold the receipt', ({ snapshot }) => snapshot?.me.trust.evidence[0])
    expect(evidence).toMatchObject({ task: asked, signer: tab.id, quality: 8000, outcome: 'completed' })

    const answered = await peer.ask(tab.id, 'human', 'How are you?')
    await tab.answer(answered, 'Very well.')
    const done = await peer.until('to be answered', () => peer.task(answered)?.state === 'completed' && peer.task(answered))
    expect(done.output).toBe('Very well.')
    await peer.rate(answered, 10_000)
    await expect((await tab.trust(tab.id)).receipts).toHaveCount(1)
  })

  test(`a browser reaches a native peer directly over ${kind} at the address in its link`, async ({ relay, newTab, startPeer }) => {
    const listen = { ws: '/ip4/127.0.0.1/tcp/0/ws', 'webrtc-direct': '/ip4/127.0.0.1/udp/0/webrtc-direct' }[kind]
    // It knows no relay, so that this address is the only way to it.
    const peer = await startPeer({ listen: [listen] })
    const address = await peer.until('to listen', ({ snapshot }) => snapshot?.me.addrs[0])
    const tab = await (await newTab()).join(`${relay.invite()}&join=${address}/p2p/${peer.id}`)
    await tab.sees(peer.id, 'idle')
    await expect(tab.row(peer.id)).toHaveAttribute('data-path', path)
    const task = await tab.ask(peer.id, 'The short way.', { skill: 'echo' })
    await expect(tab.task(task)).toHaveAttribute('data-state', 'completed')
  })
}

test('native peers that several others rated well turn white in the page', async ({ relay, newTab, startPeer }) => {
  const via = relay.address('ws')
  const helper = await startPeer({ relay: via, slots: 8 })
  const raters = []
  for (let number = 0; number < 4; number++) raters.push(await startPeer({ relay: via }))
  await Promise.all(raters.map(async rater => {
    await rater.sees(helper.id, 'idle')
    for (let round = 0; round < 5; round++) await rater.rate(await rater.ask(helper.id, 'echo', `round ${round}`), 10_000)
  }))
  const tab = await (await newTab()).join(relay.origin)
  await tab.sees(helper.id, 'reputable')
  await tab.counts('reputable', 1)
  const { score, receipts } = await tab.trust(helper.id)
  expect(score).toBeGreaterThanOrEqual(7000)
  expect(await receipts.count()).toBeGreaterThanOrEqual(5)
})

test('a provider that accepts and vanishes leaves a failed receipt', async ({ relay, newTab, startPeer }) => {
  const peer = await startPeer({ relay: relay.address('ws'), skills: 'stall' })
  const tab = await (await newTab()).join(relay.origin)
  await tab.sees(peer.id, 'idle')
  await tab.row(peer.id).getByTestId('ask-peer').click()
  await tab.get('skill-select').selectOption('stall')
  // The shortest deadline that the page offers.
  const deadlines = await tab.get('ask-deadline').locator('option').evaluateAll(all => all.map(one => Number(one.value)))
  await tab.get('ask-deadline').selectOption(`${Math.min(...deadlines)}`)
  test.setTimeout(240_000 + Math.min(...deadlines) * 1_000)
  await tab.get('ask-input').fill('Do not go away.')
  await tab.get('ask-send').click()
  const row = tab.page.locator('[data-testid="task-row"]').filter({ hasText: 'Do not go away.' })
  await expect(row).toHaveAttribute('data-state', 'working')
  await peer.kill()
  await expect(row).toHaveAttribute('data-state', 'failed', { timeout: Math.min(...deadlines) * 1_000 + 60_000 })
  await expect((await tab.trust(peer.id)).receipts).toHaveCount(1)
})
