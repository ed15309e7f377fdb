// A hidden tab's timers run once a second, then once a minute. Nobody may take it for dead.
import { expect, figure, test } from '../support/test.mjs'
import { RawChromium } from '../support/raw-chromium.mjs'

/** Chromium's grace period before timers run once a minute; five minutes unless told otherwise. */
const GRACE_S = 5
/** Wake-ups once a minute that are waited for. The sleep before each is longer than the ttl of a visible tab's presence, 45 s. */
const WAKE_UPS = 1

test('a hidden tab is throttled to a wake-up a minute and nobody turns grey', async ({ relay, startPeer }) => {
  test.setTimeout(420_000)
  const peer = await startPeer({ relay: relay.address('ws') })
  const browser = await RawChromium.start({ graceS: GRACE_S })
  try {
    const tab = await browser.open(relay.origin)
    const id = await tab.evaluate(`new Promise(resolve => {
      const look = () => {
        const stage = document.querySelector('[data-testid="join-stage"][data-stage="joined"]')
        const me = document.querySelector('[data-testid="self-peer-id"]')
        if (stage && me) { watch.disconnect(); resolve(me.dataset.peerId) }
      }
      const watch = new MutationObserver(look)
      watch.observe(document, { subtree: true, childList: true, attributes: true })
      look()
    })`)
    await peer.sees(id, 'idle')
    const before = peer.events.length
    await tab.evaluate(`{
      window.gaps = []
      let last = performance.now()
      setInterval(() => { const now = performance.now(); gaps.push(now - last); last = now }, 200)
      window.longGaps = count => new Promise(resolve => {
        const look = () => gaps.filter(gap => gap > 50_000).length >= count ? resolve(gaps) : setTimeout(look, 200)
        look()
      })
    }`)
    // Another tab in front hides the first.
    await browser.open('about:blank')
    expect(await tab.evaluate('document.visibilityState')).toBe('hidden')
    const gaps = await tab.evaluate(`longGaps(${WAKE_UPS})`)
    figure(`a hidden tab slept up to ${Math.round(Math.max(...gaps) / 1000)} s at a time`)
    expect(peer.row(id).status).toBe('idle')
    const lost = peer.events.slice(before).filter(({ type, peer: who }) => type === 'peer-lost' && who === id)
    expect(lost).toEqual([])
  } finally {
    await browser.close()
  }
})
