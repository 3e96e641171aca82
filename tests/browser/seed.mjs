// The story of the whole product: a merchant connects and maps, a member subscribes before verifying, verifies, gets the role at once,
// fails, loses, pays, gains, and lapses without an event. Each step is seen in the status page, in the journal, in the log channel
// and by /why.
import { DEADLINE, asked, freshPage } from './stage.mjs'

export const seed = ({ page, now, opened, step, mine, toWallet, sign }) => ({
  async seed () {
    const seen = []

    /** Does something as ada, and lets it be confirmed. */
    const act = async (action) => {
      const answer = await page.request.post(`${asked.sandbox}/sandbox/actions`, { data: { action, user_id: asked.ada } })
      if (!answer.ok()) throw new Error(`${action}: ${await answer.text()}`)
      await mine()
      await mine()
    }
    const why = async () => {
      const data = { guild_id: asked.club, user_id: asked.ada, line: '/why role:"Gold"' }
      const answer = await page.request.post(`${asked.sandbox}/sandbox/commands`, { data })
      return answer.ok() ? (await answer.json()).text : `${answer.status()}: ${await answer.text()}`
    }
    /** Loads a page of the dashboard until it says so. */
    const until = async (shop, tab, pattern) => {
      const deadline = Date.now() + DEADLINE
      for (;;) {
        await shop.goto(new URL(`/dashboard/${asked.club}${tab}`, shop.url()).href)
        const text = await shop.locator('main').innerText()
        if (pattern.test(text)) return text
        if (Date.now() > deadline) throw new Error(`${tab || 'status'} never said ${pattern}: ${text}`)
      }
    }
    const untilWhy = async (pattern) => {
      const deadline = Date.now() + DEADLINE
      for (;;) {
        const text = await why()
        if (pattern.test(text)) return text
        if (Date.now() > deadline) throw new Error(`/why never said ${pattern}: ${text}`)
      }
    }
    /** What a step left behind, everywhere. */
    const check = async (shop, name, { journal, lines, member, because }) => {
      const deadline = Date.now() + DEADLINE
      for (;;) {
        await shop.goto(new URL(`/dashboard/${asked.club}/journal`, shop.url()).href)
        const rows = await shop.getByRole('row').filter({ hasText: /ada (got|lost)/ }).allInnerTexts()
        if (rows.length === lines && journal.test(rows[0])) break
        if (Date.now() > deadline) throw new Error(`${name}: the journal has ${JSON.stringify(rows)}`)
      }
      await until(shop, '/members?query=ada', member)
      const status = await until(shop, '', /Everything works/)
      seen.push({ name, why: await untilWhy(because), block: /Last event of your plans\s+Block ([\d,]+)/.exec(status)?.[1] })
    }

    // The merchant connects a server and maps the plan to a new role.
    await page.goto(new URL('/merchant', asked.sandbox).href)
    await now('Connect your server')
    const shop = await opened(step.getByRole('link', { name: 'Connect a server' }))
    const press = (name) => shop.getByRole('button', { name }).first().click()
    await press("Mona's Club")
    await press('Sandbox wallet of mona')
    await shop.locator('#sign[aria-disabled="false"]').click()
    await press(/^Create the role/)
    await press('Save')
    await shop.getByText('Saved.').first().waitFor()
    await shop.goto(new URL(`/dashboard/${asked.club}/settings`, shop.url()).href)
    await shop.locator('[name="log_channel"]').selectOption({ index: 1 })
    await press('Save the settings')
    await shop.getByText('Saved. The new settings').first().waitFor()

    // The member pays before anybody knows whose wallet that is.
    await act('subscribe')
    await act('pay')
    await until(shop, '/members', /Wallet not linked/)
    await untilWhy(/no wallet|No wallet/)

    // Verified, and the role is there at once.
    // In a browser of her own: one browser has one sign-in.
    const wallet = await toWallet(await freshPage())
    await sign(wallet)
    await wallet.locator('#outcome').filter({ hasText: 'Gold' }).waitFor()
    await wallet.close()
    await check(shop, 'verified', { journal: /ada got/, lines: 1, member: /Active/, because: /You have \*\*Gold/ })

    await act('pass_until_due')
    await act('fail_payment')
    await check(shop, 'failed', { journal: /ada lost[\s\S]*payment failed/, lines: 2, member: /Payment failed/, because: /You do not have|You don.t have/ })

    await act('pay')
    await check(shop, 'paid', { journal: /ada got/, lines: 3, member: /Active/, because: /You have \*\*Gold/ })

    await act('pass_until_lapsed')
    await check(shop, 'lapsed', { journal: /ada lost[\s\S]*no payment followed/, lines: 4, member: /Lapsed/, because: /You do not have|You don.t have/ })
    return { seen }
  }
})
