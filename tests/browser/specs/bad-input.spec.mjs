// Each mistake gives one clear message, and the page goes on.
import { Chromium, expect, test } from '../support/test.mjs'

/** Wait for a message that contains both the trouble and a way out of it. */
async function problem (tab, what, advice) {
  const box = tab.get('problem').filter({ hasText: what })
  await expect(box).toHaveCount(1)
  await expect(box).toContainText(advice)
}

test('a malformed join link is explained, and the page joins its own relay', async ({ relay, newTab }) => {
  for (const link of ['#join=nonsense', `#join=${relay.address('ws').split('/p2p/')[0]}`, '#network=public']) {
    const tab = await newTab()
    await tab.page.goto(`${relay.origin}/${link}`)
    await expect(tab.get('problem').first()).toContainText(/link/i)
    await tab.joined()
  }
})

test('a name that no network has is explained', async ({ relay, newTab }) => {
  const tab = await newTab()
  await tab.page.goto(`${relay.origin}/#join=${relay.address('ws')}&network=Our%20Garden`)
  await problem(tab, 'Our Garden', 'lower-case')
})

test('another network than the relay serves is explained once', async ({ relay, startRelay, newTab }) => {
  // Of its own site's relay the page knows the network beforehand; another one turns out to serve another.
  const elsewhere = await startRelay({ network: 'garden' })
  for (const [link, what, advice] of [
    [relay.invite({ network: 'graden' }), 'this relay serves “public”', 'link'],
    [elsewhere.invite({ network: 'graden', origin: relay.origin }), 'does not serve the network "graden"', 'name']
  ]) {
    const tab = await newTab()
    await tab.page.goto(link)
    await expect(tab.get('join-stage')).toHaveAttribute('data-stage', 'failed')
    await problem(tab, what, advice)
    await expect(tab.get('problem')).toHaveCount(1)
  }
})

test('a full relay says so to the joining page', async ({ startRelay, startPeer, newTab }) => {
  const relay = await startRelay({ config: '[relay]\nreservations_max = 1\n' })
  const first = await startPeer({ relay: relay.address('ws') })
  await first.until('to join', ({ snapshot }) => snapshot?.join.stage === 'joined')
  const tab = await newTab()
  await tab.page.goto(relay.origin)
  await problem(tab, 'relay is full', 'another relay')
  await first.tell({ do: 'stop' })
  await tab.joined()
})

test('a relay that is not there is named with what to do', async ({ relay, startRelay, newTab }) => {
  const gone = await startRelay()
  await gone.kill()
  const tab = await newTab()
  await tab.page.goto(gone.invite({ origin: relay.origin }))
  await expect(tab.get('join-stage')).toHaveAttribute('data-stage', 'failed')
  await problem(tab, 'cannot be reached', 'Check')
})

test('a browser without IndexedDB takes part for this visit', async ({ relay, newTab }) => {
  const tab = await newTab()
  await tab.page.addInitScript(() => Object.defineProperty(window, 'indexedDB', { value: undefined }))
  await tab.page.goto(relay.origin)
  await problem(tab, 'IndexedDB', 'nothing is kept')
  await tab.joined()
})

test('a browser without WebRTC takes part through the relay', async ({ relay, newTab, startPeer }) => {
  const tab = await newTab()
  await tab.page.addInitScript(() => {
    for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection']) Object.defineProperty(window, name, { value: undefined })
  })
  const peer = await startPeer({ relay: relay.address('ws') })
  await tab.join(relay.origin)
  await problem(tab, 'WebRTC', 'relay')
  await tab.sees(peer.id, 'idle')
  const task = await tab.ask(peer.id, 'Hello without WebRTC.', { skill: 'echo' })
  await expect(tab.task(task)).toHaveAttribute('data-state', 'completed')
})

test('a page over plain HTTP from another machine says what is missing, and joins', async ({ relay, newTab }) => {
  // The name leads to this machine, and the browser does not know that: no secure context.
  const lan = await Chromium.start({ flags: ['--host-resolver-rules=MAP relay.test 127.0.0.1'] })
  const tab = await newTab(lan)
  await tab.page.goto(`http://relay.test:${new URL(relay.origin).port}`)
  expect(await tab.page.evaluate(() => window.isSecureContext)).toBe(false)
  await problem(tab, 'plain HTTP', 'HTTPS')
  await tab.joined()
  await lan.close()
})

test('a damaged identity is not silently replaced', async ({ relay, newTab }) => {
  const tab = await (await newTab()).join(relay.origin)
  const { id } = tab
  const damaged = await tab.page.evaluate(damageKeys)
  expect(damaged).toBeGreaterThan(0)
  await tab.page.reload()
  await expect(tab.get('problem').first()).toBeVisible()
  await expect(tab.get('store-reset')).toBeVisible()
  await tab.get('store-memory').click()
  await tab.joined()
  expect(tab.id).not.toBe(id)
})

/** Overwrite every stored key with something that is none; gives how many there were. Runs in the page. */
async function damageKeys () {
  const promised = request => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  let damaged = 0
  for (const { name } of await indexedDB.databases()) {
    const db = await promised(indexedDB.open(name))
    for (const store of db.objectStoreNames) {
      const keys = await promised(db.transaction(store).objectStore(store).getAllKeys())
      for (const key of keys.filter(key => /key|identity/i.test(`${store} ${key}`))) {
        const objects = db.transaction(store, 'readwrite').objectStore(store)
        const value = new Uint8Array([1, 2, 3])
        await promised(objects.keyPath === null ? objects.put(value, key) : objects.delete(key))
        damaged += 1
      }
    }
    db.close()
  }
  return damaged
}
