// Wallets for the browser tests: in the page, and on another device. All sign with the chain's account.
import { asked, browser, DEADLINE, problems } from './stage.mjs'

export const metal = (account = asked.account) => ({ name: 'Metal Wallet', colour: '#c60', account, chainId: '0x7a69' })

async function rpc (method, params) {
  const response = await fetch(asked.rpc, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  })
  const { result, error } = await response.json()
  if (error) throw new Error(`${method}: ${error.message}`)
  return result
}

/**
 * Wallets that announce themselves over EIP-6963; or, with `legacy`, stand in window.ethereum, after so many milliseconds if it
 * is a number, and with `event` say so.
 */
export async function installWallets (page, wallets) {
  await exposeKey(page)
  await page.addInitScript(inPage, wallets)
}

/** The same in the page that is open: wallets that come later than it. */
export async function insertWallets (page, wallets) {
  await exposeKey(page)
  await page.evaluate(inPage, wallets)
}

const exposeKey = (page) => page.exposeFunction('signWithAnvil', (hex, account) => rpc('personal_sign', [hex, account]))

function inPage (wallets) {
  const icon = (colour) => 'data:image/svg+xml,' + encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" rx="2" fill="${colour}"/></svg>`)
  const made = wallets.map(({ name, colour, account, chainId, code, legacy, event }, index) => {
    const listeners = {}
    const provider = {
      accounts: [account],
      asked: [],
      refusal: null,
      async request ({ method, params }) {
        provider.asked.push(method)
        if (provider.refusal) throw provider.refusal
        switch (method) {
          case 'eth_accounts':
          case 'eth_requestAccounts': return provider.accounts
          case 'eth_chainId': return chainId
          case 'eth_getCode': return code ?? '0x'
          case 'wallet_switchEthereumChain': provider.emit('chainChanged', params[0].chainId); return null
          case 'personal_sign': return window.signWithAnvil(params[0], params[1])
          default: throw Object.assign(new Error(method), { code: 4200 })
        }
      },
      on (event, listener) { (listeners[event] ??= []).push(listener) },
      removeListener (event, listener) { listeners[event] = (listeners[event] ?? []).filter((other) => other !== listener) },
      emit (event, value) { for (const listener of listeners[event] ?? []) listener(value) }
    }
    const inject = () => {
      window.ethereum = provider
      if (event) window.dispatchEvent(new Event('ethereum#initialized'))
    }
    if (typeof legacy === 'number') setTimeout(inject, legacy)
    else if (legacy) inject()
    else {
      const info = { uuid: `00000000-0000-4000-8000-00000000000${index}`, name, icon: colour && icon(colour), rdns: `example.wallet${index}` }
      const announce = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }))
      window.addEventListener('eip6963:requestProvider', announce)
      announce()
    }
    return provider
  })
  window.testWallets = made
}

/** A wallet in a browser of its own, made of the same WalletConnect library as the page's client. */
export async function remoteWallet () {
  const device = await browser.newContext({ bypassCSP: true })
  device.setDefaultTimeout(DEADLINE)
  const wallet = await device.newPage()
  wallet.on('pageerror', (error) => problems.push(`wallet: ${error.message}`))
  await exposeKey(wallet)
  await wallet.goto(new URL('/healthz', asked.link).href)
  const front = await (await fetch(new URL('/', asked.link))).text()
  const [assets] = front.match(/\/assets\/[0-9a-f]+\//)
  await wallet.evaluate(async ({ account, relay, project, assets }) => {
    const { quietClient } = await import(`${assets}walletconnect.js`)
    const metadata = { name: 'Pocket Wallet', description: '', url: 'https://wallet.example', icons: [] }
    const client = await quietClient({ projectId: project, relayUrl: relay, metadata })
    window.seen = []
    let session
    window.pairWith = async (uri, chain, declines) => {
      const proposed = new Promise((resolve) => client.once('session_proposal', resolve))
      await client.pair({ uri })
      const { id, params } = await proposed
      window.seen.push(params.proposer.metadata.url)
      if (declines) {
        await client.reject({ id, reason: { code: 5000, message: 'User rejected.' } })
        return
      }
      const eip155 = { accounts: [`eip155:${chain}:${account}`], methods: ['personal_sign'], events: ['accountsChanged', 'chainChanged'] }
      const { topic, acknowledged } = await client.approve({ id, namespaces: { eip155 } })
      session = topic
      await acknowledged()
    }
    window.hangUp = () => client.disconnect({ topic: session, reason: { code: 6000, message: 'User disconnected.' } })
    client.on('session_request', async ({ id, topic, params: { request } }) => {
      window.seen.push(request.method)
      window.expiry = request.expiryTimestamp
      const result = await window.signWithAnvil(...request.params)
      await client.respond({ topic, response: { id, jsonrpc: '2.0', result } })
    })
    client.on('session_delete', () => window.seen.push('session_delete'))
  }, { ...asked, assets })
  return wallet
}
