// Takes the README's picture: `node picture.mjs OUT.png` after `cargo xtask build`. Real relay, real native peers, real ratings.
import { Chromium } from './support/chromium.mjs'
import { NativePeer, Relay } from './support/processes.mjs'
import { Tab } from './support/tab.mjs'

const started = []
const start = async starting => { started.push(await starting); return started.at(-1) }
try {
  const relay = await start(Relay.start())
  const peer = (name, more = {}) => start(NativePeer.start({ relay: relay.address('ws'), name, ...more }))
  const ada = await peer('Ada', { slots: 8 })
  const others = []
  for (const name of ['Ben', 'Chen', 'Dara', 'Emil']) others.push(await peer(name))
  await peer('Fay')
  for (const rater of others) {
    await rater.sees(ada.id, 'idle')
    for (let round = 0; round < 5; round++) await rater.rate(await rater.ask(ada.id, 'echo', `round ${round}`), 10_000)
  }
  const browser = await Chromium.start()
  const context = await browser.browser.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: 'reduce' })
  const tab = new Tab(await context.newPage())
  await tab.join(relay.origin)
  await tab.sees(ada.id, 'reputable')
  await others[0].ask(others[1].id, 'human', 'Which of these maps is the newest?')
  await tab.sees(others[1].id, 'busy')
  await tab.get('toast').first().waitFor({ state: 'detached' })
  await tab.page.screenshot({ path: process.argv[2] })
  await browser.close()
} finally {
  for (const one of started.reverse()) await (one.dispose?.() ?? one.kill())
}
