// A direct connection whose way is cut, between two networks: the pages go back to the relay, and connect directly again
// once there is a way.
import { Chromium, expect, figure, test } from '../support/test.mjs'
import { Networks } from '../support/networks.mjs'

test('when the direct way is cut the pages go on through the relay, and come back to it later', async ({ startRelay, newTab }) => {
  const missing = await Networks.missing()
  test.skip(missing !== undefined, missing)
  test.setTimeout(180_000)
  const networks = await Networks.make()
  const browsers = []
  try {
    const relay = await startRelay({ networks })
    const tabs = []
    for (const number of [0, 1]) {
      browsers.push(await Chromium.start({ executable: await networks.chromium(number) }))
      tabs.push(await newTab(browsers[number]))
      const origin = new URL(relay.origin)
      origin.hostname = networks.gateway(number)
      await tabs[number].join(origin.href)
    }
    const [asker, helper] = tabs
    const reached = async path => {
      const since = Date.now()
      await expect(asker.row(helper.id)).toHaveAttribute('data-path', path, { timeout: 90_000 })
      await expect(helper.row(asker.id)).toHaveAttribute('data-path', path, { timeout: 90_000 })
      return Date.now() - since
    }
    await reached('direct-webrtc')

    await networks.blockUdp()
    const task = await asker.ask(helper.id, 'Is the line still there?')
    await helper.answer(task, 'Another one is')
    await expect(asker.task(task)).toHaveAttribute('data-state', 'completed')
    await asker.show('mesh')
    await helper.show('mesh')
    figure(`the way was cut: both pages were on the relay after ${await reached('relayed')} ms more`)
    await expect(asker.row(helper.id).getByTestId('path-reason')).not.toBeEmpty()

    await networks.unblockUdp()
    figure(`there was a way again: both pages were direct after ${await reached('direct-webrtc')} ms`)
  } finally {
    for (const own of browsers) await own.close()
    await networks.dispose()
  }
})
