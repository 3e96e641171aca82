// Choosing a wallet, connecting it, and having it sign the server's text. The page says where texts come from and what to do
// with the answer; its markup is `view::wallet`.
import { byId, complain, copy, listen, pause, quiet, say, turnPage } from './page.js'
import { findWallets, ownIcon } from './wallets.js'
import { Refusal, explain, words } from './words.js'

/** A text that ends so soon is not given to a wallet any more, in milliseconds. */
const TOO_LATE = 30_000
const STEPS = ['choose', 'scan', 'account']

/**
 * Starts. `root` has the chain and WalletConnect's data; `challenge({ address, for_contract })` and
 * `signature({ message, signature })` ask the server; `linked` are addresses of the visitor's in lower case; `done(answer)` and
 * `failed(error)` are told how it went. Answers `{ stop }`, which disconnects and ends every wait.
 */
export function startSigning ({ root, challenge, signature, linked, done, failed }) {
  const { chain, project, relay } = root.dataset
  /** The chosen wallet { name, provider, address, listeners, isSlow }, or null. */
  let chosen = null
  /** Ends the connection over WalletConnect, or null. */
  let remote = null
  /** The server's text for the chosen address with its end on this machine's clock, or null. */
  let text = null
  /** Counts choices, so that an answer to an earlier one is dropped. */
  let turn = 0

  const show = (step) => turnPage(
    STEPS.filter((other) => other !== step).map(byId), [byId(step)], byId(`${step}-title`))
  /** The button keeps the focus while it waits, which a disabled one would lose. */
  const busy = (isBusy) => byId('sign').setAttribute('aria-disabled', String(isBusy))
  const isBusy = () => byId('sign').getAttribute('aria-disabled') === 'true'

  function leave () {
    turn++
    for (const [name, listener] of chosen?.listeners ?? []) chosen.provider.removeListener?.(name, listener)
    remote?.abort()
    chosen = remote = text = null
  }

  function fail (error) {
    say('')
    complain(explain(error))
    failed(error)
  }

  function disconnected () {
    leave()
    quiet()
    show('choose')
    complain(words.disconnected)
  }

  /** Shows what to scan, and waits for a wallet on another device. */
  async function pairRemotely () {
    remote = new AbortController()
    const { signal } = remote
    say(words.askingRelay)
    const load = [import('./walletconnect.js'), import('./qr.js')]
    const [{ pair }, { picture }] = await Promise.all(load).catch(() => { throw new Refusal('offline', words.unloaded) })
    return pair({
      projectId: project,
      relayUrl: relay,
      chain,
      signal,
      // The link itself stays here: its path is the secret.
      metadata: { name: document.title, description: 'Sign one message to link your wallet.', url: location.origin, icons: [] },
      show (uri) {
        if (signal.aborted) return
        quiet()
        byId('code').src = picture(uri)
        byId('open-wallet').href = uri
        for (const app of byId('scan').querySelectorAll('[data-scheme]')) app.href = `${app.dataset.scheme}wc?uri=${encodeURIComponent(uri)}`
        show('scan')
        byId('scan-title').focus()
      }
    })
  }

  async function connect ({ name, icon, provider }) {
    leave()
    quiet()
    const mine = turn
    const isRemote = !provider
    try {
      if (isRemote) {
        provider = await pairRemotely()
        if (mine !== turn) return
        name = provider.name
      }
      say(words.confirmIn(name))
      const accounts = await provider.request({ method: 'eth_requestAccounts' })
      if (mine !== turn) return
      if (!accounts?.length) throw Object.assign(new Error('no account'), { code: 4100 })
      const listeners = [
        ['accountsChanged', (now) => { if (chosen?.provider === provider) accountChanged(now) }],
        ['chainChanged', (now) => { if (chosen?.provider === provider) showNetwork(now) }],
        ['disconnect', () => { if (chosen?.provider === provider) disconnected() }]
      ]
      chosen = { name, provider, address: accounts[0], listeners, isRemote }
      for (const [event, listener] of listeners) provider.on?.(event, listener)
      byId('account-name').textContent = name
      byId('account-icon').hidden = !ownIcon(icon)
      if (ownIcon(icon)) byId('account-icon').src = icon
      byId('switch').hidden = byId('network').hidden = true
      showAccount()
      show('account')
      provider.request({ method: 'eth_chainId' }).then((now) => { if (mine === turn) showNetwork(now) }, () => {})
      await prepare()
      if (mine === turn) byId('sign').focus()
    } catch (error) {
      if (mine !== turn) return
      // Nothing to continue with: back to the choice.
      if (!chosen) {
        leave()
        show('choose')
      }
      fail(error)
    }
  }

  function accountChanged (accounts) {
    if (!accounts?.length) return disconnected()
    // Wallets differ in which letters of an address are capitals, even with themselves.
    if (accounts[0].toLowerCase() === chosen.address.toLowerCase()) return
    quiet()
    const mine = ++turn
    chosen.address = accounts[0]
    showAccount()
    prepare().then(
      () => { if (mine === turn) say(words.switchedAccount) },
      (error) => { if (mine === turn) fail(error) }
    )
  }

  function showAccount () {
    text = null
    byId('account-address').textContent = chosen.address
    byId('message').textContent = byId('valid').textContent = ''
    showMove(false)
    byId('linked-already').hidden = !linked.includes(chosen.address.toLowerCase())
    busy(true)
  }

  /** Says beforehand that the wallet will leave another account. */
  function showMove (moves) {
    byId('moves').hidden = !moves
    byId('sign').textContent = moves ? words.signAndMove : words.sign
  }

  function showNetwork (now) {
    const differs = Number(now) !== Number(chain)
    byId('network').textContent = differs ? words.otherNetwork(now, chain) : ''
    byId('switch').textContent = words.switchTo(chain)
    turnPage(differs ? [] : [byId('network'), byId('switch')], differs ? [byId('network'), byId('switch')] : [], byId('account-title'))
  }

  async function switchNetwork () {
    quiet()
    const mine = turn
    try {
      await chosen?.provider.request({ method: 'wallet_switchEthereumChain', params: [{ chainId: `0x${Number(chain).toString(16)}` }] })
    } catch (error) {
      if (mine !== turn) return
      // 4902: not added to the wallet; 4200: a wallet elsewhere, whose network is switched there.
      if ([4902, 4200].includes(error?.code)) complain(words.networkUnknown(chain))
      else fail(error)
    }
  }

  /** Whether signing may take longer than a text lives: owners of a contract wallet sign one after the other. */
  async function isSlow ({ provider, address, isRemote }) {
    if (isRemote) return true
    const asked = provider.request({ method: 'eth_getCode', params: [address, 'latest'] }).catch(() => '0x')
    // The wallet's own node may never answer.
    const code = await Promise.race([asked, pause()])
    // A key whose address delegates to a contract (EIP-7702) signs at once all the same.
    return typeof code === 'string' && code.length > 2 && !code.startsWith('0xef0100')
  }

  /** Gets the text to sign for the chosen account. */
  async function prepare () {
    const mine = turn
    say(words.preparing)
    try {
      const wallet = chosen
      const answer = await challenge({ address: wallet.address, for_contract: await isSlow(wallet) })
      if (mine !== turn) return
      text = { message: answer.message, until: Date.now() + answer.valid_seconds * 1000 }
      byId('message').textContent = answer.message
      byId('valid').textContent = words.signBy(text.until)
      showMove(answer.moves)
      quiet()
    } finally {
      // Also after a refusal: pressing the button asks again.
      if (mine === turn) busy(false)
    }
  }

  async function sign () {
    if (!chosen || isBusy()) return
    quiet()
    const mine = turn
    const saidToMove = !byId('moves').hidden
    busy(true)
    try {
      if (!text || Date.now() > text.until - TOO_LATE) await prepare()
      if (mine !== turn) return
      // What the visitor agreed to was not that.
      if (!byId('moves').hidden && !saidToMove) return
      busy(true)
      const { message, until } = text
      const bytes = new TextEncoder().encode(message)
      const hex = '0x' + [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
      say(words.signIn(chosen.name))
      const seconds = Math.floor((until - Date.now()) / 1000)
      const signed = await chosen.provider.request({ method: 'personal_sign', params: [hex, chosen.address], seconds })
      if (mine !== turn) return
      say(words.checking)
      done(await signature({ message, signature: signed }))
    } catch (error) {
      if (mine !== turn) return
      // Another text next time, unless the chain could not be asked: then the same signature may still do.
      if (error instanceof Refusal && error.code !== 'chain_unavailable') text = null
      fail(error)
    } finally {
      if (mine === turn) busy(false)
    }
  }

  function chooseAgain () {
    leave()
    quiet()
    show('choose')
    byId('choose').querySelector('button')?.focus()
  }

  listen('sign', 'click', sign)
  listen('switch', 'click', switchNetwork)
  listen('back', 'click', chooseAgain)
  listen('scan-back', 'click', chooseAgain)
  listen('walletconnect', 'click', () => connect({ name: 'WalletConnect' }))
  listen('copy-code', 'click', () => copy(byId('open-wallet').href, 'status', words.codeCopied, words.codeNotCopied))
  findWallets(connect, () => { byId(navigator.maxTouchPoints > 0 ? 'phone' : 'no-wallet')?.setAttribute('open', '') })
  return { stop: leave }
}
