// The whole way from the first tab stop to a rating, without a mouse.
import { expect, test } from '../support/test.mjs'

/** More tab stops than any view has. */
const STOPS_MAX = 150

/** Press Tab until the focus is on an element that `selector` matches. */
async function tabTo (tab, selector) {
  for (let stops = 0; stops < STOPS_MAX; stops++) {
    await tab.page.keyboard.press('Tab')
    if (await tab.page.evaluate(selector => document.activeElement?.matches(selector) ?? false, selector)) return
  }
  throw new Error(`Tab never comes to ${selector}`)
}

/** The focus must be visible where it is. */
async function focusShows (tab) {
  const outline = await tab.page.evaluate(() => {
    const style = getComputedStyle(document.activeElement)
    return { width: parseFloat(style.outlineWidth), style: style.outlineStyle, shadow: style.boxShadow }
  })
  expect(outline.shadow !== 'none' || (outline.style !== 'none' && outline.width > 0), JSON.stringify(outline)).toBe(true)
}

test('a question is asked and rated by keyboard alone', async ({ relay, newTab, startPeer }) => {
  const peer = await startPeer({ relay: relay.address('ws') })
  const tab = await (await newTab()).join(relay.origin)
  await tab.sees(peer.id, 'idle')

  await tabTo(tab, '[data-testid="status-idle"]')
  await focusShows(tab)
  await tab.page.keyboard.press('Enter')
  await expect(tab.get('status-idle')).toHaveAttribute('aria-pressed', 'true')
  await tab.page.keyboard.press('Enter')

  await tabTo(tab, '[data-testid="nav-mesh"]')
  await tabTo(tab, `[data-peer-id="${peer.id}"] [data-testid="ask-peer"]`)
  await focusShows(tab)
  await tab.page.keyboard.press('Enter')
  await expect(tab.get('nav-ask')).toHaveAttribute('aria-current', 'page')
  await tabTo(tab, '[data-testid="skill-select"]')
  await tab.page.keyboard.type('echo')
  await expect(tab.get('skill-select')).toHaveValue('echo')
  await tabTo(tab, '[data-testid="ask-input"]')
  await tab.page.keyboard.type('By keyboard.')
  await tabTo(tab, '[data-testid="ask-send"]')
  await tab.page.keyboard.press('Enter')
  const row = tab.page.locator('[data-testid="task-row"][data-direction="out"]')
  await expect(row).toHaveAttribute('data-state', 'completed')
  await tabTo(tab, '[data-testid="task-rate"][data-value="4"]')
  await focusShows(tab)
  await tab.page.keyboard.press('Enter')
  await expect(row.getByTestId('task-rate')).toHaveCount(0)

  await tabTo(tab, '[data-testid="busy-switch"]')
  await tab.page.keyboard.press('Space')
  await expect(tab.get('busy-switch')).toHaveAttribute('aria-checked', 'true')
  await tabTo(tab, '[data-testid="invite-open"]')
  await tab.page.keyboard.press('Enter')
  await expect(tab.get('invite-dialog')).toBeVisible()
  await tab.page.keyboard.press('Escape')
  await expect(tab.get('invite-open')).toBeFocused()
})
