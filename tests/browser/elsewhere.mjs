// Scenes in which the wallet, or the sign-in, is in another browser or on another device.
import { asked, freshPage, look } from './stage.mjs'
import { installWallets, metal, remoteWallet } from './wallets.mjs'

export const elsewhere = ({ page, button, text, shown, ready, signIn }) => ({
  /** A wallet on another device scans, signs, and is left in the end; before that the visitor turns back once. */
  async remote () {
    const wallet = await remoteWallet()
    await page.goto(asked.link)
    await signIn()
    await shown('searching', 'no wallet')
    await look(page, 'choose')
    await button('WalletConnect: a wallet on your phone').click()
    await button('Copy the code').waitFor()
    const abandoned = await page.locator('#open-wallet').getAttribute('href')
    await button('Other wallet').click()
    await button('WalletConnect: a wallet on your phone').click()
    await page.locator(`#open-wallet:not([href="${abandoned}"])`).waitFor()
    await page.locator('#code').evaluate((picture) => picture.decode())
    await look(page, 'scan')
    const app = await page.getByRole('link', { name: 'Rainbow' }).getAttribute('href')
    const code = await page.locator('#open-wallet').getAttribute('href')
    await wallet.evaluate(([uri, chain]) => window.pairWith(uri, chain), [code, asked.chain])
    await ready()
    const name = await text('account-name')
    const message = await page.locator('#message').textContent()
    await look(page, 'sign')
    await button('Sign message').click()
    await shown('outcome', 'Subscriber')
    await wallet.waitForFunction(() => window.seen.includes('session_delete'))
    const seconds = await wallet.evaluate(() => window.expiry - Date.now() / 1000)
    return { name, message, app: app === `rainbow://wc?uri=${encodeURIComponent(code)}`, seconds, seen: await wallet.evaluate(() => window.seen), address: await text('done-address'), outcome: await text('outcome') }
  },

  /** The wallet declines, then agrees and disconnects. */
  async remoteDeclined () {
    const wallet = await remoteWallet()
    await page.goto(asked.link)
    await signIn()
    const scan = async (declines) => {
      await button('WalletConnect: a wallet on your phone').click()
      await button('Copy the code').waitFor()
      const code = await page.locator('#open-wallet').getAttribute('href')
      await wallet.evaluate(([uri, chain, declines]) => window.pairWith(uri, chain, declines), [code, asked.chain, declines])
    }
    await scan(true)
    await shown('problem', 'declined')
    const declined = await text('problem')
    await scan(false)
    await ready()
    await wallet.evaluate(() => window.hangUp())
    await shown('problem', 'disconnected')
    return { declined, disconnected: await text('problem'), chooses: await page.locator('#walletconnect').isVisible() }
  },

  /** The wallet hangs up while the visitor turns to another one; then they pair again. */
  async remoteBothLeave () {
    const wallet = await remoteWallet()
    await page.goto(asked.link)
    await signIn()
    const scan = async () => {
      await button('WalletConnect: a wallet on your phone').click()
      await button('Copy the code').waitFor()
      const code = await page.locator('#open-wallet').getAttribute('href')
      await wallet.evaluate(([uri, chain]) => window.pairWith(uri, chain), [code, asked.chain])
      await ready()
    }
    for (let times = 0; times < 3; times++) {
      await scan()
      // Whoever is told too late that the other has left finds no session to end.
      const hungUp = wallet.evaluate(() => window.hangUp().catch(() => {}))
      // Not as a visitor clicks: the page may have heard of it and turned.
      await page.locator('#back').evaluate((back) => back.click())
      await hungUp
    }
    await scan()
    return { name: await text('account-name') }
  },

  /** The relay does not know the project, or cannot be reached. */
  async remoteUnreachable () {
    await page.goto(asked.link)
    await signIn()
    await button('WalletConnect: a wallet on your phone').click()
    await shown('problem', 'relay did not answer')
    await look(page, 'page')
    return { problem: await text('problem'), chooses: await page.locator('#walletconnect').isVisible() }
  },

  /** From the phone's browser to the wallet's: no sign-in there, once, and for this link alone; back here the page knows. */
  async handover () {
    await page.goto(asked.link)
    await signIn()
    await page.locator('#no-wallet[open]').waitFor()
    await page.locator('#phone summary').click()
    await button('Continue in a wallet\'s browser').click()
    await shown('handover-news', 'works once')
    await page.locator('#handover-code').evaluate((picture) => picture.decode())
    await look(page, 'offered')
    const app = await page.getByRole('link', { name: 'Trust Wallet' }).getAttribute('href')
    const url = new URL(app).searchParams.get('url')
    const wallets = await freshPage()
    await installWallets(wallets, [metal()])
    await wallets.goto(url)
    await look(wallets, 'wallet')
    const asks = await wallets.locator('main').innerText()
    await wallets.getByRole('button', { name: `Yes, continue as @${asked.visitor}` }).click()
    await wallets.getByRole('button', { name: 'Metal Wallet' }).click()
    await wallets.locator('#sign[aria-disabled="false"]').click()
    await wallets.locator('#outcome').filter({ hasText: 'Subscriber' }).waitFor()
    const dashboard = await wallets.evaluate(async () => (await fetch('/api/v1/logout', { method: 'POST' })).status)
    const thief = await freshPage()
    await thief.goto(url)
    const again = await thief.locator('h1').innerText()
    await look(thief, 'again')
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
    await shown('outcome', 'Subscriber')
    return { app, asks, again, dashboard, outcome: await text('outcome') }
  },

  /** The scripts come late, and the visitor presses as soon as a button can be pressed. */
  async lateScripts () {
    let come
    const scripts = new Promise((resolve) => { come = resolve })
    await page.goto(asked.link)
    await page.getByRole('link', { name: 'Sign in with Discord' }).click()
    await page.context().route('**/*.js', async (route) => { await scripts; await route.continue() })
    await button(asked.visitor).click()
    await page.locator('#phone summary').click()
    await look(page, 'early')
    const pressable = await page.locator('button:visible:enabled').allInnerTexts()
    const offered = button('Continue in a wallet\'s browser').click()
    come()
    await offered
    await shown('handover-news', 'works once')
    await page.locator('#no-wallet[open]').waitFor()
    await button('WalletConnect: a wallet on your phone').click()
    await shown('problem', 'relay did not answer')
    return { pressable }
  },

  /** The sign-in begins in one browser and comes back in another, as from inside the Discord app. */
  async inApp () {
    await page.goto(asked.link)
    await page.getByRole('link', { name: 'Sign in with Discord' }).click()
    await button(asked.visitor).waitFor()
    const other = await freshPage()
    await other.goto(page.url())
    await other.getByRole('button', { name: asked.visitor, exact: true }).click()
    await other.getByRole('link', { name: 'Sign in in this browser' }).waitFor()
    await look(other, 'other')
    const said = await other.locator('main').innerText()
    // Discord knows them here by now.
    await other.getByRole('link', { name: 'Sign in in this browser' }).click()
    await other.getByRole('heading', { name: 'Choose your wallet' }).waitFor()
    return { said }
  }
})
