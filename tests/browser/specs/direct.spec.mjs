// From the relay to a direct connection, and what a person is told where there is none.
import { Chromium, expect, figure, test } from '../support/test.mjs'

/** Waits until both pages reach each other by this path. */
async function reach (pair, path) {
  const [one, other] = pair
  await expect(one.row(other.id)).toHaveAttribute('data-path', path, { timeout: 30_000 })
  await expect(other.row(one.id)).toHaveAttribute('data-path', path, { timeout: 30_000 })
}

test('two browsers connect directly and go on when the relay is gone', async ({ pair: [asker, helper], relay }) => {
  const since = Date.now()
  await reach([asker, helper], 'direct-webrtc')
  figure(`both pages said "direct" ${Date.now() - since} ms after they saw each other`)
  await expect(asker.row(helper.id).getByTestId('path-reason')).toHaveCount(0)
  await relay.kill()
  await expect(asker.get('join-stage')).not.toHaveAttribute('data-stage', 'joined')
  await expect(helper.get('join-stage')).not.toHaveAttribute('data-stage', 'joined')
  const task = await asker.ask(helper.id, 'Can you still hear me?')
  await helper.answer(task, 'Loud and clear')
  await expect(asker.task(task)).toHaveAttribute('data-state', 'completed')
  for (const tab of [asker, helper]) {
    await tab.show('mesh')
    expect(await tab.page.locator('.graph .line-direct').count(), 'drawn as a solid line').toBeGreaterThan(0)
  }
  await reach([asker, helper], 'direct-webrtc')
})

test('a browser without WebRTC works through the relay, and both sides say why', async ({ relay, newTab }) => {
  const without = await newTab(0)
  await without.page.addInitScript(() => { delete window.RTCPeerConnection })
  const other = await newTab(1)
  await Promise.all([without, other].map(tab => tab.join(relay.origin)))
  await without.sees(other.id, 'idle')
  await reach([without, other], 'relayed')
  await expect(without.row(other.id).getByTestId('path-reason')).toContainText('this side has no WebRTC')
  await expect(other.row(without.id).getByTestId('path-reason')).toContainText('the other side has no WebRTC')
  await expect(without.page.locator('.graph .edges .line-relayed')).toHaveCount(1)
  const task = await without.ask(other.id, 'Through the relay?')
  await other.answer(task, 'Yes')
  await expect(without.task(task)).toHaveAttribute('data-state', 'completed')
})

test('a browser whose network carries no UDP stays on the relay and says so', async ({ relay, newTab }) => {
  // What administrators of such networks set, and what their firewalls come to.
  const fenced = await Chromium.start({ flags: ['--webrtc-ip-handling-policy=disable_non_proxied_udp'] })
  try {
    const pair = [await newTab(fenced), await newTab(1)]
    await Promise.all(pair.map(tab => tab.join(relay.origin)))
    await pair[0].sees(pair[1].id, 'idle')
    await reach(pair, 'relayed')
    const reason = pair[0].row(pair[1].id).getByTestId('path-reason')
    await expect(reason).toContainText(/no (direct|network)/, { timeout: 60_000 })
    figure(`without UDP: "${await reason.textContent()}"`)
    const task = await pair[0].ask(pair[1].id, 'Through the relay?')
    await pair[1].answer(task, 'Yes')
    await expect(pair[0].task(task)).toHaveAttribute('data-state', 'completed')
  } finally {
    await fenced.close()
  }
})

test('a killed browser is noticed by the one it was connected with', async ({ relay, newTab }) => {
  const doomed = await Chromium.start()
  const [one, other] = [await newTab(doomed), await newTab(1)]
  await Promise.all([one, other].map(tab => tab.join(relay.origin)))
  await other.sees(one.id, 'idle')
  await reach([one, other], 'direct-webrtc')
  const { id } = one
  await doomed.kill()
  const since = Date.now()
  await expect(other.row(id)).toHaveAttribute('data-path', 'none', { timeout: 60_000 })
  figure(`a killed browser was noticed after ${Date.now() - since} ms`)
})

test('STUN and TURN servers are checked, kept, and used from the next load on', async ({ relay, newTab }) => {
  const tab = await newTab()
  await tab.page.addInitScript(() => {
    const Native = window.RTCPeerConnection
    window.iceServers = []
    window.RTCPeerConnection = class extends Native {
      constructor (config) {
        super(config)
        window.iceServers.push(...(config?.iceServers ?? []))
      }
    }
  })
  await tab.join(relay.origin)
  await tab.show('settings')
  await expect(tab.get('ice-save')).toBeDisabled()
  await tab.get('ice-input').fill('turn:192.0.2.1:3478')
  await tab.get('ice-save').click()
  await expect(tab.get('ice-problem')).toContainText('needs a name and a password')
  await tab.get('ice-input').fill('stun:192.0.2.1:3478')
  await Promise.all([tab.page.waitForEvent('load'), tab.get('ice-save').click()])
  await tab.joined()
  await tab.show('settings')
  await expect(tab.get('ice-input')).toHaveValue('stun:192.0.2.1:3478')
  const other = await newTab(1)
  await other.join(relay.origin)
  await other.sees(tab.id, 'idle')
  await expect.poll(() => tab.page.evaluate(() => window.iceServers.flatMap(server => server.urls)))
    .toContain('stun:192.0.2.1:3478')
})
