// What the dashboard does beyond plain pages: keeps the status live, and lets a wallet of this browser sign.

/** The page's own address is asked again, at most this often (milliseconds): the server draws, we only replace. */
const PACE = 5000

const live = document.getElementById('live')
if (live && 'EventSource' in window) watch(live.dataset.events)
for (const place of document.querySelectorAll('[data-wallets]')) offerWallets(place)

function watch (address) {
  const events = new EventSource(address)
  let last = null
  let waiting = null
  events.addEventListener('status', (event) => {
    // The first event is what the page shows already.
    if (last === null) last = event.data
    if (event.data === last || waiting) return
    last = event.data
    waiting = setTimeout(async () => {
      waiting = null
      await redraw()
    }, PACE)
  })
  addEventListener('pagehide', () => events.close())
}

async function redraw () {
  const old = document.getElementById('live')
  // Not under somebody's hands.
  if (old.contains(document.activeElement)) return
  const answer = await fetch(location.pathname, { headers: { accept: 'text/html' } }).catch(() => null)
  if (!answer?.ok) return
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
  const fresh = page.getElementById('live')
  if (fresh) old.replaceWith(document.adoptNode(fresh))
}

/** Lists the wallets that announce themselves (EIP-6963), and the one in `window.ethereum` where none does. */
function offerWallets (place) {
  const list = place.querySelector('ul')
  const status = place.querySelector('[role="status"]')
  const problem = place.querySelector('[role="alert"]')
  const known = new Set()
  const offer = (name, icon, provider) => {
    if (known.has(provider)) return
    known.add(provider)
    status.textContent = ''
    const button = document.createElement('button')
    button.type = 'button'
    if (typeof icon === 'string' && icon.startsWith('data:image/')) {
      const image = document.createElement('img')
      image.src = icon
      image.alt = ''
      button.append(image)
    }
    button.append(`Sign with ${name}`)
    button.addEventListener('click', () => connect(provider, name))
    const item = document.createElement('li')
    item.append(button)
    list.append(item)
  }
  addEventListener('eip6963:announceProvider', ({ detail }) => {
    if (detail?.provider?.request) offer(String(detail.info?.name ?? 'your wallet').slice(0, 60), detail.info?.icon, detail.provider)
  })
  dispatchEvent(new Event('eip6963:requestProvider'))
  const legacy = () => {
    if (known.size === 0 && window.ethereum?.request) offer('the wallet of this browser', null, window.ethereum)
  }
  addEventListener('ethereum#initialized', legacy)
  if (known.size === 0) status.textContent = 'Looking for wallets in this browser…'
  // Some wallets come a moment after the page.
  setTimeout(() => {
    legacy()
    if (known.size === 0) status.textContent = 'No wallet was found in this browser. Open this page where your wallet is, or sign somewhere else.'
  }, 3000)

  async function connect (provider, name) {
    problem.textContent = ''
    try {
      status.textContent = `Confirm in ${name} that it may be connected…`
      const [address] = await provider.request({ method: 'eth_requestAccounts' })
      if (!address) throw new Error(`${name} gave no account.`)
      const { message } = await post('/api/v1/me/wallet/challenge', { address })
      status.textContent = `Now sign the message in ${name}. It is free and moves nothing.`
      const signature = await provider.request({ method: 'personal_sign', params: [hex(message), address] })
      status.textContent = 'Checking the signature…'
      await post('/api/v1/me/wallet/signature', { message, signature })
      location.assign(`${place.dataset.next}?done=wallet`)
    } catch (error) {
      status.textContent = ''
      // 4001: the person said no.
      problem.textContent = error?.code === 4001
        ? 'You declined in the wallet, so nothing was connected. Choose it again to retry.'
        : error?.told ?? `${name} did not answer as expected. Try again, or sign somewhere else.`
    }
  }
}

async function post (path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  }).catch(() => null)
  const said = await answer?.json().catch(() => null)
  if (answer?.ok && said) return said
  throw Object.assign(new Error(), { told: said?.error?.message ?? 'The server did not answer. Try again in a moment.' })
}

function hex (text) {
  return '0x' + Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
