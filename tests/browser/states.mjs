// Scenes of the merchant's pages in states that are rare or hard to look at.
import { DEADLINE, asked, look } from './stage.mjs'

export const states = ({ page, heading, shows, signIn }) => {
  const to = (rest) => page.goto(`${asked.server}${rest}`)
  const main = () => page.locator('main').innerText()

  /** Loads a page again until it shows a text. */
  async function comes (rest, text) {
    const end = Date.now() + DEADLINE
    for (;;) {
      await to(rest)
      if (await page.getByText(text).count() > 0) return
      if (Date.now() > end) throw new Error(`${text} does not come`)
      await page.waitForTimeout(200)
    }
  }

  return {
    /** Long names, names without spaces, other scripts. */
    async names () {
      await signIn()
      await look(page, '1-servers')
      await to('')
      await heading('Status')
      await look(page, '2-status')
      await to('/gates')
      const plan = await main()
      await look(page, '3-gates')
      await page.getByRole('link', { name: 'Change' }).first().click()
      await heading('Change a mapping')
      await look(page, '4-map')
      await page.getByRole('button', { name: 'Preview' }).click()
      await heading('Preview')
      await look(page, '5-preview')
      await to('/members')
      await look(page, '6-members')
      await to('/forecast')
      await look(page, '7-renewals')
      await to('/journal')
      await look(page, '8-journal')
      return { plan }
    },

    /** Nothing is set up. */
    async bare () {
      await signIn()
      const seen = {}
      for (const [name, rest] of [['status', ''], ['gates', '/gates'], ['members', '/members'], ['renewals', '/forecast'], ['journal', '/journal'], ['settings', '/settings']]) {
        await to(rest)
        await page.waitForLoadState()
        seen[name] = await main()
        await look(page, name)
      }
      return seen
    },

    /** Pages that only say no. */
    async refusals () {
      const seen = {}
      const refused = async (name) => {
        await page.waitForLoadState()
        seen[name] = await main()
        await look(page, name)
      }
      await signIn()
      await page.goto(new URL('/nowhere', asked.dashboard).href)
      await refused('nothing')
      await page.goto(`${asked.dashboard}/1`)
      await refused('foreign')
      await page.goto(new URL('/connect', asked.dashboard).href)
      await page.getByRole('button', { name: asked.visitor, exact: true }).or(page.getByRole('button', { name: 'Cancel' })).first().waitFor()
      await look(page, 'invite')
      await page.getByRole('button', { name: 'Cancel' }).click()
      await refused('declined')
      await page.goto(`${asked.dashboard}/wallet`)
      await page.getByText('Sign somewhere else').click()
      await page.getByLabel('The wallet\'s address').fill(asked.account)
      await look(page, 'wallet-form')
      await page.getByRole('button', { name: 'Show the message to sign' }).click()
      await heading('Sign this message')
      await look(page, 'wallet-message')
      await page.getByLabel('The signature').fill('0x12')
      await page.getByRole('button', { name: 'Connect this wallet' }).click()
      await heading('The wallet was not connected')
      await refused('signature')
      return seen
    },

    /** What is asked again, what was made, what was not understood. */
    async orders () {
      await signIn()
      await comes('/members?filter=not_in_server', 'Make an invite')
      await look(page, 'not-in-server')
      await page.getByRole('button', { name: 'Make an invite' }).click()
      await heading('An invite')
      await look(page, 'invite')
      await to('/gates?module=0x12')
      await page.getByRole('alert').waitFor()
      await look(page, 'module')
      await to('/gates')
      await page.getByRole('link', { name: 'Change' }).first().click()
      await page.getByLabel(/^Judge/).check()
      await page.getByRole('button', { name: 'Preview' }).click()
      await heading('Preview')
      await look(page, 'preview')
      await page.getByRole('button', { name: 'Save' }).click()
      await heading('This role is powerful')
      await look(page, 'asked-again')
      const asks = await main()
      await to('/journal')
      await look(page, 'journal')
      return { asks }
    },

    /** A role that cannot be given, and removals that wait. */
    async trouble () {
      await signIn()
      await comes('', 'Removals wait for your approval')
      await comes('', 'What does not work')
      const status = await main()
      await look(page, 'status')
      await page.goto(asked.dashboard)
      await shows('2 problems')
      await look(page, 'servers')
      await to('/gates')
      await look(page, 'gates')
      await to('/members')
      await look(page, 'members')
      return { status }
    }
  }
}
