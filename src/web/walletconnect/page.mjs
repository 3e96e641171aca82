// A wallet on another device, over WalletConnect, behind the interface of a wallet in the browser (EIP-1193).
//
// 2.21.8 is the newest release under the Apache licence; later ones may not be passed on, which this repository does.
import { Core } from '@walletconnect/core'
import { SignClient } from '@walletconnect/sign-client'

/** Keeps nothing beyond the page, where the library would write keys into the browser's storage. */
class Memory {
  #entries = new Map()
  async getKeys () { return [...this.#entries.keys()] }
  async getEntries () { return [...this.#entries] }
  async getItem (key) { return this.#entries.get(key) }
  async setItem (key, value) { this.#entries.set(key, value) }
  async removeItem (key) { this.#entries.delete(key) }
}

/**
 * A client that talks to the relay and to nobody else: no telemetry, and no attestation by WalletConnect's servers. The
 * tests make their wallet of it.
 */
export async function quietClient ({ projectId, relayUrl, metadata }) {
  const storage = new Memory()
  const core = new Core({ projectId, relayUrl, storage, logger: 'silent', telemetryEnabled: false })
  core.verify.register = async () => ''
  core.verify.resolve = async () => undefined
  const client = await SignClient.init({ core, projectId, metadata, storage, logger: 'silent' })
  // When both sides leave at once the library deletes a session twice. The second time would fail where nothing catches it, and
  // no request would be handled from then on: the page could not pair again.
  const { engine } = client
  const { deleteSession } = engine
  engine.deleteSession = async (about) => {
    // The same where the relay is lost meanwhile.
    if (client.session.keys.includes(about.topic)) await within(5_000, deleteSession(about)).catch(() => {})
  }
  return client
}

/** Rejects when the promise takes longer; the relay may be out of reach, and the library tries on for ever. */
function within (milliseconds, promise) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('the relay does not answer'), { code: 'relay' })), milliseconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** `eip155:1:0xabc` as { chain, address }. */
function account (caip10) {
  const [, chain, address] = caip10.split(':')
  return { chain: Number(chain), address }
}

/** The library takes 5 minutes to 7 days, and 5 minutes if nothing is said. */
const expiry = (seconds) => Math.min(Math.max(seconds, 300), 604_800)

/** The library's own error, without a code, when a wallet did not answer in that time. */
const isLate = (error) => error?.code === undefined && /expired/i.test(error?.message ?? '')

/** One client for the page: the library shares its core between clients, and each would answer every message. */
let shared = null

/**
 * Pairs with a wallet. `show(uri)` is called as soon as there is something to scan; resolves to the
 * provider once the wallet has agreed. Aborting `signal` ends it at any time, and the session with it.
 */
export async function pair ({ projectId, relayUrl, chain, metadata, signal, show }) {
  const listeners = new Map()
  const emit = (name, value) => { for (const listener of listeners.get(name) ?? []) listener(value) }
  shared ??= quietClient({ projectId, relayUrl, metadata }).catch((error) => { shared = null; throw error })
  const client = await within(10_000, shared)
  let session = null
  let isOver = false
  const close = () => {
    if (!session || isOver) return
    isOver = true
    // A wallet that cannot be told sees the session expire.
    client.disconnect({ topic: session.topic, reason: { code: 6000, message: 'The page is done.' } }).catch(() => {})
  }
  signal.addEventListener('abort', close, { once: true })
  // Mainnet too: most wallets know it, and which network a plain key signs on does not matter.
  const chains = [...new Set([`eip155:${chain}`, 'eip155:1'])]
  const events = ['accountsChanged', 'chainChanged']
  const { uri, approval } = await within(10_000, client.connect({
    optionalNamespaces: { eip155: { chains, methods: ['personal_sign'], events } }
  }))
  signal.throwIfAborted()
  show(uri)
  try {
    session = await approval()
  } catch (error) {
    // The library's own errors have no code; what the wallet refused has one.
    throw error?.code ? error : Object.assign(new Error('nobody scanned the code'), { code: 'unpaired' })
  }
  if (signal.aborted) {
    close()
    signal.throwIfAborted()
  }
  const accounts = () => {
    const all = (session.namespaces.eip155?.accounts ?? []).map(account)
    return [...all.filter((one) => one.chain === Number(chain)), ...all.filter((one) => one.chain !== Number(chain))]
  }
  const addresses = () => [...new Set(accounts().map((one) => one.address))]
  client.on('session_event', ({ topic, params: { event } }) => {
    if (topic !== session.topic) return
    // Some wallets name accounts with their chain.
    if (event.name === 'accountsChanged') emit('accountsChanged', event.data.map((one) => String(one).split(':').pop()))
    if (event.name === 'chainChanged') emit('chainChanged', event.data)
  })
  client.on('session_update', ({ topic, params: { namespaces } }) => {
    if (topic !== session.topic) return
    session = { ...session, namespaces }
    emit('accountsChanged', addresses())
  })
  for (const name of ['session_delete', 'session_expire']) {
    client.on(name, ({ topic }) => {
      if (topic !== session.topic) return
      isOver = true
      emit('disconnect')
    })
  }
  return {
    name: String(session.peer.metadata.name || 'Your wallet').slice(0, 60),
    on (name, listener) { listeners.set(name, [...listeners.get(name) ?? [], listener]) },
    removeListener (name, listener) { listeners.set(name, (listeners.get(name) ?? []).filter((other) => other !== listener)) },
    /** `seconds`: how long the wallet may take. */
    async request ({ method, params, seconds }) {
      switch (method) {
        case 'eth_requestAccounts': return addresses()
        case 'eth_chainId': return accounts()[0]?.chain ?? chain
        case 'personal_sign': {
          const signer = params[1].toLowerCase()
          const { chain: on } = accounts().find((one) => one.address.toLowerCase() === signer) ?? accounts()[0]
          const asked = client.request({
            topic: session.topic, chainId: `eip155:${on}`, request: { method, params }, expiry: expiry(seconds)
          })
          return asked.catch((error) => { throw isLate(error) ? Object.assign(new Error('late'), { code: 'expired' }) : error })
        }
        default: throw Object.assign(new Error(method), { code: 4200 })
      }
    }
  }
}
