// The wallets of this browser: those that announce themselves (EIP-6963), else window.ethereum, which may come late.
import { byId, element } from './page.js'
import { words } from './words.js'

/** How long a wallet may take to appear: wallets' own browsers insert theirs up to 3 s after the page. */
const PATIENCE = 3_000

/** Wallets by their announced uuid: { name, icon, provider }. */
const wallets = new Map()

/** Only pictures that a wallet brought along: any other address would be a request to a third party. */
export const ownIcon = (icon) => typeof icon === 'string' && /^data:image\//i.test(icon) ? icon : null

function add (id, wallet, choose) {
  wallets.set(id, wallet)
  const icon = ownIcon(wallet.icon)
  const button = element('button', { type: 'button' }, ...(icon ? [element('img', { src: icon, alt: '' })] : []), wallet.name)
  button.addEventListener('click', () => choose(wallet))
  const item = element('li', { id: `wallet-${id}` }, button)
  // The same wallet under its own name: in the same place, with the focus if it had it.
  const legacy = byId('wallet-legacy')
  if (legacy && wallets.delete('legacy')) {
    const hasFocus = legacy.contains(document.activeElement)
    legacy.replaceWith(item)
    if (hasFocus) button.focus()
  } else byId('wallets').append(item)
  byId('searching').textContent = words.found(wallets.size)
}

/** Lists wallets as they appear; `choose(wallet)` is called for the one that is pressed, `none()` if there is none. */
export function findWallets (choose, none) {
  window.addEventListener('eip6963:announceProvider', ({ detail }) => {
    const { info, provider } = detail ?? {}
    if (!info?.uuid || typeof provider?.request !== 'function' || wallets.has(String(info.uuid))) return
    add(String(info.uuid), { name: String(info.name || 'Wallet').slice(0, 60), icon: info.icon, provider }, choose)
  })
  window.dispatchEvent(new Event('eip6963:requestProvider'))
  const legacy = () => {
    if (wallets.size > 0 || typeof window.ethereum?.request !== 'function') return
    add('legacy', { name: words.browserWallet, icon: null, provider: window.ethereum }, choose)
  }
  window.addEventListener('ethereum#initialized', legacy)
  // A wallet that announces itself has a name, so it gets a moment before the nameless one is listed.
  setTimeout(legacy, 400)
  setTimeout(() => {
    legacy()
    if (wallets.size > 0) return
    byId('searching').textContent = /firefox/i.test(navigator.userAgent) && navigator.maxTouchPoints === 0
      ? words.noWalletFirefox
      : words.noWallet
    none()
  }, PATIENCE)
}
