// A page among one native peer and fifty. What it costs to do nothing is printed, not judged.
import { readFileSync } from 'node:fs'
import { Chromium, Tab, figure, test } from '../support/test.mjs'

const PEERS = 50
/** How long everybody is watched doing nothing. */
const IDLE_S = 15

for (const count of [1, PEERS]) {
  test(`a page shows ${count} native peers and rests`, async ({ relay, startPeer }) => {
    await startPeer({ relay: relay.addresses.find(addr => addr.includes('quic-v1')), count })
    const chromium = await Chromium.start()
    try {
      const tab = new Tab(await (await chromium.browser.newContext()).newPage())
      const opened = Date.now()
      await tab.join(relay.origin)
      await tab.counts('idle', count + 1)
      figure(`the page showed all ${count + 1} agents ${Date.now() - opened} ms after it was opened`)
      const { page, relaySeconds } = await atRest(chromium, relay)
      const percent = seconds => `${(seconds / IDLE_S * 100).toFixed(1)} % of a core`
      figure(`idle page among ${count} peers: ${percent(page.seconds)}, ${resident(page.pid)} MB resident`)
      figure(`idle relay with ${count + 1} peers: ${percent(relaySeconds)}, ${resident(relay.child.pid)} MB resident`)
      await tab.counts('idle', count + 1)
    } finally {
      await chromium.close()
    }
  })
}

/** CPU time of the page's renderer and of the relay over the time of rest. */
async function atRest (chromium, relay) {
  const session = await chromium.browser.newBrowserCDPSession()
  // The renderer that has worked most is the page's; another is kept in reserve by the browser.
  const renderer = async () => {
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    return processInfo.filter(({ type }) => type === 'renderer').sort((a, b) => b.cpuTime - a.cpuTime)[0]
  }
  const before = { page: await renderer(), relay: cpuSeconds(relay.child.pid) }
  // What is measured is this time; nothing is waited for.
  await new Promise(resolve => setTimeout(resolve, IDLE_S * 1_000))
  const after = { page: await renderer(), relay: cpuSeconds(relay.child.pid) }
  return {
    page: { pid: after.page.id, seconds: after.page.cpuTime - before.page.cpuTime },
    relaySeconds: after.relay - before.relay
  }
}

function cpuSeconds (pid) {
  // After the name in parentheses; user and system time in hundredths of a second.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function resident (pid) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024)
}
