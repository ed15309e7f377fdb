// Who a tab is.
import { expect, test, Tab } from '../support/test.mjs'

test('a reload is the same peer, and a second tab of the same profile is another', async ({ relay, newTab }) => {
  const first = await (await newTab()).join(relay.origin)
  const second = await new Tab(await first.page.context().newPage()).join(relay.origin)
  expect(second.id).not.toBe(first.id)
  await first.sees(second.id, 'idle')
  await second.sees(first.id, 'idle')
  for (const tab of [first, second]) {
    const { id } = tab
    await tab.page.reload()
    await tab.joined()
    expect(tab.id).toBe(id)
  }
})

test('a profile is shown to others and kept', async ({ relay, pair: [one, other] }) => {
  await one.show('settings')
  await one.get('profile-name').fill('Ada')
  await one.get('profile-slots').fill('3')
  await one.get('profile-save').click()
  await expect(other.row(one.id)).toContainText('Ada')
  await one.page.reload()
  await one.joined()
  await one.show('settings')
  await expect(one.get('profile-name')).toHaveValue('Ada')
  await expect(one.get('profile-slots')).toHaveValue('3')
})

test('an invite link of one page opens the mesh in another', async ({ relay, newTab }) => {
  const host = await (await newTab(0)).join(relay.origin)
  await host.get('invite-open').click()
  const field = host.page.getByTestId('invite-dialog').getByTestId('invite-link')
  const link = await field.evaluate(node => node.value ?? node.textContent)
  expect(link).toContain('#join=')
  const guest = await (await newTab(1)).join(link.trim())
  await guest.sees(host.id, 'idle')
  await host.sees(guest.id, 'idle')
})
