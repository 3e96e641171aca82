// Every sentence that scripts of these pages show. What the server refuses comes with its own sentence.

/** Networks by chain id, as wallets name them. */
const NETWORKS = new Map([
  [1, 'Ethereum'], [10, 'OP Mainnet'], [56, 'BNB Smart Chain'], [100, 'Gnosis'], [137, 'Polygon'], [8453, 'Base'],
  [42161, 'Arbitrum One'], [43114, 'Avalanche'], [59144, 'Linea'], [84532, 'Base Sepolia'], [11155111, 'Sepolia']
])
export const network = (id) => NETWORKS.get(Number(id)) ?? `network ${Number(id)}`

export const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })

export const words = {
  offline: 'The server did not answer. Check your connection and try again. If the link was used meanwhile, your roles arrive on their own.',
  // A browser may remember that a script failed to load, until the page is loaded again.
  unloaded: 'A part of this page could not be loaded. Check your connection, reload the page and try again.',
  broken: 'Something went wrong. Reload the page and try again.',
  wrongName: 'That is not the name shown above. Check whose account this link is for, and close the page if it is not yours.',

  browserWallet: 'Browser wallet',
  found: (count) => count === 1 ? 'One wallet found in this browser.' : `${count} wallets found in this browser.`,
  noWallet: 'No wallet in this browser. See below.',
  // MetaMask/metamask-extension#3133: in Firefox, a page's policy also applies to the script that a wallet inserts inline.
  noWalletFirefox: 'No wallet answered in this Firefox. Some wallet extensions, MetaMask among them, cannot reach a page in Firefox that forbids inline scripts, as this one does for your safety. Open this page in Chrome, Edge or Brave, or use a wallet on your phone (below).',
  askingRelay: 'Asking WalletConnect for a code…',
  confirmIn: (wallet) => `Confirm the connection in ${wallet}…`,
  disconnected: 'Your wallet disconnected. Choose it again to continue.',
  switchedAccount: 'Your wallet switched to another account; the message is now for that one.',
  otherNetwork: (now, wanted) => `Your wallet is on ${network(now)}, the subscription is on ${network(wanted)}. Signing works all the same; only a smart wallet must be on ${network(wanted)}.`,
  switchTo: (wanted) => `Switch to ${network(wanted)}`,
  networkUnknown: (wanted) => `Your wallet does not know ${network(wanted)}. Add it in the wallet’s settings, or continue if yours is not a smart wallet.`,

  preparing: 'Preparing your message…',
  signBy: (until) => `Sign it before ${clock(until)}; after that you get a new message.`,
  sign: 'Sign message',
  signAndMove: 'Sign and move the wallet',
  signIn: (wallet) => `Sign the message in ${wallet}…`,
  checking: 'Checking your signature…',
  signInAgain: 'Sign in again',

  linkCopied: 'The link is copied. Paste it in your wallet’s browser.',
  linkNotCopied: 'The link could not be copied; copy it from the address bar.',
  handedCopyFailed: 'The link could not be copied; scan the code, or open one of the apps above.',
  codeCopied: 'The code is copied. Paste it where your wallet asks for a WalletConnect link.',
  codeNotCopied: 'The code could not be copied; scan it, or open a wallet on this device.',
  appMissing: 'Did nothing open? Then this app may not be installed here. Choose another, or copy the link.',
  preparingLink: 'Preparing a link for your wallet’s browser…',
  handed: (until) => `Open it before ${clock(until)}. It works once.`,
  handedOver: 'The link for your wallet’s browser has expired. Press the button again for a new one.',
  continuing: 'Continuing…',

  doneTitle: 'Wallet linked',
  lookingUp: 'Looking up your roles…',
  holds: (roles) => roles.length === 1 ? 'You hold this role now:' : 'You hold these roles now:',
  pending: 'On their way:',
  otherServer: 'another server',
  inServer: (server) => `In ${server}:`,
  arrive: 'You can close this page; the roles arrive on their own.',
  unread: 'The members of this server are still being read, which can take some minutes. You can close this page; if your wallet has a subscription, your roles arrive on their own.',
  nothing: 'No plan of this server can be subscribed to at present. You can close this page.',
  unpaid: 'The wallet is linked, and has no active subscription here. Subscribe with it, and your role comes by itself:',
  notShown: 'The roles cannot be shown right now; they arrive on their own.',
  subscribe: ({ name, terms, roles }) => `Subscribe to ${name}${terms ? `: ${terms}` : ''} (${roles.join(', ')})`
}

/** A refusal of the server: its code, and its sentence. */
export class Refusal extends Error {
  constructor (code, text) {
    super(text)
    this.code = code
  }
}

/** What to tell the visitor about an error of the server or of the wallet, always with what to do next. */
export function explain (error) {
  if (error instanceof Refusal) return error.message
  switch (error?.code) {
    case 4001:
    case 5000: return 'You declined in your wallet, and nothing was linked. Press the button again when you are ready.'
    case 4100: return 'Your wallet does not allow this account here. Open the wallet, connect this site, and try again.'
    case 4900:
    case 4901: return 'Your wallet is disconnected. Unlock it, check its network, and try again.'
    case -32002: return 'Your wallet already shows a request. Open it, finish that one, and try again.'
    case -32601:
    case 4200: return 'This wallet cannot sign messages here. Choose another wallet.'
    case 'expired': return 'Your wallet did not answer in time, and nothing was linked. Press the button again for a new message.'
    case 'relay': return 'WalletConnect’s relay did not answer. Try again, or open this page in your wallet’s own browser (see below).'
    case 'unpaired': return 'The code was not used in time. Press WalletConnect again for a new one.'
    default: return 'Your wallet did not answer as expected. Unlock it, then try again, or choose another wallet.'
  }
}
