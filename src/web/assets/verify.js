// The wallet page: finds wallets (EIP-6963, else window.ethereum, else WalletConnect where the merchant has it), asks one to
// sign the server's message, and shows what came of it. Nothing is loaded from elsewhere and nothing is remembered.

const byId = (id) => document.getElementById(id)
const main = byId('verify')
const { csrf, chain, username, project, relay } = main.dataset

/** Wallets by their announced uuid: { name, icon, provider }. */
const wallets = new Map()
/** The chosen wallet with its address and listeners, or null. */
let chosen = null
/** Ends the connection over WalletConnect, or null. */
let remote = null
/** The server's text for the chosen address, or null. */
let message = null
/** Counts choices, so that an answer to an earlier one is dropped. */
let turn = 0
let finished = false

const say = (text) => { byId('status').textContent = text }
const complain = (text) => { byId('problem').textContent = text }
const quiet = () => { say(''); complain('') }

const FINAL = new Set([
  'link_unknown', 'link_expired', 'link_used', 'link_replaced', 'sign_in_required', 'other_member',
  'member_left', 'bot_absent'
])

class Refusal extends Error {
  constructor (code, text) {
    super(text)
    this.code = code
  }
}

const offline = () => new Refusal('offline', 'The server did not answer. Check your connection and try again; if the link was used meanwhile, your roles arrive on their own.')

async function ask (path, body) {
  const options = { credentials: 'same-origin', headers: { accept: 'application/json' } }
  if (body) {
    options.method = 'POST'
    options.headers['content-type'] = 'application/json'
    if (csrf) options.headers['x-csrf-token'] = csrf
    options.body = JSON.stringify(body)
  }
  let response, answer
  try {
    response = await fetch(`${location.pathname}/${path}`, options)
    answer = await response.json()
  } catch {
    throw offline()
  }
  if (response.ok) return answer
  throw new Refusal(answer?.error?.code, answer?.error?.message ?? 'Something went wrong; reload the page and try again.')
}

/** What to tell the visitor about an error of the server or of the wallet, always with what to do next. */
function explain (error) {
  if (error instanceof Refusal) return error.message
  switch (error?.code) {
    case 4001:
    case 5000: return 'You declined in your wallet, and nothing was linked. Press the button again when you are ready.'
    case 4100: return 'Your wallet does not allow this account here. Open the wallet, connect this site, and try again.'
    case 4900:
    case 4901: return 'Your wallet is disconnected. Unlock it, check its network, and try again.'
    case -32002: return 'Your wallet already shows a request. Open it, finish that one, and try again.'
    case -32601:
    case 4200: return 'This wallet cannot sign messages here. Choose another wallet below.'
    case 'relay': return 'WalletConnect’s relay did not answer. Try again, or open this page in your wallet’s own browser (see below).'
    case 'unpaired': return 'The code was not used in time. Press WalletConnect again for a new one.'
    default: return 'Your wallet did not answer as expected. Unlock it, then try again, or choose another wallet.'
  }
}

function fail (error) {
  say('')
  complain(explain(error))
  if (FINAL.has(error?.code)) {
    turn++
    remote?.abort()
    for (const id of ['choose', 'scan', 'account', 'name-check', 'phone', 'no-wallet']) byId(id)?.setAttribute('hidden', '')
    if (error.code === 'sign_in_required') {
      const reload = element('button', { type: 'button', className: 'button main', textContent: 'Sign in again' })
      reload.addEventListener('click', () => location.reload())
      byId('problem').append(document.createElement('br'), reload)
    }
  }
}

function element (name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** Only pictures that a wallet brought along: any other address would be a request to a third party. */
const ownIcon = (icon) => typeof icon === 'string' && /^data:image\//i.test(icon) ? icon : null

function showWallets () {
  const items = [...wallets].map(([id, wallet]) => {
    const icon = ownIcon(wallet.icon)
    const button = element('button', { type: 'button' }, ...(icon ? [element('img', { src: icon, alt: '' })] : []), wallet.name)
    button.addEventListener('click', () => connect(wallets.get(id)))
    return element('li', {}, button)
  })
  byId('wallets').replaceChildren(...items)
  if (items.length > 0) byId('searching').hidden = true
}

function announce ({ info, provider }) {
  if (!info?.uuid || typeof provider?.request !== 'function' || wallets.has(info.uuid)) return
  wallets.delete('legacy')
  wallets.set(String(info.uuid), { name: String(info.name || 'Wallet').slice(0, 60), icon: info.icon, provider })
  showWallets()
}

function findWallets () {
  window.addEventListener('eip6963:announceProvider', (event) => announce(event.detail ?? {}))
  window.dispatchEvent(new Event('eip6963:requestProvider'))
  setTimeout(() => {
    if (wallets.size > 0) return
    if (typeof window.ethereum?.request === 'function') {
      wallets.set('legacy', { name: 'Browser wallet', icon: null, provider: window.ethereum })
      showWallets()
      return
    }
    byId('searching').textContent = 'There is no wallet in this browser. See below for how to go on.'
    byId(navigator.maxTouchPoints > 0 ? 'phone' : 'no-wallet').open = true
    // A wallet that was installed meanwhile announces itself after a reload; one that starts slowly does so by itself.
  }, 400)
}

function leave () {
  turn++
  for (const [name, listener] of chosen?.listeners ?? []) chosen.provider.removeListener?.(name, listener)
  remote?.abort()
  chosen = remote = message = null
  byId('account').hidden = true
  byId('scan')?.setAttribute('hidden', '')
  byId('choose').hidden = false
}

/** Shows what to scan, and waits for a wallet on another device. */
async function pairRemotely () {
  remote = new AbortController()
  const { signal } = remote
  say('Asking WalletConnect for a code…')
  const { pair } = await import('./walletconnect.js').catch(() => { throw offline() })
  return pair({
    projectId: project,
    relayUrl: relay,
    chain,
    signal,
    // The link itself stays here: its path is the secret.
    metadata: { name: document.title, description: 'Sign one message to link your wallet.', url: location.origin, icons: [] },
    show ({ uri, picture }) {
      if (signal.aborted) return
      quiet()
      byId('choose').hidden = true
      byId('code').src = picture
      byId('open-wallet').href = uri
      byId('scan').hidden = false
      byId('scan-title').focus()
    }
  })
}

async function connect ({ name, icon, provider }) {
  leave()
  quiet()
  const mine = turn
  try {
    if (!provider) {
      provider = await pairRemotely()
      if (mine !== turn) return
      name = provider.name
      byId('scan').hidden = true
    }
    say(`Confirm the connection in ${name}…`)
    const accounts = await provider.request({ method: 'eth_requestAccounts' })
    if (mine !== turn) return
    if (!accounts?.length) throw Object.assign(new Error('no account'), { code: 4100 })
    const listeners = [
      ['accountsChanged', (now) => { if (chosen?.provider === provider) accountChanged(now) }],
      ['chainChanged', (now) => { if (chosen?.provider === provider) showNetwork(now) }],
      ['disconnect', () => { if (chosen?.provider === provider) { leave(); quiet(); complain('Your wallet disconnected. Choose it again to go on.') } }]
    ]
    chosen = { name, provider, address: accounts[0], listeners }
    for (const [event, listener] of listeners) provider.on?.(event, listener)
    byId('account-name').textContent = name
    byId('account-icon').hidden = !ownIcon(icon)
    if (ownIcon(icon)) byId('account-icon').src = icon
    byId('choose').hidden = true
    byId('account').hidden = false
    showAccount()
    provider.request({ method: 'eth_chainId' }).then((now) => { if (mine === turn) showNetwork(now) }, () => {})
    await prepare()
    if (mine === turn) byId('sign').focus()
  } catch (error) {
    if (mine !== turn) return
    // Nothing to go on with: back to the choice.
    if (!chosen) leave()
    fail(error)
  }
}

function accountChanged (accounts) {
  quiet()
  if (!accounts?.length) {
    leave()
    complain('Your wallet disconnected. Choose it again to go on.')
    return
  }
  if (accounts[0] === chosen.address) return
  turn++
  chosen.address = accounts[0]
  showAccount()
  const mine = turn
  prepare().then(
    () => { if (mine === turn) say('Your wallet switched to another account; the message is now for that one.') },
    (error) => { if (mine === turn) fail(error) }
  )
}

function showAccount () {
  message = null
  byId('account-address').textContent = chosen.address
  byId('message').textContent = ''
  byId('sign').disabled = true
}

function showNetwork (now) {
  const differs = Number(now) !== Number(chain)
  byId('network').hidden = !differs
  byId('network').textContent = differs
    ? `Your wallet is on network ${Number(now)}, the subscription is on ${chain}. Signing works all the same; only a smart wallet must be on ${chain}.`
    : ''
}

/** Gets the text to sign for the chosen account. */
async function prepare () {
  const mine = turn
  say('Preparing your message…')
  try {
    const body = { address: chosen.address }
    if (username) body.discord_name = byId('typed-name').value
    const answer = await ask('challenge', body)
    if (mine !== turn) return
    message = answer.message
    byId('message').textContent = message
    quiet()
  } finally {
    // Also after a refusal: pressing the button asks again.
    if (mine === turn) byId('sign').disabled = false
  }
}

async function sign () {
  if (!chosen || finished) return
  quiet()
  const mine = turn
  byId('sign').disabled = true
  try {
    if (!message) await prepare()
    if (mine !== turn) return
    byId('sign').disabled = true
    const text = message
    const bytes = new TextEncoder().encode(text)
    const hex = '0x' + [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    say(`Sign the message in ${chosen.name}…`)
    const signature = await chosen.provider.request({ method: 'personal_sign', params: [hex, chosen.address] })
    if (mine !== turn) return
    say('Checking your signature…')
    // Another text next time, unless the chain could not be asked: then the same signature may still do.
    const answer = await ask('signature', { message: text, signature })
    done(answer)
  } catch (error) {
    if (mine !== turn) return
    if (error instanceof Refusal && error.code !== 'chain_unavailable') message = null
    fail(error)
  } finally {
    if (mine === turn) byId('sign').disabled = false
  }
}

async function done ({ address, roles }) {
  finished = true
  turn++
  remote?.abort()
  byId('flow').hidden = true
  byId('done').hidden = false
  byId('done-address').textContent = address
  showOutcome({ roles, pending: [], subscribe: [], trouble: [], unread: false }, roles.length === 0)
  byId('done-title').focus()
  // Each answer waits for roles on their way, so this is half a minute at the most.
  for (let times = 0; ; times++) {
    const asked = Date.now()
    try {
      const standing = await ask('standing')
      const unsettled = standing.unread || standing.pending.length > 0
      // Roles in trouble do not come while the page waits.
      const more = unsettled && standing.trouble.length === 0 && times < 9
      showOutcome(standing, more)
      if (!more) return
      // One that comes at once is not asked for again at once.
      await new Promise((resolve) => setTimeout(resolve, asked + 1000 - Date.now()))
    } catch {
      showOutcome({ roles, pending: [], subscribe: [], trouble: ['The roles cannot be shown right now; they arrive on their own.'], unread: false }, false)
      return
    }
  }
}

const roleList = (roles, kind) => element('ul', { className: `roles ${kind}` }, ...roles.map((role) => element('li', {}, role.name)))

function showOutcome ({ roles, pending, subscribe, trouble, unread }, waiting) {
  const parts = []
  if (roles.length > 0) parts.push(element('p', {}, roles.length === 1 ? 'You hold this role now:' : 'You hold these roles now:'), roleList(roles, ''))
  if (pending.length > 0) parts.push(element('p', {}, 'On their way:'), roleList(pending, 'pending'))
  for (const sentence of trouble) parts.push(element('p', { className: 'note' }, sentence))
  if (subscribe.length > 0) {
    parts.push(element('p', {}, 'The wallet is linked, and has no active subscription here. Subscribe with it, and your role comes by itself:'))
    parts.push(...subscribe.filter(({ url }) => /^https?:\/\//i.test(url)).map(({ url, plan_id: plan, roles: opened }) =>
      element('p', {}, element('a', { className: 'button main', href: url, rel: 'noreferrer' }, `Subscribe to plan ${plan} (${opened.join(', ')})`))))
  }
  if (waiting) parts.push(element('p', { className: 'status' }, 'Looking up your roles…'))
  else if (pending.length > 0) parts.push(element('p', {}, 'You can close this page; the roles arrive on their own.'))
  else if (unread) parts.push(element('p', {}, 'The members of this server are still being read, which can take some minutes. You can close this page; if your wallet has a subscription, your roles arrive on their own.'))
  else if (parts.length === 0) parts.push(element('p', {}, 'Nothing in this server depends on a subscription yet. You can close this page.'))
  byId('outcome').replaceChildren(...parts)
}

function ways () {
  const here = location.href
  const bare = here.replace(/^https?:\/\//, '')
  // The apps' own schemes: their web addresses would tell the link to a third party.
  byId('in-metamask').href = `metamask://dapp/${bare}`
  byId('in-coinbase').href = `cbwallet://dapp?url=${encodeURIComponent(here)}`
  byId('in-trust').href = `trust://open_url?coin_id=60&url=${encodeURIComponent(here)}`
  byId('copy').addEventListener('click', () => copy(here,
    'The link is copied. Paste it in your wallet’s browser.',
    'The link could not be copied; copy it from the address bar.'))
}

async function copy (text, copied, failed) {
  try {
    await navigator.clipboard.writeText(text)
    say(copied)
  } catch {
    complain(failed)
  }
}

function chooseAgain () {
  leave()
  quiet()
  byId('choose').querySelector('button')?.focus()
}

byId('sign').addEventListener('click', sign)
byId('back').addEventListener('click', chooseAgain)
byId('scan-back')?.addEventListener('click', chooseAgain)
byId('walletconnect')?.addEventListener('click', () => connect({ name: 'WalletConnect' }))
byId('copy-code')?.addEventListener('click', () => copy(byId('open-wallet').href,
  'The code is copied. Paste it where your wallet asks for a WalletConnect link.',
  'The code could not be copied; scan it, or open a wallet on this device.'))
byId('name-check')?.addEventListener('submit', (event) => {
  event.preventDefault()
  const typed = byId('typed-name').value.trim().replace(/^@/, '').toLowerCase()
  if (typed !== username.toLowerCase()) {
    complain('That is not the name shown above. Check whose account this link is for, and close the page if it is not yours.')
    return
  }
  quiet()
  byId('name-check').hidden = true
  byId('choose').hidden = false
  byId('choose').querySelector('button')?.focus()
})
ways()
findWallets()
