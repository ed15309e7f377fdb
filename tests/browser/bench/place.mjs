// Where a bench runs.
import { Chromium } from '../support/chromium.mjs'
import { LAB_FLAGS } from '../support/lab.mjs'
import { Relay } from '../support/processes.mjs'

/** Two browser processes and a relay, on this machine or in networks, for as long as `run` takes. */
export async function inside (networks, run) {
  const opened = []
  try {
    const relay = await Relay.start({ networks })
    opened.push(async () => await relay.dispose())
    const browsers = []
    for (const number of [0, 1]) {
      browsers.push(await Chromium.start({ flags: LAB_FLAGS, ...networks !== undefined && { executable: await networks.chromium(number) } }))
      opened.push(async () => await browsers[number].close())
    }
    const relays = [0, 1].map(number => networks === undefined ? relay.address('ws') : relay.addressIn(number))
    return await run(browsers, relays)
  } finally {
    for (const close of opened.reverse()) await close()
  }
}
