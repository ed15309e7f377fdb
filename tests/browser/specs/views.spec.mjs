// Every view, light and dark, wide and narrow: axe-core finds nothing serious, nothing sticks out, and a picture is kept.
import AxeBuilder from '@axe-core/playwright'
import { expect, test } from '../support/test.mjs'

const VIEWS = ['mesh', 'ask', 'inbox', 'reputation', 'log', 'settings']
const SIZES = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } }

for (const colorScheme of ['light', 'dark']) {
  test(`every view is accessible and readable, ${colorScheme}`, async ({ relay, newTab, startPeer }, info) => {
    const via = relay.address('ws')
    const [helper, friend] = [await startPeer({ relay: via, name: 'Helper', slots: 4 }), await startPeer({ relay: via, name: 'Friend' })]
    const tab = await newTab(0, { colorScheme, reducedMotion: 'reduce' })
    await tab.join(relay.origin)
    await tab.sees(helper.id, 'idle')
    const done = await tab.ask(helper.id, 'Something to show.', { skill: 'echo' })
    await tab.rate(done, 4)
    await friend.sees(tab.id, 'idle')
    await friend.ask(tab.id, 'human', 'Something to answer?')
    await tab.show('inbox')
    await expect(tab.get('task-answer-input')).toBeVisible()

    for (const [size, viewport] of Object.entries(SIZES)) {
      await tab.page.setViewportSize(viewport)
      for (const view of VIEWS) {
        await tab.show(view)
        if (view === 'reputation') await tab.trust(helper.id)
        await look(tab, `${view}-${colorScheme}-${size}`, info)
      }
      await tab.get('invite-open').click()
      await expect(tab.get('invite-dialog')).toBeVisible()
      await look(tab, `invite-${colorScheme}-${size}`, info)
      await tab.page.keyboard.press('Escape')
      await expect(tab.get('invite-dialog')).toHaveCount(0)
    }
  })

  test(`a person alone sees a working node and what to do, ${colorScheme}`, async ({ relay, newTab }, info) => {
    const tab = await newTab(0, { colorScheme, reducedMotion: 'reduce' })
    await tab.join(relay.origin)
    await tab.counts('idle', 1)
    await expect(tab.page.locator('main')).toContainText(/nobody else here yet/i)
    await expect(tab.page.getByTestId('invite-link-inline').or(tab.page.getByTestId('invite-link')).first()).toBeVisible()
    for (const [size, viewport] of Object.entries(SIZES)) {
      await tab.page.setViewportSize(viewport)
      await look(tab, `alone-${colorScheme}-${size}`, info)
    }
  })
}

async function look (tab, name, info) {
  await tab.page.screenshot({ path: `${info.project.outputDir}/screens/${name}.png`, fullPage: true })
  const { violations } = await new AxeBuilder({ page: tab.page }).setLegacyMode(true).analyze()
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  const shown = serious.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' | ').slice(0, 400)}`)
  expect.soft(shown, `axe on ${name}`).toEqual([])
  const overflow = await tab.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  expect.soft(overflow, `${name} sticks out sideways by pixels`).toBeLessThanOrEqual(0)
}
