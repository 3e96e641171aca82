// Plays scenes on the wallet page in a real browser. Its one argument is JSON:
//   { browser, scene, link, visitor, visitorId, discord, rpc, account, relay, project, chain, shots }
// It prints one line of JSON with what was seen, or fails with what went wrong.
import { elsewhere } from './elsewhere.mjs'
import { DEADLINE, asked, freshPage, look, play, tabThrough, tabTo } from './stage.mjs'
import { insertWallets, installWallets, metal } from './wallets.mjs'

const page = await freshPage()
const button = (name) => page.getByRole('button', { name, exact: true })
const text = (id) => page.locator(`#${id}`).innerText()
const shown = (id, pattern) => page.locator(`#${id}`).filter({ hasText: pattern, visible: true }).waitFor()
const ready = () => page.locator('#sign[aria-disabled="false"]').waitFor()
const focused = () => page.evaluate(() => document.activeElement?.id)
/** Does something in the page with its first wallet. */
const wallet = (change, value) => page.evaluate(([change, value]) => {
  const [first] = window.testWallets
  if (change === 'refuse') first.refusal = value
  else first.emit(change, value)
}, [change, value])

async function signIn () {
  await page.getByRole('link', { name: 'Sign in with Discord' }).click()
  await button(asked.visitor).click()
}

/** Comes to the wallet page, signed in. */
async function arrive (...wallets) {
  await installWallets(page, wallets)
  await page.goto(asked.link)
  await signIn()
}

async function linkWith (name) {
  await button(name).click()
  await ready()
  await page.locator('#sign').click()
}

const scenes = {
  /** The whole way of a member with two wallets installed, with clicks as fast as the page allows. */
  async member () {
    await installWallets(page, [metal(), { ...metal(), name: 'Other Wallet', colour: '#06c', chainId: '0x1' }])
    await page.goto(asked.link)
    await look(page, '1-sign-in')
    await signIn()
    await button('Metal Wallet').waitFor()
    await look(page, '2-choose')
    const until = await page.locator('.facts time').innerText()
    await button('Metal Wallet').click()
    await ready()
    await page.locator('#account summary').click()
    const message = await text('message')
    const valid = await text('valid')
    await look(page, '3-sign')
    await button('Sign message').click()
    await shown('outcome', 'Subscriber')
    await page.locator('#news').filter({ hasText: 'You hold' }).waitFor()
    await look(page, '4-done')
    const seen = { message, valid, until, focused: await focused(), title: await page.title(), address: await text('done-address'), outcome: await text('outcome') }
    // What came of the link is shown again; the checkout leads back to the same address.
    await page.reload()
    await shown('outcome', 'Subscriber')
    return seen
  },

  /** The same with nothing in between; the pages that it takes. */
  async quick () {
    await installWallets(page, [metal()])
    await page.context().addCookies([{ name: 'local_discord_user', value: asked.visitorId, url: asked.discord }])
    const pages = []
    page.on('framenavigated', (frame) => pages.push(new URL(frame.url()).pathname.split('/')[1]))
    await page.goto(asked.link)
    await page.getByRole('link', { name: 'Sign in with Discord' }).click()
    await linkWith('Metal Wallet')
    await shown('news', 'You hold')
    return { pages }
  },

  /** A wallet without a subscription. */
  async unpaid () {
    await arrive(metal())
    await linkWith('Metal Wallet')
    const subscribe = page.locator('#outcome a')
    await subscribe.waitFor()
    await look(page, 'done')
    return { outcome: await text('outcome'), offer: await subscribe.innerText(), subscribe: await subscribe.getAttribute('href') }
  },

  /** Where controls stand before and after what comes late: a wallet, and what came of the link. */
  async still () {
    const [help, back] = [page.locator('#phone summary'), page.locator('#done').getByRole('link', { name: 'Back to Discord' })]
    let answer
    const isFree = new Promise((resolve) => { answer = resolve })
    await page.route('**/standing', async (route) => {
      await isFree
      await route.continue()
    })
    await page.goto(asked.link)
    await signIn()
    // Before its styles have come nothing stands where it will.
    await page.waitForLoadState()
    const late = { before: await help.boundingBox() }
    await insertWallets(page, [metal()])
    await button('Metal Wallet').waitFor()
    late.after = await help.boundingBox()
    await linkWith('Metal Wallet')
    await back.waitFor()
    const outcome = { before: await back.boundingBox() }
    answer()
    await page.locator('#outcome a').waitFor()
    outcome.after = await back.boundingBox()
    return { late, outcome }
  },

  /** The server's members were not read yet, and are not while the page asks. */
  async unread () {
    await arrive(metal())
    await linkWith('Metal Wallet')
    await shown('outcome', 'Looking up your roles')
    await page.locator('#outcome').filter({ hasText: 'You can close this page' }).waitFor({ timeout: 2 * DEADLINE })
    await look(page, 'done')
    return { outcome: await text('outcome') }
  },

  /** A role is paid for and cannot be given. */
  async trouble () {
    await arrive(metal())
    await linkWith('Metal Wallet')
    await shown('outcome', 'You can close this page')
    await look(page, 'done')
    return { outcome: await text('outcome') }
  },

  /** A role of another server, given by hand. */
  async elsewhereToo () {
    await arrive(metal())
    await linkWith('Metal Wallet')
    await shown('outcome', 'In Second Club')
    await look(page, 'done')
    return { outcome: await text('outcome') }
  },

  /** Declines, then switches the account, then the network, then disconnects, and links in the end. */
  async change () {
    await arrive(metal(), { ...metal(), name: 'Plain Wallet', colour: null, chainId: '0x2105' })
    await wallet('refuse', { code: 4001 })
    await button('Metal Wallet').click()
    await shown('problem', 'declined')
    await look(page, 'declined')
    const declined = await text('problem')
    await wallet('refuse', null)
    await button('Plain Wallet').click()
    await shown('network', 'Base')
    await look(page, 'network')
    await button('Switch to network 31337').click()
    await page.locator('#network').waitFor({ state: 'hidden' })
    await button('Other wallet').click()
    await button('Metal Wallet').click()
    await ready()
    const before = await page.locator('#message').textContent()
    await wallet('accountsChanged', ['0x' + '12'.repeat(20)])
    await shown('status', 'switched to another account')
    const switched = await page.locator('#message').textContent()
    await wallet('chainChanged', '0x1')
    await shown('network', 'Your wallet is on Ethereum')
    await wallet('chainChanged', '0x7a69')
    await page.locator('#network').waitFor({ state: 'hidden' })
    await wallet('accountsChanged', [])
    await shown('problem', 'disconnected')
    await page.locator('#choose-title:focus').waitFor()
    await button('Metal Wallet').click()
    await ready()
    await wallet('refuse', { code: -32002 })
    await button('Sign message').click()
    await shown('problem', 'already shows a request')
    await wallet('refuse', null)
    await ready()
    await page.locator('#sign').click()
    await shown('outcome', 'Subscriber')
    return { declined, changed: before !== switched, switched, outcome: await text('outcome') }
  },

  /** With the keyboard alone; another account signs than the one that the page was told. */
  async keyboard () {
    await installWallets(page, [{ ...metal(), legacy: true }])
    await page.setViewportSize({ width: 360, height: 640 })
    await page.goto(asked.link)
    await tabTo(page, 'Sign in with Discord')
    await page.keyboard.press('Enter')
    await button(asked.visitor).waitFor()
    await tabTo(page, asked.visitor)
    await page.keyboard.press('Enter')
    await button('Browser wallet').waitFor()
    await tabTo(page, 'Browser wallet')
    await page.keyboard.press('Space')
    await page.locator('#sign[aria-disabled="false"]:focus').waitFor()
    await page.evaluate(() => { window.honest = window.signWithAnvil; window.signWithAnvil = async () => '0x' + '11'.repeat(65) })
    await page.keyboard.press('Enter')
    await shown('problem', /./)
    const refused = await text('problem')
    await look(page, 'refused')
    await page.evaluate(() => { window.signWithAnvil = window.honest })
    // The button kept the focus while it waited.
    await page.locator('#sign[aria-disabled="false"]:focus').waitFor()
    await page.keyboard.press('Enter')
    await shown('outcome', 'Subscriber')
    await page.locator('#done-title:focus').waitFor()
    const left = await tabThrough(page)
    return { refused, left, outcome: await text('outcome') }
  },

  /** A wallet that inserts itself later than the page, and one that comes without a word. */
  async late () {
    await arrive({ ...metal(), legacy: 1_500, event: true })
    await button('Browser wallet').waitFor()
    const found = await text('searching')
    const silent = await freshPage()
    await installWallets(silent, [{ ...metal(), legacy: 1_500 }])
    await silent.goto(asked.link)
    await silent.getByRole('link', { name: 'Sign in with Discord' }).click()
    await silent.getByRole('button', { name: asked.visitor, exact: true }).click()
    await silent.getByRole('button', { name: 'Browser wallet', exact: true }).waitFor()
    return { found }
  },

  /** No wallet at all. */
  async none () {
    await page.goto(asked.link)
    await signIn()
    await shown('searching', /no wallet/i)
    await page.locator('#phone summary').click()
    await look(page, 'help')
    return { searching: await text('searching'), help: await text('no-wallet') }
  },

  /** The wallet belongs to another Discord account. */
  async moves () {
    await arrive(metal())
    await button('Metal Wallet').click()
    await shown('moves', 'another Discord account')
    await button('Sign and move the wallet').waitFor()
    await look(page, 'moves')
    const message = await page.locator('#message').textContent()
    await button('Sign and move the wallet').click()
    await shown('outcome', 'Subscriber')
    return { message }
  },

  /** A contract's owners take their time: the text lives as long as the link. Wallets that are linked are shown. */
  async contract () {
    await arrive({ ...metal(), code: '0x6001' }, { ...metal(), name: 'Delegated Wallet', code: '0xef0100' + '11'.repeat(20) })
    await page.locator('#linked summary').click()
    const linked = await text('linked')
    const expiry = async (name) => {
      await button(name).click()
      await ready()
      await shown('linked-already', 'already linked')
      const message = await page.locator('#message').textContent()
      await button('Other wallet').click()
      const [, issued, ends] = message.match(/Issued At: (\S+)\nExpiration Time: (\S+)/)
      return (Date.parse(ends) - Date.parse(issued)) / 1000
    }
    await look(page, 'linked')
    return { linked, contract: await expiry('Metal Wallet'), key: await expiry('Delegated Wallet') }
  },

  /** Without Discord sign-in: the name is typed. */
  async typed () {
    await installWallets(page, [metal()])
    await page.goto(asked.link)
    await look(page, 'warning')
    const warning = await text('name-check')
    await page.locator('#typed-name').fill('somebody else')
    await button('This is me').click()
    await shown('problem', 'not the name')
    await page.locator('#typed-name').fill(`@${asked.visitor}`)
    await page.keyboard.press('Enter')
    await page.locator('#choose-title:focus').waitFor()
    const app = await page.locator('[data-opens]').first().getAttribute('href')
    await linkWith('Metal Wallet')
    await shown('outcome', 'Subscriber')
    return { warning, app, outcome: await text('outcome') }
  },

  /** A page that only says no. */
  async refusal () {
    await page.goto(asked.link)
    if (await page.getByRole('link', { name: 'Sign in with Discord' }).count() > 0) await signIn()
    await page.locator('h1').waitFor()
    const title = await page.locator('h1').innerText()
    await look(page, title.toLowerCase().replaceAll(' ', '-'))
    const isStyled = await page.evaluate(() => getComputedStyle(document.body).marginTop === '0px')
    return { title, isStyled, text: await page.locator('main').innerText() }
  },

  /** The link is used up in another window while the page is open. */
  async overtaken () {
    await arrive(metal())
    await button('Metal Wallet').click()
    await ready()
    const path = new URL(asked.link).pathname
    await page.evaluate(async ([path, account]) => {
      const csrf = document.getElementById('verify').dataset.csrf
      const post = async (to, body) => (await fetch(`${path}/${to}`, {
        method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: JSON.stringify(body)
      })).json()
      const { message } = await post('challenge', { address: account })
      const hex = '0x' + [...new TextEncoder().encode(message)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
      const signature = await window.signWithAnvil(hex, account)
      return post('signature', { message, signature })
    }, [path, asked.account])
    await button('Sign message').click()
    await shown('problem', 'already linked')
    await look(page, 'page')
    const offered = await page.locator('main a:visible, main button:visible').allInnerTexts()
    return { problem: await text('problem'), focused: await focused(), offered }
  },

  /** Signed in without a link. */
  async signedIn () {
    await page.goto(asked.link)
    await button(asked.visitor).click()
    await page.getByRole('heading', { name: 'You are signed in' }).waitFor()
    await look(page, 'page')
    return { text: await page.locator('main').innerText() }
  }
}

await play({ ...scenes, ...elsewhere({ page, button, text, shown, ready, signIn, arrive }) })
