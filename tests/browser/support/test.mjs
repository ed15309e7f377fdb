// Playwright's test with what the mesh needs: two Chromium processes for the whole run, and for each test a relay and native
// peers, all ended with it.
import { test as base } from '@playwright/test'
import { Chromium } from './chromium.mjs'
import { NativePeer, Relay } from './processes.mjs'
import { Tab } from './tab.mjs'

export { expect } from '@playwright/test'
export { Chromium, Tab }

export const test = base.extend({
  /** Two browser processes. */
  processes: [async ({}, use) => {
    const processes = [await Chromium.start(), await Chromium.start()]
    await use(processes)
    for (const own of processes) await own.close()
  }, { scope: 'worker' }],

  /** Starts relays; `await startRelay({ network, config })`. */
  startRelay: async ({}, use) => {
    const relays = []
    await use(async options => {
      relays.push(await Relay.start(options))
      return relays.at(-1)
    })
    for (const relay of relays) await relay.dispose()
  },

  /** A relay with default settings. */
  relay: async ({ startRelay }, use) => {
    await use(await startRelay())
  },

  /** Starts native peers; `await startPeer({ relay, skills, … })`. */
  startPeer: async ({}, use) => {
    const peers = []
    await use(async options => {
      peers.push(await NativePeer.start(options))
      return peers.at(-1)
    })
    for (const peer of peers) await peer.kill()
  },

  /** Opens a page in a fresh profile of browser process 0 or 1, without loading anything. */
  newTab: async ({ processes }, use, info) => {
    const contexts = []
    await use(async (process = 0, options = {}) => {
      const own = typeof process === 'number' ? processes[process] : process
      const context = await own.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
      contexts.push(context)
      return new Tab(await context.newPage())
    })
    for (const context of contexts) {
      const failed = info.status !== info.expectedStatus
      for (const [number, page] of context.pages().entries()) {
        if (failed) await page.screenshot({ path: info.outputPath(`page-${contexts.indexOf(context)}-${number}.png`) }).catch(() => {})
      }
      await context.close().catch(() => {})
    }
  },

  /** Two joined pages in two processes that see each other. */
  pair: async ({ relay, newTab }, use) => {
    const tabs = [await newTab(0), await newTab(1)]
    await Promise.all(tabs.map(tab => tab.join(relay.origin)))
    await tabs[0].sees(tabs[1].id, 'idle')
    await tabs[1].sees(tabs[0].id, 'idle')
    await use(tabs)
  }
})

/** Print a measured figure; it is not judged. */
export function figure (text) {
  console.log(`    figure: ${text}`)
  test.info().annotations.push({ type: 'figure', description: text })
}
